"""A small town of real processes around one broker, and the judge of what its lasers made.

Every plate has a width of its own, so the bytes that a machine carried out say which job it was:
the judge asks neither an agent nor the orchestrator.
"""

import contextlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from bench.brokers.broker import Alone, Broker, Kind, Within, until
from demo.city import LabSpec, Person, laser
from demo.people import People
from demo.story import order, publish
from demo.world import Lab, Machine, World, free_port

SPEED: Final = 20.0
_LICENCE: Final = {"licence": "CERN-OHL-W-2.0", "licensor": "proof"}
_LAT, _LON = 41.39, 2.19
_KERF_MM: Final = 0.15
_FIRST_MM, _STEP_MM = 20.0, 0.5
_CUT = re.compile(r"^G1.*X(-?[\d.]+)", re.MULTILINE)


def tell(words: str) -> None:
    """One line of progress, apart from the results."""
    print(words, file=sys.stderr, flush=True)


def width_mm(plate: int) -> float:
    return _FIRST_MM + _STEP_MM * plate


def drawing(plate: int) -> str:
    width = width_mm(plate)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="12mm"'
        f' viewBox="0 0 {width} 12"><path d="M0 0H{width}V12H0Z"/></svg>'
    )


def plate_of(program: str) -> int | None:
    """Which plate these bytes cut, by its width; None for bytes that cut no plate of ours."""
    xs = [float(x) for x in _CUT.findall(program)]
    if not xs:
        return None
    plate = (max(xs) - min(xs) - _KERF_MM - _FIRST_MM) / _STEP_MM
    return round(plate) if abs(plate - round(plate)) < 0.1 else None


@dataclass
class Judged:
    """What the machines physically did with `jobs` plates."""

    jobs: int
    starts: int = 0
    lost: list[int] = field(default_factory=list[int])
    twice: list[int] = field(default_factory=list[int])
    on_occupied: int = 0
    strange: int = 0
    """Starts that cut no plate which was ordered."""

    @property
    def faults(self) -> int:
        return len(self.lost) + len(self.twice) + self.on_occupied + self.strange


@dataclass(frozen=True)
class Reach:
    """Where the broker listens, where the orchestrator connects instead, and who leads agents."""

    broker_port: int = 0
    orchestrator_port: int = 0
    enrolled: Callable[[Lab], None] = lambda _: None


class Town:
    """Use as a context manager: nothing of it survives the exit."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        *,
        labs: int = 2,
        lasers: int = 2,
        reach: Reach | None = None,
    ) -> None:
        """With `reach` the embedded broker, too, runs beside the orchestrator."""
        self.folder, self.kind = folder, kind
        beside = reach is not None or kind == "mosquitto"
        reach = reach or Reach()
        self._labs, self._lasers, self._tell = labs, lasers, reach.enrolled
        mqtt_port = reach.broker_port or free_port()
        self.world = World(
            folder,
            free_port(),
            reach.orchestrator_port or mqtt_port,
            SPEED,
            serve_with=("--broker", "external") if beside else (),
            enrolled=self._enrolled,
        )
        data_dir = self.world.data_dir
        self.broker: Broker = (
            Alone(kind, folder, data_dir, mqtt_port) if beside else Within(self.world)
        )
        self.ordered: dict[int, str] = {}
        self._orders = 0
        self.people = People(self.world.labs)

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def _build(self) -> None:
        self.world.orchestrator.start()
        self.broker.start()
        self.world.start_orchestrator(120)
        for number in range(self._labs):
            self.world.add_lab(self._lab(number))
        self.people.start()
        until(lambda: self.world.machines_answer(5), 120, "every laser to answer")

    def _lab(self, number: int) -> LabSpec:
        lasers = tuple(laser(each + 1, 1500) for each in range(self._lasers))
        return LabSpec(
            f"lab-{number}", f"Lab {number}", "Barcelona", _LAT + number / 10, _LON, lasers
        )

    def _enrolled(self, lab: Lab) -> None:
        self.broker.admit()
        self._tell(lab)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.people.is_alive():
            self.people.go_home()
        self.world.stop()
        self.broker.stop()

    # ── orders

    def order(self, count: int, near: int | None = None) -> None:
        """Publish so many more plates as one design and order it, near one lab or each in turn."""
        plates = range(len(self.ordered), len(self.ordered) + count)
        number = self._orders % self._labs if near is None else near
        maker = Person(f"Maker {number}", f"at lab {number}", _LAT + number / 10, _LON)
        self._orders += 1
        files: list[Path] = []
        for plate in plates:
            files.append(self.folder / f"plate-{plate}.svg")
            files[-1].write_text(drawing(plate))
        with self.world.api() as api:
            release = publish(api, files, dict(_LICENCE))
            placed = order(api, release, maker)
        self.ordered |= dict.fromkeys(plates, placed.id)

    def states(self) -> Counter[str]:
        """How many of all ordered jobs are in which state, as the orchestrator has it."""
        counted: Counter[str] = Counter()
        with self.world.api() as api:
            for each in dict.fromkeys(self.ordered.values()):
                jobs = api.get(f"/api/orders/{each}").raise_for_status().json()["jobs"]
                counted.update(str(job["state"]) for job in jobs)
        return counted

    def made(self) -> int:
        """As the orchestrator believes; nobody inspects here."""
        return self.states()["made"]

    # ── the judge

    @property
    def machines(self) -> list[Machine]:
        return [machine for lab in self.world.labs for machine in lab.machines]

    def starts(self) -> int:
        return sum(len(machine.starts()) for machine in self.machines)

    def judge(self) -> Judged:
        """Held against every start that the machines recorded, once they have stood still."""
        until(self._all_ended, 60, "the machines to note the ends of their jobs")
        told = Judged(len(self.ordered))
        made: Counter[int] = Counter()
        for machine in self.machines:
            whole = {end["start"] for end in machine.ends() if end["how"] == "complete"}
            for start in machine.starts():
                program = (machine.record / f"job-{start['start']}.gcode").read_text()
                plate = plate_of(program)
                told.starts += 1
                told.on_occupied += start["bed"] != "clear"
                told.strange += plate not in self.ordered
                if plate is not None and start["start"] in whole:
                    made[plate] += 1
        told.lost = [plate for plate in self.ordered if not made[plate]]
        told.twice = [plate for plate in self.ordered if made[plate] > 1]
        return told

    def _all_ended(self) -> bool:
        return all(
            {start["start"] for start in machine.starts()}
            <= {end["start"] for end in machine.ends()}
            for machine in self.machines
        )

    # ── who is at work

    def at_work_since(self, moment: datetime) -> datetime | None:
        """When, after `moment`, the last of orchestrator and agents was heard again; or not yet."""
        times = [said(self.world.orchestrator.log, "broker connected", moment)]
        times += [
            said(lab.agent.log, "the orchestrator answers", moment) for lab in self.world.labs
        ]
        heard = [time for time in times if time is not None]
        return max(heard) if len(heard) == len(times) else None


def said(log: Path, words: str, after: datetime) -> datetime | None:
    """The first time after `after` that a log says so."""
    for line in _tail(log):
        if words in line and (at := _time_of(line)) is not None and at > after:
            return at
    return None


def _tail(log: Path, most: int = 200_000) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - most))
        return file.read().decode(errors="replace").splitlines()


def _time_of(line: str) -> datetime | None:
    """An agent's log is JSON, the orchestrator's is logfmt."""
    with contextlib.suppress(ValueError, KeyError):
        if line.startswith("{"):
            return datetime.fromisoformat(json.loads(line)["timestamp"])
        return datetime.fromisoformat(line.partition("timestamp=")[2].split()[0])
    return None
