"""What a manifest says, whatever its dialect; and what it says beyond that, kept as it stands.

Values only: nothing here reads a file or follows a link.
"""

import hashlib
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from designs.design import (
    SLUG,
    Ancestor,
    Bought,
    Check,
    Contributor,
    Line,
    Millimetres,
    Recipe,
    Slug,
)

DRAWN = ("stl", "3mf", "dxf", "svg", "obj", "step", "stp")
"""Files a part can be made from."""
Dialect = Literal["1.0", "LOSH", "2.3", "2.4"]
Plain = dict[str, object]
"""Strings, numbers, booleans, dates, lists and tables of them, as TOML has them."""
Title = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AlternativeEntry(_Value):
    """Another file of the same part: for a class of machine, or for any."""

    file: str
    machine_class: Line | None = None


class PartEntry(_Value):
    """A part as the manifest has it; None where it does not say.

    `kept` and `kept_own` are what its `[[part]]` and its `[cosmolocal.part.NAME]` say besides.
    """

    name: Slug
    title: Title
    file: str | None = None
    source: str | None = None
    process: str | None = None
    material: str | None = None
    thickness_mm: Millimetres | None = None
    quantity: int = Field(default=1, ge=1, le=1000)
    tolerance_mm: Millimetres | None = None
    recipe: Recipe | None = None
    inspection: tuple[Check, ...] = Field(default=(), max_length=100)
    alternatives: tuple[AlternativeEntry, ...] = Field(default=(), max_length=50)
    kept: Plain = {}
    kept_own: Plain = {}


class Manifest(_Value):
    """`licence` is an SPDX expression where we recognise it, else what is written there.

    `kept` and `kept_own` are what the manifest and its `[cosmolocal]` table say besides, and what
    they say in other words than we would; `comment` is the head of comments, where a manifest
    states whose it is itself.
    """

    dialect: Dialect = "2.4"
    title: Title = ""
    function: str = ""
    version: str | None = None
    licence: str | None = None
    licensor: str = ""
    repo: str | None = None
    forked_from: str | None = None
    language: str | None = None
    readme: str | None = None
    image: str | None = None
    bom: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    manuals: tuple[str, ...] = ()
    parts: tuple[PartEntry, ...] = ()
    exports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    bought: tuple[Bought, ...] = ()
    ancestor: Ancestor | None = None
    contributors: tuple[Contributor, ...] = ()
    first_article: bool = False
    kept: Plain = {}
    kept_own: Plain = {}
    comment: tuple[str, ...] = ()

    @field_validator("parts")
    @classmethod
    def _one_name_each(cls, parts: tuple[PartEntry, ...]) -> tuple[PartEntry, ...]:
        names = [part.name for part in parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two parts are called {', '.join(twice)}")
        return parts

    @property
    def missing(self) -> tuple[str, ...]:
        """What OKH 2.4 asks for and this manifest does not say, by OKH's names."""
        needed = {
            "name": self.title,
            "function": self.function,
            "license": self.licence,
            "licensor": self.licensor,
            "repo": self.repo,
        }
        return tuple(name for name, value in needed.items() if not value)

    def saying(self, **changes: object) -> "Manifest":
        """The same with other values in some fields; how they were worded before is forgotten."""
        kept = {k: v for k, v in self.kept.items() if k not in {KEYS.get(f) for f in changes}}
        own = {k: v for k, v in self.kept_own.items() if k not in {OWN.get(f) for f in changes}}
        return self.model_copy(update={"kept": kept, "kept_own": own} | changes)


KEYS = {
    "title": "name",
    "repo": "repo",
    "version": "version",
    "licence": "license",
    "licensor": "licensor",
    "language": "documentation-language",
    "function": "function",
    "readme": "readme",
    "image": "image",
    "forked_from": "fork-of",
    "sources": "source",
    "exports": "export",
    "bom": "bom",
    "instructions": "manufacturing-instructions",
    "manuals": "user-manual",
}
"""The fields of a manifest and the keys of OKH 2.4 that hold them."""
OWN = {
    "bought": "bought",
    "ancestor": "ancestor",
    "contributors": "contributor",
    "first_article": "first_article",
}
"""The fields of a manifest and the keys of `[cosmolocal]` that hold them."""


def slug(text: str) -> str:
    """A name for records: the title "Pump Slide v51" is pump-slide-v51, a name stays itself."""
    if re.fullmatch(SLUG, text):
        return text
    latin = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-")
    if latin or not any(map(str.isalnum, text)):
        return latin or "part"
    return f"part-{hashlib.sha256(text.encode()).hexdigest()[:8]}"  # Лампа and 花瓶 are two names
