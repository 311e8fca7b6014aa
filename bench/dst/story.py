"""One schedule from its seed: a city, its bad luck, and the verdict."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.dst.city import City
from bench.dst.mischief import Mischief
from bench.dst.physical import Ledger, Machine, piece
from bench.dst.shop import Shop
from bench.dst.spared import BY_CHANCE, NOTHING, Kind, Spared, Unreadable
from bench.dst.store import Agent, Job
from bench.dst.world import Alarm, Broker, World
from fablab_agents.protocol.attempts import LIVE, NEVER_STARTED, State
from orchestrator.dispatch.model import Known
from orchestrator.orders.model import JobState

FAULTS_S: Final = 45.0
ORDERS_S: Final = 8.0
QUIET_S: Final = 20.0
SETTLES_S: Final = 9000.0
EVENTS_MAX: Final = 10_000
_ABSENT: Final = 0.4
_KINDS: Final = (2, 5)
_MARK_HOLDS_S: Final = 12 * 3600.0
_SHARP: Final = (State.STAGED, State.CLAIMED, State.STARTING, State.RUNNING)
_ENDS: Final = frozenset({JobState.MADE, JobState.ABANDONED, JobState.CANCELLED})


@dataclass
class Verdict:
    seed: int
    faults: list[str]
    starts: int
    made: int
    events: int
    told: list[str] = field(default_factory=list[str])
    drawn: dict[Kind, int] = field(default_factory=dict[Kind, int])
    """How much of each kind there was, with what was spared."""


class Story:
    def __init__(
        self, seed: int, *, faults: bool = True, told: bool = False, spared: Spared = NOTHING
    ) -> None:
        self.told, self.drawn = list[str](), dict[Kind, int]()
        self.world = World(seed, faults=faults, told=self.told if told else None, spared=spared)
        self.ledger = Ledger(self.world)
        self.broker = Broker(self.world)
        self._people = list[Alarm]()
        self._differ_s = dict[tuple[str, State, State | None], float]()
        self._swarm()
        self.city = City(self.world, self.ledger, self.broker, {})
        self.shops = [
            self._shop(f"lab{n}") for n in range(self.world.chance.choice((1, 1, 2, 2, 3)))
        ]
        self._order()
        self._leave_out_labs()
        if faults:
            self._bad_luck()
        if spared.dice:
            self.world.chance.seed(f"{seed} {spared.dice}")

    def _swarm(self) -> None:
        """Each schedule has some kinds of bad luck and not others.

        Where each has all, one kind hides what another would show: a broker that loses much keeps
        a job from ever coming to the moment that matters (Groce et al., Swarm Testing, 2012).
        """
        chance = self.world.chance
        self.world.absent = frozenset(k for k in BY_CHANCE if chance.random() < _ABSENT)

    def _shop(self, name: str) -> Shop:
        world = self.world
        machines = dict[str, tuple[Machine, str]]()
        for number in range(world.chance.randint(1, 2)):
            kind = "mill" if world.chance.random() < 0.25 else "printer"
            manner = "serial" if kind == "mill" or world.chance.random() < 0.6 else "server"
            machine = f"m{number}"
            body = Machine(world, self.ledger, machine, manner)
            body.occupied = world.chance.random() < 0.3
            machines[machine] = (body, kind)
        kinds = dict(self.city.kinds) | {f"{name}/{m}": kind for m, (_, kind) in machines.items()}
        self.city.kinds = kinds
        self.city.tables.agents[name] = Agent()
        shop = Shop(world, self.ledger, self.broker, name, machines, self.city)
        self.city.shops[name] = [shop]
        self._visits(shop)
        return shop

    def _visits(self, shop: Shop) -> None:
        """A person looks in now and then; under bad luck late, or not at all for long."""
        world = self.world
        late_s = 20.0 if world.chance.random() < 0.6 else 120.0

        def comes() -> None:
            if not world.happens(0.3, "absences"):
                shop.visit()
            person.within(world.span(3.0, 20.0 if world.calm else late_s))

        person = Alarm(world, comes)
        person.within(world.between(1.0, 12.0))
        self._people.append(person)

    def _order(self) -> None:
        kinds = sorted(set(self.city.kinds.values()))
        for number in range(self.world.chance.choice((1, 1, 2, 2, 3))):
            kind = self.world.chance.choice(kinds)
            for _ in range(2 if self.world.happens(0.3, "repeats") else 1):
                late = self.world.between(0.0, ORDERS_S)
                if not self.world.spared.has("orders", number + 1):
                    self.world.after(late, self.city.order, f"j{number}", kind)
            self.drawn["orders"] = number + 1

    def _leave_out_labs(self) -> None:
        """As if they had never enrolled."""
        self.drawn["labs"] = len(self.shops)
        out = [s for n, s in enumerate(self.shops, 1) if self.world.spared.has("labs", n)]
        if len(out) == len(self.shops):
            raise Unreadable(f"of the {len(out)} labs of seed {self.world.seed} one has to stay")
        for shop in out:
            self.shops.remove(shop)
            shop.gone, shop.alive = True, False
            del self.city.shops[shop.name], self.city.tables.agents[shop.name]
        self.city.kinds = {
            place: kind for place, kind in self.city.kinds.items()
            if place.split("/")[0] in self.city.shops
        }  # fmt: skip

    # ── bad luck

    def _bad_luck(self) -> None:
        world = self.world
        luck: list[tuple[float, Callable[[], None]]] = [
            (5, self._kill), (2, self._power), (4, self._network), (2, self._replay),
            (1, self.broker.unstick), (1, self._night),
            (2, self._unplug), (2, self._stranger), (2, self._disk), (1, self._clock),
            (1, self._file),
            (2, self.city.maker_gives_up), (1, self.city.maker_cancels),
            (1, self.city.operator_withdraws), (1, self.city.operator_stops),
            (2, self.city.operator_withdraws_amid_claim),
        ]  # fmt: skip
        luck += Mischief(world, self.city, self.broker, self.shops).luck()
        luck = world.chance.sample(luck, world.chance.randint(*_KINDS)) + self._amnesia()
        weights = [weight for weight, _ in luck]
        self.drawn["strikes"] = world.chance.randint(2, 9)
        for number in range(1, self.drawn["strikes"] + 1):
            [(_, strike)] = world.chance.choices(luck, weights)
            world.after(world.between(1.0, FAULTS_S), self._numbered, number, strike)

    def _amnesia(self) -> list[tuple[float, Callable[[], None]]]:
        """Shops forget, or the network, or nobody: where both do, only people know."""
        who = self.world.chance.random()
        if who < 0.35:
            self.city.forgets = True
            wishes = (self.city.maker_cancels, self.city.operator_withdraws)
            return [(3, self._older_store), (2, self._network), *((1, wish) for wish in wishes)]
        return [(3, self._older_journal), (2, self._cloned)] if who < 0.85 else []

    def _numbered(self, number: int, strike: Callable[[], None]) -> None:
        if not self.world.calm and not self.world.spared.has("strikes", number):
            self.world.tell(f"bad luck: strike {number}:", strike.__name__.strip("_"))
            self._strike(strike)

    def _strike(self, strike: Callable[[], None]) -> None:
        if not self.world.calm:
            strike()

    def _any_shop(self) -> Shop:
        return self.world.chance.choice(self.shops)

    def _kill(self) -> None:
        shop = self._any_shop()
        if self.world.chance.random() < 0.4:
            shop.die()
        elif shop.alive:
            shop.dies_in = self.world.chance.randint(0, 12)

    def _power(self) -> None:
        self._any_shop().die(power=True)

    def _network(self) -> None:
        self._any_shop().drop_connection()

    def _replay(self) -> None:
        self.broker.replay()

    def _night(self) -> None:
        """For hours nothing moves and nothing is said; then all goes on where it was."""
        slept_s = self.world.span(60.0, 300_000.0)
        self.world.slept_s += slept_s
        if slept_s > _MARK_HOLDS_S:
            self._beds_fill()
        self.world.tell("hours later:", self.world.at)

    def _beds_fill(self) -> None:
        """Whoever was there this morning left something on every bed."""
        for shop in self.shops:
            begun = {a.machine for a in shop.book.live() if a.state is State.STARTING}
            for body in (b for name, b in shop.bodies.items() if name not in begun):
                body.occupied = True

    def _unplug(self) -> None:
        shop = self._any_shop()
        name = self.world.chance.choice(sorted(shop.bodies))
        shop.unplug(name, self.world.span(3.0, 300.0))
        if self.world.chance.random() < 0.5:
            self.world.after(self.world.between(1.0, 100.0), self._stranger_at, shop, name)

    def _stranger(self) -> None:
        shop = self._any_shop()
        self._stranger_at(shop, self.world.chance.choice(sorted(shop.bodies)))

    def _stranger_at(self, shop: Shop, name: str) -> None:
        if shop.bodies[name].used_by_hand():
            for computer in shop.computers():
                computer.will_see_stranger(name)

    def _disk(self) -> None:
        self._any_shop().disk_fails(self.world.span(1.0, 200.0))

    def _clock(self) -> None:
        """A clock jumps, and is set right again by and by."""
        clock = self._any_shop().clock
        clock.wall_off_s += self.world.between(-1e8, 1e8)

        def set_right() -> None:
            clock.wall_off_s = 0.0

        self.world.after(self.world.span(5.0, 200.0), set_right)

    def _older_journal(self) -> None:
        """The disk is put back to how it was; sometimes the computer was off for it."""
        shop, world = self._any_shop(), self.world

        def imaged(image: dict[str, Any]) -> None:
            power = world.chance.random() < 0.6
            world.after(
                world.span(0.01, 40.0), self._strike, lambda: shop.put_back(image, power=power)
            )

        self._image(shop, imaged)

    def _cloned(self) -> None:
        """A second computer from one image: same name, same journal, no cables of its own."""
        shop, world = self._any_shop(), self.world

        def imaged(image: dict[str, Any]) -> None:
            world.after(world.span(0.01, 40.0), self._strike, lambda: self._appears(shop, image))

        if shop.double is None:
            self._image(shop, imaged)

    def _appears(self, shop: Shop, image: dict[str, Any]) -> None:
        if shop.double is None:
            shop.double = double = shop.cloned(image)
            self.city.shops[shop.name].append(double)
            self._visits(double)

    def _image(self, shop: Shop, imaged: Callable[[dict[str, Any]], None]) -> None:
        """Of now, or of a moment that lasts milliseconds and is the worst."""
        if self.world.chance.random() < 0.5:
            imaged(shop.book.image())
        else:
            shop.book.image_at(self.world.chance.choice(_SHARP), imaged)

    def _older_store(self) -> None:
        image, world, ledger = self.city.tables.image(), self.world, self.ledger
        taken_back, cancelled = set(ledger.taken_back), set(ledger.cancelled)
        closed = set(ledger.closed)

        def put_back() -> None:
            """What was wished since is forgotten with it; what was accepted is not.

            Nor can it know what a life between, in which that was not wished, had let start.
            """
            self.city.put_back(image)
            ledger.taken_back = {a: ledger.taken_back.get(a, world.at) for a in taken_back}
            ledger.cancelled &= cancelled
            ledger.closed &= closed

        world.after(world.span(1.0, 40.0), self._strike, put_back)

    def _file(self) -> None:
        self._any_shop().alter_file()

    # ── to the end

    def play(self) -> Verdict:
        world = self.world
        if not world.calm:
            self._run(FAULTS_S, "under faults", whole=True)
        world.calm = True
        for shop in self.shops:
            shop.all_is_well()
        for person in self._people:
            person.within(world.between(1.0, 10.0))
        self._until_over()
        self.broker.unstick()
        self._run(world.now_s + QUIET_S, "after all is over", whole=True)
        self._until_over()
        self._settled()
        return self.verdict()

    def _until_over(self) -> None:
        self._run(self.world.now_s + SETTLES_S, "while all is well", whole=False)

    def verdict(self) -> Verdict:
        made = sum(job.state is JobState.MADE for job in self.city.tables.jobs.values())
        starts = len(self.ledger.makes)
        return Verdict(
            self.world.seed, self.ledger.faults, starts, made, self.world.events, self.told,
            self.drawn | self.world.met,
        )  # fmt: skip

    def _run(self, until_s: float, when: str, *, whole: bool) -> None:
        """Until then, or if not the `whole` time until every job has ended."""
        world = self.world
        while world.now_s < until_s and (whole or not self._over()):
            next_s = until_s if whole else min(world.now_s + QUIET_S / 4, until_s)
            if not world.run(next_s, EVENTS_MAX):
                self.ledger.wrong(f"no end: too many events {when}")
                return
            if world.calm:
                self._agree()

    def _agree(self) -> None:
        """Where all is well the network soon knows what its labs know, and they what it offers."""
        now_s, before = self.world.now_s, {} if self.city.missing() else self._differ_s
        self._differ_s = {}
        for shop in self.shops:
            if not (shop.alive and shop.connected) or shop.name in self.ledger.retired_at:
                continue
            for differ in self._differences(shop):
                since_s = self._differ_s[differ] = before.get(differ, now_s)
                if now_s - since_s >= self._patience_s(differ[1]):
                    self.ledger.wrong("the network and a lab do not know the same for long")

    def _patience_s(self, called: State) -> float:
        """What only a hello heals takes until all is quiet; with lies before it, longer."""
        if self.broker.lied:
            return 300.0
        return 60.0 if called in {State.UNKNOWN, State.OFFERED} else 25.0

    def _differences(self, shop: Shop) -> Iterator[tuple[str, State, State | None]]:
        """An attempt, what the network calls it, and what its lab does."""
        for known in self.city.tables.attempts.values():
            if known.agent == shop.name and known.state in LIVE:
                row = shop.book.find(known.id)
                state = row.state if row else None
                if state is None and known.state is not State.OFFERED:
                    continue
                if state not in {known.state, State.CLAIMED}:
                    yield known.id, known.state, state

    def _over(self) -> bool:
        jobs = self.city.tables.jobs
        return self.world.now_s > ORDERS_S and all(
            job.state in _ENDS or self._nobody_left(job) or self._never_heard(job)
            for job in jobs.values()
        )

    def _never_heard(self, job: Job) -> bool:
        """It is in doubt, and whoever could tell was retired."""
        known = self.city.tables.attempts.get(job.attempt or "")
        if known is None or known.state is not State.UNKNOWN:
            return False
        return known.agent in self.ledger.retired_at

    def _nobody_left(self, job: Job) -> bool:
        retired = self.ledger.retired_at
        places = {
            place for place, kind in self.city.kinds.items()
            if kind == job.kind and place.split("/")[0] not in retired
        }  # fmt: skip
        return job.state is JobState.WANTED and places <= job.avoid

    def _settled(self) -> None:
        """Everything well for hours: each job came to an end, or to a person who was told."""
        for shop in self.shops:
            self._kept(shop)
        good, tables = self.ledger.good(), self.city.tables
        if self.ledger.twice():
            self.ledger.wrong("a job was made twice")
        self._told_truly()
        for job in tables.jobs.values():
            known = tables.attempts.get(tables.live.get(job.id, ""))
            if job.state is JobState.OFFERED and (known is None or known.state not in LIVE):
                self.ledger.wrong("a job is offered and has no live attempt")
            if job.state is JobState.MADE and not good[piece(job.id)]:
                self.ledger.wrong("a job is called made and no part is there")
            if job.state in _ENDS or self._nobody_left(job):
                continue
            if known is None or known.state is not State.UNKNOWN:
                self.ledger.wrong(f"a job is {job.state} for hours and nobody was told")
            elif not self._asked_for(known):
                self.ledger.wrong("a job is in doubt and nobody at its lab is asked")

    def _told_truly(self) -> None:
        """What moved a machine is not called never started, unless a person was told of that."""
        began = {make.attempt for make in self.ledger.makes}
        for known in self.city.tables.attempts.values():
            denied = known.state in NEVER_STARTED and known.agent not in self.ledger.retired_at
            if denied and known.id in began - self.city.surprising:
                self.ledger.wrong(f"what had started is {known.state} for good")

    def _asked_for(self, known: Known) -> bool:
        """Somebody at the lab is asked what became of it, or can no longer be."""
        at = self.city.shops[known.agent][0].book.find(known.id)
        return known.agent in self.ledger.retired_at or (at is not None and at.state in LIVE)

    def _kept(self, shop: Shop) -> None:
        if shop.book.missed:
            self.ledger.wrong("a message was taken for stored that was not")
        if any(each.ticket.agent != shop.name for each in shop.book.attempts.values()):
            self.ledger.wrong("a lab took an offer that was another's")


def play(
    seed: int, *, faults: bool = True, told: bool = False, spared: Spared = NOTHING
) -> Verdict:
    """Raises Unreadable if every lab is spared."""
    return Story(seed, faults=faults, told=told, spared=spared).play()


def judged(seed: int, *, told: bool = False, spared: Spared = NOTHING) -> Verdict:
    """As `play`; where the core breaks, that is wrong, too."""
    story = Story(seed, told=told, spared=spared)
    try:
        return story.play()
    except Exception as error:  # noqa: BLE001 - whatever breaks belongs to the story
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(at.filename).name}, in {at.name}"
        story.ledger.wrong(f"broke: {type(error).__name__} at {where}")
        return story.verdict()
