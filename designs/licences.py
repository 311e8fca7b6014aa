"""What a design's licence lets us do: list it, make it for money or for free, fork it.

It gives no legal advice and never guesses: a licence it does not know allows nothing.
"""

import re
import tomllib
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseExpression,
    Licensing,
    get_spdx_licensing,
)
from pydantic import BaseModel, ConfigDict

from designs.design import LICENCE_LONGEST

ANY = "*"


class Act(StrEnum):
    LIST = "list"
    MAKE_PAID = "make_paid"
    MAKE_FREE = "make_free"
    FORK = "fork"


class Outcome(StrEnum):
    DENIED = "denied"
    NEEDS_GRANT = "needs_grant"
    ALLOWED = "allowed"


_STRENGTH = {Outcome.DENIED: 0, Outcome.NEEDS_GRANT: 1, Outcome.ALLOWED: 2}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(_Value):
    """`licence`: the branch of the expression it stands on. `source_needed`: whoever gets the part
    must be able to get the source. `fork_as`: what a changed version may carry, "*" for any.
    """

    outcome: Outcome
    why: str
    licence: str
    open: bool
    notices: tuple[str, ...] = ()
    duties: tuple[str, ...] = ()
    source_needed: bool = False
    fork_as: frozenset[str] = frozenset()

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOWED


class _Row(_Value):
    ids: tuple[str, ...]
    names: tuple[str, ...] = ()
    cite: str
    open: bool = True
    fork_as: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    duties: tuple[str, ...] = ()
    source: bool = False
    denied: dict[Act, str] = {}
    grant: dict[Act, str] = {}


def judge(expression: str | None, act: Act) -> Verdict:
    """The verdict on an SPDX expression; AND applies every licence, OR the one that serves best."""
    tree = _parsed(_meant(expression))
    return _unknown(expression) if tree is None else _judged(tree, act)


def normal(expression: str | None) -> str | None:
    """The SPDX expression somebody means ("cc by 4.0" is CC-BY-4.0), or None if we know none."""
    tree = _parsed(_meant(expression))
    if tree is None or set(_spdx().unknown_license_keys(tree)) - _ROWS.keys():
        return None
    return str(tree)


def citation(licence: str) -> str | None:
    """Where the verdict on one licence id stands written."""
    row = _ROWS.get(licence)
    return row.cite if row else None


def _judged(tree: LicenseExpression, act: Act) -> Verdict:
    if isinstance(tree, (AND, OR)):
        branches = [_judged(branch, act) for branch in tree.args]
        if isinstance(tree, OR):
            return max(branches, key=lambda v: (_STRENGTH[v.outcome], v.open, -len(v.duties)))
        return _both(branches, act, str(tree))
    return _single(str(tree), act)


def _single(licence: str, act: Act) -> Verdict:
    row = _ROWS.get(licence)
    if row is None:
        return _unknown(licence)
    outcome, why = Outcome.ALLOWED, f"{licence} allows it"
    if act in row.denied:
        outcome, why = Outcome.DENIED, f"{licence}: {row.denied[act]}"
    elif act in row.grant:
        outcome, why = Outcome.NEEDS_GRANT, f"{licence}: {row.grant[act]}"
    return Verdict(
        outcome=outcome,
        why=why,
        licence=licence,
        open=row.open,
        notices=row.notices,
        duties=row.duties,
        source_needed=row.source,
        fork_as=row.fork_as,
    )


def _both(parts: list[Verdict], act: Act, licence: str) -> Verdict:
    """All at once: the strictest outcome, every notice and duty, the licences all can fork as."""
    worst = min(parts, key=lambda v: _STRENGTH[v.outcome])
    fork_as = _common([v.fork_as for v in parts])
    outcome, why = worst.outcome, worst.why
    if outcome is Outcome.ALLOWED:
        why = f"{licence} allows it"
        if act is Act.FORK and not fork_as:
            outcome, why = Outcome.DENIED, f"no licence satisfies all of {licence} at once"
    return Verdict(
        outcome=outcome,
        why=why,
        licence=licence,
        open=all(v.open for v in parts),
        notices=tuple(dict.fromkeys(n for v in parts for n in v.notices)),
        duties=tuple(dict.fromkeys(d for v in parts for d in v.duties)),
        source_needed=any(v.source_needed for v in parts),
        fork_as=fork_as,
    )


def _common(sets: list[frozenset[str]]) -> frozenset[str]:
    strict = [s for s in sets if ANY not in s]
    return frozenset.intersection(*strict) if strict else frozenset({ANY})


def _unknown(expression: str | None) -> Verdict:
    said = (expression or "").strip()[:80]
    if not said or said.upper() in {"NONE", "NOASSERTION"}:
        why = "no licence is given: ask who made it, or mark it as your own work"
    else:
        why = f"we do not know the licence {said!r}: name it by its SPDX id (https://spdx.org/licenses)"
    return Verdict(outcome=Outcome.DENIED, why=why, licence=said, open=False)


def _meant(expression: str | None) -> str:
    """A longer expression than a release can hold is unknown; it is never cut."""
    text = (expression or "").strip()
    return "" if len(text) > LICENCE_LONGEST else _NAMES.get(_bare(text), text)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _parsed(expression: str) -> LicenseExpression | None:
    """The expression's tree, None if it is no expression."""
    try:
        return _spdx().parse(expression)
    except (ExpressionError, ValueError, TypeError, AttributeError, RecursionError):
        return None


@cache
def _spdx() -> Licensing:
    return get_spdx_licensing()


def _table() -> list[_Row]:
    text = resources.files("designs").joinpath("licences.toml").read_text("utf-8")
    raw: list[Any] = tomllib.loads(text)["licence"]
    return [_Row.model_validate(row) for row in raw]


_ROWS = {licence: row for row in _table() for licence in row.ids}
_NAMES = {_bare(name): row.ids[0] for row in _ROWS.values() for name in row.names} | {
    _bare(licence): licence for licence in _ROWS
}
