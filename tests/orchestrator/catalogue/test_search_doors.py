"""Search, feeds and metadata over HTTP, as browsers, readers and hostile hands ask for them."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from designs.okh import Made
from orchestrator.app import create_app, wire
from orchestrator.catalogue import feeds, service
from orchestrator.catalogue.search import index
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.cli import search as command
from orchestrator.dispatch.signing import Signer
from orchestrator.settings import Settings
from orchestrator.store import Store
from tests.orchestrator.catalogue.test_catalogue import OPEN, SQUARE, written
from tests.orchestrator.planning.conftest import Town
from tests.orchestrator.planning.test_planning import LASER

ATOM = {"a": feeds.ATOM}
EVIL = '</script><script>alert("x")</script>'


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    wire(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def client(store: Store, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    signer = Signer.open(tmp_path / "keys.json")
    app = create_app(Settings(data_dir=tmp_path), store, signer, lambda: True)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as opened:
        yield opened


async def publish(store: Store, folder: Path, title: str = "Plate", **more: str) -> str:
    text = SQUARE.replace('r="6"', f'r="{6 + len(title) / 10}"')
    answers = OPEN.model_copy(update={"title": title, **more})
    files = written(folder, "plate.svg", text)
    return (await service.publish(store, files, answers)).release.sha256


HOSTILE = [
    "q=%22", "q=%22hook", "q=hook*", "q=*", "q=NEAR(a+b)", "q=a+AND", "q=NOT+a", "q=title:hook",
    "q={title}:hook", "q=-hook", "q=%25", "q=_", "q=%00", "q=a%00b", "q='%3B+DROP+TABLE+release",
    "q=" + "x" * 5000, "q=" + "+".join(f"w{n}" for n in range(10_000)), "q=%F0%9F%92%A9",
    "q=%ED%A0%80", "q=\\'+|+!x:A", "q=<->", "q='x':*A", "process=%00", "process='+OR+1=1",
    "material=../../etc/passwd", "licence=" + "%28" * 250, "licence=MIT+OR+OR", "fits=1e400",
    "fits=0x10", "fits=" + "9" * 200, "mass_max=1e999", "made=" + "9" * 200, "since=9999-99-99",
    "since=2026-02-30", "near=999,999", "near=nan,nan", "within=-1", "limit=-1", "limit=1000000",
    "after=0.999999999999999999", "after=2.-1", "after=x", "after=" + "0" * 5000, "colour=red",
    "format=" + "%F0%9F%92%A9" * 50, "version=%27", "contributor=" + "%C3%9F" * 300,
    "forked_from=*", "forked_from=%27", "&".join(f"process=fdm&x{n}=1" for n in range(200)),
    "thickness=1e-300", "deprecated=2", "q=a&q=b", "&&==&",
]  # fmt: skip


@pytest.mark.parametrize("door", ["/api/designs", "/"])
async def test_whatever_is_asked_is_answered_or_refused_in_words(
    client: httpx.AsyncClient, store: Store, tmp_path: Path, door: str
) -> None:
    await publish(store, tmp_path)
    person = {"Accept": "text/html"} if door == "/" else {}
    for query in HOSTILE:
        answer = await client.get(f"{door}?{query}", headers=person)
        assert answer.status_code in {200, 422}, (query[:90], answer.text)
        assert len(answer.content) < 60_000, query[:90]
        if answer.status_code == 422 and door != "/":
            assert all(finding["do"] for finding in answer.json()["findings"]), query[:90]


async def test_the_answer_has_what_a_program_needs(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    sha = await publish(store, tmp_path)
    found = (await client.get("/api/designs", params={"q": "plat", "fits": "220"})).json()
    (card,) = found["designs"]
    assert (card["design"], card["sha256"], card["processes"]) == ("plate", sha, ["laser_cutting"])
    assert (card["may_be_sold"], card["deprecated"], card["made"]) == (True, False, 0)
    assert found["facets"] == {
        "process": {"laser_cutting": 1}, "material": {"plywood": 1},
        "licence": {"CERN-OHL-W-2.0": 1},
    }  # fmt: skip
    none = (await client.get("/api/designs", params={"q": "plat", "fits": "30"})).json()
    assert [(each["without"], each["count"]) for each in none["instead"]] == [("fits", 1), ("q", 0)]
    again = (await client.get(none["instead"][0]["address"])).json()
    assert again["total"] == 1
    assert (await client.post("/api/designs/index")).status_code == 401


async def test_the_page_works_without_a_script(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    for title in ("Plate", "Lid of plate", EVIL):
        await publish(store, tmp_path, title)
    html = (await client.get("/?q=plate&process=laser_cutting&sold=yes")).text
    shown = re.findall(r'class="card" href="/designs/([^"]+)"', html)
    assert shown[:2] == ["lid-of-plate", "plate"]
    assert len(shown) == 3
    without = 'href="/?process=laser_cutting&amp;sold=yes" aria-label="Remove the filter “plate”"'
    assert without in html
    assert '<option value="laser_cutting" selected>' in html
    assert '<input type="checkbox" name="sold" value="yes" checked>' in html
    assert '<details class="filters" open>' in html
    wrong = await client.get("/?fits=huge")
    assert wrong.status_code == 422
    assert 'value="huge"' in wrong.text
    assert "is no box" in wrong.text
    hidden = (await client.get("/?q=plate&process=cnc_milling")).text
    assert "without CNC milling" in hidden
    assert EVIL not in (await client.get("/")).text


async def test_a_card_leaves_room_for_a_grant_where_the_licence_does(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    await publish(store, tmp_path)
    await publish(store, tmp_path, "Not for sale", licence="CC-BY-NC-4.0")
    html = (await client.get("/")).text
    assert "CERN-OHL-W-2.0: labs may make it for payment, you may change it." in html
    assert "CC-BY-NC-4.0: for payment only where its licensor grants it, you may change it." in html
    assert "only where its licensor grants it is not among these" in html
    sold = (await client.get("/api/designs?sold=yes")).json()["designs"]
    assert [each["design"] for each in sold] == ["plate"]


async def test_makeable_near_follows_the_labs(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    await publish(store, tmp_path)
    near = {"near": "41.39,2.17"}
    assert (await client.get("/api/designs", params=near)).json()["total"] == 0
    agent = await Town(store).open_lab("Cutter", 30, LASER)
    assert (await client.get("/api/designs", params=near)).json()["total"] == 1
    close = near | {"within": "10"}
    assert (await client.get("/api/designs", params=close)).json()["total"] == 0
    await Town(store).says(agent, LASER.model_copy(update={"offered": False}))
    assert (await client.get("/api/designs", params=near)).json()["total"] == 0


async def test_a_make_counts_only_while_it_conforms(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    sha = await publish(store, tmp_path)

    async def three(_unit: object, releases: Sequence[str]) -> Made:
        assert list(releases) == [sha]
        return Made(total=3)

    async with store.unit() as unit:
        await index.recount(unit, [sha], three)
        await index.recount(unit, ["0" * 64], three)
    assert (await client.get("/api/designs", params={"made": "3"})).json()["total"] == 1
    assert (await client.get("/api/designs", params={"made": "4"})).json()["total"] == 0
    await publish(store, tmp_path, version="2.0.0", function="Other words.")
    assert (await client.get("/api/designs", params={"made": "3"})).json()["total"] == 1


async def test_private_makes_of_a_stranger_are_not_counted(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    sha = await publish(store, tmp_path)
    async with store.unit() as unit:
        row = await unit.session.get_one(ReleaseRow, sha)
        words = {c.name: getattr(row, c.name) for c in ReleaseRow.__table__.columns}
        private = {"sha256": "e" * 64, "version": "9.0.0", "private": True}
        unit.session.add(ReleaseRow(**(words | private)))

    async def all_of_them(_unit: object, releases: Sequence[str]) -> Made:
        return Made(total=len(releases))

    async with store.unit() as unit:
        await index.refresh(unit, row.design, all_of_them)
    for asked, found in (("1", 1), ("2", 0)):
        told = (await client.get("/api/designs", params={"made": asked})).json()
        assert told["total"] == found
    async with store.unit() as unit:
        await index.rebuild(unit, all_of_them)
    assert (await client.get("/api/designs", params={"made": "2"})).json()["total"] == 0


# ── feeds and metadata


async def test_the_feed_is_what_rfc_4287_wants(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    empty = ET.fromstring((await client.get("/feed.atom")).content)
    _valid(empty, "http://city.test/feed.atom")
    sha = await publish(store, tmp_path, "Plate & <b>lid</b>")
    await publish(store, tmp_path, "Mine", licence="LicenseRef-OwnWork")
    answer = await client.get("/feed.atom")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = ET.fromstring(answer.content)
    _valid(feed, "http://city.test/feed.atom")
    (entry,) = feed.findall("a:entry", ATOM)
    assert entry.findtext("a:id", "", ATOM) == feeds.content_name(sha)
    assert entry.findtext("a:title", "", ATOM) == "Plate & <b>lid</b> 1.0.0"
    links = {link.get("rel"): link.get("href", "") for link in entry.findall("a:link", ATOM)}
    for rel in ("alternate", "describedby"):
        path = links[rel].removeprefix("http://city.test")
        assert (await client.get(path)).status_code == 200
    again = await client.get("/feed.atom", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    own = await client.get("/designs/plate-b-lid-b/feed.atom")
    _valid(ET.fromstring(own.content), "http://city.test/designs/plate-b-lid-b/feed.atom")
    assert (await client.get("/designs/none/feed.atom")).status_code == 404


def _valid(feed: ET.Element, address: str) -> None:
    """RFC 4287, 4.1.1 and 4.1.2: what has to be there, how often, and in which form."""
    assert feed.tag == f"{{{feeds.ATOM}}}feed"
    _once(feed, "id", "title", "updated")
    assert feed.findtext("a:id", "", ATOM) == address
    assert [x.get("href") for x in feed.findall("a:link[@rel='self']", ATOM)] == [address]
    ids = [entry.findtext("a:id", "", ATOM) for entry in feed.findall("a:entry", ATOM)]
    assert len(ids) == len(set(ids))
    for entry in feed.findall("a:entry", ATOM):
        _once(entry, "id", "title", "updated", "published", "summary", "rights")
        assert entry.findtext("a:author/a:name", "", ATOM)
        assert len(entry.findall("a:link[@rel='alternate']", ATOM)) == 1
        assert all(each.get("term") for each in entry.findall("a:category", ATOM))
    for element in feed.iter():
        if element.tag.endswith(("}updated", "}published")):
            assert datetime.fromisoformat(element.text or "").tzinfo is not None
        if element.tag.endswith("}id"):
            assert re.match(r"^[a-z]+:", element.text or "")


def _once(within: ET.Element, *names: str) -> None:
    assert [len(within.findall(f"a:{name}", ATOM)) for name in names] == [1] * len(names)


async def test_a_page_names_its_release_for_machines_and_runs_no_words_of_it(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    sha = await publish(store, tmp_path, EVIL, function=f"Evil {EVIL}")
    design = (await client.get("/api/designs")).json()["designs"][0]["design"]
    page = (await client.get(f"/designs/{design}")).text
    assert EVIL not in page
    (block,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    said = json.loads(block)
    assert said["name"] == EVIL
    assert said["license"] == "https://spdx.org/licenses/CERN-OHL-W-2.0.html"
    assert said["author"] == [{"@type": "Thing", "name": "Ana Puig"}]
    assert {"@type": "PropertyValue", "propertyID": "sha256", "value": sha} in said["identifier"]
    for address in (said["url"], *said["image"], *(f["contentUrl"] for f in said["encoding"])):
        assert (await client.get(address.removeprefix("http://city.test"))).status_code == 200
    assert f'<link rel="canonical" href="{said["url"]}">' in page


async def test_a_version_has_one_address(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    first = await publish(store, tmp_path)
    await publish(store, tmp_path, version="2.0.0", function="Another one.")
    asked = await client.get("/designs/plate?version=1.0.0")
    assert (asked.status_code, asked.headers["location"]) == (301, "/designs/plate/versions/1.0.0")
    assert first in (await client.get("/designs/plate/versions/1.0.0")).text
    assert (await client.get("/designs/plate/versions/9.0.0")).status_code == 404


async def test_the_data_package_lists_every_file_where_it_is(
    client: httpx.AsyncClient, store: Store, tmp_path: Path
) -> None:
    sha = await publish(store, tmp_path)
    package = (await client.get(f"/releases/{sha}/datapackage.json")).json()
    assert package["$schema"] == feeds.PACKAGE
    assert package["licenses"] == [
        {"name": "CERN-OHL-W-2.0", "path": "https://spdx.org/licenses/CERN-OHL-W-2.0.html"}
    ]
    (resource,) = package["resources"]
    assert (resource["role"], resource["parts"]) == ("export", ["plate"])
    content = (await client.get(f"/releases/{sha}/{resource['path']}")).content
    assert len(content) == resource["bytes"]
    assert resource["hash"] == f"sha256:{resource['path'].removeprefix('files/')}"


def test_the_command_asks_what_it_is_told() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    line = "search coat hook --process fdm --process mill --fits 220 --sold --forked-from x --all"
    args = parser.parse_args(line.split())
    assert command.params(args) == [
        ("q", "coat hook"), ("process", "fdm"), ("process", "mill"), ("fits", "220"),
        ("forked_from", "x"), ("sold", "yes"),
    ]  # fmt: skip
    assert command.search(parser.parse_args(["search"])) == 2
