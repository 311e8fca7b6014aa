"""A published release as an OKH 2.4 manifest, so that any other catalogue can list it."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from designs.design import File, Part, Release, Role
from designs.okh.fields import url_fault
from designs.okh.lint import convert
from designs.okh.manifest import AlternativeEntry, Manifest, PartEntry, Plain
from designs.okh.writing import OWN_PART_KEYS

COUNTS = ("made", "made_in_labs", "made_independently")
Address = Callable[[File], str]
"""Where a file of the release can be fetched."""


class Made(BaseModel):
    """How many real parts of it were made, inspected and found to conform, and in how many labs.

    `independently`: of these, by people and labs that had no hand in designing it, as far as
    names can tell; who is not named is not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    total: int = Field(default=0, ge=0)
    labs: int = Field(default=0, ge=0)
    independently: int = Field(default=0, ge=0)


def of_release(
    release: Release,
    home: str,
    address: Address | None = None,
    made: Made | None = None,
    published_with: Manifest | None = None,
) -> str:
    """The release as OKH 2.4 in TOML; files by their names in it, their hashes in `[cosmolocal]`.

    `home` is its page, which stands for the repository where the designer named none.
    `published_with`: the manifest it came with, whose words beyond our record stay. Raises
    DesignRefused where the release lacks what the standard requires.
    """
    before = published_with or Manifest()
    own = {
        k: v for k, v in before.kept_own.items() if k not in {"release", "file", "part", *COUNTS}
    }
    own |= _own(release, address, made)
    parts = tuple(_part(part, _before(before, part)) for part in release.parts)
    made_from = {part.file_name for part in release.parts}
    manifest = before.saying(
        title=release.title,
        function=release.function,
        version=release.version,
        licence=release.licence,
        licensor=release.licensor,
        repo=home if url_fault(release.repo) else release.repo,
        forked_from=release.forked_from if (release.forked_from or "").startswith("http") else None,
        image=_first(release, Role.IMAGE) or before.image,
        bom=_named(release, Role.BOM),
        instructions=_named(release, Role.INSTRUCTIONS),
        sources=_named(release, Role.SOURCE),
        exports=tuple(n for n in _named(release, Role.EXPORT) if n not in made_from),
        bought=release.bought,
        ancestor=release.ancestor,
        contributors=release.contributors,
        first_article=release.first_article,
    )
    said = _unless_changed(before, manifest)
    kept = said.kept if made is None else _proven(said.kept, made)
    changes = {"parts": parts, "kept": kept, "kept_own": said.kept_own | own}
    return convert(said.model_copy(update=changes))


def _proven(kept: Plain, made: Made) -> Plain:
    """The fields of OKH 1, for which 2.4 has no others: said where it is so, never where not."""
    proven = {"made": made.total, "made-independently": made.independently}
    others = {key: value for key, value in kept.items() if key not in proven}
    return others | {key: True for key, count in proven.items() if count}


def _unless_changed(before: Manifest, after: Manifest) -> Manifest:
    """The words of the designer stay where they still say the same."""
    same = {
        name: getattr(before, name) == getattr(after, name)
        for name in Manifest.model_fields
        if name not in {"kept", "kept_own", "parts", "comment", "dialect"}
    }
    changes = {name: getattr(after, name) for name, stays in same.items() if not stays}
    return before.saying(**changes)


def _part(part: Part, before: PartEntry | None) -> PartEntry:
    entry = PartEntry(
        name=part.name,
        title=part.title,
        file=part.file_name,
        source=before.source if before else None,
        process=part.process,
        material=part.material,
        thickness_mm=part.thickness_mm,
        quantity=part.quantity,
        tolerance_mm=part.tolerance_mm,
        recipe=part.recipe,
        inspection=part.inspection,
        alternatives=tuple(
            AlternativeEntry(file=other.file_name, machine_class=other.machine_class)
            for other in part.alternatives
        ),
    )
    if before is None:
        return entry
    return entry.model_copy(
        update={
            "kept": {k: v for k, v in before.kept.items() if k not in {"name", "tsdc"}},
            "kept_own": {k: v for k, v in before.kept_own.items() if k not in OWN_PART_KEYS},
        }
    )


def _before(manifest: Manifest, part: Part) -> PartEntry | None:
    return next(
        (p for p in manifest.parts if (p.name, p.file) == (part.name, part.file_name)), None
    )


def _own(release: Release, address: Address | None, made: Made | None) -> Plain:
    files: list[object] = [
        {"name": file.name, "sha256": file.sha256, "role": file.role.value}
        | ({"url": address(file)} if address else {})
        for file in release.files
    ]
    counts: Plain = {}
    if made is not None:
        counts = dict(zip(COUNTS, (made.total, made.labs, made.independently), strict=True))
    return {"release": release.sha256, **counts, "file": files}


def _named(release: Release, role: Role) -> tuple[str, ...]:
    return tuple(file.name for file in release.files if file.role is role)


def _first(release: Release, role: Role) -> str | None:
    return next(iter(_named(release, role)), None)
