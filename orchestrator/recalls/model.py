"""Pure decisions about recalls: their states, what they withdraw, which made things they meet.

It never reads a store or a clock. Spans of time are half-open and compared in UTC; the query in
`makes.recalled` says the same as `affected` here, and a test holds one against the other.
"""

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from semver import Version

from designs.design import Sha256, Slug, Word
from orchestrator.catalogue import versions

MOST_RELEASES: Final = 1000


class State(StrEnum):
    OPEN = "open"
    SETTLED = "settled"
    """What had to be done about the units is done; what was withdrawn stays withdrawn."""
    LIFTED = "lifted"
    """It may be made and used again; what was recalled keeps that in its history."""


_S = State
MOVES: Final = frozenset({(_S.OPEN, _S.SETTLED), (_S.OPEN, _S.LIFTED), (_S.SETTLED, _S.LIFTED)})


class IllegalMove(Exception):
    """A recall cannot become that from where it stands."""


def move(state: State, to: State) -> State:
    if (state, to) not in MOVES:
        raise IllegalMove(f"a recall that is {state} cannot become {to}")
    return to


class Todo(StrEnum):
    """What holders are asked to do."""

    STOP_USING = "stop_using"
    RETURN = "return"
    FREE_REPLACEMENT = "free_replacement"


WORDS: Final = {
    Todo.STOP_USING: "Stop using it.",
    Todo.RETURN: "Stop using it and bring it back to the lab.",
    Todo.FREE_REPLACEMENT: "Stop using it; the lab replaces it free of charge.",
}


# ── what is withdrawn


def tidy(words: str) -> str:
    """A lot as people wrote it down, without what nobody meant: outer and double spaces."""
    return " ".join(unicodedata.normalize("NFKC", words).split())


def lot_key(lot: str) -> str:
    """Equal for two spellings of one lot: upper and lower case, spaces, width of letters."""
    return "".join(unicodedata.normalize("NFKC", lot).casefold().split())


def _written(words: str) -> str:
    said = tidy(words)
    if not said:
        raise ValueError("a lot is written in letters and figures; this is blank")
    if not said.isprintable():
        raise ValueError("a lot is written in letters and figures, without control characters")
    return said


Lot = Annotated[str, StringConstraints(max_length=80), AfterValidator(_written)]
_Utc = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OfReleases(_Value):
    """Everything made from these releases."""

    kind: Literal["release"] = "release"
    releases: tuple[Sha256, ...] = Field(min_length=1, max_length=MOST_RELEASES)


class OfPart(_Value):
    """One part of a release; with `files` also what was made from these files elsewhere."""

    kind: Literal["part"] = "part"
    release: Sha256
    part: Slug
    files: tuple[Sha256, ...] = Field(default=(), max_length=100)


class OfLot(_Value):
    """Everything made of a lot of material; lots of two makers may have one number: `material`."""

    kind: Literal["lot"] = "lot"
    lot: Lot
    material: Word | None = None


class OfMachine(_Value):
    """Everything that a machine worked on at any moment from `since` until before `until`."""

    kind: Literal["machine"] = "machine"
    agent: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    machine: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    since: _Utc
    until: _Utc | None = None
    """None: until the recall is lifted."""

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("the span ends before it begins")
        return self

    def covers(self, moment: datetime) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)

    def meets(self, began: datetime, ended: datetime) -> bool:
        """Whether work from `began` to `ended`, both included, falls into it."""
        return self.since <= ended and (self.until is None or began < self.until)


Scope = Annotated[OfReleases | OfPart | OfLot | OfMachine, Field(discriminator="kind")]
SCOPE: Final[TypeAdapter[OfReleases | OfPart | OfLot | OfMachine]] = TypeAdapter(Scope)


@dataclass(frozen=True)
class Recall:
    """A recall as far as a decision asks for it."""

    id: str
    scope: OfReleases | OfPart | OfLot | OfMachine
    reason: str
    todo: Todo
    opened_at: datetime
    lifted_at: datetime | None = None

    @property
    def in_force(self) -> bool:
        return self.lifted_at is None


@dataclass(frozen=True)
class Made:
    """A made unit as far as a recall asks for it. It was worked on from `began_at` to `ended_at`.

    What is None was never recorded; nothing matches it.
    """

    release: str
    part: str
    file: str | None
    material: str
    lot: str | None
    agent: str
    machine: str
    began_at: datetime
    ended_at: datetime


def affected(recall: Recall, made: Made) -> bool:
    """Whether this unit is recalled, or was before the recall was lifted.

    What was begun once it was lifted is not; what was made before it was opened is.
    """
    # Two moments of one zone are compared by their clocks, which repeat an hour: hence UTC.
    began, ended = made.began_at.astimezone(UTC), made.ended_at.astimezone(UTC)
    if recall.lifted_at is not None and began >= recall.lifted_at.astimezone(UTC):
        return False
    match recall.scope:
        case OfReleases(releases=releases):
            return made.release in releases
        case OfPart(release=release, part=part, files=files):
            return (made.release, made.part) == (release, part) or made.file in files
        case OfLot(lot=lot, material=material):
            known = made.lot is not None and lot_key(made.lot) == lot_key(lot)
            return known and material in {None, made.material}
        case OfMachine() as span:
            same = (made.agent, made.machine) == (span.agent, span.machine)
            return same and span.meets(began, ended)


def forbids(recall: Recall, release: str, part: str, files: Collection[str]) -> bool:
    """Whether this part may not be made while the recall is in force.

    `files`: what the part is made from, its alternatives among them.
    """
    if not recall.in_force:
        return False
    match recall.scope:
        case OfReleases(releases=releases):
            return release in releases
        case OfPart(release=of, part=name, files=same):
            return (release, part) == (of, name) or not set(same).isdisjoint(files)
        case _:
            return False


def same(one: Scope, other: Scope) -> bool:
    """Whether two scopes withdraw the same, a lot in whatever way it is written."""
    if isinstance(one, OfLot) and isinstance(other, OfLot):
        return (lot_key(one.lot), one.material) == (lot_key(other.lot), other.material)
    return one == other


def releases_of(scope: OfReleases | OfPart | OfLot | OfMachine) -> tuple[str, ...]:
    """The releases that it names."""
    match scope:
        case OfReleases(releases=releases):
            return releases
        case OfPart(release=release):
            return (release,)
        case _:
            return ()


def shown(
    scope: OfReleases | OfPart | OfLot | OfMachine, what: str, hidden: Collection[str]
) -> tuple[OfReleases | OfPart | OfLot | OfMachine | None, str]:
    """What everybody is told of it: no hash and no title of the `hidden` releases."""
    named = releases_of(scope)
    left = tuple(each for each in named if each not in hidden)
    if len(left) == len(named):
        return scope, what
    return (OfReleases(releases=left), what) if left else (None, "work that is not public")


def machines_out(recalls: Iterable[Recall], now: datetime) -> set[str]:
    """`agent/machine` of those on which nothing is to be made now."""
    return {
        f"{recall.scope.agent}/{recall.scope.machine}"
        for recall in recalls
        if recall.in_force and isinstance(recall.scope, OfMachine) and recall.scope.covers(now)
    }


def refusal(what: str, recall: Recall) -> str:
    """Why it cannot be ordered, in a maker's words."""
    since = f"{recall.opened_at.day} {recall.opened_at:%b %Y}"
    return (
        f"{what} is recalled since {since}: {recall.reason}. "
        f"It cannot be ordered while recall {recall.id} stands"
    )


# ── versions in their order


def version_key(version: str) -> Version | None:
    """Sorts versions as semver.org section 11 does; None for what the catalogue reads as none."""
    read, _, key = versions.rank(versions.spelled(version))
    return key if read else None


def within(version: str, first: str | None, last: str | None) -> bool | None:
    """Whether a version lies from `first` to `last`, both included; None: it cannot be told."""
    here, low, high = (version_key(each) for each in (version, first or version, last or version))
    if here is None or low is None or high is None:
        return None
    return low <= here <= high
