"""Forks keep their ancestry and everybody who is named, whatever follows; on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from designs import okh
from designs.design import Contributor, Release, Role
from designs.errors import DesignRefused
from orchestrator.catalogue import ancestry, fork_api, forks, lineage, service
from orchestrator.catalogue.forks import Wish
from orchestrator.catalogue.model import Answers
from orchestrator.catalogue.service import Published
from orchestrator.store import Store

SQUARE = """<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="40mm" viewBox="0 0 40 40">
<path d="M0 0H40V40H0Z"/><circle cx="20" cy="20" r="6"/></svg>"""
OPEN = Answers(title="Plate", licence="CERN-OHL-W-2.0", licensor="Ana Puig")
BO = Wish(who="Bo Lund")


@pytest.fixture
async def store(database_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, tmp_path / "blobs")
    yield opened
    await opened.close()


async def published(store: Store, folder: Path, answers: Answers, *more: str) -> Published:
    """A plate, with lines of a manifest where there are any."""
    folder.mkdir(exist_ok=True)
    files = {"plate.svg": folder / "plate.svg"}
    files["plate.svg"].write_text(SQUARE)
    if more:
        said = okh.Manifest(
            title=answers.title or "Plate",
            function="holds things",
            version=answers.version,
            licence=answers.licence,
            licensor=answers.licensor or "",
        )
        files["okh.toml"] = folder / "okh.toml"
        files["okh.toml"].write_text("\n".join([okh.write(said), *more]))
    return await service.publish(store, files, answers)


async def plate(store: Store, tmp_path: Path, **answers: str) -> Release:
    made = await published(store, tmp_path / "made", OPEN.model_copy(update=answers))
    return made.release


async def line(store: Store, sha256: str) -> fork_api.LineageView:
    async with store.view() as unit:
        return await fork_api.lineage_view(unit, sha256)


# ── one click


async def test_a_fork_keeps_files_facts_ancestry_and_contributors(
    store: Store, tmp_path: Path
) -> None:
    base = await plate(store, tmp_path)
    made = await forks.fork(store, base.sha256, BO, "https://city.example/releases/x")
    fork = made.release
    assert (fork.design, fork.version, fork.title) == ("plate-fork", "1.0.0", "Plate fork")
    assert (fork.licence, fork.licensor) == ("CERN-OHL-W-2.0", "Bo Lund")
    assert fork.ancestor == ancestry.named(base)
    assert fork.forked_from == "https://city.example/releases/x"
    assert [(c.name, c.share) for c in fork.contributors] == [("Ana Puig", 100)]
    assert fork.parts == base.parts
    assert made.key
    manifest = next(file for file in fork.files if file.role is Role.MANIFEST)
    said = okh.read(store.blobs.read(manifest.sha256), manifest.name)
    assert (said.ancestor, said.contributors) == (fork.ancestor, fork.contributors)
    async with store.view() as unit:
        assert (await service.row(unit, fork.sha256)).pictures["plate"]["thumbnail"]
        assert await lineage.is_maintainer(unit, "plate-fork", made.key)


async def test_the_folder_of_a_fork_is_published_as_the_same_release(
    store: Store, tmp_path: Path
) -> None:
    base = await plate(store, tmp_path)
    fork = (await forks.fork(store, base.sha256, BO)).release
    folder = tmp_path / "again"
    folder.mkdir()
    files = {file.name: folder / file.name for file in fork.files}
    for file in fork.files:
        files[file.name].write_bytes(store.blobs.read(file.sha256))
    again = await service.publish(store, files, Answers())
    assert again.release == fork
    assert again.key is None


async def test_the_same_wish_is_one_fork_and_anothers_gets_another_name(
    store: Store, tmp_path: Path
) -> None:
    base = await plate(store, tmp_path)
    first, again = [(await forks.fork(store, base.sha256, BO)).release for _ in range(2)]
    other = (await forks.fork(store, base.sha256, Wish(who="Cy"))).release
    assert first.sha256 == again.sha256
    assert other.design == "plate-fork-2"


async def test_two_forks_at_once_get_two_names(store: Store, tmp_path: Path) -> None:
    base = await plate(store, tmp_path)
    made = await asyncio.gather(
        *(forks.fork(store, base.sha256, Wish(who=who)) for who in ("Bo", "Cy", "Di"))
    )
    assert len({each.release.design for each in made}) == 3


@pytest.mark.parametrize(
    ("licence", "wanted", "becomes"),
    [
        ("CERN-OHL-W-2.0", None, "CERN-OHL-W-2.0"),
        ("CERN-OHL-W-2.0", "CERN-OHL-S-2.0", "CERN-OHL-S-2.0"),
        ("CC-BY-SA-3.0", None, "CC-BY-SA-3.0"),
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        ("CC-BY-4.0", "MIT", "MIT"),
        ("CC0-1.0", None, "CC0-1.0"),
        ("MIT AND CC-BY-4.0", None, "MIT AND CC-BY-4.0"),
        ("MIT OR CERN-OHL-S-2.0", "GPL-3.0-only", "GPL-3.0-only"),
        ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0"),
    ],
)
def test_a_fork_carries_what_the_licence_allows(
    licence: str, wanted: str | None, becomes: str
) -> None:
    assert ancestry.fork_licence(licence, wanted) == becomes
    assert ancestry.choices(licence)


@pytest.mark.parametrize(
    ("licence", "wanted", "words"),
    [
        ("CERN-OHL-W-2.0", "MIT", "take CERN-OHL-S-2.0 or CERN-OHL-W-2.0"),
        ("CERN-OHL-S-2.0", "CERN-OHL-S-2.0 OR MIT", "take CERN-OHL-S-2.0"),
        ("CC-BY-SA-4.0", "cern ohl w 2.0", "take CC-BY-SA-4.0"),
        ("CC-BY-NC-4.0", "CC-BY-4.0", "take CC-BY-NC-4.0"),
        ("MIT", "LicenseRef-OwnWork", "not your own work alone"),
        ("MIT", "Nobody-Knows-1.0", "we do not know the licence"),
        ("CC0-1.0", "LicenseRef-AllRightsReserved", "all rights are reserved"),
        ("CC-BY-ND-4.0", None, "it lets nobody hand on a changed version"),
        ("CC-BY-NC-ND-4.0", "CC-BY-NC-ND-4.0", "it lets nobody hand on a changed version"),
        ("LicenseRef-AllRightsReserved", None, "all rights are reserved"),
        ("LicenseRef-OwnWork", "MIT", "publish the original under a licence first"),
        ("Nobody-Knows-1.0", None, "we do not know the licence"),
    ],
)
def test_what_the_licence_does_not_allow_is_refused_with_what_it_does(
    licence: str, wanted: str | None, words: str
) -> None:
    with pytest.raises(DesignRefused) as no:
        ancestry.fork_licence(licence, wanted)
    assert words in str(no.value)


async def test_a_refused_fork_leaves_nothing(store: Store, tmp_path: Path) -> None:
    base = await plate(store, tmp_path, licence="CC-BY-ND-4.0")
    with pytest.raises(DesignRefused, match="changed version"):
        await forks.fork(store, base.sha256, BO)
    with pytest.raises(service.NoSuchRelease):
        await forks.fork(store, "0" * 64, BO)
    async with store.view() as unit:
        assert [row.design for row in await service.listed(unit)] == ["plate"]


async def test_a_name_that_is_taken_is_refused(store: Store, tmp_path: Path) -> None:
    base = await plate(store, tmp_path)
    await published(store, tmp_path / "lamp", OPEN.model_copy(update={"title": "Lamp"}))
    with pytest.raises(DesignRefused, match="lamp already"):
        await forks.fork(store, base.sha256, Wish(who="Bo", name="lamp"))
    with pytest.raises(ValueError, match="called by its title"):
        Wish(who="Bo", name="lamp", title="Another thing")


async def test_private_work_is_forked_by_its_hash_stays_private_and_is_shown_to_nobody(
    store: Store, tmp_path: Path
) -> None:
    base = await plate(store, tmp_path, licence="LicenseRef-OwnWork")
    made = await forks.fork(store, base.sha256, Wish(who="Ana Puig", name="mine"))
    assert made.release.private
    assert made.key is None
    async with store.view() as unit:
        assert not await service.listed(unit)
        assert await lineage.forks(unit, "plate") == ()
    with pytest.raises(DesignRefused, match="under a licence first"):
        await forks.fork(store, base.sha256, Wish(who="Ana Puig", licence="MIT"))


# ── up and down the line


async def test_the_line_is_walked_both_ways(store: Store, tmp_path: Path) -> None:
    root = await plate(store, tmp_path, licence="CC-BY-4.0")
    one = (await forks.fork(store, root.sha256, Wish(who="Bo", name="one"))).release
    two = (await forks.fork(store, one.sha256, Wish(who="Cy", name="two", licence="MIT"))).release
    side = (await forks.fork(store, root.sha256, Wish(who="Di", name="side"))).release
    up = await line(store, two.sha256)
    assert [each.design for each in up.ancestors] == ["one", "plate"]
    assert all(each.here for each in up.ancestors)
    assert [(c.design, c.licensor) for c in up.credits] == [
        ("two", "Cy"), ("one", "Bo"), ("plate", "Ana Puig"),
    ]  # fmt: skip
    text = "https://creativecommons.org/licenses/by/4.0/"
    assert up.credits[2].notices == (f"CC-BY-4.0: {text}", "No warranty")
    assert "© Cy" in up.credits[0].notices
    down = await line(store, root.sha256)
    found = [(f.design, f.of_design, f.of_version, f.depth) for f in down.forks]
    assert found == [
        ("one", "plate", "1.0.0", 1), ("side", "plate", "1.0.0", 1), ("two", "one", "1.0.0", 2),
    ]  # fmt: skip
    tree = fork_api.tree(down.forks, "plate")
    assert [each.fork.design for each in tree] == ["one", side.design]
    assert [each.fork.design for each in tree[0].branches] == ["two"]


async def test_a_long_line_is_walked_so_far_and_no_further(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "MOST_UP", 4)
    at = await plate(store, tmp_path)
    for number in range(6):
        at = (await forks.fork(store, at.sha256, Wish(who="Bo", name=f"n{number}"))).release
    assert len((await line(store, at.sha256)).ancestors) == lineage.MOST_UP


async def test_an_ancestor_from_elsewhere_is_named_and_not_linked(
    store: Store, tmp_path: Path
) -> None:
    away = ancestry.named(await plate(store, tmp_path)).model_dump() | {
        "release": "a" * 64, "design": "away", "title": "Away", "licensor": "Eva",
    }  # fmt: skip
    lines = [f'{key} = "{value}"' for key, value in away.items()]
    answers = OPEN.model_copy(update={"title": "Here", "licensor": "Bo"})
    made = await published(store, tmp_path / "here", answers, "[cosmolocal.ancestor]", *lines)
    shown = await line(store, made.release.sha256)
    assert [(a.title, a.here) for a in shown.ancestors] == [("Away", False)]
    assert [share.name for share in shown.shares] == ["Eva"]


# ── nobody is lost


async def test_a_new_version_that_is_silent_inherits(store: Store, tmp_path: Path) -> None:
    base = await plate(store, tmp_path)
    fork = (await forks.fork(store, base.sha256, Wish(who="Bo", name="mine"))).release
    answers = Answers(title="Mine", licence="CERN-OHL-W-2.0", licensor="Bo", version="1.1.0")
    made = await published(store, tmp_path / "next", answers)
    again = await published(store, tmp_path / "next", answers)
    assert made.release.ancestor == fork.ancestor
    assert made.release.contributors == fork.contributors
    assert again.release.sha256 == made.release.sha256


CONTRIBUTOR = ("[[cosmolocal.contributor]]", 'name = "Bo"', "share = 5")
ANA = ("[[cosmolocal.contributor]]", 'name = "ana  puig"', "share = 100")


@pytest.mark.parametrize(
    ("lines", "licence", "words"),
    [
        (CONTRIBUTOR, "CERN-OHL-W-2.0", 'put back: name = "Ana Puig", share = 100'),
        ((*CONTRIBUTOR, ANA[0], ANA[1], "share = 99"), "CERN-OHL-W-2.0", "a share of 100"),
        ((), "MIT", "take CERN-OHL-S-2.0 or CERN-OHL-W-2.0"),
        (
            (
                "[cosmolocal.ancestor]", f'release = "{"b" * 64}"', 'design = "other"',
                'version = "1"', 'title = "O"', 'licence = "MIT"', 'licensor = "Eva"',
            ),
            "CERN-OHL-W-2.0",
            'put it back: release = "',
        ),
    ],
    ids=["name dropped", "share cut", "licence", "ancestor swapped"],
)  # fmt: skip
async def test_a_new_version_that_would_lose_somebody_is_refused_with_what_to_put_back(
    store: Store, tmp_path: Path, lines: tuple[str, ...], licence: str, words: str
) -> None:
    base = await plate(store, tmp_path)
    await forks.fork(store, base.sha256, Wish(who="Bo", name="mine"))
    answers = Answers(title="Mine", licence=licence, licensor="Bo", version="1.1.0")
    with pytest.raises(DesignRefused) as no:
        await published(store, tmp_path / "next", answers, *lines)
    assert words in str(no.value)
    async with store.view() as unit:
        assert (await service.newest(unit, "mine")).version == "1.0.0"
    good = answers.model_copy(update={"licence": "CERN-OHL-W-2.0"})
    kept = await published(store, tmp_path / "good", good, *CONTRIBUTOR, *ANA)
    assert kept.release.ancestor == ancestry.named(base)


async def test_a_licensor_who_is_followed_by_another_stays_named(
    store: Store, tmp_path: Path
) -> None:
    await plate(store, tmp_path)
    answers = OPEN.model_copy(update={"version": "1.1.0", "licensor": "Bo"})
    made = await published(store, tmp_path / "made", answers)
    assert [each.name for each in made.release.contributors] == ["Ana Puig"]


async def test_a_design_is_no_fork_of_itself(store: Store, tmp_path: Path) -> None:
    base = await plate(store, tmp_path)
    lines = [f'{key} = "{value}"' for key, value in ancestry.named(base).model_dump().items()]
    with pytest.raises(DesignRefused, match="names itself"):
        await published(
            store, tmp_path / "self", OPEN.model_copy(update={"version": "1.1.0"}),
            "[cosmolocal.ancestor]", *lines,
        )  # fmt: skip


NAMES = st.sampled_from(["Ana", "Bo", "Cy", "Di", "Eva"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fork"), NAMES, st.integers(0, 9)),
        st.tuples(st.just("accept"), NAMES, st.integers(0, 500)),
        st.tuples(st.just("silent"), NAMES, st.just(0)),
        st.tuples(st.just("said"), NAMES, st.integers(0, 500)),
        st.tuples(st.just("drop"), NAMES, st.integers(0, 9)),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_nobody_is_ever_lost(steps: list[tuple[str, str, int]]) -> None:
    """Through forks, accepted proposals and new versions, silent, said or with somebody dropped."""
    first = _plain("root", "Ana", ())
    world: dict[str, list[Release]] = {"root": [first]}
    known = {first.sha256: first}
    at = "root"
    for number, (what, who, amount) in enumerate(steps):
        newest = world[at][-1]
        before = newest if what != "fork" else None
        wanted = _wanted(what, who, amount, newest, f"d{number}", len(world[at]))
        stated = wanted.ancestor or (before.ancestor if before else None)
        ancestor = known.get(stated.release) if stated else None
        try:
            made = ancestry.settled(wanted, before, ancestor)
        except DesignRefused as refused:
            assert what == "drop", refused  # noqa: PT017 - whatever else is refused is a fault
            continue
        at = made.design
        world.setdefault(at, []).append(made)
        known[made.sha256] = made
        _holds(made, newest, known)


def _plain(design: str, licensor: str, contributors: tuple[Contributor, ...]) -> Release:
    file = {"name": "a.stl", "sha256": "0" * 64, "format": "stl"}
    facts = {
        "kind": "drawing", "size_mm": (1, 1), "area_mm2": 1, "cut_length_mm": 1, "outlines": 1,
        "holes": 0, "smallest_hole_mm": None,
    }  # fmt: skip
    part = {
        "name": "a", "title": "A", "process": "laser_cutting", "material": "plywood",
        "file_sha256": "0" * 64, "file_name": "a.stl", "format": "stl", "facts": facts,
    }  # fmt: skip
    return Release.model_validate(
        {
            "design": design, "version": "1.0.0", "title": design, "function": "f",
            "licence": "CC-BY-4.0", "licensor": licensor, "parts": [part],
            "files": [file | {"size_bytes": 1, "role": "export"}], "contributors": contributors,
        }
    )  # fmt: skip


def _wanted(what: str, who: str, amount: int, newest: Release, name: str, count: int) -> Release:
    if what == "fork":
        return forks.forked(newest, Wish(who=who, name=name), name, "")
    version = {"version": f"1.{count}.0", "ancestor": None}
    if what == "silent":
        return newest.model_copy(update={**version, "contributors": (), "licensor": who})
    names = ancestry.standing(newest)
    if what == "drop":
        names = (*names[: amount % len(names)], *names[amount % len(names) + 1 :])
        names = names or (Contributor(name=f"nobody of {name}"),)
    else:
        names = ancestry.joined(names, who, amount, None)
    return newest.model_copy(update={**version, "contributors": names})


def _holds(made: Release, newest: Release, known: dict[str, Release]) -> None:
    names = {each.name: each.share for each in made.contributors} | {made.licensor: -1}
    assert newest.licensor in names or made.ancestor == ancestry.named(newest)
    for each in newest.contributors:
        assert each.name in names
        assert not each.share or names[each.name]
    chain: list[ancestry.Link] = []
    above = made.ancestor
    if newest.ancestor is not None and made.design == newest.design:
        assert above == newest.ancestor
    while above is not None:
        release = known[above.release]
        chain.append(ancestry.Link(above, release))
        above = release.ancestor
    told = ancestry.credits(made, chain)
    assert [credit.licensor for credit in told[1:]] == [link.ancestor.licensor for link in chain]
    if chain and chain[0].release is not None:
        shares = {each.name: each.share for each in made.contributors}
        for each in ancestry.standing(chain[0].release):
            assert shares[each.name] >= each.share


@pytest.mark.parametrize(
    ("shares", "percents"),
    [((1, 1, 1), (33.4, 33.3, 33.3)), ((2, 1), (66.7, 33.3)), ((0, 0), (0, 0)), ((7,), (100,))],
)
def test_shares_add_up(shares: tuple[int, ...], percents: tuple[float, ...]) -> None:
    named = [Contributor(name=f"C{n}", share=share) for n, share in enumerate(shares)]
    assert tuple(percent for _, percent in ancestry.percents(named)) == percents
