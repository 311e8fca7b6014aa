"""A broker killed and started again amid work: nothing is lost or made twice, work goes on soon."""

import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench.brokers.broker import Kind
from bench.brokers.town import Judged, Town, tell
from demo.story import Refused
from fablab_agents.uplink import KEEPALIVE_S

HEARTBEATS_S: Final = 2.0 * KEEPALIVE_S
_BATCH: Final = 5
_OPEN: Final = 6
_AHEAD: Final = 4
_BREATH_S: Final = 2.0
_GIVE_UP_S: Final = 90.0
_LOST_AFTER_S: Final = 240.0


@dataclass
class Result:
    """`back_s`: from each kill until orchestrator and agents all work again, measured."""

    kind: Kind
    judged: Judged
    back_s: list[float] = field(default_factory=list[float])

    @property
    def good(self) -> bool:
        return not self.judged.faults and max(self.back_s, default=0) <= HEARTBEATS_S

    def row(self) -> dict[str, object]:
        told = self.judged
        return {
            "broker": self.kind, "kills": len(self.back_s), "jobs": told.jobs,
            "physical starts": told.starts, "lost": len(told.lost),
            "made twice": len(told.twice), "starts on occupied beds": told.on_occupied,
            "back to work, median s": round(median(self.back_s), 2) if self.back_s else None,
            "max s": round(max(self.back_s, default=0), 2), "two heartbeats, s": HEARTBEATS_S,
        }  # fmt: skip


def run(kind: Kind, folder: Path, *, kills: int, jobs: int, seed: int) -> Result:
    with Town(folder, kind) as town:
        return in_town(town, kills=kills, jobs=jobs, seed=seed)


def in_town(town: Town, *, kills: int, jobs: int, seed: int) -> Result:
    """Kills and jobs in step; each kill at a random moment after the town is back from the last."""
    chance, makers = random.Random(seed), Makers(town, jobs)
    makers.start()
    back_s: list[float] = []
    for number in range(kills):
        makers.wait_until_made(number * jobs // kills - _AHEAD)
        time.sleep(chance.uniform(0, _BREATH_S))
        back_s.append(killed(town))
        tell(f"{town.kind}: {number + 1} of {kills} kills, back after {back_s[-1]:.1f} s")
    makers.wait_until_made(jobs)
    return Result(town.kind, town.judge(), back_s)


def killed(town: Town) -> float:
    """Kill the broker and let it come back; seconds until everybody is at work again."""
    moment = datetime.now(UTC)
    town.broker.kill()
    town.broker.revive()
    end_s = time.monotonic() + _GIVE_UP_S
    while time.monotonic() < end_s:
        if at := town.at_work_since(moment):
            return (at - moment).total_seconds()
        time.sleep(0.1)
    return _GIVE_UP_S


class Makers(threading.Thread):
    """They order a few plates more whenever few are left to be made."""

    def __init__(self, town: Town, jobs: int) -> None:
        super().__init__(name="makers", daemon=True)
        self._town, self._jobs = town, jobs
        self._made, self._moved_s = 0, time.monotonic()

    def run(self) -> None:
        while (first := len(self._town.ordered)) < self._jobs:
            if first - self._town.made() > _OPEN:
                time.sleep(0.5)
                continue
            try:
                self._town.order(min(self._jobs - first, _BATCH))
            except Refused as no:  # a reader was too slow on a busy computer
                tell(f"{no}; ordering again")

    def wait_until_made(self, jobs: int) -> None:
        """Or until nothing has been made for so long that what is open counts as lost."""
        while (made := self._town.made()) < jobs:
            if made > self._made:
                self._made, self._moved_s = made, time.monotonic()
            if time.monotonic() - self._moved_s > _LOST_AFTER_S:
                return
            time.sleep(0.5)
