"""Compares journal, machines, people's marks and grants, and says what to do next.

It promises the same answer to the same view: no clock, no chance, no disk, no network, no
machine. Events only wake it; whatever it says may be said again after a crash.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from fablab_agents import policy
from fablab_agents.book import UNSTARTED, Attempt, Mark, Moment
from fablab_agents.config import Machine, Policy
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Condition
from fablab_agents.protocol.tickets import Grant

CLAIM_AGAIN_S: Final = 2.0
CLAIM_LIFE_S: Final = 30.0
DENIALS_MAX: Final = 5
FORGET_AFTER: Final = timedelta(days=1)
GRANT_LIFE_S: Final = 360.0
"""No grant is used later: the longest window, and a minute until the first byte has left."""

MOVING: Final = frozenset({State.STARTING, State.RUNNING, State.PAUSED})
_STAGED: Final = frozenset({State.STAGED, State.CLAIMED})
_NONE: Final = MappingProxyType[str, Any]({})

WaitsFor = Literal["accept", "bed clear", "start", "word", "stop decision", "unknown decision"]


class Desk(NamedTuple):
    """One machine as it stands: the shop's entry, the driver's word, the person's mark."""

    entry: Machine
    kind: str
    offered: bool
    condition: Condition
    mark: Mark | None = None

    @property
    def attended(self) -> bool:
        return self.entry.started_by_a_person(self.kind)


class LiveClaim(NamedTuple):
    """A claim of this boot that may still be answered; lives in memory and dies with it."""

    attempt: str
    nonce: str
    first_s: float
    last_s: float


class View(NamedTuple):
    """All that a decision may know."""

    moment: Moment
    boot: str
    local: datetime
    """The shop's wall clock, for its hours."""
    policy: Policy
    desks: Mapping[str, Desk]
    attempts: tuple[Attempt, ...]
    connected: bool
    trouble: str | None = None
    claims: Mapping[str, LiveClaim] = _NONE
    grants: Mapping[str, Grant] = _NONE
    denials: Mapping[str, tuple[int, str]] = _NONE
    busy: AbstractSet[str] = frozenset()
    stopping: AbstractSet[str] = frozenset()
    asked: AbstractSet[str] = frozenset()
    """Attempts whose machine has answered, in this boot, what became of them."""
    witnessed: bool = False
    welcomed_s: float | None = None
    """Since when the orchestrator answers no other computer in this lab's name; None: not yet."""
    distrusted: frozenset[str] = frozenset()
    """Attempts whose ticket no trusted key stands behind any more."""
    not_before_s: Mapping[str, float] = _NONE

    def rests(self, attempt: str) -> bool:
        return self.moment.elapsed_s < self.not_before_s.get(attempt, 0.0)


@dataclass(frozen=True)
class Accept:
    attempt: str


@dataclass(frozen=True)
class Refuse:
    attempt: str
    why: str


@dataclass(frozen=True)
class Withdraw:
    attempt: str
    why: str


@dataclass(frozen=True)
class Prepare:
    attempt: str


@dataclass(frozen=True)
class Stage:
    attempt: str


@dataclass(frozen=True)
class Claim:
    """Ask for leave: anew with a fresh nonce, or `again` with the live one."""

    attempt: str
    again: bool


@dataclass(frozen=True)
class Start:
    attempt: str
    grant: Grant


@dataclass(frozen=True)
class Tombstone:
    attempt: str
    grant: Grant
    why: str


@dataclass(frozen=True)
class Stop:
    attempt: str
    why: str


@dataclass(frozen=True)
class Recover:
    attempt: str


Action = Accept | Refuse | Withdraw | Prepare | Stage | Claim | Start | Tombstone | Stop | Recover


def next_actions(view: View) -> tuple[Action, ...]:
    """What to do now, at most one thing an attempt."""
    if view.trouble:
        return tuple(_without_new_work(view))
    return tuple(action for attempt in view.attempts for action in _for(view, attempt))


def _without_new_work(view: View) -> Iterator[Action]:
    """When the agent itself is not well it only looks after what may be moving."""
    for attempt in view.attempts:
        if attempt.state not in UNSTARTED:
            yield from _for(view, attempt)


def _for(view: View, attempt: Attempt) -> Iterator[Action]:
    if attempt.id in view.busy:
        if attempt.stop_why and attempt.state in MOVING and attempt.id not in view.stopping:
            yield Stop(attempt.id, attempt.stop_why)
    elif attempt.state in UNSTARTED:
        yield from _unstarted(view, attempt)
    elif not view.rests(attempt.id) and _asks_machine(view, attempt):
        yield Recover(attempt.id)


def _asks_machine(view: View, attempt: Attempt) -> bool:
    if attempt.state in MOVING:
        return True
    return (
        attempt.state is State.UNKNOWN
        and attempt.handle is not None
        and attempt.id not in view.asked
    )


def _unstarted(view: View, attempt: Attempt) -> Iterator[Action]:
    grant = view.grants.get(attempt.id)
    against = against_keeping(view, attempt)
    if grant is not None:
        why = against or against_start(view, attempt, grant)
        yield Tombstone(attempt.id, grant, why) if why else Start(attempt.id, grant)
    elif against or _ran_out(view, attempt):
        # A claim on its way is let run out first, so that one answer settles it.
        if attempt.id not in view.claims or not _alive(view, view.claims[attempt.id]):
            yield _end(attempt, against)
    elif attempt.state is State.OFFERED:
        if view.policy.auto_accept:
            yield Accept(attempt.id)
    elif attempt.program is None:
        if not view.rests(attempt.id):
            yield Prepare(attempt.id)
    elif against_claim(view, attempt) is None:
        yield from _ask(view, attempt)


def _ran_out(view: View, attempt: Attempt) -> bool:
    return attempt.ticket.not_after <= view.moment.at


def _end(attempt: Attempt, why: str | None) -> Action:
    """What this shop will not make is refused; what it would have made is withdrawn."""
    if why is None:
        return Withdraw(attempt.id, "the offer ran out before it could start")
    staged = attempt.state in _STAGED
    return Withdraw(attempt.id, why) if staged else Refuse(attempt.id, why)


def _ask(view: View, attempt: Attempt) -> Iterator[Action]:
    now_s = view.moment.elapsed_s
    claim = view.claims.get(attempt.id)
    if attempt.state is State.ACCEPTED:
        yield Stage(attempt.id)
    elif claim is None or not _alive(view, claim):
        if not view.rests(attempt.id):
            yield Claim(attempt.id, again=False)
    elif now_s - claim.last_s >= CLAIM_AGAIN_S:
        yield Claim(attempt.id, again=True)


def _alive(view: View, claim: LiveClaim) -> bool:
    return view.moment.elapsed_s - claim.first_s < CLAIM_LIFE_S


def against_keeping(view: View, attempt: Attempt) -> str | None:
    """Why this shop will not make an attempt that has not started."""
    desk = view.desks.get(attempt.machine)
    count, said = view.denials.get(attempt.id, (0, ""))
    if count >= DENIALS_MAX:
        return f"the orchestrator does not grant it: {said}"
    if attempt.id in view.distrusted:
        return "the key that signed its ticket is not trusted any more"
    if desk is None:
        return f"this lab has no machine {attempt.machine}"
    why = policy.against_offer(desk.entry, desk.kind, attempt.ticket, offered=desk.offered)
    if why is None and attempt.program is not None:
        return policy.against_length(attempt.program.seconds, attempt.ticket.estimate_s)
    return why


def against_claim(view: View, attempt: Attempt) -> str | None:
    """Why this attempt may not ask for leave now: what it waits for, in words."""
    first = first_in_line(view, attempt.machine)
    if first is None or first.id != attempt.id:
        return "another attempt has this machine"
    if not view.connected:
        return "the network is away; nothing starts that was not granted"
    return _against_machine(view, attempt)


def against_start(view: View, attempt: Attempt, grant: Grant) -> str | None:
    """Why this grant does not let this attempt start now."""
    claim = view.claims.get(attempt.id)
    if claim is None:
        return "the grant answers no claim of this agent"
    return (
        against_grant(view, attempt, claim, grant)
        or _occupied_by(view, attempt)
        or _against_machine(view, attempt)
    )


def against_running(view: View, attempt: Attempt, grant: Grant, *, altered: bool) -> str | None:
    """The last look, after which nothing is waited for: why the machine may not move now.

    `altered`: the program on the disk is no longer the one that was prepared.
    """
    if altered:
        return "the program on the disk is not the one that was prepared"
    return view.trouble or against_keeping(view, attempt) or against_start(view, attempt, grant)


def against_grant(view: View, attempt: Attempt, claim: LiveClaim, grant: Grant) -> str | None:
    """Why a grant is not the answer to this live claim, word by word, or comes too late."""
    if not 0 <= view.moment.elapsed_s - claim.first_s < grant.window_s:
        return "the grant came after its window"
    return against_words(view.boot, attempt, claim, grant)


def against_words(boot: str, attempt: Attempt, claim: LiveClaim, grant: Grant) -> str | None:
    """Why a grant answers another claim than this one; then it is none, and is dropped."""
    ticket, program = attempt.ticket, attempt.program
    wanted = (ticket.agent, attempt.machine, attempt.id, attempt.fence, claim.nonce, boot)
    given = (grant.agent, grant.machine, grant.attempt, grant.fence, grant.nonce, grant.boot)
    if wanted != given:
        return "the grant answers another claim"
    if program is None or grant.program != program.sha256:
        return "the grant is for another program"
    return None


def _against_machine(view: View, attempt: Attempt) -> str | None:
    desk, elapsed_s = view.desks[attempt.machine], view.moment.elapsed_s
    if desk.condition is not Condition.IDLE:
        return f"{attempt.machine} is {desk.condition}"
    mark = desk.mark
    if mark is None or not mark.clear(view.boot, elapsed_s):
        return "nobody said that the bed is clear"
    if desk.attended and not mark.starts(attempt.id, view.boot, elapsed_s):
        return "nobody at the machine started it in the last two minutes"
    return policy.against_now(desk.entry, desk.kind, view.policy, view.local)


def _occupied_by(view: View, attempt: Attempt) -> str | None:
    for other in view.attempts:
        if other.machine == attempt.machine and other.state not in UNSTARTED:
            return f"attempt {other.id} on this machine has not ended"
    return None


def first_in_line(view: View, machine: str) -> Attempt | None:
    """The attempt that has the machine, or may ask for it next: in the order of arrival."""
    here = [attempt for attempt in view.attempts if attempt.machine == machine]
    having = [attempt for attempt in here if attempt.state not in UNSTARTED]
    staged = [attempt for attempt in here if attempt.state in _STAGED]
    ready = [a for a in here if a.state is State.ACCEPTED and a.program is not None]
    return next(iter([*having, *staged, *ready]), None)


def against_mark(desk: Desk) -> str | None:
    """Why nobody's word that this bed is clear can be taken now."""
    name = desk.entry.id
    if desk.condition in (Condition.RUNNING, Condition.PAUSED):
        return f"{name} is running"
    if desk.condition is Condition.ATTENTION:  # a stranger's job at a print server, too
        return f"{name} wants attention: see to it, then say so again"
    if desk.condition is Condition.OFFLINE:
        return f"{name} is not connected and could be used unseen: connect it, then say so again"
    return None


def against_not_started(view: View, attempt: Attempt) -> str | None:
    """Why nobody can know yet that an attempt never starts.

    A second computer made from this one's image may have been let start it before we were welcome,
    and may still do so. What an earlier boot of this very journal was granted ended with that boot.
    """
    if attempt.nonce is not None and view.witnessed:
        return None
    if view.welcomed_s is None:
        return (
            "the network does not answer this computer, and may have let another one in this lab's"
            " name start it: look again once it does"
        )
    left_s = view.welcomed_s + GRANT_LIFE_S - view.moment.elapsed_s
    if left_s <= 0:
        return None
    return (
        "the network may have let another computer in this lab's name start it, which it could"
        f" still do: look again in {ceil(left_s / 60)} min"
    )


def waits_for(view: View, machine: str) -> WaitsFor | None:
    """What a person at this machine is waited for."""
    attempt, desk = first_in_line(view, machine), view.desks[machine]
    if attempt is None:
        offers = [a for a in view.attempts if a.machine == machine and a.state is State.OFFERED]
        return "accept" if offers and not view.policy.auto_accept else None
    if attempt.state is State.UNKNOWN:
        return "unknown decision"
    if attempt.state is State.PAUSED:
        return "stop decision"
    if attempt.state in MOVING:
        return "word" if desk.entry.by_hand else None
    elapsed_s, mark = view.moment.elapsed_s, desk.mark
    if desk.attended:
        started = mark is not None and mark.starts(attempt.id, view.boot, elapsed_s)
        return None if started else "start"
    return None if mark is not None and mark.clear(view.boot, elapsed_s) else "bed clear"
