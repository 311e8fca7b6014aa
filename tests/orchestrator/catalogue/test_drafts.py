"""Drafts: they outlive restarts, say what is wrong while it can be mended, and become one release.

Everything here runs on SQLite and on PostgreSQL.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from designs.design import OWN_WORK, Role
from designs.errors import DesignRefused
from orchestrator.catalogue import drafts as room
from orchestrator.catalogue import keys, service
from orchestrator.catalogue.drafts import DraftPublished, Drafts, DraftsFull, NoSuchDraft
from orchestrator.catalogue.lifecycle import Caller
from orchestrator.catalogue.model import Answers, ReleaseState
from orchestrator.catalogue.tables import DraftFileRow, DraftRow, ReleaseRow
from orchestrator.store import Store
from orchestrator.store.tables import EventRow
from tests.designs.geometry import steps
from tests.orchestrator.catalogue.conftest import GCODE, SQUARE, Folder, block

OPEN_SQUARE = SQUARE.replace("H40V40H0Z", "H40V40H0")
OPEN = {"title": "Wall plate", "licence": "CERN-OHL-W-2.0", "licensor": "Ana Puig"}


@pytest.fixture
def drafts(any_store: Store) -> Drafts:
    return Drafts(any_store)


async def filled(
    drafts: Drafts, folder: Folder, files: Mapping[str, str], **answers: object
) -> room.Begun:
    begun = await drafts.begin()
    for name, text in files.items():
        await drafts.add(begun.id, name, folder.put(name, text))
    if answers:
        await drafts.answer(begun.id, answers)
    return begun


async def rows(store: Store, kind: type[ReleaseRow | DraftRow | DraftFileRow]) -> int:
    async with store.view() as unit:
        return await unit.session.scalar(select(func.count()).select_from(kind)) or 0


async def kinds(store: Store, subject: str) -> list[str]:
    async with store.view() as unit:
        told = select(EventRow.kind).where(EventRow.subject == subject).order_by(EventRow.id)
        return list(await unit.session.scalars(told))


def folders(tmp_path: Path) -> list[str]:
    kept = tmp_path / "drafts"
    return sorted(each.name for each in kept.iterdir()) if kept.exists() else []


async def test_a_draft_says_what_it_found_and_what_is_missing(drafts: Drafts, folder: Folder):
    begun = await filled(
        drafts, folder, {"plate.svg": SQUARE, "open.svg": OPEN_SQUARE, "notes.md": "# hi"}
    )
    seen = await drafts.look(begun.id)
    files = {file.name: file for file in seen.files}
    assert files["plate.svg"].looked_at
    assert files["plate.svg"].facts is not None
    assert files["plate.svg"].thumbnail
    [refused] = files["open.svg"].findings
    assert (refused.severity, files["open.svg"].facts) == ("refusal", None)
    place = await drafts.picture(begun.id, files["open.svg"].pictures[refused.picture or ""])
    assert place.read_bytes().startswith(b"\x89PNG")
    assert (files["notes.md"].role, files["notes.md"].looked_at) == (Role.DOCUMENT, False)
    assert not seen.ready
    assert [(finding.where, str(finding.severity)) for finding in seen.findings] == [
        ("open.svg", "warning"), ("plate.svg", "warning"), ("licensor", "warning"),
        ("licence", "refusal"),
    ]  # fmt: skip
    assert seen.findings[1].what == (
        "nobody said its process, material and thickness: Laser cutting, Plywood and 3 mm are taken"
    )
    picture = await drafts.picture(begun.id, files["plate.svg"].thumbnail or "")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("by_manifest", [False, True])
async def test_a_strange_material_hides_nothing_else(
    drafts: Drafts, folder: Folder, *, by_manifest: bool
):
    files = {"hook.stl": block(), "plate.svg": OPEN_SQUARE}
    if by_manifest:
        lines = ['okhv = "2.4"', 'name = "Set"', 'version = "1.0.0"']
        for name in files:
            stem = name[:-4]
            lines += ["[[part]]", f'name = "{stem}"', f'export = "{name}"']
        lines += [f'cosmolocal.part.{name[:-4]}.material = "unobtainium"' for name in files]
        files["okh.toml"] = "\n".join([*lines[:3], *lines[-2:], *lines[3:-2]])
    said = {} if by_manifest else {"material": "unobtainium"}
    begun = await filled(drafts, folder, files, process="nonsense", **said)
    seen = await drafts.look(begun.id)
    told = {finding.where: finding.what for finding in seen.findings}
    assert "nobody here knows the process 'nonsense'" in set(told.values())
    assert "nobody here knows the material 'unobtainium'" in set(told.values())
    assert "licence" in told
    assert not any("nobody said its" in words and "material" in words for words in told.values())
    held = {file.name: file for file in seen.files}
    assert held["hook.stl"].facts is not None
    assert held["plate.svg"].findings
    assert not seen.ready


async def test_what_is_corrected_is_looked_at_anew_and_the_rest_is_not(
    drafts: Drafts, folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    looked: list[tuple[str, str]] = []
    real = service.examine

    def counted(part, path, out):
        looked.append((part.file_name, part.material))
        return real(part, path, out)

    monkeypatch.setattr(service, "examine", counted)
    begun = await filled(
        drafts, folder, {"plate.svg": SQUARE, "hook.stl": "solid x\nfacet"}, **OPEN
    )
    assert not (await drafts.look(begun.id)).ready
    await drafts.add(begun.id, "hook.stl", folder.put("hook.stl", block()))
    assert (await drafts.look(begun.id)).ready
    assert [name for name, _ in looked] == ["hook.stl", "plate.svg", "hook.stl"]
    await drafts.look(begun.id)
    assert len(looked) == 3
    await drafts.answer(begun.id, {"material": "petg", "process": "fdm"})
    seen = await drafts.look(begun.id)
    assert looked[3:] == [("hook.stl", "petg"), ("plate.svg", "petg")]
    assert not seen.ready  # a flat drawing is not printed
    await drafts.answer(begun.id, {"material": None, "process": None})
    assert (await drafts.look(begun.id)).ready


async def test_a_draft_outlives_a_restart_even_one_before_its_files_were_looked_at(
    any_store: Store, folder: Folder
):
    begun = await filled(Drafts(any_store), folder, {"hook.stl": block()}, **OPEN)
    again = Drafts(any_store)  # nothing of the former is used
    await again.check(begun.id, Caller(key=begun.key))
    seen = await again.look(begun.id)
    assert seen.ready
    assert seen.answers == Answers.model_validate(OPEN)
    assert seen.files[0].facts is not None


async def test_publishing_makes_the_release_that_publishing_the_files_would_make(
    any_store: Store, drafts: Drafts, folder: Folder, tmp_path: Path
):
    files = {"plate.svg": SQUARE, "plate.gcode": GCODE}
    begun = await filled(drafts, folder, files, version="v1.2", **OPEN)
    published = await drafts.publish(begun.id, Caller(key=begun.key))
    assert published is not None
    assert published.release.version == "1.2.0"
    assert [f.what for f in published.findings if f.where == "version"] == [
        "v1.2 is published as 1.2.0"
    ]
    roles = {file.name: file.role for file in published.release.files}
    assert roles == {"plate.svg": Role.EXPORT, "plate.gcode": Role.PROGRAM}
    answers = Answers.model_validate(OPEN | {"version": "1.2.0"})
    direct = await service.publish(any_store, {n: folder.path / n for n in files}, answers)
    assert direct.release.sha256 == published.release.sha256
    assert any_store.blobs.read(published.release.parts[0].file_sha256).decode() == SQUARE
    assert folders(tmp_path) == []
    assert await rows(any_store, DraftFileRow) == 0
    assert await kinds(any_store, begun.id) == ["draft.began", "draft.published"]
    assert await kinds(any_store, direct.release.sha256) == [
        "release.released",
        "release.published",
    ]


async def test_what_was_looked_at_lately_is_not_looked_at_again_to_publish(
    any_store: Store, drafts: Drafts, folder: Folder, monkeypatch: pytest.MonkeyPatch
):
    begun = await filled(drafts, folder, {"plate.svg": SQUARE}, **OPEN)
    seen = (await drafts.look(begun.id)).files[0]

    def again(*_: object) -> None:
        raise AssertionError("it was looked at again")

    monkeypatch.setattr(service, "examine", again)
    published = await drafts.publish(begun.id, Caller(key=begun.key))
    assert published is not None
    assert published.release.parts[0].facts == seen.facts
    async with any_store.view() as unit:
        pictures = (await service.row(unit, published.release.sha256)).pictures["plate"]
    assert set(pictures) == {"thumbnail", "model", "outline"}
    assert any_store.blobs.read(pictures["thumbnail"]).startswith(b"\x89PNG")


async def test_publishing_twice_is_publishing_once(
    any_store: Store, drafts: Drafts, folder: Folder
):
    begun = await filled(drafts, folder, {"plate.svg": SQUARE}, **OPEN)
    assert await drafts.publish(begun.id, Caller(key=begun.key))
    assert await drafts.publish(begun.id, Caller(key=begun.key)) is None
    assert (await drafts.look(begun.id)).release
    assert await rows(any_store, ReleaseRow) == 1
    for change in (
        drafts.add(begun.id, "b.svg", folder.put("b.svg", SQUARE)),
        drafts.answer(begun.id, {"title": "Other"}),
        drafts.remove(begun.id, "plate.svg"),
    ):
        with pytest.raises(DraftPublished, match="begin a new one"):
            await change


@pytest.mark.parametrize(
    ("files", "answers", "words"),
    [
        ({}, OPEN, "nothing to make"),
        ({"plate.svg": SQUARE}, {"title": "Plate"}, "licence"),
        ({"plate.svg": SQUARE}, {"licence": "Nobody-Knows-1.0"}, "licence"),
        ({"plate.svg": SQUARE}, OPEN | {"version": "final"}, "no version"),
        ({"plate.svg": SQUARE}, OPEN | {"process": "alchemy"}, "alchemy"),
        ({"plate.svg": SQUARE, "hook.stl": "solid x\nfacet"}, OPEN, "hook.stl"),
        ({"a.gcode": GCODE}, OPEN, "nothing to make"),
        ({"okh.toml": 'title = "X"\n[[part]]\n', "plate.svg": "<svg"}, OPEN, "svg"),
    ],
)
async def test_what_cannot_be_published_stays_a_draft(
    any_store: Store, drafts: Drafts, folder: Folder, files: dict[str, str],
    answers: dict[str, object], words: str,
):  # fmt: skip
    begun = await filled(drafts, folder, files, **answers)
    before = await drafts.look(begun.id)
    assert not before.ready
    with pytest.raises(DesignRefused) as no:
        await drafts.publish(begun.id, Caller(key=begun.key))
    assert words in str(no.value)
    assert await drafts.look(begun.id) == before
    assert await rows(any_store, ReleaseRow) == 0


async def test_own_work_is_published_privately(any_store: Store, drafts: Drafts, folder: Folder):
    begun = await filled(drafts, folder, {"plate.svg": SQUARE}, licence=OWN_WORK)
    published = await drafts.publish(begun.id, Caller(key=begun.key))
    assert published is not None
    async with any_store.view() as unit:
        row = await service.row(unit, published.release.sha256)
        assert (row.private, row.state) == (True, ReleaseState.RELEASED)
        assert await service.listed(unit) == []


# ── keys


async def test_a_draft_is_opened_by_its_key_and_by_nothing_else(drafts: Drafts, any_store: Store):
    begun, other = await drafts.begin(), await drafts.begin()
    await drafts.check(begun.id, Caller(key=begun.key))
    await drafts.check(begun.id, Caller(operator=True))
    for key in ("", other.key, begun.key + "x", keys.kept(begun.key), begun.id):
        with pytest.raises(NoSuchDraft):
            await drafts.check(begun.id, Caller(key=key))
    with pytest.raises(NoSuchDraft):
        await drafts.check("d-none", Caller(key=begun.key))
    async with any_store.view() as unit:
        kept = (await unit.session.scalars(select(DraftRow))).all()
        told = (await unit.session.scalars(select(EventRow))).all()
    words = "".join(str(vars(row)) for row in (*kept, *told))
    assert begun.key not in words


async def test_one_key_goes_on_from_version_to_version(
    any_store: Store, drafts: Drafts, folder: Folder
):
    begun = await filled(drafts, folder, {"plate.svg": SQUARE}, **OPEN)
    assert await drafts.opened_by(begun.key) == begun.id
    await drafts.publish(begun.id, Caller(key=begun.key))
    second = await drafts.opened_by(begun.key)
    assert second != begun.id
    assert await drafts.opened_by(begun.key) == second
    answers = (await drafts.look(second)).answers
    assert (answers.title, answers.version, answers.licence) == (
        "Wall plate", "1.1.0", "CERN-OHL-W-2.0",
    )  # fmt: skip
    await drafts.add(second, "plate.svg", folder.put("plate.svg", SQUARE.replace("6", "7")))
    assert await drafts.publish(second, Caller(key=begun.key))
    assert await rows(any_store, ReleaseRow) == 2
    third = await drafts.opened_by(begun.key)
    await drafts.add(third, "plate.svg", folder.put("plate.svg", SQUARE.replace("6", "8")))
    await drafts.answer(third, {"version": "v1"})
    taken = await drafts.look(third, Caller(key=begun.key))
    assert not taken.ready
    assert "wall-plate 1.0.0 is published already" in str(taken.findings[-1])
    assert "publish this one as 1.2.0" in str(taken.findings[-1])
    await drafts.answer(third, {"version": "1.2.0"})
    assert (await drafts.look(third, Caller(key=begun.key))).ready
    with pytest.raises(NoSuchDraft):
        await drafts.opened_by("somebody else's")


async def test_the_name_of_a_design_belongs_to_who_used_it_first(
    any_store: Store, drafts: Drafts, folder: Folder
):
    first = await filled(drafts, folder, {"plate.svg": SQUARE}, **OPEN)
    await drafts.publish(first.id, Caller(key=first.key))
    thief = await filled(drafts, folder, {"plate.svg": SQUARE}, **OPEN, version="9.0.0")
    seen = await drafts.look(thief.id, Caller(key=thief.key))
    assert not seen.ready
    assert "somebody else's design" in str(seen.findings[-1])
    with pytest.raises(DesignRefused, match="somebody else's design is called wall-plate"):
        await drafts.publish(thief.id, Caller(key=thief.key))
    assert await drafts.publish(thief.id, Caller(operator=True))
    async with any_store.view() as unit:
        assert (await service.newest(unit, "wall-plate")).version == "9.0.0"


# ── bounds


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x.stl", "a/../b.stl", "a\\b.stl", "C:x.stl", "a\0.stl", "x" * 300],
)
async def test_a_name_that_is_no_plain_one_is_refused(drafts: Drafts, folder: Folder, name: str):
    begun = await drafts.begin()
    with pytest.raises(DesignRefused, match="cannot be a file's name"):
        await drafts.add(begun.id, name, folder.put("a.svg", SQUARE))
    assert (await drafts.look(begun.id)).files == ()


async def test_a_draft_and_all_drafts_are_bounded(
    drafts: Drafts, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "MOST_FILES", 2)
    monkeypatch.setattr(room, "MOST_BYTES", 1000)
    monkeypatch.setattr(room, "MOST_BYTES_OF_ALL", 1500)
    monkeypatch.setattr(room, "MOST_DRAFTS", 2)
    one, two = await drafts.begin(), await drafts.begin()
    with pytest.raises(DraftsFull, match="there are 2 drafts"):
        await drafts.begin()
    big = folder.put("big.md", "x" * 900)
    await drafts.add(one.id, "big.md", big)
    await drafts.add(one.id, "big.md", big)  # in its own place
    with pytest.raises(DesignRefused, match="at most 2 files"):
        await drafts.add(one.id, "more.md", big)
    with pytest.raises(DraftsFull):
        await drafts.add(two.id, "big.md", big)
    await drafts.add(one.id, "a.md", folder.put("a.md", "a"))
    with pytest.raises(DesignRefused):
        await drafts.add(one.id, "b.md", folder.put("b.md", "b"))
    await drafts.remove(one.id, "big.md")
    await drafts.add(two.id, "big.md", big)
    kept = [path for path in (tmp_path / "drafts" / one.id).rglob("*") if path.is_file()]
    assert [path.read_text() for path in kept] == ["a"]


async def test_replaced_files_leave_nothing_behind(drafts: Drafts, folder: Folder, tmp_path: Path):
    begun = await drafts.begin()
    for size in (6, 7, 8):
        text = SQUARE.replace('r="6"', f'r="{size}"')
        await drafts.add(begun.id, "plate.svg", folder.put("plate.svg", text))
        await drafts.look(begun.id)
    kept = [path for path in (tmp_path / "drafts" / begun.id).rglob("*") if path.is_file()]
    assert len(kept) == 4  # the drawing and its pictures


async def test_what_nobody_used_for_ninety_days_is_removed_and_said_so(
    any_store: Store, drafts: Drafts, folder: Folder, tmp_path: Path
):
    used = await filled(drafts, folder, {"plate.svg": SQUARE})
    empty = await drafts.begin()
    now = datetime.now(UTC)
    assert await drafts.sweep(now + timedelta(hours=23)) == ()
    assert await drafts.sweep(now + timedelta(hours=25)) == (empty.id,)
    assert await drafts.sweep(now + timedelta(days=89)) == ()
    assert await drafts.sweep(now + timedelta(days=91)) == (used.id,)
    assert await kinds(any_store, used.id) == ["draft.began", "draft.removed"]
    assert folders(tmp_path) == []
    assert await rows(any_store, DraftRow) == await rows(any_store, DraftFileRow) == 0


async def test_a_folder_without_a_draft_is_swept_a_day_later(drafts: Drafts, tmp_path: Path):
    """As a kill between forgetting a draft and throwing its files away leaves it."""
    left = tmp_path / "drafts" / "d-left" / "ab"
    left.mkdir(parents=True)
    (left / ("ab" + "c" * 62)).write_text("x")
    await drafts.sweep()
    assert left.exists()
    await drafts.sweep(datetime.now(UTC) + timedelta(days=2))
    assert folders(tmp_path) == []


async def test_looking_at_a_draft_is_using_it(any_store: Store, drafts: Drafts, folder: Folder):
    begun = await filled(drafts, folder, {"notes.md": "x"})
    async with any_store.unit() as unit:
        row = await unit.session.get_one(DraftRow, begun.id)
        row.used_at = unit.now - timedelta(days=80)
    await drafts.look(begun.id)
    assert await drafts.sweep(datetime.now(UTC) + timedelta(days=80)) == ()


async def test_a_published_draft_leaves_its_release_when_it_is_swept(
    any_store: Store, drafts: Drafts, folder: Folder
):
    begun = await filled(drafts, folder, {"plate.svg": SQUARE}, **OPEN)
    published = await drafts.publish(begun.id, Caller(key=begun.key))
    assert published is not None
    assert await drafts.sweep(datetime.now(UTC) + timedelta(days=91)) == (begun.id,)
    assert any_store.blobs.read(published.release.parts[0].file_sha256).decode() == SQUARE
    assert await drafts.opened_by(begun.key)  # the release keeps the key


async def test_a_step_is_made_of_what_is_derived_from_it_through_a_draft_too(
    drafts: Drafts, folder: Folder
):
    begun = await filled(drafts, folder, {"arm.step": steps.box(10, 20, 30).decode()}, **OPEN)
    assert (await drafts.look(begun.id)).ready
    published = await drafts.publish(begun.id, Caller(key=begun.key))
    assert published is not None
    [part] = published.release.parts
    assert (part.file_name, part.format) == ("arm.stl", "stl")
