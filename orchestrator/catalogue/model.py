"""Pure decisions about publishing: what is being published, and whether it may be.

It reads no files; what a file holds comes in as facts and findings.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from designs import licences, okh
from designs.design import OWN_WORK, Bought, Check, Facts, File, Part, Recipe, Release, Role
from designs.errors import DesignRefused, Finding, Severity
from designs.processes import FDM, LASER, PROCESSES, find_material, find_process

_USUAL = {"mesh": (FDM, "pla", None), "drawing": (LASER, "plywood", 3.0)}
_MESHES = {"stl", "3mf", "obj", "step"}
_DRAWINGS = {"dxf", "svg"}
FORMATS = _MESHES | _DRAWINGS
MANIFESTS = ("okh.toml", "okh.yml", "okh.yaml")


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


def file_format(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower().lstrip(".")
    return "step" if ending == "stp" else ending


def draft_of_files(names: Sequence[str], answers: Answers) -> Draft:
    """One part a file, by the answers and, where they are silent, by what is usual."""
    makeable = _makeable(names)
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


def _makeable(names: Sequence[str]) -> list[str]:
    """The files that parts are made of; a STEP beside others is the source that they came from."""
    every = [name for name in sorted(names) if file_format(name) in FORMATS]
    return [name for name in every if file_format(name) != "step"] or every


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
    kept = ("title", "tolerance_mm", "recipe", "inspection")
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
    process = known_process(answers.process or _USUAL[kind][0], file_name)
    flat = file_format(file_name) == "step" and takes(process) == "drawing"
    _, material, thickness_mm = _USUAL["drawing" if flat else kind]
    if flat:
        thickness_mm = None  # the solid has one
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


def takes(process: str) -> str:
    found = find_process(process)
    return found.takes if found else "mesh"


def made_of(draft: Draft, derived: Mapping[str, tuple[str, float | None]]) -> Draft:
    """The draft with each part in `derived` made of that file; its thickness where none is said.

    Workshops read meshes and drawings: of a STEP they get what was made of it.
    """
    parts = [
        part
        if part.name not in derived
        else part.model_copy(
            update={
                "file_name": derived[part.name][0],
                "thickness_mm": part.thickness_mm or derived[part.name][1],
            }
        )
        for part in draft.parts
    ]
    return draft.model_copy(update={"parts": tuple(parts)})


def beside(name: str, ending: str, taken: Iterable[str]) -> str:
    """A free name for what is made of a file: arm.step gives arm.stl, or arm-from-step.stl."""
    path = PurePosixPath(name)
    plain = str(path.with_suffix(f".{ending}"))
    if plain not in set(taken):
        return plain
    return str(path.with_name(f"{path.stem}-from-{file_format(name)}.{ending}"))


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
            **part.model_dump(exclude={"file_name"}),
            file_name=part.file_name,
            file_sha256=files[part.file_name].sha256,
            format=files[part.file_name].format,
            facts=facts[part.name],
        )
        for part in draft.parts
    )
    spdx, private = licence
    return Release(
        **draft.model_dump(exclude={"parts", "licence", "bought"}),
        licence=spdx,
        private=private,
        parts=parts,
        files=tuple(files[name] for name in sorted(files)),
        bought=draft.bought,
    )


def role(name: str, made_from: Iterable[str]) -> Role:
    """What a file of a design is for, by its name and whether a part is made from it."""
    if name in set(made_from):
        return Role.EXPORT
    kind = file_format(name)
    if name in MANIFESTS:
        return Role.MANIFEST
    if kind in {"png", "jpg", "jpeg", "webp"}:
        return Role.IMAGE
    return Role.DOCUMENT if kind in {"md", "pdf", "txt", "csv"} else Role.SOURCE


def refused(what: str, where: str, do: str) -> DesignRefused:
    return DesignRefused([Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)])


def reject(findings: Iterable[Finding]) -> None:
    """Raise DesignRefused with every refusal among the findings, if there is one."""
    refusals = [finding for finding in findings if finding.severity is Severity.REFUSAL]
    if refusals:
        raise DesignRefused(refusals)
