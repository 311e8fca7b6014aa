"""The life of a release: its moves, who sees it meanwhile, and that nobody loses an order by it.

Stores are SQLite and PostgreSQL; the doors are those of the whole application.
"""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from designs import licences
from designs.design import OWN_WORK
from designs.errors import DesignRefused, Refused
from orchestrator.catalogue import keys, lifecycle, model, service, versions
from orchestrator.catalogue.lifecycle import Caller, NoSuchRelease, NotYours, Wish
from orchestrator.catalogue.model import RELEASE_MOVES, Answers, IllegalMove, ReleaseState
from orchestrator.catalogue.service import Terms
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.orders import service as orders
from orchestrator.planning import service as planning
from orchestrator.planning.service import QuoteRefused
from orchestrator.store import Store
from orchestrator.store.tables import EventRow
from tests.orchestrator.catalogue.conftest import SQUARE, City, Folder
from tests.orchestrator.dispatch.conftest import PRINTER, a_release
from tests.orchestrator.planning.conftest import Town

R = ReleaseState
BROKEN = Wish(to=R.DEPRECATED, reason="The hook breaks in frost.")
AGAIN = Wish(to=R.RELEASED)
KEY = "k" * 43
OWNER = Caller(key=KEY)


# ── the machine


@pytest.mark.parametrize("start", R)
@pytest.mark.parametrize("end", R)
def test_every_move_that_is_not_drawn_is_refused(start: R, end: R):
    if (start, end) in RELEASE_MOVES:
        assert model.move_release(start, end) is end
        return
    with pytest.raises(IllegalMove, match="cannot become"):
        model.move_release(start, end)


def test_nothing_becomes_a_draft_or_a_pre_release_again():
    assert not [move for move in RELEASE_MOVES if move[1] is R.DRAFT]
    assert [move for move in RELEASE_MOVES if move[1] is R.PRE_RELEASE] == [
        (R.DRAFT, R.PRE_RELEASE)
    ]


# ── versions


@pytest.mark.parametrize(
    ("said", "spelled"),
    [
        ("1", "1.0.0"), ("1.2", "1.2.0"), ("v1.2", "1.2.0"), ("V2", "2.0.0"), (" 1.2.3 ", "1.2.3"),
        ("1.2.3-rc.1", "1.2.3-rc.1"), ("v1.2-beta", "1.2.0-beta"), ("1.0.0+lab.5", "1.0.0+lab.5"),
        ("0.1", "0.1.0"),
    ],
)  # fmt: skip
def test_a_version_is_read_as_people_write_it(said: str, spelled: str):
    assert versions.normal(said) == spelled
    assert versions.normal(spelled) == spelled


@pytest.mark.parametrize(
    "said",
    ["", "final", "1.2.3.4", "01.2", "1.2.3-", "1..2", "-1.0.0", "1.2.3-01", "2026-11-30", "1,2",
     "v", "vv1", "1.0.0+", "1.0.0 beta", "9" * 41, "1.0.0-" + "a" * 40, "１.2.3", "1.2.x"],
)  # fmt: skip
def test_what_is_no_version_is_refused_with_an_example(said: str):
    with pytest.raises(Refused, match=r"1\.2\.0"):
        versions.normal(said)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_version_that_a_release_can_have_or_refused(said: str):
    try:
        spelled = versions.normal(said)
    except Refused:
        return
    release = a_release("f" * 64).model_copy(update={"version": spelled})
    assert type(release).model_validate(release.model_dump()).version == spelled


def test_the_newest_is_the_highest_and_finished_ones_stand_above_those_to_try():
    to_try = ["0.9.0-rc.2", "2.0.0-rc.1", "2.0.0-rc.11"]
    oldest_first = ["some day", *to_try, "0.9.9", "0.10.0", "1.0.0"]
    assert sorted(sorted(oldest_first), key=versions.rank) == oldest_first
    now = datetime.now(UTC)
    assert model.precedence(R.RELEASED, "1.0.0", now) > model.precedence(
        R.DEPRECATED, "9.0.0", now + timedelta(days=1)
    )


# ── in the store


async def publish(
    store: Store, folder: Folder, *labs: str, key: str = KEY, **answers: object
) -> service.Published:
    said = {"title": "Plate", "licence": "CERN-OHL-W-2.0", "licensor": "Ana", **answers}
    files = {"plate.svg": folder.put("plate.svg", SQUARE)}
    terms = Terms(Caller(key=key), labs, keys.kept(key))
    return await service.publish(store, files, Answers.model_validate(said), terms)


async def told(store: Store, sha256: str) -> list[tuple[str, object, object]]:
    async with store.view() as unit:
        rows = await unit.session.scalars(select(EventRow).order_by(EventRow.id))
        return [(r.kind, r.data.get("by"), r.data.get("why")) for r in rows if r.subject == sha256]


async def test_a_pre_release_is_for_the_labs_it_names_until_it_is_opened(
    any_store: Store, folder: Folder
):
    published = await publish(any_store, folder, "lab-near", "lab-far")
    sha256, keys = published.release.sha256, published.lab_keys
    assert set(keys) == {"lab-near", "lab-far"}
    async with any_store.view() as unit:
        for caller in (Caller(key=keys["lab-near"]), OWNER, Caller(operator=True)):
            assert (await lifecycle.seen(unit, sha256, caller)).sha256 == sha256
        for caller in (Caller(), Caller(key="guessed"), Caller(key=sha256)):
            with pytest.raises(NoSuchRelease):
                await lifecycle.seen(unit, sha256, caller)
        assert await service.listed(unit) == []
        for version in (None, "1.0.0"):
            with pytest.raises(NoSuchRelease):
                await service.newest(unit, "plate", version)
        assert await lifecycle.only_labs(unit, [sha256]) == {sha256: {"lab-near", "lab-far"}}
    async with any_store.unit() as unit:
        row = await lifecycle.move(unit, sha256, Wish(to=R.RELEASED), OWNER)
        assert (row.sha256, row.manifest) == (sha256, published.release.canonical().decode())
        assert (await lifecycle.seen(unit, sha256, Caller())).sha256 == sha256
        assert (await service.newest(unit, "plate")).sha256 == sha256
        assert await lifecycle.only_labs(unit, [sha256]) == {}
    assert await told(any_store, sha256) == [
        ("release.pre_release", "designer", None),
        ("release.released", "designer", ""),
        ("release.published", None, None),
    ]


async def test_other_labs_are_named_in_the_place_of_those_before(any_store: Store, folder: Folder):
    published = await publish(any_store, folder, "lab-near")
    sha256, known = published.release.sha256, {"lab-near": "Near", "lab-far": "Far Shop"}
    async with any_store.unit() as unit:
        new = await lifecycle.name_labs(unit, sha256, ["far shop", "lab-far"], known, OWNER)
        assert set(new) == {"lab-far"}
        await lifecycle.seen(unit, sha256, Caller(key=new["lab-far"]))
        with pytest.raises(NoSuchRelease):
            await lifecycle.seen(unit, sha256, Caller(key=published.lab_keys["lab-near"]))
        for wrong in (["Nowhere"], []):
            with pytest.raises(Refused, match="lab"):
                await lifecycle.name_labs(unit, sha256, wrong, known, OWNER)
        await lifecycle.move(unit, sha256, AGAIN, OWNER)
        with pytest.raises(IllegalMove, match="for everybody"):
            await lifecycle.name_labs(unit, sha256, ["lab-far"], known, OWNER)


async def test_deprecating_says_why_keeps_everything_and_can_be_taken_back(
    any_store: Store, folder: Folder
):
    old = (await publish(any_store, folder, version="1")).release
    new = (await publish(any_store, folder, version="1.1")).release
    async with any_store.unit() as unit:
        assert (await service.newest(unit, "plate")).version == "1.1.0"
        wish = BROKEN.model_copy(update={"successor": old.sha256})
        row = await lifecycle.move(unit, new.sha256, wish, OWNER)
        stands = lifecycle.standing(row)
        assert (stands.reason, stands.successor) == (BROKEN.reason, old.sha256)
        assert (await service.newest(unit, "plate")).version == "1.0.0"
        assert (await service.newest(unit, "plate", "v1.1")).sha256 == new.sha256
        assert [row.version for row in await service.listed(unit)] == ["1.0.0"]
        await lifecycle.move(unit, old.sha256, BROKEN, OWNER)
        assert (await service.newest(unit, "plate")).version == "1.1.0"  # the newest of them
        row = await lifecycle.move(unit, new.sha256, AGAIN, OWNER)
        assert lifecycle.standing(row).reason == ""
        assert lifecycle.standing(row).successor is None
    assert [(kind, why) for kind, _, why in await told(any_store, new.sha256)][2:] == [
        ("release.deprecated", BROKEN.reason),
        ("release.released", ""),
    ]


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"to": R.DEPRECATED}, Refused, "nobody is told why"),
        ({"to": R.DEPRECATED, "reason": "  "}, Refused, "nobody is told why"),
        ({"to": R.DEPRECATED, "reason": "x", "successor": "a" * 64}, Refused, "its place"),
        ({"to": R.DEPRECATED, "reason": "x", "successor": "ITSELF"}, Refused, "its place"),
        ({"to": R.RELEASED}, IllegalMove, "cannot become"),
        ({"to": R.PRE_RELEASE}, IllegalMove, "cannot become pre-release"),
        ({"to": R.DRAFT}, IllegalMove, "cannot become draft"),
    ],
)
async def test_a_move_that_may_not_be_changes_nothing(
    any_store: Store, folder: Folder, wish: dict[str, str], error: type[Exception], words: str
):
    sha256 = (await publish(any_store, folder)).release.sha256
    before = await told(any_store, sha256)
    said = {k: sha256 if v == "ITSELF" else v for k, v in wish.items()}
    with pytest.raises(error, match=words):
        async with any_store.unit() as unit:
            await lifecycle.move(unit, sha256, Wish.model_validate(said), OWNER)
    async with any_store.view() as unit:
        assert (await service.row(unit, sha256)).state == R.RELEASED
    assert await told(any_store, sha256) == before


async def test_only_who_published_it_moves_it(any_store: Store, folder: Folder):
    sha256 = (await publish(any_store, folder)).release.sha256
    async with any_store.unit() as unit:
        for stranger in (Caller(), Caller(key="guessed"), Caller(key=keys.kept(KEY))):
            with pytest.raises(NotYours, match="key of its draft"):
                await lifecycle.move(unit, sha256, BROKEN, stranger)
        await lifecycle.move(unit, sha256, BROKEN, Caller(operator=True))
        (await service.row(unit, sha256)).key_sha256 = None  # published before there were keys
        with pytest.raises(NotYours):
            await lifecycle.move(unit, sha256, AGAIN, OWNER)


async def test_what_is_published_again_is_told_how_it_stands(any_store: Store, folder: Folder):
    await publish(any_store, folder, "lab-near")
    with pytest.raises(DesignRefused, match="a pre-release already"):
        await publish(any_store, folder)
    with pytest.raises(DesignRefused, match="already, with other content"):
        await publish(any_store, folder, function="Something else.")
    with pytest.raises(DesignRefused, match="private already"):
        await publish(any_store, folder, "lab-near", licence=OWN_WORK)


async def test_releases_from_before_there_were_states_are_released(any_store: Store):
    """As a database of an earlier version holds them: nothing said of state or semver."""
    old = a_release("f" * 64).model_copy(update={"version": "spring"})
    async with any_store.unit() as unit:
        row = ReleaseRow(
            sha256=old.sha256, design="hook", version="spring", title="Hook", licence=old.licence,
            private=False, published_at=unit.now, manifest=old.canonical().decode(), findings=[],
            pictures={},
        )  # fmt: skip
        unit.session.add(row)
    async with any_store.view() as unit:
        assert lifecycle.standing(await service.newest(unit, "hook")).state is R.RELEASED
        assert (await service.newest(unit, "hook", "spring")).sha256 == old.sha256


# ── quoting and making


@pytest.fixture
async def town(any_store: Store) -> Town:
    return Town(any_store)


async def stand(town: Town, state: R, *labs: str) -> str:
    """The town's design, published and brought to this state."""
    await town.publish()
    sha256 = town.release.sha256
    async with town.store.unit() as unit:
        row = await service.row(unit, sha256)
        row.state, row.key_sha256 = R.PRE_RELEASE, keys.kept(KEY)
        await unit.session.flush()
        if labs:
            await lifecycle.name_labs(unit, sha256, labs, {lab: lab for lab in labs}, OWNER)
        for wish in {R.RELEASED: [AGAIN], R.DEPRECATED: [AGAIN, BROKEN]}.get(state, []):
            await lifecycle.move(unit, sha256, wish, OWNER)
    return sha256


async def test_a_pre_release_is_quoted_and_made_by_its_labs_alone(town: Town):
    near = await town.open_lab("Near", 1, PRINTER)
    far = await town.open_lab("Far", 30, PRINTER)
    sha256 = await stand(town, R.PRE_RELEASE, "lab-far")
    with pytest.raises(NoSuchRelease):
        await town.quote()
    quote = await town.quote(design=sha256)
    assert [o.agent for item in quote.items for o in item.options] == [far]
    assert [no.lab for item in quote.items for no in item.why_not] == []
    assert quote.standing.state is R.PRE_RELEASE
    (job,) = await town.order(quote)
    async with town.store.unit() as unit:
        # After two failures any lab is asked: of a pre-release only those that it is for.
        (await orders.job(unit, job)).tries = 3
        (await orders.job(unit, job)).avoid = [f"{far}/printer-1"]
    await planning.replan(town.store)
    assert (await town.jobs([job]))[0].agent is None
    async with town.store.unit() as unit:
        await lifecycle.move(unit, sha256, AGAIN, OWNER)
    await planning.replan(town.store)
    assert (await town.jobs([job]))[0].agent == near


async def test_a_deprecated_design_is_quoted_with_the_reason_and_ordered(town: Town):
    await town.open_lab("Near", 1, PRINTER)
    await stand(town, R.DEPRECATED)
    quote = await town.quote()
    assert quote.complete
    assert (quote.standing.state, quote.standing.reason) == (R.DEPRECATED, BROKEN.reason)
    assert len(await town.order(quote)) == 1


KNOWN = [*sorted(licences._ROWS), "CC-BY-4.0 OR CC-BY-NC-4.0", "MIT AND CC-BY-NC-4.0"]
_numbers = itertools.count()
_walks = st.lists(st.sampled_from([R.RELEASED, R.DEPRECATED, R.PRE_RELEASE]), max_size=6)


@given(walk=_walks, licence=st.sampled_from(KNOWN))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_what_the_licence_lets_labs_make_can_be_ordered_whatever_becomes_of_it(
    town: Town, walk: list[R], licence: str
):
    """No planned obsolescence: no walk through the states takes an order from a maker."""
    paid = licences.judge(licence, licences.Act.MAKE_PAID).allowed
    fresh = {"design": f"hook-{next(_numbers)}", "private": licence == OWN_WORK}
    town.release = release = a_release("f" * 64).model_copy(update={"licence": licence, **fresh})
    async with town.store.view() as unit:
        labs = await planning.labs.labs(unit)
    if not labs:
        await town.open_lab("Near", 1, PRINTER)
    await town.publish()
    async with town.store.unit() as unit:
        for state in walk:
            row = await service.row(unit, release.sha256)
            if (ReleaseState(row.state), state) in RELEASE_MOVES:
                await lifecycle.move(unit, release.sha256, Wish(to=state, reason="x"), Caller(True))
    if not paid and licence != OWN_WORK:
        with pytest.raises(QuoteRefused, match="for payment"):
            await town.quote(design=release.sha256)
        return
    quote = await town.quote(design=release.sha256)
    assert quote.complete
    assert len(await town.order(quote)) == 1
    if not release.private:
        assert (await town.quote(design=release.design)).release == release.sha256


# ── the doors


async def test_the_doors_ask_for_the_key_or_the_token(city: City, folder: Folder, tmp_path: Path):
    release = (await publish(city.store, folder)).release
    door = f"/api/releases/{release.sha256}/state"
    wish = {"to": "deprecated", "reason": "Too thin."}
    for headers in ({}, {"X-Api-Key": "guessed"}, {"Authorization": "Bearer no"}):
        answer = await city.client.post(door, json=wish, headers=headers)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
    cookie = {"Cookie": f"cosmolocal_key_{release.sha256[:20]}={KEY}"}
    assert (await city.client.post(door, json=wish, headers=cookie)).status_code == 403
    answer = await city.client.post(door, json=wish, headers={"X-Api-Key": KEY})
    assert answer.json()["standing"]["reason"] == "Too thin."
    assert (await city.client.post(door, json=wish, headers=city.operator)).status_code == 409
    page = await city.client.get("/designs/plate", headers={"Accept": "text/html"})
    assert "Too thin." in page.text
    assert "can still be ordered" in page.text
    back = await city.client.post(door, json={"to": "released"}, headers=city.operator)
    assert back.json()["standing"]["state"] == "released"


async def test_a_pre_release_is_shown_to_who_has_its_link_and_to_nobody_else(
    city: City, folder: Folder
):
    published = await publish(city.store, folder, "lab-near")
    sha256, key = published.release.sha256, published.lab_keys["lab-near"]
    part = published.release.parts[0]
    places = [
        f"/releases/{sha256}", f"/api/releases/{sha256}",
        f"/releases/{sha256}/pictures/plate/model",
        f"/releases/{sha256}/files/{part.file_sha256}",
    ]  # fmt: skip
    for place in (*places, "/designs/plate", "/api/designs/plate"):
        assert (await city.client.get(place)).status_code == 404
    assert "plate" not in (await city.client.get("/api/designs")).text.lower()
    assert "plate" not in (await city.client.get("/")).text.lower()
    link = await city.client.get(f"/releases/{sha256}?key={key}")
    assert (link.status_code, link.headers["location"]) == (303, f"/releases/{sha256}")
    for place in places:  # with the cookie that the link has set
        answer = await city.client.get(place)
        assert answer.status_code == 200
        assert "public" not in answer.headers.get("cache-control", "")
    page = await city.client.get(f"/releases/{sha256}")
    assert "pre-release" in page.text
