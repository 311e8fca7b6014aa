"""What only serial lines have: resets, dropped runs, dirty wires; the rest is in the contract."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_bridge.driver import (
    Condition,
    Driver,
    Ended,
    Event,
    Program,
    Progress,
)
from firmware_bridge.errors import LinkLost, Refused
from firmware_bridge.registry import open_driver
from tests.contracts.stand_ins import QUICK
from tests.runs import follow
from tests.simulated import MACHINES, Simulated

SERIAL = ("marlin", "grbl")


@dataclass(frozen=True)
class Kind:
    """What a driver's contract needs to know of its machine."""

    machine: str
    head: tuple[str, ...]
    body: Callable[[int], str]
    tail: tuple[str, ...]
    after: tuple[str, ...]  # what the driver itself adds when all was told

    def program(self, lines: int) -> str:
        rows = ["; a comment that no machine sees: ! ~ ? \u00e9", *self.head]
        return "\n".join([*rows, *(self.body(n) for n in range(lines)), *self.tail]) + "\n"


KINDS = {
    "marlin": Kind(
        "printer-220",
        ("G28", "M104 S175 ; heat", "M109 S175", "G90", "M83", "G1 X50 Y50 Z1 F6000"),
        lambda n: f"G1 X{50 + n % 2 * 5} Y{50 + n * 7 % 90} E0.0{n % 9 + 1} F1500",
        ("M104 S0", "M84"),
        ("M400", "M105"),
    ),
    "grbl": Kind(
        "mill-3018",
        ("G21", "G90", "G0 Z5", "M3 S8000", "G1 Z-1 F300"),
        lambda n: f"G1 X{50 + n % 2 * 5} Y{50 + n * 7 % 90}.5 F1500",
        ("G0 Z5", "M5", "M30"),
        (),
    ),
}


class Bench:
    """A simulated machine of its own, its door to the physical world, and a driver for its port."""

    def __init__(self, driver: str, folder: Path, speed: float, more: str = "") -> None:
        self.name, self.kind, self.folder = driver, KINDS[driver], folder
        self.link = folder / "port"
        shipped = (MACHINES / f"{self.kind.machine}.toml").read_text()
        self.sim = Simulated(folder / "sim", f"{more}\n{shipped}", speed, self.link)
        self.act, self.records = self.sim.act, self.sim.records
        self.drivers: list[Driver] = []

    def driver(self, name: str | None = None, **seconds: float) -> Driver:
        patience = {**QUICK, **seconds}
        entry = {"driver": name or self.name, "link": str(self.link), "timeouts": patience}
        self.drivers.append(open_driver(entry))
        return self.drivers[-1]

    def program(self, lines: int = 200, text: str | None = None) -> Program:
        data = (self.kind.program(lines) if text is None else text).encode()
        path = self.folder / "program.gcode"
        path.write_bytes(data)
        return Program(path, hashlib.sha256(data).hexdigest(), "attempt-1", data.count(b"\n"))

    def executed(self, start: int = 1) -> list[str]:
        """The lines that the machine carried out, without those that the driver added."""
        lines = self.sim.received(start).decode().splitlines()
        while lines and lines[-1] in self.kind.after:
            lines.pop()
        return lines

    def wanted(self, program: Program) -> list[str]:
        rows = program.path.read_text().splitlines()
        return [bare for row in rows if (bare := row.split(";")[0].strip())]

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()
        self.sim.close()


Make = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def make(driver: str, speed: float = 0, more: str = "") -> Bench:
        folder = tmp_path / f"bench-{len(made)}"
        folder.mkdir()
        made.append(Bench(driver, folder, speed, more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ended(events: list[Event]) -> Ended:
    assert isinstance(events[-1], Ended)
    assert not any(isinstance(event, Ended) for event in events[:-1])
    return events[-1]


def once_beyond(line: int, deed: Callable[[], object]) -> Callable[[Event], None]:
    """Do it once, as soon as the machine is that far."""
    done: list[object] = []

    def act(event: Event) -> None:
        if isinstance(event, Progress) and event.line >= line and not done:
            done.append(deed() or True)

    return act


@pytest.mark.parametrize("name", SERIAL)
def test_two_jobs_on_one_connection(name: str, bench: Make) -> None:
    at = bench(name)
    driver = at.driver()
    driver.connect()
    for lines in (50, 30):
        assert ended(follow(driver.start(at.program(lines)))).outcome == "finished"
    at.close()
    assert len(at.records("starts.jsonl")) == 2


@pytest.mark.parametrize("name", SERIAL)
def test_stop_ends_interrupted_and_leaves_everything_off(name: str, bench: Make) -> None:
    at = bench(name, speed=60)
    driver = at.driver()
    driver.connect()
    run = driver.start(at.program(400))
    end = ended(follow(run, once_beyond(20, lambda: run.stop("the maker cancelled"))))
    assert (end.outcome, end.cause) == ("interrupted", "stopped")
    assert "the maker cancelled" in end.detail
    assert "did not" not in end.detail
    assert 20 <= end.last_line < 400
    status = driver.status()
    assert status.condition in (Condition.IDLE, Condition.FAULT)
    assert all(target == 0 for _, target in status.temperatures_c.values())


@pytest.mark.parametrize("name", SERIAL)
def test_unplugged_and_plugged_in_again(name: str, bench: Make) -> None:
    at = bench(name, speed=60)
    driver, program = at.driver(), at.program(400)
    driver.connect()
    end = ended(follow(driver.start(program), once_beyond(20, lambda: at.act("unplug"))))
    assert (end.outcome, end.cause) == ("interrupted", "unplugged")
    assert driver.status().condition is Condition.OFFLINE
    with pytest.raises(LinkLost):
        driver.start(program)
    at.act("replug")
    assert driver.connect().condition is Condition.IDLE


@pytest.mark.parametrize("name", SERIAL)
def test_a_reset_in_the_middle_is_never_gone_over(name: str, bench: Make) -> None:
    at = bench(name, speed=60)
    driver = at.driver()
    driver.connect()
    end = ended(follow(driver.start(at.program(400)), once_beyond(20, lambda: at.act("reset"))))
    assert (end.outcome, end.cause) == ("interrupted", "reset")
    assert len(at.records("starts.jsonl")) == 1


@pytest.mark.parametrize("name", SERIAL)
def test_a_dropped_run_switches_the_machine_off(name: str, bench: Make) -> None:
    at = bench(name, speed=60)
    driver = at.driver()
    driver.connect()
    events = driver.start(at.program(400)).events()
    for event in events:
        if isinstance(event, Progress) and event.line > 20:
            break
    events.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while driver.status().condition is Condition.ATTENTION and time.monotonic() < deadline:
        time.sleep(0.1)
    assert all(target == 0 for _, target in driver.status().temperatures_c.values())


@pytest.mark.parametrize("name", SERIAL)
def test_what_is_not_the_approved_program_is_not_sent(name: str, bench: Make) -> None:
    at = bench(name)
    driver, program = at.driver(), at.program(20)
    driver.connect()
    program.path.write_bytes(program.path.read_bytes() + b"G1 X1\n")
    with pytest.raises(Refused, match="approved"):
        driver.start(program)
    for line in ("caf\u00e9", "G1 X" + "1" * 200, "M110 N1" if name == "marlin" else "$X"):
        with pytest.raises(Refused, match="line"):
            driver.start(at.program(text=f"G21\n{line}\n"))
    assert driver.recover("attempt-1-0123456789ab.gcode") is None
    assert not at.records("starts.jsonl")


@pytest.mark.parametrize("name", SERIAL)
def test_one_run_at_a_time_and_no_port_no_run(name: str, bench: Make, tmp_path: Path) -> None:
    at = bench(name)
    driver, program = at.driver(), at.program(20)
    with pytest.raises(LinkLost):
        driver.start(program)
    driver.connect()
    run = driver.start(program)
    with pytest.raises(Refused, match="already"):
        driver.start(program)
    follow(run)
    missing = open_driver({"driver": name, "link": str(tmp_path / "nowhere")})
    with pytest.raises(LinkLost, match="plugged in"):
        missing.connect()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fault", ["corrupt_every = 40", "drop_ok_every = 40"])
def test_marlin_gets_every_line_over_a_dirty_wire(fault: str, seed: int, bench: Make) -> None:
    at = bench("marlin", more=f"faults = {{ seed = {seed}, {fault} }}")
    driver, program = at.driver(), at.program(400)
    driver.connect()
    end = ended(follow(driver.start(program)))
    at.close()
    assert end.outcome == "finished", end
    own = {"M105"}
    assert [line for line in at.executed() if line not in own] == at.wanted(program)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fault", ["corrupt_every = 40", "drop_ok_every = 40"])
def test_grbl_never_calls_a_dirty_job_finished(fault: str, seed: int, bench: Make) -> None:
    at = bench("grbl", more=f"faults = {{ seed = {seed}, {fault} }}")
    driver = at.driver()
    driver.connect()
    end = ended(follow(driver.start(at.program(400))))
    assert end.outcome in ("failed", "interrupted"), end


@pytest.mark.parametrize("stopped_by", ["a limit switch", "a halt"])
def test_a_mill_behind_an_alarm_says_that_it_is_locked(stopped_by: str, bench: Make) -> None:
    """Real GRBL answers no `?` for half a second, and after a limit none until it is reset."""
    at = bench("grbl", speed=5)
    driver = at.driver()
    driver.connect()
    deed = driver.halt if stopped_by == "a halt" else lambda: at.act("jam")
    events = follow(driver.start(at.program(2000)), once_beyond(20, deed))
    assert ended(events).cause == ("alarm 3" if stopped_by == "a halt" else "alarm 1")
    status = driver.status()
    assert status.condition is Condition.FAULT
    assert "locked" in status.detail
