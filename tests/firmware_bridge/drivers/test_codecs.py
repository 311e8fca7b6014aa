"""Machine languages as bytes: the same replies wherever the stream is cut."""

import itertools
import random
from collections.abc import Callable, Iterable

import pytest

from firmware_bridge.drivers.grbl import codec as grbl
from firmware_bridge.drivers.marlin import codec as marlin

MARLIN_TALK = (
    b"start\necho:Marlin 2.1.2\nFIRMWARE_NAME:Marlin 2.1.2 (Jan  6 2024) SOURCE_CODE_URL:x\n"
    b"Cap:AUTOREPORT_TEMP:1\nok\nok N2003 P15 B3\nok T:201.5 /200.0 B:60.1 /60.0 @:0 B@:0\n"
    b" T:25.1 /200.0 B:24.0 /60.0\necho:busy: processing\nError:checksum mismatch, Last Line: 7\n"
    b'Resend: 8\nok\r\necho:Unknown command: "G999"\n// action:pause\n'
    b"echo: cold extrusion prevented\n"
    b"Error:Printer halted. kill() called!\nX:1.00 Y:2.00 Z:3.00 E:0.00 Count X:80\n\xff\x00start\n"
)
MARLIN_SAID: list[marlin.Reply] = [
    marlin.Banner("start"),
    marlin.Banner("echo:Marlin 2.1.2"),
    marlin.Firmware("Marlin 2.1.2 (Jan  6 2024)"),
    marlin.Capability("AUTOREPORT_TEMP", on=True),
    marlin.Ok(),
    marlin.Ok(number=2003, free=3),
    marlin.Ok({"T": (201.5, 200.0), "B": (60.1, 60.0)}),
    marlin.Heat({"T": (25.1, 200.0), "B": (24.0, 60.0)}),
    marlin.Busy("processing"),
    marlin.LineRefused("Error:checksum mismatch, Last Line: 7"),
    marlin.Resend(8),
    marlin.Ok(),
    marlin.UnknownCommand("G999"),
    marlin.Action("pause"),
    marlin.Fault("echo: cold extrusion prevented"),
    marlin.Killed("Error:Printer halted. kill() called!"),
    marlin.Position((1.0, 2.0, 3.0)),
    marlin.Banner("start"),
]
GRBL_TALK = (
    b"\r\nGrbl 1.1h ['$' for help]\r\n[VER:1.1h.20190830:]\r\n[OPT:V,15,128]\r\nok\r\n"
    b"<Run|MPos:1.000,-2.500,0.000|FS:500,8000|Bf:14,100>\r\n<Hold:0|WPos:1,2,3|WCO:0,0,-5>\r\n"
    b"[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]\r\nerror:22\r\nALARM:1\r\n"
    b"[MSG:Reset to continue]\r\n"
)
GRBL_SAID: list[grbl.Reply] = [
    grbl.Banner("1.1h"),
    grbl.Build("VER", "1.1h.20190830:"),
    grbl.Build("OPT", "V,15,128"),
    grbl.Ok(),
    grbl.Report("Run", None, (1.0, -2.5, 0.0), free=(14, 100)),
    grbl.Report("Hold", 0, None, (1.0, 2.0, 3.0), (0.0, 0.0, -5.0)),
    grbl.Modes(frozenset(["G0", "G54", "G17", "G21", "G90", "G94", "M5", "M9", "T0", "F0", "S0"])),
    grbl.Error(22),
    grbl.Alarm(1),
    grbl.Note("[MSG:Reset to continue]"),
]
Feed = Callable[[bytes], Iterable[object]]
TALKS: list[tuple[Callable[[], Feed], bytes, list[object]]] = [
    (lambda: marlin.Codec().feed, MARLIN_TALK, list(MARLIN_SAID)),
    (lambda: grbl.Codec().feed, GRBL_TALK, list(GRBL_SAID)),
]


@pytest.mark.parametrize(("codec", "talk", "said"), TALKS, ids=["marlin", "grbl"])
def test_cut_at_every_place(codec: Callable[[], Feed], talk: bytes, said: list[object]) -> None:
    assert list(codec()(talk)) == said
    for cut in range(len(talk)):
        feed = codec()
        assert [*feed(talk[:cut]), *feed(talk[cut:])] == said, cut
    feed = codec()
    assert list(itertools.chain.from_iterable(feed(bytes([byte])) for byte in talk)) == said


@pytest.mark.parametrize(("codec", "talk", "said"), TALKS, ids=["marlin", "grbl"])
def test_noise_is_survived_and_bounded(
    codec: Callable[[], Feed], talk: bytes, said: list[object]
) -> None:
    chance, feed = random.Random(3), codec()
    for _ in range(300):
        list(feed(chance.randbytes(chance.randrange(1, 400))))
    list(feed(b"x" * 1_000_000))
    list(feed(b"y" * 100_000 + b"\n"))
    assert list(feed(talk)) == said


@pytest.mark.parametrize(
    "line",
    [b"ok\x1b[0m", b"\x07ok", b"okay", b"ok:", b"Resend: 12x", b"Resend:", b"\xffResend: 12", b"k"],
)
def test_what_only_looks_like_an_answer_is_none(line: bytes) -> None:
    (reply,) = marlin.Codec().feed(line + b"\n")
    assert isinstance(reply, marlin.Note | marlin.Garbled)
    (other,) = grbl.Codec().feed(line + b"\n")
    assert isinstance(other, grbl.Note)


@pytest.mark.parametrize("line", [b"<Idle", b"<Idle|MPos:a,b,c>", b"<idle>", b"error:x", b"ALARM:"])
def test_half_a_report_is_none(line: bytes) -> None:
    (reply,) = grbl.Codec().feed(line + b"\r\n")
    assert isinstance(reply, grbl.Note)


def test_numbered_lines_carry_the_xor_of_their_bytes() -> None:
    assert marlin.numbered(3, b"T0") == b"N3 T0*57\n"  # the example of the RepRap wiki
