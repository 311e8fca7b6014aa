"""What somebody is looking for: read from the address, told in words, written back into one.

Pure: it knows no store. Every field is a filter, a name it does not know is refused with the list.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from designs import licences
from designs.errors import Finding, Severity
from designs.processes import MATERIALS, PROCESSES, find_material, find_process
from orchestrator.catalogue.search.documents import um
from orchestrator.catalogue.search.tables import ENDLESS
from orchestrator.catalogue.search.words import LONGEST_QUESTION, MOST_WORDS, question

PAGE: Final = 24
MOST_ON_A_PAGE: Final = 100
WITHIN_KM: Final = 50.0
_MOST_VALUES: Final = 60
_LONGEST_VALUE: Final = 300
_TITLES: Final = {each.id: each.title for each in (*PROCESSES, *MATERIALS)}


@dataclass(frozen=True)
class Box:
    """Width, depth and height of what a part has to fit into, in whole micrometres."""

    x: int
    y: int
    z: int

    @property
    def words(self) -> str:
        sides = [f"{side / 1000:g}" for side in (self.x, self.y, self.z) if side < ENDLESS]
        return " × ".join(sides)

    @property
    def text(self) -> str:
        return self.words.replace(" × ", "x")


@dataclass(frozen=True)
class Place:
    lat: float
    lon: float

    @property
    def text(self) -> str:
        return f"{self.lat:.8g},{self.lon:.8g}"


@dataclass(frozen=True)
class Cursor:
    """After which design a page begins: how well its words fitted, and its moment."""

    tier: int
    id: int

    @property
    def text(self) -> str:
        return f"{self.tier}.{self.id}"


@dataclass(frozen=True)
class Query:
    """Several processes, materials, licences or formats: all of them have to be there."""

    q: str = ""
    process: tuple[str, ...] = ()
    material: tuple[str, ...] = ()
    licence: tuple[str, ...] = ()
    sold: bool = False
    changed: bool = False
    fits: Box | None = None
    mass_max: float | None = None
    volume_max: float | None = None
    tolerance: float | None = None
    thickness: float | None = None
    format: tuple[str, ...] = ()
    version: str = ""
    since: date | None = None
    until: date | None = None
    contributor: str = ""
    licensor: str = ""
    forked_from: str = ""
    recipe: bool = False
    inspection: bool = False
    first_article: bool = False
    deprecated: bool | None = None
    made: int | None = None
    near: Place | None = None
    within: float | None = None
    limit: int = PAGE
    after: Cursor | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as they stand in an address, the page left out."""
        found: list[tuple[str, str]] = []
        for name in FIELDS:
            if name not in {"after", "limit"}:
                found += [(name, _written(each)) for each in _set(self, name)]
        return found

    def address(self, path: str = "/", **more: str) -> str:
        told = urlencode([*self.pairs(), *more.items()])
        return f"{path}?{told}" if told else path

    def without(self, name: str, value: object = None) -> "Query":
        """The same without one filter, or without one value of it; from the first page."""
        now = getattr(self, name)
        kept: object = getattr(Query, name)
        if isinstance(now, tuple):
            kept = tuple(each for each in now if each != value)
        changed: dict[str, Any] = {name: kept, "after": None}
        if name == "near":
            changed["within"] = None
        return replace(self, **changed)

    def active(self) -> list["Active"]:
        """Each filter in force, one for each value, in the order of the fields."""
        return [
            Active(name, each, FIELDS[name].told(each, self))
            for name in FIELDS
            if FIELDS[name].told is not _untold
            for each in _set(self, name)
        ]


@dataclass(frozen=True)
class Active:
    name: str
    value: Any
    words: str


@dataclass(frozen=True)
class Able:
    """What one machine can make; whole micrometres, a part is laid on it as its file lies."""

    process: str
    materials: frozenset[str]
    x: int
    y: int
    z: int
    tolerance: int
    thickness: int | None = None


# ── how each field is read


class _Unread(Exception):
    """Why a value cannot be read, and what to write instead."""

    def __init__(self, what: str, do: str) -> None:
        self.what, self.do = what, do
        super().__init__(what)


def _words(text: str) -> str:
    if len(text) > LONGEST_QUESTION:
        raise _Unread(
            f"{len(text)} letters are more than anybody can look up",
            f"write at most {MOST_WORDS} words",
        )
    if (many := len(question(text).words)) > MOST_WORDS:
        raise _Unread(f"{many} words are too many", f"write at most {MOST_WORDS} words")
    return " ".join(text.replace("\0", " ").split())


def _process(text: str) -> str:
    if found := find_process(text):
        return found.id
    known = ", ".join(each.id for each in PROCESSES)
    raise _Unread(f"nobody here knows the process {text!r}", f"use one of {known}")


def _material(text: str) -> str:
    if found := find_material(text):
        return found.id
    known = ", ".join(each.id for each in MATERIALS)
    raise _Unread(f"nobody here knows the material {text!r}", f"use one of {known}")


def _licence(text: str) -> str:
    return licences.normal(text) or text


def _number(low: float, high: float, unit: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        said = re.sub(rf"\s*{unit}$", "", text, flags=re.IGNORECASE).replace(",", ".")
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise _Unread(f"{text!r} is no number of {unit}", f"write one from {low:g} to {high:g}")
        return value

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else low - 1
        if not low <= value <= high:
            raise _Unread(f"{text!r} is no whole number", f"write one from {low} to {high}")
        return value

    return read


def _box(text: str) -> Box:
    """`220` is a cube, `400x300` a bed of any height, `220x220x250` all three; millimetres."""
    said = re.sub(r"mm$", "", text.strip().lower()).replace(",", ".")
    sides = [each.strip() for each in re.split(r"[x×*]", said)]
    try:
        lengths = [um(float(each)) for each in sides if 0 < float(each) <= 100_000]
    except ValueError:
        lengths = []
    if not 1 <= len(sides) == len(lengths) <= 3:
        raise _Unread(
            f"{text!r} is no box",
            "write 220 for a cube, 400x300 for a bed, 220x220x250 for all three sides, in mm",
        )
    if len(lengths) == 1:
        return Box(lengths[0], lengths[0], lengths[0])
    return Box(lengths[0], lengths[1], lengths[2] if len(lengths) > 2 else ENDLESS)


def _place(text: str) -> Place:
    found = re.fullmatch(r"\s*(-?\d{1,3}(?:\.\d+)?)\s*[,; ]\s*(-?\d{1,3}(?:\.\d+)?)\s*", text)
    if not found or abs(float(found[1])) > 90 or abs(float(found[2])) > 180:
        raise _Unread(f"{text!r} is no place", "write latitude and longitude, such as 41.39,2.19")
    return Place(float(found[1]), float(found[2]))


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise _Unread(f"{text!r} is no date", "write it as 2026-11-30") from error
    if not 1970 <= found.year <= 9000:
        raise _Unread(f"nothing was published here in {found.year}", "write a later year")
    return found


def _yes(text: str) -> bool:
    if text.lower() in {"1", "yes", "true", "on"}:
        return True
    raise _Unread(f"{text!r} is not yes", "write yes, or leave it out")


def _yes_or_no(text: str) -> bool:
    if text.lower() in {"0", "no", "false", "off"}:
        return False
    with suppress(_Unread):
        return _yes(text)
    raise _Unread(f"{text!r} is neither yes nor no", "write one of the two, or leave it out")


def _cursor(text: str) -> Cursor:
    if not (found := re.fullmatch(r"([0-2])\.(-?[0-9]{1,18})", text)):
        raise _Unread("this is no page of ours", "begin at the first page, without `after`")
    return Cursor(int(found[1]), int(found[2]))


def _untold(_value: Any, _query: Query) -> str:  # noqa: ANN401
    """For what is no filter."""
    return ""


def _titled(before: str) -> Callable[[Any, Query], str]:
    return lambda value, _: f"{before}{_TITLES.get(value, value)}"


def _said(words: str) -> Callable[[Any, Query], str]:
    """`{}` in the words stands for the value."""
    return lambda value, _: words.format(f"{value:g}" if isinstance(value, float) else value)


@dataclass(frozen=True)
class Field:
    """`told`: the filter in words, for a list of what is in force; `help`: what it asks."""

    read: Callable[[str], Any]
    told: Callable[[Any, Query], str]
    help: str
    many: bool = False


FIELDS: Final[Mapping[str, Field]] = {
    "q": Field(
        _words, _said("“{}”"), "words; each has to be there, or words that begin with the last"
    ),
    "process": Field(_process, _titled(""), "a part is made so; may be given twice", many=True),
    "material": Field(
        _material, _titled(""), "a part (made by one of the processes) is of it", many=True
    ),
    "licence": Field(_licence, _said("{}"), "an SPDX id that the licence names", many=True),
    "sold": Field(
        _yes,
        lambda *_: "may be made for payment by licence",
        "yes: its licence lets every lab make it for payment; what licensors grant is not asked",
    ),
    "changed": Field(_yes, lambda *_: "may be changed", "yes: a changed version may be published"),
    "fits": Field(
        _box,
        lambda box, _: f"fits {box.words} mm",
        "each part (of the processes) fits, turned as it may be: 220, 400x300, 220x220x250 mm",
    ),
    "mass_max": Field(
        _number(0, 1e6, "g"), _said("at most {} g"), "grams of one product, every part solid"
    ),
    "volume_max": Field(_number(0, 1e7, "cm3"), _said("at most {} cm³"), "cm³ of one product"),
    "tolerance": Field(
        _number(0, 100, "mm"), _said("± {} mm is enough"), "mm; no part asks for less than this"
    ),
    "thickness": Field(_number(0.01, 200, "mm"), _said("{} mm sheet"), "mm of a sheet in it"),
    "format": Field(
        lambda text: re.sub(r"[^a-z0-9]+", "_", text.lower().lstrip("."))[:40],
        _said("with {} files"),
        "a file is of this format: stl, 3mf, dxf, svg, step …",
        many=True,
    ),
    "version": Field(str, _said("version {}"), "the version that is listed"),
    "since": Field(_date, _said("since {}"), "published that day or later, 2026-11-30 (UTC)"),
    "until": Field(_date, _said("until {}"), "published that day or before"),
    "contributor": Field(str, _said("by {}"), "the whole name of a contributor or licensor"),
    "licensor": Field(str, _said("licensed by {}"), "the whole name of who holds the rights"),
    "forked_from": Field(
        str, _said("forked from {}"), "a design, a release's hash, an address; * for any fork"
    ),
    "recipe": Field(_yes, lambda *_: "with a recipe", "yes: a part says how to make it"),
    "inspection": Field(
        _yes, lambda *_: "with an inspection plan", "yes: a part says what is measured"
    ),
    "first_article": Field(
        _yes, lambda *_: "wants a first article", "yes: one is made and inspected first"
    ),
    "deprecated": Field(
        _yes_or_no,
        lambda value, _: "deprecated" if value else "not deprecated",
        "yes: only what its designer advises against; no: only what is current",
    ),
    "made": Field(
        _whole(1, 1_000_000),
        _said("made at least {} times"),
        "real parts of it, made and conforming, at least",
    ),
    "near": Field(
        _place,
        lambda place, query: f"makeable within {query.within or WITHIN_KM:g} km of {place.text}",
        "LAT,LON: labs around can make every part now",
    ),
    "within": Field(_number(0.1, 20_100, "km"), _untold, "km around that place, 50 if left out"),
    "limit": Field(_whole(1, MOST_ON_A_PAGE), _untold, "designs on a page, 24 if left out"),
    "after": Field(_cursor, _untold, "`next` of the page before"),
}


@dataclass(frozen=True)
class Read:
    """`findings`: what could not be read; the query is what remains.

    `said`: each field as it was written, cut where it is longer than any field may be.
    """

    query: Query
    findings: tuple[Finding, ...] = ()
    said: Mapping[str, str] = field(default_factory=dict[str, str])


def read(pairs: Sequence[tuple[str, str]]) -> Read:
    """From an address's names and values; empty values mean nothing, as in a form left empty."""
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    filled = [(name, " ".join(text.replace("\0", " ").split())) for name, text in pairs]
    filled = [(name, text) for name, text in filled if text]
    if len(filled) > _MOST_VALUES:
        findings.append(_finding("search", f"{len(filled)} filters", f"at most {_MOST_VALUES}"))
    for name, text in filled[:_MOST_VALUES]:
        try:
            _read_one(values, name, text)
        except _Unread as no:
            findings.append(_finding(name[:40], no.what[:200], no.do))
    said = {name: text[:_LONGEST_VALUE] for name, text in filled[:_MOST_VALUES]}
    return Read(Query(**values), tuple(findings), said)


def _read_one(values: dict[str, Any], name: str, text: str) -> None:
    known = FIELDS.get(name)
    if known is None:
        raise _Unread(f"there is no filter {name[:40]!r}", f"use one of {', '.join(FIELDS)}")
    if len(text) > _LONGEST_VALUE and name != "q":
        raise _Unread(f"{len(text)} letters are too many", f"at most {_LONGEST_VALUE}")
    value = known.read(text)
    if known.many:
        values[name] = tuple(dict.fromkeys((*values.get(name, ()), value)))
    elif name in values and values[name] != value:
        raise _Unread("it is given twice", "give it once")
    else:
        values[name] = value


def _finding(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)


def _set(query: "Query", name: str) -> Iterable[Any]:
    """The values of a field that are not as if nobody had said anything."""
    value = getattr(query, name)
    if value == getattr(Query, name):
        return ()
    return value if isinstance(value, tuple) else (value,)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Box | Place | Cursor):
        return value.text
    return f"{value:.10g}" if isinstance(value, float) else str(value)
