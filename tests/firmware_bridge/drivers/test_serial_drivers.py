"""Serial drivers outside a job: what they find on arrival, on a port whose other end is ours."""

import hashlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_bridge.driver import Condition, Ended, Event, Program, Started
from firmware_bridge.drivers.grbl import GrblDriver
from firmware_bridge.drivers.marlin import MarlinDriver
from firmware_bridge.drivers.marlin.quirks import QUESTION_NUMBER
from firmware_bridge.errors import NeedsPerson, Refused
from firmware_bridge.streaming import Timeouts

QUICK = Timeouts(banner_s=0.05, answer_s=1.0)
Answers = dict[str, str]
REFUSED = "Error:Line Number is not Last Line Number+1, Last Line: 0\nResend: 1\nok\n"


class Peer:
    """Answers each line from a table (by its first word), and keeps what it was told.

    `counts`: it refuses the question that asks which line it has.
    """

    def __init__(
        self, answers: Answers, default: str, line_s: float = 0.0, *, counts: bool = True
    ) -> None:
        self.answers, self.default, self._line_s = answers, default, line_s
        self._counts = counts
        self.told: list[str] = []
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.link = os.ttyname(slave)
        self._slave = slave
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        rest = ""
        while data := self._read():
            if "?" in data:
                os.write(self.master, self.answers.get("?", "").encode())
            *lines, rest = (rest + data.replace("?", "")).split("\n")
            for line in filter(None, lines):
                time.sleep(self._line_s)
                self.told.append(line)
                word = next(word for word in line.split("*")[0].split() if word[0] != "N")
                asked = self._counts and line.startswith(f"N{QUESTION_NUMBER} ")
                answer = REFUSED if asked else self.answers.get(word, self.default)
                os.write(self.master, answer.encode())

    def _read(self) -> str:
        try:
            return os.read(self.master, 4096).decode()
        except OSError:
            return ""

    def close(self) -> None:
        os.close(self._slave)
        self._thread.join(5)
        os.close(self.master)


Make = Callable[..., Peer]


@pytest.fixture
def peer() -> Iterator[Make]:
    made: list[Peer] = []

    def make(
        answers: Answers, default: str = "ok\n", line_s: float = 0.0, *, counts: bool = True
    ) -> Peer:
        made.append(Peer(answers, default, line_s, counts=counts))
        return made[-1]

    yield make
    for each in made:
        each.close()


MARLIN = {"M115": "FIRMWARE_NAME:Marlin 2.1 (peer) X:1\nok\n", "M27": "Not SD printing\nok\n"}
COLD = "ok T:20.0 /0.0 B:20.0 /0.0 @:0\n"
HOT = "ok T:201.0 /200.0 B:60.0 /60.0 @:0\n"


def test_heat_left_on_by_whoever_died_is_switched_off_and_said(peer: Make) -> None:
    at = peer({**MARLIN, "M105": HOT})
    driver = MarlinDriver(at.link, 115200, QUICK)
    status = driver.connect()
    driver.close()
    assert [row for row in at.told if row[:4] in ("M104", "M140", "M107")] == [
        "M104 S0",
        "M140 S0",
        "M107",
    ]
    assert not [row for row in at.told if row[0] == "G"]
    assert "switched off" in status.detail


def test_the_heat_of_a_print_from_the_card_is_left_alone(peer: Make) -> None:
    at = peer({**MARLIN, "M27": "SD printing byte 12/345\nok\n", "M105": HOT})
    driver = MarlinDriver(at.link, 115200, QUICK)
    status = driver.connect()
    driver.close()
    assert status.condition is Condition.ATTENTION
    assert "card" in status.detail
    assert "M104 S0" not in at.told


def test_a_printer_that_restarted_was_not_left_hot_by_us(peer: Make) -> None:
    at = peer({**MARLIN, "M105": HOT})
    greet = threading.Timer(0.02, os.write, (at.master, b"start\n"))
    greet.start()
    driver = MarlinDriver(at.link, 115200, Timeouts(banner_s=2.0, answer_s=1.0))
    driver.connect()
    driver.close()
    greet.join()
    assert "M104 S0" not in at.told


def test_a_printer_without_a_card_is_asked_about_it_once(peer: Make) -> None:
    at = peer({**MARLIN, "M27": 'echo:Unknown command: "M27"\nok\n', "M105": COLD})
    driver = MarlinDriver(at.link, 115200, QUICK)
    driver.connect()
    assert driver.status().condition is Condition.IDLE
    driver.close()
    assert at.told.count("M27") == 1


@pytest.mark.parametrize("heat", [{"M105": COLD}, {}])
def test_8_a_printer_that_does_not_tell_its_name_or_its_heat_is_served(
    peer: Make, heat: dict[str, str]
) -> None:
    driver = MarlinDriver(peer(heat).link, 115200, QUICK)
    assert driver.connect().condition is Condition.IDLE
    driver.close()


@pytest.mark.parametrize(
    "name",
    [
        "FIRMWARE_NAME: RepRapFirmware for Duet 2 WiFi/Ethernet FIRMWARE_VERSION: 3.3\nok\n",
        "FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12\nok\n",
    ],
)
def test_a_family_that_does_not_check_line_numbers_is_not_streamed_to(
    peer: Make, name: str, tmp_path: Path
) -> None:
    """A lost line would be missing without a word; watched it may be."""
    at = peer({**MARLIN, "M115": name, "M105": COLD}, counts=False)
    driver = MarlinDriver(at.link, 115200, QUICK)
    assert driver.connect().condition is Condition.IDLE
    path = tmp_path / "job.gcode"
    path.write_bytes(b"G28\n")
    program = Program(path, hashlib.sha256(b"G28\n").hexdigest(), "job", 1)
    with pytest.raises(Refused, match="does not check line numbers"):
        driver.start(program)
    driver.close()
    assert not [row for row in at.told if row[0] == "G"]


def test_a_job_begins_in_the_modes_of_a_board_that_has_just_started(
    peer: Make, tmp_path: Path
) -> None:
    printer = peer({"M115": "FIRMWARE_NAME:Marlin\nok\n"}, "ok T:20 /0\n")
    driver = MarlinDriver(printer.link, 115200, QUICK)
    driver.connect()
    data = b"G28\nG91\nM220 S50\n"
    path = tmp_path / "job.gcode"
    path.write_bytes(data)
    program = Program(path, hashlib.sha256(data).hexdigest(), "a-1", 3)
    try:
        list(driver.start(program).events())
        assert "G90" not in printer.told
        list(driver.start(program).events())
    finally:
        driver.close()
    second = printer.told[printer.told.index("G90") :]
    assert second[:4] == ["G90", "M82", "M220 S100", "M221 S100"]
    assert second[4].startswith("N1999 M110")


def test_a_port_is_known_by_its_stable_name(peer: Make, tmp_path: Path) -> None:
    by_id = tmp_path / "usb-maker-board"
    for _ in range(2):  # unplugged and plugged in, it is another device under the same name
        at = peer({**MARLIN, "M105": COLD})
        by_id.unlink(missing_ok=True)
        by_id.symlink_to(at.link)
        driver = MarlinDriver(str(by_id), 115200, QUICK)
        assert driver.connect().condition is Condition.IDLE
        driver.close()


def grbl(version: str = "1.1h.20190830:", settings: str = "", state: str = "Idle") -> Answers:
    return {
        "?": f"<{state}|MPos:0.000,0.000,0.000|FS:0,0|WCO:0,0,0>\r\n",
        "$I": f"[VER:{version}]\r\n[OPT:V,15,128]\r\nok\r\n",
        "$$": f"{settings}ok\r\n",
    }


@pytest.mark.parametrize(
    ("homes", "condition", "words"),
    [("1", Condition.ATTENTION, "home it"), ("0", Condition.FAULT, "unlock it")],
)
def test_a_mill_that_starts_locked_says_what_it_wants(
    homes: str, condition: Condition, words: str, peer: Make
) -> None:
    at = peer(grbl(settings=f"$13=0\r\n$22={homes}\r\n", state="Alarm"))
    driver = GrblDriver(at.link, 115200, QUICK)
    status = driver.connect()
    driver.close()
    assert (status.condition, words in status.detail) == (condition, True)
    assert not {"$H", "$X"} & set(at.told)


def test_homing_is_offered_and_done_when_asked_for(peer: Make) -> None:
    at = peer(grbl(settings="$22=1\r\n", state="Alarm"), "ok\r\n")
    driver = GrblDriver(at.link, 115200, QUICK)
    driver.connect()
    at.answers["?"] = grbl()["?"]
    assert driver.home().condition is Condition.IDLE
    at.answers["$H"] = "ALARM:9\r\n"
    with pytest.raises(NeedsPerson, match="found no switch"):
        driver.home()
    driver.close()


def test_a_family_that_is_not_grbl_1_1_is_named_and_refused(peer: Make) -> None:
    at = peer(grbl("3.7 FluidNC v3.7.8:"))
    with pytest.raises(NeedsPerson, match="FluidNC"):
        GrblDriver(at.link, 115200, QUICK).connect()


def test_positions_in_inches_are_not_guessed_at(peer: Make) -> None:
    at = peer(grbl(settings="$13=1\r\n"))
    with pytest.raises(NeedsPerson, match=r"\$13=0"):
        GrblDriver(at.link, 115200, QUICK).connect()


def test_grblhal_is_taken_by_its_word(peer: Make) -> None:
    answers = grbl("1.1f.20261004:")
    answers["$I"] = answers["$I"].replace("ok", "[FIRMWARE:grblHAL]\r\nok")
    driver = GrblDriver(peer(answers).link, 115200, QUICK)
    assert driver.connect().firmware == "grblHAL 1.1f.20261004"
    driver.close()


# ---- a host that does not listen for a while: busy, or asleep with its lid closed

NAPPING = Timeouts(banner_s=0.05, silence_s=0.5)
PLACED = grbl()["?"].replace("0.000,0.000,0.000", "5.000,0.000,0.000")
MILL = {
    **grbl(),
    "?": PLACED,
    "$G": "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F100 S0]\r\nok\r\n",
}
LANGUAGES = {
    "marlin": (MarlinDriver, {**MARLIN, "M105": COLD}, "ok\n"),
    "grbl": (GrblDriver, MILL, "ok\r\n"),
}
HOST = """
import hashlib
import sys
from pathlib import Path
from firmware_bridge.driver import Ended, Program
from tests.firmware_bridge.drivers.test_serial_drivers import LANGUAGES, NAPPING
language, link, path = sys.argv[1:]
program = Program(Path(path), hashlib.sha256(Path(path).read_bytes()).hexdigest(), "job", 60)
driver = LANGUAGES[language][0](link, 115200, NAPPING)
driver.connect()
for event in driver.start(program).events():
    pass
print(event.outcome, event.cause, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    data = b"G1 X5 F100\n" * 59 + b"G0 X5\n"
    path = tmp_path / "job.gcode"
    path.write_bytes(data)
    return Program(path, hashlib.sha256(data).hexdigest(), "job", 60)


def in_mid_job(at: Peer) -> None:
    ends = time.monotonic() + 20
    while sum("G1 X5" in row for row in at.told) < 10:
        assert time.monotonic() < ends, at.told
        time.sleep(0.01)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_host_that_was_asleep_does_not_blame_the_machine(
    language: str, peer: Make, program: Program
) -> None:
    _, answers, default = LANGUAGES[language]
    at = peer(answers, default, 0.01)
    command = [sys.executable, "-c", HOST, language, at.link, str(program.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as host:
        try:
            in_mid_job(at)
            host.send_signal(signal.SIGSTOP)
            time.sleep(4 * NAPPING.silence_s)
            host.send_signal(signal.SIGCONT)
            told, _ = host.communicate(timeout=20)
        finally:
            host.kill()
    assert told == b"finished complete\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_host_busy_with_its_events_counts_no_silence(
    language: str, peer: Make, program: Program
) -> None:
    kind, answers, default = LANGUAGES[language]
    driver = kind(peer(answers, default, 0.01).link, 115200, NAPPING)
    driver.connect()
    found: list[Event] = []
    for event in driver.start(program).events():
        found.append(event)
        if isinstance(event, Started):
            time.sleep(2 * NAPPING.silence_s)
    driver.close()
    assert isinstance(found[-1], Ended)
    assert (found[-1].outcome, found[-1].cause) == ("finished", "complete")


def test_only_the_thread_that_streams_goes_ahead_of_other_work(
    peer: Make, program: Program
) -> None:
    _, answers, default = LANGUAGES["marlin"]
    driver = MarlinDriver(peer(answers, default).link, 115200, NAPPING)
    driver.connect()
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    may = subprocess.run(
        [sys.executable, "-c", "import os; os.nice(-1)"], check=False, stderr=subprocess.DEVNULL
    )
    wanted = mine if may.returncode else min(mine, -10)
    seen: list[int] = []

    def stream() -> None:
        me = threading.get_native_id()
        events = driver.start(program).events()
        seen.extend(os.getpriority(os.PRIO_PROCESS, me) for _ in events)
        seen.append(os.getpriority(os.PRIO_PROCESS, me))

    streaming = threading.Thread(target=stream)
    streaming.start()
    streaming.join()
    driver.close()
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine
    assert (seen[0], seen[-1]) == (wanted, mine)
