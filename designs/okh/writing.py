"""A manifest becomes OKH 2.4 as TOML.

What the standard has a field for stands there; what it has none for rides in `[cosmolocal]`, which
other readers may ignore. A value that does not fit the field of its name waits in `kept` tables
there, and comes back on reading.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pydantic import BaseModel

from designs.okh.fields import FIELDS, PART_FIELDS, Field
from designs.okh.manifest import KEYS, Manifest, PartEntry, Plain
from designs.processes import find_process


def write(manifest: Manifest) -> str:
    """The manifest as text; reading it gives the same manifest, in the dialect 2.4."""
    import tomli_w

    head = "".join(f"{line}\n" for line in manifest.comment)
    table = full_table(manifest)
    long = "\\r" not in tomli_w.dumps(table)  # the long form of strings would lose them
    return (f"{head}\n" if head else "") + "\n".join(_blocks(table, (), long))


def _blocks(table: Plain, path: tuple[str, ...], long: bool) -> Iterator[str]:
    """A table's own lines, then each table and list of tables in it under its own header."""
    import tomli_w

    lines = {key: value for key, value in table.items() if not _has_header(value)}
    if lines:
        yield tomli_w.dumps(lines, multiline_strings=long)
    for key, value in table.items():
        if key in lines:
            continue
        step = (*path, tomli_w.dumps({key: 0}).removesuffix(" = 0\n"))
        many = isinstance(value, list)
        for each in cast("list[Plain]", value if many else [value]):
            inner = list(_blocks(each, step, long))
            plain = bool(inner) and not inner[0].startswith("[")
            header = ".".join(step)
            line = f"[[{header}]]\n" if many else f"[{header}]\n"
            if many or plain or not inner:
                yield line + (inner.pop(0) if plain else "")
            yield from inner


def _has_header(value: object) -> bool:
    if isinstance(value, list):
        rows = cast("list[object]", value)
        return bool(rows) and all(isinstance(row, dict) for row in rows)
    return isinstance(value, dict)


def own_words(manifest: Manifest) -> Plain:
    """The manifest as a table of OKH 2.4 in our words, without what was kept."""
    said = {key: _said(getattr(manifest, name)) for name, key in KEYS.items()}
    own = {
        "first_article": manifest.first_article or None,
        "part": {part.name: own_part(part) for part in manifest.parts},
        "bought": [dumped(each) for each in manifest.bought],
        "ancestor": dumped(manifest.ancestor) if manifest.ancestor else None,
        "contributor": [dumped(each) for each in manifest.contributors],
    }
    return given(
        {"okhv": "2.4"}
        | said
        | {
            "tsdc": _criteria(manifest.parts),
            "part": [okh_part(part) for part in manifest.parts],
            "cosmolocal": given(own),
        }
    )


def full_table(manifest: Manifest) -> Plain:
    """The same with everything that was kept."""
    words = own_words(manifest)
    own = cast("Plain", words.pop("cosmolocal", {}))
    own_parts = cast("Plain", own.pop("part", {}))
    entries: list[Plain] = []
    for part in manifest.parts:
        entry, left = _fitting(okh_part(part), part.kept, PART_FIELDS)
        entries.append(entry)
        own_parts[part.name] = _with_left(own_part(part) | part.kept_own, left)
    words.pop("part", None)
    table, left = _fitting(words, manifest.kept, FIELDS)
    strays = manifest.kept_own.get("part")
    own = own | manifest.kept_own
    parts = (cast("Plain", strays) if isinstance(strays, dict) else {}) | own_parts
    own = _with_left(own, left) | ({"part": parts} if parts else {})
    return table | ({"part": entries} if entries else {}) | ({"cosmolocal": own} if own else {})


def okh_part(part: PartEntry) -> Plain:
    process = find_process(part.process) if part.process else None
    entry = {
        "name": part.name,
        "source": part.source,
        "export": part.file,
        "tsdc": process.tsdc if process else None,
    }
    return given(entry)


def own_part(part: PartEntry) -> Plain:
    plain = {
        "title": part.title,
        "process": part.process,
        "material": part.material,
        "thickness_mm": part.thickness_mm,
        "quantity": part.quantity,
        "tolerance_mm": part.tolerance_mm,
        "recipe": dumped(part.recipe) if part.recipe else None,
        "inspection": [dumped(check) for check in part.inspection],
        "alternative": [dumped(other) for other in part.alternatives],
    }
    return {key: value for key, value in plain.items() if value is not None and value != []}


OWN_PART_KEYS = (
    *("title", "process", "material", "thickness_mm", "quantity", "tolerance_mm"),
    *("recipe", "inspection", "alternative"),
)


def dumped(value: BaseModel) -> Plain:
    """A value as a table, without what it does not say."""
    plain = value.model_dump(mode="json", exclude_defaults=True)
    needed = {
        name: getattr(value, name)
        for name, f in type(value).model_fields.items()
        if f.is_required()
    }
    return {key: each for key, each in (needed | plain).items() if each is not None}


def given(table: Mapping[str, object]) -> Plain:
    return {k: v for k, v in table.items() if v is not None and v not in ("", [], {})}


def _said(value: object) -> object:
    """A list of one is that one: the standard takes either."""
    if not isinstance(value, tuple):
        return value
    values = list(cast("tuple[object, ...]", value))
    return values[0] if len(values) == 1 else values


def _fitting(
    words: Plain, kept: Mapping[str, object], fields: Mapping[str, Field]
) -> tuple[Plain, Plain]:
    """What may stand in the manifest, and what has to wait because it does not fit its field."""
    table, left = dict(words), dict[str, object]()
    for key, value in kept.items():
        field = fields.get(key)
        if field is None or field.fault(value) is None:
            table[key] = value
        else:
            left[key] = value
    if "tsdc" in left:
        table.pop("tsdc", None)  # ours comes from the parts and would hide it
    unfit = [k for k, v in table.items() if k in fields and fields[k].fault(v) is not None]
    return {k: v for k, v in table.items() if k not in unfit}, {k: words[k] for k in unfit} | left


def _with_left(own: Plain, left: Plain) -> Plain:
    before = own.get("kept")
    if not left:
        return own
    return own | {"kept": (cast("Plain", before) if isinstance(before, dict) else {}) | left}


def _criteria(parts: Sequence[PartEntry]) -> list[str]:
    """None where a part names no process: it would be read as its, too."""
    if not all(part.process for part in parts):
        return []
    found = (find_process(part.process) for part in parts if part.process)
    return sorted({process.tsdc for process in found if process})
