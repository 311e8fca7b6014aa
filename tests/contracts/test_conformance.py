"""One contract, every driver of the registry, each against its stand-in; found by itself.

A case that a driver is let off is written down in its quality.toml, with the reason.
`./run bench conformance` prints driver × case.
"""

import json
import os
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.driver import (
    Condition,
    Ended,
    Event,
    Paused,
    Progress,
    Resumed,
    Started,
)
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, Refused
from firmware_bridge.registry import DRIVERS, outlives
from firmware_bridge.serving.http import Http, Reply
from tests.contracts.stand_ins import QUICK, ROOT, STAND_INS, StandIn
from tests.runs import end, kinds, once, until

Make = Callable[..., StandIn]
# The real OctoPrint takes its time for each: the tests play these, `./run bench conformance` all.
SAMPLE = {
    "test_complete_byte_exact",
    "test_stopped_before_it_began",
    "test_unplugged_in_the_middle",
    "test_the_agent_is_killed",
}
ALL = os.environ.get("COSMOLOCAL_CONFORMANCE") == "all"
MACHINES = [
    pytest.param(name, marks=pytest.mark.xdist_group(f"conformance-{name}"))
    for name in sorted(DRIVERS)
]
every_driver = pytest.mark.parametrize("name", MACHINES)
pytestmark = pytest.mark.timeout(120)


def let_off(name: str, *rules: str) -> None:
    """Skip with the reason that the driver's quality.toml gives for one of these rules."""
    path = ROOT / "firmware_bridge" / "drivers" / name / "quality.toml"
    told = tomllib.loads(path.read_text())["rules"]
    for rule in rules:
        why = told.get(rule, {}).get("exempt")
        if why:
            pytest.skip(f"exempt: {why}")


@pytest.fixture
def stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Make]:
    send = Http._send

    def soon(http: Http, *given: Any, seconds: float, **more: Any) -> Reply:
        """A server that is silent is given up sooner than in a shop."""
        return send(http, *given, seconds=min(seconds, 2.5), **more)

    monkeypatch.setattr(Http, "_send", soon)
    monkeypatch.setattr("firmware_bridge.serving.push.OPEN_S", 1.0)
    made: list[StandIn] = []

    def make(name: str, speed: float = 20) -> StandIn:
        if name == "octoprint" and not ALL and request.node.originalname not in SAMPLE:
            pytest.skip("the whole contract with the real OctoPrint: ./run bench conformance")
        folder = tmp_path / f"bench-{len(made)}"
        folder.mkdir()
        made.append(STAND_INS[name](folder, speed))
        return made[-1]

    yield make
    for each in made:
        each.close()


def is_a(kind: type) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, kind)


def test_every_driver_has_a_stand_in() -> None:
    assert set(STAND_INS) == set(DRIVERS)


@every_driver
def test_complete_byte_exact(name: str, stand_in: Make) -> None:
    at = stand_in(name, speed=0)
    driver, program = at.driver(), at.program(300)
    assert driver.connect().condition is Condition.IDLE
    run = driver.start(program)
    assert at.starts() == 0  # nothing moves before the events are asked for
    events = at.follow(run)
    assert kinds(events) == [Started, Ended]
    assert (end(events).outcome, end(events).last_line) == ("finished", program.lines)
    assert driver.status().condition is Condition.IDLE
    assert at.exact(program)
    assert at.starts() == 1


@every_driver
def test_approved_bytes_only(name: str, stand_in: Make) -> None:
    at = stand_in(name)
    driver, program = at.driver(), at.program(20)
    driver.connect()
    program.path.write_bytes(program.path.read_bytes() + b"G1 X1\n")
    with pytest.raises(Refused, match="approved"):
        driver.start(program)
    assert at.starts() == 0


@every_driver
def test_a_name_for_no_file(name: str, stand_in: Make) -> None:
    at = stand_in(name, speed=0)
    driver, program = at.driver(), at.program(20)
    driver.connect()
    for attempt in ("../up", "", "-rf", "a/b", "größe", "two\nlines", "a" * 101):
        with pytest.raises(Refused, match="names no file"):
            driver.start(replace(program, attempt=attempt))
    assert at.starts() == 0
    assert driver.status().condition is Condition.IDLE


@every_driver
def test_stopped_before_it_began(name: str, stand_in: Make) -> None:
    at = stand_in(name, speed=0)
    driver, program = at.driver(), at.program(20)
    driver.connect()
    run = driver.start(program)
    run.stop("the journal is full")
    events = at.follow(run)
    assert kinds(events) == [Ended]
    assert (end(events).outcome, end(events).detail) == ("not started", "the journal is full")
    assert at.starts() == 0
    again = at.follow(driver.start(program))
    assert end(again).outcome == "finished"


@every_driver
def test_pause_and_resume(name: str, stand_in: Make) -> None:
    let_off(name, "pause_and_resume")
    at = stand_in(name, speed=20)
    driver, program = at.driver(), at.program(300)
    driver.connect()
    run = driver.start(program)
    pause = once(at.amid, run.pause)

    def act(event: Event) -> None:
        pause(event)
        if isinstance(event, Paused):
            assert driver.status().condition is Condition.PAUSED
            threading.Timer(0.5, run.resume).start()

    events = at.follow(run, act)
    assert kinds(events) == [Started, Paused, Resumed, Ended]
    assert end(events).outcome == "finished"
    assert at.exact(program)


@every_driver
def test_stop(name: str, stand_in: Make) -> None:
    at = stand_in(name, speed=20)
    driver = at.driver()
    driver.connect()
    run = driver.start(at.program(2000))
    over = end(at.follow(run, once(at.amid, lambda: run.stop("the maker cancelled"))))
    assert (over.outcome, over.cause) == ("interrupted", "stopped")
    assert "the maker cancelled" in over.detail
    until(lambda: all(goal == 0 for _, goal in driver.status().temperatures_c.values()))


@every_driver
def test_halt(name: str, stand_in: Make) -> None:
    let_off(name, "halt")
    at = stand_in(name, speed=20)
    driver = at.driver()
    driver.connect()
    over = end(at.follow(driver.start(at.program(2000)), once(at.amid, driver.halt)))
    assert over.outcome in ("failed", "interrupted")


@every_driver
def test_unplugged_before_the_start(name: str, stand_in: Make) -> None:
    at = stand_in(name)
    driver, program = at.driver(), at.program(20)
    driver.connect()
    run = driver.start(program)
    at.unplug()
    events = at.follow(run)
    over = end(events)
    assert over.outcome in ("not started", "interrupted", "unknown")
    assert Started not in kinds(events)
    with pytest.raises(BridgeError):
        driver.start(program)
    assert driver.status().condition in (Condition.OFFLINE, Condition.FAULT)
    at.replug()
    assert at.starts() == 0


def unplugged(at: StandIn, when: Callable[[Event], bool], length: int = 2000) -> Ended:
    """A job that loses its machine at some moment; whatever is said of it must be so."""
    driver, program = at.driver(), at.program(length)
    driver.connect()
    run = driver.start(program)
    paused = once(at.amid, run.pause) if when is is_paused else (lambda _: None)
    pull = once(when, at.unplug)

    def act(event: Event) -> None:
        paused(event)
        pull(event)

    over = end(at.follow(run, act))
    at.replug()
    assert over.outcome in ("interrupted", "unknown") or at.exact(program), over
    assert at.starts() <= 1
    return over


def is_paused(event: Event) -> bool:
    return isinstance(event, Paused)


def lost(at: StandIn, over: Ended) -> bool:
    expected = "finished" if at.survives_unplugging else ("interrupted", "unknown")
    return over.outcome in expected


@every_driver
def test_unplugged_at_the_first_line(name: str, stand_in: Make) -> None:
    at = stand_in(name)
    over = unplugged(at, is_a(Started))
    assert lost(at, over), over


@every_driver
def test_unplugged_in_the_middle(name: str, stand_in: Make) -> None:
    at = stand_in(name)
    over = unplugged(at, at.amid)
    assert lost(at, over), over


@every_driver
def test_unplugged_while_paused(name: str, stand_in: Make) -> None:
    let_off(name, "pause_and_resume")
    at = stand_in(name)
    over = unplugged(at, is_paused)
    assert lost(at, over), over


@every_driver
def test_unplugged_at_the_end(name: str, stand_in: Make) -> None:
    """Whether the end was still seen is chance; to call it finished it must be."""
    at = stand_in(name)
    near = once(is_a(Progress), lambda: None)

    def last(event: Event) -> bool:
        near(event)
        return isinstance(event, Progress) and event.fraction >= 0.97

    over = unplugged(at, last, length=150)
    assert over.outcome in ("finished", "interrupted", "unknown")


@every_driver
def test_the_agent_is_killed(name: str, stand_in: Make) -> None:
    at = stand_in(name, speed=20)
    program = at.program(200)
    entry = {"timeouts": QUICK, **at.entry()}
    told = {**asdict(program), "path": str(program.path)}
    command = [sys.executable, "-m", "tests.contracts.host", json.dumps(entry), json.dumps(told)]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert host.stdout is not None
    heard = [row.strip() for row in iter(host.stdout.readline, "Started\n")]
    assert "Ended" not in heard
    time.sleep(0.3)
    host.kill()
    host.wait()
    host.stdout.close()
    driver = at.driver()
    connected(driver)
    run = driver.recover(program.remote_name)
    if outlives(name):
        assert run is not None
        assert end(at.follow(run)).outcome == "finished"
    else:
        assert run is None  # its lines lived in the process that died
    assert at.starts() <= 1


def connected(driver: object) -> None:
    """A board that lost its host may need a moment, or a person: both are said."""
    deadline = time.monotonic() + 20
    while True:
        try:
            driver.connect()  # type: ignore[attr-defined]
        except (LinkLost, NeedsPerson):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


@every_driver
def test_hostile_replies(name: str, stand_in: Make) -> None:
    at = stand_in(name, speed=5)
    for lie, deed in at.lies():
        began = time.monotonic()
        try:
            over = deed()
        except BridgeError as error:
            said = str(error)
        else:
            assert over is not None
            assert over.outcome in ("failed", "interrupted", "unknown"), (lie, over)
            said = over.detail
        assert "lost patience" not in said, lie
        assert "\x1b" not in said, lie
        assert time.monotonic() - began < 25, lie


@every_driver
def test_the_wrong_machine(name: str, stand_in: Make) -> None:
    let_off(name, "wrong_machine")
    at = stand_in(name)
    other = at.driver(at.wrong())
    with pytest.raises(BridgeError):
        other.connect()
    with pytest.raises(BridgeError):
        other.start(at.program(20))
    assert at.starts() == 0


@every_driver
def test_two_hosts(name: str, stand_in: Make) -> None:
    let_off(name, "exclusive_port")
    at = stand_in(name)
    first, second = at.driver(), at.driver()
    first.connect()
    with pytest.raises(Refused, match="in use"):
        second.connect()
    assert first.status().condition is Condition.IDLE
    first.close()
    assert second.connect().condition is Condition.IDLE


@every_driver
def test_foreign_activity(name: str, stand_in: Make) -> None:
    let_off(name, "foreign_activity")
    at = stand_in(name, speed=5)
    driver = at.driver()
    driver.connect()
    at.foreign()
    until(lambda: driver.status().condition is Condition.ATTENTION)
    with pytest.raises(NeedsPerson):
        driver.start(at.program(20))
    assert driver.status().condition is Condition.ATTENTION
