import pytest
from hypothesis import given
from hypothesis import strategies as st

from fablab_agents.book import UNSTARTED
from fablab_agents.protocol.attempts import (
    LIVE,
    MAY_HAVE_STARTED,
    MOVES,
    TERMINAL,
    Actor,
    IllegalMove,
    State,
    may_move,
    move,
)


@given(state=st.sampled_from(State), to=st.sampled_from(State), by=st.sampled_from(Actor))
def test_only_the_table_moves(state: State, to: State, by: Actor) -> None:
    if by in MOVES.get((state, to), frozenset()):
        assert move(state, to, by) is to
    else:
        assert not may_move(state, to, by)
        with pytest.raises(IllegalMove, match=f"{state} cannot become {to}"):
            move(state, to, by)


def test_every_state_is_live_or_an_end_and_can_be_reached() -> None:
    assert set(State) == LIVE | TERMINAL
    assert not LIVE & TERMINAL
    assert {to for _, to in MOVES} | {State.OFFERED} == set(State)


def test_only_a_grant_leads_to_a_start_and_only_the_orchestrator_grants() -> None:
    assert {source for source, to in MOVES if to is State.GRANTED} == {State.CLAIMED}
    assert MOVES[State.CLAIMED, State.GRANTED] == {Actor.ORCHESTRATOR}
    starts = {source for source, to in MOVES if to is State.STARTING}
    assert starts == {State.GRANTED, State.UNKNOWN}


def test_what_may_have_started_never_becomes_startable_again() -> None:
    startable = {*UNSTARTED, State.GRANTED}
    for source, to in MOVES:
        if source in MAY_HAVE_STARTED:
            assert to not in startable


def test_nothing_leaves_unknown_by_itself() -> None:
    leaving = {
        by for (source, _), actors in MOVES.items() if source is State.UNKNOWN for by in actors
    }
    assert Actor.ORCHESTRATOR not in leaving
