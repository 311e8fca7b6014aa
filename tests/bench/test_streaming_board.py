"""The bench's board, held against what Marlin's `queue.cpp` and GRBL's documents say they do."""

from functools import reduce
from operator import xor

import pytest

from bench.streaming.board import Planner, Wire
from bench.streaming.faults import Dirt
from bench.streaming.grbl import Grbl
from bench.streaming.marlin import Marlin


def marlin(
    *, baud: int = 0, planner: Planner | None = None, advanced_ok: bool = False, homing_s: float = 0
) -> Wire:
    wire = Wire(baud, 0.0, Dirt(), 0)
    wire.language = Marlin(wire, planner, advanced_ok=advanced_ok, homing_s=homing_s)
    return wire


def grbl(*, baud: int = 0, planner: Planner | None = None) -> Wire:
    wire = Wire(baud, 0.0, Dirt(), 0)
    wire.language = Grbl(wire, planner)
    return wire


def heard(wire: Wire, data: bytes, now: float = 1.0) -> bytes:
    """What the board says to these bytes."""
    wire.out.clear()
    wire.receive(data, now)
    return b"".join(said for _, said in wire.out)


def numbered(number: int, command: str) -> bytes:
    body = f"N{number} {command}".encode()
    return b"%s*%d\n" % (body, reduce(xor, body))


def test_marlin_takes_lines_in_their_order() -> None:
    wire = marlin()
    assert heard(wire, numbered(1, "G1 X1.0 Y2.0") + numbered(2, "G1 X2.0 Y2.0")) == b"ok\nok\n"
    assert wire.executed == [b"G1 X1.0 Y2.0", b"G1 X2.0 Y2.0"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"N1 G1 X1*0\n", b"checksum mismatch"),
        (numbered(3, "G1 X1"), b"Line Number is not Last Line Number+1"),
        (b"N1 G1 X1\n", b"No Checksum with line number"),
    ],
)
def test_marlin_refuses_and_asks_for_the_line_it_wants(line: bytes, why: bytes) -> None:
    wire = marlin()
    answer = heard(wire, line)
    assert answer.startswith(b"Error:" + why)
    assert answer.endswith(b"Last Line: 0\nResend: 1\nok\n")
    assert wire.executed == []


def test_a_refusal_empties_the_receive_buffer_but_not_the_wire() -> None:
    wire = marlin()
    heard(wire, b"N1 G1 X1*0\n" + numbered(1, "G1 X1"), now=1.0)
    assert wire.executed == [], "the second line lay in the buffer that was emptied"
    assert heard(wire, numbered(1, "G1 X1"), now=2.0) == b"ok\n"
    paced = marlin(baud=115200)
    heard(paced, b"N1 G1 X1*0\n" + numbered(1, "G1 X1"), now=1.0)
    assert paced.executed == [b"G1 X1"], "the second line was still on its way"


def test_marlin_verifies_nothing_without_an_n() -> None:
    """The caveat of its code: the checksum's branch stands inside `if (npos)`."""
    wire = marlin()
    assert heard(wire, b"M112 G1 X1*3\n") == b"Error:Printer halted. kill() called!\n"
    other = marlin()
    assert heard(other, b"Q12 G1 X1*3\n") == b'echo:Unknown command: "Q12 G1 X1"\nok\n'
    assert other.executed == []


def test_m110_sets_the_number_and_its_own_is_not_checked() -> None:
    wire = marlin()
    assert heard(wire, numbered(77, "M110 N2000")) == b"ok\n"
    assert heard(wire, numbered(2001, "G1 X1")) == b"ok\n"


def test_advanced_ok_names_the_line() -> None:
    assert heard(marlin(advanced_ok=True), numbered(1, "G1 X1")) == b"ok N1 P15 B3\n"


def test_marlin_says_busy_every_two_seconds_while_it_homes() -> None:
    wire = marlin(homing_s=4.5)
    answer = heard(wire, b"G28\n", now=10.0)
    assert answer == b"echo:busy: processing\necho:busy: processing\nok\n"
    assert [at for at, _ in wire.out] == [12.0, 14.0, 14.5]


def test_bytes_take_their_time_both_ways() -> None:
    wire = marlin(baud=10000)  # a byte a millisecond
    line = numbered(1, "G1 X1")
    heard(wire, line, now=5.0)
    assert wire.out[-1][0] == pytest.approx(5.0 + 0.001 * (len(line) + len(b"ok\n")))


def test_what_does_not_fit_into_the_receive_buffer_is_lost_and_counted() -> None:
    wire = marlin(baud=1_000_000, planner=Planner(block_s=1.0, blocks=1))
    lines = [numbered(number, f"G1 X{number}.000 Y1.000") for number in range(1, 20)]
    heard(wire, b"".join(lines), now=1.0)
    assert wire.overruns > 0


def test_a_planner_knows_when_it_stood_still() -> None:
    planner = Planner(block_s=1.0, blocks=2)
    assert [planner.add(at) for at in (0.0, 0.0, 0.0)] == [0.0, 0.0, 1.0]
    assert planner.share_dry == 0.0
    planner.add(5.0)
    assert planner.share_dry == pytest.approx(2.0 / 6.0)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"G1 X1.5 Y2 F100\n", b"ok\r\n"),
        (b"G1 X1.5 Y2 F100\r\n", b"ok\r\nok\r\n"),
        (b"; a comment\n", b"ok\r\n"),
        (b"g1x1.5 (inline) f100\n", b"ok\r\n"),
        (b"G1 X1\n", b"error:22\r\n"),
        (b"G1 X1 X2 F100\n", b"error:25\r\n"),
        (b"G99 X1\n", b"error:20\r\n"),
        (b"G1 X- F100\n", b"error:2\r\n"),
        (b"1 X1\n", b"error:1\r\n"),
        (b"G1 X1 F-100\n", b"error:4\r\n"),
        (b"G1 " + b"X" * 90 + b"\n", b"error:11\r\n"),
        (b"$Q\n", b"error:3\r\n"),
    ],
)
def test_grbl_answers_as_its_parser_does(line: bytes, answer: bytes) -> None:
    assert heard(grbl(), line) == answer


def test_grbl_executes_what_parses_after_an_error() -> None:
    wire = grbl()
    heard(wire, b"G1 X1 F100\nG1 XX\nG1 X3 Y1\n")
    assert wire.executed == [b"G1 X1 F100", b"G1 X3 Y1"]


def test_grbl_takes_real_time_bytes_out_of_the_middle_of_a_line() -> None:
    wire = grbl()
    answer = heard(wire, b"G1 X1?2 F10\x840\n")
    assert b"<Idle|MPos:" in answer
    assert wire.executed == [b"G1 X12 F100"]


def test_a_held_grbl_executes_nothing_until_it_is_resumed() -> None:
    wire = grbl()
    assert heard(wire, b"!G1 X1 F100\n") == b""
    assert heard(wire, b"?").startswith(b"<Hold:0|")
    assert heard(wire, b"~") == b"ok\r\n"
    assert wire.executed == [b"G1 X1 F100"]


def test_a_soft_reset_in_motion_is_an_alarm() -> None:
    moving = grbl(planner=Planner(block_s=10.0))
    heard(moving, b"G1 X1 F100\n", now=1.0)
    assert heard(moving, b"\x18", now=2.0).startswith(b"ALARM:3\r\n")
    assert heard(moving, b"G1 X2 F100\n", now=3.0) == b"error:9\r\n"
    held = grbl(planner=Planner(block_s=10.0))
    heard(held, b"G1 X1 F100\n", now=1.0)
    assert b"ALARM" not in heard(held, b"!\x18", now=2.0)


def test_grbl_tells_its_modes_and_place() -> None:
    wire = grbl()
    heard(wire, b"G20\nG91\nG1 X1.5 Y2 F100\n")
    assert b"[GC:G1 G54 G17 G20 G91 G94 M5 M9 T0 F100 S0]" in heard(wire, b"$G\n")
    assert b"MPos:1.500,2.000,0.000" in heard(wire, b"?")
