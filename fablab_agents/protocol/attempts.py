"""The states of an attempt and who may move it: one table, shared by orchestrator and agent.

Every move outside the table is an error; nothing here knows time, storage or transport.

    offered ─▶ accepted ─▶ staged ─▶ claimed ─▶ granted ─▶ starting ─▶ running ⇄ paused
       │           │          │         │          │           │          │
       ▼           ▼          ▼         ▼          ▼           ▼          ▼
    refused      withdrawn, and nothing starts  not_started  unknown   finished, failed, interrupted

    unknown ─▶ proof from the machine or a person's word; superseded with its maker's consent

Claimed stands in the shop's journal, and is told, before the claim itself is: a grant may be out
from then on. So a journal without it is an older copy, and one with it may be.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    OFFERED = "offered"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    STAGED = "staged"
    CLAIMED = "claimed"
    WITHDRAWN = "withdrawn"
    GRANTED = "granted"
    NOT_STARTED = "not_started"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"


class Actor(StrEnum):
    ORCHESTRATOR = "O"
    AGENT = "A"
    PERSON = "P"
    MAKER = "M"


class IllegalMove(Exception):
    """This actor may not move an attempt from this state to that one."""


_O, _A, _P, _M = Actor.ORCHESTRATOR, Actor.AGENT, Actor.PERSON, Actor.MAKER
_S = State

MOVES: Final[dict[tuple[State, State], frozenset[Actor]]] = {
    (_S.OFFERED, _S.REFUSED): frozenset({_A}),
    (_S.OFFERED, _S.ACCEPTED): frozenset({_A}),
    (_S.OFFERED, _S.WITHDRAWN): frozenset({_O, _A}),
    (_S.ACCEPTED, _S.WITHDRAWN): frozenset({_O, _A}),
    (_S.STAGED, _S.WITHDRAWN): frozenset({_O, _A}),
    (_S.ACCEPTED, _S.REFUSED): frozenset({_A}),
    (_S.ACCEPTED, _S.STAGED): frozenset({_A}),
    (_S.STAGED, _S.CLAIMED): frozenset({_A}),
    (_S.CLAIMED, _S.WITHDRAWN): frozenset({_O, _A}),
    (_S.CLAIMED, _S.GRANTED): frozenset({_O}),
    (_S.CLAIMED, _S.UNKNOWN): frozenset({_A}),
    (_S.GRANTED, _S.STARTING): frozenset({_A}),
    (_S.GRANTED, _S.NOT_STARTED): frozenset({_A}),
    (_S.GRANTED, _S.UNKNOWN): frozenset({_O, _A}),
    (_S.STARTING, _S.RUNNING): frozenset({_A}),
    (_S.STARTING, _S.FAILED): frozenset({_A}),
    (_S.STARTING, _S.UNKNOWN): frozenset({_O, _A}),
    (_S.RUNNING, _S.PAUSED): frozenset({_A, _P}),
    (_S.PAUSED, _S.RUNNING): frozenset({_A, _P}),
    (_S.RUNNING, _S.FINISHED): frozenset({_A}),
    (_S.RUNNING, _S.FAILED): frozenset({_A}),
    (_S.RUNNING, _S.INTERRUPTED): frozenset({_A}),
    (_S.RUNNING, _S.UNKNOWN): frozenset({_O, _A}),
    (_S.PAUSED, _S.FINISHED): frozenset({_A}),
    (_S.PAUSED, _S.FAILED): frozenset({_A}),
    (_S.PAUSED, _S.INTERRUPTED): frozenset({_A}),
    (_S.PAUSED, _S.UNKNOWN): frozenset({_O, _A}),
    (_S.UNKNOWN, _S.STARTING): frozenset({_A}),
    (_S.UNKNOWN, _S.RUNNING): frozenset({_A, _P}),
    (_S.UNKNOWN, _S.PAUSED): frozenset({_A}),
    (_S.UNKNOWN, _S.FINISHED): frozenset({_A, _P}),
    (_S.UNKNOWN, _S.FAILED): frozenset({_A, _P}),
    (_S.UNKNOWN, _S.INTERRUPTED): frozenset({_A, _P}),
    (_S.UNKNOWN, _S.NOT_STARTED): frozenset({_A, _P}),
    (_S.UNKNOWN, _S.SUPERSEDED): frozenset({_M}),
}

TERMINAL: Final = frozenset(_S) - {source for source, _ in MOVES}
LIVE: Final = frozenset(_S) - TERMINAL
MAY_HAVE_STARTED: Final = frozenset(
    {_S.STARTING, _S.RUNNING, _S.PAUSED, _S.FINISHED, _S.FAILED, _S.INTERRUPTED, _S.UNKNOWN}
)
"""States in which bytes may have reached the machine; in all of these the bed is not clear."""
NEVER_STARTED: Final = frozenset({_S.REFUSED, _S.WITHDRAWN, _S.NOT_STARTED})
"""Ends of what never moved a machine."""


def may_move(state: State, to: State, by: Actor) -> bool:
    return by in MOVES.get((state, to), frozenset())


def move(state: State, to: State, by: Actor) -> State:
    """Return `to`, or raise IllegalMove naming the state, the wish and who wished it."""
    if not may_move(state, to, by):
        msg = f"an attempt that is {state} cannot become {to} by {by.name.lower()}"
        raise IllegalMove(msg)
    return to
