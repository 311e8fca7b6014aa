"""Pure decisions about publishing: what is being published, and whether it may be.

It reads no files; what a file holds comes in as facts and findings.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from designs import licences, okh
from designs.design import (
    OWN_WORK,
    Alternative,
    Bought,
    Check,
    Contributor,
    Facts,
    File,
    Part,
    Recipe,
    Release,
    Role,
)
from designs.errors import DesignRefused, Finding, Severity
from designs.processes import FDM, LASER, PROCESSES, find_material, find_process

_USUAL = {"mesh": (FDM, "pla", None), "drawing": (LASER, "plywood", 3.0)}
_MESHES = {"stl", "3mf"}
_DRAWINGS = {"dxf", "svg"}
FORMATS = _MESHES | _DRAWINGS
PROGRAMS = {"gcode", "gco", "bgcode", "nc", "ngc", "tap", "cnc"}
MANIFESTS = ("okh.toml", "okh.yml", "okh.yaml")
_IMAGES = {"png", "jpg", "jpeg", "webp"}
_TEXTS = {"md", "pdf", "txt", "csv", "html", "odt"}
_BOM = re.compile(r"(^|[-_. ])s?bom([-_. ]|$)|bill.of.materials|parts.?list|st(ü|ue)ckliste")
_INSTRUCTIONS = re.compile(r"assembl|instruction|build.?guide|maker.?guide|making|montage|howto")


class Answers(BaseModel):
    """What a designer says about files that come without a manifest; all of it may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str | None = Field(default=None, max_length=200)
    version: str = "1.0.0"
    function: str | None = Field(default=None, max_length=2000)
    licence: str | None = Field(default=None, max_length=200)
    licensor: str | None = Field(default=None, max_length=200)
    process: str | None = Field(default=None, max_length=40)
    material: str | None = Field(default=None, max_length=40)
    thickness_mm: float | None = Field(default=None, gt=0, le=200)
    quantity: int = Field(default=1, ge=1, le=1000)


class PartDraft(BaseModel):
    """A part before its file was examined."""

    model_config = ConfigDict(frozen=True)
    name: str
    title: str
    process: str
    material: str
    thickness_mm: float | None
    quantity: int
    tolerance_mm: float | None
    file_name: str
    recipe: Recipe | None = None
    inspection: tuple[Check, ...] = ()
    alternatives: tuple[okh.AlternativeEntry, ...] = ()


class Draft(BaseModel):
    """A release before its files were examined."""

    model_config = ConfigDict(frozen=True)
    design: str
    version: str
    title: str
    function: str
    licence: str | None
    licensor: str
    repo: str | None = None
    forked_from: str | None = None
    parts: tuple[PartDraft, ...]
    bought: tuple[Bought, ...] = ()
    contributors: tuple[Contributor, ...] = ()
    first_article: bool = False
    said_roles: Mapping[str, Role] = {}
    """What the manifest says that files are for."""


def file_format(name: str) -> str:
    return PurePosixPath(name).suffix.lower().lstrip(".")


def draft_of_files(names: Sequence[str], answers: Answers) -> Draft:
    """One part a file, by the answers and, where they are silent, by what is usual."""
    makeable = [name for name in sorted(names) if file_format(name) in FORMATS]
    if not makeable:
        kinds = ", ".join(sorted(FORMATS)).upper()
        where = ", ".join(sorted(names)[:5]) or "files"
        raise refused("there is nothing to make here", where, f"add at least one file of {kinds}")
    title = answers.title or PurePosixPath(makeable[0]).stem
    stems = unique([okh.slug(PurePosixPath(name).stem) for name in makeable])
    return Draft(
        design=okh.slug(title),
        version=answers.version,
        title=title,
        function=answers.function or f"{title}: published without a description.",
        licence=answers.licence,
        licensor=answers.licensor or "not named",
        parts=tuple(_part(n, s, answers) for n, s in zip(makeable, stems, strict=True)),
    )


def draft_of_manifest(manifest: okh.Manifest, names: Sequence[str], answers: Answers) -> Draft:
    """The release a manifest describes; every file it makes a part from must be in `names`.

    A manifest without parts makes one of each export it names that can be made, or, if it names
    none, of each such file.
    """
    said = answers.model_copy(
        update={
            "title": answers.title or manifest.title or None,
            "version": manifest.version or answers.version,
            "function": answers.function or manifest.function or None,
            "licence": answers.licence or manifest.licence,
            "licensor": answers.licensor or manifest.licensor or None,
        }
    )
    if manifest.parts:
        entries = [part for part in manifest.parts if part.file]
        files = [part.file for part in entries if part.file]
    else:
        exports = [name for name in manifest.exports if file_format(name) in FORMATS]
        entries, files = [], exports or list(names)
    draft = draft_of_files(files, said)
    parts = tuple(_entry(part, said) for part in entries) or draft.parts
    return draft.model_copy(
        update={
            "design": okh.slug(said.title or draft.title),
            "title": said.title or draft.title,
            "parts": parts,
            "repo": manifest.repo,
            "forked_from": manifest.forked_from,
            "bought": manifest.bought,
            "contributors": manifest.contributors,
            "first_article": manifest.first_article,
            "said_roles": said_roles(manifest),
        }
    )


def _entry(part: okh.PartEntry, answers: Answers) -> PartDraft:
    """A manifest's part; what it leaves open is as usual for its kind of file."""
    assert part.file is not None
    wish = answers.model_copy(
        update={
            "process": part.process or answers.process,
            "material": part.material or answers.material,
            "thickness_mm": part.thickness_mm or answers.thickness_mm,
            "quantity": part.quantity,
        }
    )
    usual = _part(part.file, part.name, wish)
    kept = ("title", "tolerance_mm", "recipe", "inspection", "alternatives")
    return usual.model_copy(update={name: getattr(part, name) for name in kept})


def unique(names: Sequence[str]) -> list[str]:
    """The same names, later twins numbered."""
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name[:60]}-{seen[name]}")
    return result


def _part(file_name: str, name: str, answers: Answers) -> PartDraft:
    kind = "mesh" if file_format(file_name) in _MESHES else "drawing"
    process, material, thickness_mm = _USUAL[kind]
    process = known_process(answers.process or process, file_name)
    return PartDraft(
        name=name,
        title=PurePosixPath(file_name).stem,
        process=process,
        material=known_material(answers.material or material, file_name),
        thickness_mm=answers.thickness_mm or thickness_mm,
        quantity=answers.quantity,
        tolerance_mm=None,
        file_name=file_name,
    )


def known_process(name: str, where: str) -> str:
    found = find_process(name)
    if found is None:
        known = ", ".join(process.id for process in PROCESSES)
        raise refused(f"nobody here knows the process {name!r}", where, f"use one of {known}")
    return found.id


def known_material(name: str, where: str) -> str:
    found = find_material(name)
    if found is None:
        raise refused(
            f"nobody here knows the material {name!r}", where, "use its plain name, such as pla"
        )
    return found.id


def judge_licence(licence: str | None) -> tuple[str, bool]:
    """The licence to publish under, and whether the release stays private.

    Raises DesignRefused where it may neither be listed nor kept as one's own work.
    """
    if licence == OWN_WORK:
        return licence, True
    verdict = licences.judge(licence, licences.Act.LIST)
    if licence is None or not verdict.allowed:
        raise refused(
            verdict.why,
            "licence",
            f"name an SPDX licence that allows it, such as CERN-OHL-W-2.0, or {OWN_WORK} to keep "
            "it private",
        )
    return licence, False


def release(
    draft: Draft, licence: tuple[str, bool], facts: dict[str, Facts], files: dict[str, File]
) -> Release:
    """The release that this draft and these examined files make; `facts` by part name."""
    parts = tuple(
        Part(
            **part.model_dump(exclude={"file_name", "alternatives"}),
            alternatives=tuple(_alternative(each, files) for each in part.alternatives),
            file_name=part.file_name,
            file_sha256=files[part.file_name].sha256,
            format=files[part.file_name].format,
            facts=facts[part.name],
        )
        for part in draft.parts
    )
    spdx, private = licence
    try:
        return Release(
            **draft.model_dump(exclude={"parts", "licence", "bought", "said_roles"}),
            licence=spdx,
            private=private,
            parts=parts,
            files=tuple(files[name] for name in sorted(files)),
            bought=draft.bought,
        )
    except ValidationError as wrong:
        raise DesignRefused(_unfit(each["loc"], each["msg"]) for each in wrong.errors()) from None


def _unfit(where: tuple[int | str, ...], what: str) -> Finding:
    place = ".".join(map(str, where)) or "release"
    do = "correct it in the manifest or in the answers"
    return Finding(severity=Severity.REFUSAL, where=place, what=what, do=do)


def _alternative(entry: okh.AlternativeEntry, files: Mapping[str, File]) -> Alternative:
    file = files[entry.file]
    return Alternative(
        file_name=file.name,
        file_sha256=file.sha256,
        format=file.format,
        machine_class=entry.machine_class,
    )


def needed(draft: Draft) -> tuple[str, ...]:
    """The files that the parts of a draft are made from, alternatives among them."""
    names = [
        n for part in draft.parts for n in (part.file_name, *(a.file for a in part.alternatives))
    ]
    return tuple(dict.fromkeys(names))


def said_roles(manifest: okh.Manifest) -> dict[str, Role]:
    """What a manifest says its files are for; where it says two things, the later in this list."""
    lists = (
        (Role.SOURCE, manifest.sources),
        (Role.SOURCE, [part.source for part in manifest.parts if part.source]),
        (Role.EXPORT, manifest.exports),
        (Role.IMAGE, [manifest.image] if manifest.image else []),
        (Role.DOCUMENT, [manifest.readme] if manifest.readme else []),
        (Role.DOCUMENT, manifest.manuals),
        (Role.INSTRUCTIONS, manifest.instructions),
        (Role.BOM, manifest.bom),
    )
    return {name: role for role, names in lists for name in names}


def role(name: str, made_from: Iterable[str], said: Mapping[str, Role] | None = None) -> Role:
    """What a file of a design is for: a part is made from it, the manifest says so, or its name."""
    kind = file_format(name)
    if kind in PROGRAMS:
        return Role.PROGRAM
    if name in set(made_from):
        return Role.EXPORT
    if name in MANIFESTS:
        return Role.MANIFEST
    return (said or {}).get(name) or _role_by_name(name, kind)


def _role_by_name(name: str, kind: str) -> Role:
    stem = PurePosixPath(name).stem.lower()
    if kind in _IMAGES:
        return Role.IMAGE
    if kind in {"csv", "tsv", "ods", "xlsx"} and _BOM.search(stem):
        return Role.BOM
    if kind in _TEXTS:
        return Role.INSTRUCTIONS if _INSTRUCTIONS.search(stem) else Role.DOCUMENT
    return Role.SOURCE


def refused(what: str, where: str, do: str) -> DesignRefused:
    return DesignRefused([Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)])


def reject(findings: Iterable[Finding]) -> None:
    """Raise DesignRefused with every refusal among the findings, if there is one."""
    refusals = [finding for finding in findings if finding.severity is Severity.REFUSAL]
    if refusals:
        raise DesignRefused(refusals)
