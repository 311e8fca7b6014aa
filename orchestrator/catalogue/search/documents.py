"""What is looked up of a release: a pure translation from the record to rows, tokens and a card."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from designs import licences
from designs.design import DrawingFacts, Part, Release
from designs.okh import Made
from designs.processes import MATERIALS, PROCESSES
from orchestrator.catalogue.search.tables import ENDLESS
from orchestrator.catalogue.search.words import tag, tags, tokens

RULES: Final = "3"
"""Raise it whenever this file, words.py or index.py makes other rows; the index is then renewed."""
BEDS_MM: Final = (120, 180, 220, 256, 300, 350, 400, 500)
_EXCERPT: Final = 240
_PICTURES: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PROCESS: Final = {process.id: process for process in PROCESSES}
_MATERIAL: Final = {material.id: material for material in MATERIALS}


class Card(BaseModel):
    """What a list says of a design; `bed_mm`: the smallest usual cubic bed that every solid fits.

    `may_be_sold` is the licence's own word: a licensor may grant more.
    `mass_g` is that of one product if every part is solid, None where a density is not known.
    """

    model_config = ConfigDict(frozen=True)
    design: str
    sha256: str
    version: str
    title: str
    function: str
    licence: str
    licensor: str
    may_be_sold: bool
    may_be_changed: bool
    processes: tuple[str, ...]
    materials: tuple[str, ...]
    parts: int
    largest_mm: tuple[float, float, float]
    bed_mm: int | None
    mass_g: float | None
    volume_cm3: float
    pictures: tuple[str, ...]
    deprecated: bool
    made: int
    made_in_labs: int
    made_independently: int
    published_at: AwareDatetime


@dataclass(frozen=True)
class PartSizes:
    process: str
    material: str
    flat: bool
    x: int
    y: int
    z: int
    a: int
    b: int
    c: int
    thickness: int
    tolerance: int


@dataclass(frozen=True)
class Standing:
    """What is known of a release beside its record."""

    sha256: str
    published_at: datetime
    deprecated: bool = False
    pictures: Mapping[str, Mapping[str, str]] | None = None
    made: Made = field(default_factory=Made)


@dataclass(frozen=True)
class Document:
    """`scopes`: tokens of title, function, parts and fields, in this order."""

    id: int
    numbers: Mapping[str, int]
    kinds: str
    scopes: tuple[list[str], list[str], list[str], list[str]]
    card: Card
    parts: tuple[PartSizes, ...]


def document(release: Release, standing: Standing) -> Document:
    parts = tuple(_sizes(part) for part in release.parts)
    card = _card(release, standing, parts)
    kinds = [
        *(f"p:{each}" for each in card.processes),
        *(f"m:{each}" for each in card.materials),
        *(f"l:{each}" for each in licences.named(release.licence)),
    ]
    return Document(
        id=moment_id(standing.published_at),
        numbers=_numbers(release, parts, standing.made.total),
        kinds=" ".join(each.replace(" ", "+") for each in kinds),
        scopes=(
            tokens(release.title),
            tokens(release.function),
            tokens(" ".join(_told_of_parts(release))),
            list(dict.fromkeys(_tags(release, card))),
        ),
        card=card,
        parts=parts,
    )


def moment_id(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def um(mm: float) -> int:
    return round(min(max(mm, 0.0), 1e6) * 1000)


def bed(parts: Iterable[PartSizes]) -> int | None:
    """The smallest usual bed, as wide, deep and high, that every solid fits; None for sheets."""
    solids = [part.c for part in parts if not part.flat]
    return next((mm for mm in BEDS_MM if solids and max(solids) <= um(mm)), None)


def _sizes(part: Part) -> PartSizes:
    flat = isinstance(part.facts, DrawingFacts)
    thickness = um(part.thickness_mm or 0)
    sides = [um(side) for side in part.facts.size_mm]
    x, y, z = (*sides, thickness) if flat else sides
    a, b, c = (*sorted((x, y)), thickness) if flat else sorted((x, y, z))
    tolerance = ENDLESS if part.tolerance_mm is None else um(part.tolerance_mm)
    return PartSizes(
        part.process, part.material, flat, x, y, z, a, b, c,
        thickness=thickness, tolerance=tolerance,
    )  # fmt: skip


def _numbers(release: Release, parts: tuple[PartSizes, ...], made: int) -> dict[str, int]:
    solids = [part for part in parts if not part.flat]
    sheets = [part for part in parts if part.flat]
    mass_g = _mass_g(release)
    return {
        "solid_a": max((part.a for part in solids), default=0),
        "solid_b": max((part.b for part in solids), default=0),
        "solid_c": max((part.c for part in solids), default=0),
        "flat_a": max((part.a for part in sheets), default=0),
        "flat_b": max((part.b for part in sheets), default=0),
        "flat_t": max((part.c for part in sheets), default=0),
        "mass_mg": ENDLESS if mass_g is None else round(mass_g * 1000),
        "volume_mm3": round(_volume_mm3(release)),
        "tolerance": min((part.tolerance for part in parts), default=ENDLESS),
        "made": made,
    }


def _part_volume_mm3(part: Part) -> float:
    if isinstance(part.facts, DrawingFacts):
        return min(abs(part.facts.area_mm2) * (part.thickness_mm or 0), 1e12)
    return min(abs(part.facts.volume_mm3), 1e12)


def _volume_mm3(release: Release) -> float:
    return sum(_part_volume_mm3(part) * part.quantity for part in release.parts)


def _mass_g(release: Release) -> float | None:
    """Of one product, every part solid; None where a material's density is not known."""
    total = 0.0
    for part in release.parts:
        material = _MATERIAL.get(part.material)
        if material is None:
            return None
        total += _part_volume_mm3(part) / 1000 * material.density_g_cm3 * part.quantity
    return total


def _card(release: Release, standing: Standing, parts: tuple[PartSizes, ...]) -> Card:
    mass_g = _mass_g(release)
    largest = max(parts, key=lambda part: (part.x * part.y, part.z))
    function = " ".join(release.function.split())
    drawn = standing.pictures or {}
    return Card(
        design=release.design,
        sha256=standing.sha256,
        version=release.version,
        title=release.title,
        function=function if len(function) <= _EXCERPT else function[: _EXCERPT - 1] + "…",
        licence=release.licence,
        licensor=release.licensor,
        may_be_sold=_allows(release.licence, licences.Act.MAKE_PAID),
        may_be_changed=_allows(release.licence, licences.Act.FORK),
        processes=tuple(dict.fromkeys(part.process for part in release.parts)),
        materials=tuple(dict.fromkeys(part.material for part in release.parts)),
        parts=len(release.parts),
        largest_mm=(largest.x / 1000, largest.y / 1000, largest.z / 1000),
        bed_mm=bed(parts),
        mass_g=None if mass_g is None else round(mass_g, 1),
        volume_cm3=round(_volume_mm3(release) / 1000, 1),
        pictures=tuple(
            part.name for part in release.parts if "thumbnail" in drawn.get(part.name, {})
        )[:_PICTURES],
        deprecated=standing.deprecated,
        made=standing.made.total,
        made_in_labs=standing.made.labs,
        made_independently=standing.made.independently,
        published_at=standing.published_at,
    )


@lru_cache(maxsize=500)
def _allows(licence: str, act: licences.Act) -> bool:
    return licences.judge(licence, act).allowed


def _told_of_parts(release: Release) -> Iterable[str]:
    """Everything beside title and function that somebody may look for by a word."""
    yield release.design
    yield release.licensor
    yield from (each.name for each in release.contributors)
    yield from (each.name for each in release.bought)
    for part in release.parts:
        yield from (part.title, part.name)
    for process in {part.process for part in release.parts}:
        known = _PROCESS.get(process)
        yield from (process, known.title, *known.aliases) if known else (process,)
    for material in {part.material for part in release.parts}:
        known = _MATERIAL.get(material)
        yield from (material, known.title, *known.aliases) if known else (material,)


def _tags(release: Release, card: Card) -> Iterable[str]:
    yield "all"
    yield from tags("pr", card.processes)
    yield from tags("ma", card.materials)
    yield from (tag("pm", part.process, part.material) for part in release.parts)
    yield from tags("li", (release.licence, *licences.named(release.licence)))
    yield from tags("fo", (part.format for part in release.parts))
    yield from tags("fo", (a.format for part in release.parts for a in part.alternatives))
    yield from tags("fo", (file.format for file in release.files))
    yield from (tag("th", f"{part.thickness_mm:g}") for part in release.parts if part.thickness_mm)
    yield tag("ve", release.version)
    yield from tags("co", (release.licensor, *(each.name for each in release.contributors)))
    yield tag("lr", release.licensor)
    yield from _origin(release)
    yield from (name for name, holds in _flags(release, card) if holds)


def _origin(release: Release) -> Iterable[str]:
    if release.ancestor:
        yield from tags("an", (release.ancestor.design, release.ancestor.release))
    if release.forked_from:
        yield tag("an", release.forked_from)


def _flags(release: Release, card: Card) -> Iterable[tuple[str, bool]]:
    yield "recipe", any(part.recipe for part in release.parts)
    yield "plan", any(part.inspection for part in release.parts)
    yield "firstarticle", release.first_article
    yield "forked", bool(release.ancestor or release.forked_from)
    yield "deprecated", card.deprecated
    yield "made", card.made > 0
