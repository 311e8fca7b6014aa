"""Simulated time and chance, and a broker that may do anything; one seed, one story."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fablab_agents.book import Moment

EPOCH = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
Deliver = Callable[..., None]
"""Takes the message; `object` here, for the broker knows no kinds."""


class World:
    """Events in the order of their time; `calm` ends all faults."""

    def __init__(self, seed: int, *, faults: bool, told: list[str] | None = None) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now_s = 0.0
        self.calm = not faults
        self.events = 0
        self._told = told
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0

    def after(self, seconds: float, do: Callable[..., None], *given: object) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now_s + seconds, self._count, do, given))

    def run(self, until_s: float, most: int) -> bool:
        """Play until then; False when that took more events than it may."""
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            self.now_s, _, do, given = heapq.heappop(heap)
            do(*given)
            self.events += 1
            if self.events > most:
                return False
        self.now_s = until_s
        return True

    def happens(self, probability: float) -> bool:
        return not self.calm and self.chance.random() < probability

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.chance.random()

    def tell(self, *words: object) -> None:
        if self._told is not None:
            self._told.append(f"{self.now_s:10.3f} " + " ".join(str(word) for word in words))

    @property
    def tells(self) -> bool:
        return self._told is not None

    @property
    def at(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now_s)


@dataclass
class Clock:
    """A computer's two clocks: the one on the wall may jump, the other begins anew at power-up."""

    world: World
    wall_off_s: float = 0.0
    powered_at_s: float = -1000.0

    def moment(self) -> Moment:
        now_s = self.world.now_s
        return Moment(EPOCH + timedelta(seconds=now_s + self.wall_off_s), now_s - self.powered_at_s)


class Broker:
    """Carries messages, or loses, delays, repeats and mixes them; it cannot sign."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: list[tuple[Deliver, object]] = []

    def carry(self, deliver: Deliver, message: object) -> None:
        world = self._world
        if world.calm:
            world.after(world.between(0.005, 0.05), deliver, message)
            return
        self._seen.append((deliver, message))
        roll = world.chance.random()
        copies = 0 if roll < 0.08 else world.chance.randint(2, 5) if roll < 0.16 else 1
        for _ in range(copies):
            world.after(self._delay_s(), deliver, message)

    def _delay_s(self) -> float:
        world, roll = self._world, self._world.chance.random()
        if roll < 0.8:
            return world.between(0.005, 0.3)
        return world.between(0.3, 20.0) if roll < 0.97 else world.between(20.0, 4000.0)

    def replay(self) -> None:
        """Old messages, all at once."""
        count = min(len(self._seen), 12)
        self._world.tell("broker: replays", count)
        for deliver, message in self._world.chance.sample(self._seen, count):
            self._world.after(self._world.between(0.0, 0.2), deliver, message)
