"""What a design's licence lets us do: list it, make it for money or for free, change it, fork it,
combine it with another; and what goes with every part that is made.

It gives no legal advice and never guesses: a licence it does not know allows nothing. What it
knows stands in licences.toml, each row with the text it is read from.
"""

import re
import tomllib
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseExpression,
    LicenseSymbol,
    Licensing,
    get_spdx_licensing,
)
from pydantic import BaseModel, ConfigDict, Field

from designs.design import LICENCE_LONGEST, Line
from designs.errors import Refused

ANY = "*"
_NOTHING = {"NONE", "NOASSERTION", "LICENSEREF-NONE", "LICENSEREF-NOASSERTION"}


class Act(StrEnum):
    """`alter`: make it with changed geometry, scaled for instance; `fork`: publish it changed."""

    LIST = "list"
    MAKE_PAID = "make_paid"
    MAKE_FREE = "make_free"
    ALTER = "alter"
    FORK = "fork"


class Outcome(StrEnum):
    DENIED = "denied"
    NEEDS_GRANT = "needs_grant"
    ALLOWED = "allowed"


_STRENGTH = {Outcome.DENIED: 0, Outcome.NEEDS_GRANT: 1, Outcome.ALLOWED: 2}


class Enclosed(StrEnum):
    """What of the design itself a licence wants to go with every part."""

    COPYRIGHT = "copyright"
    TEXT = "text"
    NOTICES = "notices"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grant(_Value):
    """What a rights holder permits beyond the licence, as recorded.

    `licence` None: whatever the design carries. `since` and `until` are days, both included.
    `fee_cents` for each piece and `share_pct` of what a lab asks for it are owed to them on top.
    """

    number: Line
    by: Line
    acts: frozenset[Act] = Field(min_length=1)
    licence: str | None = None
    since: date | None = None
    until: date | None = None
    most_units: int | None = Field(default=None, ge=1)
    fee_cents: int | None = Field(default=None, ge=0)
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    share_pct: float | None = Field(default=None, ge=0, le=100)


class Asked(_Value):
    """For what a grant is looked at: on which day, how many, how many it was used for before."""

    on: date
    units: int = Field(default=1, ge=1)
    units_before: int = Field(default=0, ge=0)


class Verdict(_Value):
    """`licence`: the branch of the expression it stands on. `source_needed`: whoever gets the part
    must be able to get the source, for `source_years` after they got it. `fork_as`: what a changed
    version may carry, "*" for any. `grant`: the one that it stands on.
    """

    outcome: Outcome
    why: str
    licence: str
    open: bool
    notices: tuple[str, ...] = ()
    encloses: frozenset[Enclosed] = frozenset()
    duties: tuple[str, ...] = ()
    source_needed: bool = False
    source_years: int = 0
    fork_as: frozenset[str] = frozenset()
    grant: Grant | None = None

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOWED


class Combined(_Value):
    """Two licences in one work. `licences`: what the whole may carry, "*" for any that keeps the
    notices of both; `licence`: the one to take. `apart`: they may still be separate parts of an
    assembly, each under its own.
    """

    outcome: Outcome
    why: str
    licence: str | None = None
    licences: frozenset[str] = frozenset()
    apart: bool = False


class Work(_Value):
    """What notices are about; `until` is the last day that the source is promised for, `grants`
    are what it was made under.

    `holder`: whom its copyright line names, None if nobody is known. `texts` and `own_notices`:
    addresses of files that came with it, of its licence's text and of what it wants told.
    """

    title: Line
    version: Line
    licensor: Line
    holder: Line | None = None
    source: str | None = None
    texts: tuple[str, ...] = ()
    own_notices: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    until: date | None = None
    grants: tuple[Grant, ...] = ()


class _Row(_Value):
    ids: tuple[str, ...]
    cite: str
    open: bool = True
    fork_as: frozenset[str] = frozenset()
    combine_as: frozenset[str] | None = None
    never_in: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    encloses: frozenset[Enclosed] = frozenset()
    duties: tuple[str, ...] = ()
    source: bool = False
    source_years: int = 0
    denied: dict[Act, str] = {}
    grant: dict[Act, str] = {}


def judge(
    expression: str | None, act: Act, grant: Grant | None = None, asked: Asked | None = None
) -> Verdict:
    """The verdict on an SPDX expression; AND applies every licence, OR the one that serves best.

    A grant lifts what needs one, within its limits; what is denied stays denied. A grant with an
    end or a limit counts only if `asked` says the day and the number.
    """
    tree = _parsed(_meant(expression))
    return _unknown(expression) if tree is None else _judged(tree, act, grant, asked)


def forks_as(expression: str | None) -> frozenset[str]:
    """Every licence that a changed version may carry, by any branch; "*" is any; none if empty."""
    tree = _parsed(_meant(expression))
    return frozenset() if tree is None else _reach(tree, _fork_of)


def combine(one: str | None, other: str | None) -> Combined:
    """Whether two works may be merged into one, and what that one may carry."""
    a, b = _parsed(_meant(one)), _parsed(_meant(other))
    if a is None or b is None or not (known(one) and known(other)):
        return Combined(outcome=Outcome.DENIED, why="we do not know both licences")
    never = _reach_never(a) | _reach_never(b)
    both = _common([_reach(a, _merge_of), _reach(b, _merge_of)]) - never
    apart = all(judge(str(tree), Act.LIST).allowed for tree in (a, b))
    if not both:
        why = f"no licence satisfies {a} and {b} in one work"
        if apart:
            why += "; as separate parts of an assembly each keeps its own"
        return Combined(outcome=Outcome.DENIED, why=why, apart=apart)
    licence = _chosen(both, str(a), str(b))
    return Combined(
        outcome=Outcome.ALLOWED,
        why=f"the whole may carry {licence}",
        licence=licence,
        licences=both,
        apart=apart,
    )


def notices(verdict: Verdict, work: Work) -> tuple[str, ...]:
    """The lines for delivery note and passport; raises Refused where the source is owed and no
    address of it is known.
    """
    if verdict.source_needed and not work.source:
        raise Refused(
            f"{verdict.licence} wants whoever gets the part to get the source, and none is named",
            work.title,
            "Name an address where the complete source can be had",
        )
    lines = [f"{work.title} {work.version}, by {work.licensor}", *anonymous(verdict)]
    lines += enclosed(verdict, work)
    if work.source:
        until = f", until {work.until.isoformat()} at least" if work.until else ""
        lines.append(f"Complete source: {work.source}{until}")
    lines += [f"Changed: {change}" for change in work.changes]
    grants = (*([verdict.grant] if verdict.grant else []), *work.grants)
    lines += [f"Made under grant {each.number} of {each.by}" for each in grants]
    return tuple(dict.fromkeys(lines))


def anonymous(verdict: Verdict) -> tuple[str, ...]:
    """The licence's name, where its text is and its own words: what says nothing of the work."""
    return (f"Licence: {verdict.licence}", *texts(verdict), *verdict.notices)


def texts(verdict: Verdict) -> tuple[str, ...]:
    """Where the text of each licence in it is."""
    found = [(name, _own_text(name)) for name in _named_in(verdict)]
    return tuple(f"{name}: {address}" for name, address in found if address)


def enclosed(verdict: Verdict, work: Work) -> tuple[str, ...]:
    """Those lines that are the design's own: its copyright line, its files of licence and notices.

    What is asked for and not there is no line; `to_add` names it.
    """
    lines: list[str] = []
    if Enclosed.COPYRIGHT in verdict.encloses and work.holder:
        lines.append(f"© {work.holder}")
    if Enclosed.TEXT in verdict.encloses:
        lines += [f"Its licence's text: {address}" for address in work.texts]
    if Enclosed.NOTICES in verdict.encloses:
        lines += [f"Its own notices: {address}" for address in work.own_notices]
    return tuple(lines)


def to_add(verdict: Verdict, work: Work) -> tuple[str, ...]:
    """What the licence wants with a part and is not known here: whoever hands it over adds it."""
    left: list[str] = []
    if Enclosed.COPYRIGHT in verdict.encloses and not work.holder:
        left.append("Add the design's copyright notice: nobody is named here who holds its rights")
    if Enclosed.TEXT in verdict.encloses and not work.texts:
        missing = [name for name in _named_in(verdict) if not _own_text(name)]
        left += [f"Add the text of {name}" for name in missing]
    if Enclosed.NOTICES in verdict.encloses and not work.own_notices:
        left.append("Add the design's own notices, if it has any: no file NOTICE came with it")
    return tuple(left)


def source_until(verdict: Verdict, handed_over: date) -> date | None:
    """The last day that the source has to be reachable; None where no span is set."""
    if not verdict.source_years:
        return None
    year = handed_over.year + verdict.source_years
    try:
        return handed_over.replace(year=year)
    except ValueError:  # 29 February
        return date(year, 3, 1)


def normal(expression: str | None) -> str | None:
    """The SPDX expression somebody means ("cc by 4.0" is CC-BY-4.0), or None if we know none."""
    tree = _parsed(_meant(expression))
    if tree is None or set(_spdx().unknown_license_keys(tree)) - _ROWS.keys():
        return None
    return str(tree)


def known(expression: str | None) -> bool:
    """Whether each licence in it has a row in the table."""
    tree = _parsed(_meant(expression))
    return tree is not None and None not in map(_row, _leaves(tree))


def says_something(expression: str) -> bool:
    """Whether it names a licence at all: NONE and NOASSERTION do not."""
    return expression.strip().upper() not in _NOTHING | {""}


def is_expression(text: str) -> bool:
    """Whether it is an SPDX expression as it stands, of SPDX's licences or LicenseRef-…"""
    tree = _parsed(text.strip()) if len(text) <= LICENCE_LONGEST else None
    if tree is None:
        return False
    strange: list[str] = _spdx().unknown_license_keys(tree)
    return all(re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", key) for key in strange)


def named(expression: str) -> tuple[str, ...]:
    """The licences that an expression names, each once; a WITH stays together."""
    told = re.split(r"\s+(?:AND|OR)\s+|[()]", expression, flags=re.IGNORECASE)
    return tuple(dict.fromkeys(each.strip() for each in told if each.strip()))


def citation(licence: str) -> str | None:
    """Where the verdict on one licence id stands written."""
    row = _row(licence)
    return row.cite if row else None


def table() -> tuple[str, ...]:
    """Every licence id that the table knows."""
    return tuple(sorted(_ROWS))


def _judged(tree: LicenseExpression, act: Act, grant: Grant | None, asked: Asked | None) -> Verdict:
    if isinstance(tree, (AND, OR)):
        branches = [_judged(branch, act, grant, asked) for branch in tree.args]
        if isinstance(tree, OR):
            return max(branches, key=_serves)
        return _both(branches, act, str(tree))
    return _single(str(tree), act, grant, asked)


def _serves(verdict: Verdict) -> tuple[int, bool, bool, int]:
    free = verdict.grant is None
    return _STRENGTH[verdict.outcome], free, verdict.open, -len(verdict.duties)


def _single(licence: str, act: Act, grant: Grant | None, asked: Asked | None) -> Verdict:
    row = _row(licence)
    if row is None:
        return _unknown(licence)
    outcome, why, used = Outcome.ALLOWED, f"{licence} allows it", None
    if act in row.denied:
        outcome, why = Outcome.DENIED, f"{licence}: {row.denied[act]}"
    elif act in row.grant:
        outcome, why = Outcome.NEEDS_GRANT, f"{licence}: {row.grant[act]}"
        limit = "" if grant is None else _falls_short(grant, licence, act, asked)
        if grant is not None and not limit:
            outcome, why, used = Outcome.ALLOWED, f"{grant.by} grants it ({grant.number})", grant
        elif limit:
            why = f"{why}; {limit}"
    return Verdict(
        outcome=outcome,
        why=why,
        licence=licence,
        open=row.open,
        notices=row.notices,
        encloses=row.encloses,
        duties=row.duties,
        source_needed=row.source,
        source_years=row.source_years,
        fork_as=frozenset() if Act.FORK in row.denied else row.fork_as,
        grant=used,
    )


def _falls_short(grant: Grant, licence: str, act: Act, asked: Asked | None) -> str:
    """Why a grant does not cover what is asked; empty if it does."""
    name = f"grant {grant.number}"
    if act not in grant.acts:
        return f"{name} is for something else"
    if grant.licence is not None and grant.licence != licence:
        return f"{name} is for {grant.licence}"
    if asked is None:
        limits = (grant.since, grant.until, grant.most_units)
        bounded = any(limit is not None for limit in limits)
        return f"{name} has limits, and nobody said when and how many" if bounded else ""
    if grant.since is not None and asked.on < grant.since:
        return f"{name} begins on {grant.since.isoformat()}"
    if grant.until is not None and asked.on > grant.until:
        return f"{name} ended on {grant.until.isoformat()}"
    if grant.most_units is not None and asked.units_before + asked.units > grant.most_units:
        return f"{name} is for {grant.most_units} pieces, {asked.units_before} were made"
    return ""


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
        encloses=frozenset[Enclosed]().union(*(v.encloses for v in parts)),
        duties=tuple(dict.fromkeys(d for v in parts for d in v.duties)),
        source_needed=any(v.source_needed for v in parts),
        source_years=max(v.source_years for v in parts),
        fork_as=fork_as,
        grant=next((v.grant for v in parts if v.grant and outcome is Outcome.ALLOWED), None),
    )


# What a result may carry: OR gives the reach of each branch, AND what all of them reach.


def _reach(tree: LicenseExpression, of: Callable[[_Row], frozenset[str]]) -> frozenset[str]:
    if isinstance(tree, AND):
        return _common([_reach(branch, of) for branch in tree.args])
    if isinstance(tree, OR):
        reached = frozenset[str]().union(*(_reach(branch, of) for branch in tree.args))
        return frozenset({ANY}) if ANY in reached else reached
    row = _row(str(tree))
    return frozenset() if row is None else of(row)


def _fork_of(row: _Row) -> frozenset[str]:
    return frozenset() if Act.FORK in row.denied else row.fork_as


def _merge_of(row: _Row) -> frozenset[str]:
    whole = row.fork_as if row.combine_as is None else row.combine_as
    return frozenset() if Act.FORK in row.denied else whole


def _reach_never(tree: LicenseExpression) -> frozenset[str]:
    """Licences that every branch keeps out of."""
    if isinstance(tree, (AND, OR)):
        sets = [_reach_never(branch) for branch in tree.args]
        return frozenset.union(*sets) if isinstance(tree, AND) else frozenset.intersection(*sets)
    row = _row(str(tree))
    return frozenset() if row is None else row.never_in


def _common(sets: list[frozenset[str]]) -> frozenset[str]:
    strict = [s for s in sets if ANY not in s]
    return frozenset.intersection(*strict) if strict else frozenset({ANY})


def _chosen(licences: frozenset[str], one: str, other: str) -> str:
    """One of the two where that may be, so that nothing third comes in; else the first by name."""
    if ANY in licences:
        return one if one == other else f"({one}) AND ({other})"
    return next((name for name in (one, other) if name in licences), min(licences))


def _row(licence: str) -> _Row | None:
    """X+, "or any later version", holds at least what X holds: by that it is judged.

    So is X WITH one of SPDX's exceptions, which permit more than X and take nothing away.
    """
    plain, _, exception = licence.partition(" WITH ")
    found = _ROWS.get(licence) or _LATER.get(licence)
    return found or (_row(plain) if exception in _exceptions() else None)


def _leaves(tree: LicenseExpression) -> list[str]:
    if isinstance(tree, (AND, OR)):
        return [name for branch in tree.args for name in _leaves(branch)]
    return [str(tree)]


def _named_in(verdict: Verdict) -> list[str]:
    tree = _parsed(verdict.licence)
    return [name for name in ([] if tree is None else _leaves(tree)) if _row(name)]


def _own_text(licence: str) -> str | None:
    """Where its own text stands; what a row cites is that of its first licence only."""
    row = _row(licence)
    if row is None:
        return None
    if licence not in _ROWS:
        licence = licence.partition(" WITH ")[0].removesuffix("+")
    if cc := re.fullmatch(r"CC-((?:BY|SA)[A-Z-]*)-(\d\.\d)(?:-([A-Z]+))?", licence):
        return (
            f"https://creativecommons.org/licenses/{'/'.join(filter(None, cc.groups())).lower()}/"
        )
    cited = re.match(r"https?://[^\s,]+", row.cite)
    if licence == row.ids[0] or " " in licence:
        return cited[0] if cited else None
    return (
        None if licence.startswith("LicenseRef-") else f"https://spdx.org/licenses/{licence}.html"
    )


def _unknown(expression: str | None) -> Verdict:
    said = (expression or "").strip()[:80]
    if not said or said.upper() in _NOTHING:
        why = "no licence is given: ask who made it, or mark it as your own work"
    else:
        why = f"we do not know the licence {said!r}: name it by its SPDX id (https://spdx.org/licenses)"
    return Verdict(outcome=Outcome.DENIED, why=why, licence=said, open=False)


def _meant(expression: str | None) -> str:
    """A longer expression than a release can hold is unknown; it is never cut."""
    text = (expression or "").strip()
    return "" if len(text) > LICENCE_LONGEST else _NAMES.get(_bare(text), text)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def _parsed(expression: str) -> LicenseExpression | None:
    """The expression's tree, None if it is no expression."""
    try:
        return _spdx().parse(expression)
    except (ExpressionError, ValueError, TypeError, AttributeError, RecursionError, IndexError):
        return None


@cache
def _spdx() -> Licensing:
    """What SPDX knows, and X+ for each of ours that it has no "or later" of."""
    spdx = get_spdx_licensing()
    symbols: list[LicenseSymbol] = list(spdx.known_symbols.values())
    said = {name.lower() for s in symbols for name in (s.key, *s.aliases)}
    later = [LicenseSymbol(name) for name in _LATER if name.lower() not in said]
    return Licensing([*symbols, *later])


@cache
def _exceptions() -> frozenset[str]:
    """Those on SPDX's own list."""
    symbols: list[LicenseSymbol] = list(_spdx().known_symbols.values())
    return frozenset(
        s.key for s in symbols if s.is_exception and not s.key.startswith("LicenseRef-")
    )


def _read() -> tuple[dict[str, _Row], dict[str, str]]:
    text = resources.files("designs").joinpath("licences.toml").read_text("utf-8")
    raw: dict[str, Any] = tomllib.loads(text)
    rows = [_Row.model_validate(row) for row in raw["licence"]]
    return {licence: row for row in rows for licence in row.ids}, raw["names"]


_ROWS, _WRITTEN = _read()
_LATER = {f"{k}+": row for k, row in _ROWS.items() if re.fullmatch(r"(?!LicenseRef)[\w.-]+", k)}
_NAMES = {_bare(name): licence for name, licence in _WRITTEN.items()} | {
    _bare(licence): licence for licence in _ROWS
}
