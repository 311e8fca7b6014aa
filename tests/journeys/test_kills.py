"""`kill -9` of agent, orchestrator and broker at every stage of a job, judged by physical starts.

The judge is what the simulated machines recorded: what started, on which bed, and how it ended.
"""

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.city import LABS, MAKERS, LabSpec
from demo.inspector import Inspector
from demo.people import People
from demo.story import Ordered, order, publish
from demo.world import Lab, Machine, World, free_port
from tests.conftest import need

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

SPEED = 100
PLATE = """<svg xmlns="http://www.w3.org/2000/svg" width="60mm" height="60mm" viewBox="0 0 60 60">
<path d="M0 0H60V60H0Z"/><circle cx="20" cy="20" r="8"/><circle cx="42" cy="40" r="5"/></svg>"""
BAR = "solid bar\n{}endsolid bar\n"

STAGES = ("accepted", "staged", "starting", "running", "half way", "finished")
VICTIMS = ("agent", "orchestrator", "broker")


@dataclass
class City:
    """One lab with a laser and a printer, its people and its inspector."""

    world: World
    lab: Lab
    releases: dict[str, dict[str, Any]]

    def machine(self, kind: str) -> Machine:
        return self.lab.machine(f"{kind}-1")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    spec = LABS[0]
    one_lab = LabSpec(spec.slug, spec.name, spec.address, spec.lat, spec.lon, spec.machines)
    with World(folder / "world", free_port(), free_port(), SPEED) as world:
        world.start_orchestrator(60)
        lab = world.add_lab(one_lab)
        assert world.machines_answer(60), "not every machine of the lab answers"
        people, inspector = People([lab]), Inspector(world)
        people.start()
        inspector.start()
        try:
            yield City(world, lab, publish_both(world, folder))
        finally:
            people.go_home()
            inspector.go_home()


def publish_both(world: World, folder: Path) -> dict[str, dict[str, Any]]:
    (folder / "plate.svg").write_text(PLATE)
    (folder / "bar.stl").write_text(BAR.format(box(16, 10, 6)))
    licence = {"licence": "CERN-OHL-W-2.0", "licensor": "journey"}
    with world.api() as api:
        return {
            "laser": publish(api, [folder / "plate.svg"], licence),
            "printer": publish(api, [folder / "bar.stl"], licence),
        }


def box(x: float, y: float, z: float) -> str:
    corners = [(a, b, c) for a in (0, x) for b in (0, y) for c in (0, z)]
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))]
    return "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*corners[i]) for i in face)
        + "endloop\nendfacet\n"
        for face in faces
    )


# ── the kill and what came of it


@dataclass
class Outcome:
    victim: str
    stage: str
    states: list[str]
    starts: list[str]
    tries: int


def kill_point(city: City, kind: str, victim: str, stage: str) -> Outcome:
    machine = city.machine(kind)
    before = len(machine.starts())
    with city.world.api() as api:
        ordered = order(api, city.releases[kind], MAKERS[0])
    wait_for_stage(city, machine, before, stage)
    kill(city.world, city.lab, victim)
    time.sleep(0.5)
    revive(city.world, city.lab, victim)
    job = wait_until_received(city, ordered)
    starts = machine.starts()[before:]
    until(lambda: ended(machine, starts), 20, "the machine to note the end of its job")
    ends = {end["start"]: end["how"] for end in machine.ends()}
    assert all(start["bed"] == "clear" for start in starts), "a start on an occupied bed"
    states = attempt_states(city, job["id"])
    assert len(starts) <= len(states), "more physical starts than attempts"
    assert states.count("finished") == 1, f"made {states.count('finished')} times"
    how = [str(ends[start["start"]]) for start in starts]
    assert how[-1] == "complete"
    return Outcome(victim, stage, states, how, len(states))


def ended(machine: Machine, starts: list[dict[str, object]]) -> bool:
    return {start["start"] for start in starts} <= {end["start"] for end in machine.ends()}


def wait_for_stage(city: City, machine: Machine, before: int, stage: str) -> None:
    def reached() -> bool:
        if stage == "half way":
            return len(machine.starts()) > before and lines_received(machine, before) > 150
        return journal_state(city.lab) in STAGES[STAGES.index(stage) :]

    until(reached, 120, f"the attempt to be {stage}", every_s=0.002)


def lines_received(machine: Machine, before: int) -> int:
    path = machine.record / f"job-{before + 1}.gcode"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def journal_state(lab: Lab) -> str | None:
    """The newest attempt's state as the agent synced it."""
    with contextlib.suppress(sqlite3.Error):
        journal = sqlite3.connect(f"file:{lab.folder}/journal.db?mode=ro", uri=True)
        with contextlib.closing(journal):
            row = journal.execute("SELECT state, attempt FROM attempts ORDER BY nr DESC").fetchone()
            if row and row[1] not in _SEEN:
                return row[0]
    return None


_SEEN: set[str] = set()


def kill(world: World, lab: Lab, victim: str) -> None:
    match victim:
        case "agent":
            lab.agent.kill()
        case "orchestrator":
            world.orchestrator.kill()
        case _:
            os.kill(broker_of(world), signal.SIGKILL)


def broker_of(world: World) -> int:
    assert world.orchestrator.process is not None
    parent = world.orchestrator.process.pid
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            status = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(status[1]) == parent and b"broker" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise AssertionError("the embedded broker is not running")


def revive(world: World, lab: Lab, victim: str) -> None:
    if victim == "agent":
        lab.agent.start()
    elif victim == "orchestrator":
        world.start_orchestrator(60)


def wait_until_received(city: City, ordered: Ordered) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def received() -> bool:
        with contextlib.suppress(Exception), city.world.api() as api:
            job = api.get(f"/api/orders/{ordered.id}").raise_for_status().json()["jobs"][0]
            found.update(job)
            return job["state"] == "received"
        return False

    until(received, 240, "the job to be received", lambda: json.dumps(found), every_s=0.2)
    return found


def attempt_states(city: City, job_id: str) -> list[str]:
    with city.world.api() as api:
        attempts = api.get(f"/api/jobs/{job_id}/attempts").raise_for_status().json()
    _SEEN.update(attempt["id"] for attempt in attempts)
    return [attempt["state"] for attempt in attempts]


def until(
    holds: Callable[[], bool],
    within_s: float,
    what: str,
    more: Callable[[], str] = str,
    every_s: float = 0.05,
) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"waited {within_s:.0f} s for {what} {more()}"
        time.sleep(every_s)


# ── the journeys


def told(outcomes: list[Outcome]) -> str:
    rows = [f"{'killed':13}{'when':11}{'attempts':40}physical starts"]
    rows += [
        f"{o.victim:13}{o.stage:11}{', '.join(o.states):40}{', '.join(o.starts)}" for o in outcomes
    ]
    return "\n".join(rows)


def test_a_laser_job_survives_every_kill(city: City, record_property: Any) -> None:
    outcomes = [kill_point(city, "laser", v, s) for v in VICTIMS for s in STAGES]
    print("\n" + told(outcomes))
    record_property("kills", told(outcomes))
    for outcome in outcomes:
        if outcome.victim != "agent":
            assert outcome.states == ["finished"], outcome
        elif outcome.stage in {"running", "half way"}:
            assert outcome.states[0] == "interrupted", outcome


def test_a_printed_job_survives_the_agent_killed_in_the_middle(city: City) -> None:
    need("prusa-slicer")
    outcomes = [kill_point(city, "printer", "agent", stage) for stage in ("staged", "half way")]
    print("\n" + told(outcomes))
    assert outcomes[1].states[0] == "interrupted"
