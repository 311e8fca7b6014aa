"""A design release as an immutable value, named by the hash of its content.

It never reads files and never changes: a new version is a new release with another hash.
"""

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

OWN_WORK = "LicenseRef-OwnWork"
LICENCE_LONGEST = 1000
"""Characters of an SPDX expression."""

SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
Slug = Annotated[str, StringConstraints(pattern=SLUG)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
Millimetres = Annotated[float, Field(gt=0, le=10_000)]
Degrees = Annotated[float, Field(ge=-360, le=360)]


def _stays_below(path: str) -> str:
    if {".", ".."} & set(path.split("/")):
        raise ValueError(f"{path!r} must be a plain path below the design, without . or ..")
    return path


# Relative: no leading slash, backslash, drive letter or control character.
Path = Annotated[
    str,
    StringConstraints(max_length=200, pattern=r"^[^/\\\x00-\x1f:]+(/[^/\\\x00-\x1f:]+)*$"),
    AfterValidator(_stays_below),
]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Role(StrEnum):
    """What a file is for. A program is for one class of machine; an export is for any."""

    SOURCE = "source"
    EXPORT = "export"
    PROGRAM = "program"
    INSTRUCTIONS = "instructions"
    BOM = "bom"
    DOCUMENT = "document"
    IMAGE = "image"
    MANIFEST = "manifest"


class File(_Value):
    name: Path
    sha256: Sha256
    size_bytes: int = Field(ge=0)
    role: Role
    format: Word


class MeshFacts(_Value):
    """Sizes along x, y, z as given in the file; `shells` counts connected pieces."""

    kind: Literal["mesh"] = "mesh"
    size_mm: tuple[float, float, float]
    volume_mm3: float
    area_mm2: float
    triangles: int
    shells: int
    watertight: bool


class DrawingFacts(_Value):
    """`smallest_hole_mm` is the widest circle that fits the tightest hole; None without holes."""

    kind: Literal["drawing"] = "drawing"
    size_mm: tuple[float, float]
    area_mm2: float
    cut_length_mm: float
    outlines: int
    holes: int
    smallest_hole_mm: float | None


Facts = Annotated[MeshFacts | DrawingFacts, Field(discriminator="kind")]


class Supports(StrEnum):
    """Below what hangs over more than 45° from upright; `FROM_BED` stands on the bed alone, never
    on the part, and `EVERYWHERE` carries bridges too.
    """

    NONE = "none"
    WHERE_NEEDED = "where_needed"
    FROM_BED = "from_bed"
    EVERYWHERE = "everywhere"


class Recipe(_Value):
    """How the designer would have a part made. `locked`: exactly so, or not at all.

    `orientation_deg` turns the file about x, then y, then z before it is laid on the bed. What is
    None is the workshop's to choose.
    """

    locked: StrictBool = False
    layer_mm: float | None = Field(default=None, gt=0, le=2)
    walls: int | None = Field(default=None, ge=1, le=100)
    infill_pct: int | None = Field(default=None, ge=0, le=100)
    orientation_deg: tuple[float, float, float] | None = None
    supports: Supports | None = None
    material_grade: Line | None = None


class NewRecipe(Recipe):
    """A recipe within what is taken in today; `Recipe` reads all that was ever published."""

    orientation_deg: tuple[Degrees, Degrees, Degrees] | None = None


class Check(_Value):
    """One line of an inspection plan: what is looked at, on one part in `every`.

    A dimension has a nominal value and how far it may be off either way; a gauge names the gauge.
    """

    kind: Literal["dimension", "gauge", "reading", "photo"]
    what: Line
    nominal_mm: Millimetres | None = None
    minus_mm: float | None = Field(default=None, ge=0, le=100)
    plus_mm: float | None = Field(default=None, ge=0, le=100)
    gauge: Line | None = None
    every: int = Field(default=1, ge=1, le=1000)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = (self.nominal_mm, self.minus_mm, self.plus_mm)
        if self.kind == "dimension" and None in given:
            raise ValueError(f"{self.what}: a dimension needs nominal_mm, minus_mm and plus_mm")
        if self.kind == "gauge" and self.gauge is None:
            raise ValueError(f"{self.what}: name the gauge")
        return self


class Alternative(_Value):
    """Another file of the same part: for a class of machine, or in another format for any.

    `facts` of an export for a class, read as the part's own were; without them no lab is sent it.
    """

    file_name: Path
    file_sha256: Sha256
    format: Word
    machine_class: Line | None = None
    facts: Facts | None = None

    def serves(self, machine_class: str) -> bool:
        named = self.machine_class
        return named is not None and class_of(named) == class_of(machine_class)


def class_of(profile: str) -> str:
    """The class of machines that a profile describes; of a shipped one without `generic-`."""
    return profile.removeprefix("generic-")


class Contributor(_Value):
    """Somebody who made the design what it is; shares count against each other, not to 100."""

    name: Line
    did: Line | None = None
    share: int = Field(default=1, ge=0, le=1_000_000)


class Ancestor(_Value):
    """The release that this one was forked from; its own ancestors are in it."""

    release: Sha256
    design: Slug
    version: Line
    title: Line
    licence: Line
    licensor: Line


class Part(_Value):
    """One made thing of the product; `quantity` of it go into one product."""

    name: Slug
    title: Line
    process: Word
    material: Word
    thickness_mm: Millimetres | None = None
    quantity: int = Field(default=1, ge=1, le=1000)
    tolerance_mm: Millimetres | None = None
    file_sha256: Sha256
    file_name: Path
    format: Word
    facts: Facts
    recipe: Recipe | None = None
    inspection: tuple[Check, ...] = Field(default=(), max_length=100)
    alternatives: tuple[Alternative, ...] = Field(default=(), max_length=50)

    def on(self, machine_class: str) -> Self:
        """The part as machines of this class get it: from the first export for them, if any.

        Never from a program, and never from what was made for another process: facts of one kind.
        """
        fit = (
            each
            for each in self.alternatives
            if each.serves(machine_class) and each.facts and each.facts.kind == self.facts.kind
        )
        chosen = next(fit, None)
        return self if chosen is None else self.made_from(chosen)

    def made_from(self, other: Alternative) -> Self:
        changed = {name: getattr(other, name) for name in _OF_ITS_FILE}
        return self.model_copy(update=changed)


class Bought(_Value):
    """Something the product needs that nobody here makes: a screw, a lamp socket."""

    name: Line
    quantity: int = Field(default=1, ge=1, le=10_000)
    note: str = Field(default="", max_length=400)


class Release(_Value):
    design: Slug
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$")]
    title: Line
    function: str = Field(min_length=1, max_length=2000)
    licence: Annotated[str, StringConstraints(min_length=1, max_length=LICENCE_LONGEST)]
    licensor: Line
    repo: str | None = Field(default=None, max_length=500)
    private: bool = False
    forked_from: str | None = Field(default=None, max_length=500)
    parts: tuple[Part, ...] = Field(min_length=1, max_length=200)
    files: tuple[File, ...] = Field(min_length=1, max_length=1000)
    bought: tuple[Bought, ...] = ()
    ancestor: Ancestor | None = None
    contributors: tuple[Contributor, ...] = Field(default=(), max_length=200)
    first_article: bool = False
    """Of an order of several, one is made and inspected before the rest."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.licence == OWN_WORK and not self.private:
            raise ValueError(f"{OWN_WORK} is private work: mark the release private, or licence it")
        if len({p.name for p in self.parts}) != len(self.parts):
            raise ValueError("two parts have the same name")
        held = {(f.name, f.sha256) for f in self.files}
        needed = [(p.name, each) for p in self.parts for each in (p, *p.alternatives)]
        strays = [name for name, e in needed if (e.file_name, e.file_sha256) not in held]
        if strays:
            raise ValueError(f"parts without their file: {', '.join(strays)}")
        return self

    def canonical(self) -> bytes:
        """JSON with sorted keys, no spaces, UTF-8: what the hash is taken over.

        What came into the record later and is not used stays out: older releases keep their hash.
        """
        plain = _without(self.model_dump(mode="json"), _LATER)
        plain["parts"] = [_plain_part(part) for part in plain["parts"]]
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.canonical()).hexdigest()

    def part(self, name: str) -> Part | None:
        return next((p for p in self.parts if p.name == name), None)


_LATER = ("ancestor", "contributors", "first_article")
_LATER_OF_PARTS = ("recipe", "inspection", "alternatives")
_OF_ITS_FILE = ("file_name", "file_sha256", "format", "facts")


def _plain_part(plain: dict[str, Any]) -> dict[str, Any]:
    others = [_without(other, ("facts",)) for other in plain["alternatives"]]
    return _without({**plain, "alternatives": others}, _LATER_OF_PARTS)


def _without(plain: dict[str, Any], later: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in plain.items() if key not in later or value}
