import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fablab_agents.book import Attempt, Mark
from fablab_agents.config import Hours, Machine, Policy
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Bed, Condition
from fablab_agents.reconciler import (
    CLAIM_LIFE_S,
    DENIALS_MAX,
    GRANT_LIFE_S,
    Accept,
    Claim,
    Desk,
    LiveClaim,
    Prepare,
    Recover,
    Refuse,
    Stage,
    Start,
    Stop,
    Tombstone,
    View,
    Withdraw,
    against_not_started,
    next_actions,
    waits_for,
)
from tests.fablab_agents.conftest import make_ticket
from tests.fablab_agents.test_journal import AT, NOW, PROGRAM, grant_of

LASER = Machine(
    id="laser-1", profile="generic-laser-400", driver="grbl", link="/p", materials=("plywood",)
)
PRINTER = Machine(
    id="printer-1", profile="generic-fdm-220", driver="marlin", link="/q", materials=("pla",)
)
NONCE = "0" * 32


def attempt(state: State, **changes: Any) -> Attempt:
    fields = {"estimate_s": 3600, "not_after": NOW + timedelta(hours=1), "attempt": "a-1"}
    ticket = make_ticket(**{**fields, **changes.pop("ticket", {})})
    program = None if state is State.OFFERED else PROGRAM
    row = Attempt(ticket.attempt, ticket, ticket.machine, ticket.fence, state, NOW, program)
    return row._replace(**changes)


def mark(attempt: str | None = "a-1", age_s: float = 0, **changes: Any) -> Mark:
    row = Mark("laser-1", Bed.CLEAR, attempt, "Ana", "b1", AT.elapsed_s - age_s)
    return row._replace(**changes)


def desk(**changes: Any) -> Desk:
    row = Desk(LASER, "laser", offered=True, condition=Condition.IDLE, mark=mark())
    return row._replace(**changes)


def view(*attempts: Attempt, at: Desk | None = None, **changes: Any) -> View:
    row = View(
        moment=AT,
        boot="b1",
        local=NOW,
        policy=Policy(),
        desks={"laser-1": at or desk()},
        attempts=attempts,
        connected=True,
    )
    return row._replace(**changes)


def claimed(age_s: float = 1.0, **changes: Any) -> dict[str, LiveClaim]:
    sent_s = AT.elapsed_s - age_s
    return {"a-1": LiveClaim("a-1", NONCE, sent_s, sent_s)._replace(**changes)}


def granting(row: Attempt, **changes: Any) -> dict[str, Any]:
    grant = grant_of(row.ticket, NONCE).model_copy(update=changes)
    return {"claims": claimed(), "grants": {"a-1": grant}}


def test_an_offer_is_accepted_by_the_shops_rule() -> None:
    assert next_actions(view(attempt(State.OFFERED))) == (Accept("a-1"),)


def test_without_the_rule_an_offer_waits_for_a_person() -> None:
    seen = view(attempt(State.OFFERED), policy=Policy(auto_accept=False))
    assert next_actions(seen) == ()
    assert waits_for(seen, "laser-1") == "accept"


@pytest.mark.parametrize(
    ("at", "ticket", "words"),
    [
        (desk(offered=False), {}, "not offered"),
        (desk(kind="mill"), {}, "does not do laser_cutting"),
        (desk(entry=LASER.model_copy(update={"materials": ("mdf",)})), {}, "has no plywood"),
        (desk(entry=LASER.model_copy(update={"thickness_max_mm": 2.0})), {}, "at most 2 mm"),
        (desk(), {"machine": "laser-9"}, "no machine laser-9"),
    ],
)
def test_what_the_shop_does_not_make_is_refused_in_words(
    at: Desk, ticket: dict[str, Any], words: str
) -> None:
    [action] = next_actions(view(attempt(State.OFFERED, ticket=ticket), at=at))
    assert isinstance(action, Refuse)
    assert words in action.why


def test_a_program_far_beyond_the_quote_is_refused() -> None:
    [action] = next_actions(view(attempt(State.ACCEPTED, ticket={"estimate_s": 49})))
    assert isinstance(action, Refuse)
    assert "quoted again" in action.why
    assert next_actions(view(attempt(State.ACCEPTED, ticket={"estimate_s": 50}))) == (Stage("a-1"),)


@pytest.mark.parametrize("state", [State.OFFERED, State.ACCEPTED, State.STAGED])
def test_an_offer_that_ran_out_is_withdrawn(state: State) -> None:
    [action] = next_actions(view(attempt(state, ticket={"not_after": NOW})))
    assert isinstance(action, Withdraw)


def test_an_accepted_offer_is_prepared_then_staged_then_claimed() -> None:
    assert next_actions(view(attempt(State.ACCEPTED, program=None))) == (Prepare("a-1"),)
    assert next_actions(view(attempt(State.ACCEPTED))) == (Stage("a-1"),)
    assert next_actions(view(attempt(State.STAGED))) == (Claim("a-1", again=False),)


def test_while_somebody_works_on_it_nothing_more_is_done() -> None:
    row = attempt(State.ACCEPTED, program=None)
    assert next_actions(view(row, busy=frozenset({"a-1"}))) == ()


def test_a_failed_fetch_rests_before_it_is_tried_again() -> None:
    row = attempt(State.ACCEPTED, program=None)
    assert next_actions(view(row, not_before_s={"a-1": AT.elapsed_s + 1})) == ()
    assert next_actions(view(row, not_before_s={"a-1": AT.elapsed_s})) == (Prepare("a-1"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"connected": False},
        {"trouble": "the disk is full"},
        {"at": desk(condition=Condition.OFFLINE)},
        {"at": desk(condition=Condition.RUNNING)},
        {"at": desk(mark=None)},
        {"at": desk(mark=mark(age_s=120))},
        {"at": desk(mark=mark(attempt="a-2"))},
        {"at": desk(mark=mark(bed=Bed.OCCUPIED))},
        {"at": desk(mark=mark(boot="b0"))},
    ],
)
def test_nothing_is_claimed_while_anything_speaks_against_it(changes: dict[str, Any]) -> None:
    assert next_actions(view(attempt(State.STAGED), **changes)) == ()


def test_a_printer_starts_alone_only_in_the_shops_hours() -> None:
    row = attempt(
        State.STAGED,
        machine="printer-1",
        ticket={
            "machine": "printer-1",
            "recipe": make_ticket().recipe.model_copy(
                update={"process": "3d_printing_fdm", "material": "pla"}
            ),
        },
    )
    at = desk(entry=PRINTER, kind="fdm", mark=mark(attempt=None))
    seen = view(row, desks={"printer-1": at})
    assert next_actions(seen) == (Claim("a-1", again=False),)
    night = seen._replace(policy=Policy(unattended_hours=Hours.read("20:00-06:00")))
    assert next_actions(night) == ()
    watched = at._replace(entry=PRINTER.model_copy(update={"attended": True}))
    assert next_actions(seen._replace(desks={"printer-1": watched})) == ()
    assert waits_for(seen._replace(desks={"printer-1": watched}), "printer-1") == "start"


def test_a_claim_is_repeated_with_its_nonce_then_given_up_for_a_new_one() -> None:
    row = attempt(State.STAGED)
    assert next_actions(view(row, claims=claimed(1.0))) == ()
    assert next_actions(view(row, claims=claimed(2.0))) == (Claim("a-1", again=True),)
    assert next_actions(view(row, claims=claimed(CLAIM_LIFE_S))) == (Claim("a-1", again=False),)


def test_denials_are_tried_again_and_then_believed() -> None:
    row = attempt(State.STAGED)
    few = view(row, denials={"a-1": (DENIALS_MAX - 1, "not yet")})
    assert next_actions(few) == (Claim("a-1", again=False),)
    [action] = next_actions(view(row, denials={"a-1": (DENIALS_MAX, "revoked")}))
    assert isinstance(action, Withdraw)
    assert "revoked" in action.why


def test_a_claim_on_its_way_is_settled_before_the_attempt_is_ended() -> None:
    row = attempt(State.STAGED)
    closed = desk(offered=False)
    assert next_actions(view(row, at=closed, claims=claimed())) == ()
    [action] = next_actions(view(row, at=closed, claims=claimed(CLAIM_LIFE_S)))
    assert isinstance(action, Withdraw)


def test_a_grant_that_fits_starts() -> None:
    row = attempt(State.STAGED)
    given = granting(row)
    assert next_actions(view(row, **given)) == (Start("a-1", given["grants"]["a-1"]),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "1" * 32},
        {"boot": "b0"},
        {"agent": "lab-sued"},
        {"machine": "laser-2"},
        {"fence": 2},
        {"program": "b" * 64},
        {"window_s": 1},
    ],
)
def test_a_grant_that_differs_in_one_word_starts_nothing(wrong: dict[str, Any]) -> None:
    row = attempt(State.STAGED)
    [action] = next_actions(view(row, **granting(row, **wrong)))
    assert isinstance(action, Tombstone)


@pytest.mark.parametrize(
    "at",
    [
        desk(condition=Condition.OFFLINE),
        desk(condition=Condition.ATTENTION),
        desk(mark=None),
        desk(mark=mark(age_s=121)),
        desk(offered=False),
    ],
)
def test_a_grant_that_cannot_be_used_any_more_becomes_a_tombstone(at: Desk) -> None:
    row = attempt(State.STAGED)
    [action] = next_actions(view(row, at=at, **granting(row)))
    assert isinstance(action, Tombstone)


def test_with_a_sick_disk_a_grant_waits_and_what_moves_is_still_stopped() -> None:
    row = attempt(State.STAGED)
    assert next_actions(view(row, trouble="full", **granting(row))) == ()
    moving = attempt(State.RUNNING, stop_why="cancelled")
    sick = view(moving, trouble="full", busy=frozenset({"a-1"}))
    assert next_actions(sick) == (Stop("a-1", "cancelled"),)
    assert next_actions(sick._replace(stopping=frozenset({"a-1"}))) == ()


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.PAUSED, State.UNKNOWN])
def test_an_attempt_that_has_not_ended_keeps_its_machine(state: State) -> None:
    first = attempt(state, handle="h", ticket={"attempt": "a-0", "jobs": ("j-0",)})
    second = attempt(State.STAGED)
    seen = view(first, second, busy=frozenset({"a-0"}))
    assert next_actions(seen) == ()
    [action] = next_actions(seen._replace(**granting(second)))
    assert isinstance(action, Tombstone)


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.PAUSED])
def test_what_moved_in_an_earlier_boot_is_asked_for(state: State) -> None:
    assert next_actions(view(attempt(state))) == (Recover("a-1"),)
    assert next_actions(view(attempt(state), not_before_s={"a-1": AT.elapsed_s + 1})) == ()


def test_an_unknown_attempt_is_asked_for_once_and_then_waits_for_a_person() -> None:
    row = attempt(State.UNKNOWN, handle="h")
    assert next_actions(view(row)) == (Recover("a-1"),)
    seen = view(row, asked=frozenset({"a-1"}))
    assert next_actions(seen) == ()
    assert waits_for(seen, "laser-1") == "unknown decision"


def test_what_people_are_waited_for() -> None:
    assert waits_for(view(), "laser-1") is None
    assert waits_for(view(attempt(State.ACCEPTED, program=None)), "laser-1") is None
    assert waits_for(view(attempt(State.ACCEPTED), at=desk(mark=None)), "laser-1") == "start"
    assert waits_for(view(attempt(State.STAGED)), "laser-1") is None
    assert waits_for(view(attempt(State.PAUSED)), "laser-1") == "stop decision"
    printer = desk(entry=PRINTER, kind="fdm", mark=None)
    row = attempt(State.STAGED, machine="printer-1")
    assert waits_for(view(row, desks={"printer-1": printer}), "printer-1") == "bed clear"


STATES = st.sampled_from(sorted(State))
AGES = st.sampled_from([-5.0, 0.0, 1.0, 59.0, 61.0, 119.0, 121.0, 13 * 3600.0])


@given(
    states=st.lists(STATES, min_size=1, max_size=3),
    condition=st.sampled_from(Condition),
    bed=st.sampled_from(Bed),
    pressed=st.sampled_from(["a-0", "a-1", None]),
    mark_age_s=AGES,
    claim_age_s=AGES,
    changed=st.sampled_from([{}, {"nonce": "1" * 32}, {"boot": "b0"}, {"program": "b" * 64}]),
    connected=st.booleans(),
    offered=st.booleans(),
    busy=st.booleans(),
    trouble=st.sampled_from([None, "full"]),
)
def test_a_start_has_everything_on_its_side(  # noqa: PLR0913
    *,
    states: list[State],
    condition: Condition,
    bed: Bed,
    pressed: str | None,
    mark_age_s: float,
    claim_age_s: float,
    changed: dict[str, Any],
    connected: bool,
    offered: bool,
    busy: bool,
    trouble: str | None,
) -> None:
    rows = [
        attempt(state, ticket={"attempt": f"a-{nr}", "jobs": (f"j-{nr}",)})
        for nr, state in enumerate(states)
    ]
    row = rows[0]
    sent_s = AT.elapsed_s - claim_age_s
    seen = view(
        *rows,
        at=desk(condition=condition, offered=offered, mark=mark(pressed, mark_age_s, bed=bed)),
        connected=connected,
        trouble=trouble,
        busy=frozenset({"a-0"} if busy else ()),
        claims={"a-0": LiveClaim("a-0", NONCE, sent_s, sent_s)},
        grants={"a-0": grant_of(row.ticket, NONCE).model_copy(update=changed)},
    )
    for action in next_actions(seen):
        if isinstance(action, Start):
            assert action.attempt == "a-0"
            assert row.state is State.STAGED
            assert not busy
            assert not changed
            assert trouble is None
            assert offered
            assert condition is Condition.IDLE
            assert bed is Bed.CLEAR
            assert pressed == "a-0"
            assert 0 <= mark_age_s < 120
            assert 0 <= claim_age_s < 60
            others = [other.state for other in rows[1:]]
            assert not {State.STARTING, State.RUNNING, State.PAUSED, State.UNKNOWN} & set(others)


@pytest.mark.parametrize("state", [State.OFFERED, State.ACCEPTED, State.STAGED])
def test_what_no_trusted_key_stands_behind_is_not_made(state: State) -> None:
    row = attempt(state)
    [action] = next_actions(view(row, distrusted=frozenset({"a-1"}), **granting(row)))
    assert not isinstance(action, Accept | Prepare | Claim | Start)


def test_a_running_part_goes_on_whoever_signed_its_ticket() -> None:
    running = attempt(State.RUNNING, handle="h")
    seen = view(running, busy=frozenset({"a-1"}), distrusted=frozenset({"a-1"}))
    assert next_actions(seen) == ()


@pytest.mark.parametrize(
    ("nonce", "witnessed", "welcomed_s", "words"),
    [
        (None, True, None, "does not answer this computer"),
        (None, True, AT.elapsed_s, "another computer in this lab's name .* in 6 min"),
        (None, True, AT.elapsed_s - GRANT_LIFE_S + 1, "in 1 min"),
        (None, True, AT.elapsed_s - GRANT_LIFE_S, None),
        (NONCE, False, AT.elapsed_s, "another computer"),
        (NONCE, False, AT.elapsed_s - GRANT_LIFE_S, None),
        (NONCE, True, None, None),
    ],
)
def test_nobody_says_not_started_while_a_double_could_still_start_it(
    nonce: str | None, witnessed: bool, welcomed_s: float | None, words: str | None
) -> None:
    row = attempt(State.UNKNOWN, nonce=nonce)
    why = against_not_started(view(row, witnessed=witnessed, welcomed_s=welcomed_s), row)
    assert why is None if words is None else re.search(words, why or "")
