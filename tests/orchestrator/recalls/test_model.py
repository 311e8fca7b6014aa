"""What a recall is, which versions lie in a range, and which units it meets at its borders."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.recalls import model
from orchestrator.recalls.model import (
    Made,
    OfLot,
    OfMachine,
    OfPart,
    OfReleases,
    Recall,
    State,
    Todo,
)
from orchestrator.recalls.service import Wish

MADRID = ZoneInfo("Europe/Madrid")
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
A, B = "a" * 64, "b" * 64


def a_make(began: datetime = NOON, ended: datetime | None = None, **changes: object) -> Made:
    plain = {"release": A, "part": "hook", "file": B, "material": "pla", "lot": "PLA 2611-A",
             "agent": "nord", "machine": "printer-1", "began_at": began,
             "ended_at": ended or began}  # fmt: skip
    return Made(**{**plain, **changes})  # pyright: ignore[reportArgumentType]


def a_recall(
    scope: OfReleases | OfPart | OfLot | OfMachine, lifted: datetime | None = None
) -> Recall:
    return Recall("r-1", scope, "it breaks", Todo.RETURN, NOON, lifted)


# ── states


@pytest.mark.parametrize("start", State)
@pytest.mark.parametrize("end", State)
def test_a_recall_moves_along_its_table_alone(start: State, end: State) -> None:
    if (start, end) in model.MOVES:
        assert model.move(start, end) is end
    else:
        with pytest.raises(model.IllegalMove):
            model.move(start, end)


# ── borders


@pytest.mark.parametrize(
    ("began", "ended", "met"),
    [
        (NOON - TICK, NOON - TICK, False),
        (NOON, NOON, True),
        (NOON - timedelta(hours=2), NOON, True),
        (NOON - timedelta(hours=2), NOON + timedelta(hours=2), True),
        (NOON + timedelta(hours=1) - TICK, NOON + timedelta(hours=3), True),
        (NOON + timedelta(hours=1), NOON + timedelta(hours=3), False),
    ],
    ids=["before", "at since", "ends at since", "around", "begins just before until", "at until"],
)
def test_a_span_is_half_open(began: datetime, ended: datetime, met: bool) -> None:
    span = OfMachine(agent="nord", machine="printer-1", since=NOON, until=NOON + timedelta(hours=1))
    assert model.affected(a_recall(span), a_make(began, ended)) is met


def test_the_hour_that_clocks_repeat_is_two_hours() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=MADRID, fold=0)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=MADRID, fold=1)
    span = OfMachine(agent="nord", machine="printer-1", since=second)
    assert span.since == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert not model.affected(a_recall(span), a_make(first.astimezone(UTC)))
    assert model.affected(a_recall(span), a_make(second.astimezone(UTC)))


def test_what_is_begun_once_it_was_lifted_is_not_met() -> None:
    recall = a_recall(OfReleases(releases=(A,)), lifted=NOON)
    assert model.affected(recall, a_make(NOON - TICK, NOON + timedelta(days=1)))
    assert not model.affected(recall, a_make(NOON))


@pytest.mark.parametrize("written", ["pla 2611-a", " PLA  2611-A ", "PLA2611-A", "ＰＬＡ 2611-A"])
def test_a_lot_is_known_however_it_is_spelt(written: str) -> None:
    assert model.affected(a_recall(OfLot(lot=written)), a_make())
    assert model.affected(a_recall(OfLot(lot="PLA 2611-A")), a_make(lot=written))


@pytest.mark.parametrize(
    ("scope", "met"),
    [
        (OfLot(lot="2611-A"), False),
        (OfLot(lot="PLA 2611-A", material="petg"), False),
        (OfPart(release=B, part="hook"), False),
        (OfPart(release=B, part="hook", files=(B,)), True),
        (OfPart(release=A, part="other"), False),
        (OfMachine(agent="nord", machine="printer-2", since=NOON), False),
        (OfMachine(agent="sud", machine="printer-1", since=NOON), False),
    ],
)
def test_only_what_is_named_is_met(scope: OfLot | OfPart | OfMachine, met: bool) -> None:
    assert model.affected(a_recall(scope), a_make()) is met


def test_what_was_never_written_down_matches_nothing() -> None:
    assert not model.affected(a_recall(OfLot(lot="None")), a_make(lot=None))
    assert not model.affected(a_recall(OfPart(release=B, part="x", files=(A,))), a_make(file=None))


@given(lot=st.text(max_size=90))
def test_a_lot_is_refused_or_has_a_key(lot: str) -> None:
    try:
        scope = OfLot(lot=lot)
    except ValidationError:
        return
    assert model.lot_key(scope.lot)
    assert model.lot_key(scope.lot) == model.lot_key(lot)


# ── versions


def test_versions_are_in_the_order_of_semver_org() -> None:
    inorder = ["0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2",
               "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2"]  # fmt: skip
    keys = [model.version_key(version) for version in inorder]
    assert None not in keys
    assert sorted(keys) == keys  # pyright: ignore[reportArgumentType]
    assert model.version_key("1.0") == model.version_key("1.0.0+build.7")


@pytest.mark.parametrize(
    ("version", "first", "last", "lies"),
    [
        ("1.2.0", "1.2.0", "1.2.0", True),
        ("1.10.0", "1.2.0", "1.9.9", False),
        ("1.10.0", "1.2.0", None, True),
        ("1.0.0-rc.1", "1.0.0", None, False),
        ("draft", "1.0.0", None, None),
        ("1.0.0", None, "latest", None),
        ("2026-11-30", "1.0.0", None, None),
        ("1.5.0-rc.1", "1.0.0", "2.0.0", True),
        ("1.4.0", "v1.2", "2", True),
    ],
)
def test_a_range_takes_both_its_ends_in(
    version: str, first: str | None, last: str | None, lies: bool | None
) -> None:
    assert model.within(version, first, last) is lies


# ── wishes


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "name one of"),
        ({"release": A, "lot": "x"}, "name one of"),
        ({"design": "hook", "part": "hook"}, "part goes with a release"),
        ({"release": A, "everywhere": True}, "everywhere goes with a part"),
        ({"lot": "x", "since": NOON}, "since goes with a machine"),
        ({"machine": "nord/printer-1"}, "give since"),
        ({"machine": "nord/printer-1", "since": datetime(2026, 11, 3)}, "timezone"),  # noqa: DTZ001
        ({"machine": "printer-1", "since": NOON}, "pattern"),
        ({"release": A, "first_version": "1.0.0"}, "goes with a design"),
        ({"lot": " \u3000 "}, "blank"),
        ({"lot": "a\x00b"}, "control"),
        ({"lot": "x", "reason": "  "}, "at least 1 character"),
    ],
)
def test_a_wish_that_is_not_clear_is_refused(wish: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Wish.model_validate({"reason": "it breaks", "by": "Ona", **wish})
