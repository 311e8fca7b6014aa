"""Search against a plain reading of the same releases: both engines find what it finds."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from designs import licences, okh
from designs.design import (
    Ancestor,
    Check,
    Contributor,
    DrawingFacts,
    File,
    MeshFacts,
    Part,
    Recipe,
    Release,
    Role,
)
from orchestrator.catalogue import service
from orchestrator.catalogue.search import finder, index, words
from orchestrator.catalogue.search.documents import Standing, document
from orchestrator.catalogue.search.model import Able, Query, read
from orchestrator.catalogue.search.tables import ENDLESS, FoundCard, FoundDesign, FoundPart
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store, Unit
from tests.orchestrator.catalogue.test_catalogue import OPEN, SQUARE, written

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VOCABULARY = ["hook", "hooks", "lámpara", "Lampara", "battery", "garden", "oak", "für", "3d", "жук"]
LICENCES = ["CC-BY-4.0", "CC-BY-NC-4.0", "CERN-OHL-W-2.0", "MIT OR CC-BY-4.0"]


@dataclass(frozen=True)
class Made:
    """A release that is listed, and what else is known of it."""

    release: Release
    standing: Standing


# ── releases


def a_part(number: int, process: str, material: str, sides: Sequence[float], **more: Any) -> Part:
    flat = process != "3d_printing_fdm"
    x, y, z = sides
    facts: MeshFacts | DrawingFacts
    if flat:
        facts = DrawingFacts(
            size_mm=(x, y), area_mm2=x * y, cut_length_mm=9, outlines=1, holes=0,
            smallest_hole_mm=None,
        )  # fmt: skip
    else:
        facts = MeshFacts(
            size_mm=(x, y, z), volume_mm3=x * y * z, area_mm2=9, triangles=12, shells=1,
            watertight=True,
        )  # fmt: skip
    kind = "svg" if flat else "stl"
    return Part(
        **{
            "name": f"part-{number}", "title": f"Part {number}", "process": process,
            "material": material, "thickness_mm": z if flat else None,
            "file_sha256": f"{number:064x}", "file_name": f"part-{number}.{kind}", "format": kind,
            "facts": facts, **more,
        }
    )  # fmt: skip


def a_release(design: str, parts: Sequence[Part], **more: Any) -> Release:
    files = tuple(
        File(
            name=p.file_name, sha256=p.file_sha256, size_bytes=1, role=Role.EXPORT, format=p.format
        )
        for p in parts
    )
    plain = {
        "design": design, "version": "1.0.0", "title": design, "function": "Holds things.",
        "licence": "CC-BY-4.0", "licensor": "Ana Puig", "parts": tuple(parts), "files": files,
    }  # fmt: skip
    return Release(**plain | more)


sides = st.tuples(*[st.sampled_from([3.0, 40.0, 150.0, 220.0, 220.5, 400.0])] * 3)
phrases = st.lists(st.sampled_from(VOCABULARY), max_size=3).map(" ".join)


@st.composite
def parts(draw: st.DrawFn, number: int) -> Part:
    process = draw(st.sampled_from(["3d_printing_fdm", "laser_cutting", "cnc_milling"]))
    materials = ["pla", "petg"] if process == "3d_printing_fdm" else ["plywood", "mdf"]
    return a_part(
        number, process, draw(st.sampled_from(materials)), draw(sides),
        title=f"Part {draw(phrases)}".strip(),
        tolerance_mm=draw(st.sampled_from([None, 0.1, 0.5])),
        quantity=draw(st.integers(1, 3)),
        recipe=draw(st.sampled_from([None, Recipe(walls=2)])),
        inspection=draw(st.sampled_from([(), (Check(kind="photo", what="all of it"),)])),
    )  # fmt: skip


@st.composite
def collections(draw: st.DrawFn) -> list[Made]:
    many = draw(st.integers(1, 7))
    made: list[Made] = []
    for number in range(many):
        each = [draw(parts(n)) for n in range(draw(st.integers(1, 3)))]
        release = a_release(
            f"design-{number}", each,
            title=f"D {draw(phrases)}".strip(),
            function=f"F {draw(phrases)}".strip(),
            licence=draw(st.sampled_from(LICENCES)),
            version=draw(st.sampled_from(["1.0.0", "2.0.0-rc.1"])),
            licensor=draw(st.sampled_from(["Ana Puig", "ANA  PUÏG", "Bo"])),
            contributors=draw(st.sampled_from([(), (Contributor(name="Zoë O'Neil"),)])),
            forked_from=draw(st.sampled_from([None, "https://example.org/x"])),
            ancestor=draw(st.sampled_from([None, ANCESTOR])),
            first_article=draw(st.booleans()),
        )  # fmt: skip
        standing = Standing(
            f"{number:064x}", NOON + timedelta(days=draw(st.integers(0, 3))),
            deprecated=draw(st.booleans()), made=okh.Made(total=draw(st.integers(0, 2))),
        )  # fmt: skip
        made.append(Made(release, standing))
    return made


ANCESTOR = Ancestor(
    release="a" * 64, design="hook", version="1.0.0", title="Hook", licence="MIT", licensor="Cy"
)
VALUES: dict[str, list[str]] = {
    "q": ["hook", "Hooks", "lampara garden", "batt", "3d", "жу", "für", "pla", "bo", "zoe hook",
          "F", '"hook" AND', "hook*", "NEAR(hook)", "-hook", "%", "_", "'; DROP TABLE x", "the"],
    "process": ["fdm", "laser_cutting"],
    "material": ["pla", "plywood"],
    "licence": ["CC-BY-4.0", "mit", "MIT OR CC-BY-4.0", "Nobody-1.0"],
    "sold": ["yes"], "changed": ["yes"],
    "fits": ["220", "40", "220x150", "150x220x3", "400x400x400", "3x400x400"],
    "mass_max": ["1", "500", "5000"], "volume_max": ["1", "500"], "tolerance": ["0.1", "0.3"],
    "thickness": ["3", "40"], "format": ["stl", ".SVG", "3mf"], "version": ["1.0.0", "2.0.0-RC.1"],
    "since": ["2026-03-02"], "until": ["2026-03-02"],
    "contributor": ["zoe o'neil", "ana puig", "ana"], "licensor": ["Ana Puig", "bo"],
    "forked_from": ["hook", "a" * 64, "https://example.org/x", "*"],
    "recipe": ["yes"], "inspection": ["yes"], "first_article": ["yes"],
    "deprecated": ["yes", "no"], "made": ["1", "2"],
}  # fmt: skip


@st.composite
def queries(draw: st.DrawFn) -> Query:
    names = draw(st.lists(st.sampled_from(list(VALUES)), max_size=3))
    asked = read([(name, draw(st.sampled_from(VALUES[name]))) for name in dict.fromkeys(names)])
    assert asked.findings == ()
    return asked.query


# ── the plain reading, which knows no engine


def plainly(made: Sequence[Made], query: Query) -> list[str]:
    """Designs in their order: tier, newest, name."""
    asked = words.question(query.q)
    everything = {token for each in made for scope in _scopes(each) for token in scope}
    ranked = []
    for each in made:
        tier = _tier(each, asked.words, everything)
        if tier is not None and _fits_fields(each, query) and _fits_numbers(each, query):
            ranked.append((tier, -each.standing.published_at.timestamp(), each.release.design))
    return [design for _, _, design in sorted(ranked)]


def _scopes(each: Made) -> tuple[list[str], ...]:
    return document(each.release, each.standing).scopes[:3]


def _tier(each: Made, asked: Sequence[words.Wanted], everything: set[str]) -> int | None:
    seen: set[str] = set()
    for tier, scope in enumerate(_scopes(each)):
        seen |= set(scope)
        if all(_stands(word, seen, everything) for word in asked):
            return tier
    return None


def _stands(word: words.Wanted, seen: set[str], everything: set[str]) -> bool:
    if word.prefix and word.token not in everything:
        return any(token.startswith(word.prefix) for token in seen)
    return word.token in seen


def _folded(name: str) -> str:
    return words.fold(" ".join(name.split()))


def _fits_fields(each: Made, query: Query) -> bool:
    release, standing = each.release, each.standing
    processes = {part.process for part in release.parts}
    makers = {_folded(n) for n in (release.licensor, *(c.name for c in release.contributors))}
    allowed = {_folded(n) for n in (release.licence, *licences.named(release.licence))}
    return all(
        (
            set(query.process) <= processes,
            all(
                any(
                    part.material == material
                    and (not query.process or part.process in query.process)
                    for part in release.parts
                )
                for material in query.material
            ),
            {_folded(one) for one in query.licence} <= allowed,
            not query.sold or "NC" not in release.licence,
            set(query.format) <= {file.format for file in release.files},
            query.thickness is None or query.thickness in {p.thickness_mm for p in release.parts},
            not query.version or _folded(query.version) == _folded(release.version),
            not query.contributor or _folded(query.contributor) in makers,
            not query.licensor or _folded(query.licensor) == _folded(release.licensor),
            _forked(release, query.forked_from),
            not query.recipe or any(p.recipe for p in release.parts),
            not query.inspection or any(p.inspection for p in release.parts),
            not query.first_article or release.first_article,
            query.deprecated is None or query.deprecated == standing.deprecated,
        )
    )


def _forked(release: Release, origin: str) -> bool:
    known = {release.forked_from} if release.forked_from else set()
    if release.ancestor:
        known |= {release.ancestor.design, release.ancestor.release}
    return not origin or (bool(known) if origin == "*" else origin in known)


def _fits_numbers(each: Made, query: Query) -> bool:
    release, standing = each.release, each.standing
    density = {"pla": 1.24, "petg": 1.27, "plywood": 0.6, "mdf": 0.75}
    volumes = [(_volume(p) * p.quantity, density[p.material]) for p in release.parts]
    day = standing.published_at.date()
    tightest = min((p.tolerance_mm for p in release.parts if p.tolerance_mm), default=1e9)
    return all(
        (
            query.mass_max is None or sum(v * d for v, d in volumes) / 1000 <= query.mass_max,
            query.volume_max is None or sum(v for v, _ in volumes) / 1000 <= query.volume_max,
            query.tolerance is None or tightest >= query.tolerance,
            query.since is None or day >= query.since,
            query.until is None or day <= query.until,
            query.made is None or standing.made.total >= query.made,
            query.fits is None
            or all(
                _fits(part, (query.fits.x / 1000, query.fits.y / 1000, query.fits.z / 1000))
                for part in release.parts
                if not query.process or part.process in query.process
            ),
        )
    )


def _volume(part: Part) -> float:
    if isinstance(part.facts, DrawingFacts):
        return part.facts.area_mm2 * (part.thickness_mm or 0)
    return part.facts.volume_mm3


def _fits(part: Part, box: tuple[float, float, float]) -> bool:
    """Every way to turn it, one after the other."""
    if isinstance(part.facts, DrawingFacts):
        x, y = part.facts.size_mm
        ways = [(x, y, part.thickness_mm or 0), (y, x, part.thickness_mm or 0)]
    else:
        ways = list(itertools.permutations(part.facts.size_mm))
    return any(all(side <= room for side, room in zip(way, box, strict=True)) for way in ways)


# ── both engines


# Without shrinking: an example is a database, and a failure says its query.
FEW = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


class Bench:
    """A store on a loop of its own, for tests that draw many collections."""

    def __init__(self, url: str, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = self.run(Store.open(url, folder / "blobs"))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def fill(self, made: Sequence[Made]) -> None:
        async with self.store.unit() as unit:
            await empty(unit)
            documents = [document(each.release, each.standing) for each in made]
            await index.put(unit.session, documents)

    async def find(self, query: Query, able: Sequence[Able] | None = None) -> finder.Found:
        async with self.store.view() as unit:
            return await finder.find(unit, query, able)


async def empty(unit: Unit) -> None:
    for name in ("found_words", "found_part", "found_card", "found_design"):
        await unit.session.execute(text(f"DELETE FROM {name}"))


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(database_url, tmp_path)
    yield made
    made.run(made.store.close())
    made.loop.close()


@FEW
@given(collections(), st.lists(queries(), min_size=12, max_size=16))
def test_an_engine_finds_what_plain_reading_finds(
    bench: Bench, made: list[Made], asked: list[Query]
) -> None:
    bench.run(bench.fill(made))
    for query in asked:
        found = bench.run(bench.find(query))
        assert [card.design for card in found.cards] == plainly(made, query), query
        assert (found.total, found.more) == (len(found.cards), False)


@FEW
@given(collections(), queries(), st.integers(1, 3))
def test_pages_put_together_are_the_whole(
    bench: Bench, made: list[Made], query: Query, size: int
) -> None:
    bench.run(bench.fill(made))
    whole = [card.design for card in bench.run(bench.find(query)).cards]
    after, pages = None, []
    for _ in range(len(whole) + 2):
        found = bench.run(bench.find(replace(query, limit=size, after=after)))
        pages += [card.design for card in found.cards]
        assert found.total == len(whole)
        if found.next is None:
            break
        after = found.next
    assert pages == whole


@pytest.mark.parametrize("price", [finder._PRICE, -1], ids=["by words", "newest first"])
def test_a_page_beyond_what_is_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, price: int
) -> None:
    """Also where PostgreSQL goes through all designs, as it does of words that many have."""
    monkeypatch.setattr(finder, "BOUND", 5)
    monkeypatch.setattr(finder, "_PRICE_OF_NUMBERS", price)
    titles = ["hook", "lamp", "stool"]
    made = [
        Made(
            a_release(
                f"design-{n:02}",
                [a_part(0, "3d_printing_fdm", "pla", (40, 40, 40 if n % 5 else 400))],
                title=titles[n % 3], function="hook" if n % 2 else "lamp",
            ),
            Standing(f"{n:064x}", NOON + timedelta(minutes=n)),
        )
        for n in range(30)
    ]  # fmt: skip
    bench.run(bench.fill(made))
    query = replace(read([("q", "hook"), ("volume_max", "100")]).query, limit=4)
    found, pages = bench.run(bench.find(query)), []
    assert (found.total, found.more, found.facets) == (5, True, None)
    while True:
        pages += [card.design for card in found.cards]
        if found.next is None:
            break
        found = bench.run(bench.find(replace(query, after=found.next)))
    assert pages == plainly(made, query)
    assert len(pages) > 15


# ── makeable near

PRINTER = Able("3d_printing_fdm", frozenset({"pla"}), 220_000, 220_000, 250_000, 200)
LASER = Able("laser_cutting", frozenset({"plywood"}), 400_000, 400_000, 10_000, 100, 6_000)
NEAR = read([("near", "41.4,2.2")]).query


@FEW
@given(
    collections(),
    st.lists(
        st.builds(
            Able,
            process=st.sampled_from(["3d_printing_fdm", "laser_cutting", "cnc_milling"]),
            materials=st.sets(st.sampled_from(["pla", "petg", "plywood", "mdf"])).map(frozenset),
            x=st.sampled_from([150_000, 220_000, 400_000]),
            y=st.sampled_from([150_000, 220_000, 400_000]),
            z=st.sampled_from([3_000, 220_000, 400_000]),
            tolerance=st.sampled_from([100, 300]),
            thickness=st.sampled_from([None, 3_000]),
        ),
        max_size=5,
    ),
    st.sampled_from(["", "hook", "part"]),
)  # fmt: skip
def test_makeable_is_every_part_by_some_machine(
    bench: Bench, made: list[Made], able: list[Able], asked: str
) -> None:
    bench.run(bench.fill(made))
    query = replace(NEAR, q=asked)
    wanted = [
        each for each in made if all(any(_makes(a, p) for a in able) for p in each.release.parts)
    ]
    everything = {token for each in made for scope in _scopes(each) for token in scope}
    tiered = plainly(made, replace(query, near=None))
    found = bench.run(bench.find(query, able))
    designs = {each.release.design for each in wanted}
    assert everything
    assert [card.design for card in found.cards] == [d for d in tiered if d in designs]


def _makes(one: Able, part: Part) -> bool:
    size = (*part.facts.size_mm, part.thickness_mm or 0)[:3]
    return (
        one.process == part.process
        and part.material in one.materials
        and all(side * 1000 <= room for side, room in zip(size, (one.x, one.y, one.z), strict=True))
        and one.tolerance <= (part.tolerance_mm or 1e9) * 1000
        and (one.thickness is None or (part.thickness_mm or 0) * 1000 <= one.thickness)
    )


def test_without_a_lab_nothing_is_makeable(bench: Bench) -> None:
    part = a_part(0, "3d_printing_fdm", "pla", (40, 40, 40))
    bench.run(bench.fill([Made(a_release("hook", [part]), Standing("1" * 64, NOON))]))
    assert bench.run(bench.find(NEAR, ())).cards == ()
    assert len(bench.run(bench.find(NEAR, (PRINTER, LASER))).cards) == 1


# ── kept with what is published


async def shown(store: Store, **asked: str) -> list[tuple[str, str]]:
    query = read(list(asked.items())).query
    async with store.view() as unit:
        return [(c.design, c.version) for c in (await finder.find(unit, query)).cards]


@pytest.fixture
async def store(database_url: str, tmp_path: Path):
    opened = await Store.open(database_url, tmp_path / "blobs")
    yield opened
    await opened.close()


async def test_what_is_published_is_found_and_the_newest_of_it(
    store: Store, tmp_path: Path
) -> None:
    files = written(tmp_path, "plate.svg", SQUARE)
    await service.publish(store, files, OPEN)
    assert await shown(store, q="plate") == [("plate", "1.0.0")]
    files = written(tmp_path, "plate.svg", SQUARE.replace('r="6"', 'r="7"'))
    await service.publish(store, files, OPEN.model_copy(update={"version": "1.1.0"}))
    assert await shown(store, q="plat") == [("plate", "1.1.0")]
    mine = OPEN.model_copy(update={"licence": "LicenseRef-OwnWork", "title": "Secret"})
    await service.publish(store, files, mine)
    assert await shown(store, q="secret") == []
    assert await shown(store) == [("plate", "1.1.0")]


async def test_a_publishing_that_fails_leaves_nothing_to_find(store: Store) -> None:
    part = a_part(0, "3d_printing_fdm", "pla", (9, 9, 9))

    async def publish_amid_a_power_cut() -> None:
        async with store.unit() as unit:
            unit.session.add(_row(a_release("hook", [part])))
            await index.refresh(unit, "hook")
            raise RuntimeError("the plug was pulled")

    with pytest.raises(RuntimeError, match="pulled"):
        await publish_amid_a_power_cut()
    assert await shown(store) == []
    async with store.view() as unit:
        for table in (FoundDesign, FoundCard, FoundPart):
            assert (await unit.session.scalars(select(table))).all() == []


def _row(release: Release, at: datetime = NOON) -> ReleaseRow:
    return ReleaseRow(
        sha256=release.sha256, design=release.design, version=release.version,
        title=release.title, licence=release.licence, private=release.private, published_at=at,
        manifest=release.canonical().decode(), findings=[], pictures={},
    )  # fmt: skip


async def test_made_again_the_index_is_the_same(store: Store) -> None:
    part = a_part(0, "3d_printing_fdm", "pla", (40, 40, 40))
    async with store.unit() as unit:
        for n, (design, version) in enumerate([("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")]):
            unit.session.add(_row(a_release(design, [part], version=version), NOON + timedelta(n)))
            await index.refresh(unit, design)
    kept = await _tables(store)
    async with store.unit() as unit:
        assert await index.rebuild(unit) == 3
    assert await _tables(store) == kept
    assert await shown(store) == [("c", "1"), ("a", "2"), ("b", "1")]


async def _tables(store: Store) -> list[Any]:
    async with store.view() as unit:
        names = ("found_design", "found_card", "found_part", "found_words")
        rows = [(await unit.session.execute(text(f"SELECT * FROM {n}"))).all() for n in names]
    return [sorted(map(tuple, each)) for each in rows]


async def test_an_older_database_is_indexed_at_the_start_once(store: Store) -> None:
    part = a_part(0, "3d_printing_fdm", "pla", (40, 40, 40))
    async with store.unit() as unit:
        unit.session.add(_row(a_release("hook", [part])))
    assert await shown(store) == []
    assert await index.ensure(store) == 1
    assert await shown(store) == [("hook", "1.0.0")]
    assert await index.ensure(store) is None


async def test_designs_of_one_moment_keep_a_place_each(store: Store) -> None:
    part = a_part(0, "3d_printing_fdm", "pla", (40, 40, 40))
    async with store.unit() as unit:
        for design in "abcde":
            unit.session.add(_row(a_release(design, [part])))
            await index.refresh(unit, design)
        await index.refresh(unit, "b")
    assert sorted(await shown(store)) == [(design, "1.0.0") for design in "abcde"]


async def test_what_a_filter_hides_is_counted(store: Store) -> None:
    part = a_part(0, "3d_printing_fdm", "pla", (40, 40, 40))
    async with store.unit() as unit:
        unit.session.add(_row(a_release("hook", [part])))
        await index.refresh(unit, "hook")
        asked = read([("q", "hook"), ("process", "laser_cutting"), ("sold", "yes")]).query
        assert (await finder.find(unit, asked)).total == 0
        told = await finder.relaxations(unit, asked)
    assert [(each.name, each.count) for each in told if each.count] == [("process", 1)]
    assert told[0].without == asked.without("process", "laser_cutting")


def test_the_largest_numbers_of_a_record_fit_the_tables(bench: Bench) -> None:
    part = a_part(0, "laser_cutting", "mdf", (1e150, 1e150, 200.0), quantity=1000)
    vast = a_release("vast", [part.model_copy(update={"name": f"p-{n}"}) for n in range(200)])
    bench.run(bench.fill([Made(vast, Standing("1" * 64, NOON))]))
    assert [c.design for c in bench.run(bench.find(read([("q", "vast")]).query)).cards] == ["vast"]
    assert bench.run(bench.find(read([("fits", "400")]).query)).cards == ()
    assert ENDLESS > 10_000_000
