from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fablab_agents.protocol.attempts import LIVE, MAY_HAVE_STARTED, MOVES, TERMINAL, Actor, State
from orchestrator.dispatch import model
from orchestrator.dispatch.model import ForJob, Known, Silence

states = st.sampled_from(list(State))
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@given(states, states)
def test_the_same_report_again_changes_nothing(state: State, said: State):
    once = model.fold(state, said).to
    assert model.fold(once, said).to == once


@given(states, states)
def test_an_end_stays_an_end(state: State, said: State):
    if state in TERMINAL:
        assert model.fold(state, said).to == state


@given(states, states)
def test_a_move_of_the_table_is_no_surprise_and_any_other_is_told(state: State, said: State):
    folded = model.fold(state, said)
    actors = MOVES.get((state, said), frozenset())
    if actors & {Actor.AGENT, Actor.PERSON}:
        assert folded == model.Fold(said)
    elif folded.to not in {state, State.NOT_STARTED}:
        assert folded.surprise


@given(st.lists(states, max_size=12))
def test_what_may_have_started_is_never_taken_for_unstarted(reports: list[State]):
    """After the journal said that bytes went out, no older word makes the job free again."""
    state, moved = State.GRANTED, False
    for said in reports:
        state = model.fold(state, said).to
        moved = moved or said in MAY_HAVE_STARTED - {State.UNKNOWN}
        if state in {State.WITHDRAWN, State.REFUSED} or not moved:
            break
        assert state not in {State.OFFERED, State.ACCEPTED, State.STAGED} or said == state


@given(states, st.lists(st.sampled_from([State.OFFERED, State.ACCEPTED, State.STAGED]), min_size=1))
def test_who_does_not_know_that_it_was_let_start_leaves_it_in_doubt(
    state: State, reports: list[State]
):
    if state in {State.GRANTED, State.STARTING, State.RUNNING, State.PAUSED, State.UNKNOWN}:
        for said in reports:
            state = model.fold(state, said).to
            assert state is State.UNKNOWN


@given(states, st.sampled_from(list(Actor)))
def test_only_an_end_means_something_for_the_job(state: State, by: Actor):
    assert (model.for_job(state, by) is None) == (state in LIVE)


def test_what_a_shop_takes_back_goes_elsewhere_and_what_we_take_back_need_not():
    assert model.for_job(State.WITHDRAWN, Actor.AGENT) is ForJob.AGAIN_ELSEWHERE
    assert model.for_job(State.WITHDRAWN, Actor.ORCHESTRATOR) is ForJob.AGAIN_UNTRIED


@given(
    states,
    st.booleans(),
    st.booleans(),
    st.integers(0, 10_000),
    st.integers(-10_000, 10_000),
)
def test_silence_never_ends_what_may_have_started(
    state: State, online: bool, away: bool, granted_s: int, left_s: int
):
    known = Known(
        "a1",
        "lab-nord",
        "printer-1",
        1,
        state,
        granted_at=NOW - timedelta(seconds=granted_s),
        window_s=60,
        not_after=NOW + timedelta(seconds=left_s),
    )
    silence = model.after_silence(known, NOW, online=online, away=away)
    if silence is Silence.WITHDRAW:
        assert state in model.FREE
    if silence is Silence.DOUBT:
        assert state in {State.GRANTED, *model.MOVING}
        assert not online


@pytest.mark.parametrize(
    ("state", "meant"),
    [
        (State.OFFERED, Silence.WITHDRAW),
        (State.STAGED, Silence.WITHDRAW),
        (State.GRANTED, Silence.DOUBT),
        (State.RUNNING, Silence.DOUBT),
        (State.UNKNOWN, Silence.DOUBT),
        (State.FINISHED, Silence.NOTHING),
    ],
)
def test_an_attempt_that_a_hello_does_not_list(state: State, meant: Silence):
    assert model.forgotten(state, listed=False, offer_stored=True) is meant
    for listed, stored in ((True, True), (False, False)):
        known = model.forgotten(state, listed=listed, offer_stored=stored)
        assert known is Silence.NOTHING
