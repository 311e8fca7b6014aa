"""What a word from an agent, a wish or silence changes: an attempt as a value in, effects out.

Pure: no store, clock, key or chance. Effects that come together are kept together or not at all;
a `Moved` is kept only while nobody else moved the attempt since it was read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fablab_agents.protocol import attempts
from fablab_agents.protocol.attempts import NEVER_STARTED, TERMINAL, Actor, State
from fablab_agents.protocol.messages import (
    AttemptStatus,
    Claim,
    Denied,
    Doubt,
    Durable,
    Granted,
    Report,
    Stop,
    Withdraw,
)
from fablab_agents.protocol.tickets import Grant
from orchestrator.dispatch import model
from orchestrator.dispatch.model import ForJob, Known, Silence

_ANOTHER_JOURNAL: Final = "another_journal"

Values = Mapping[str, Any]
"""Columns of an attempt and what they become."""


class NotInDoubt(Exception):
    """Only an attempt of which nobody knows whether it started, and which starts no more, can be
    given up by its maker.
    """


@dataclass(frozen=True, slots=True)
class Noted:
    """What is known of an attempt besides its state; it holds whoever moved it meanwhile."""

    attempt: str
    values: Values


@dataclass(frozen=True, slots=True)
class Moved:
    """Its new state, by compare-and-swap, and what that means for its jobs."""

    attempt: str
    values: Values
    for_job: ForJob | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A message into the agent's outbox, which gives it the epoch and the next number.

    With `offers` the attempt itself is in it: the agent knows of it once that is stored.
    """

    agent: str
    attempt: str
    message: Callable[[int, int], Durable]
    offers: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event for whoever listens; `seldom` if an agent can bring it about without end."""

    kind: str
    subject: str
    words: Values
    seldom: bool = False


Effect = Noted | Moved | Told | Recorded
Effects = list[Effect]


# ── wishes


def withdrawn(known: Known, why: str, now: datetime) -> Effects:
    """Take an offer back that nothing can have started from; raises IllegalMove."""
    return [
        *_moved(known, State.WITHDRAWN, Actor.ORCHESTRATOR, now, why),
        _asked(known, Withdraw, why),
    ]


def stopped(known: Known, why: str, now: datetime) -> Effects:
    """End the attempt if it can be ended: an offer is withdrawn, a machine is asked to stop."""
    if known.state in model.FREE:
        return withdrawn(known, why, now)
    if known.state in TERMINAL or known.stop_why is not None:
        return []
    return [
        Noted(known.id, {"stop_why": why}),
        _asked(known, Stop, why),
        Recorded("attempt.stop_wanted", known.id, {"agent": known.agent}),
    ]


def orphaned(known: Known) -> Effects:
    """No job waits for this attempt any more: what has not started never does, the rest goes on."""
    why = "its job is in other hands, or in none that this network remembers"
    return [
        Noted(known.id, {"stop_why": why}),
        _asked(known, Withdraw, why),
        Recorded("attempt.orphan", known.id, {"agent": known.agent}),
    ]


def _asked(known: Known, what: type[Withdraw | Stop], why: str) -> Told:
    return Told(
        known.agent, known.id,
        lambda epoch, seq: what(
            epoch=epoch, seq=seq, attempt=known.id, fence=known.fence, why=why
        ),
    )  # fmt: skip


def given_up(known: Known, consent: str, now: datetime) -> Effects:
    """The maker would rather risk a second part than wait: the old fence is closed for ever."""
    if known.state is not State.UNKNOWN:
        raise NotInDoubt(f"attempt {known.id} is {known.state}; only an unknown one is given up")
    if model.may_still_start(known, now):
        raise NotInDoubt(f"attempt {known.id} may still start for some minutes: ask again then")
    ended = _moved(known, State.SUPERSEDED, Actor.MAKER, now, "the maker accepts a duplicate")
    return [Noted(known.id, {"consent": consent}), *ended]


# ── claims


def claimed(
    known: Known | None,
    agent: str,
    asked: Claim,
    now: datetime,
    *,
    attended: bool,
    sign: Callable[[Grant], str],
) -> tuple[Granted | Denied | None, Effects]:
    """The answer to a claim; None is silence: the agent asks again when its reports are in."""
    judged = model.judge_claim(known, agent, asked, now)
    if known is None or judged.answer == "deny":
        return Denied(attempt=asked.attempt, nonce=asked.nonce, why=judged.why), []
    if judged.answer == "wait":
        return None, []
    if judged.answer == "repeat" and known.grant is not None:
        return Granted(grant=known.grant), []
    return _granted(known, asked, now, model.window_s(attended=attended), sign)


def _granted(
    known: Known, asked: Claim, now: datetime, window_s: int, sign: Callable[[Grant], str]
) -> tuple[Granted, Effects]:
    if known.state is not State.GRANTED:
        attempts.move(known.state, State.GRANTED, Actor.ORCHESTRATOR)
    signed = sign(
        Grant(
            agent=known.agent, machine=known.machine, attempt=known.id, fence=known.fence,
            issued_at=now, nonce=asked.nonce, boot=asked.boot, program=asked.program,
            window_s=window_s,
        )
    )  # fmt: skip
    values: Values = {
        "state": State.GRANTED, "nonce": asked.nonce, "boot": asked.boot, "grant": signed,
        "granted_at": now, "window_s": window_s,
    }  # fmt: skip
    told = {"agent": known.agent, "machine": known.machine}
    return Granted(grant=signed), [
        Moved(known.id, values),
        Recorded("attempt.granted", known.id, told),
    ]


# ── what agents say


def concerns(known: Known | None, agent: str, said: Report) -> bool:
    """Whether it is about an attempt that was offered to this agent so; else nothing is kept."""
    return known is not None and known.agent == agent and known.fence == said.fence


def reported(known: Known | None, agent: str, said: Report, now: datetime) -> Effects:
    """What one report, taken once and in its order, changes."""
    if known is None or not concerns(known, agent, said):
        told = {"agent": agent, "state": said.state}
        return [Recorded("attempt.stray", said.attempt, told, seldom=True)]
    if _proves_nothing(known, said):
        return [Noted(known.id, _noted(known, said)), _told_of_doubt(known)]
    folded = model.fold(known.state, said.state)
    effects: Effects = [Noted(known.id, _noted(known, said))]
    strange = model.of_another_journal(known.state, said.state)
    if strange and not known.evidence.get(_ANOTHER_JOURNAL):  # once: it might say the same again
        effects.append(_told_of_doubt(known))
    if folded.surprise:
        both = {"ours": known.state, "theirs": said.state}
        effects.append(Recorded("attempt.surprise", known.id, both))
    if folded.to is not known.state:
        by = Actor.PERSON if said.person and known.state is State.UNKNOWN else Actor.AGENT
        effects += _turned(known, folded.to, by, now)
    return effects


def _proves_nothing(known: Known, said: Report) -> bool:
    """That it never started, from a journal that does not know that it was let start.

    Only a person at the machine can say that.
    """
    never = said.state in NEVER_STARTED and not said.person
    return known.state is State.UNKNOWN and never and bool(known.evidence.get(_ANOTHER_JOURNAL))


def _noted(known: Known, said: Report) -> Values:
    """What the report tells, whatever it does to the state."""
    values: dict[str, Any] = {"evidence": {**known.evidence, **said.evidence}}
    if model.of_another_journal(known.state, said.state):
        values["evidence"][_ANOTHER_JOURNAL] = True
    for name in ("cause", "person", "minutes", "machine_s"):
        told = getattr(said, name)
        if told is not None and told != "":
            values[name] = told
    if said.program is not None:
        values["program"] = said.program.sha256
        values["program_facts"] = said.program.model_dump(mode="json")
    if said.state is State.STAGED:
        values["staged_at"] = said.at
    if said.state in {State.STARTING, State.RUNNING}:
        values["started_at"] = known.started_at or said.at
    return values


def listed(
    live: Iterable[Known], statuses: Iterable[AttemptStatus], down_acked: int, now: datetime
) -> Effects:
    """What a hello, with all reports before it heard, says of the agent's attempts and does not.

    One that was in doubt for silence alone, and moves, is in doubt no more.
    """
    effects: Effects = []
    states = {status.attempt: status.state for status in statuses}
    for known in live:
        state = states.get(known.id)
        if state and model.of_another_journal(known.state, state):
            effects += _doubted(known, now)
            continue
        if state and state in model.MOVING and known.state is State.UNKNOWN:
            effects += _moved(known, state, Actor.AGENT, now, "")
        silence = model.forgotten(
            known.state, listed=state is not None, offer_stored=known.down_seq <= down_acked
        )
        effects += _after(known, silence, "the lab's agent no longer knows this attempt", now)
        if silence is Silence.DOUBT:
            effects.append(_told_of_doubt(known))
    return effects


def _doubted(known: Known, now: datetime) -> Effects:
    """The journal at the lab does not know that it was let start."""
    effects: Effects = []
    if known.state in model.MOVING | {State.GRANTED}:
        why = "the lab's agent no longer knows that this attempt was let start"
        effects += _moved(known, State.UNKNOWN, Actor.ORCHESTRATOR, now, why)
    noted = Noted(known.id, {"evidence": {**known.evidence, _ANOTHER_JOURNAL: True}})
    return [*effects, noted, _told_of_doubt(known)]


def _told_of_doubt(known: Known) -> Told:
    """So that a person at the shop is asked."""
    return Told(
        known.agent, known.id,
        lambda epoch, seq: Doubt(epoch=epoch, seq=seq, ticket=known.ticket),
        offers=True,
    )  # fmt: skip


def unheard(known: Known, now: datetime, *, online: bool, away: bool) -> Effects:
    """Time goes by without a word."""
    silence = model.after_silence(known, now, online=online, away=away)
    return _after(known, silence, "the lab's agent is not heard any more", now)


def _after(known: Known, silence: Silence, why: str, now: datetime) -> Effects:
    if silence is Silence.WITHDRAW:
        return withdrawn(known, why, now)
    if silence is Silence.DOUBT and known.state is not State.UNKNOWN:
        return _moved(known, State.UNKNOWN, Actor.ORCHESTRATOR, now, why)
    return []


# ── one way to move an attempt


def _moved(known: Known, to: State, by: Actor, now: datetime, cause: str) -> Effects:
    attempts.move(known.state, to, by)
    return [Noted(known.id, {"cause": cause}), *_turned(known, to, by, now)]


def _turned(known: Known, to: State, by: Actor, now: datetime) -> Effects:
    """The new state, what it means for the jobs, and one event."""
    values: Values = {
        "state": to,
        "ended_at": now if to in TERMINAL else None,
        "in_doubt_since": (known.in_doubt_since or now) if to is State.UNKNOWN else None,
    }
    told = {"agent": known.agent, "machine": known.machine, "was": known.state, "by": by}
    return [
        Moved(known.id, values, model.for_job(to, by)),
        Recorded(f"attempt.{to}", known.id, told),
    ]
