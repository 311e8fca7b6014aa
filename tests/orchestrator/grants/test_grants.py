"""Grants: deny by default, whom each covers, and the way from a key to an order that stands."""

import html
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from designs.design import Ancestor, Release
from designs.errors import Refused
from designs.licences import Act, Grant, judge
from orchestrator.app import wire
from orchestrator.catalogue import lineage
from orchestrator.catalogue.lifecycle import THE_OPERATOR, Caller, NotYours
from orchestrator.grants import model, service
from orchestrator.grants.model import Lab, Recorded, Step, Whom, Wish
from orchestrator.grants.service import NotGranted
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.planning import service as planning
from orchestrator.store import Store
from tests.orchestrator.dispatch.conftest import PRINTER
from tests.orchestrator.planning.conftest import Town, town
from tests.orchestrator.test_pages import Site, site

__all__ = ["site", "town"]

NC = "CC-BY-NC-4.0"
TODAY = date(2026, 11, 30)
DAYS = st.one_of(st.none(), st.sampled_from([TODAY + timedelta(days=n) for n in (-1, 0, 1)]))
VERSIONS = st.sampled_from([None, "1.0.0", "1.2.0", "2.0.0"])
LICENCES = st.sampled_from([NC, "CC-BY-NC-SA-4.0", "MIT", "CC-BY-4.0", "ODbL-1.0", f"{NC} AND MIT"])
LABS = st.builds(Lab, st.sampled_from(["lab-a", "lab-b"]), st.sampled_from(["Ana", "Bo", ""]))


@st.composite
def recorded(draw: st.DrawFn) -> Recorded:
    whom = draw(st.sampled_from(Whom))
    names = {Whom.EVERYBODY: [""], Whom.LAB: ["lab-a", "lab-b"], Whom.PERSON: ["Ana", " ANA "]}
    grant = Grant(
        number=f"g-{draw(st.integers(1, 99))}", by="Cy",
        acts=draw(st.sampled_from([frozenset({Act.MAKE_PAID}), frozenset({Act.ALTER})])),
        since=draw(DAYS), until=draw(DAYS),
        most_units=draw(st.one_of(st.none(), st.integers(1, 5))),
    )  # fmt: skip
    return Recorded(
        grant, draw(LICENCES), whom, draw(st.sampled_from(names[whom])),
        draw(VERSIONS), draw(VERSIONS), draw(st.integers(0, 5)),
    )  # fmt: skip


@st.composite
def steps(draw: st.DrawFn) -> Step:
    versions = ["1.1.0", "2.0.0", "first"]
    grants = tuple(draw(st.lists(recorded(), max_size=3)))
    version, licence = draw(st.sampled_from(versions)), draw(LICENCES)
    return Step("Lamp", version, licence, "Cy", "lamp", grants)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps(), min_size=1, max_size=3), LABS, st.integers(1, 5))
def test_what_is_permitted_stands_on_a_grant_for_each_licence_that_wants_one(
    line: list[Step], lab: Lab, units: int
) -> None:
    said = model.permit(line, lab, TODAY, units)
    wanting = list(model.lacking(line))
    if said.why:
        assert said.grants == ()
        return
    assert judge(line[0].licence, Act.MAKE_PAID).outcome != "denied"
    assert len(said.grants) == len(wanting)
    for grant, step in zip(said.grants, wanting, strict=True):
        (found, *_) = [
            each for each in step.grants if each.grant == grant and model.meets(each, step, lab)
        ]
        assert Act.MAKE_PAID in grant.acts
        assert (grant.since or TODAY) <= TODAY <= (grant.until or TODAY)
        assert grant.most_units is None or found.used + units <= grant.most_units
        assert found.whom is not Whom.LAB or found.name == lab.id
        assert found.whom is not Whom.PERSON or lab.party == "Ana"
        assert found.licence == step.licence
        if found.first or found.last:
            assert step.version != "first"


@settings(max_examples=40, deadline=None)
@given(st.lists(steps(), min_size=1, max_size=2), recorded(), LABS)
def test_one_more_grant_takes_nothing_away_and_none_gives_nothing(
    line: list[Step], more: Recorded, lab: Lab
) -> None:
    was = model.permit(line, lab, TODAY, 1)
    first = line[0]
    richer = Step(
        first.title, first.version, first.licence, first.licensor, first.key,
        (*first.grants, more),
    )  # fmt: skip
    assert was.why or not model.permit([richer, *line[1:]], lab, TODAY, 1).why
    bare = [Step(s.title, s.version, s.licence, s.licensor, s.key) for s in line]
    if any(model.lacking(line)):
        assert model.permit(bare, lab, TODAY, 1).why


EUR, CHF = {"currency": "EUR"}, {"currency": "CHF"}


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ([{}, {}], 0),
        ([{"fee_cents": 500, **EUR}, {}], 1),
        ([{"fee_cents": 500, **EUR}, {"fee_cents": 499, **EUR}, {"fee_cents": 498, **EUR}], 2),
        ([{"fee_cents": 500, **EUR}, {"fee_cents": 1, **CHF}], 0),
        ([{"fee_cents": 5, **CHF}, {"fee_cents": 5, **EUR}, {"fee_cents": 0, **EUR}], 2),
        ([{"fee_cents": 500, **EUR}, {"share_pct": 1}], 0),
        ([{"fee_cents": 5, "share_pct": 2, **EUR}, {"share_pct": 2}, {"share_pct": 3}], 1),
        ([{"fee_cents": 5, **EUR}, {"until": TODAY - timedelta(days=1)}], 0),
    ],
)  # fmt: skip
def test_of_two_grants_that_cover_a_lab_the_one_that_asks_less_is_used(
    asked: list[dict[str, Any]], used: int
) -> None:
    grants = [
        Grant(number=f"g-{n}", by="Cy", acts=frozenset({Act.MAKE_PAID}), **each)
        for n, each in enumerate(asked)
    ]
    known = tuple(Recorded(each, NC, Whom.EVERYBODY, "") for each in grants)
    said = model.permit([Step("Lamp", "1.0.0", NC, "Cy", "lamp", known)], Lab("a", ""), TODAY, 1)
    assert said.grants == (grants[used],)


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"everybody": True, "lab": "x"}, {"lab": " "}, {"person": "a\nb"},
        {"everybody": True, "fee_cents": 5}, {"everybody": True, "most_units": 0},
        {"everybody": True, "share_pct": float("nan")}, {"everybody": True, "acts": []},
        {"everybody": True, "first_version": "newest"}, {"everybody": True, "terms": "\x00"},
        {"everybody": True, "since": "2027-01-02", "until": "2027-01-01"},
        {"everybody": True, "by": "me"},
    ],
)  # fmt: skip
def test_a_wish_that_says_too_little_or_too_much_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Wish.model_validate(wrong)


@pytest.fixture
async def one_town(tmp_path: Path) -> AsyncIterator[Town]:
    """On SQLite alone, for what asks nothing of the database."""
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    yield Town(store)
    await store.close()


async def keyed(town: Town, design: str = "hook") -> str:
    async with town.store.unit() as unit:
        return await lineage.new_key(unit, design)


async def granted(town: Town, key: str, design: str = "hook", **wish: Any) -> str:
    async with town.store.unit() as unit:
        asked = Wish.model_validate({"everybody": True} | wish)
        return (await service.record(unit, design, asked, Caller(key=key))).id


async def test_an_order_stands_on_its_grant_and_on_no_other_lab(town: Town) -> None:
    wire(town.store)
    await town.publish(licence=NC)
    key = await keyed(town)
    near = await town.open_lab("Near", 1, PRINTER)
    await town.open_lab("Far", 30, PRINTER)
    with pytest.raises(planning.QuoteRefused, match=r"Ask Us to grant it.*cosmolocal grant new"):
        await town.quote()
    wish = {"everybody": False, "lab": "Near", "most_units": 2}
    grant = await granted(town, key, **wish)
    assert await granted(town, key, **wish) == grant, "asked twice, recorded once"
    quote = await town.quote()
    (item,) = quote.items
    assert [option.lab for option in item.options] == ["Near"]
    assert [no.lab for no in item.why_not if "unless the licensor grants it" in no.why] == ["Far"]
    other = await town.quote()
    (job,) = await town.order(quote)
    with pytest.raises(planning.QuoteRefused, match="is for 2 pieces, 1 were made"):
        await town.quote(quantity=2)
    await town.order(other)
    with pytest.raises(planning.QuoteRefused, match="2 were made"):
        await town.quote()
    async with town.store.unit() as unit:
        assert len(await service.of_design(unit, "hook")) == 1
        await service.withdraw(unit, grant, "over", Caller(key=key))
        (row, _) = await orders.orders(unit)
        found = await orders.job(unit, job)
        found.tries, found.avoid = (
            3,
            [f"{near}/printer-1"],
        )  # it failed there, and goes nowhere else
    async with town.store.unit() as unit:
        asked = await planning.look(unit)
        assert asked is not None
        choice = {each.id: each for each in asked.problem.jobs}[job]
        assert "lab-far" not in repr(choice)
        (used,) = await service.used_for(unit, row.id, "hook")
        assert (used.number, used.by) == (grant, "Us")
        await orders.cancel_job(unit, job, "no more")
    async with town.store.unit() as unit:
        assert (await service._used(unit, [grant])) == {grant: 1}


async def test_a_grant_withdrawn_after_the_quote_lets_nothing_be_ordered(town: Town) -> None:
    await town.publish(licence=NC)
    key = await keyed(town)
    await town.open_lab("Near", 1, PRINTER)
    grant = await granted(town, key)
    quote = await town.quote()
    async with town.store.unit() as unit:
        with pytest.raises(NotYours):
            await service.withdraw(unit, grant, "", Caller(key="maintainer-guessed"))
        await service.withdraw(unit, grant, "", Caller(key=key))
    with pytest.raises(NotGranted, match="cannot be ordered for payment there any more"):
        await town.order(quote)
    async with town.store.view() as unit:
        assert not await orders.orders(unit)


async def test_whoever_forks_cannot_grant_what_is_not_theirs(one_town: Town) -> None:
    town = one_town
    await town.publish(licence=NC)
    base = town.release
    await town.open_lab("Near", 1, PRINTER)
    line = Ancestor(
        release=base.sha256, design="hook", version="1.0.0", title="Hook", licence=NC, licensor="Us"
    )
    await town.publish(design="mine", title="Mine", licensor="Bo", ancestor=line)
    fork_key = await keyed(town, "mine")
    await granted(town, fork_key, "mine")
    with pytest.raises(planning.QuoteRefused, match=r"Hook 1\.0\.0, CC-BY-NC-4\.0.*Ask Us"):
        await town.quote(design="mine")
    with pytest.raises(NotYours):
        await granted(town, fork_key, "hook")
    await granted(town, await keyed(town, "hook"), "hook", person="Near", everybody=False)
    assert (await town.quote(design="mine")).complete


async def test_what_no_grant_lifts_or_nobody_can_look_up_is_refused(one_town: Town) -> None:
    town = one_town
    await town.publish(licence=NC)
    key = await keyed(town)
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date()
    for wrong, said in (
        ({"acts": ["list"]}, "lets everybody list"),
        ({"acts": ["make_paid", "fork"]}, "lets everybody fork"),
        ({"until": yesterday}, "name a day to come"),
        ({"everybody": False, "lab": "lab-nowhere"}, "nobody knows the lab"),
    ):
        with pytest.raises(Refused, match=said):
            await granted(town, key, **wrong)
    async with town.store.unit() as unit:
        with pytest.raises(Refused, match="where the licensor's permission stands written"):
            await service.record(unit, "hook", Wish(everybody=True), THE_OPERATOR)
        told = Wish(everybody=True, reference="her letter of 3 May")
        assert (await service.record(unit, "hook", told, THE_OPERATOR)).recorded_by == "operator"


async def test_grants_by_the_api_and_on_the_page(site: Site) -> None:
    await site.town.publish(licence=NC)
    key = await keyed(site.town)
    await site.town.open_lab("Near", 1, PRINTER)
    design = await site.get("/designs/hook")
    assert "Nobody may make it for money yet: Us may grant it." in design.words
    doors = "/api/designs/hook/grants"
    wish = {"lab": "Near", "reference": "a letter"}
    for stranger in ({}, {"X-Api-Key": "maintainer-no"}, {"Authorization": "Bearer no"}):
        assert (await site.client.post(doors, json=wish, headers=stranger)).status_code == 403
    doubt = await site.submit(design, "/designs/hook/grants", whom="lab-near", key=key, until="May")
    assert "until: 'May' is not a date, such as 2026-11-30" in html.unescape(doubt.text)
    page = await site.submit(design, "/designs/hook/grants", whom="lab-near", key=key, terms="<b>x")
    assert page.status_code == 303, page.text
    design = await site.get("/designs/hook")
    assert "Us lets Near make it for payment. <b>x" in design.words
    assert "<b>x" not in design.answer.text
    assert (await site.ask()).answer.status_code == 200
    answer = await site.client.post(doors, json=wish, headers={"X-Api-Key": key})
    assert answer.status_code == 201, answer.text
    listed = (await site.client.get(doors)).json()
    assert [each["labs"] for each in listed] == [["Near"], ["Near"]]
    assert "reference" not in listed[1], "that is between them"
    design = await site.get("/designs/hook")
    first, path = listed[1]["id"], f"/grants/{listed[1]['id']}/withdraw"
    await site.submit(design, path, key=key, why="the year is over")
    async with site.town.store.view() as unit:
        assert (await service.find(unit, first)).withdrawn_why == "the year is over"
    for each in listed[:1]:
        path = f"/api/grants/{each['id']}/withdraw"
        assert (await site.client.post(path, json={})).status_code == 403
        ended = await site.client.post(path, json={"why": "over"}, headers={"X-Api-Key": key})
        assert ended.json()["withdrawn_why"] == "over"
    assert (await site.client.get("/api/designs/nothing/grants")).status_code == 404
    assert "Nobody may make it for money yet" in (await site.get("/designs/hook")).words


@pytest.mark.parametrize(
    ("asked", "lines", "words"),
    [
        ({}, [], "made for payment by permission of Us (grant g-1)"),
        ({"fee_cents": 0, "currency": "EUR", "share_pct": 0}, [], "of Us (grant g-1)"),
        ({"fee_cents": 50, "currency": "EUR"}, [150], "which asks a fee of 0.50 EUR a piece"),
        ({"fee_cents": 50, "currency": "CHF"}, [],
         "which asks a fee of 0.50 CHF a piece, which is not in this price and for the lab"),
        ({"share_pct": 0.1}, [2], "which asks 0.1 % of the lab's price"),
        ({"share_pct": 100, "fee_cents": 1, "currency": "EUR"}, [3, 1001],
         "which asks 100 % of the lab's price and a fee of 0.01 EUR a piece"),
    ],
)  # fmt: skip
def test_what_a_grant_asks_is_a_line_of_its_own_and_said_in_words(
    asked: dict[str, Any], lines: list[int], words: str
) -> None:
    grant = Grant(number="g-1", by="Us", acts=frozenset({Act.MAKE_PAID}), **asked)
    said = orders_model.owed([grant], 3, 1001, "EUR")
    assert [each.minor for each in said] == lines
    assert all(each.what.startswith("to Us, by grant g-1: ") for each in said)
    assert words in orders_model.permission(grant, "EUR")


async def test_the_fee_is_in_the_price_that_is_agreed_to_and_no_other_grant_is_used(
    one_town: Town,
) -> None:
    town = one_town
    await town.publish(licence=NC)
    key = await keyed(town)
    await town.open_lab("Near", 1, PRINTER)
    await town.open_lab("Far", 2, PRINTER)
    dear = {"everybody": False, "lab": "Near", "fee_cents": 40_00, "currency": "EUR"}
    grant = await granted(town, key, share_pct=10, **dear)
    await granted(town, key, everybody=False, lab="Far")
    quote = await town.quote(quantity=2)
    far, near = quote.items[0].options
    assert (far.lab, near.lab) == ("Far", "Near"), "whom it costs less, though farther"
    *own, fee, share = near.lines
    assert (fee.what, fee.minor) == (f"to Us, by grant {grant}: 40.00 EUR a piece", 80_00)
    assert share.minor == -(-sum(each.minor for each in own) // 10)
    assert near.total_minor == sum(each.minor for each in near.lines)
    assert own == list(far.lines)
    (told,) = near.grants
    assert (told.number, told.fee_cents, told.share_pct) == (grant, 40_00, 10)
    dearer = await town.quote(quantity=2, choose={"hook": near.agent})
    (job, _) = await town.order(dearer)
    async with town.store.view() as unit:
        (row,) = await orders.orders(unit)
        assert row.total_minor == near.total_minor
        assert f"It is made for payment by permission of Us (grant {grant})" in row.confirmation
        assert "the lab passes on" in row.confirmation
        assert (await orders.job(unit, job)).price_minor == sum(x.minor // 2 for x in near.lines)
    other = await town.quote(choose={"hook": near.agent})
    async with town.store.unit() as unit:
        await service.withdraw(unit, grant, "dearer", Caller(key=key))
    await granted(town, key, fee_cents=99_00, currency="EUR")
    with pytest.raises(NotGranted, match="Another quote says whether another grant covers it"):
        await town.order(other)
    assert await town.order(await town.quote(choose={"hook": near.agent}))


async def test_quote_and_order_say_by_whose_permission(site: Site) -> None:
    await site.town.publish(licence=NC)
    await site.town.open_lab("Near", 1, PRINTER)
    await site.town.open_lab("Far", 2, PRINTER)
    grant = await granted(site.town, await keyed(site.town), fee_cents=500, currency="CHF")
    quote = await site.ask()
    words = f"made for payment by permission of Us (grant {grant}), which asks a fee of 5.00 CHF"
    assert quote.words.count(words) == 2, "the lab's, and the other that could be chosen"
    (item,) = (await site.client.get(f"/api{quote.answer.url.path}")).json()["items"]
    assert [each["grants"][0]["number"] for each in item["options"]] == [grant, grant]
    assert not any("to Us" in line["what"] for line in item["options"][0]["lines"])
    placed = await site.order()
    assert words in (await site.get(placed)).words
    order = (await site.client.get(f"/api{placed}")).json()
    assert order["items"][0]["grants"][0]["fee_cents"] == 500


def line(release: Release) -> Ancestor:
    return Ancestor(release=release.sha256, **release.model_dump(include=_OF_ANCESTOR))


_OF_ANCESTOR = {"design", "version", "title", "licence", "licensor"}


async def test_a_design_that_took_its_fork_back_is_ordered_under_one_grant(one_town: Town):
    town = one_town
    await town.publish(licence=NC)
    await town.publish(design="mine", title="Mine", licensor="Bo", ancestor=line(town.release))
    await town.publish(version="2.0.0", ancestor=line(town.release))
    await town.open_lab("Near", 1, PRINTER)
    for design in ("hook", "mine"):
        await granted(town, await keyed(town, design), design)
    assert await town.order(await town.quote(design="hook"))


async def test_beyond_the_ancestors_that_are_walked_nobody_has_agreed(
    one_town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lineage, "MOST_UP", 1)
    town = one_town
    await town.publish(licence=NC)
    for name in ("one", "two"):
        await town.publish(design=name, title=name, licensor="Eve", ancestor=line(town.release))
        await granted(town, await keyed(town, name), name)
    await town.open_lab("Near", 1, PRINTER)
    with pytest.raises(planning.QuoteRefused, match="no grant for it can be recorded"):
        await town.quote(design="two")


async def test_without_a_lab_nobody_is_asked_for_a_grant(one_town: Town):
    await one_town.publish(licence=NC)
    await granted(one_town, await keyed(one_town))
    assert not (await one_town.quote()).complete


def test_a_range_of_versions_begins_with_its_first():
    with pytest.raises(ValidationError, match="exchange them"):
        Wish(everybody=True, first_version="2.0.0", last_version="1.9.0")
