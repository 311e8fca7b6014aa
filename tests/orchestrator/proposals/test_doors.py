"""Forks and proposals through their doors: pages without scripts, the API, and hostile visitors."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from designs import okh
from orchestrator.app import create_app
from orchestrator.catalogue import service as releases
from orchestrator.catalogue.model import Answers
from orchestrator.catalogue.service import Published
from orchestrator.dispatch.signing import Signer
from orchestrator.proposals import api
from orchestrator.settings import Settings
from orchestrator.store import Store
from tests.orchestrator.proposals.test_proposals import OTHER, SQUARE, WIDER
from tests.orchestrator.test_pages import Page

EVIL = '<script>alert(1)</script> & "Bo" {{ 7*7 }}'


@dataclass
class Site:
    app: FastAPI
    store: Store
    client: httpx.AsyncClient
    token: str
    folder: Path
    key: str = ""

    async def publish(self, name: str = "plate.svg", **answers: str) -> Published:
        said = {"title": "Plate", "licence": "CC-BY-4.0", "licensor": "Ana Puig"} | answers
        file = self.folder / "sent"
        file.write_text(SQUARE)
        made = await releases.publish(self.store, {name: file}, Answers(**said))
        self.key = made.key or self.key
        return made

    async def page(self, path: str, status: int = 200) -> Page:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return Page(answer)

    async def submit(
        self, at: Page, action: str, status: int = 303, **typed: str
    ) -> httpx.Response:
        answer = await self.client.post(action, data=at.fields(action) | typed)
        assert answer.status_code == status, answer.text
        return answer

    async def propose(self, files: dict[str, str], status: int = 201, **typed: str) -> Page:
        action = "/designs/plate/proposals"
        form = (await self.page(action)).fields(action)
        form = {name: value for name, value in form.items() if name in {"form_token", "base"}}
        said = form | {"author": "Cy", "message": "A wider hole"} | typed
        sent = [("files", (name, text.encode())) for name, text in files.items()]
        answer = await self.client.post(action, data=said, files=sent)
        assert answer.status_code == status, answer.text
        return Page(answer)

    async def api(self, method: str, path: str, status: int, **said: object) -> httpx.Response:
        headers = {"Accept": "application/json"}
        answer = await self.client.request(method, path, headers=headers, **said)
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    signer = Signer.open(tmp_path / "keys.json")
    app = create_app(Settings(data_dir=tmp_path), store, signer, lambda: True)
    token = (tmp_path / "token").read_text().strip()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pages.test", headers={"Accept": "text/html"}
    ) as client:
        yield Site(app, store, client, token, tmp_path)
    await store.close()


# ── forks


async def test_one_button_forks_and_the_page_shows_the_line(site: Site) -> None:
    base = (await site.publish()).release.sha256
    design = await site.page("/designs/plate")
    assert "Ana Puig made Plate 100.0 %" in design.words
    action = f"/releases/{base}/fork"
    await site.submit(design, action, 422, who="Bo", title="a\x07b")
    answer = Page(await site.submit(design, action, 201, who="Bo Lund"))
    assert "maintainer-" in answer.words
    assert "forked from Plate 1.0.0 by Ana Puig" in answer.words
    fork = await site.page("/designs/plate-fork")
    assert "Forked from, the nearest first: Plate 1.0.0, by Ana Puig, CC-BY-4.0" in fork.words
    assert "Forks of it: Plate fork 1.0.0, by Bo Lund" in (await site.page("/designs/plate")).words
    line = (await site.api("GET", "/api/designs/plate-fork/lineage", 200)).json()
    assert [each["release"] for each in line["ancestors"]] == [base]
    assert line["shares"] == [
        {"name": "Ana Puig", "did": "made Plate", "share": 100, "percent": 100.0}
    ]
    below = (await site.api("GET", "/api/designs/plate/lineage", 200)).json()
    assert [each["design"] for each in below["forks"]] == ["plate-fork"]


async def test_a_fork_by_the_api_tells_the_key_once(site: Site) -> None:
    base = (await site.publish()).release.sha256
    path, wish = f"/api/releases/{base}/fork", {"who": "Bo", "name": "mine"}
    made = (await site.api("POST", path, 201, json=wish)).json()
    assert made["maintainer_key"].startswith("maintainer-")
    assert made["release"]["design"] == "mine"
    again = (await site.api("POST", path, 201, json=wish)).json()
    assert (again["sha256"], again["maintainer_key"]) == (made["sha256"], None)
    refused = await site.api("POST", path, 422, json=wish | {"licence": "LicenseRef-OwnWork"})
    assert "not your own work alone" in refused.json()["detail"]
    await site.api("POST", f"/api/releases/{'0' * 64}/fork", 404, json=wish)
    await site.api("POST", path, 422, json=wish | {"who": "a\nb"})


async def test_where_only_the_operator_publishes_nobody_else_forks(site: Site) -> None:
    base = (await site.publish()).release.sha256
    desk = site.app.state.desk
    site.app.state.desk = replace(desk, anyone=False)
    path, wish = f"/api/releases/{base}/fork", {"who": "Bo"}
    await site.api("POST", path, 401, json=wish)
    await site.submit(await site.page("/designs/plate"), path.removeprefix("/api"), 401, who="Bo")
    site.client.headers["Authorization"] = f"Bearer {site.token}"
    await site.api("POST", path, 201, json=wish)


async def test_what_may_not_be_forked_says_so_and_has_no_button(site: Site) -> None:
    base = (await site.publish(licence="CC-BY-ND-4.0")).release.sha256
    design = await site.page("/designs/plate")
    assert "It cannot be forked: CC-BY-ND-4.0: it lets nobody hand on a changed version" in (
        design.words
    )
    action = f"/releases/{base}/fork"
    assert action not in design.answer.text
    token = (await site.page("/designs/plate/proposals")).fields("/designs/plate/proposals")
    sent = {"form_token": token["form_token"], "who": "Bo"}
    answer = await site.client.post(action, data=sent)
    assert answer.status_code == 422


# ── proposals


FOR_K40 = """\
okhv = "2.4"
name = "Plate"
version = "1.0.0"
license = "CC-BY-4.0"
licensor = "Ana Puig"
function = "Covers a hole."

[[part]]
name = "plate"
export = "plate.svg"
tsdc = "LAS"

[cosmolocal.part.plate]
material = "plywood"
thickness_mm = 3
alternative = [{ file = "plate-k40.svg", machine_class = "k40" }]
"""


async def test_what_one_class_of_machine_is_sent_is_pictured_before_and_after(site: Site) -> None:
    await site.publish()
    await site.propose({"okh.toml": FOR_K40, "plate-k40.svg": WIDER})
    [listed] = (await site.api("GET", "/api/designs/plate/proposals", 200)).json()
    page = await site.page(there := f"/proposals/{listed['id']}")
    of_class = f"{there}/pictures/plate@1"
    shots = [shot["src"] for shot in page.all("img") if (shot["src"] or "").startswith(of_class)]
    assert shots == [f"{of_class}/{view}" for view in ("before", "after", "both")]
    pictures = [(await site.client.get(shot or "")).content for shot in shots]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert len(set(pictures)) == 3
    assert [(await site.client.get(shot or "")).content for shot in shots] == pictures
    await site.api("GET", f"{of_class}/beside", 422)
    await site.api("GET", f"{there}/pictures/plate@2/after", 404)


async def test_a_proposal_is_made_looked_at_and_accepted_without_any_script(site: Site) -> None:
    await site.publish()
    made = await site.propose({"plate.svg": WIDER})
    assert "proposal-" in made.words
    [listed] = (await site.api("GET", "/api/designs/plate/proposals", 200)).json()
    there = f"/proposals/{listed['id']}"
    shown = await site.page(there)
    assert "proposal-" not in shown.words
    assert "area cm²" in shown.words
    shots = [image for image in shown.all("img") if (image["src"] or "").startswith(f"{there}/p")]
    before, after, both = (shot["alt"] or "" for shot in shots)
    assert (before, after) == ("plate before", "plate after")
    assert both.startswith("plate, both versions one over the other: what goes is orange and")
    pictures = [(await site.client.get(shot["src"] or "")).content for shot in shots]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert len(set(pictures)) == 3
    assert "1 proposal open" in (await site.page("/designs/plate")).words
    wrong = await site.submit(shown, f"{there}/accept", 403, share="10", key="maintainer-x")
    assert "maintainer&#39;s key of plate" in wrong.text
    for odd in ({"version": "one two"}, {"did": "a\x07"}, {"share": "-1"}, {"reason": "\x00"}):
        await site.submit(shown, f"{there}/accept", 422, **({"share": "1", "key": site.key} | odd))
    await site.submit(shown, f"{there}/accept", share="25", key=site.key)
    done = await site.page(there)
    assert "accepted by Cy" in done.words
    assert "It became version 1.1.0" in done.words
    newest = await site.page("/designs/plate")
    assert "Ana Puig made Plate 80.0 %" in newest.words
    assert "20.0 %" in newest.words
    [listed] = (await site.api("GET", "/api/designs/plate/proposals", 200)).json()
    assert (listed["state"], listed["key"]) == ("accepted", None)


async def test_a_proposal_is_declined_with_a_reason_that_its_author_reads(site: Site) -> None:
    await site.publish()
    site.client.headers["Authorization"] = "Bearer nothing"  # anybody may propose
    sent = {"files": ("plate.svg", OTHER.encode())}
    said = {"author": "Cy", "message": "No hole"}
    made = (
        await site.api("POST", "/api/designs/plate/proposals", 201, data=said, files=sent)
    ).json()
    path = f"/api/proposals/{made['id']}"
    await site.api("POST", f"{path}/decline", 422, json={"key": site.key, "reason": " "})
    await site.api("POST", f"{path}/decline", 403, json={"key": made["key"], "reason": "no"})
    done = await site.api("POST", f"{path}/decline", 200, json={"key": site.key, "reason": EVIL})
    assert done.json()["state"] == "declined"
    await site.api("POST", f"{path}/accept", 409, json={"key": site.key, "share": 1})
    await site.api("POST", f"{path}/withdraw", 409, json={"key": made["key"]})
    page = await site.page(f"/proposals/{made['id']}")
    assert EVIL in page.words
    assert "<script>alert" not in page.answer.text


async def test_whatever_somebody_writes_stays_text(site: Site) -> None:
    await site.publish()
    made = await site.propose({"<img src=x>.md": EVIL, "notes.md": EVIL}, author=EVIL, message=EVIL)
    listing = await site.page("/designs/plate/proposals")
    for page in (made, listing):
        assert "<script>alert" not in page.answer.text
        assert "<img src=x" not in page.answer.text
        assert EVIL in page.words
    file = next(link["href"] for link in made.all("a") if "/files/" in (link["href"] or ""))
    saved = await site.client.get(file or "")
    assert saved.headers["content-disposition"].startswith("attachment")
    assert saved.headers["content-type"] == "application/octet-stream"


async def test_a_file_in_a_folder_is_meant_by_its_own_name(site: Site) -> None:
    await site.publish("parts/plate.svg")
    made = await site.propose({"plate.svg": WIDER})
    assert "parts/plate.svg" in made.words
    assert "changed" in made.words


async def test_hostile_uploads_are_refused_in_words(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.publish()
    path, said = "/api/designs/plate/proposals", {"author": "Cy", "message": "m"}
    twice = [("files", ("plate.svg", WIDER.encode())), ("files", ("plate.svg", OTHER.encode()))]
    up = [("files", ("../../plate.svg", WIDER.encode()))]
    many = [("files", (f"{n}.md", b"x")) for n in range(api.MOST_FILES + 1)]
    for files, words in ((twice, "sent twice"), (up, "no name for a file"), (many, "at once")):
        answer = await site.api("POST", path, 422, data=said, files=files)
        assert words in answer.json()["detail"]
    monkeypatch.setattr(api, "MOST_BYTES", 1000)
    big = [("files", ("a.md", b"x" * 600)), ("files", ("b.md", b"x" * 600))]
    await site.api("POST", path, 422, data=said, files=big)
    for wrong in (
        {"author": "a\x07b"},
        {"message": "x" * 4001},
        {"message": "a\x00b"},
        {"author": ""},
        {"base": "x"},
    ):
        await site.api("POST", path, 422, data=said | wrong, files=big[:1])
    assert (await site.api("GET", path, 200)).json() == []
    await site.api("GET", "/api/designs/nobody/proposals", 404)
    await site.api("POST", "/api/designs/nobody/proposals", 404, data=said, files=big[:1])
    for strange in ("/api/proposals/pr-x", f"/api/proposals/{'x' * 3000}", "/api/proposals/a%00b"):
        await site.api("GET", strange, 404)


async def test_private_work_shows_no_proposals_and_no_line(site: Site) -> None:
    made = await site.publish(licence="LicenseRef-OwnWork")
    assert made.key is None
    page = await site.page(f"/releases/{made.release.sha256}")
    assert "Propose a change" not in page.words
    await site.page("/designs/plate/proposals", 404)
    await site.api("GET", "/api/designs/plate/lineage", 404)
    action = f"/releases/{made.release.sha256}/fork"
    answer = Page(await site.submit(page, action, 201, who="Ana Puig", title="Mine"))
    assert "It is private" in answer.words


async def test_a_form_from_elsewhere_changes_nothing(site: Site) -> None:
    made = await site.publish()
    await site.propose({"plate.svg": WIDER})
    [listed] = (await site.api("GET", "/api/designs/plate/proposals", 200)).json()
    there = f"/proposals/{listed['id']}"
    said = {"form_token": "x", "key": site.key, "share": "1", "reason": "r", "who": "Eve"}
    for action in (f"{there}/accept", f"{there}/decline", f"{there}/withdraw"):
        assert (await site.client.post(action, data=said)).status_code == 403
    fork = f"/releases/{made.release.sha256}/fork"
    assert (await site.client.post(fork, data=said)).status_code == 403


async def test_files_of_what_was_taken_back_are_not_handed_on(site: Site) -> None:
    await site.publish()
    said = {"author": "Cy", "message": "A wider hole"}
    sent = [("files", ("plate.svg", WIDER.encode()))]
    path = "/api/designs/plate/proposals"
    made = (await site.api("POST", path, 201, data=said, files=sent)).json()
    file = f"/proposals/{made['id']}/files/{made['changes'][0]['after']}"
    drawn = f"/proposals/{made['id']}/pictures/plate/both"
    handed_on = (file, drawn)
    for each in handed_on:
        await site.api("GET", each, 200)
    await site.api("POST", f"/api/proposals/{made['id']}/withdraw", 200, json={"key": made["key"]})
    page = (await site.page(f"/proposals/{made['id']}")).answer.text
    for each in handed_on:
        await site.api("GET", each, 404)
        assert each not in page


async def test_where_only_the_operator_publishes_nobody_else_proposes(site: Site) -> None:
    await site.publish()
    site.app.state.desk = replace(site.app.state.desk, anyone=False)
    said = {"author": "Cy", "message": "A wider hole"}
    sent = [("files", ("plate.svg", WIDER.encode()))]
    path = "/api/designs/plate/proposals"
    await site.api("POST", path, 401, data=said, files=sent)
    await site.propose({"plate.svg": WIDER}, 401)
    site.client.headers["Authorization"] = f"Bearer {site.token}"
    await site.api("POST", path, 201, data=said, files=sent)


async def test_a_page_links_no_repository_that_is_a_script(site: Site) -> None:
    manifest = okh.Manifest(
        title="Plate", function="holds", version="1.0.0", licence="MIT", licensor="Eve",
        repo="javascript:alert(1)",
    )  # fmt: skip
    files = {"okh.toml": site.folder / "okh", "plate.svg": site.folder / "svg"}
    files["okh.toml"].write_text(okh.write(manifest))
    files["plate.svg"].write_text(SQUARE)
    made = await releases.publish(site.store, files, Answers())
    assert made.release.repo == "javascript:alert(1)"
    assert 'href="javascript' not in (await site.page("/designs/plate")).answer.text


async def test_licences_decide_what_may_be_proposed(site: Site) -> None:
    await site.publish(licence="CC-BY-ND-4.0")
    doors, said = "/api/designs/plate/proposals", {"author": "Cy", "message": "Wider"}
    wider, words = ("files", ("plate.svg", WIDER.encode())), ("files", ("how.md", b"Cut it."))
    no = await site.api("POST", doors, 422, data=said, files=[wider])
    assert "exactly as it is" in no.json()["detail"]
    assert "ask Ana Puig for another licence" in no.json()["detail"]
    assert (await site.api("POST", doors, 201, data=said, files=[words])).json()["key"]
    no = await site.api("POST", doors, 422, data=said | {"licence": "MIT"}, files=[words])
    assert "files under MIT cannot become part of a design under CC-BY-ND-4.0" in no.text

    await site.publish(title="Lid", licence="CC-BY-4.0")
    made = await site.api(
        "POST", "/api/designs/lid/proposals", 201, data=said | {"licence": "mit"}, files=[words]
    )
    assert made.json()["seen"]["given"] == "MIT"
    accept = {"key": site.key, "share": 10}
    path = f"/api/proposals/{made.json()['id']}/accept"
    done = (await site.api("POST", path, 200, json=accept)).json()
    release = (await site.api("GET", f"/api/releases/{done['release']}", 200)).json()["release"]
    assert release["contributors"][1]["did"].endswith(", given under MIT")
