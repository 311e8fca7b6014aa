"""What a word from a lab changes, where its journal is not the one that was let start."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import AttemptStatus, Doubt, Report
from orchestrator.dispatch import decide
from orchestrator.dispatch.decide import Effects, Moved, Noted, Told
from orchestrator.dispatch.model import Known
from orchestrator.orders.model import next_fence

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def known(state: State, **words: Any) -> Known:
    return Known("a-1", "lab-nord", "laser-1", 1, state, NOW, ticket="ticket", **words)


def report(state: State, **words: Any) -> Report:
    return Report(boot="b-2", seq=1, attempt="a-1", fence=1, state=state, at=NOW, **words)


def moved(effects: Effects) -> list[State]:
    return [effect.values["state"] for effect in effects if isinstance(effect, Moved)]


def doubts(effects: Effects) -> int:
    told = [effect.message(1, 1) for effect in effects if isinstance(effect, Told)]
    return sum(isinstance(said, Doubt) for said in told)


def evidence(effects: Effects) -> dict[str, Any]:
    return next(e.values["evidence"] for e in effects if isinstance(e, Noted) and e.values)


@pytest.mark.parametrize("state", [State.GRANTED, State.RUNNING, State.UNKNOWN])
def test_a_journal_that_knows_of_no_claim_never_says_that_it_did_not_start(state: State) -> None:
    """Two computers of one image: the other one was let start (simulation, seed 184558)."""
    effects = decide.reported(known(state), "lab-nord", report(State.STAGED), NOW)
    assert moved(effects) == ([] if state is State.UNKNOWN else [State.UNKNOWN])
    assert doubts(effects) == 1
    after = known(State.UNKNOWN, evidence=evidence(effects))
    assert doubts(decide.reported(after, "lab-nord", report(State.STAGED), NOW)) == 0
    for said in (State.WITHDRAWN, State.REFUSED, State.NOT_STARTED):
        effects = decide.reported(after, "lab-nord", report(said), NOW)
        assert moved(effects) == []
        assert doubts(effects) == 1
    seen = report(State.NOT_STARTED, person="Ana")
    assert moved(decide.reported(after, "lab-nord", seen, NOW)) == [State.NOT_STARTED]
    assert moved(decide.reported(after, "lab-nord", report(State.FINISHED), NOW)) == [
        State.FINISHED
    ]


def test_the_journal_that_was_let_start_is_believed() -> None:
    effects = decide.reported(known(State.GRANTED), "lab-nord", report(State.NOT_STARTED), NOW)
    assert moved(effects) == [State.NOT_STARTED]


def test_a_hello_that_lists_it_as_before_its_claim_is_doubted() -> None:
    listed = [AttemptStatus(attempt="a-1", fence=1, state=State.ACCEPTED)]
    effects = decide.listed([known(State.RUNNING)], listed, 0, NOW)
    assert moved(effects) == [State.UNKNOWN]
    assert doubts(effects) == 1
    assert evidence([e for e in effects if isinstance(e, Noted) and "evidence" in e.values])
    claimed = [AttemptStatus(attempt="a-1", fence=1, state=State.CLAIMED)]
    assert decide.listed([known(State.GRANTED)], claimed, 0, NOW) == []


def test_no_fence_is_lower_than_one_of_a_forgotten_life() -> None:
    """Put back to an older copy, and then to one of the life before (seed 273822)."""
    first = next_fence(0, 1)
    second_life = next_fence(0, 28_000_000)
    assert first < second_life
    assert next_fence(second_life, 28_000_000) == second_life + 1
    assert next_fence(first, 28_000_500) > second_life + 1
