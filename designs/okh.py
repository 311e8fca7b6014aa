"""Open Know-How manifests: reads 1.0 (YAML), LOSH, 2.3 and 2.4 (TOML), writes 2.4.

It takes what it understands and says what is missing; it never follows a link or a path.

Fields: OKH 2.4 template of the Internet of Production Alliance and OKH 1.0. What OKH has no field
for (process, material, thickness, quantity, tolerance of a part; bought items) rides in a table of
our own, `[cosmolocal]`, which other readers may ignore.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from designs.design import SLUG, Bought, Check, Recipe, Slug
from designs.errors import Refused
from designs.licences import normal
from designs.processes import find_process

MAX_BYTES = 2**20
_YAML_CHARACTERS, _YAML_BRACKETS = 64_000, 200
DRAWN = ("stl", "3mf", "dxf", "svg", "obj", "step", "stp")  # a part can be made of it; best first
_AGAIN = "Correct the manifest, or leave it out and answer the questions instead"

Table: TypeAlias = Mapping[str, Any]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartEntry(_Value):
    """A part as the manifest has it; None where it does not say."""

    name: Slug
    title: str
    file: str | None = None
    source: str | None = None
    process: str | None = None
    material: str | None = None
    thickness_mm: float | None = None
    quantity: int = 1
    tolerance_mm: float | None = None
    recipe: Recipe | None = None
    inspection: tuple[Check, ...] = ()


class Manifest(_Value):
    """`licence` is an SPDX expression where we recognise it, else what is written there."""

    dialect: Literal["1.0", "LOSH", "2.3", "2.4"] = "2.4"
    title: str = ""
    function: str = ""
    version: str | None = None
    licence: str | None = None
    licensor: str = ""
    repo: str | None = None
    forked_from: str | None = None
    language: str | None = None
    readme: str | None = None
    image: str | None = None
    parts: tuple[PartEntry, ...] = ()
    exports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    bought: tuple[Bought, ...] = ()

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


def read(manifest: bytes, name: str) -> Manifest:
    """The manifest in a file of that name; raises `Refused` if it cannot be understood."""
    if len(manifest) > MAX_BYTES:
        raise Refused("it is larger than 1 MiB", name, _AGAIN)
    try:
        text = manifest.decode("utf-8-sig")
        table = _yaml(text) if name.lower().endswith((".yml", ".yaml")) else tomllib.loads(text)
        return _first_version(table) if "title" in table else _second_version(table)
    except UnicodeDecodeError:
        raise Refused("it is not UTF-8 text", name, _AGAIN) from None
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise Refused(f"{where}: {first['msg']}", name, _AGAIN) from None
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as broken:
        raise Refused(f"it cannot be read ({str(broken)[:120]})", name, _AGAIN) from None


def write(manifest: Manifest) -> str:
    """The manifest as OKH 2.4 TOML."""
    head = {
        "okhv": "2.4",
        "name": manifest.title,
        "repo": manifest.repo,
        "version": manifest.version,
        "license": manifest.licence,
        "licensor": manifest.licensor,
        "documentation-language": manifest.language,
        "function": manifest.function,
        "readme": manifest.readme,
        "image": manifest.image,
        "fork-of": manifest.forked_from,
        "tsdc": _criteria(manifest.parts),
        "source": list(manifest.sources),
        "export": list(manifest.exports),
    }
    blocks = [_lines(head)]
    blocks += [["[[part]]", *_lines(_okh_part(part))] for part in manifest.parts]
    blocks += [
        [f"[cosmolocal.part.{part.name}]", *_lines(_own_part(part))] for part in manifest.parts
    ]
    blocks += [
        ["[[cosmolocal.bought]]", *_lines(bought.model_dump(exclude_defaults=True))]
        for bought in manifest.bought
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def slug(text: str) -> str:
    """A name for records: the title "Pump Slide v51" is pump-slide-v51, a name stays itself."""
    if re.fullmatch(SLUG, text):
        return text
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or "part"


def _criteria(parts: Iterable[PartEntry]) -> list[str]:
    found = (find_process(part.process) for part in parts if part.process)
    return sorted({process.tsdc for process in found if process})


def _okh_part(part: PartEntry) -> dict[str, object]:
    process = find_process(part.process) if part.process else None
    return {
        "name": part.name,
        "source": part.source,
        "export": part.file,
        "tsdc": process.tsdc if process else None,
    }


def _own_part(part: PartEntry) -> dict[str, object]:
    return part.model_dump(exclude={"name", "file", "source"})


def _lines(table: Mapping[str, object]) -> list[str]:
    """`key = value` for what is there; JSON strings, numbers and lists are TOML too."""
    given = {key: value for key, value in table.items() if value not in (None, "", [], ())}
    return [f"{key} = {_toml(value)}" for key, value in given.items()]


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _yaml(text: str) -> Table:
    import yaml

    if len(text) > _YAML_CHARACTERS or text.count("[") + text.count("{") > _YAML_BRACKETS:
        raise ValueError("it is too long or too nested for a manifest")  # slow beyond reason
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise ValueError("it uses YAML aliases")
        table: object = yaml.safe_load(text)
    except yaml.YAMLError as broken:
        raise ValueError(" ".join(str(broken).split())) from None
    if not isinstance(table, dict):
        raise ValueError("it is no table of names and values")  # noqa: TRY004 - told as bad input
    return table


def _second_version(table: Table) -> Manifest:
    own = _table(table.get("cosmolocal"))
    said = str(table.get("okhv", "2.4"))
    parts = [_part(entry, _table(own.get("part")), table) for entry in _tables(table.get("part"))]
    return Manifest(
        dialect="LOSH" if "LOSH" in said else ("2.3" if said == "2.3" else "2.4"),
        title=_text(table.get("name")),
        function=_text(table.get("function")),
        version=_text(table.get("version")) or None,
        licence=_licence(table.get("license") or table.get("spdx-license")),
        licensor=_agent(table.get("licensor")),
        repo=_text(table.get("repo")) or None,
        forked_from=_text(table.get("fork-of") or table.get("forkOf")) or None,
        language=_first(table.get("documentation-language")),
        readme=_first(table.get("readme")),
        image=_image(table.get("image")),
        parts=tuple(parts),
        exports=_paths(table.get("export")),
        sources=_paths(table.get("source")),
        bought=tuple(Bought.model_validate(item) for item in _tables(own.get("bought"))),
    )


def _part(entry: Table, own: Table, whole: Table) -> PartEntry:
    title = _text(entry.get("name")) or "part"
    said = _table(own.get(title) or own.get(slug(title)))
    codes = [_text(code) for code in _list(entry.get("tsdc") or whole.get("tsdc"))]
    process = next((p.id for code in codes if (p := find_process(code))), None)
    paths = _paths(entry.get("export"))
    drawn = [path for end in DRAWN for path in paths if path.lower().endswith(f".{end}")]
    material = _text(entry.get("material") or whole.get("material")).lower() or None
    return PartEntry.model_validate(
        {
            "name": slug(title),
            "title": title,
            "file": next(iter(drawn), None),
            "source": next(iter(_paths(entry.get("source"))), None),
            "process": process,
            "material": material,
        }
        | dict(said)
    )


def _first_version(table: Table) -> Manifest:
    licence = table.get("license")
    of_hardware = _table(licence).get("hardware") if isinstance(licence, Mapping) else licence
    files = [*_list(table.get("manufacturing-files")), *_list(table.get("design-files"))]
    return Manifest(
        dialect="1.0",
        title=_text(table.get("title")),
        function=_text(table.get("description")) or _text(table.get("intended-use")),
        version=_text(table.get("version")) or None,
        licence=_licence(of_hardware),
        licensor=_agent(table.get("licensor")),
        repo=_text(table.get("project-link") or table.get("documentation-home")) or None,
        forked_from=_text(table.get("derivative-of")) or None,
        language=_text(table.get("documentation-language")) or None,
        image=_image(table.get("image")),
        exports=tuple(path for file in files for path in _paths(_location(file))),
    )


def _location(file: object) -> object:
    return file.get("path") if isinstance(file, Mapping) else file


def _text(value: object) -> str:
    return " ".join(str(value).split())[:2000] if isinstance(value, (str, int, float)) else ""


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else ([] if value is None else [value])


def _first(value: object) -> str | None:
    return next((_text(item) for item in _list(value) if _text(item)), None)


def _table(value: object) -> Table:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Table]:
    return [_table(item) for item in _list(value)]


def _paths(value: object) -> tuple[str, ...]:
    return tuple(path for item in _list(value) if (path := _text(item)))


def _image(value: object) -> str | None:
    for item in _list(value):
        if path := _text(item.get("location") if isinstance(item, Mapping) else item):
            return path
    return None


def _licence(value: object) -> str | None:
    said = _text(value)
    return normal(said) or said or None


def _agent(value: object) -> str:
    """The names in "Name <mail>", in a list of such, or in {name, email, url}."""
    names = (
        _text(_table(item).get("name")) if isinstance(item, Mapping) else _text(item)
        for item in _list(value)
    )
    return ", ".join(re.sub(r"\s*<[^>]*>", "", name) for name in names if name)[:200]
