"""One lab: its computer with journal and agent process, its machines, and the person there.

Decisions are the agent's own: reconciler, book, claims and session. What stands here is what the
runner does around them, one effect at a time, so that the process may die between any two.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import BaseModel

from bench.dst.memory import MemoryBook
from bench.dst.physical import Ledger, Machine, Make, Watcher, piece
from bench.dst.world import Alarm, Broker, Clock, World
from fablab_agents import book, reconciler
from fablab_agents.book import UNSTARTED, Attempt, Mark, NotReady
from fablab_agents.claims import Claims
from fablab_agents.config import Machine as Entry
from fablab_agents.config import Policy
from fablab_agents.journal import JournalBroken
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import Actor, IllegalMove, State
from fablab_agents.protocol.messages import Bed, Condition, ProgramFacts
from fablab_agents.protocol.tickets import Grant
from fablab_agents.reconciler import Desk, View
from fablab_agents.session import NoAnswer, Session, Who

_BECOMES: Final[Mapping[type, State]] = {
    reconciler.Accept: State.ACCEPTED,
    reconciler.Refuse: State.REFUSED,
    reconciler.Withdraw: State.WITHDRAWN,
    reconciler.Stage: State.STAGED,
}
_POLICY: Final = Policy()
KINDS: Final = {"printer": "fdm", "mill": "mill"}


class Died(Exception):
    """The process is gone; what it had not written is gone with it."""


@functools.cache
def entry_of(machine: str, profile: str) -> Entry:
    return Entry(
        id=machine, profile=profile, driver="marlin", link=f"/dev/{machine}",
        materials=("pla",), attended=profile == "mill",
    )  # fmt: skip


@functools.cache
def told_of(machine: str, condition: Condition, *, attended: bool) -> messages.Machine:
    return _PLAIN.model_copy(
        update={"machine": machine, "attended": attended, "condition": condition}
    )


class Town(Protocol):
    """The orchestrator, as far as a shop hears and believes it."""

    def hear(self, what: tuple[str, Any]) -> None: ...
    def verify(self, envelope: str) -> bytes: ...


class Shop(Watcher):
    """`connected` and `unwell` are the session's to set."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        broker: Broker,
        name: str,
        machines: Mapping[str, tuple[Machine, str]],
        city: "Town",
        image: dict[str, Any] | None = None,
    ) -> None:
        self.world, self.ledger, self.broker, self.name = world, ledger, broker, name
        self.clock = Clock(world, powered_at_s=-world.between(100, 10_000))
        self.bodies = {machine: body for machine, (body, _) in machines.items()}
        self.entries = {m: entry_of(m, kind) for m, (_, kind) in machines.items()}
        self.kinds = {m: KINDS[kind] for m, (_, kind) in machines.items()}
        self.unplugged: set[str] = set()
        self._desks: Mapping[str, Desk] = {}
        self._desks_of = tuple[Condition, ...](), tuple[Mark | None, ...]()
        self._send, self._verify = city.hear, city.verify
        self.book = MemoryBook(self.effect)
        if image is not None:
            self.book.put_back(image)
        self.files: dict[str, str] = {}
        self.dies_in: int | None = None
        self.alive = self.online = False
        self.boots, self.tag, self.gone = 0, "b" if image is None else "double", False
        self.double: Shop | None = None
        self._given = (world, ledger, broker, name, machines, city)
        self._looks, self._listens = Alarm(world, self._look), Alarm(world, self._listen)
        self.connected, self.unwell, self.welcomed_s = False, None, None
        self._stood = tuple[Condition, ...]()
        self._told_of, self._told = tuple[Condition, ...](), tuple[messages.Machine, ...]()
        self.start_process()

    # ── the process ─────────────────────────────────────────────────────────────────────────

    def start_process(self) -> None:
        if self.gone:
            return
        self.boots += 1
        self.alive, self.dies_in = True, None
        if self.world.happens(0.1, "relapses"):
            self.dies_in = self.world.chance.randint(0, 6)
        self.boot = f"{self.name}-{self.tag}{self.boots}"
        self.guarded(self._boot)

    def _boot(self) -> None:
        self.world.tell(self.name, "boots as", self.boot)
        self.claims = Claims(self.boot)
        self.busy: set[str] = set()
        self.asked: set[str] = set()
        self.stopping: set[str] = set()
        self.owed: list[Callable[[], object]] = []
        self.unwell: str | None = None
        self.welcomed_s: float | None = None
        self._pause_s = 2.0
        self.book.open(self.boot, self.clock.moment())
        who = Who(self.name, self._verify, "sim")
        self.session = Session(who, self.book, self, self.clock.moment)
        self.later(self.world.between(0.1, 5.0), self.connect)
        self.wake()

    def die(self, *, power: bool = False) -> None:
        if not self.alive:
            return
        self.world.tell(self.name, "power is gone" if power else "is killed")
        self.alive = self.connected = False
        self.dies_in = None
        self._disconnect()
        for body in self.bodies.values():
            if power:
                body.watched_by = None
                body.cut()
            elif body.watched_by is self:
                body.host_died()
        if power:
            self.book.lose_power(self.world.chance)
            self.clock.powered()
            self.book.witness = None
        self.world.after(self.world.span(1.0, 60.0), self.start_process)

    def put_back(self, image: dict[str, Any], *, power: bool) -> None:
        """Its disk is an older copy from now on; the process begins anew."""
        self.die(power=power)
        self.world.tell(self.name, "has an older copy of its journal")
        self.book.put_back(image)

    def cloned(self, image: dict[str, Any]) -> "Shop":
        """Another computer from this one's image: it has the print servers, not the cables."""
        double = Shop(*self._given, image=image)
        double.double = self
        double.unplugged |= {name for name, body in self.bodies.items() if body.kind == "serial"}
        return double

    def all_is_well(self) -> None:
        """From now on: what was broken is whole, and what was off comes back."""
        self.dies_in, self.book.broken, self.clock.wall_off_s = None, False, 0.0
        self.unplugged.clear()
        self.one_again()
        if self.alive and not self.online:
            self.later(self.world.between(0.1, 5.0), self.connect)

    def one_again(self) -> None:
        """A person stops the double, and starts the agent of the one that stays again."""
        if self.double is not None:
            self.double.gone = True
            self.double.die()
            self.die()

    def effect(self) -> None:
        """Between any two effects the process may end."""
        if self.dies_in is not None:
            if self.dies_in == 0:
                raise Died
            self.dies_in -= 1

    def guarded(self, do: Callable[..., object], *given: object) -> None:
        try:
            do(*given)
        except Died:
            self.die(power=self.world.happens(0.3, "outages"))
        except JournalBroken:
            pass
        except IllegalMove as error:
            self.world.tell(self.name, "does not:", error)

    def later(self, seconds: float, do: Callable[..., object], *given: object) -> None:
        boot = self.boot

        def go() -> None:
            if self.alive and self.boot == boot:
                self.guarded(do, *given)

        self.world.after(seconds, go)

    # ── the loop ────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        self._looks.within(0.1)

    def _look(self) -> None:
        if self.alive:
            self.guarded(self._round)

    def _round(self) -> None:
        self._pay()
        waits = self._act_all() or bool(self.claims.live)
        self._speak()
        self._pause_s = 5.0 if waits else min(60.0, self._pause_s * 2)
        if self.book.live() or self.owed:
            self._looks.within(self._pause_s)

    def _act_all(self) -> bool:
        if not self.book.live():
            return False
        for turn in range(30):
            actions = reconciler.next_actions(self.view())
            for action in actions:
                self.guarded_act(action)
            if not actions:
                return turn > 0
        return True

    def guarded_act(self, action: reconciler.Action) -> None:
        try:
            self._act(action)
        except IllegalMove as error:
            self.world.tell(self.name, "does not:", error)

    def view(self) -> View:
        moment, claims = self.clock.moment(), self.claims
        return View(
            moment=moment, boot=self.boot, local=moment.at, policy=_POLICY,
            desks=self._all_desks(), attempts=self.book.live(),
            connected=self.connected,
            trouble="the disk" if self.book.broken else self.unwell,
            claims=claims.live, grants=claims.grants, denials=claims.denials,
            busy=self.busy, asked=self.asked, stopping=self.stopping,
            not_before_s=claims.not_before_s, witnessed=self.book.witnessed,
            welcomed_s=self.welcomed_s,
        )  # fmt: skip

    def _all_desks(self) -> Mapping[str, Desk]:
        """The same as long as nothing of them changed."""
        stand, marks = self._stand(), tuple(map(self.book.mark, self.bodies))
        if stand is not self._desks_of[0] or marks != self._desks_of[1]:
            self._desks_of = stand, marks
            self._desks = {
                name: Desk(self.entries[name], self.kinds[name], offered=True, condition=c, mark=m)
                for name, c, m in zip(self.bodies, stand, marks, strict=True)
            }
        return self._desks

    def _desk(self, name: str) -> Desk:
        return self._all_desks()[name]

    def _stand(self) -> tuple[Condition, ...]:
        """What each machine does; the same tuple as long as that is the same."""
        now = tuple(map(self.condition, self.bodies))
        if now != self._stood:
            self._stood = now
        return self._stood

    def condition(self, name: str) -> Condition:
        if name in self.unplugged:
            return Condition.OFFLINE
        return Condition.RUNNING if self.bodies[name].moves else Condition.IDLE

    def _act(self, action: reconciler.Action) -> None:
        name, moment = action.attempt, self.clock.moment()
        match action:
            case reconciler.Claim():
                self._claim(name, again=action.again)
            case reconciler.Tombstone():
                self.book.tombstone(name, action.grant, action.why, moment)
                self.claims.drop(name)
            case reconciler.Prepare():
                self._work(name, self.world.between(0.3, 5.0), self._prepared)
            case reconciler.Start():
                # The program's hash is read again: of a long one on a slow disk that takes long.
                longest_s = 1.0 if self.world.calm else 90.0
                self._work(name, self.world.span(0.01, longest_s), self._start)
            case reconciler.Recover():
                self._work(name, self.world.between(0.01, 1.0), self._recover)
            case reconciler.Stop(why=why):
                self.stopping.add(name)
                self.world.tell(self.name, "stops", name, why)
                self.later(self.world.between(0.01, 0.5), self.bodies[self._must(name).machine].cut)
            case _:
                why = getattr(action, "why", "")
                to = _BECOMES[type(action)]
                self.book.move(name, to, Actor.AGENT, moment, cause=why)
                self.world.tell(self.name, name, to, why)

    def _must(self, name: str) -> Attempt:
        return book.must(self.book, name)

    def _work(self, name: str, seconds: float, do: Callable[[str], object]) -> None:
        self.busy.add(name)

        def work() -> None:
            try:
                do(name)
            except (JournalBroken, IllegalMove):
                self.busy.discard(name)
                raise
            finally:
                self.wake()

        self.later(seconds, work)

    # ── from offer to first byte ────────────────────────────────────────────────────────────

    def _prepared(self, name: str) -> None:
        self.busy.discard(name)
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        self.files[name] = sha256
        facts = ProgramFacts(sha256=sha256, lines=3, seconds=100, grams=1.0)
        self.book.keep_program(name, facts, Path(name))

    def _claim(self, name: str, *, again: bool) -> None:
        moment, nonce = self.clock.moment(), f"{self.world.chance.getrandbits(128):032x}"
        self.book.claim(name, moment)
        claim = self.claims.ask(self._must(name), moment.elapsed_s, nonce, again=again)
        self.ledger.asked_s.setdefault(claim.nonce, moment.elapsed_s)
        self.session.say(claim)

    def granted(self, grant: Grant) -> str | None:
        return self.claims.granted(self.book.find(grant.attempt), grant)

    def denied(self, denied: messages.Denied) -> None:
        self.claims.denied(denied, self.clock.moment().elapsed_s)

    def ask_anew(self) -> None:
        self.claims.forget()

    def _start(self, name: str) -> None:
        grant, attempt = self.claims.grants.get(name), self._must(name)
        if grant is None or attempt.state is not State.CLAIMED or attempt.program is None:
            self.busy.discard(name)
            return
        altered = self.files.get(name) != attempt.program.sha256
        why = reconciler.against_running(self.view(), attempt, grant, altered=altered)
        moment = self.clock.moment()
        try:
            if why is None:
                attended = self._desk(attempt.machine).attended
                self.book.begin(name, grant, moment, attended=attended)
        except NotReady as error:
            why = str(error)
        if why is not None:
            self.book.tombstone(name, grant, why, moment)
            self.claims.drop(name)
            self.busy.discard(name)
            return
        self._judge(attempt, grant, moment.elapsed_s)
        self.claims.drop(name)
        self.later(self.world.between(0.0, 0.3), self._first_byte, name)

    def _judge(self, attempt: Attempt, grant: Grant, now_s: float) -> None:
        """What no physical log shows: the window, the fence, the boot and the bytes of a start."""
        ledger, issued_at = self.ledger, grant.issued_at
        others = [a for a in self.book.live() if a.machine == attempt.machine]
        wrong = {
            "outside its window": now_s - ledger.asked_s.get(grant.nonce, now_s) >= grant.window_s,
            "of an offer that had run out": issued_at >= attempt.ticket.not_after,
            "that was taken back": issued_at > ledger.taken_back.get(attempt.id, issued_at),
            "below its fence": attempt.fence < self.book.floor(attempt.ticket.jobs),
            "by another boot's grant": grant.boot != self.boot,
            "of other bytes": self.files.get(attempt.id) != grant.program,
            "before it was told what became of the one before": any(
                a.id != attempt.id and a.state not in reconciler.UNSTARTED for a in others
            ),
            "that was not granted": grant.nonce not in ledger.granted,
            "granted to a retired agent": issued_at > ledger.retired_at.get(self.name, issued_at),
            "of a mill that nobody pressed for in the last 120 s": not self._pressed_for(attempt),
        }
        for what in (each for each, so in wrong.items() if so):
            ledger.wrong(f"a start {what}")

    def _pressed_for(self, attempt: Attempt) -> bool:
        if not self._desk(attempt.machine).attended:
            return True
        place = f"{self.name}/{attempt.machine}"
        started, at = self.ledger.pressed.get(place, (None, self.world.at))
        return started == attempt.id and (self.world.at - at).total_seconds() <= 120

    def _first_byte(self, name: str) -> None:
        attempt = self._must(name)
        body = self.bodies[attempt.machine]
        if attempt.machine in self.unplugged or body.moves or not self._arm(name):
            self.owe(lambda: self.book.end(name, State.NOT_STARTED, self.clock.moment()))
            self.busy.discard(name)
            return
        body.first_byte(
            Make(name, piece(attempt.ticket.jobs[0]), self.name, attempt.machine, attempt.fence,
                 self.world.now_s), self,
        )  # fmt: skip
        if self.double is not None:
            self.double.will_see_stranger(attempt.machine)
        self.effect()
        self.later(self.world.between(0.05, 0.5), self._runs, name)

    def _arm(self, name: str) -> bool:
        """A run that the journal does not keep is over before it begins."""
        try:
            self.book.arm(name, f"h-{name}")
        except JournalBroken:
            return False
        return True

    def _runs(self, name: str) -> None:
        self.owe(lambda: self.book.runs(name, self.clock.moment(), resumed=False))

    # ── the end of a run, and what an earlier boot left behind ──────────────────────────────

    def may_close(self, make: Make) -> bool:
        if self.owed or self.book.broken:
            return False
        self.guarded(self.book.close_run, make.attempt)
        return self.alive

    def ended(self, make: Make) -> None:
        self.later(self.world.between(0.6, 2.0), self._ended, make)

    def _ended(self, make: Make) -> None:
        to = State.FINISHED if make.outcome == "finished" else State.INTERRUPTED
        self.owe(lambda: self.book.end(make.attempt, to, self.clock.moment(), cause=make.outcome))
        self.busy.discard(make.attempt)
        self.wake()

    def _recover(self, name: str) -> None:
        attempt = self._must(name)
        body = self.bodies[attempt.machine]
        left = book.left_behind(attempt)
        make = body.latest.get(name) if body.kind == "server" else None
        if attempt.handle is not None and attempt.machine in self.unplugged:
            self.owe(lambda: self.book.end(name, State.UNKNOWN, self.clock.moment()))
            self.claims.rest(name, self.clock.moment().elapsed_s + 5.0)
            self.busy.discard(name)
            return
        self.asked.add(name)
        if attempt.handle is not None and make is not None:
            self._runs(name)
            if make.outcome == "moving":
                body.watched_by = self
                return
            self._ended(make)
        elif left is not None:
            to, why = left
            self.owe(lambda: self.book.end(name, to, self.clock.moment(), cause=why))
        self.busy.discard(name)

    def owe(self, write: Callable[[], object]) -> None:
        self.owed.append(write)
        self._pay()
        self.wake()

    def _pay(self) -> None:
        while self.owed and not self.book.broken:
            write = self.owed[0]
            try:
                write()
            except IllegalMove as error:
                self.world.tell(self.name, "does not:", error)
            self.owed.pop(0)

    # ── the connection ──────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        if self.online:
            return
        self.session.begin()
        self.online = True
        self.world.tell(self.name, "connects")
        self.said(messages.Presence(boot=self.boot, online=True))
        self._speak()

    def _disconnect(self) -> None:
        if self.online:
            self.online = False
            gone = messages.Presence(boot=self.boot, online=False)
            self.broker.carry(self._send, (self.name, gone))

    def drop_connection(self) -> None:
        if not (self.alive and self.online):
            return
        self.world.tell(self.name, "loses the network")
        self._disconnect()
        self.session.begin()
        self.later(self.world.span(1.0, 1500.0), self.connect)

    def _listen(self) -> None:
        if self.alive and self.online:
            self.guarded(self._watch)

    def _watch(self) -> None:
        try:
            due = self.session.look()
        except NoAnswer:
            self._disconnect()
            self.session.begin()
            self.later(self.world.span(0.5, 15.0), self.connect)
            return
        if due:
            self._speak()
        self._listens.within(self._patience_s())

    def _patience_s(self) -> float:
        """Until the session is asked again whether somebody should have answered."""
        if not self.connected:
            return 2.1
        if self.book.head_seq > self.book.acked:
            return 5.1
        return 20.1

    def said(self, message: BaseModel) -> None:
        self.effect()
        self.broker.carry(self._send, (self.name, message))

    def _speak(self) -> None:
        spoke = False
        while self.online and (message := self.session.next()) is not None:
            self.said(message)
            spoke = True
        if spoke:
            self._listens.within(self._patience_s())

    def hear(self, message: messages.Down) -> None:
        if self.alive and self.online:
            self.guarded(self._hear, message)

    def _hear(self, message: messages.Down) -> None:
        self.session.hear(message)

    def machines(self) -> tuple[messages.Machine, ...]:
        stand = self._stand()
        if stand is not self._told_of:
            self._told_of, self._told = stand, tuple(map(self._machine, self.bodies))
        return self._told

    def _machine(self, name: str) -> messages.Machine:
        attended = self._desk(name).attended
        return told_of(name, self.condition(name), attended=attended)

    # ── the person in the room ──────────────────────────────────────────────────────────────

    def visit(self) -> None:
        """Clears beds, presses what the console asks for, says what became of the unknown."""
        for name, body in self.bodies.items():
            if not body.cleared():
                if self.alive and self.world.happens(0.3, "mistakes"):
                    self.guarded(self._pressed, name)  # meaning another machine
                continue
            if self.world.calm and not self._waits(name):
                continue
            self.press(name)
            if self.world.happens(0.15, "presses"):
                self.world.after(self.world.between(1.0, 30.0), self._press_again, name)
        if self.alive:
            self.guarded(self._attest)

    def _waits(self, name: str) -> bool:
        return any(attempt.machine == name for attempt in self.book.live())

    def _press_again(self, name: str) -> None:
        if not self.bodies[name].occupied:
            self.press(name)

    def press(self, name: str) -> None:
        if self.alive:
            self.later(self.world.between(0.05, 0.4), self._still_presses, name, self.world.slept_s)

    def _still_presses(self, name: str, slept_s: float) -> None:
        """Nobody's finger is on the button for a night."""
        if slept_s == self.world.slept_s:
            self._pressed(name)

    def _pressed(self, name: str) -> None:
        """As the console's door does it: not while something runs there."""
        view = self.view()
        ours = any(a.machine == name and a.handle and a.id in self.busy for a in view.attempts)
        if ours or reconciler.against_mark(view.desks[name]):
            return
        first, desk = reconciler.first_in_line(view, name), view.desks[name]
        starts = desk.attended and first is not None and first.state in UNSTARTED
        pressed = first.id if starts and first else None
        self.book.put_mark(name, "Ana", view.moment, attempt=pressed)
        self.ledger.pressed[f"{self.name}/{name}"] = pressed, self.world.at
        self.world.tell(self.name, "bed clear pressed at", name)
        self.wake()

    def _attest(self) -> None:
        for attempt in self.book.live():
            body = self.bodies[attempt.machine]
            if attempt.state is not State.UNKNOWN or attempt.id in self.busy or body.moves:
                continue
            make = next((m for m in self.ledger.makes if m.attempt == attempt.id), None)
            to = State.NOT_STARTED if make is None else _ATTESTED[make.outcome]
            if make is None and reconciler.against_not_started(self.view(), attempt):
                continue
            self.world.tell(self.name, "a person attests", attempt.id, to)
            self.book.move(
                attempt.id, to, Actor.PERSON, self.clock.moment(), cause="seen", person="Ana",
                evidence={"attested": True},
            )  # fmt: skip
            self.wake()

    # ── bad luck ────────────────────────────────────────────────────────────────────────────

    def computers(self) -> "list[Shop]":
        """Every computer that calls itself this shop."""
        return [self, *([self.double] if self.double is not None else [])]

    def will_see_stranger(self, name: str) -> None:
        self.world.after(self.world.between(0.1, 2.5), self._sees_stranger, name)

    def _sees_stranger(self, name: str) -> None:
        """Polling finds a machine that moves for somebody else."""
        if self.alive and name not in self.unplugged:
            self.guarded(self.owe, lambda: self.book.void_mark(name))

    def unplug(self, name: str, seconds: float) -> None:
        self.world.tell(self.name, name, "is unplugged")
        self.unplugged.add(name)
        if self.alive:
            self.guarded(self.owe, lambda: self.book.void_mark(name))
        body = self.bodies[name]
        if body.kind == "serial":
            body.cut()
        self.world.after(seconds, self.unplugged.discard, name)

    def disk_fails(self, seconds: float) -> None:
        self.book.broken = True
        self.world.after(seconds, self._disk_mends)

    def _disk_mends(self) -> None:
        self.book.broken = False
        self.wake()

    def alter_file(self) -> None:
        if self.files:
            name = self.world.chance.choice(sorted(self.files))
            self.files[name] = "0" * 64


_ATTESTED: Final = {"finished": State.FINISHED, "scrap": State.INTERRUPTED}
_PLAIN: Final = messages.Machine(
    machine="m", title="M", model="generic-fdm-220", processes=("3d_printing_fdm",),
    materials=("pla",), envelope_mm=(220, 220, 250), tolerance_mm=0.3, attended=False,
    rate_minor_per_h=400, setup_minor=150, offered=True, condition=Condition.IDLE,
    bed=Bed.UNKNOWN,
)  # fmt: skip
