"""Pure decisions about attempts: what a report, a claim or silence means.

The table of moves is the wire's own; nothing here reads a clock, a store or a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from pydantic import JsonValue

from fablab_agents.protocol.attempts import (
    LIVE,
    MAY_HAVE_STARTED,
    NEVER_STARTED,
    TERMINAL,
    Actor,
    State,
    may_move,
)
from fablab_agents.protocol.messages import Claim

WINDOW_S: Final = 60
ATTENDED_WINDOW_S: Final = 300
DOUBT_AFTER: Final = timedelta(seconds=60)
OFFER_LIFE: Final = timedelta(hours=48)
FREE: Final = frozenset({State.OFFERED, State.ACCEPTED, State.STAGED, State.CLAIMED})
"""Nothing can start from these: they may be withdrawn by anybody."""
MOVING: Final = frozenset({State.STARTING, State.RUNNING, State.PAUSED})


_BEFORE_A_CLAIM: Final = frozenset({State.OFFERED, State.ACCEPTED, State.STAGED})


def of_another_journal(state: State, said: State) -> bool:
    """The journal that we let start it had its claim in it: this one is older, or another's."""
    return state in LIVE - FREE and said in _BEFORE_A_CLAIM


@dataclass(frozen=True)
class Fold:
    """Where a report takes an attempt. `surprise`: our row and the journal do not fit together."""

    to: State
    surprise: bool = False


def fold(state: State, said: State) -> Fold:
    """What our row becomes when the agent's journal says `said`; the same report twice is one.

    The journal knows what its machine did: a live row follows it even where no rule foresaw the
    step, and that is told. An end stays an end.
    """
    if said == state:
        return Fold(state)
    if state in TERMINAL:
        return Fold(state, surprise=said in MAY_HAVE_STARTED and state is not State.SUPERSEDED)
    if may_move(state, said, Actor.AGENT) or may_move(state, said, Actor.PERSON):
        return Fold(said)
    if state in {State.GRANTED, State.UNKNOWN} and said in NEVER_STARTED:
        # At the shop it was still staged: our grant was never used, and now never will be.
        return Fold(State.NOT_STARTED)
    if of_another_journal(state, said):
        return Fold(State.UNKNOWN, surprise=state is not State.UNKNOWN)
    if state in {State.GRANTED, State.UNKNOWN} and said in FREE:
        return Fold(state)
    return Fold(said, surprise=True)


class ForJob(StrEnum):
    """What the end of an attempt means for its jobs."""

    MADE = "made"
    AGAIN = "again"
    AGAIN_UNTRIED = "again untried"
    AGAIN_ELSEWHERE = "again elsewhere"


_ENDS: Final = {
    State.FINISHED: ForJob.MADE,
    State.FAILED: ForJob.AGAIN,
    State.INTERRUPTED: ForJob.AGAIN,
    State.NOT_STARTED: ForJob.AGAIN,
    State.SUPERSEDED: ForJob.AGAIN,
    State.REFUSED: ForJob.AGAIN_ELSEWHERE,
    State.WITHDRAWN: ForJob.AGAIN_UNTRIED,
}


def for_job(state: State, by: Actor) -> ForJob | None:
    """None while the attempt lives. What a shop withdrew is not sent to the same machine again."""
    if state is State.WITHDRAWN and by is not Actor.ORCHESTRATOR:
        return ForJob.AGAIN_ELSEWHERE
    return _ENDS.get(state)


@dataclass(frozen=True)
class Known:
    """An attempt as our row has it, as far as a decision asks for it."""

    id: str
    agent: str
    machine: str
    fence: int
    state: State
    not_after: datetime
    down_seq: int = 0
    ticket: str = ""
    program: str | None = None
    nonce: str | None = None
    boot: str | None = None
    """The agent's boot that the one live grant was given to."""
    grant: str | None = None
    granted_at: datetime | None = None
    window_s: int | None = None
    stop_why: str | None = None
    started_at: datetime | None = None
    in_doubt_since: datetime | None = None
    evidence: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True)
class Judged:
    """`grant`: a new one; `repeat`: the one that this nonce has; `wait`: say nothing yet."""

    answer: Literal["grant", "repeat", "wait", "deny"]
    why: str = ""


def judge_claim(known: Known | None, agent: str, claim: Claim, now: datetime) -> Judged:
    """May this agent start this program now? A newer nonce replaces one that was never used."""
    if known is None or known.agent != agent:
        return Judged("deny", "no such attempt was offered to this agent")
    if (known.machine, known.fence) != (claim.machine, claim.fence):
        return Judged("deny", "the offer was for another machine or has a newer fence")
    if known.state in {State.OFFERED, State.ACCEPTED, State.STAGED}:
        return Judged("wait")
    against = _against_grant(known, claim)
    if against:
        return Judged("deny", against)
    if known.state is State.GRANTED and known.nonce == claim.nonce:
        return Judged("repeat")
    return Judged("deny", "the offer has run out") if known.not_after <= now else Judged("grant")


def _against_grant(known: Known, claim: Claim) -> str | None:
    if known.state not in {State.CLAIMED, State.GRANTED}:
        return f"the attempt is {known.state} here"
    if known.program != claim.program:
        return "this is not the program that was staged"
    return known.stop_why


def window_s(*, attended: bool) -> int:
    """How long after its claim an agent may use the grant."""
    return ATTENDED_WINDOW_S if attended else WINDOW_S


def may_still_start(known: Known, now: datetime) -> bool:
    """Whether a grant is out that whoever has it could still use."""
    if known.granted_at is None:
        return False
    return now <= known.granted_at + timedelta(seconds=known.window_s or 0) + DOUBT_AFTER


class Silence(StrEnum):
    """What an agent's silence does to one of its attempts."""

    NOTHING = "nothing"
    DOUBT = "doubt"
    WITHDRAW = "withdraw"


def after_silence(known: Known, now: datetime, *, online: bool, away: bool) -> Silence:
    """Offers are free to take back; what was granted is in doubt, never simply over."""
    if known.state in FREE:
        gone = away or known.not_after <= now
        return Silence.WITHDRAW if gone else Silence.NOTHING
    if online:
        return Silence.NOTHING
    if known.state is State.GRANTED:
        return Silence.NOTHING if may_still_start(known, now) else Silence.DOUBT
    return Silence.DOUBT if known.state in MOVING and away else Silence.NOTHING


def forgotten(state: State, *, listed: bool, offer_stored: bool) -> Silence:
    """What it means that a hello, with all reports before it heard, lists no such attempt.

    Only when the agent stored the offer does it mean anything.
    """
    if listed or not offer_stored or state not in LIVE:
        return Silence.NOTHING
    return Silence.WITHDRAW if state in FREE else Silence.DOUBT
