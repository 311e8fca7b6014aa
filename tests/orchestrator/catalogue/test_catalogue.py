"""Publishing: whole or not at all, with words a designer can act on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from designs import library
from designs.design import OWN_WORK
from designs.errors import DesignRefused
from designs.geometry.drawing import read_drawing
from fablab_agents.prepare.solids import rebuild
from orchestrator.catalogue import forks, keys, lineage, model, service
from orchestrator.catalogue.lifecycle import Caller
from orchestrator.catalogue.model import Answers
from orchestrator.catalogue.service import Terms
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store
from tests.designs.geometry import hostile, solids, steps

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
    with pytest.raises(DesignRefused, match=r"publish this one as 1\.1\.0"):
        await service.publish(store, written(tmp_path, "plate.svg", other), OPEN)
    async with store.unit() as unit:  # as old archives have it: nothing comes after it
        await unit.session.execute(update(ReleaseRow).values(version="first"))
        with pytest.raises(DesignRefused, match="publish this one as a version of its own"):
            await service._check_version(unit, "plate", "first")


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
        (
            "plate.svg",
            SQUARE,
            OPEN.model_copy(update={"material": "unobtainium"}),
            "use one of pla",
        ),
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


async def test_what_a_list_of_parts_says_is_bought_is_part_of_the_release(
    store: Store, tmp_path: Path
) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    files |= written(tmp_path, "bom.csv", "Teil;Anzahl;Link\nplate.svg;2;\nSchraube M4;8;x.de\n")
    published = await service.publish(store, files, OPEN)
    (screw,) = published.release.bought
    assert (screw.name, screw.quantity, screw.note) == ("Schraube M4", 8, "x.de")
    told = {f.what: f.severity for f in published.findings if f.where == "bom.csv"}
    assert told == {
        "one thing that is bought was taken from it": "note",
        "it says 2 of plate, and 1 are made for a product": "warning",
    }


async def test_one_bad_part_among_good_ones_publishes_nothing(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path, "plate.svg", SQUARE) | written(tmp_path, "hook.stl", "solid x\nfacet")
    with pytest.raises(DesignRefused):
        await service.publish(store, files, OPEN)
    assert await count(store) == 0


async def test_everything_that_is_wrong_is_told_at_once(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    for name in ("a.svg", "b.stl", "c.png"):
        files |= written(tmp_path, name, "nothing of the kind")
    said = Answers(title="Plate", version="one", material="unobtainium")
    with pytest.raises(DesignRefused) as no:
        await service.publish(store, files, said)
    told = [finding.where for finding in no.value.findings]
    assert told[:3] == ["material", "version", "licence"]
    assert [where.partition(",")[0] for where in told[3:]] == ["a.svg", "b.stl", "c.png"]
    assert await count(store) == 0
    manifest = '[[part]]\nname = "a"\nexport = "a.svg"\n[[part]]\nname = "lid"\nexport = "lid.stl"'
    files |= written(tmp_path, "okh.toml", f'okhv = "2.4"\nname = "Box"\n{manifest}')
    with pytest.raises(DesignRefused) as no:
        await service.publish(store, files, OPEN)
    told = [finding.where.partition(",")[0] for finding in no.value.findings]
    assert told == ["manifest", "a.svg", "c.png"]


def test_of_very_many_refusals_the_first_are_told_and_how_many_more() -> None:
    one = model.refused("broken", "a.stl", "mend it").findings[0]
    many = [one.model_copy(update={"where": f"{number}.stl"}) for number in range(57)]
    with pytest.raises(DesignRefused) as no:
        model.reject([*many, *many])
    assert [finding.where for finding in no.value.findings[:-1]] == [f.where for f in many[:20]]
    assert "37 more" in no.value.findings[-1].what


def test_twins_get_names_of_their_own() -> None:
    assert model.unique(["a", "b", "a"]) == ["a", "b", "a-2"]


async def test_of_a_step_workshops_get_the_stl_made_of_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "arm.STP").write_bytes(steps.box(10, 20, 30))
    published = await service.publish(store, {"arm.STP": tmp_path / "arm.STP"}, OPEN)
    (part,) = published.release.parts
    assert (part.file_name, part.format, part.process) == ("arm.stl", "stl", "3d_printing_fdm")
    assert {(f.name, f.role, f.format) for f in published.release.files} == {
        ("arm.STP", "source", "step"),
        ("arm.stl", "export", "stl"),
    }
    made = store.blobs.path(part.file_sha256)
    solid = rebuild(str(made), part.format, str(tmp_path / "ours.stl"), (110, 110))
    assert isinstance(solid, dict)
    assert solid["size_mm"] == [10, 20, 30]
    again = await service.publish(store, {"arm.STP": tmp_path / "arm.STP"}, OPEN)
    assert again.release.sha256 == published.release.sha256


async def test_a_flat_step_is_cut_by_its_outline_and_thickness(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "plate.step").write_bytes(steps.box(80, 40, 4))
    laser = OPEN.model_copy(update={"process": "laser_cutting"})
    published = await service.publish(store, {"plate.step": tmp_path / "plate.step"}, laser)
    (part,) = published.release.parts
    assert (part.file_name, part.thickness_mm) == ("plate.svg", 4)
    drawing = read_drawing(store.blobs.path(part.file_sha256), part.format)
    assert drawing.size_mm == pytest.approx((80, 40))
    (tmp_path / "block.step").write_bytes(steps.prism([(0, 0), (9, 0), (0, 9)], 30))
    with pytest.raises(DesignRefused, match="no flat plate"):
        await service.publish(store, {"block.step": tmp_path / "block.step"}, laser)


async def test_a_step_beside_its_stl_is_the_source(store: Store, tmp_path: Path) -> None:
    (tmp_path / "arm.step").write_bytes(steps.box(10, 20, 30))
    (tmp_path / "arm v2.stl").write_bytes(solids.stl(solids.cube()))
    files = {path.name: path for path in tmp_path.iterdir() if path.suffix in {".step", ".stl"}}
    published = await service.publish(store, files, OPEN)
    assert [part.file_name for part in published.release.parts] == ["arm v2.stl"]
    assert len(published.release.files) == 2


async def test_an_obj_is_a_part_that_workshops_read_themselves(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "cube.obj").write_bytes(hostile.CASES["cube.obj"].make())
    published = await service.publish(store, {"cube.obj": tmp_path / "cube.obj"}, OPEN)
    (part,) = published.release.parts
    assert (part.file_name, part.format) == ("cube.obj", "obj")
    made = store.blobs.path(part.file_sha256)
    solid = rebuild(str(made), part.format, str(tmp_path / "ours.stl"), (110, 110))
    assert isinstance(solid, dict)
    assert solid["size_mm"] == [20, 20, 20]


async def test_a_photograph_is_published_without_where_it_was_taken(
    store: Store, tmp_path: Path
) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    (tmp_path / "photo.jpg").write_bytes(hostile.photo())
    (tmp_path / "plain.png").write_bytes(hostile.png())
    files |= {name: tmp_path / name for name in ("photo.jpg", "plain.png")}
    published = await service.publish(store, files, OPEN)
    told = {f.where for f in published.findings}
    assert told == {
        "photo.jpg, its GPS position",
        "photo.jpg, its camera data (EXIF)",
        "plate.svg",  # of which nobody said the sheet
    }
    kept = {f.name: store.blobs.path(f.sha256) for f in published.release.files}
    with Image.open(kept["photo.jpg"]) as picture:
        assert not picture.getexif()
        assert picture.size == (64, 48)
    assert kept["plain.png"].read_bytes() == hostile.png()
    (tmp_path / "photo.jpg").write_bytes(hostile.photo()[:700])
    with pytest.raises(DesignRefused, match=r"photo\.jpg.*damaged"):
        await service.publish(store, files, OPEN)


async def test_every_kind_of_picture_is_cleaned_or_refused(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    (tmp_path / "photo.dat").write_bytes(hostile.photo())
    files["photo.dat"] = tmp_path / "photo.dat"
    release = (await service.publish(store, files, OPEN)).release
    kept = {f.name: store.blobs.path(f.sha256) for f in release.files}
    with Image.open(kept["photo.dat"]) as picture:
        assert not picture.getexif()
    for name in ("photo.tif", "photo.HEIC", "photo.gif", "photo.bmp"):
        (tmp_path / name).write_bytes(b"II*\0" + bytes(60))
        with pytest.raises(DesignRefused, match=name):
            await service.publish(store, {**files, name: tmp_path / name}, OPEN)


def somebody(key: str, *labs: str) -> Terms:
    return Terms(Caller(key=key), labs, keys.kept(key))


async def test_a_stranger_learns_nothing_of_a_pre_release(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    hidden = OPEN.model_copy(update={"title": "Hook", "version": "3.2.1"})
    first = (await service.publish(store, files, hidden, somebody("ana", "lab"))).release
    other = Answers(title="Hook", licence="MIT", licensor="Eve")
    with pytest.raises(DesignRefused) as refused:
        await service.publish(store, files, other, somebody("eve"))
    for secret in ("Ana", "3.2.1", "CERN"):
        assert secret not in str(refused.value)
    async with store.view() as unit:
        said = first.model_copy(update={"version": "4.0.0", "licensor": "Eve"})
        assert await lineage.settled(unit, said, frozenset({keys.kept("eve")})) == said
        assert await lineage.settled(unit, said, frozenset({keys.kept("ana")})) != said


async def test_private_work_takes_no_name_or_version_from_anybody(
    store: Store, tmp_path: Path
) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    hook = OPEN.model_copy(update={"title": "Hook"})
    base = (await service.publish(store, files, hook, somebody("ana"))).release
    for title, version in (("Hook", "1.1.0"), ("Hook", "1.0.0"), ("Hook fork", "1.0.0")):
        own = Answers(title=title, version=version, licence=OWN_WORK, licensor="Eve")
        await service.publish(store, files, own, somebody("eve"))
    next_one = hook.model_copy(update={"version": "1.1.0"})
    made = (await service.publish(store, files, next_one, somebody("ana"))).release
    assert (made.design, made.version) == ("hook", "1.1.0")
    assert (await forks.fork(store, base.sha256, forks.Wish(who="Bo"))).release.design == (
        "hook-fork"
    )


async def test_what_is_refused_leaves_no_file(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    hook = OPEN.model_copy(update={"title": "Hook"})
    await service.publish(store, files, hook, somebody("ana"))
    before = sorted(store.blobs.all())
    other = written(tmp_path, "plate.svg", SQUARE.replace('r="6"', 'r="7"'))
    for who in ("eve", "ana"):  # the name is taken, the version is taken
        with pytest.raises(DesignRefused):
            await service.publish(store, other, hook, somebody(who))
    assert sorted(store.blobs.all()) == before
