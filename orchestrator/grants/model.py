"""Pure decisions about grants: whom one covers, and what a design with all it stands on permits.

It denies by default: a grant covers exactly what it names, and a fork needs one of everybody whose
licence wants one, up to the root.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from designs import licences
from designs.design import Line
from designs.licences import Act, Asked, Grant, Outcome
from orchestrator.catalogue import ancestry, versions

MOST: Final = 1000
"""Grants of one design, withdrawn ones among them: none is ever deleted."""
_NO_CONTROLS: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_Said = Annotated[Line, StringConstraints(strip_whitespace=True)]
_Words = Annotated[str, StringConstraints(strip_whitespace=True, pattern=_NO_CONTROLS)]
_Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$")]


class Whom(StrEnum):
    EVERYBODY = "everybody"
    LAB = "lab"
    PERSON = "person"
    """Whoever contracts for labs under that name."""


class Wish(BaseModel):
    """What is granted. Exactly one of everybody, lab (id or name) and person; days are UTC.

    Without versions it is for all there are and will be under the licence of today.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    everybody: bool = False
    lab: _Said | None = None
    person: _Said | None = None
    acts: frozenset[Act] = Field(default=frozenset({Act.MAKE_PAID}), min_length=1)
    first_version: _Version | None = None
    last_version: _Version | None = None
    since: date | None = None
    until: date | None = None
    most_units: int | None = Field(default=None, ge=1, le=1_000_000_000)
    fee_cents: int | None = Field(default=None, ge=0, le=1_000_000_000)
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    share_pct: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    terms: _Words = Field(default="", max_length=2000)
    reference: _Words = Field(default="", max_length=500)
    """Where the permission stands written: a letter, a contract, an address."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if [self.everybody, self.lab is not None, self.person is not None].count(True) != 1:
            raise ValueError("say to whom: everybody, one lab or one person")
        if (self.fee_cents is None) != (self.currency is None):
            raise ValueError("a fee needs its currency, and a currency its fee")
        if self.since and self.until and self.until < self.since:
            raise ValueError("it ends before it begins: exchange since and until")
        unread = [v for v in (self.first_version, self.last_version) if v and not _is_read(v)]
        if unread:
            raise ValueError(f"version {unread[0]} has no place in an order: write it as 1.2.0")
        first, last = self.first_version, self.last_version
        if first and last and versions.rank(last) < versions.rank(first):
            raise ValueError("its last version is below its first: exchange them")
        return self

    @property
    def whom(self) -> Whom:
        if self.everybody:
            return Whom.EVERYBODY
        return Whom.LAB if self.lab is not None else Whom.PERSON


def _is_read(version: str) -> bool:
    return versions.rank(version)[0]


@dataclass(frozen=True)
class Lab:
    """`party` contracts for it and takes the money."""

    id: str
    party: str


@dataclass(frozen=True)
class Recorded:
    """A grant that stands. `licence`: what the design carried when it was recorded; `used`: pieces
    ordered under it.
    """

    grant: Grant
    licence: str
    whom: Whom
    name: str
    first: str | None = None
    last: str | None = None
    used: int = 0


@dataclass(frozen=True)
class Step:
    """A release with the grants of its design: the one asked about, then what it was forked from.

    `key` names the design whose key may grant; None where it is not published here.
    """

    title: str
    version: str
    licence: str
    licensor: str
    key: str | None
    grants: tuple[Recorded, ...] = ()


@dataclass(frozen=True)
class Permit:
    """What a lab may do, and under which grants; `why` not, empty where it may."""

    grants: tuple[Grant, ...] = ()
    why: str = ""


def covers(whom: Whom, name: str, lab: Lab) -> bool:
    """Whether it is granted to this lab."""
    if whom is Whom.EVERYBODY:
        return True
    return lab.id == name if whom is Whom.LAB else ancestry.same(lab.party, name)


def meets(recorded: Recorded, step: Step, lab: Lab) -> bool:
    """Whether it speaks of this release at this lab."""
    return (
        recorded.licence == step.licence
        and within(step.version, recorded.first, recorded.last)
        and covers(recorded.whom, recorded.name, lab)
    )


def within(version: str, first: str | None, last: str | None) -> bool:
    """Both ends included; what has no place in the order is in no range."""
    if first is None and last is None:
        return True
    low, at, high = (versions.rank(each or version) for each in (first, version, last))
    return at[0] and low <= at <= high


def permit(
    line: Sequence[Step], lab: Lab, on: date, units: int, act: Act = Act.MAKE_PAID
) -> Permit:
    """Whether a lab may do it with a release, `line[0]`, and all that it was forked from.

    An older licence counts only where it wants a grant: what else it asks was looked at when the
    fork was published.
    """
    used: list[Grant] = []
    for place, step in enumerate(line):
        outcome = licences.judge(step.licence, act).outcome
        if outcome is Outcome.ALLOWED or (place and outcome is Outcome.DENIED):
            continue
        found, why = _granted(step, lab, on, units, act)
        if found is None:
            return Permit(why=why)
        used.append(found)
    return Permit(grants=tuple(used))


def _granted(step: Step, lab: Lab, on: date, units: int, act: Act) -> tuple[Grant | None, str]:
    """The first grant that lifts what the licence holds back and is not undercut, or why none does.

    A lab to which two are given would use the one that asks less.
    """
    why, lift = licences.judge(step.licence, act).why, list[Grant]()
    for each in step.grants:
        if meets(each, step, lab):
            asked = Asked(on=on, units=units, units_before=each.used)
            verdict = licences.judge(step.licence, act, each.grant, asked)
            why = verdict.why
            lift += [verdict.grant] if verdict.grant else []
    for grant in lift:
        if not any(_undercuts(other, grant) for other in lift):
            return grant, ""
    return None, f"{step.title} {step.version}, {why}"


def _undercuts(one: Grant, other: Grant) -> bool:
    """Whether it asks less, and nothing more; fees in two currencies are not compared."""
    fee, share = one.fee_cents or 0, one.share_pct or 0
    its_fee, its_share = other.fee_cents or 0, other.share_pct or 0
    if (fee, share) == (its_fee, its_share) or (fee and one.currency != other.currency):
        return False
    return fee <= its_fee and share <= its_share


def lacking(line: Iterable[Step], act: Act = Act.MAKE_PAID) -> Iterable[Step]:
    """Those of a line whose licence wants a grant."""
    for step in line:
        if licences.judge(step.licence, act).outcome is Outcome.NEEDS_GRANT:
            yield step


def what_helps(line: Sequence[Step]) -> str:
    """Whom to ask for what; empty where no grant would help."""
    if licences.judge(line[0].licence, Act.MAKE_PAID).outcome is Outcome.DENIED:
        return ""
    asked = [
        f"Ask {step.licensor} to grant it to the lab: whoever has the key of {step.key} records "
        f"that on the design's page or with cosmolocal grant new {step.key}"
        if step.key
        else f"{step.title} by {step.licensor} is not published here, so no grant for it can be "
        "recorded: publish it here first"
        for step in lacking(line)
    ]
    return ". ".join(asked)
