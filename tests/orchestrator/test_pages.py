"""The pages as a browser without scripts gets them, on the whole application and a real store."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from designs.design import Contributor, Recipe
from orchestrator.app import create_app
from orchestrator.catalogue import ancestry
from orchestrator.dispatch.signing import Signer
from orchestrator.labs import service as labs
from orchestrator.labs.model import NewLab
from orchestrator.makes import service as makes
from orchestrator.makes.model import Inspection, Kind, Verdict
from orchestrator.makes.tables import MakeRow
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.orders.tables import OrderRow
from orchestrator.planning import service as planning
from orchestrator.planning.tables import QuoteRow
from orchestrator.settings import Settings
from orchestrator.store import Store
from tests.orchestrator.dispatch.conftest import PRINTER
from tests.orchestrator.planning.conftest import Town
from tests.orchestrator.planning.test_planning import LASER

TELLING = {"canonical", "alternate", "describedby"}
"""Links that a browser fetches nothing by."""


def is_data(script: dict[str, str | None]) -> bool:
    """What a browser never runs."""
    return script.get("type") == "application/ld+json"


class Page(HTMLParser):
    """What stands in a page: its words, its elements by name, its forms' fields."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.labelled: list[str] = []
        self._within_label = 0
        self._said: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        here = dict(attrs)
        self.elements.append((tag, here))
        self._within_label += tag == "label"
        if self._within_label and "name" in here:
            self.labelled.append(here["name"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._within_label -= tag == "label"

    def handle_data(self, data: str) -> None:
        self._said.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self._said).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [here for name, here in self.elements if name == tag]

    def fields(self, action: str) -> dict[str, str]:
        """Names and values of the first form with this action."""
        html = self.answer.text
        start = html.index(f'action="{action}"')
        form = Page(httpx.Response(200, text=html[start : html.index("</form>", start)]))
        inputs = {one["name"]: one.get("value") or "" for one in form.all("input") if "name" in one}
        return {name or "": value for name, value in inputs.items()}


class Site:
    def __init__(self, town: Town, client: httpx.AsyncClient) -> None:
        self.town = town
        self.client = client

    async def get(self, path: str, status: int = 200) -> Page:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return Page(answer)

    async def submit(self, page: Page, action: str, **typed: str) -> httpx.Response:
        path = action.partition("#")[0]
        return await self.client.post(path, data=page.fields(action) | typed)

    async def ask(self, **typed: str) -> Page:
        """Ask on the design's page, and look at the quote."""
        answer = await self.submit(await self.get("/designs/hook"), "/quotes", **typed)
        assert answer.status_code == 303, answer.text
        return await self.get(answer.headers["location"])

    async def words(self, quote: Page, name: str = "Ana Puig") -> Page:
        path = quote.answer.url.path
        return Page(await self.submit(quote, f"{path}/words#agree", name=name))

    async def order(self) -> str:
        quote = await self.ask()
        words = await self.words(quote)
        answer = await self.submit(words, f"{quote.answer.url.path}/order")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    signer = Signer.open(tmp_path / "keys.json")
    app = create_app(Settings(data_dir=tmp_path), store, signer, lambda: True)
    transport = httpx.ASGITransport(app=app)
    headers = {"Accept": "text/html"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pages.test", headers=headers
    ) as client:
        yield Site(Town(store), client)
    await store.close()


@pytest.fixture
async def open_site(site: Site) -> Site:
    """A design, a near lab and a far one that can make it, and one that cannot."""
    await site.town.publish()
    await site.town.open_lab("Near", 1, PRINTER)
    await site.town.open_lab("Far", 30, PRINTER)
    await site.town.open_lab("Cutter", 0.5, LASER)
    return site


# ── ordering


async def test_from_a_design_to_an_order_without_any_script(open_site: Site) -> None:
    quote = await open_site.ask(quantity="2", lat="41.39", lon="2.17")
    assert "setting up Printer 1" in quote.words
    assert "40.0 × 30.0 × 20.0 mm" in quote.words
    assert re.search(r"Near , 1\.0 km from you, on Printer 1", quote.words)
    assert "Cutter has no machine for 3D printing" in quote.words
    read = await open_site.words(quote)
    order_page = await open_site.submit(read, f"{quote.answer.url.path}/order")
    order = await open_site.get(order_page.headers["location"])
    async with open_site.town.store.view() as unit:
        row = (await unit.session.scalars(select(OrderRow))).one()
        quoted = await planning.quoted(unit, row.quote_id)
    assert quoted is not None
    text = orders_model.confirmation_text(quoted, "Ana Puig")
    assert text in read.words
    assert text in order.words
    assert (row.confirmation, row.maker_name, row.quantity) == (text, "Ana Puig", 2)
    assert row.seal.count(".") == 2
    open_site.client.cookies.clear()
    for other in (f"/orders/{row.id}", f"/api/orders/{row.id}", "/orders", "/api/orders"):
        told = (await open_site.client.get(other)).text
        assert row.id in told
        assert "Ana" not in told
        assert row.seal not in told
        assert row.quote_id not in told
    assert "0 of 2 parts made" in order.words


async def test_quote_order_and_labs_say_that_a_machine_is_driven_by_hand(site: Site) -> None:
    await site.town.publish()
    await site.town.open_lab("Near", 1, PRINTER.model_copy(update={"by_hand": True}))
    quote = await site.ask()
    assert "on Printer 1 driven by hand" in quote.words
    assert "what became of it is attested by that person" in quote.words
    read = await site.words(quote)
    assert "on a machine driven by hand, attested by a person" in read.words
    order_page = await site.submit(read, f"{quote.answer.url.path}/order")
    order = await site.get(order_page.headers["location"])
    assert "on a machine driven by hand, attested by a person" in order.words
    assert "Printer 1 driven by hand" in (await site.get("/labs")).words


async def test_agreeing_twice_is_one_order(open_site: Site) -> None:
    quote = await open_site.ask()
    read = await open_site.words(quote)
    path = quote.answer.url.path
    first, second = [await open_site.submit(read, f"{path}/order") for _ in range(2)]
    assert first.headers["location"] == second.headers["location"]
    again = await open_site.get(path)
    assert f'href="{first.headers["location"]}"' in again.answer.text
    assert f"{path}/words" not in again.answer.text


async def test_a_quote_that_was_ordered_tells_strangers_neither_where_nor_who(
    open_site: Site,
) -> None:
    client, quote = open_site.client, await open_site.ask(lat="41.391234")
    path, read = quote.answer.url.path, await open_site.words(quote)
    placed = await open_site.submit(read, f"{path}/order")
    order = placed.headers["location"]
    assert len(path.removeprefix("/quotes/q-")) == 24, "96 bits of chance"
    kept = {(each.name[:17], each.path) for each in client.cookies.jar}
    assert kept == {
        ("cosmolocal_key_o-", order), ("cosmolocal_key_o-", path), ("cosmolocal_form", "/")
    }  # fmt: skip
    assert "41.391234" in (await open_site.get(path)).answer.text
    own_form = client.cookies["cosmolocal_form"]
    client.cookies.clear()
    for door in (path, f"/api{path}", f"/api{path}/confirmation?maker=Ana"):
        closed = await client.get(door)
        assert closed.status_code == 403
        assert "41.39" not in closed.text
    (await open_site.get("/designs/hook")).fields("/quotes")
    fields = read.fields(f"{path}/order") | {"form_token": client.cookies["cosmolocal_form"]}
    told = [
        await client.post(f"{path}/order", data=fields | {"name": n}) for n in ("Ana Puig", "B")
    ]
    assert [(t.status_code, t.headers["location"]) for t in told] == [(303, order)] * 2
    assert not any("set-cookie" in t.headers for t in told)
    assert "Ana" not in (await open_site.get(order)).words
    client.cookies.clear()
    client.cookies["cosmolocal_form"] = own_form
    await client.post(f"{path}/order", data=fields | {"form_token": own_form})
    assert "Ana Puig orders" in (await open_site.get(order)).words, "the first answer was lost"


async def test_what_is_told_by_seal_and_token_is_kept_by_nobody(open_site: Site) -> None:
    order = await open_site.order()
    quote = next(each.path for each in open_site.client.cookies.jar if "/quotes/" in each.path)
    for door in ("/orders", order, quote, "/orders/o-none"):
        for path in (door, f"/api{door}"):
            kept = (await open_site.client.get(path)).headers["cache-control"]
            assert kept == "private, no-store", path


async def test_another_lab_can_be_chosen(open_site: Site) -> None:
    quote = await open_site.ask()
    fields = quote.fields("/quotes")
    assert fields["choose"].startswith("hook lab-far")
    answer = await open_site.client.post("/quotes", data=fields)
    chosen = await open_site.get(answer.headers["location"])
    assert re.search(r"Far , \d+\.\d km from you, on", chosen.words)
    assert chosen.fields("/quotes")["choose"].startswith("hook lab-near")


async def test_words_of_somebody_else_are_not_agreed_to(open_site: Site) -> None:
    quote = await open_site.ask()
    read = await open_site.words(quote, "Ana")
    answer = await open_site.submit(read, f"{quote.answer.url.path}/order", name="Berta")
    assert answer.status_code == 409
    assert "read the quote again" in Page(answer).words
    async with open_site.town.store.view() as unit:
        assert not await orders.orders(unit)


@pytest.mark.parametrize("path", ["/quotes", "/quotes/{id}/words", "/quotes/{id}/order"])
@pytest.mark.parametrize("harm", ["no cookie", "other token"])
async def test_a_form_from_elsewhere_does_nothing(open_site: Site, path: str, harm: str) -> None:
    quote = await open_site.ask()
    fields = quote.fields("/quotes") | {"name": "Eve", "agreed_sha256": "a" * 64}
    if harm == "no cookie":
        open_site.client.cookies.clear()
    else:
        fields["form_token"] = "x" * 32
    answer = await open_site.client.post(path.format(id=quote.answer.url.path[8:]), data=fields)
    assert answer.status_code == 403
    assert "load the page again" in Page(answer).words
    async with open_site.town.store.view() as unit:
        assert len((await unit.session.scalars(select(QuoteRow))).all()) == 1
        assert not await orders.orders(unit)


async def test_an_expired_quote_is_asked_for_again(open_site: Site) -> None:
    quote = await open_site.ask()
    path = quote.answer.url.path
    read = await open_site.words(quote)
    async with open_site.town.store.unit() as unit:
        row = (await unit.session.scalars(select(QuoteRow))).one()
        given = await planning.find_quote(unit, row.id)
        assert given is not None
        past = datetime.now(UTC) - timedelta(minutes=1)
        row.body = given.model_copy(update={"valid_until": past}).model_dump_json()
    expired = await open_site.get(path)
    assert "This quote has expired" in expired.words
    late = await open_site.submit(read, f"{path}/order")
    assert late.status_code == 409
    again = await open_site.submit(expired, "/quotes")
    assert again.headers["location"] != path


async def test_a_release_from_before_a_bound_on_turns_is_shown_and_ordered(site: Site) -> None:
    (hook,) = site.town.release.parts
    turned = hook.model_copy(update={"recipe": Recipe(orientation_deg=(0, 450, 0))})
    await site.town.publish(parts=(turned,))
    await site.town.open_lab("Near", 1, PRINTER)
    assert "450" in (await site.get("/designs/hook")).words
    assert "Hook" in (await site.get(await site.order())).words


# ── who cannot make it


async def test_where_nobody_can_make_it_the_page_says_why_and_what_would_help(site: Site) -> None:
    await site.town.publish()
    await site.town.open_lab("Cutter", 0.5, LASER)
    quote = await site.ask()
    assert "nobody can make it now" in quote.words
    assert "Cutter has no machine for 3D printing" in quote.words
    assert "3D printing (filament) in PLA, with room for 40 × 30 × 20 mm" in quote.words
    assert "I agree" not in quote.words
    assert "Your name" not in quote.words


async def test_without_labs_there_is_nobody_to_ask(site: Site) -> None:
    await site.town.publish()
    design = await site.get("/designs/hook")
    assert "No lab has joined this network yet" in design.words
    assert not [form for form in design.all("form") if form.get("action") == "/quotes"]


async def test_a_licence_without_paid_making_is_said_before_anybody_asks(site: Site) -> None:
    await site.town.publish(licence="CC-BY-NC-4.0")
    await site.town.open_lab("Near", 1, PRINTER)
    design = await site.get("/designs/hook")
    assert "cannot be made for payment" in design.words
    assert not [form for form in design.all("form") if form.get("action") == "/quotes"]


# ── following


async def _made(site: Site) -> MakeRow:
    """The one job of the one order, made and inspected."""
    async with site.town.store.unit() as unit:
        (row,) = await orders.orders(unit)
        (job,) = await orders.jobs_of(unit, row.id)
        await orders.plan_job(unit, job.id, "lab-near", "printer-1")
        await orders.offer_job(unit, job.id, "a-1")
        await orders.job_made(unit, job.id, "a-1")
        done = makes.Finished(
            job_id=job.id, attempt="a-1", agent="lab-near", machine="printer-1",
            program_sha256="a" * 64, machine_s=5, operator="Ona", operator_minutes=4,
            simulated=True, attested=True,
        )  # fmt: skip
        make = await makes.record(unit, done)
        seen = Inspection(
            verdict=Verdict.CONFORMS, kind=Kind.SIMULATED, inspector="gauge", outline_mm=0.12,
            volume_pct=-0.4, machine_s=1500,
        )  # fmt: skip
        await makes.inspected(unit, make.id, seen)
    return make


async def test_a_made_part_has_a_passport_and_a_ready_order_says_where_to_fetch_it(
    open_site: Site,
) -> None:
    path = await open_site.order()
    make = await _made(open_site)
    order = await open_site.get(path)
    assert re.search(r"Fetch it Near : 1 × Hook", order.words)
    assert "1 of 1 part made and inspected" in order.words
    assert f'href="/p/{make.id}"' in order.answer.text
    passport = await open_site.get(f"/p/{make.id}")
    made = "Near, on Printer 1 simulated machine attested by a person"
    for words in (made, "Ona", "25 min", "0.12 mm", "-0.4 %"):
        assert words in passport.words
    assert f"http://pages.test/p/{make.id}" in passport.words
    design = await open_site.get("/designs/hook")
    assert "Nobody has made this version here yet. 1 more on simulated machines" in design.words
    assert "1 of all of them attested by a person" in design.words
    told = await open_site.get(f"/api/makes/{make.id}")
    assert told.answer.json()["attested"] is True


async def test_a_passport_names_everybody_whom_the_design_stands_on(site: Site) -> None:
    design = {"design": "peg", "title": "Peg", "licensor": "Eva", "licence": "CC-BY-4.0"}
    await site.town.publish(**design)
    peg = site.town.release
    middle = {"design": "pin", "title": "Pin", "licensor": "Cy", "licence": "CC0-1.0"}
    line = {"ancestor": ancestry.named(peg), "contributors": ancestry.standing(peg)}
    await site.town.publish(**middle, **line)
    pin = site.town.release
    own = {"design": "hook", "title": "Hook", "licensor": "Bo", "licence": "MIT"}
    named = (*ancestry.standing(pin), Contributor(name="Di"))
    await site.town.publish(**own, ancestor=ancestry.named(pin), contributors=named)
    await site.town.open_lab("Near", 1, PRINTER)
    await site.order()
    passport = await site.get(f"/p/{(await _made(site)).id}")
    assert "Contributors: Eva, Di." in passport.words
    assert "Pin 1.0.0 by Cy, CC0-1.0, with Eva." in passport.words
    text = "https://creativecommons.org/licenses/by/4.0/"
    told = f"Tell, too: CC-BY-4.0: {text} ; No warranty."
    assert f"Peg 1.0.0 by Eva, CC-BY-4.0. {told}" in passport.words
    assert f'href="{text}"' in passport.answer.text


# ── every page

PAGES = ["/", "/?q=nothing", "/designs/hook", "/labs", "/orders", "/api/docs", "QUOTE", "ORDER"]
PAGES += ["/publish", "DRAFT"]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_can_be_read_by_anybody_and_runs_no_foreign_word(
    open_site: Site, path: str
) -> None:
    if path == "ORDER":
        path = await open_site.order()
    elif path == "QUOTE":
        path = (await open_site.ask()).answer.url.path
    elif path == "DRAFT":
        begun = (await open_site.client.post("/api/drafts")).json()
        opened = await open_site.client.get(f"/publish/{begun['id']}?key={begun['key']}")
        path = opened.headers["location"]
    page = await open_site.get(path)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert page.all("nav")[0]["aria-label"]
    shown = [x for x in page.all("input") if x.get("type") != "hidden"]
    shown += [*page.all("select"), *page.all("textarea")]
    assert [one["name"] for one in shown if one["name"] not in page.labelled] == []
    assert [one for one in page.all("img") if "alt" not in one] == []
    assert [one for one in page.all("script") if "src" not in one and not is_data(one)] == []
    handlers = [name for _, one in page.elements for name in one if name.startswith("on")]
    assert handlers == []
    loads = [one["src"] or "" for tag in ("script", "img") for one in page.all(tag) if "src" in one]
    loads += [one.get("href") or "" for one in page.all("link") if one.get("rel") not in TELLING]
    assert [address for address in loads if not address.startswith("/")] == []
    headers = page.answer.headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].split("style-src")[0]
    assert headers["x-content-type-options"] == "nosniff"


async def test_names_are_words_and_never_markup(open_site: Site) -> None:
    evil = "<script>alert('1')</script>"
    async with open_site.town.store.unit() as unit:
        await labs.create_lab(unit, NewLab(name=evil, lat=41.39, lon=2.17, address=evil))
    for path in ("/labs", "/designs/hook"):
        page = await open_site.get(path)
        assert evil not in page.answer.text
        assert [one for one in page.all("script") if "src" not in one and not is_data(one)] == []
    quote = await open_site.ask()
    read = await open_site.words(quote, evil)
    assert evil not in read.answer.text
    assert evil in read.words


@pytest.mark.parametrize(
    ("path", "status"),
    [("/quotes/q-none", 404), ("/orders/o-none", 404), ("/designs/none", 404), ("/p/p-none", 404)],
)
async def test_what_is_not_there_is_said_to_people_and_to_programs(
    site: Site, path: str, status: int
) -> None:
    page = await site.get(path, status)
    assert "there is no" in page.words.lower() or "no release" in page.words
    assert page.all("main")
    told = await site.client.get(path, headers={"Accept": "application/json"})
    assert told.headers["content-type"] == "application/problem+json"


async def test_a_form_filled_wrongly_is_refused_with_the_field(open_site: Site) -> None:
    page = await open_site.get("/designs/hook")
    answer = await open_site.submit(page, "/quotes", lat="north")
    assert answer.status_code == 422
    assert "lat" in Page(answer).words
