"""One lab's credentials in a stranger's hands: what reaches whom is read off the others' lines."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from bench.brokers.attacker import MARK, Attacker, Target
from bench.brokers.broker import Kind, until
from bench.brokers.kills import Makers
from bench.brokers.lines import Lines, lined
from bench.brokers.town import Town
from bench.brokers.wire import Message, subscribe
from demo.world import Lab
from fablab_agents.protocol import topics

_VICTIM: Final = 1
_SETTLES_S: Final = 3.0


@dataclass(frozen=True)
class Row:
    kind: Kind
    tried: str
    came_of_it: str
    good: bool

    def row(self) -> dict[str, object]:
        return {"broker": self.kind, "tried": self.tried, "came of it": self.came_of_it}


@dataclass
class Scene:
    """Lab 0's credentials are the stranger's; lab 1 and the orchestrator are the others."""

    town: Town
    lines: Lines
    target: Target

    @property
    def victim(self) -> Lab:
        return self.town.world.labs[_VICTIM]

    def make_one(self) -> None:
        self.town.order(1, near=_VICTIM)
        Makers(self.town, 0).wait_until_made(len(self.town.ordered))

    def strange(self) -> list[Message]:
        """What the others were delivered of the stranger's, but on the stranger's own topics."""
        time.sleep(_SETTLES_S)
        own = topics.agent_of
        return [
            each
            for line in (self.lines.city, self.lines.labs[self.victim.agent_id])
            for each in list(line.heard["to client"])
            if MARK in each.payload and (own(each.topic) or ("",))[0] != self.target.agent
        ]

    def connections(self) -> int:
        return sum(line.connections for line in self.lines.all)


def run(kind: Kind, folder: Path) -> Iterator[Row]:
    with lined(folder, kind) as (town, lines):
        town.world.labs[0].agent.kill()
        scene = Scene(town, lines, Target.of(town.broker.port, town.world.labs[0].folder))
        scene.make_one()
        for tried, trial in TRIALS.items():
            came_of_it, good = trial(scene)
            yield Row(kind, tried, came_of_it, good)
        scene.make_one()
        judged = town.judge()
        done = f"{judged.jobs} jobs, {judged.starts} starts, {judged.faults} faults"
        yield Row(kind, "and the others' work", done, not judged.faults)


def _reads(scene: Scene) -> tuple[str, bool]:
    root, other = topics.ROOT, scene.victim.agent_id
    wanted = [
        "#", "+/#", "/#", "+/+/+/+", f"{root}/#", f"{root}/+/down", f"{root}/+/up",
        f"{root}/+/presence", "$SYS/#", "$SYS/broker/clients/+", f"{root}/{other}/#",
        *(f"{root}/{other}/{channel}" for channel in ("down", "up", "telemetry", "presence")),
        *(f"$share/me/{each}" for each in ("#", f"{root}/{other}/down", f"{root}/+/up")),
        f"{root}/{scene.target.agent}/down/../../{other}/down",
    ]  # fmt: skip
    before = len(scene.lines.labs[other].heard["to client"]) + len(
        scene.lines.city.heard["to client"]
    )
    read: list[Message] = []
    for each in wanted:  # one connection each: a broker may end those that ask too much
        with Attacker(scene.target) as me:
            me.connect()
            me.send(subscribe(each))
            me.settle(0.5)
            read += me.heard
    with Attacker(scene.target) as me:
        me.connect()
        for each in wanted:
            me.send(subscribe(each))
        scene.make_one()
        me.settle(_SETTLES_S)
        read += me.heard
    after = len(scene.lines.labs[other].heard["to client"]) + len(
        scene.lines.city.heard["to client"]
    )
    foreign = [each for each in read if each.topic != topics.down(scene.target.agent)]
    return (
        f"{len(foreign)} of {after - before} messages read with {len(wanted)} filters",
        not foreign,
    )


def _writes(scene: Scene) -> tuple[str, bool]:
    root, other = topics.ROOT, scene.victim.agent_id
    tried = 0
    aims = [
        *(f"{root}/{other}/{channel}" for channel in ("up", "telemetry", "presence", "down")),
        f"{root}/{scene.target.agent}/down", f"{root}/{other}/up/", f"{root}//{other}/up",
        f"{root}/{scene.target.agent}/../{other}/up", f"{root}/+/down", f"{root}/#",
        f"{root}/{other}\0/up", f"/{root}/{other}/up", "$SYS/broker/version", "",
        f"{root}/orchestrator/up", f"{root}/{other.upper()}/up",
    ]  # fmt: skip
    for aim in aims:
        for qos in (0, 1, 2):
            for retain in (False, True):
                with Attacker(scene.target) as me:
                    me.connect()
                    me.send(Message(aim, MARK, qos, retain).packet(7))
                    me.send(b"\x62\x02\x00\x07")  # PUBREL, for QoS 2
                    me.settle(0.1)
                    tried += 1
    strange = scene.strange()
    return f"{len(strange)} of {tried} messages delivered to anybody", not strange


class _As(TypedDict, total=False):
    client: str
    user: str
    secret: str
    clean: bool


def _takes_over(scene: Scene) -> tuple[str, bool]:
    other, before, let_in, heard = scene.victim.agent_id, scene.connections(), 0, 0
    tries: list[_As] = [
        {"client": other}, {"client": "orchestrator"}, {"client": other, "clean": False},
        {"client": other, "user": other}, {"client": "orchestrator", "user": "orchestrator"},
        {"user": other}, {"client": other, "user": other, "secret": ""}, {"client": ""},
    ]  # fmt: skip
    for each in tries:
        with Attacker(scene.target) as me:
            let_in += me.connect(**each)
            me.send(subscribe(topics.down(other), f"{topics.ROOT}/+/up"))
            scene.town.world.machines_answer(1)
            me.settle(0.5)
            heard += len([m for m in me.heard if m.topic != topics.down(scene.target.agent)])
    time.sleep(_SETTLES_S)
    lost = scene.connections() - before
    words = f"{lost} connections of others ended, {heard} messages heard, in {len(tries)} tries"
    return f"{words}, {let_in} let in as itself", not lost and not heard


def _wills(scene: Scene) -> tuple[str, bool]:
    root, other = topics.ROOT, scene.victim.agent_id
    aims = [f"{root}/{other}/{channel}" for channel in ("presence", "up", "down", "telemetry")]
    for aim in [*aims, f"{root}/{scene.target.agent}/down", f"{root}/+/presence"]:
        for retain in (False, True):
            me = Attacker(scene.target)
            me.connect(will=Message(aim, MARK, 1, retain))
            me.die()
    strange = scene.strange()
    me = Attacker(scene.target)
    me.connect(will=Message(topics.presence(scene.target.agent), MARK, 1))
    me.die()
    city = scene.lines.city
    until(
        lambda: any(MARK in each.payload for each in city.heard["to client"]), 20,
        "the stranger's own will, which it may have",
    )  # fmt: skip
    return f"{len(strange)} of 12 delivered; its own is", not strange


def _poison(scene: Scene) -> tuple[str, bool]:
    """What is retained is told to whoever subscribes anew: so they all do."""
    other = scene.victim.agent_id
    with Attacker(scene.target) as me:
        me.connect()
        aims = [topics.down(other), topics.presence(other), topics.up(other)]
        own = [topics.down(scene.target.agent), topics.up(scene.target.agent)]
        for number, aim in enumerate([*aims, *own, topics.presence(scene.target.agent)]):
            me.send(Message(aim, MARK, 1, retain=True).packet(number + 1))
        me.settle()
    before = scene.connections()
    for line in scene.lines.all:
        line.cut()
    until(lambda: scene.connections() >= before + 2, 60, "the others to connect again")
    scene.make_one()
    retained = [each for each in scene.strange() if each.retain]
    with Attacker(scene.target) as me:
        me.connect()
        me.send(subscribe(topics.down(scene.target.agent)))
        me.settle()
        retained += [each for each in me.heard if each.retain]
    return f"{len(retained)} delivered to who subscribed anew; jobs go on", not retained


TRIALS: Final[dict[str, Callable[[Scene], tuple[str, bool]]]] = {
    "to read what is others'": _reads,
    "to write on others' topics": _writes,
    "to take another's place": _takes_over,
    "to leave a will on others' topics": _wills,
    "to retain poison": _poison,
}
