"""A parsed table becomes a manifest: what is understood in fields, the rest kept as it stands.

A manifest of OKH 1.0 is first put into the words of 2.4; what those have no word for waits in
`[cosmolocal.okh-1]`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from pydantic import BaseModel, ValidationError

from designs import misfits
from designs.design import Ancestor, Bought, Check, Contributor, NewRecipe, Recipe
from designs.licences import normal
from designs.okh.fields import FIELDS, PART_FIELDS, RENAMED, Field
from designs.okh.manifest import (
    DRAWN,
    AlternativeEntry,
    Dialect,
    Manifest,
    PartEntry,
    Plain,
    slug,
)
from designs.okh.parse import Source, Where
from designs.okh.writing import okh_part, own_part, own_words
from designs.processes import find_process

OKH_1 = "okh-1"
OVERRULED = "overruled"
_V = TypeVar("_V", bound=BaseModel)
_OF_PARTS = ("title", "process", "material", "thickness_mm", "quantity", "tolerance_mm")
_SHORT, _LONG = 200, 2000
Words = Callable[[Plain], Plain]
"""What we would write for a table with some of the keys."""


@dataclass(frozen=True)
class Fault:
    """A value that cannot be used: where it stands in the file, and what is wrong with it."""

    where: Where
    what: str


@dataclass
class Faults:
    found: list[Fault] = field(default_factory=list[Fault])

    def add(self, where: Where, what: str) -> None:
        self.found.append(Fault(where, what))


def interpret(source: Source) -> tuple[Manifest, tuple[Fault, ...]]:
    """The manifest, and what in it cannot be used; that is left out of the fields."""
    table, faults = dict(source.table), Faults()
    dialect = dialect_of(table)
    if dialect == "1.0":
        table = second_of_first(table)
    manifest = _second(table, faults).model_copy(
        update={"dialect": dialect, "comment": source.comment}
    )
    if source.twice:
        overruled = {".".join(map(str, where)): values for where, values in source.twice.items()}
        before = _table(manifest.kept_own.get(OVERRULED))
        own = manifest.kept_own | {OVERRULED: before | overruled}
        manifest = manifest.model_copy(update={"kept_own": own})
    return manifest, tuple(faults.found)


def dialect_of(table: Mapping[str, object]) -> Dialect:
    said = str(table.get("okhv", ""))
    if "title" in table and not said:
        return "1.0"
    return "LOSH" if "LOSH" in said else ("2.3" if said == "2.3" else "2.4")


def renamed(table: Mapping[str, object]) -> Plain:
    """The same in the words of 2.4: keys of the LOSH line, where the present one is not there."""
    words = dict(table)
    for old, new in RENAMED.items():
        if old in words and new not in words:
            words[new] = words.pop(old)
    return words


def _second(table: Plain, faults: Faults) -> Manifest:
    own = dict(_rightly(table.get("cosmolocal"), "cosmolocal", faults))
    table |= _back(own, table, FIELDS, _top_words, ("cosmolocal", faults))
    table = renamed(table)
    parts = _parts(table, own, faults)
    bought = _values(Bought, own.get("bought"), ("cosmolocal", "bought"), faults)
    contributors = _values(
        Contributor, own.get("contributor"), ("cosmolocal", "contributor"), faults
    )
    manifest = Manifest.model_validate(
        _top(table)
        | {
            "parts": parts,
            "bought": bought,
            "ancestor": _ancestor(own, faults),
            "contributors": contributors,
            "first_article": _flag(own, "first_article", faults),
        }
    )
    words = own_words(manifest)
    own_of_words = _table(words.pop("cosmolocal", {}))
    rest = {k: v for k, v in table.items() if k not in {"part", "cosmolocal", "okhv"}}
    strays = _stray_parts(own, parts)
    own = {k: v for k, v in own.items() if k != "part"} | ({"part": strays} if strays else {})
    return manifest.model_copy(
        update={"kept": _besides(rest, words), "kept_own": _besides(own, own_of_words)}
    )


def _top(table: Plain) -> Plain:
    """The fields of a manifest that its own keys hold."""
    return {
        "title": _text(table.get("name"), _SHORT),
        "function": _text(table.get("function")),
        "version": _text(table.get("version")) or None,
        "licence": _licence(table.get("license")),
        "licensor": _agent(table.get("licensor")),
        "repo": _text(table.get("repo")) or None,
        "forked_from": _text(table.get("fork-of")) or None,
        "language": _first(table.get("documentation-language")),
        "readme": _first(table.get("readme")),
        "image": _image(table.get("image")),
        "bom": _paths(table.get("bom")),
        "instructions": _paths(table.get("manufacturing-instructions")),
        "manuals": _paths(table.get("user-manual")),
        "exports": _paths(table.get("export")),
        "sources": _paths(table.get("source")),
    }


def _back(
    own: Plain, above: Plain, fields: Mapping[str, Field], words: Words, place: tuple[str, Faults]
) -> Plain:
    """Takes out of `own` what waits there because it does not fit its field.

    Where the field was given another value since, that one counts and the old one stays waiting.
    """
    where, faults = place
    waits = dict(_rightly(own.pop("kept", None), f"{where}.kept", faults))
    back: Plain = {}
    for key, value in list(waits.items()):
        if key not in fields:
            continue
        if key not in above or _same(words({key: value}).get(key), above[key]):
            back[key] = waits.pop(key)
    if waits:
        own["kept"] = waits
    return back


def _top_words(table: Plain) -> Plain:
    return own_words(Manifest.model_validate(_top(table)))


def _part_words(entry: Plain) -> Plain:
    title = _text(entry.get("name"), _SHORT) or "part"
    drawn = _drawn(entry)
    return {
        "name": slug(title),
        "source": next(iter(_paths(entry.get("source"))), None),
        "export": next(iter(drawn), None),
    }


# Parts


def _parts(table: Plain, own: Plain, faults: Faults) -> tuple[PartEntry, ...]:
    entries = _entries(table.get("part"), faults)
    said = _rightly(own.get("part"), "cosmolocal.part", faults)
    found: dict[str, PartEntry] = {}
    for number, entry in enumerate(entries):
        part = _part(dict(entry), said, table, ("part", number), faults)
        if part is None:
            continue
        if part.name in found:
            faults.add(("part", number), f"two parts are called {part.name}")
            continue
        found[part.name] = part
    return tuple(found.values())


def _entries(value: object, faults: Faults) -> list[Plain]:
    if value is None:
        return []
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in values):
        faults.add(("part",), "part: it has to be a table for each part, headed [[part]]")
        return []
    return cast("list[Plain]", values)


def _part(
    entry: Plain, said: Mapping[str, object], whole: Plain, where: Where, faults: Faults
) -> PartEntry | None:
    title = _text(entry.get("name"), _SHORT) or "part"
    name = slug(title)
    if title != name and title in said and name in said:
        faults.add(where, f"[cosmolocal.part] describes it twice, as {title!r} and as {name!r}")
        return None
    key = title if title in said else name
    own = dict(_rightly(said.get(key), f"cosmolocal.part.{key}", faults))
    entry |= _back(own, entry, PART_FIELDS, _part_words, (f"cosmolocal.part.{key}", faults))
    part = _part_fields(entry, own, whole, (name, title), ("cosmolocal", "part", key), faults)
    if part is None:
        return None
    return part.model_copy(
        update={
            "kept": _besides(entry, okh_part(part)),
            "kept_own": _besides(own, own_part(part)),
        }
    )


def _drawn(entry: Plain) -> list[str]:
    """The exports that a part can be made of; what workshops read as it is comes first."""
    paths = _paths(entry.get("export"))
    return [path for end in DRAWN for path in paths if path.lower().endswith(f".{end}")]


def _part_fields(
    entry: Plain,
    own: Plain,
    whole: Plain,
    names: tuple[str, str],
    where: Where,
    faults: Faults,
) -> PartEntry | None:
    process = _process(entry.get("tsdc")) or _process(whole.get("tsdc"), only=True)
    drawn = _drawn(entry)
    material = _text(entry.get("material") or whole.get("material"), _SHORT).lower() or None
    recipe = (
        _rightly(own["recipe"], f"{'.'.join(map(str, where))}.recipe", faults)
        if ("recipe" in own)
        else None
    )
    plain: Plain = {
        "name": names[0],
        "title": names[1],
        "file": next(iter(drawn), None),
        "source": next(iter(_paths(entry.get("source"))), None),
        "process": process,
        "material": material,
        "recipe": None if recipe is None else _recipe(recipe, (*where, "recipe"), faults),
        "inspection": _values(Check, own.get("inspection"), (*where, "inspection"), faults),
        "alternatives": _values(
            AlternativeEntry, own.get("alternative"), (*where, "alternative"), faults
        ),
    }
    plain |= {key: own[key] for key in _OF_PARTS if key in own and not isinstance(own[key], bool)}
    for key in _OF_PARTS:
        if isinstance(own.get(key), bool):
            faults.add((*where, key), f"{key}: it cannot be {str(own[key]).lower()}")
    return _valid(PartEntry, plain, where, faults)


def _recipe(plain: Mapping[str, object], where: Where, faults: Faults) -> Recipe | None:
    asked = _valid(NewRecipe, plain, where, faults)
    return asked and Recipe(**dict(asked))


def _process(codes: object, *, only: bool = False) -> str | None:
    """The first process of that code that we know; `only`: none if there are several."""
    known = [p.id for code in _list(codes) if (p := find_process(_text(code)))]
    return known[0] if known and not (only and len(set(known)) > 1) else None


def _stray_parts(own: Plain, parts: Iterable[PartEntry]) -> Plain:
    """What `[cosmolocal.part]` says of parts that there are not."""
    known = {name for part in parts for name in (part.name, _text(part.kept.get("name"), _SHORT))}
    return {k: v for k, v in _table(own.get("part")).items() if k not in known}


# OKH 1.0


_SAME = {
    "title": "name",
    "version": "version",
    "documentation-language": "documentation-language",
    "derivative-of": "fork-of",
    "project-link": "repo",
    "image": "image",
    "bom": "bom",
    "archive-download": "release",
}


def second_of_first(table: Plain) -> Plain:
    """OKH 1.0 in the words of 2.4; what changed its shape on the way stays in the old one, too."""
    licence = table.get("license")
    of_hardware = _table(licence).get("hardware") if isinstance(licence, dict) else licence
    new: Plain = {
        "name": table.get("title"),
        "function": table.get("description") or table.get("intended-use"),
        "license": of_hardware,
        "licensor": _person(table.get("licensor")),
        "repo": _trimmed(table.get("project-link") or table.get("documentation-home")),
        "version": table.get("version"),
        "fork-of": table.get("derivative-of"),
        "documentation-language": table.get("documentation-language"),
        "image": table.get("image"),
        "bom": table.get("bom"),
        "release": _trimmed(table.get("archive-download")),
        "export": _locations(table.get("manufacturing-files")),
        "source": _locations(table.get("design-files")),
        "manufacturing-instructions": _locations(table.get("making-instructions")),
        "user-manual": _locations(table.get("operating-instructions")),
        "cosmolocal": {"contributor": _people(table.get("contributors"))},
    }
    new = {k: v for k, v in new.items() if v is not None and v not in ("", [])}
    own = {k: v for k, v in cast("Plain", new["cosmolocal"]).items() if v != []}
    used = "description" if table.get("description") else "intended-use"
    gone = {used} if "function" in new else set[str]()
    gone |= {old for old, key in _SAME.items() if old in table and new.get(key) is table[old]}
    first = {key: value for key, value in table.items() if key not in gone}
    return new | {"cosmolocal": own | ({OKH_1: first} if first else {})}


def _person(value: object) -> object:
    """{name, affiliation, email} as 2.4 has it: its agents have no affiliation."""
    if not isinstance(value, dict):
        return value
    plain = cast("Plain", value)
    return {k: plain[k] for k in ("name", "email") if _text(plain.get(k))} or None


def _people(value: object) -> list[object]:
    names = (
        _text(_table(item).get("name") if isinstance(item, dict) else item, _SHORT)
        for item in _list(value)
    )
    return [{"name": name} for name in names if name]


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) and value != value.strip() else value


def _locations(value: object) -> list[object]:
    files = (_table(f).get("path") if isinstance(f, dict) else f for f in _list(value))
    return [path for path in files if _text(path)]


# Values


def _rightly(value: object, where: str, faults: Faults) -> Mapping[str, object]:
    """The table it has to be; a fault and an empty one otherwise."""
    if value is not None and not isinstance(value, dict):
        faults.add(tuple(where.split(".")), f"{where}: it has to be a table")
    return _table(value)


def _valid(kind: type[_V], plain: Mapping[str, object], where: Where, faults: Faults) -> _V | None:
    """The value without the keys it does not know; None and its faults where it is none."""
    known = {key: value for key, value in plain.items() if key in kind.model_fields}
    try:
        return kind.model_validate(known)
    except ValidationError as wrong:
        for each in wrong.errors()[:20]:
            steps = tuple(each["loc"])
            what, do = misfits.words(dict(each))
            field = misfits.place(steps) or misfits.place(where[-2:])
            faults.add((*where, *steps), f"{field}: {what}: {do}")
        return None


def _values(kind: type[_V], value: object, where: Where, faults: Faults) -> tuple[_V, ...]:
    rows = cast("list[object]", value) if isinstance(value, list) else _list(value)
    found: list[_V] = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            faults.add(
                where,
                f"{where[-1]}: it has to be a table for each, as in [[cosmolocal.{where[-1]}]]",
            )
            return ()
        valid = _valid(kind, cast("Plain", row), (*where, number), faults)
        found += [valid] if valid else []
    return tuple(found)


def _ancestor(own: Mapping[str, object], faults: Faults) -> Ancestor | None:
    if "ancestor" not in own:
        return None
    return _valid(Ancestor, _table(own["ancestor"]), ("cosmolocal", "ancestor"), faults)


def _flag(own: Mapping[str, object], key: str, faults: Faults) -> bool:
    value = own.get(key, False)
    if not isinstance(value, bool):
        faults.add(("cosmolocal", key), f"{key}: it has to be true or false")
        return False
    return value


def _besides(raw: Mapping[str, object], words: Mapping[str, object]) -> Plain:
    """What our own words for it do not say, or say otherwise."""
    return {k: v for k, v in raw.items() if k not in words or not _same(v, words[k])}


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        a, b = cast("Plain", one), cast("Plain", other)
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(one, list) and isinstance(other, list):
        c, d = cast("list[object]", one), cast("list[object]", other)
        return len(c) == len(d) and all(map(_same, c, d))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _text(value: object, longest: int = _LONG) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", str(value)).split())[:longest].strip()


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return cast("list[object]", value)
    return [] if value is None else [value]


def _first(value: object) -> str | None:
    return next((_text(item) for item in _list(value) if _text(item)), None)


def _table(value: object) -> Plain:
    return cast("Plain", value) if isinstance(value, dict) else {}


def _paths(value: object) -> tuple[str, ...]:
    return tuple(path for item in _list(value) if (path := _text(item)))


def _image(value: object) -> str | None:
    for item in _list(value):
        if path := _text(_table(item).get("location") if isinstance(item, dict) else item):
            return path
    return None


def _licence(value: object) -> str | None:
    said = _text(value)
    return normal(said) or said or None


def _agent(value: object) -> str:
    """The names in "Name <mail>", in a list of such, or in {name, email, url}."""
    names = (
        _text(_table(item).get("name") if isinstance(item, dict) else item) for item in _list(value)
    )
    return ", ".join(re.sub(r"\s*<[^>]*>", "", name) for name in names if name)[:_SHORT].strip()
