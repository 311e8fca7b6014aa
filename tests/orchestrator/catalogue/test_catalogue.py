"""Publishing: whole or not at all, with words a designer can act on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from designs import library
from designs.errors import DesignRefused
from orchestrator.catalogue import model, service
from orchestrator.catalogue.model import Answers
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store

SQUARE = """<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="40mm" viewBox="0 0 40 40">
<path d="M0 0H40V40H0Z"/><circle cx="20" cy="20" r="6"/></svg>"""
OPEN = Answers(licence="CERN-OHL-W-2.0", licensor="Ana Puig")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    yield opened
    await opened.close()


def written(folder: Path, name: str, text: str) -> dict[str, Path]:
    path = folder / name
    path.write_text(text)
    return {name: path}


async def count(store: Store) -> int:
    async with store.view() as unit:
        return await unit.session.scalar(select(func.count()).select_from(ReleaseRow)) or 0


async def test_a_drawing_with_answers_becomes_a_release_with_facts(
    store: Store, tmp_path: Path
) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    published = await service.publish(store, files, OPEN)
    part = published.release.parts[0]
    assert (part.process, part.material, part.thickness_mm) == ("laser_cutting", "plywood", 3.0)
    assert part.facts.kind == "drawing"
    assert part.facts.holes == 1
    async with store.view() as unit:
        row = await service.row(unit, published.release.sha256)
        assert await service.release(unit, row.sha256) == published.release
        assert [listed.sha256 for listed in await service.listed(unit)] == [row.sha256]
    assert store.blobs.read(row.pictures["plate"]["thumbnail"]).startswith(b"\x89PNG")


async def test_our_own_library_publishes_by_its_manifest(store: Store, tmp_path: Path) -> None:
    folder = library.build("lantern", tmp_path / "lantern")
    files = {path.name: path for path in folder.iterdir()}
    published = await service.publish(store, files, Answers())
    parts = {part.name: (part.process, part.quantity) for part in published.release.parts}
    assert parts == {
        "base": ("cnc_milling", 1),
        "screen": ("laser_cutting", 4),
        "post": ("3d_printing_fdm", 4),
    }
    assert published.release.bought
    again = await service.publish(store, files, Answers())
    assert again.release.sha256 == published.release.sha256
    assert await count(store) == 1


async def test_a_version_never_changes(store: Store, tmp_path: Path) -> None:
    await service.publish(store, written(tmp_path, "plate.svg", SQUARE), OPEN)
    other = SQUARE.replace('r="6"', 'r="7"')
    with pytest.raises(DesignRefused, match="new version"):
        await service.publish(store, written(tmp_path, "plate.svg", other), OPEN)


async def test_own_work_is_private_and_not_listed(store: Store, tmp_path: Path) -> None:
    mine = Answers(licence="LicenseRef-OwnWork")
    published = await service.publish(store, written(tmp_path, "plate.svg", SQUARE), mine)
    assert published.release.private
    async with store.view() as unit:
        assert not await service.listed(unit)
        assert (await service.row(unit, published.release.sha256)).private
        with pytest.raises(service.NoSuchRelease):
            await service.newest(unit, published.release.design)


@pytest.mark.parametrize(
    ("name", "text", "answers", "words"),
    [
        ("plate.svg", SQUARE, Answers(), "licence"),
        ("plate.svg", SQUARE, Answers(licence="Nobody-Knows-1.0"), "licence"),
        ("plate.svg", SQUARE, OPEN.model_copy(update={"process": "alchemy"}), "alchemy"),
        ("plate.svg", SQUARE, OPEN.model_copy(update={"material": "unobtainium"}), "unobtainium"),
        ("plate.svg", "<svg", OPEN, "plate.svg"),
        ("hook.stl", "solid x\nfacet", OPEN, "hook.stl"),
        ("notes.txt", "hello", OPEN, "nothing to make"),
    ],
)
async def test_what_is_refused_says_why_and_leaves_nothing(
    store: Store, tmp_path: Path, name: str, text: str, answers: Answers, words: str
) -> None:
    with pytest.raises(DesignRefused) as no:
        await service.publish(store, written(tmp_path, name, text), answers)
    assert words in str(no.value)
    assert all(finding.do for finding in no.value.findings)
    assert await count(store) == 0


async def test_one_bad_part_among_good_ones_publishes_nothing(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path, "plate.svg", SQUARE) | written(tmp_path, "hook.stl", "solid x\nfacet")
    with pytest.raises(DesignRefused):
        await service.publish(store, files, OPEN)
    assert await count(store) == 0


def test_twins_get_names_of_their_own() -> None:
    assert model.unique(["a", "b", "a"]) == ["a", "b", "a-2"]
