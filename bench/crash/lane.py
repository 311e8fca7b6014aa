"""One lab and one orchestrator of real processes, one job after another, judged by the laser.

What a process was killed at is the caller's; here it is started again and followed to the end. The
judge is what the simulated laser did; the person who is asked tells what they find at it.
"""

import contextlib
import json
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from demo.children import Child
from demo.city import LABS, MAKERS, LabSpec
from demo.inspector import Inspector
from demo.people import People
from demo.story import publish
from demo.world import Lab, Machine, World, answers, free_port

SPEED: Final = 200
PATIENCE_S: Final = 480.0
"""Longer than a person's "it never began" is held: a grant's window at a laser, and a minute."""
PLATE: Final = """<svg xmlns="http://www.w3.org/2000/svg" width="60mm" height="60mm"
viewBox="0 0 60 60"><path d="M0 0H60V60H0Z"/><circle cx="20" cy="20" r="8"/></svg>"""


class Stuck(Exception):
    """The job came to no end in time; the message says how it stands."""


@dataclass
class Told:
    """What became of one job: its attempts as told, the starts as they were."""

    attempts: list[dict[str, Any]]
    reports: list[dict[str, Any]]
    starts: list[dict[str, Any]]
    whole: int
    """Of the starts, those that took all of the program and came to its end."""
    kept: list[str]
    """The states of all reports in the agent's journal."""

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(attempt["state"] for attempt in self.attempts)

    @property
    def said(self) -> list[str]:
        return [report["state"] for report in self.reports]

    @property
    def asked(self) -> bool:
        """Whether a person was asked what became of an attempt."""
        return any(report["evidence"].get("attested") for report in self.reports)

    def faults(self) -> list[str]:
        """What is not true, by the laser's own record."""
        begun = [state for state in self.states if state in ("finished", "interrupted", "failed")]
        wrong = {
            "a start on an occupied bed": any(start["bed"] != "clear" for start in self.starts),
            "an attempt started twice": len(self.starts) > len(self.attempts),
            f"{len(self.starts)} starts, told {self.states}": len(self.starts) != len(begun),
            f"{self.whole} whole parts, told {self.states}":
                self.whole != self.states.count("finished"),
            f"made {self.whole} times": self.whole != 1,
            f"told {self.states}": self.states[-1] != "finished",
            f"told {self.said}, kept {self.kept}": self.said != self.kept,
        }  # fmt: skip
        return [what for what, is_so in wrong.items() if is_so]


class Truthful(People):
    """People who look at the machine before they say what became of its job."""

    def __init__(self, lab: Lab, lane: "Lane") -> None:
        super().__init__([lab])
        self._lane = lane

    def _press(self, lab: Lab, door: str, said: Any = None) -> None:  # noqa: ANN401
        if door.endswith("/attest"):
            said = self._lane.look()
            if said is None:
                return
        super()._press(lab, door, said)


class Prompt(Inspector):
    """An inspector who comes when something was made, and asks nobody before."""

    def __init__(self, lane: "Lane") -> None:
        super().__init__(lane.world)
        self._lane = lane

    def run(self) -> None:
        while not self._home.wait(0.1):
            if read(self._lane.store, "SELECT 1 FROM job WHERE state = 'made'"):
                with contextlib.suppress(httpx.HTTPError, OSError):
                    self._inspect_waiting()


@dataclass
class Lane:
    """A world of its own; use `lane()`."""

    folder: Path
    world: World
    lab: Lab
    release: dict[str, Any]
    program: str = ""
    """What the laser is given for a whole part, without the comments."""
    quote: dict[str, Any] = field(default_factory=dict[str, Any])
    before: int = 0
    attempts_before: int = 0

    @property
    def laser(self) -> Machine:
        return self.lab.machines[0]

    @property
    def agent(self) -> Child:
        return self.lab.agent

    @property
    def orchestrator(self) -> Child:
        return self.world.orchestrator

    def child(self, victim: str) -> Child:
        return self.agent if victim == "agent" else self.orchestrator

    @property
    def store(self) -> Path:
        return self.world.data_dir / "cosmolocal.db"

    # ── a job

    def ask(self) -> None:
        """A quote for the next job, while everybody is there."""
        self.before = len(self.laser.starts())
        [[self.attempts_before]] = read(
            self.lab.folder / "journal.db", "SELECT coalesce(max(nr), 0) FROM attempts"
        )
        self.quote = self._patiently(self._quoted, "a quote")

    def _quoted(self) -> dict[str, Any] | None:
        wish = {"design": self.release["sha256"], "quantity": 1}
        with self.world.api() as api:
            where = {"lat": MAKERS[0].lat, "lon": MAKERS[0].lon}
            said = api.post("/api/quotes", json={**wish, **where}).raise_for_status().json()
        return said if said["complete"] else None

    def place(self, patience_s: float = PATIENCE_S) -> str:
        """Order what was quoted, again until it is answered; the job's id."""
        return self._patiently(self._placed, "the order to be answered", patience_s)

    def try_to_place(self) -> None:
        """Once, if anybody listens: a maker's click that may meet a dying orchestrator."""
        with contextlib.suppress(OSError, httpx.HTTPError):
            socket.create_connection(("127.0.0.1", self.world.http_port), 1).close()
            self._placed()

    def _placed(self) -> str:
        maker = {"name": "maker"}
        with self.world.api() as api:
            door = f"/api/quotes/{self.quote['id']}/confirmation"
            agreed = api.get(door, params={"maker": "maker"}).raise_for_status().json()
            order = {"quote": self.quote["id"], "maker": maker, "agreed_sha256": agreed["sha256"]}
            placed = api.post("/api/orders", json=order).raise_for_status().json()
        return placed["jobs"][0]["id"]

    def state(self, job: str) -> str:
        """As the orchestrator's store has it; readable while nobody serves it."""
        rows = read(self.store, "SELECT state FROM job WHERE id = ?", job)
        return rows[0][0] if rows else ""

    def ordered(self) -> str:
        """How far the job of the quote has come; empty when it was not ordered."""
        rows = read(
            self.store,
            "SELECT job.state FROM job JOIN orders ON orders.id = job.order_id WHERE quote_id = ?",
            self.quote["id"],
        )
        return rows[0][0] if rows else ""

    def journaled(self) -> str:
        """The state of the job's newest attempt as the agent synced it; empty before its offer."""
        newest = "SELECT state FROM attempts WHERE nr > ? ORDER BY nr DESC LIMIT 1"
        rows = read(self.lab.folder / "journal.db", newest, self.attempts_before)
        return rows[0][0] if rows else ""

    def end(self, job: str) -> Told:
        """Wait until the job is received and the laser has noted its ends."""
        self._patiently(lambda: self.state(job) == "received", f"job {job} to be received")
        self._patiently(self._noted, "the laser to note the end of its job")
        with self.world.api() as api:
            attempts = api.get(f"/api/jobs/{job}/attempts").raise_for_status().json()
            doors = [f"/api/attempts/{one['id']}/reports" for one in attempts]
            reports = [report for door in doors for report in api.get(door).json()]
        starts = self.laser.starts()[self.before :]
        whole = sum(self.is_whole(start["start"]) for start in starts)
        return Told(attempts, reports, starts, whole, self.kept(attempts))

    def is_whole(self, start: object) -> bool:
        """Whether this start took all of the program and came to its end."""
        [end] = [end for end in self.laser.ends() if end["start"] == start]
        carried = (self.laser.record / f"job-{start}.gcode").read_text()
        return end["how"] == "complete" and self.program in carried

    def kept(self, attempts: list[dict[str, Any]]) -> list[str]:
        """What the agent's journal holds of the attempts, in its words."""
        moves = "SELECT report FROM moves WHERE attempt = ? ORDER BY seq"
        found = [
            row for each in attempts
            for (row,) in read(self.lab.folder / "journal.db", moves, each["id"])
        ]  # fmt: skip
        return [json.loads(row)["state"] for row in found]

    def _noted(self) -> bool:
        return len(self.laser.ends()) >= len(self.laser.starts())

    def look(self) -> dict[str, str] | None:
        """What a person finds at the laser; None while it still moves."""
        starts, ends = self.laser.starts(), self.laser.ends()
        if len(ends) < len(starts):
            return None
        if self.laser.tell("state")["bed"] == "clear":
            return {"outcome": "not_started", "evidence": "the bed is as I cleared it"}
        if self.is_whole(starts[-1]["start"]):
            return {"outcome": "finished", "evidence": "the part lies there, whole"}
        return {"outcome": "interrupted", "evidence": "there is an unfinished part on the bed"}

    def _patiently(self, what: Callable[[], Any], words: str, within_s: float = PATIENCE_S) -> Any:  # noqa: ANN401
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            with contextlib.suppress(httpx.HTTPError, OSError):
                if found := what():
                    return found
            time.sleep(0.1)
        raise Stuck(f"waited {within_s:.0f} s for {words}; journal: {self.journaled()}")

    def ready(self) -> bool:
        return answers(f"{self.world.url}/readyz")

    def until_ready(self) -> None:
        self._patiently(self.ready, "the orchestrator to be ready")


def read(database: Path, query: str, *given: str | int) -> list[Any]:
    with contextlib.suppress(sqlite3.Error):
        opened = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        with contextlib.closing(opened):
            return opened.execute(query, given).fetchall()
    return []


@contextmanager
def lane() -> Generator[Lane]:
    """Build a world with one laser, publish one design, make it once to know its length."""
    with tempfile.TemporaryDirectory(prefix="crash-points-") as name:
        folder, spec = Path(name), LABS[0]
        one = LabSpec(spec.slug, spec.name, spec.address, spec.lat, spec.lon, (spec.machines[1],))
        with World(folder / "world", free_port(), free_port(), SPEED) as world:
            world.start_orchestrator(PATIENCE_S)
            lab = world.add_lab(one)
            if not world.machines_answer(PATIENCE_S):
                raise Stuck("the laser does not answer")
            with _published(folder, world, lab) as ready:
                yield ready


@contextmanager
def _published(folder: Path, world: World, lab: Lab) -> Generator[Lane]:
    (folder / "plate.svg").write_text(PLATE)
    with world.api() as api:
        licence = {"licence": "CERN-OHL-W-2.0", "licensor": "crash points"}
        release = publish(api, [folder / "plate.svg"], licence)
    made = Lane(folder, world, lab, release)
    helpers: list[threading.Thread] = [Truthful(lab, made), Prompt(made)]
    for each in helpers:
        each.start()
    try:
        made.ask()
        made.end(made.place())
        made.program = _program(lab.folder)
        yield made
    finally:
        for each in helpers:
            each.go_home()  # pyright: ignore[reportAttributeAccessIssue]


def _program(folder: Path) -> str:
    """The lines of the one program that was prepared there, as a machine takes them."""
    [path] = folder.glob("programs/*/program.gcode")
    lines = (line.partition("(")[0].strip() for line in path.read_text().splitlines())
    return "".join(f"{line}\n" for line in lines if line)
