"""What agents said and nobody has read yet: in order for each, in turn among them, and bounded.

An agent that says more than can be read loses its own oldest words and no other's: reports come
again until they are acknowledged, and of everything else a newer word replaces an older one.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

WAITING_MAX: Final = 1000
WAITING_MAX_BYTES: Final = 1 << 20
SHARE: Final = 20


@dataclass(frozen=True)
class Heard:
    """A message off the broker, already known to be on an agent's own topic."""

    agent: str
    channel: str
    raw: bytes


@dataclass
class _Words:
    waiting: deque[Heard] = field(default_factory=deque[Heard])
    size: int = 0

    def put(self, heard: Heard) -> int:
        """How many older words it pushed out."""
        self.waiting.append(heard)
        self.size += len(heard.raw)
        lost = 0
        while len(self.waiting) > WAITING_MAX or self.size > WAITING_MAX_BYTES:
            self.pop()
            lost += 1
        return lost

    def pop(self) -> Heard:
        heard = self.waiting.popleft()
        self.size -= len(heard.raw)
        return heard


class Inbox:
    """Filled as fast as words come, emptied as fast as they can be kept."""

    def __init__(self) -> None:
        self._agents: dict[str, _Words] = {}
        self._some = asyncio.Event()

    def put(self, heard: Heard) -> int:
        """Keep it until it is taken; how many older words of the same agent were lost to it."""
        self._some.set()
        return self._agents.setdefault(heard.agent, _Words()).put(heard)

    async def take(self, most: int) -> list[Heard]:
        """Up to `most` messages, of no agent more than its share; waits for the first."""
        await self._some.wait()
        taken: list[Heard] = []
        for agent in list(self._agents):
            if len(taken) == most:
                break
            words = self._agents.pop(agent)
            share = min(SHARE, most - len(taken), len(words.waiting))
            taken += [words.pop() for _ in range(share)]
            if words.waiting:
                self._agents[agent] = words  # behind all others
        if not self._agents:
            self._some.clear()
        return taken

    @property
    def crowded(self) -> bool:
        """Whether somebody's words still wait after everybody had a turn."""
        return bool(self._agents)
