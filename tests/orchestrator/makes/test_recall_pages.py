"""Recalls and passports as people and programs get them, on the whole application."""

import csv
import io
import json
import re
from typing import Any

import httpx
import pytest

from designs.design import OWN_WORK, Contributor
from fablab_agents.protocol.attempts import State
from orchestrator.app import secret
from orchestrator.catalogue import keys
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.cli import recalls as cli
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow
from orchestrator.makes import recall_api
from orchestrator.makes import service as makes
from orchestrator.makes.model import Inspection, Kind, Verdict
from orchestrator.makes.recalled import Listed
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import service as orders
from orchestrator.settings import Settings
from tests.orchestrator.dispatch.conftest import PRINTER
from tests.orchestrator.test_pages import Site, site

__all__ = ["site"]


async def made_part(site: Site, lot: str | None = "PLA 2611-A") -> tuple[str, str]:
    """A passport and its order's page."""
    people = (Contributor(name="Berta", did="drew it"),)
    await site.town.publish(contributors=people)
    agent = await site.town.open_lab("Near", 1, PRINTER)
    path = await site.order()
    async with site.town.store.unit() as unit:
        (row,) = await orders.orders(unit)
        (job,) = await orders.jobs_of(unit, row.id)
        await orders.plan_job(unit, job.id, agent, "printer-1")
        await orders.offer_job(unit, job.id, "a-1")
        await orders.job_made(unit, job.id, "a-1")
        done = makes.Finished(
            job_id=job.id, attempt="a-1", agent=agent, machine="printer-1",
            program_sha256="a" * 64, machine_s=700, operator=None, operator_minutes=None,
            simulated=False, lot=lot, file="f" * 64,
        )  # fmt: skip
        return (await makes.record(unit, done)).id, path


async def post(site: Site, path: str, status: int = 201, **body: Any) -> Any:
    answer = await site.client.post(path, json=body, headers={"Accept": "application/json"})
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


@pytest.fixture
def operator(site: Site, tmp_path: Any) -> Site:
    site.client.headers["Authorization"] = (
        f"Bearer {secret(Settings(data_dir=tmp_path).token_file)}"
    )
    return site


async def test_a_recall_is_told_first_on_passport_order_and_design(operator: Site) -> None:
    passport, order = await made_part(operator)
    wish = {"design": "hook", "reason": "it <b>breaks</b>", "by": "Ona", "todo": "return"}
    assert (await post(operator, "/api/recalls/preview", 200, **wish))["units"] == 1
    opened = await post(operator, "/api/recalls", **wish)
    assert (opened["units"], opened["orders"], opened["state"]) == (1, 1, "open")
    for path in (f"/p/{passport}", f"/p/{passport}.html", order, "/designs/hook"):
        page = await operator.get(path)
        assert "it <b>breaks</b>" in page.words, path
        assert "<b>breaks" not in page.answer.text
    passport_page = await operator.get(f"/p/{passport}")
    main = passport_page.answer.text.partition("<main")[2]
    assert main.index("Recalled: Stop using it and bring it back") < main.index("<h1>")
    assert not [
        f for f in (await operator.get("/designs/hook")).all("form") if f.get("action") == "/quotes"
    ]
    record = (await operator.get(f"/p/{passport}.json")).answer.json()
    assert record["recalled"] is True
    assert record["recalls"][0]["do"] == "Stop using it and bring it back to the lab."
    recall_page = await operator.get(f"/recalls/{opened['id']}")
    assert f'href="/p/{passport}"' in recall_page.answer.text
    assert opened["what"] in (await operator.get("/recalls")).words
    lifted = await post(operator, f"/api/recalls/{opened['id']}/lift", 200, why="a jest", by="Ona")
    assert lifted["state"] == "lifted"
    after = await operator.get(f"/p/{passport}")
    assert re.search(r"It was recalled .* the recall was lifted .*: a jest", after.words)
    record = (await operator.get(f"/p/{passport}.json")).answer.json()
    assert (record["recalled"], record["recalls"][0]["state"]) == (False, "lifted")
    await post(operator, f"/api/recalls/{opened['id']}/settle", 409, why="x", by="Ona")


async def test_nobody_is_sent_to_fetch_what_is_recalled(operator: Site) -> None:
    passport, order = await made_part(operator)
    sha256 = operator.town.release.sha256
    judged = {"verdict": "conforms", "kind": "measured by a person", "inspector": "Ona"}
    await post(operator, f"/api/makes/{passport}/inspection", 200, **judged)
    assert re.search(r"Fetch it Near : 1 × Hook", (await operator.get(order)).words)
    wish = {"release": sha256, "reason": "it breaks", "by": "Ona"}
    opened = await post(operator, "/api/recalls", **wish)
    page = await operator.get(order)
    assert "Fetch it" not in page.words
    assert re.search(r"Nothing to fetch Recalled, so do not fetch it: Near : 1 × Hook", page.words)
    assert page.words.index("Recalled: Stop using it.") < page.words.index("Nothing to fetch")
    assert "Passport recalled" in page.words
    note = await operator.get(f"{order}/delivery-note")
    assert note.words.index("Recalled: Stop using it.") < note.words.index("do not hand it over")
    await post(operator, f"{order.replace('/orders', '/api/orders')}/collected", 204)
    note = await operator.get(f"{order}/delivery-note")
    assert "recalled: do not use it" in note.words
    assert "do not hand it over" not in note.words
    await post(operator, f"/api/recalls/{opened['id']}/lift", 200, why="a jest", by="Ona")
    assert "recalled: do not" not in (await operator.get(f"{order}/delivery-note")).words


async def test_what_is_not_recalled_of_an_order_is_still_fetched(operator: Site) -> None:
    passport, order = await made_part(operator)
    judged = {"verdict": "conforms", "kind": "measured by a person", "inspector": "Ona"}
    await post(operator, f"/api/makes/{passport}/inspection", 200, **judged)
    async with operator.town.store.unit() as unit:
        make = await makes.find(unit, passport)
        seen = {c.name: getattr(make, c.name) for c in make.__table__.columns}
        other = seen | {"id": "p-other", "attempt": "a-2", "lot": "B", "lot_key": "b"}
        unit.session.add(MakeRow(**other))
    await post(operator, "/api/recalls", lot="pla 2611-a", reason="brittle", by="Ona")
    told = r"Fetch it Near : 1 × Hook Recalled, so do not fetch it: Near : 1 × Hook"
    assert re.search(told, (await operator.get(order)).words)


async def test_holders_are_for_the_operator_alone(operator: Site) -> None:
    await made_part(operator)
    opened = await post(operator, "/api/recalls", lot="pla 2611-a", reason="brittle", by="Ona")
    (holder,) = await post(operator, f"/api/recalls/{opened['id']}/holders", 200)
    assert holder["name"] == "Ana Puig"
    how = {"order": holder["order"], "how": "by telephone"}
    await post(operator, f"/api/recalls/{opened['id']}/told", 204, **how)
    (holder,) = await post(operator, f"/api/recalls/{opened['id']}/holders", 200)
    assert holder["told_how"] == "by telephone"
    for path in ("units", "units.csv", "jobs", ""):
        shown = await operator.client.get(f"/api/recalls/{opened['id']}/{path}".rstrip("/"))
        assert shown.status_code == 200
        assert "Puig" not in shown.text
    del operator.client.headers["Authorization"]
    for path in ("", "/preview", f"/{opened['id']}/holders", f"/{opened['id']}/lift"):
        assert (await operator.client.post(f"/api/recalls{path}", json={})).status_code == 401


async def test_the_list_is_the_same_as_data_and_as_a_table(operator: Site) -> None:
    passport, _ = await made_part(operator, lot="=HYPERLINK(1)")
    opened = await post(operator, "/api/recalls", design="hook", reason="brittle", by="Ona")
    units = (await operator.client.get(f"/api/recalls/{opened['id']}/units")).json()
    table = (await operator.client.get(f"/api/recalls/{opened['id']}/units.csv")).text
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [unit["passport"] for unit in units] == [row["passport"] for row in rows] == [passport]
    assert (units[0]["lot"], rows[0]["lot"]) == ("=HYPERLINK(1)", "'=HYPERLINK(1)")


async def test_an_empty_list_is_an_empty_array(operator: Site) -> None:
    await made_part(operator)
    opened = await post(operator, "/api/recalls", lot="none", reason="brittle", by="Ona")
    assert (await operator.client.get(f"/api/recalls/{opened['id']}/units")).json() == []


@pytest.mark.parametrize(
    "value", ["=1", "+1", "-1", "@a", "\t=1", " =1", "\r=1", "\u00a0=1", "\uff1d1", "\uff0b1"]
)
def test_no_cell_is_a_formula(value: str) -> None:
    assert recall_api.cell(value) == f"'{value}"
    assert value[0] in recall_api._RISKY


async def test_pieces_of_a_list_join_without_seams() -> None:
    def unit(name: str) -> Listed:
        from datetime import UTC, datetime

        at = datetime(2026, 11, 3, tzinfo=UTC)
        return Listed(name, "o", "ready", "hook", "r", "nord", "printer-1", at, None, None)

    async def pieces(*sizes: int) -> Any:
        for size in sizes:
            yield [unit(f"p-{number}") for number in range(size)]

    for sizes in ((), (1,), (2, 1), (3, 3, 2)):
        said = "".join([piece async for piece in recall_api.as_json(pieces(*sizes))])
        assert len(json.loads(said)) == sum(sizes)
        table = "".join([piece async for piece in recall_api.as_csv(pieces(*sizes))])
        assert len(list(csv.reader(io.StringIO(table)))) == 1 + sum(sizes)


# ── the passport


async def test_a_passport_says_what_is_known_and_leaves_out_what_is_not(site: Site) -> None:
    passport, order = await made_part(site)
    record = (await site.get(f"/p/{passport}.json")).answer.json()
    assert record["address"] == f"http://pages.test/p/{passport}"
    assert (
        record["design"]["files"][0]["sha256"] == record["design"]["made_from_sha256"] == "f" * 64
    )
    assert record["design"]["contributors"] == [{"name": "Berta", "did": "drew it", "share": 1}]
    assert record["material"]["lot"] == "PLA 2611-A"
    assert record["recalled"] is False
    assert record["events"][0]["what"] == "made"
    assert record["licence_notices"]
    assert order.rpartition("/")[2] not in json.dumps(record), "the order is known by its hash"
    assert "quality" not in record
    for absent in ("operator", "began_at"):
        assert absent not in record["made"]
    assert not {"repo", "forked_from"} & record["design"].keys()
    assert None not in list(_leaves(record))
    page = await site.get(f"/p/{passport}")
    for words in ("PLA 2611-A", "Berta (drew it)", "not inspected yet", "f" * 64):
        assert words in page.words


def _leaves(value: Any) -> Any:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value


async def test_a_kept_passport_needs_nothing_of_the_node(site: Site) -> None:
    passport, _ = await made_part(site)
    page = await site.get(f"/p/{passport}.html")
    assert "attachment" in page.answer.headers["content-disposition"]
    assert [one for tag in ("script", "link", "img") for one in page.all(tag)] == []
    assert all((one.get("href") or "").startswith("http") for one in page.all("a"))
    assert page.all("svg")
    html = page.answer.text
    kept = html[html.index('<pre id="record">') + 17 : html.index("</pre>")]
    import html as entities

    assert json.loads(entities.unescape(kept))["item_id"] == passport


@pytest.mark.parametrize("path", ["/p/p-none.json", "/p/p-none.html", "/recalls/r-none"])
async def test_what_is_not_there_is_said(site: Site, path: str) -> None:
    answer = await site.client.get(path, headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert isinstance(answer, httpx.Response)


# ── times on the command line


@pytest.mark.parametrize(
    ("words", "zone", "meant"),
    [
        ("2026-11-03T08:00+01:00", None, "2026-11-03T08:00:00+01:00"),
        ("2026-11-03T08:00Z", "Europe/Madrid", "2026-11-03T08:00:00+00:00"),
        ("2026-11-03T08:00", "Europe/Madrid", "2026-11-03T08:00:00+01:00"),
        ("2026-07-03", "Europe/Madrid", "2026-07-03T00:00:00+02:00"),
    ],
)
def test_a_time_has_a_zone(words: str, zone: str | None, meant: str) -> None:
    assert cli.moment(words, zone) == meant


@pytest.mark.parametrize(
    ("words", "zone", "said"),
    [
        ("2026-11-03T08:00", None, "has no zone"),
        ("yesterday", None, "is no time"),
        ("2026-11-03T08:00", "Mars/Base", "no zone Mars/Base"),
        ("2026-11-03T08:00", "../etc", "no zone"),
        ("2026-10-25T02:30", "Europe/Madrid", r"twice .*02:30\+02:00 or .*02:30\+01:00"),
        ("2026-03-29T02:30", "Europe/Madrid", "never was in Europe/Madrid"),
    ],
)
def test_a_time_is_never_guessed(words: str, zone: str | None, said: str) -> None:
    with pytest.raises(cli.NoMoment, match=said):
        cli.moment(words, zone)


# ── what is not for everybody


KEY = "maintainer-of-the-hook"


async def closed(site: Site, kind: str) -> tuple[str, str, str]:
    """A made part of work that is not public: its passport, its order, its release's hash."""
    passport, path = await made_part(site)
    sha256 = site.town.release.sha256
    async with site.town.store.unit() as unit:
        row = await unit.session.get_one(ReleaseRow, sha256)
        row.private, row.key_sha256 = kind == "private", keys.kept(KEY)
        row.state = "pre_release" if kind == "pre-release" else "released"
        (job,) = await orders.jobs_of(unit, order := path.rpartition("/")[2])
        attempt = AttemptRow(
            id="a-1", agent=job.agent, machine="printer-1", fence=1, state=State.FAILED,
            release=sha256, part="hook", quantity=1, file="f" * 64, estimate_s=60, ticket="",
            down_seq=1, offered_at=unit.now, not_after=unit.now, cause="hook.stl is too tall",
            program_facts={"notes": ["hook.stl was turned"]}, stop_why="no hook any more",
            consent="two hooks are fine",
        )  # fmt: skip
        unit.session.add(attempt)
        (await makes.find(unit, passport)).verdict = Verdict.CONFORMS
        await unit.session.flush()
        unit.session.add(AttemptJobRow(attempt="a-1", job=job.id))
    return passport, order, sha256


@pytest.mark.parametrize("kind", ["private", "pre-release"])
async def test_what_is_not_public_does_not_come_out_through_orders_and_passports(
    site: Site, operator: Site, kind: str
) -> None:
    passport, order, sha256 = await closed(operator, kind)
    opened = await post(operator, "/api/recalls", release=sha256, reason="it breaks", by="Ona")
    doors = [
        "/api/orders", f"/api/orders/{order}", f"/api/orders/{order}/makes", "/api/makes",
        f"/api/makes/{passport}", f"/p/{passport}.json", f"/p/{passport}.html", f"/p/{passport}",
        "/api/recalls", f"/api/recalls/{opened['id']}", f"/api/recalls/{opened['id']}/units",
        f"/api/recalls/{opened['id']}/units.csv",
    ]  # fmt: skip
    (job,) = (await site.get(f"/api/orders/{order}")).answer.json()["jobs"]
    attempts = [f"/api/jobs/{job['id']}/attempts", "/api/attempts/a-1"]
    doors = [*attempts, *doors]
    pages = [
        "/orders", f"/orders/{order}", "/recalls", f"/recalls/{opened['id']}", "/api/attempts",
        f"/orders/{order}/delivery-note", f"/api/orders/{order}/delivery-note",
        f"/api/recalls/{opened['id']}/jobs",
    ]  # fmt: skip
    token = operator.client.headers.pop("Authorization")
    for door in doors + pages:
        said = (await site.get(door)).answer.text
        for secret_one in (sha256, "f" * 64, "Berta"):
            assert secret_one not in said, (door, secret_one)
    record = (await site.get(f"/p/{passport}.json")).answer.json()
    for title in ("part_title", "title"):
        assert (record["design"][title] == "Hook") is (kind == "private")
    (listed,) = (await site.get("/api/orders")).answer.json()
    for told in (listed, (await site.get(f"/api/orders/{order}")).answer.json()):
        assert (told["title"] == "Hook") is (kind == "private")
        assert ("Hook 1.0.0" in told["confirmation"]) is (kind == "private")
        (item,) = told["items"]
        assert bool(item["lines"]) is (kind == "private")
    own = (await site.get(f"/orders/{order}")).words
    assert "Hook 1.0.0" in own, "the browser that ordered has the seal"
    assert "hook.stl is too tall" in own
    note = f"/orders/{order}/delivery-note"
    assert "Hook" in (await site.get(note)).words
    site.client.cookies.clear()
    for door in doors + pages:
        said = (await site.get(door)).answer.text.lower()
        assert kind == "private" or "hook" not in said, door
    other = (await site.get(f"/orders/{order}")).words
    for title in ("Hook, order", "Hook 1.0.0"):
        assert (title in other) is (kind == "private")
    await site.get(f"/api/makes/{passport}/plan", 403)
    for headers in ({"Authorization": token}, {"X-Api-Key": KEY}):
        for door in doors[:-4]:
            said = (await site.client.get(door, headers=headers)).text
            assert sha256 in said, door
        plan = await site.client.get(f"/api/makes/{passport}/plan", headers=headers)
        assert plan.status_code == 200
    told = (await site.client.get("/api/recalls", headers={"Authorization": token})).json()
    assert told[0]["scope"]["releases"] == [sha256]


async def test_a_recall_by_name_leaves_private_work_alone(operator: Site) -> None:
    await operator.town.publish()
    mine = operator.town.release.sha256
    await operator.town.publish(version="2.0.0", licence=OWN_WORK, private=True)
    opened = await post(operator, "/api/recalls", design="hook", reason="it breaks", by="Ona")
    assert opened["scope"]["releases"] == [mine]
    assert opened["what"] == "Hook 1.0.0"


async def test_a_range_with_a_version_that_is_none_is_refused(operator: Site) -> None:
    for version in ("1.0.0", "2026-11-30"):
        await operator.town.publish(version=version)
    wish = {"design": "hook", "first_version": "1.0.0", "reason": "it breaks", "by": "Ona"}
    no = await post(operator, "/api/recalls", 422, **wish)
    assert "version 2026-11-30 has no place in an order" in no["detail"]
    assert "by their hashes" in no["detail"]


async def test_a_passport_has_the_address_that_the_server_is_known_by(site: Site) -> None:
    passport, _ = await made_part(site)
    sha256 = site.town.release.sha256
    app = site.client._transport.app  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
    app.state.public_url = "https://made.example/"
    record = (await site.get(f"/p/{passport}.json")).answer.json()
    assert record["address"] == f"https://made.example/p/{passport}"
    assert record["design"]["source"] == f"https://made.example/releases/{sha256}"


@pytest.mark.parametrize("kind", ["private", "pre-release"])
async def test_what_an_inspector_says_of_a_pre_release_is_kept_back(
    site: Site, operator: Site, kind: str
) -> None:
    passport, order, _ = await closed(operator, kind)
    async with site.town.store.unit() as unit:
        seen = Inspection(
            verdict=Verdict.CONFORMS, kind=Kind.PERSON, inspector="Ona", note="the hook holds",
            missing=("hook tip",), extra=("hook rim",),
        )  # fmt: skip
        make = await makes.find(unit, passport)
        make.inspection, make.inspected_at = seen.model_dump(mode="json"), unit.now
    doors = [f"/api/makes/{passport}", f"/api/orders/{order}/makes"]
    doors += [f"/p/{passport}", f"/p/{passport}.json", f"/p/{passport}.html"]
    for door in doors:
        assert "the hook holds" in (await operator.get(door)).answer.text, door
    del operator.client.headers["Authorization"]
    site.client.cookies.clear()
    for door in doors:
        said = (await site.get(door)).answer.text.lower()
        assert ("hook" in said) is (kind == "private"), door
        assert "conforms" in said, door
