"""Ten thousand old messages at once, six hours later: nothing starts, and then work goes on.

Everything was said before by these very processes and passes through the real broker again, both
ways. When it comes, each machine is willing: idle, its bed clear, its person pressing start, its
agent asking for leave again and again. Only fresh grants are kept back, so that any start would be
an old message's doing; when they are let through, the machines do start.
"""

import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.brokers.broker import Kind, until
from bench.brokers.kills import Makers
from bench.brokers.lines import Lines, lined
from bench.brokers.proxy import Proxy, Way
from bench.brokers.town import Judged, tell
from bench.brokers.wire import Message
from fablab_agents.reconciler import CLAIM_LIFE_S

HOURS: Final = 6
_SETTLES_S: Final = 240.0
Said = tuple[Proxy, list[Message]]


@dataclass
class Result:
    """`starts`: while old messages came in; `later`: when fresh grants were let through again."""

    kind: Kind
    released: Counter[str]
    delivered: int
    took_s: float
    starts: int
    later: int
    back_s: float
    judged: Judged

    @property
    def good(self) -> bool:
        return not self.starts and self.later > 0 and not self.judged.faults

    def row(self) -> dict[str, object]:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.released.items()))
        return {
            "broker": self.kind, "released": f"{self.released.total()} ({kinds})",
            "delivered": self.delivered, "within s": round(self.took_s, 1),
            "starts": self.starts, "starts with fresh grants": self.later,
            "all made after s": round(self.back_s, 1), "jobs": self.judged.jobs,
            "lost": len(self.judged.lost), "made twice": len(self.judged.twice),
        }  # fmt: skip


def run(
    kind: Kind,
    folder: Path,
    *,
    messages: int,
    seed: int,
    jobs: int = 10,
    lasers: int = 2,
    quiet_s: float = CLAIM_LIFE_S,
) -> Result:
    chance = random.Random(seed)
    with lined(folder, kind, lasers=lasers) as (town, lines):
        for _ in lines.labs:
            town.order(jobs // len(lines.labs))
        Makers(town, jobs).wait_until_made(jobs)
        _let_pass(lines, frozenset(_granted(lines)))
        for lab in town.world.labs:
            town.order(len(lab.machines))
        until(lambda: _held_back(lines) == len(lines.labs), 120, "a grant held back at each lab")
        old = Recording(lines)
        lines.forward(HOURS * 3600.0)
        town.world.labs[1].agent.kill()  # of two labs one keeps its boot
        town.world.labs[1].agent.start()
        tell(f"{kind}: it is {HOURS} hours later, {len(old.granted)} grants are old")
        until(lambda: old.asked_since(lines), 120, "every lab's agent to ask again")
        starts = town.starts()
        _let_pass(lines, old.granted)
        released, delivered, took_s = _release(lines, old, messages, chance)
        time.sleep(quiet_s)
        more = town.starts() - starts
        began_s = time.monotonic()
        _let_pass(lines, None)
        Makers(town, 0).wait_until_made(len(town.ordered))
        back_s = time.monotonic() - began_s
        later = town.starts() - starts - more
        return Result(kind, released, delivered, took_s, more, later, back_s, town.judge())


class Recording:
    """What was said so far: by the orchestrator, and by each lab's agent."""

    def __init__(self, lines: Lines) -> None:
        self.down = list(lines.city.heard["to broker"])
        self.up = {agent: list(line.heard["to broker"]) for agent, line in lines.labs.items()}
        self.granted = frozenset(_granted(lines))
        self._asked = {agent: _asks(line) for agent, line in lines.labs.items()}

    def asked_since(self, lines: Lines) -> bool:
        """Whether every lab's agent has asked for leave again."""
        return all(_asks(line) > self._asked[agent] for agent, line in lines.labs.items())

    def drawn(self, lines: Lines, count: int, chance: random.Random) -> list[Said]:
        """Half of it down in the orchestrator's name, half of it up in the agents' names."""
        share = count // 2 // len(self.up)
        down: Said = (lines.city, chance.choices(self.down, k=count - share * len(self.up)))
        return [down, *((lines.labs[a], chance.choices(up, k=share)) for a, up in self.up.items())]


def kind_of(message: Message) -> str:
    said = json.loads(message.payload) if message.payload else {}
    return str(said.get("kind", "nothing"))


def _granted(lines: Lines) -> set[bytes]:
    heard = [each for line in lines.labs.values() for each in line.heard["to client"]]
    return {each.payload for each in heard if kind_of(each) == "grant"}


def _asks(line: Proxy) -> int:
    return sum(kind_of(each) == "claim" for each in list(line.heard["to broker"]))


def _let_pass(lines: Lines, granted: frozenset[bytes] | None) -> None:
    """Of all grants only these reach the agents from now on; None: every one."""

    def withheld(way: Way, message: Message) -> bool:
        fresh = granted is not None and message.payload not in granted
        return fresh and way == "to client" and kind_of(message) == "grant"

    for line in lines.labs.values():
        line.withheld.clear()
        line.withhold = withheld


def _held_back(lines: Lines) -> int:
    return sum(bool(line.withheld) for line in lines.labs.values())


def _release(
    lines: Lines, old: Recording, count: int, chance: random.Random
) -> tuple[Counter[str], int, float]:
    """What was released, how much of it was delivered, and in how many seconds."""
    drawn = old.drawn(lines, count, chance)
    known = {each.payload for _, messages in drawn for each in messages}
    before, began_s = _delivered(lines, known), time.monotonic()
    for line, messages in drawn:
        line.say(messages)
    until(lambda: not any(line.owed for line, _ in drawn), _SETTLES_S, "the broker to take it", 0.2)
    while (seen := _delivered(lines, known)) < before + count and _still(lines, known, seen):
        continue
    released = Counter(kind_of(each) for _, messages in drawn for each in messages)
    return released, _delivered(lines, known) - before, time.monotonic() - began_s


def _still(lines: Lines, known: set[bytes], seen: int) -> bool:
    """Whether more comes within a few seconds."""
    time.sleep(5)
    return _delivered(lines, known) > seen


def _delivered(lines: Lines, known: set[bytes]) -> int:
    return sum(each.payload in known for line in lines.all for each in line.heard["to client"])
