"""Floods, giants and broken packets from one lab's credentials: what do they cost the others?"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Self

from bench.brokers import attacker, wire
from bench.brokers.attacker import Target
from bench.brokers.broker import Kind, memory_mib
from bench.brokers.kills import Makers
from bench.brokers.town import Reach, Town, tell
from bench.brokers.wire import Message
from fablab_agents.protocol import topics

GROWS_MIB: Final = 100.0
_VICTIM: Final = 1
_PAUSE_S: Final = 3.0


@dataclass(frozen=True)
class Scale:
    """How hard: seconds of each flood, and how many of the rest."""

    flood_s: float = 20.0
    many: int = 10_000
    broken: int = 1_000
    idle: int = 300


@dataclass(frozen=True)
class Row:
    """`job_s` against `calm_s`: a job of another lab during the attack, and before it."""

    kind: Kind
    tried: str
    count: int
    job_s: float
    calm_s: float
    broker_mib: float
    orchestrator_mib: float
    same_broker: bool
    made: bool

    @property
    def good(self) -> bool:
        small = max(self.broker_mib, self.orchestrator_mib) <= GROWS_MIB
        return small and self.same_broker and self.made

    def row(self) -> dict[str, object]:
        return {
            "broker": self.kind, "tried": f"{self.count} {self.tried}",
            "another lab's job meanwhile, s": round(self.job_s, 1),
            "in peace, s": round(self.calm_s, 1),
            "broker grew, MiB": round(self.broker_mib, 1),
            "orchestrator grew, MiB": round(self.orchestrator_mib, 1),
            "broker died": not self.same_broker,
        }  # fmt: skip


def attacks(target: Target, seed: int, scale: Scale) -> dict[str, Callable[[], int]]:
    up, telemetry = topics.up(target.agent), topics.telemetry(target.agent)
    garbage, small = (
        Message(up, b"x" * 65_000, 0),
        Message(up, b'{"kind":"ack","boot":"b","seq":1}'),
    )
    progress = b'{"kind":"progress","boot":"b","attempt":"a","machine":"m","fraction":0,"line":1}'
    return {
        "bytes of one PUBLISH of 256 MB": lambda: attacker.giant(target, wire.PUBLISH),
        "bytes of one CONNECT of 256 MB": lambda: attacker.giant(target, wire.CONNECT),
        "bytes of one SUBSCRIBE of 256 MB": lambda: attacker.giant(target, wire.SUBSCRIBE),
        "connections of broken packets": lambda: attacker.broken(target, scale.broken, seed),
        "connections that say nothing": lambda: attacker.idle(target, scale.idle, scale.flood_s),
        "filters subscribed": lambda: attacker.filters(target, scale.many),
        "QoS 2 messages, none released": lambda: attacker.unreleased(target, scale.many),
        "messages of 65 kB": lambda: attacker.flood(target, garbage, scale.flood_s),
        "small valid messages": lambda: attacker.flood(target, small, scale.flood_s),
        "telemetry": lambda: attacker.flood(
            target, Message(telemetry, progress, 0), scale.flood_s
        ),
    }  # fmt: skip


def run(kind: Kind, folder: Path, seed: int, scale: Scale = Scale()) -> Iterator[Row]:
    with Town(folder, kind, lasers=1, reach=Reach()) as town:
        town.world.labs[0].agent.kill()
        target = Target.of(town.broker.port, town.world.labs[0].folder)
        _job_s(town)
        calm_s = _job_s(town)
        for tried in attacks(target, seed, scale):
            yield _one(kind, town, target, tried, seed, scale, calm_s)


def _one(
    kind: Kind, town: Town, target: Target, tried: str, seed: int, scale: Scale, calm_s: float
) -> Row:
    pid, begin = town.broker.pid, _memory(town)
    with Watch(town) as watch, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        attack = pool.submit(_attack, target, tried, seed, scale)
        job_s = _job_s(town)
        count = attack.result(600)
        time.sleep(_PAUSE_S)
    row = Row(
        kind, tried, count, job_s, calm_s, watch.most[0] - begin[0], watch.most[1] - begin[1],
        same_broker=town.broker.running and town.broker.pid == pid,
        made=town.made() == len(town.ordered),
    )  # fmt: skip
    tell(f"{kind}: {row.row()}")
    return row


class Watch(threading.Thread):
    """The most that broker and orchestrator held, MiB."""

    def __init__(self, town: Town) -> None:
        super().__init__(name="memory watch", daemon=True)
        self.most = (0.0, 0.0)
        self._town, self._over = town, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            now = _memory(self._town)
            self.most = max(self.most[0], now[0]), max(self.most[1], now[1])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(10)


def _attack(target: Target, tried: str, seed: int, scale: Scale) -> int:
    return attacks(target, seed, scale)[tried]()


def _job_s(town: Town) -> float:
    began_s = time.monotonic()
    town.order(1, near=_VICTIM)
    Makers(town, 0).wait_until_made(len(town.ordered))
    return time.monotonic() - began_s


def _memory(town: Town) -> tuple[float, float]:
    assert town.world.orchestrator.process is not None
    return town.broker.memory_mib(), memory_mib(town.world.orchestrator.process.pid)
