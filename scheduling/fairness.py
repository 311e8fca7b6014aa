"""Who was paid how much for the hours offered, and what counts tomorrow for who was paid little.

It promises credits that grow slowly while a lab is paid less than its share, shrink again after,
and stay within what members granted; it never changes what anybody is paid.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduling.problem import MONEY_MAX_MINOR, ProblemError

_PERMILLE = 1000
_STEP_MAX_PERMILLE = 100_000
_JOBS_MAX = 10**6


@dataclass(frozen=True)
class Account:
    """What a lab offered and was paid over some time, by process; `jobs` it was given so far."""

    lab: str
    offered_s: Mapping[str, int] = field(hash=False)
    paid_minor: Mapping[str, int] = field(hash=False)
    jobs: int = 0

    def __post_init__(self) -> None:
        for name in ("offered_s", "paid_minor"):
            for process, number in getattr(self, name).items():
                if type(number) is not int or number < 0:
                    raise ProblemError(f"lab {self.lab}: {name} of {process} is {number!r}")

    @property
    def offered_in_all_s(self) -> int:
        return sum(self.offered_s.values())

    @property
    def paid_in_all_minor(self) -> int:
        return sum(self.paid_minor.values())


@dataclass(frozen=True)
class Rule:
    """What members granted.

    A lab is to be paid `target_permille` of its share. A credit moves by `step_permille` times the
    part of the target that is missing (down, where more was paid), between 0 and `most_permille`.
    Where the Gini of the accounts, like for like, is at most `gini_permille`, nobody needs more: of
    each credit `given_back_permille` goes. A lab that was given fewer than `trial_jobs` has
    `trial_minor` more for each job.
    """

    most_permille: int = 150
    step_permille: int = 100
    target_permille: int = 1000
    gini_permille: int = 230
    given_back_permille: int = 100
    trial_minor: int = 0
    trial_jobs: int = 10

    def __post_init__(self) -> None:
        most = {
            "most_permille": _PERMILLE, "step_permille": _STEP_MAX_PERMILLE,
            "target_permille": _STEP_MAX_PERMILLE, "gini_permille": _PERMILLE,
            "given_back_permille": _PERMILLE, "trial_minor": MONEY_MAX_MINOR,
            "trial_jobs": _JOBS_MAX,
        }  # fmt: skip
        for name, limit in most.items():
            number = getattr(self, name)
            if type(number) is not int or not 0 <= number <= limit:
                raise ProblemError(f"rule: {name} is {number!r}; give a whole number to {limit}")


@dataclass(frozen=True)
class Credit:
    """As `Lab.credit_permille` and `Lab.trial_minor`."""

    permille: int = 0
    trial_minor: int = 0


def shares(accounts: Sequence[Account]) -> dict[str, int]:
    """By lab: what it would have been paid, had all offered hours of a process been paid alike.

    An hour of a mill brings several times that of a printer; so a lab's income is compared with
    that of the same hours of the same processes elsewhere.
    """
    offered, paid = Counter[str](), Counter[str]()
    for each in accounts:
        offered.update(each.offered_s)
        paid.update(each.paid_minor)
    return {
        each.lab: sum(
            seconds * paid[process] // offered[process]
            for process, seconds in each.offered_s.items()
            if seconds
        )
        for each in accounts
    }


def ginis(accounts: Sequence[Account]) -> tuple[float, float]:
    """Of income per offered hour as it is; and like for like, against the shares."""
    share, paid = shares(accounts), [each.paid_in_all_minor for each in accounts]
    hours = [each.offered_in_all_s for each in accounts]
    return gini(paid, hours), gini(paid, [share[each.lab] for each in accounts])


def credits_after(
    accounts: Sequence[Account], today: Mapping[str, Credit], rule: Rule
) -> dict[str, Credit]:
    """By lab: the credit of tomorrow, from all that was offered and paid so far and today's credit.

    A slow step of dual ascent: the credit is the price of "paid at least the target".
    """
    share, (_, unlike) = shares(accounts), ginis(accounts)
    granted = {each.lab: today.get(each.lab, Credit()).permille for each in accounts}
    step = _given_back if unlike * _PERMILLE <= rule.gini_permille else _stepped
    return {
        each.lab: Credit(
            min(step(granted[each.lab], each, share[each.lab], rule), rule.most_permille),
            rule.trial_minor if each.jobs < rule.trial_jobs else 0,
        )
        if each.offered_in_all_s
        else Credit()
        for each in accounts
    }


def _given_back(permille: int, _account: Account, _share_minor: int, rule: Rule) -> int:
    return permille * (_PERMILLE - rule.given_back_permille) // _PERMILLE


def _stepped(permille: int, account: Account, share_minor: int, rule: Rule) -> int:
    target = share_minor * rule.target_permille
    if not target:
        return permille
    missing = target - account.paid_in_all_minor * _PERMILLE
    step = abs(missing) * rule.step_permille // target
    return max(0, permille + step if missing > 0 else permille - step)


def gini(incomes: Iterable[int], hours: Iterable[int]) -> float:
    """Of income per hour, each lab weighing as its hours: 0 all alike, near 1 one has all.

    Half the mean difference of two hours' pay, relative to the mean pay; of labs i with income a
    and hours h: sum over all i, j of |a_i h_j - a_j h_i| / (2 sum a sum h). C. Gini, Variabilità e
    mutabilità, 1912; with weights as in Lerman and Yitzhaki, Journal of Econometrics 42, 1989.
    Income without hours counts in neither sum. 0.0 where nothing was paid.
    """
    pairs = [(a, h) for a, h in zip(incomes, hours, strict=True) if h]
    paid, offered = (sum(each) for each in zip(*pairs, strict=True)) if pairs else (0, 0)
    if not paid:
        return 0.0
    apart = sum(abs(a * other_h - other_a * h) for a, h in pairs for other_a, other_h in pairs)
    return apart / (2 * paid * offered)
