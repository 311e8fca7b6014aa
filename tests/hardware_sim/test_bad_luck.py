"""Faults by script, a wire that takes its time, a TCP port, and the account of dry time."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardware_sim.config import Fault, Faults
from hardware_sim.faults import Troubles
from hardware_sim.port import Port
from hardware_sim.wire import Lane
from tests.hardware_sim.bare import Bare
from tests.hardware_sim.conftest import FOLDER_ENV, Shop, numbered

LINES = [f"G1 X{n}\n".encode() for n in range(10)]


def script(*faults: Fault) -> Troubles:
    return Troubles(Faults(), faults)


def through(troubles: Troubles, lines: list[bytes], in_job: int = 0) -> list[tuple[float, bytes]]:
    return [piece for line in lines for piece in troubles.received(line, in_job)]


def test_without_a_script_every_byte_goes_through_at_once() -> None:
    assert script().received(b"half a li", 0) == [(0.0, b"half a li")]


@pytest.mark.parametrize(
    ("what", "made"),
    [
        ("lose-line", []),
        ("double-line", [LINES[3], LINES[3]]),
        ("join-line", [LINES[3][:-1]]),
    ],
)
def test_the_fourth_line_is_hit_and_no_other(what: str, made: list[bytes]) -> None:
    fault = Fault.model_validate({"what": what, "after_n": 3})
    got = [data for _, data in through(script(fault), LINES)]
    assert got == [*LINES[:3], *made, *LINES[4:]]


def test_a_garbled_line_keeps_its_length_and_its_end() -> None:
    got = [data for _, data in through(script(Fault(what="garble-line", after_n=3)), LINES)]
    changed = [n for n, (a, b) in enumerate(zip(got, LINES, strict=True)) if a != b]
    assert changed == [3]
    assert len(got[3]) == len(LINES[3])
    assert got[3].endswith(b"\n")


def test_a_late_line_holds_up_what_comes_behind_it() -> None:
    pieces = through(script(Fault(what="late-line", after_n=1, late_s=2.5)), LINES[:3])
    assert [late for late, _ in pieces] == [0.0, 2.5, 0.0]
    lane = Lane(0)
    for late_s, data in pieces:
        lane.put(data, 1.0, late_s)
    assert [lane.take()[0] for _ in pieces] == [1.0, 3.5, 3.5]


def test_only_acknowledgements_are_hit() -> None:
    troubles = script(Fault(what="lose-ack", times=0))
    said = b"echo:busy: processing\nok\n T:20.0 /0.0\nerror:9\n"
    kept = b"".join(data for _, data in troubles.said(said, 0))
    assert kept == b"echo:busy: processing\n T:20.0 /0.0\n"


def test_chance_is_seeded() -> None:
    def hits(seed: int) -> list[int]:
        troubles = script(Fault(what="lose-line", probability=0.2, seed=seed, times=0))
        return [n for n, line in enumerate(LINES * 20) if not troubles.received(line, 0)]

    assert hits(1) == hits(1) != hits(2)
    assert 20 < len(hits(1)) < 60


def test_a_real_time_byte_does_not_wait_for_its_line() -> None:
    troubles = script(Fault(what="lose-line", after_n=5))
    assert troubles.received(b"?", 0) == [(0.0, b"?")]


@pytest.mark.parametrize(
    "told",
    [
        {"what": "fire"},
        {"what": "jam", "at_line": 3, "at_s": 2.0},
        {"what": "lose-line", "at_s": 2.0},
        {"what": "jam", "when": 1},
    ],
)
def test_a_script_that_makes_no_sense_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Fault.model_validate(told)


def test_bytes_take_their_time() -> None:
    lane = Lane(115200)
    lane.put(b"x" * 40, 1.0)
    moments = []
    while lane.next_s() is not None:
        moments.append(lane.take()[0])
    assert moments == pytest.approx([1 + n * 10 / 115200 for n in (16, 32, 40)])
    lane.put(b"y", 0.5)
    assert lane.take()[0] == pytest.approx(1 + 41 * 10 / 115200)


def test_a_brownout_at_the_fifth_line_of_a_job(shop: Shop) -> None:
    sim = shop(fault=[{"what": "brownout", "at_line": 5}])
    host = sim.host()
    host.put(b"".join(b"G1 X%d F6000\n" % n for n in range(1, 5)))
    for _ in range(4):
        host.until("ok")
    host.put(b"G1 X5\n")
    assert host.until("start")
    (end,) = sim.ended(1)
    assert (end["how"], end["lines"]) == ("reset", 5)


def test_a_fault_may_be_ordered_while_it_runs(shop: Shop) -> None:
    sim = shop()
    host = sim.host()
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(sim.control))
        answers = door.makefile()
        door.sendall(b'{"do": "fault", "what": "lose-ack"}\n')
        assert json.loads(answers.readline())["ok"]
        door.sendall(b'{"do": "fault", "what": "door-open"}\n')
        assert "cannot happen to a marlin" in json.loads(answers.readline())["error"]
    host.put(b"M117 a\n")
    assert host.quiet()
    assert host.ask("M117 b") == ["ok"]


def test_a_script_for_another_kind_of_machine_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mill.toml"
    file.write_text(
        'kind = "grbl-mill"\nname = "m"\nsize_mm = [1, 1, 1]\ntool_mm = 3\n'
        '[[fault]]\nwhat = "thermistor-off"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "hardware_sim", str(file)],
        capture_output=True, text=True, env=FOLDER_ENV, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "thermistor-off cannot happen to a grbl-mill" in done.stderr


def test_the_file_alone_starts_a_machine_on_a_tcp_port() -> None:
    command = [sys.executable, "-m", "hardware_sim", "printer-220", "--tcp", "0", "--speed", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=FOLDER_ENV)
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        assert port.startswith("socket://127.0.0.1:")
        address = ("127.0.0.1", int(port.rpartition(":")[2]))
        with socket.create_connection(address) as one, one.makefile("rwb") as line:
            assert line.readline() == b"start\n"
            with socket.create_connection(address) as two:
                two.settimeout(5)
                assert two.recv(10) == b""  # one host at a time
            while line.readline() != b"echo:Hardcoded Default Settings Loaded\n":
                pass
            line.write(b"M105\n")
            line.flush()
            assert line.readline().startswith(b"ok T:")
        with socket.create_connection(address) as again, again.makefile("rb") as line:
            assert line.readline() == b"start\n"
    finally:
        process.terminate()
        assert process.wait(5) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_a_paced_wire_is_neither_faster_nor_much_slower(shop: Shop) -> None:
    host = shop(speed=1, baud=19200, bufsize=8, rx_buffer=1024).host()
    line = b"M117 0123456789012345678901234567890123\n"
    began = time.monotonic()
    host.put(line * 12)
    for _ in range(12):
        host.until("ok")
    took = time.monotonic() - began
    wire = (12 * len(line) + 3) * 10 / 19200
    assert wire * 0.98 < took < wire + 1.0


def test_replies_may_come_late(shop: Shop) -> None:
    host = shop(speed=1, reply_late_s=0.3).host()
    began = time.monotonic()
    host.ask("M117 x")
    assert 0.29 < time.monotonic() - began < 1.5


def test_dry_time_is_what_the_host_owes(tmp_path: Path) -> None:
    bare = Bare("printer-220", tmp_path)
    bare.ask("G28", "G1 X50 F6000")
    bare.still()
    bare.now_s += 0.75  # nothing comes for three quarters of a second
    bare.ask("G1 X60", "G4 S30", "G1 X70", "M400")  # a dwell is the program's own wish
    bare.still()
    bare.journal.end("complete", bare.now_s)
    (end,) = [json.loads(row) for row in (tmp_path / "ends.jsonl").read_text().splitlines()]
    assert end["dry_s"] == pytest.approx(0.75, abs=0.12)
    assert end["dry_times"] == 1


def test_a_job_that_is_fed_in_time_is_never_dry() -> None:
    bare = Bare("mill-3018")
    bare.ask(*[f"G1 X{n % 50} Y{n % 30} F600" for n in range(1, 100)], "G4 P0.1")
    assert bare.journal.dry_s == 0


def test_every_shipped_machine_is_listed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hardware_sim", "machines"],
        capture_output=True, text=True, env=FOLDER_ENV, timeout=30, check=True,
    )  # fmt: skip
    listed = json.loads(done.stdout)
    assert {"printer-220", "mill-3018", "laser-400"} <= listed.keys()
    assert all(Path(path).is_file() for path in listed.values())


def _asked(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hardware_sim", *words],
        capture_output=True, text=True, env=FOLDER_ENV, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "python -m hardware_sim printer-220 "),
        (("printer-220", "--tcp", "99999"), 2, "99999 is no TCP port"),
        (("printer-220", "--speed", "-1"), 2, "-1 is no number of 0 or more"),
        (("rocket",), 2, "moonraker-220, printer-220, prusalink-220"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words: tuple[str, ...], status: int, said: str) -> None:
    done = _asked(*words)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_of_machines_takes_json_as_a_word() -> None:
    assert _asked("machines", "--json").stdout == _asked("machines").stdout


def test_a_link_never_takes_the_place_of_somebody_elses_file(tmp_path: Path) -> None:
    program, elsewhere = tmp_path / "p.gcode", tmp_path / "elsewhere"
    program.write_text("G28\n")
    elsewhere.symlink_to(program)
    for path, why in (
        (program, "something else is there already"),
        (elsewhere, "something else is there already"),
        (tmp_path / "none/port", "there is no folder"),
    ):
        done = _asked("mill-3018", "--link", str(path))
        assert done.returncode == 1
        assert why in done.stderr
        assert "Traceback" not in done.stderr
    assert program.read_text() == "G28\n"
    assert elsewhere.readlink() == program
    assert not (tmp_path / "none").exists()


def test_a_link_that_a_killed_machine_left_is_taken_over(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.symlink_to("/dev/pts/987654")
    port = Port(link)
    assert str(link.readlink()) == port.name
    port.close()
    assert not link.is_symlink()


def test_a_scripted_machine_still_speaks_in_order(shop: Shop) -> None:
    sim = shop(fault=[{"what": "garble-line", "after_n": 3}])
    host = sim.host()
    host.ask(numbered(0, "M110 N0"))
    assert host.ask(numbered(1, "M117 a")) == ["ok"]
    assert host.ask(numbered(2, "M117 b")) == ["ok"]
    said = host.ask(numbered(3, "M117 c"))
    assert said != ["ok"]
