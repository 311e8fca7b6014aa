import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.fairness import Account, Credit, Rule, credits_after, gini, ginis, shares
from scheduling.problem import ProblemError

HOUR = 3600
amounts = st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**6)), min_size=1, max_size=12)


def account(
    name: str, paid: int, hours: int = 10, process: str = "print", jobs: int = 99
) -> Account:
    return Account(name, {process: hours * HOUR}, {process: paid}, jobs)


def test_gini_of_what_is_known_by_hand() -> None:
    assert gini([5, 5, 5], [1, 1, 1]) == 0.0
    assert gini([2, 4], [1, 2]) == 0.0  # twice the hours, twice the income
    assert gini([0, 0, 0, 8], [1, 1, 1, 1]) == 0.75
    assert gini([1, 3], [1, 1]) == 0.25
    assert gini([1, 3], [3, 1]) == 0.5
    assert gini([0, 0], [1, 1]) == gini([], []) == gini([7], [0]) == 0.0


@given(amounts)
def test_gini_is_that_of_as_many_labs_as_there_are_hours(some: list[tuple[int, int]]) -> None:
    """A lab of h hours counts as h labs of one; between 0 and 1; the unit does not matter."""
    incomes, hours = [a for a, _ in some], [h for _, h in some]
    found = gini(incomes, hours)
    assert 0 <= found < 1
    assert gini([7 * a for a in incomes], [3 * h for h in hours]) == pytest.approx(found)
    halves = [a for a in incomes for _ in range(2)], [h for h in hours for _ in range(2)]
    assert gini(*halves) == pytest.approx(found)


@given(amounts, st.data())
def test_gini_falls_when_the_rich_give_to_the_poor(
    some: list[tuple[int, int]], data: st.DataObject
) -> None:
    incomes, hours = [a for a, _ in some], [h for _, h in some]
    by_pay = sorted(range(len(some)), key=lambda at: incomes[at] / hours[at])
    poor, rich = by_pay[0], by_pay[-1]
    total, apart = hours[poor] + hours[rich], incomes[rich] * hours[poor]
    most = (apart - incomes[poor] * hours[rich]) // total
    given_ = data.draw(st.integers(0, max(0, most)))
    before = gini(incomes, hours)
    incomes[rich] -= given_
    incomes[poor] += given_
    assert gini(incomes, hours) <= before + 1e-12


def test_a_share_is_what_the_same_hours_bring_on_average() -> None:
    accounts = [account("a", 300), account("b", 100), account("c", 9000, process="mill")]
    assert shares(accounts) == {"a": 200, "b": 200, "c": 9000}
    plain, alike = ginis(accounts)
    assert plain > 0.6
    assert alike < 0.03


def test_credits_grow_for_who_was_paid_little_and_shrink_for_who_was_paid_much() -> None:
    accounts = [account("a", 100), account("b", 300), account("idle", 0, hours=0)]
    rule = Rule(most_permille=40, step_permille=30, gini_permille=0)
    today = {"b": Credit(20), "idle": Credit(9, 9)}
    first = credits_after(accounts, today, rule)
    assert {lab: each.permille for lab, each in first.items()} == {"a": 15, "b": 5, "idle": 0}
    for _ in range(5):
        first = credits_after(accounts, first, rule)
    assert {lab: each.permille for lab, each in first.items()} == {"a": 40, "b": 0, "idle": 0}


def test_credits_are_given_back_where_income_is_spread_enough() -> None:
    accounts = [account("a", 200), account("b", 220)]
    found = credits_after(accounts, {"a": Credit(50)}, Rule(gini_permille=100))
    assert (found["a"].permille, found["b"].permille) == (45, 0)


def test_a_new_lab_is_tried_until_it_has_had_some_jobs() -> None:
    accounts = [account("new", 0, jobs=2), account("old", 100), account("shut", 0, 0, jobs=0)]
    found = credits_after(accounts, {}, Rule(trial_minor=150, trial_jobs=3))
    assert {lab: each.trial_minor for lab, each in found.items()} == {
        "new": 150, "old": 0, "shut": 0
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 500), st.integers(0, 20)), max_size=9
    ),
    st.integers(0, 1000), st.integers(0, 10**5), st.integers(0, 3000), st.integers(0, 1000),
)  # fmt: skip
def test_no_credit_is_beyond_what_members_granted(
    labs: list[tuple[int, int, int]], most: int, step: int, target: int, unlike: int
) -> None:
    accounts = [account(f"lab{at}", *each[:2], jobs=each[2]) for at, each in enumerate(labs)]
    rule = Rule(most, step, target, unlike, trial_minor=5)
    found = credits_after(accounts, {"lab0": Credit(1000, 3)}, rule)
    assert list(found) == [each.lab for each in accounts]
    for each in accounts:
        its = found[each.lab]
        assert 0 <= its.permille <= (most if each.offered_in_all_s else 0)
        assert its.trial_minor in {0, 5}


def test_absurd_numbers_are_refused_by_name() -> None:
    with pytest.raises(ProblemError, match="rule: most_permille is 1001"):
        Rule(most_permille=1001)
    with pytest.raises(ProblemError, match="lab a: paid_minor of print is -1"):
        account("a", -1)
