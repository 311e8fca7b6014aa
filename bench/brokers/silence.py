"""One direction of one connection swallows everything: who notices, when, and is all well after?"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.brokers.broker import Kind
from bench.brokers.kills import HEARTBEATS_S, Makers
from bench.brokers.lines import Lines, lined
from bench.brokers.proxy import WAYS, Way
from bench.brokers.town import Judged, Town, said, tell

NOTICED_S: Final = 30.0
_GIVE_UP_S: Final = 120.0
_JOBS: Final = 3
_STAYS_S: Final = 15.0
_SETTLED_S: Final = 5.0
AWAY: Final = {"agent": "the network is away", "orchestrator": "broker away"}
BACK: Final = {"agent": "the orchestrator answers", "orchestrator": "broker connected"}


@dataclass
class Result:
    kind: Kind
    whose: str
    way: Way
    busy: bool
    noticed_s: float
    city_s: float
    back_s: float
    judged: Judged

    @property
    def good(self) -> bool:
        seen = max(self.noticed_s, self.city_s) <= NOTICED_S
        return seen and self.back_s <= HEARTBEATS_S and not self.judged.faults

    def row(self) -> dict[str, object]:
        return {
            "broker": self.kind, "connection": self.whose, "swallowed": self.way,
            "during": "work" if self.busy else "rest",
            "its client noticed, s": round(self.noticed_s, 1),
            "the city noticed, s": round(self.city_s, 1),
            "back to work, s": round(self.back_s, 1), "jobs": self.judged.jobs,
            "lost": len(self.judged.lost), "made twice": len(self.judged.twice),
        }  # fmt: skip


def run(kind: Kind, folder: Path) -> Iterator[Result]:
    """Both directions of an agent's and of the orchestrator's connection, at work and at rest."""
    with lined(folder, kind, labs=1) as (town, lines):
        for whose in ("agent", "orchestrator"):
            for way in WAYS:
                for busy in (True, False):
                    yield _one(kind, town, lines, whose, way, busy=busy)


def _one(kind: Kind, town: Town, lines: Lines, whose: str, way: Way, *, busy: bool) -> Result:
    lab = town.world.labs[0]
    line = lines.labs[lab.agent_id] if whose == "agent" else lines.city
    log = lab.agent.log if whose == "agent" else town.world.orchestrator.log
    if busy:
        town.order(_JOBS)
    else:
        time.sleep(_SETTLED_S)
    moment = datetime.now(UTC)
    line.deaf.add(way)
    noticed_s = _after(moment, lambda: said(log, AWAY[whose], moment))
    city_s = _after(moment, lambda: _city_knows(town, whose))
    time.sleep(_STAYS_S)  # so that who tries again has come to its longest pauses
    line.deaf.clear()
    healed = datetime.now(UTC)
    back_s = _after(healed, lambda: said(log, BACK[whose], healed))
    Makers(town, len(town.ordered)).wait_until_made(len(town.ordered))
    tell(f"{kind}: {whose}, {way}: noticed after {noticed_s:.1f} s, back after {back_s:.1f} s")
    return Result(kind, whose, way, busy, noticed_s, city_s, back_s, town.judge())


def _city_knows(town: Town, whose: str) -> datetime | None:
    """Whether the city's own pages say that the lab, or its broker, is not there."""
    with town.world.api() as api:
        if whose == "orchestrator":
            gone = api.get("/readyz").status_code != 200
        else:
            name = town.world.labs[0].spec.name
            labs = api.get("/api/labs").raise_for_status().json()
            gone = next(lab for lab in labs if lab["name"] == name)["session"] != "online"
    return datetime.now(UTC) if gone else None


def _after(moment: datetime, seen: Callable[[], datetime | None]) -> float:
    end_s = time.monotonic() + _GIVE_UP_S
    while time.monotonic() < end_s:
        if at := seen():
            return max(0.0, (at - moment).total_seconds())
        time.sleep(0.1)
    return _GIVE_UP_S
