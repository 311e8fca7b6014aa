"""Pure decisions about proposals: what is changed, whether it still fits, what a release becomes.

It reads no files; what is in them comes in as facts, findings and text.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from designs import licences
from designs.design import Line, Part, Path, Release, Sha256, class_of
from designs.errors import Finding
from designs.geometry.compare import Change, part_difference
from designs.licences import Act
from orchestrator.catalogue import ancestry
from orchestrator.catalogue.model import (
    FORMATS,
    Answers,
    Draft,
    PartDraft,
    draft_of_files,
    file_format,
    part_draft,
    refused,
)

MOST_OPEN: Final = 50
"""Open proposals of one design: more are not looked at by anybody."""
MOST_TEXT: Final = 64 * 1024  # bytes of a text whose lines are compared
_MOST_LINES: Final = 1000
_MOST_SHOWN: Final = 400
_TEXTS: Final = {"md", "txt", "toml", "yml", "yaml", "csv"}
_KEPT: Final = (
    *("title", "function", "licence", "licensor", "repo", "forked_from", "bought"),
    "first_article",
)
_PATH: Final = TypeAdapter[str](Path)

Said = Annotated[Line, StringConstraints(strip_whitespace=True)]
NO_CONTROLS: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"  # but ends of lines and tabs
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=NO_CONTROLS),
]


Given = Annotated[Said, StringConstraints(max_length=100)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# ── the life of a proposal


class ProposalState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


PROPOSAL_MOVES: Final = frozenset(
    (ProposalState.OPEN, end) for end in ProposalState if end is not ProposalState.OPEN
)


SHOWN: Final = frozenset({ProposalState.OPEN, ProposalState.ACCEPTED})
"""What everybody may have the files of."""


class Closed(Exception):
    """The proposal is not open any more; the message says what became of it."""


def move(state: ProposalState, to: ProposalState) -> ProposalState:
    if (state, to) not in PROPOSAL_MOVES:
        raise Closed(f"this proposal is {state} already: nothing was changed")
    return to


class Wish(_Value):
    """What a proposal says beside its files. `base`: the release that was changed; `licence`: what
    the files are given under, where that is not the design's own.
    """

    author: Said
    message: Words
    base: Sha256 | None = None
    licence: Given | None = None
    removed: tuple[str, ...] = Field(default=(), max_length=1000)


class Terms(_Value):
    """What a maintainer accepts on. `version` None is the next minor one."""

    version: str | None = Field(default=None, pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$")
    share: int = Field(ge=0, le=1_000_000)
    did: Said | None = None
    reason: str = Field(default="", max_length=4000, pattern=NO_CONTROLS)


# ── what is changed


class FileChange(_Value):
    """`before` None: the file is new; `after` None: it is taken away."""

    name: Path
    before: Sha256 | None
    after: Sha256 | None
    size_bytes: int = 0


class View(StrEnum):
    """What a picture shows of a changed part; `both`: one version over the other."""

    BEFORE = "before"
    AFTER = "after"
    BOTH = "both"


class Side(_Value):
    """The file that one version of a part is made from."""

    sha256: Sha256
    format: str


class PartChange(_Value):
    """One part beside its former self. Pictures are files by their hash.

    `sides`, where the shape may differ: what pictures that nobody has yet are drawn from, as one
    over the other, and each of what a class of machine is sent.
    """

    name: str
    title: str
    kind: str
    changes: tuple[Change, ...] = ()
    sentence: str
    before: str | None = None
    after: str | None = None
    process: str = ""
    sides: tuple[Side, Side] | None = None


class TextChange(_Value):
    """A changed text, in the lines of a unified difference."""

    name: str
    lines: tuple[str, ...]


class Seen(_Value):
    """What we found when it was proposed."""

    parts: tuple[PartChange, ...] = ()
    texts: tuple[TextChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    licence: str = ""
    given: str = ""
    """The licence that its files are given under; empty where it is the design's."""


def checked_names(names: Sequence[str]) -> None:
    """Refuse names that are no plain paths, and the same name twice."""
    for name in names:
        try:
            _PATH.validate_python(name)
        except ValidationError:
            raise refused(
                f"{name[:80]!r} is no name for a file of a design", "files",
                "use a plain path below the design's folder, such as parts/hook.stl",
            ) from None  # fmt: skip
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise refused(f"{', '.join(twice[:5])} is sent twice", "files", "send each file once")


def changes(
    base: Mapping[str, str], sent: Mapping[str, tuple[str, int]], removed: Sequence[str]
) -> tuple[FileChange, ...]:
    """What differs from the files of `base` (name → hash); `sent` has hash and size by name.

    Raises DesignRefused where nothing does, or something is taken away that is not there.
    """
    checked_names([*sent, *removed])
    absent = [name for name in removed if name not in base]
    if absent:
        raise refused(
            f"{', '.join(absent[:5])} is not among the files of the release", "removed",
            "name a file as the release's page lists it",
        )  # fmt: skip
    found = [
        FileChange(name=name, before=base.get(name), after=sha256, size_bytes=size)
        for name, (sha256, size) in sent.items()
        if base.get(name) != sha256
    ]
    found += [FileChange(name=name, before=base[name], after=None) for name in removed]
    if not found:
        raise refused(
            "it changes nothing: every file is as the release has it", "files",
            "send the files that you changed, under the names they have in the release",
        )  # fmt: skip
    return tuple(sorted(found, key=lambda change: change.name))


def check_steps(proposed: Iterable[FileChange], sent: Iterable[str], held: Iterable[str]) -> None:
    """Refuse a STEP that comes without its export: the two would part ways.

    That is the mesh or drawing of its name; any that is sent where the release has none of it.
    """
    drawn, there = _exports(sent), _exports(held)
    alone = [
        change.name
        for change in proposed
        if change.after
        and _is_step(change.name)
        and (stem := PurePosixPath(change.name).stem) not in drawn
        and (stem in there or not drawn)
    ]
    if alone:
        stem = PurePosixPath(alone[0]).stem
        raise refused(
            "it comes without its mesh or outline, which is what workshops make", alone[0],
            f"a STEP is proposed together with its export: send {stem}.stl or {stem}.svg, too",
        )  # fmt: skip


def _exports(names: Iterable[str]) -> set[str]:
    return {PurePosixPath(name).stem for name in names if is_drawn(name) and not _is_step(name)}


def _is_step(name: str) -> bool:
    return file_format(name) == "step"


def conflicts(proposed: Iterable[FileChange], now: Mapping[str, str]) -> tuple[str, ...]:
    """Files that were changed both here and in what is published meanwhile (name → hash)."""
    return tuple(
        change.name
        for change in proposed
        if now.get(change.name) not in {change.before, change.after}
    )


def merged(proposed: Iterable[FileChange], now: Mapping[str, str]) -> dict[str, str]:
    """The files of `now` with the changes in them."""
    files = dict(now)
    for change in proposed:
        if change.after is None:
            files.pop(change.name, None)
        else:
            files[change.name] = change.after
    return files


# ── what the licence says of it


def given_under(wanted: str | None, whole: str) -> str:
    """The licence that files are given under, empty where it is that of the release they go into.

    Raises DesignRefused where the two cannot be one work that carries the release's licence.
    """
    given = "" if wanted is None else licences.normal(wanted) or wanted
    if given in {"", licences.normal(whole) or whole}:
        return ""
    both = licences.combine(whole, given)
    if licences.ANY in both.licences or set(licences.named(whole)) <= both.licences:
        return given
    why = both.why if not both.licences else f"the whole could carry {_or(both.licences)} alone"
    raise refused(
        f"files under {given} cannot become part of a design under {whole}: {why}", "licence",
        "give your own work under the design's licence, or keep them in a design of their own",
    )  # fmt: skip


def _or(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))


def check_unaltered(before: Release, after: Release, proposed: Iterable[FileChange]) -> None:
    """Raise DesignRefused for changed geometry of what has to be made exactly as it is."""
    verdict = licences.judge(before.licence, Act.ALTER)
    drawn = [change.name for change in proposed if is_drawn(change.name)]
    if verdict.allowed or not (drawn or _geometry(before) != _geometry(after)):
        return
    raise refused(
        verdict.why, drawn[0] if drawn else "manifest",
        f"propose words and pictures alone, or ask {before.licensor} for another licence",
    )  # fmt: skip


def _geometry(release: Release) -> set[tuple[object, ...]]:
    return {
        (part.name, part.file_sha256, part.thickness_mm, *_for_classes(part))
        for part in release.parts
    }


def _for_classes(part: Part) -> Iterator[tuple[str, str | None]]:
    """In their order: of several for one class the first is sent."""
    return ((each.file_sha256, each.machine_class) for each in part.alternatives)


# ── what the release becomes


def draft(base: Release, names: Sequence[str], was: Draft | None, now: Draft | None) -> Draft:
    """The release that these files make of `base`: what a manifest changes is changed.

    `was` and `now` are what the manifests before and after say, None where there is none. A
    proposal changes no name and no licensor.
    """
    if now is None:
        return _plain_draft(base, names)
    known = was or _draft_of(base)
    kept = {
        field: getattr(base, field)
        for field in _KEPT
        if getattr(now, field) == getattr(known, field)
    }
    said = now.model_copy(update={**kept, "design": base.design, "version": base.version})
    said = said.model_copy(
        update={
            "ancestor": base.ancestor,
            "contributors": base.contributors,
            "parts": tuple(_as_published(base, known, part, names) for part in now.parts),
        }
    )
    _stays(base, said)
    return said


def _as_published(base: Release, known: Draft, part: PartDraft, names: Sequence[str]) -> PartDraft:
    """A part of which the manifest says what it said before is as it was published."""
    there = base.part(part.name)
    if there is not None and part in known.parts:
        return part_draft(there)
    was = next((each for each in known.parts if each.name == part.name), None)
    if there is not None and not (part.alternatives or (was and was.alternatives)):
        # the manifest never told of them
        others = tuple(each for each in part_draft(there).alternatives if each.file in names)
        part = part.model_copy(update={"alternatives": others})
    if not _is_step(part.file_name):
        return part
    if there is not None and was is not None and was.file_name == part.file_name:
        # it is made of what was derived from it then
        thickness_mm = part.thickness_mm or there.thickness_mm
        part = part.model_copy(update={"file_name": there.file_name, "thickness_mm": thickness_mm})
    if _is_step(part.file_name):
        raise refused(
            f"{part.name} would be made from a STEP, which workshops do not read", "manifest",
            "name the mesh or outline of it that you send as the file of that part",
        )  # fmt: skip
    return part


def _stays(base: Release, said: Draft) -> None:
    for field, word in (("title", "title"), ("licensor", "licensor")):
        if getattr(said, field) != getattr(base, field):
            raise refused(
                f"the {word} would be another one: {getattr(said, field)!r}", "manifest",
                f"leave it {getattr(base, field)!r}; a design of another name is a fork",
            )  # fmt: skip
    if said.licence != base.licence:
        ancestry.fork_licence(base.licence, said.licence)


def _draft_of(base: Release) -> Draft:
    shared = set(Draft.model_fields) & set(Release.model_fields) - {"parts"}
    said = {name: getattr(base, name) for name in shared}
    return Draft(**said, parts=tuple(part_draft(part) for part in base.parts))


def _plain_draft(base: Release, names: Sequence[str]) -> Draft:
    """Without a manifest: the parts whose file is there still, and one of each new file."""
    parts = [part_draft(part) for part in base.parts if part.file_name in names]
    known = {file.name for file in base.files}
    fresh = [name for name in names if name not in known and is_drawn(name) and not _is_step(name)]
    if fresh:
        taken = {part.name for part in parts}
        more = draft_of_files(fresh, Answers()).parts
        parts += [_renamed(part, taken) for part in more]
    if not parts:
        raise refused("nothing would be left to make", "files", "leave at least one part in it")
    return _draft_of(base).model_copy(update={"parts": tuple(parts)})


def _renamed(part: PartDraft, taken: set[str]) -> PartDraft:
    name, number = part.name, 2
    while name in taken:
        name, number = f"{part.name[:60]}-{number}", number + 1
    taken.add(name)
    return part.model_copy(update={"name": name})


# ── what is told of it


def part_changes(
    before: Release, after: Release, pictures: Mapping[str, str], new_pictures: Mapping[str, str]
) -> tuple[PartChange, ...]:
    """Parts that differ, by name; pictures are thumbnails by part.

    Behind a part, what labs are sent for it whose class of machine has a file of its own, as
    `part@1` and so on, where that differs.
    """
    found: list[PartChange] = []
    for name in dict.fromkeys([p.name for p in (*before.parts, *after.parts)]):
        was, now = before.part(name), after.part(name)
        told = _told(was, now)
        if told is not None:
            shots = {"before": pictures.get(name) if was else None}
            shots["after"] = new_pictures.get(name) if now else None
            found.append(told.model_copy(update=shots))
        found += _told_of_classes(name, was, now)
    return tuple(found)


def _told_of_classes(name: str, was: Part | None, now: Part | None) -> Iterator[PartChange]:
    there = [part for part in (was, now) if part]
    named = [each.machine_class for part in there for each in part.alternatives]
    for number, kind in enumerate(dict.fromkeys(class_of(each) for each in named if each), 1):
        one, other = (part and part.on(kind) for part in (was, now))
        if (one, other) != (was, now) and _file(one) != _file(other):
            told = _told(one, other)
            assert told is not None
            title = f"{told.title} for {kind}"
            told = told.model_copy(update={"name": f"{name}@{number}", "title": title})
            yield _made_from(told, one, other)


def _file(part: Part | None) -> str | None:
    return part and part.file_sha256


def _made_from(told: PartChange, was: Part | None, now: Part | None) -> PartChange:
    """With the names of its files, where they are others."""
    if was is None or now is None or was.file_name == now.file_name:
        return told
    files = Change(what="made from", unit="", before=was.file_name, after=now.file_name)
    sentence = f"Made from {now.file_name} instead of {was.file_name}. {told.sentence}"
    return told.model_copy(update={"changes": (files, *told.changes), "sentence": sentence})


def _told(was: Part | None, now: Part | None) -> PartChange | None:
    there = now or was
    assert there is not None
    if was is None or now is None:
        kind = "added" if was is None else "removed"
        size = " × ".join(f"{side:.1f}" for side in there.facts.size_mm)
        sentence = f"{there.process}, {there.material}, {size} mm"
        return PartChange(name=there.name, title=there.title, kind=kind, sentence=sentence)
    difference = part_difference(was, now)
    if difference.same and was.file_sha256 == now.file_sha256:
        return None
    return PartChange(
        name=now.name,
        title=now.title,
        kind="changed",
        changes=difference.changes,
        sentence=difference.sentence,
        process=now.process,
        sides=None if was.file_sha256 == now.file_sha256 else (_side(was), _side(now)),
    )


def _side(part: Part) -> Side:
    return Side(sha256=part.file_sha256, format=part.format)


def is_drawn(name: str) -> bool:
    return file_format(name) in FORMATS


def is_text(name: str) -> bool:
    return PurePosixPath(name).suffix.lower().lstrip(".") in _TEXTS


def text_change(name: str, before: bytes, after: bytes) -> TextChange:
    """The lines that differ. Of long texts only that they differ: comparing takes too long."""
    if max(len(before), len(after)) > MOST_TEXT:
        return TextChange(name=name, lines=("It is too long to be compared here.",))
    old, new = (text.decode("utf-8", "replace").splitlines() for text in (before, after))
    if max(len(old), len(new)) > _MOST_LINES:
        return TextChange(name=name, lines=("It has too many lines to be compared here.",))
    lines = [line[:400] for line in difflib.unified_diff(old, new, lineterm="", n=2)][2:]
    if len(lines) > _MOST_SHOWN:
        lines = [*lines[:_MOST_SHOWN], "… and more"]
    return TextChange(name=name, lines=tuple(lines))


def contribution(did: str, given: str) -> str:
    """What its author did, as the release names it, with the licence that its files came under."""
    told = f", given under {given}" if given else ""
    return did[: 200 - len(told)] + told


def licence_words(before: str, after: str, given: str) -> str:
    if given:
        return f"Its files are given under {given}; together with them it may carry {after}."
    if before == after:
        return f"It stays under {after}; who proposes gives the change under it."
    return f"The licence changes from {before} to {after}, which {before} allows."
