"""Pure decisions about publishing: what is being published, and whether it may be.

It reads no files; what a file holds comes in as facts and findings.
"""

import re
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from designs import licences, misfits, okh
from designs.bom import Bill
from designs.design import (
    OWN_WORK,
    Alternative,
    Ancestor,
    Bought,
    Check,
    Contributor,
    Facts,
    File,
    NewRecipe,
    Part,
    Recipe,
    Release,
    Role,
)
from designs.design import Path as PlainPath
from designs.errors import DesignRefused, Finding, Severity
from designs.geometry.compare import same_shape, shape_words
from designs.processes import (
    FDM,
    LASER,
    MATERIALS,
    PROCESSES,
    find_material,
    find_process,
)
from orchestrator.catalogue import versions

_NAME: Final = TypeAdapter[str](PlainPath)
_USUAL = {"mesh": (FDM, "pla", None), "drawing": (LASER, "plywood", 3.0)}
_MESHES = {"stl", "3mf", "obj", "step"}
DRAWINGS = {"dxf", "svg"}
FORMATS = _MESHES | DRAWINGS
PROGRAMS = {"gcode", "gco", "g", "bgcode", "gcode_3mf", "ufp", "nc", "ngc", "cnc", "tap"}
MANIFESTS = ("okh.toml", "okh.yml", "okh.yaml")
MOST_FILES = 200
MOST_TOLD: Final = 20
NOT_NAMED: Final = "not named"
"""The licensor of a design whose designer did not say who they are."""
KEPT = FORMATS | PROGRAMS | {
    "step", "stp", "py", "scad", "fcstd", "toml", "yml", "yaml", "md", "png", "jpg", "jpeg", "webp",
    "csv", "pdf", "txt",
}  # fmt: skip
"""What a folder or archive is searched for; anything may be uploaded by its name."""
_NO_SUFFIX = {"license", "licence", "copying", "notice", "readme"}
_IMAGES = {"png", "jpg", "jpeg", "webp"}
_TEXTS = {"md", "pdf", "txt", "csv", "html", "odt"}
_BOM = re.compile(r"(^|[-_. ])s?bom([-_. ]|$)|bill.of.materials|parts.?list|st(ü|ue)ckliste")
_INSTRUCTIONS = re.compile(r"assembl|instruction|build.?guide|maker.?guide|making|montage|howto")


# ── the life of a release


class ReleaseState(StrEnum):
    """How a release stands with the public. Its content and hash are the same in all of them."""

    DRAFT = "draft"
    PRE_RELEASE = "pre_release"
    RELEASED = "released"
    DEPRECATED = "deprecated"


_R = ReleaseState
RELEASE_MOVES: Final = frozenset(
    {
        (_R.DRAFT, _R.PRE_RELEASE),
        (_R.DRAFT, _R.RELEASED),
        (_R.PRE_RELEASE, _R.RELEASED),
        (_R.RELEASED, _R.DEPRECATED),
        (_R.DEPRECATED, _R.RELEASED),
    }
)
PUBLIC: Final = frozenset({_R.RELEASED, _R.DEPRECATED})
"""What everybody may see, take and order."""


class Standing(BaseModel):
    """How a release stands, as its pages and quotes say it."""

    model_config = ConfigDict(frozen=True)
    state: ReleaseState = ReleaseState.RELEASED
    since: AwareDatetime | None = None
    reason: str = ""
    successor: str | None = None


class IllegalMove(Exception):
    """A release cannot become that from where it stands."""


def move_release(state: ReleaseState, to: ReleaseState) -> ReleaseState:
    if (state, to) not in RELEASE_MOVES:
        said = str(to).replace("_", "-")
        raise IllegalMove(f"a release that is {str(state).replace('_', '-')} cannot become {said}")
    return to


def precedence(state: ReleaseState, version: str, published_at: datetime) -> tuple[object, ...]:
    """A key for the public releases of one design: the last is the one its name stands for.

    A released one before any deprecated one, then by semver; of what is no semver the later one.
    """
    return (state is _R.RELEASED, versions.rank(version), published_at)


def at_version(draft: "Draft") -> tuple["Draft", tuple[Finding, ...]]:
    """The draft with its version as semver spells it, and a note where that was another one."""
    version = versions.normal(draft.version)
    if version == draft.version:
        return draft, ()
    note = Finding(
        severity=Severity.NOTE,
        where="version",
        what=f"{draft.version} is published as {version}",
        do="Write all three numbers next time",
    )
    return draft.model_copy(update={"version": version}), (note,)


# ── what is being published


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


def answered(said: Mapping[str, object]) -> Answers:
    """The answers in these fields, without those that are None; raises DesignRefused."""
    try:
        return Answers.model_validate({k: v for k, v in said.items() if v is not None})
    except ValidationError as wrong:
        raise DesignRefused(misfits.told(wrong.errors(), whole="the answers")) from None


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
    ancestor: Ancestor | None = None
    contributors: tuple[Contributor, ...] = ()
    first_article: bool = False
    said_roles: Mapping[str, Role] = {}
    """What the manifest says that files are for."""
    remarks: tuple[Finding, ...] = ()
    """What nobody said of its parts, or in words that nobody knows: then a refusal. The usual value
    is taken for both."""


def file_format(name: str) -> str:
    """By the name's end. What OrcaSlicer sends as `.gcode.3mf` is a program, no solid."""
    if name.lower().endswith(".gcode.3mf"):
        return "gcode_3mf"
    ending = PurePosixPath(name).suffix.lower().lstrip(".")
    return "step" if ending == "stp" else ending


def file_name(said: str) -> str:
    """A name that a file of a release may have; raises DesignRefused for any other."""
    try:
        return _NAME.validate_python(said.strip())
    except ValidationError:
        raise refused(
            f"{said[:80]!r} cannot be a file's name here",
            "files",
            "use a plain name such as hook.stl, or folder/hook.stl, of at most 200 characters",
        ) from None


def draft_of_files(names: Sequence[str], answers: Answers) -> Draft:
    """One part a file, by the answers and, where they are silent, by what is usual."""
    makeable = _makeable(names)
    if not makeable:
        kinds = ", ".join(sorted(FORMATS)).upper()
        where = ", ".join(sorted(names)[:5]) or "files"
        raise refused("there is nothing to make here", where, f"add at least one file of {kinds}")
    title = answers.title or PurePosixPath(makeable[0]).stem
    stems = unique([okh.slug(PurePosixPath(name).stem) for name in makeable])
    known, strange = _known(answers)
    parts = tuple(_part(n, s, known) for n, s in zip(makeable, stems, strict=True))
    return Draft(
        design=okh.slug(title),
        version=answers.version,
        title=title,
        function=answers.function or f"{title}: published without a description.",
        licence=answers.licence,
        licensor=answers.licensor or NOT_NAMED,
        parts=parts,
        remarks=(*strange, *_assumed((part, answers) for part in parts), *_unnamed(answers)),
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
    wishes = [_wish(part, said) for part in entries]
    known = [
        _known(wish, part.name if part.process or part.material else "")
        for part, wish in zip(entries, wishes, strict=True)
    ]
    parts = tuple(_entry(part, wish) for part, (wish, _) in zip(entries, known, strict=True))
    strange = dict.fromkeys(finding for _, found in known for finding in found)
    taken = (*strange, *_assumed(zip(parts, wishes, strict=True)), *_unnamed(said))
    remarks, roles = taken if parts else draft.remarks, said_roles(manifest)
    return draft.model_copy(
        update={
            "design": okh.slug(said.title or draft.title),
            "title": said.title or draft.title,
            "parts": parts or draft.parts,
            "remarks": (*remarks, *_not_sent(roles, names)),
            "repo": manifest.repo,
            "forked_from": manifest.forked_from,
            "bought": manifest.bought,
            "ancestor": manifest.ancestor,
            "contributors": manifest.contributors,
            "first_article": manifest.first_article,
            "said_roles": roles,
        }
    )


def bills(draft: Draft, names: Iterable[str]) -> list[str]:
    """The lists of parts among files that can be read as tables."""
    made_from = needed(draft)
    return [
        name
        for name in names
        if file_format(name) in {"csv", "tsv"}
        and role(name, made_from, draft.said_roles) is Role.BOM
    ]


def with_bills(draft: Draft, read: Mapping[str, Bill]) -> Draft:
    """With what lists of parts say is bought, unless the manifest names such things itself."""
    listed = tuple(thing for bill in read.values() for thing in bill.bought)
    told = [finding for bill in read.values() for finding in bill.findings]
    for name, bill in read.items():
        told += _counted_otherwise(draft, name, bill)
    if listed and not draft.bought:
        things = (
            "one thing that is bought was"
            if len(listed) == 1
            else (f"{len(listed)} things that are bought were")
        )
        told.append(
            Finding(
                severity=Severity.NOTE,
                where=", ".join(name for name, bill in read.items() if bill.bought),
                what=f"{things} taken from it",
                do="Look whether that is right; what a manifest names under [[cosmolocal.bought]] "
                "counts before it",
            )
        )
    return draft.model_copy(
        update={"bought": draft.bought or listed, "remarks": (*draft.remarks, *told)}
    )


def _counted_otherwise(draft: Draft, name: str, bill: Bill) -> Iterator[Finding]:
    for part in draft.parts:
        many = bill.parts.get(part.name, part.quantity)
        if many != part.quantity:
            yield Finding(
                severity=Severity.WARNING,
                where=name,
                what=f"it says {many} of {part.title}, and {part.quantity} are made for a product",
                do="Say one number in both: quantity of the part in the manifest, or in the draft",
            )


def _wish(part: okh.PartEntry, answers: Answers) -> Answers:
    """What is said of a manifest's part, by it or else by the answers."""
    return answers.model_copy(
        update={
            "process": part.process or answers.process,
            "material": part.material or answers.material,
            "thickness_mm": part.thickness_mm or answers.thickness_mm,
            "quantity": part.quantity,
        }
    )


def _entry(part: okh.PartEntry, wish: Answers) -> PartDraft:
    """A manifest's part; what is left open is as usual for its kind of file."""
    assert part.file is not None
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
    """By answers whose process and material are known."""
    kind = "mesh" if file_format(file_name) in _MESHES else "drawing"
    process = answers.process or _USUAL[kind][0]
    flat = file_format(file_name) == "step" and takes(process) == "drawing"
    _, material, thickness_mm = _USUAL["drawing" if flat else kind]
    if flat:
        thickness_mm = None  # the solid has one
    return PartDraft(
        name=name,
        title=PurePosixPath(file_name).stem,
        process=process,
        material=answers.material or material,
        thickness_mm=answers.thickness_mm or thickness_mm,
        quantity=answers.quantity,
        tolerance_mm=None,
        file_name=file_name,
    )


def _assumed(parts: Iterable[tuple[PartDraft, Answers]]) -> tuple[Finding, ...]:
    """One finding for each part of which process, material or sheet is taken without being said.

    A warning where a sheet is cut: another sheet fits nowhere. Printing in PLA disappoints nobody.
    """
    found: dict[Finding, None] = {}
    for part, said in parts:
        process, material = find_process(part.process), find_material(part.material)
        taken = (
            ("process", said.process, process.title if process else ""),
            ("material", said.material, material.title if material else ""),
            (
                "thickness",
                said.thickness_mm,
                f"{part.thickness_mm:g} mm" if part.thickness_mm else "",
            ),
        )
        silent = {name: value for name, given, value in taken if value and not given}
        if silent:
            found[_taken(part, silent)] = None
    return tuple(found)


def _not_sent(roles: Mapping[str, Role], names: Collection[str]) -> Iterator[Finding]:
    """Whoever makes it would look for them; what a part is made from is refused elsewhere."""
    missing = [name for name in roles if name not in names and "://" not in name]
    if missing:
        yield Finding(
            severity=Severity.WARNING,
            where=", ".join(missing[:5]) + (" …" if len(missing) > 5 else ""),
            what="the manifest names it, and it is not here",
            do="Add the file, or correct its name in the manifest",
        )


def _unnamed(answers: Answers) -> Iterator[Finding]:
    if not answers.licensor and answers.licence != OWN_WORK:
        yield Finding(
            severity=Severity.WARNING,
            where="licensor",
            what="nobody is named who holds the rights, and so nobody wherever it is made",
            do="Say who does: you, or whoever let you publish it",
        )


def _taken(part: PartDraft, silent: Mapping[str, str]) -> Finding:
    sheet = takes(part.process) == "drawing" and set(silent) != {"process"}
    return Finding(
        severity=Severity.WARNING if sheet else Severity.NOTE,
        where=part.file_name,
        what=f"nobody said its {_listed(silent)}: {_listed(silent.values())} "
        f"{'is' if len(silent) == 1 else 'are'} taken",
        do="If it is not so, say it: now, or in the next version",
    )


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


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


def _known(said: Answers, part: str = "") -> tuple[Answers, tuple[Finding, ...]]:
    """The answers without a process or material that nobody here knows, and a refusal of each."""
    process = find_process(said.process) if said.process else None
    material = find_material(said.material) if said.material else None
    found: list[Finding] = []
    for what, word, known, every in (
        ("process", said.process, process, PROCESSES),
        ("material", said.material, material, MATERIALS),
    ):
        if word and known is None:
            ids = ", ".join(each.id for each in every)
            words = f"nobody here knows the {what} {word!r}"
            where = f"{part}: {what}" if part else what
            found += refused(words, where, f"use one of {ids}").findings
    names = {"process": process and process.id, "material": material and material.id}
    return said.model_copy(update=names), tuple(found)


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


def hindrances(draft: Draft, names: Collection[str]) -> tuple[Finding, ...]:
    """All that keeps a draft from being published, but for what its files hold, and notes."""

    def version() -> None:
        noted.extend(at_version(draft)[1])

    noted: list[Finding] = [*draft.remarks]
    checks = (version, lambda: judge_licence(draft.licence), lambda: check_sent(draft, names))
    for check in checks:
        with going_on(noted):
            check()
    return tuple(noted)


def check_sent(draft: Draft, names: Collection[str]) -> None:
    """Raise DesignRefused where a part is to be made from a file that is not there."""
    missing = [name for name in needed(draft) if name not in names]
    if missing:
        raise refused(
            f"{', '.join(missing)} is named in the manifest but was not sent",
            "manifest",
            "add the file, or correct its name in the manifest",
        )


def release(
    draft: Draft, licence: tuple[str, bool], facts: dict[str, Facts], files: dict[str, File]
) -> Release:
    """The release that this draft and these files make; `facts` by name of what is to be seen."""
    parts = tuple(
        Part(
            **part.model_dump(exclude={"file_name", "alternatives"}),
            alternatives=tuple(
                _alternative(each, files, facts.get(_seen_as(part.name, number)))
                for number, each in enumerate(part.alternatives)
            ),
            file_name=part.file_name,
            file_sha256=files[part.file_name].sha256,
            format=files[part.file_name].format,
            facts=facts[part.name],
        )
        for part in draft.parts
    )
    spdx, private = licence
    try:
        made = Release(
            **draft.model_dump(exclude={"parts", "licence", "bought", "ancestor", *_UNRECORDED}),
            licence=spdx,
            private=private,
            parts=parts,
            files=tuple(files[name] for name in sorted(files)),
            bought=draft.bought,
            ancestor=draft.ancestor,
        )
    except ValidationError as wrong:
        raise DesignRefused(misfits.told(wrong.errors(), whole="the release")) from None
    check_recipes(made)
    return made


def check_recipes(release: Release) -> None:
    """Refuse recipes that were taken in once and are no more; what is published stays readable."""
    for part in release.parts:
        try:
            NewRecipe.model_validate({} if part.recipe is None else dict(part.recipe))
        except ValidationError as wrong:
            found = misfits.told(wrong.errors(), whole="the recipe")
            raise DesignRefused(
                each.model_copy(update={"where": f"{part.name}: {each.where}"}) for each in found
            ) from None


_UNRECORDED: Final = ("said_roles", "remarks")


def _alternative(
    entry: okh.AlternativeEntry, files: Mapping[str, File], facts: Facts | None
) -> Alternative:
    file = files[entry.file]
    return Alternative(
        file_name=file.name,
        file_sha256=file.sha256,
        format=file.format,
        machine_class=entry.machine_class,
        facts=facts,
    )


def to_be_seen(draft: Draft) -> tuple[PartDraft, ...]:
    """What has to be examined: the parts, and each export for a class of machine as such a part.

    Programs are not, nor a STEP beside the main file: nobody is sent them.
    """
    others = (
        part.model_copy(update={"name": _seen_as(part.name, number), "file_name": each.file})
        for part in draft.parts
        for number, each in enumerate(part.alternatives)
        if each.machine_class and file_format(each.file) in FORMATS - {"step"}
    )
    return (*draft.parts, *others)


def _seen_as(part: str, alternative: int) -> str:
    """Such as no part is called."""
    return f"{part}@{alternative}"


def is_alternative(seen_as: str) -> bool:
    """Whether this name of `to_be_seen` is no part's own."""
    return "@" in seen_as


def as_seen(release: Release) -> dict[str, Part]:
    """The parts and what they can be made from besides, by the names of `to_be_seen`."""
    others = {
        _seen_as(part.name, number): part.made_from(each)
        for part in release.parts
        for number, each in enumerate(part.alternatives)
        if each.facts
    }
    return {part.name: part for part in release.parts} | others


def unlike(parts: Iterable[PartDraft], facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning for each export for a class that is another shape than the part's own file.

    `facts` by file name; what has none is not compared.
    """
    return tuple(
        _unlike(part, each, facts)
        for part in parts
        for each in part.alternatives
        if each.machine_class
        and {part.file_name, each.file} <= facts.keys()
        and not same_shape(facts[part.file_name], facts[each.file])
    )


def unlike_in(release: Release) -> tuple[Finding, ...]:
    seen = {part.file_name: part.facts for part in as_seen(release).values()}
    return unlike(map(part_draft, release.parts), seen)


def _unlike(part: PartDraft, other: okh.AlternativeEntry, facts: Mapping[str, Facts]) -> Finding:
    own, theirs = (shape_words(facts[name]) for name in (part.file_name, other.file))
    return Finding(
        severity=Severity.WARNING,
        where=f"{part.name} for {other.machine_class}",
        what=f"{other.file} is {theirs}, but {part.file_name} is {own}: labs with such a machine "
        "make another shape",
        do="Name an export of the same part, or make it a part of its own",
    )


def wanted(names: Iterable[str]) -> list[str]:
    """Of what lies in a folder or archive, the files of a design: nothing hidden, no caches."""
    return sorted(name for name in names if not hidden(name) and _is_kept(name))


def left_out(
    names: Sequence[str], why: str = "no file of these kinds belongs to a release"
) -> Finding:
    return Finding(
        severity=Severity.NOTE,
        where=f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}",
        what=f"{len(names)} left out: {why}",
        do="Nothing, if the parts do not need them",
    )


def _is_kept(name: str) -> bool:
    return file_format(name) in KEPT or PurePosixPath(name).name.lower() in _NO_SUFFIX


def hidden(name: str) -> bool:
    return any(step.startswith((".", "__")) for step in name.split("/"))


def part_draft(part: Part) -> PartDraft:
    """A part as it was before its file was examined."""
    shared = set(PartDraft.model_fields) & set(Part.model_fields) - {"alternatives"}
    others = tuple(
        okh.AlternativeEntry(file=each.file_name, machine_class=each.machine_class)
        for each in part.alternatives
    )
    return PartDraft(**{name: getattr(part, name) for name in shared}, alternatives=others)


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


@contextmanager
def going_on(found: list[Finding]) -> Generator[None]:
    """Add what is refused within to what was found, so that the next check can be made, too."""
    try:
        yield
    except DesignRefused as no:
        found.extend(no.findings)


def reject(findings: Iterable[Finding]) -> None:
    """Raise DesignRefused with the refusals among the findings, if there are any.

    Of very many the first; the last one then says how many more there are.
    """
    found = (finding for finding in findings if finding.severity is Severity.REFUSAL)
    refusals = list(dict.fromkeys(found))
    if len(refusals) > MOST_TOLD:
        more = refused(
            f"{len(refusals) - MOST_TOLD} more stand in the way", "the design",
            "mend these first, and the others are told the next time",
        )  # fmt: skip
        refusals[MOST_TOLD:] = more.findings
    if refusals:
        raise DesignRefused(refusals)
