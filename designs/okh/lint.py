"""Says what a manifest lacks or has wrong, where, why that matters, and what to write instead.

It looks at the text alone: a link is never followed, a file never opened. Whether a file is there
is asked of the caller.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, Literal, cast

from pydantic import BaseModel, ConfigDict

from designs.design import OWN_WORK, Recipe
from designs.errors import DesignRefused, Finding, Severity
from designs.licences import Act, Outcome, is_expression, judge, known, says_something
from designs.okh.fields import FIELDS, PART_FIELDS, RENAMED, Field, out_of_reach, path_fault
from designs.okh.manifest import KEYS, Dialect, Manifest, PartEntry, Plain
from designs.okh.parse import Source, Step, Unreadable, Where, parse
from designs.okh.reading import OKH_1, OVERRULED, interpret, renamed
from designs.okh.writing import OWN_PART_KEYS, full_table, write
from designs.processes import MATERIALS, PROCESSES, find_material, find_process

_SEMVER = re.compile(
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?"
)
_PATHS = (
    *("readme", "contribution-guide", "bom", "manufacturing-instructions", "user-manual"),
    *("source", "export", "auxiliary", "image", "release", "attestation"),
)
_LINKS = (*_PATHS, "repo", "fork-of")
_OWN_KEYS = (
    *("part", "bought", "ancestor", "contributor", "first_article", "kept", OKH_1, OVERRULED),
    *("release", "file", "made", "made_in_labs", "made_independently"),
)
_WHY_LOST = "We keep it and do nothing with it"
Present = Callable[[str], bool]
"""Whether a file of that path lies beside the manifest."""


class Level(StrEnum):
    NOTE = "note"  # could be better
    WARNING = "warning"  # can be used, and somebody will stumble
    ESSENTIAL = "essential"  # has to be there or be another before it can be published
    REFUSAL = "refusal"  # cannot be taken


_ORDER = list(Level)[::-1]


class Remark(BaseModel):
    """`field` by the name it has in the file; `example` to paste, in the file's own language."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    level: Level
    field: str
    line: int | None = None
    what: str
    why: str
    example: str = ""


class Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    dialect: Dialect | None
    verdict: Literal["valid", "incomplete", "refused"]
    missing: tuple[str, ...] = ()
    """What OKH 2.4 requires and is not said, by its names."""
    remarks: tuple[Remark, ...]


def lint(manifest: bytes, name: str, present: Present | None = None) -> Report:
    """What is to be said about a manifest; never raises for what is in it."""
    try:
        source = parse(manifest, name)
    except Unreadable as broken:
        why = "Nobody can read the rest before this is mended"
        gone = Remark(
            level=Level.REFUSAL, field="file", line=broken.line, what=str(broken), why=why
        )
        return Report(file=name, dialect=None, verdict="refused", remarks=(gone,))
    found, faults = interpret(source)
    look = _Look(source, found, present)
    remarks = [*look.faults((f.where, f.what) for f in faults), *look.all()]
    remarks.sort(key=lambda r: (_ORDER.index(r.level), r.line or 0))
    return Report(
        file=name,
        dialect=found.dialect,
        verdict=_verdict(remarks),
        missing=found.missing,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def convert(manifest: Manifest) -> str:
    """The manifest as OKH 2.4 that keeps the standard; raises DesignRefused with all it lacks."""
    text = write(manifest)
    stops = [r for r in lint(text.encode(), "okh.toml").remarks if r.level in _ORDER[:2]]
    if stops:
        raise DesignRefused(finding(remark) for remark in stops)
    return text


STRAY: Final = "describes a part that is not there"


def finding(remark: Remark) -> Finding:
    say = f"write {remark.example}" if remark.example else remark.why
    return Finding(severity=Severity.REFUSAL, where=remark.field, what=remark.what, do=say)


def _verdict(remarks: Iterable[Remark]) -> Literal["valid", "incomplete", "refused"]:
    levels = {remark.level for remark in remarks}
    if Level.REFUSAL in levels:
        return "refused"
    return "incomplete" if Level.ESSENTIAL in levels else "valid"


class _Look:
    """One look over one manifest; each method yields what it finds."""

    def __init__(self, source: Source, manifest: Manifest, present: Present | None) -> None:
        self.source, self.manifest, self.present = source, manifest, present
        self.first = manifest.dialect == "1.0"
        self.table = full_table(manifest) if self.first else renamed(source.table)
        said = set() if self.first else source.table.keys() - self.table.keys()
        self.old = {new: old for old, new in RENAMED.items() if old in said}
        self.own = _table(source.table.get("cosmolocal"))

    def all(self) -> Iterator[Remark]:
        yield from self.essentials()
        yield from self.wished()
        yield from self.fields()
        yield from self.version()
        yield from self.dates()
        yield from self.licence()
        yield from self.links()
        yield from self.parts()
        yield from self.strangers()
        yield from self.dialect()

    def say(
        self,
        level: Level,
        where: Where,
        what: str,
        why: str = "",
        example: str = "",
        name: str = "",
    ) -> Remark:
        where = self._place(where)
        shown = name or ".".join(str(step) for step in where)
        return Remark(
            level=level, field=shown, line=self._line(where), what=what, why=why, example=example
        )

    def faults(self, found: Iterable[tuple[Where, str]]) -> Iterator[Remark]:
        for where, what in found:
            why = "A number or word that cannot be meant would be made as it stands"
            yield self.say(Level.REFUSAL, where, f"cannot be used: {what}", why)

    def essentials(self) -> Iterator[Remark]:
        missing = set(self.manifest.missing)
        for field in (f for f in FIELDS.values() if f.weight == "essential"):
            value = self.table.get(field.name)
            fault = field.fault(value) if value is not None else None
            if field.name in missing or value is None:
                yield self._field(Level.ESSENTIAL, field, fault or "is missing")
            elif fault and not self._understood(field.name):
                yield self._field(Level.ESSENTIAL, field, fault)
            elif fault:
                yield self._field(
                    Level.WARNING, field, f"{fault}; we take it for {self.manifest.licence}"
                )
        if not self.first and "okhv" not in self.table:
            yield self._field(Level.WARNING, FIELDS["okhv"], "is missing")

    def _understood(self, name: str) -> bool:
        """A licence in other words than SPDX's that we know: it is written right by convert."""
        return name == "license" and known(self.manifest.licence)

    def wished(self) -> Iterator[Remark]:
        for field in (f for f in FIELDS.values() if f.weight == "wished"):
            said = self.table.get(field.name)
            of_parts = field.name == "source" and any(p.source for p in self.manifest.parts)
            if said in (None, "", []) and not of_parts:
                level = Level.WARNING if field.name == "version" else Level.NOTE
                yield self._field(level, field, "is missing")

    def fields(self) -> Iterator[Remark]:
        for key, value in self.table.items():
            field = FIELDS.get(key)
            if field is None or field.weight == "essential":
                continue
            if key in _PATHS and self._unsafe(value):
                continue  # told by links()
            if fault := (None if key == "okhv" else field.fault(value)):
                yield self._field(Level.WARNING, field, fault)
        for number, entry in enumerate(_rows(self.table.get("part"))):
            for key in entry.keys() & PART_FIELDS.keys():
                field = PART_FIELDS[key]
                if not self._unsafe(entry[key]) and (fault := field.fault(entry[key])):
                    where = ("part", number, key)
                    yield self.say(Level.WARNING, where, fault, field.why, field.example)

    def version(self) -> Iterator[Remark]:
        said = self.manifest.version
        if said and not _SEMVER.fullmatch(said):
            what = f"{said[:40]!r} is no semantic version (three numbers, as in 1.4.0)"
            yield self._field(Level.WARNING, FIELDS["version"], what)

    def dates(self) -> Iterator[Remark]:
        """Fields of 1.0 that 2.4 has no more; what is kept of them is read as dates."""
        for key in ("date-created", "date-updated"):
            said = self.source.table.get(key)
            if said is not None and not _is_date(said):
                what = f"is {str(said)[:40]!r}, which is no date"
                why = "Nobody can sort or compare by it"
                yield self.say(Level.WARNING, (key,), what, why, f"{key}: 2026-03-31")

    def licence(self) -> Iterator[Remark]:
        said = self.manifest.licence
        if not said:
            return
        verdict = judge(said, Act.LIST)
        if said == OWN_WORK or not is_expression(said):
            return
        if not verdict.allowed:
            level = Level.WARNING if says_something(said) else Level.ESSENTIAL
            yield self._field(level, FIELDS["license"], f"does not let it be listed: {verdict.why}")
        elif judge(said, Act.MAKE_PAID).outcome is not Outcome.ALLOWED:
            why = judge(said, Act.MAKE_PAID).why
            yield self._field(Level.NOTE, FIELDS["license"], f"keeps labs from being paid: {why}")

    def links(self) -> Iterator[Remark]:
        for where, value in self._references():
            name = ".".join(str(step) for step in where)
            example = FIELDS[str(where[-1])].example if where[-1] in FIELDS else ""
            if value.startswith(("http://", "https://")):
                if out_of_reach(value):
                    what = f"is {value[:80]!r}, which lies in a private network"
                    why = "Nobody outside of it can open the address; we never do"
                    yield self.say(Level.WARNING, where, what, why, example)
            elif where[-1] in {"repo", "fork-of"}:
                continue  # no path; told by essentials() and fields()
            elif self._unsafe(value):
                why = "It could point at a file of whoever reads it; no reader should open it"
                yield self.say(Level.REFUSAL, where, path_fault(value) or "", why, example)
            elif self.present is not None and not self.present(value):
                level = Level.ESSENTIAL if self._made_from(where) else Level.WARNING
                why = "Whoever gets the manifest gets the files beside it, and this one is not"
                what = f"names {value[:80]!r}, which is not beside the manifest"
                yield self.say(level, where, what, why, name=name)

    def _references(self) -> Iterator[tuple[Where, str]]:
        for key in _LINKS:
            for value in _named(self.table.get(key)):
                yield (key,), value
        for number, entry in enumerate(_rows(self.table.get("part"))):
            for key in ("source", "export", "auxiliary", "image"):
                for value in _named(entry.get(key)):
                    yield ("part", number, key), value
        yield from self._meant()

    def _meant(self) -> Iterator[tuple[Where, str]]:
        """The same as we understand them, also where they wait because they do not fit."""
        for field, key in KEYS.items():
            if key in _PATHS:
                said: object = getattr(self.manifest, field)
                for value in said if isinstance(said, tuple) else (said,):
                    if isinstance(value, str):
                        yield (key,), value
        for number, part in enumerate(self.manifest.parts):
            for key, value in (("source", part.source), ("export", part.file)):
                if value:
                    yield ("part", number, key), value
            for which, other in enumerate(part.alternatives):
                yield ("cosmolocal", "part", part.name, "alternative", which, "file"), other.file

    def _made_from(self, where: Where) -> bool:
        return where[-1] in {"export", "file"} and len(where) > 1

    def _unsafe(self, value: object) -> bool:
        """Whether a path in it leads out of the manifest's folder."""
        texts = [text for text in _named(value) if text.strip()]
        return any(
            not text.startswith(("http://", "https://")) and path_fault(text) for text in texts
        )

    def parts(self) -> Iterator[Remark]:
        if not self.manifest.parts and not self.manifest.exports:
            example = '[[part]]\nname = "screen"\nexport = "screen.dxf"\ntsdc = "LAS"'
            example = _OF_FIRST["part"][1] if self.first else example
            why = "Labs make parts: without one there is nothing to order"
            yield self.say(
                Level.WARNING, ("part",), "is missing: nothing says what is made", why, example
            )
        for number, part in enumerate(self.manifest.parts):
            yield from self._part(number, part)
        names = {part.name for part in self.manifest.parts}
        for stray in _table(self.manifest.kept_own.get("part")):
            there = ", ".join(sorted(names)) or "none"
            what = f"{STRAY}; there are {there}"
            why = "Nobody would follow it; [cosmolocal.part.NAME] is for a [[part]] of that name"
            yield self.say(Level.ESSENTIAL, ("cosmolocal", "part", stray), what, why)

    def _part(self, number: int, part: PartEntry) -> Iterator[Remark]:
        where = ("part", number)
        own = ("cosmolocal", "part", part.name)
        if part.file is None and part.source is None and "export" not in part.kept:
            why = "A part is made from a file: a mesh (STL, 3MF) or a drawing (DXF, SVG)"
            what = f"({part.name}) names no file"
            yield self.say(Level.ESSENTIAL, where, what, why, f'export = "{part.name}.stl"')
        process = find_process(part.process) if part.process else None
        if part.process and process is None:
            ids = ", ".join(each.id for each in PROCESSES)
            what = f"is {part.process[:40]!r}, which nobody here knows; known are {ids}"
            yield self.say(
                Level.ESSENTIAL,
                (*own, "process"),
                what,
                "It decides which machines can make the part",
                f'process = "{PROCESSES[0].id}"',
            )
        elif process and part.file and not _takes(process.takes, part.file):
            what = f"takes a {process.takes}, and {part.file[:80]!r} is none"
            yield self.say(Level.WARNING, (*own, "process"), what, "No machine could begin with it")
        if part.material and find_material(part.material) is None:
            some = ", ".join(each.id for each in MATERIALS[:6])
            what = f"is {part.material[:40]!r}, which nobody here knows; known are {some}, …"
            yield self.say(
                Level.ESSENTIAL,
                (*own, "material"),
                what,
                "It decides what the part weighs, costs and stands",
                'material = "pla"',
            )

    def strangers(self) -> Iterator[Remark]:
        """Keys that nobody knows, which is often a slip of the pen."""
        if not self.first:
            known_keys = (*FIELDS, "part", "cosmolocal", "okhv", "made", "made-independently")
            yield from self._strange((), self.table, known_keys)
            for new, old in self.old.items():
                what, why = f"is called {new} since 2.4", "Newer readers may not find it"
                yield self.say(Level.NOTE, (new,), what, why, name=old)
        yield from self._strange(("cosmolocal",), self.own, _OWN_KEYS)
        for name, entry in _table(self.own.get("part")).items():
            yield from self._strange(
                ("cosmolocal", "part", name), _table(entry), (*OWN_PART_KEYS, "kept")
            )
            yield from self._slips(("cosmolocal", "part", name, "recipe"), _table(entry))
        for where in self.source.twice:
            what = "is given twice; the last one counts, the others are kept as overruled"
            yield self.say(Level.WARNING, where, what, "A reader may take either")

    def _slips(self, where: Where, own: Plain) -> Iterator[Remark]:
        """A slip in a recipe would be kept and not followed: safety may hang on it."""
        known = tuple(Recipe.model_fields)
        for key in list(_table(own.get("recipe")))[:200]:
            if key not in known:
                near = get_close_matches(key, known, 1, 0.6)
                what = "is nothing that a recipe says" + (f": is {near[0]} meant?" if near else "")
                why = f"Nobody would follow it; a recipe has {', '.join(known)}"
                yield self.say(Level.ESSENTIAL, (*where, key), what, why)

    def _strange(
        self, where: Where, table: Mapping[str, object], known_keys: tuple[str, ...]
    ) -> Iterator[Remark]:
        for key in list(table)[:200]:
            if key in known_keys:
                continue
            near = get_close_matches(key, known_keys, 1, 0.8)
            what = "is not known to us" + (f": is {near[0]} meant?" if near else "")
            level = Level.WARNING if near else Level.NOTE
            yield self.say(level, (*where, key), what, _WHY_LOST)

    def dialect(self) -> Iterator[Remark]:
        if self.manifest.dialect != "2.4":
            what = f"is of OKH {self.manifest.dialect}; the present standard is 2.4"
            why = "Newer readers may not take the old words; `cosmolocal okh convert` changes them"
            yield self.say(Level.NOTE, ("okhv",), what, why)

    def _field(self, level: Level, field: Field, what: str) -> Remark:
        old = _OF_FIRST.get(field.name) if self.first else None
        name, example = old or (self.old.get(field.name, field.name), field.example)
        return self.say(level, (field.name,), what, field.why, example, name)

    def _place(self, where: Where) -> Where:
        """The words of 2.4 as the file has them."""
        if where and where[0] in self.old:
            return (self.old[str(where[0])], *where[1:])
        if not self.first or not where or where[0] not in _OF_FIRST:
            return where
        return (*_OF_FIRST[str(where[0])][0].split("."), *where[1:])

    def _line(self, where: Where) -> int | None:
        tries: list[tuple[Step, ...]] = [where[:n] for n in range(len(where), 0, -1)]
        return next((self.source.lines[each] for each in tries if each in self.source.lines), None)


_OF_FIRST = {
    "name": ("title", "title: Table lantern"),
    "function": ("description", "description: Makes warm light on a table."),
    "license": ("license.hardware", "license:\n  hardware: CERN-OHL-S-2.0"),
    "licensor": ("licensor", "licensor:\n  name: Ada Lovelace\n  email: ada@example.org"),
    "repo": ("project-link", "project-link: https://codeberg.org/ada/lantern"),
    "version": ("version", 'version: "1.0.0"'),
    "documentation-language": ("documentation-language", "documentation-language: en"),
    "image": ("image", "image: lantern.jpg"),
    "bom": ("bom", "bom: bom.csv"),
    "manufacturing-instructions": (
        "making-instructions",
        "making-instructions:\n  - path: assembly.md",
    ),
    "source": ("design-files", "design-files:\n  - path: lantern.FCStd"),
    "export": ("manufacturing-files", "manufacturing-files:\n  - path: lantern.stl"),
    "user-manual": ("operating-instructions", "operating-instructions:\n  - path: manual.md"),
    "fork-of": ("derivative-of", "derivative-of: https://codeberg.org/grace/lamp"),
    "release": ("archive-download", "archive-download: https://…/lantern-1.0.0.zip"),
    "part": ("manufacturing-files", "manufacturing-files:\n  - path: lantern.stl"),
}
"""The words of OKH 2.4: what 1.0 calls them, and an example in YAML."""


def _is_date(value: object) -> bool:
    """Whether it is a day, or a day with its time, as ISO 8601 writes it."""
    if isinstance(value, date):
        return True
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _takes(takes: str, file: str) -> bool:
    kind = file.lower().rsplit(".", 1)[-1]
    return kind in ({"stl", "3mf"} if takes == "mesh" else {"dxf", "svg"})


def _named(value: object) -> list[str]:
    """The paths or addresses in a field: one, a list of them, or images that say where they are."""
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    texts = (_table(each).get("location") if isinstance(each, dict) else each for each in values)
    return [text for text in texts if isinstance(text, str)]


def _rows(value: object) -> list[Plain]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return [_table(each) for each in values if isinstance(each, dict)]


def _table(value: object) -> Plain:
    return cast("Plain", value) if isinstance(value, dict) else {}
