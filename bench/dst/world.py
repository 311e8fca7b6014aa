"""Simulated time and chance, and a broker that may do anything; one seed, one story."""

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.dst.spared import NOTHING, Kind, Spared
from fablab_agents.book import Moment
from fablab_agents.protocol.messages import Granted

EPOCH = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
_CALM_S: Final = 0.02
"""How long a message takes where all is well: each as long, so that they keep their order."""
Deliver = Callable[..., None]
"""Takes the message; `object` here, for the broker knows no kinds."""


class World:
    """Events in the order of their time; `calm` ends all faults."""

    def __init__(
        self,
        seed: int,
        *,
        faults: bool,
        told: list[str] | None = None,
        spared: Spared = NOTHING,
    ) -> None:
        self.seed, self.spared = seed, spared
        self.absent = frozenset[Kind]()
        """Kinds of bad luck that this schedule does not have at all."""
        self.met = Counter[Kind]()
        """How often chance meant ill, by its kind; the spared are counted, too."""
        self.chance = random.Random(seed)
        self.now_s = 0.0
        self.calm = not faults
        self.events = 0
        self.slept_s = 0.0
        """Hours in which nothing happened at all; every clock counts them."""
        self._told = told
        self._at, self._at_s = EPOCH, 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0

    def after(self, seconds: float, do: Callable[..., None], *given: object) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now_s + seconds, self._count, do, given))

    def run(self, until_s: float, most: int) -> bool:
        """Play until then; False when that took more events than it may."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until_s:
            self.now_s, _, do, given = pop(heap)
            do(*given)
            self.events += 1
            if self.events > most:
                return False
        self.now_s = until_s
        return True

    def happens(self, probability: float, kind: Kind) -> bool:
        return not self.calm and self.chance.random() < probability and self.befalls(kind)

    def befalls(self, kind: Kind) -> bool:
        """Chance means ill: the next of its kind, unless that is absent or spared."""
        if kind in self.absent:
            return False
        self.met[kind] = number = self.met[kind] + 1
        if self.spared.has(kind, number):
            return False
        self.tell("bad luck:", kind, number)
        return True

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.chance.random()

    def span(self, low: float, high: float) -> float:
        """Mostly short and now and then very long: each order of magnitude as likely."""
        return low * (high / low) ** self.chance.random()

    def tell(self, *words: object) -> None:
        if self._told is not None:
            self._told.append(f"{self.now_s:10.3f} " + " ".join(str(word) for word in words))

    @property
    def tells(self) -> bool:
        return self._told is not None

    @property
    def at(self) -> datetime:
        at_s = self.now_s + self.slept_s
        if at_s != self._at_s:
            self._at, self._at_s = EPOCH + timedelta(seconds=at_s), at_s
        return self._at


class Alarm:
    """Wakes whoever looks now and then; of all the times it is set to the soonest counts."""

    def __init__(self, world: World, look: Callable[[], None]) -> None:
        self._world, self._look = world, look
        self._at_s = math.inf

    def within(self, seconds: float) -> None:
        at_s = self._world.now_s + seconds
        if at_s < self._at_s:
            self._at_s = at_s
            self._world.after(seconds, self._ring, at_s)

    def _ring(self, at_s: float) -> None:
        if at_s == self._at_s:
            self._at_s = math.inf
            self._look()


class Clock:
    """A computer's two clocks: the one on the wall may jump, the other begins anew at power-up."""

    def __init__(self, world: World, powered_at_s: float) -> None:
        self.world = world
        self.wall_off_s, self.powered_at_s = 0.0, powered_at_s
        self._wall_s, self._moment = math.nan, Moment(EPOCH, 0.0)

    def moment(self) -> Moment:
        now_s = self.world.now_s + self.world.slept_s
        wall_s, elapsed_s = now_s + self.wall_off_s, now_s - self.powered_at_s
        if wall_s != self._wall_s or elapsed_s != self._moment.elapsed_s:
            self._wall_s = wall_s
            self._moment = Moment(EPOCH + timedelta(seconds=wall_s), elapsed_s)
        return self._moment

    def powered(self) -> None:
        self.powered_at_s = self.world.now_s + self.world.slept_s


class Broker:
    """Carries messages, or loses, delays, repeats and mixes them; it cannot sign."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: list[tuple[Deliver, object]] = []
        self._stuck: list[tuple[Deliver, object]] = []
        self._withheld: dict[Deliver, list[Granted]] = {}
        self.lied = False

    def carry(self, deliver: Deliver, message: object) -> None:
        world = self._world
        if isinstance(message, Granted) and deliver in self._withheld:
            self._withheld[deliver].append(message)
            return
        if world.calm:
            world.after(_CALM_S, deliver, message)
            return
        self._seen.append((deliver, message))
        roll = world.chance.random()
        copies = 0 if roll < 0.08 else world.chance.randint(2, 5) if roll < 0.16 else 1
        if copies != 1 and not world.befalls("copies" if copies else "losses"):
            copies = 1
        for _ in range(copies):
            self._one(deliver, message)

    def _one(self, deliver: Deliver, message: object) -> None:
        """Within a blink, or too late to be of use, or stuck for hours."""
        world, roll = self._world, self._world.chance.random()
        if roll < 0.8:
            world.after(world.between(0.005, 0.3), deliver, message)
        elif roll < 0.98:
            late_s = world.span(0.3, 200.0)
            world.after(late_s if world.befalls("delays") else 0.3, deliver, message)
        elif world.befalls("jams"):
            self._stuck.append((deliver, message))
        else:
            world.after(0.3, deliver, message)

    def sent_to(self, deliver: Deliver) -> list[Any]:
        """The last of what was said there, in the order it was said."""
        return [message for to, message in self._seen if to == deliver][-12:]

    def withhold(self, deliver: Deliver, seconds: float) -> None:
        """All grants for one lab, which come then, all at once."""
        if deliver not in self._withheld:
            self._withheld[deliver] = []
            self._world.after(seconds, self._release, deliver)

    def _release(self, deliver: Deliver) -> None:
        self._at_once([(deliver, message) for message in self._withheld.pop(deliver)])

    def replay(self) -> None:
        """Old messages, all at once."""
        self._at_once(self._world.chance.sample(self._seen, min(len(self._seen), 12)))

    def unstick(self) -> None:
        """What was stuck comes, all at once."""
        stuck, self._stuck = self._stuck, []
        self._at_once(stuck)

    def _at_once(self, messages: list[tuple[Deliver, object]]) -> None:
        self._world.tell("broker: delivers old messages:", len(messages))
        for deliver, message in messages:
            self._world.after(self._world.between(0.0, 0.2), deliver, message)
