"""The doors of drafts and of slicers: over HTTP, on the whole application.

The requests of slicers are written here byte by byte as their sources make them:
PrusaSlicer and OrcaSlicer `src/slic3r/Utils/OctoPrint.cpp` (libcurl's forms), Cura's plugin
`OctoPrintOutputDevice.py` (Qt's forms).
"""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from orchestrator.catalogue import drafts as room
from orchestrator.catalogue import drafts_api
from orchestrator.catalogue.slicers import ASKED_TO_PRINT
from orchestrator.catalogue.tables import DraftRow
from orchestrator.cli import drafts as drafts_command
from orchestrator.dispatch.tables import AttemptRow
from orchestrator.orders.tables import JobRow
from orchestrator.web import bodies
from tests.orchestrator.catalogue.conftest import GCODE, SQUARE, City, block, served

ANSWERS = {"title": "Plate", "licence": "CERN-OHL-W-2.0", "licensor": "Ana Puig"}


async def begun(city: City) -> tuple[str, dict[str, str]]:
    answer = await city.client.post("/api/drafts")
    assert answer.status_code == 201
    told = answer.json()
    assert told["page"] == f"http://city.test/publish/{told['id']}?key={told['key']}"
    return told["id"], {"X-Api-Key": told["key"]}


async def test_from_a_new_draft_to_a_release_over_the_api(city: City):
    draft, key = await begun(city)
    door = f"/api/drafts/{draft}"
    put = await city.client.put(f"{door}/files/parts/plate.svg", content=SQUARE, headers=key)
    (file,) = put.json()["files"]
    assert (file["name"], file["looked_at"]) == ("parts/plate.svg", True)
    picture = await city.client.get(f"{door}/pictures/{file['thumbnail']}", headers=key)
    assert picture.content.startswith(b"\x89PNG")
    await city.client.put(f"{door}/files/junk.txt", content="x", headers=key)
    gone = await city.client.delete(f"{door}/files/junk.txt", headers=key)
    assert [f["name"] for f in gone.json()["files"]] == ["parts/plate.svg"]
    early = await city.client.post(f"{door}/publish", json={}, headers=key)
    assert (early.status_code, early.json()["findings"][0]["where"]) == (422, "licence")
    answered = await city.client.patch(f"{door}/answers", json=ANSWERS, headers=key)
    assert answered.json()["ready"]
    nothing = await city.client.post(f"{door}/publish", headers=key)
    assert "it is empty. Send one JSON object" in nothing.json()["detail"]
    published = await city.client.post(f"{door}/publish", json={}, headers=key)
    assert published.status_code == 201
    sha256 = published.json()["sha256"]
    assert "Plywood and 3 mm are taken" in published.json()["findings"][0]["what"]
    assert (await city.client.get("/api/designs/plate")).json()["sha256"] == sha256
    again = await city.client.post(f"{door}/publish", json={}, headers=key)
    assert (again.status_code, again.json()["sha256"]) == (201, sha256)
    late = await city.client.put(f"{door}/files/b.svg", content=SQUARE, headers=key)
    assert (late.status_code, late.json()["title"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("DELETE", ""), ("PATCH", "/answers"), ("PUT", "/files/a.svg"),
        ("DELETE", "/files/a.svg"), ("GET", "/pictures/" + "a" * 64), ("POST", "/publish"),
    ],
)  # fmt: skip
async def test_without_its_key_there_is_no_draft(city: City, method: str, path: str):
    draft, key = await begun(city)
    body = {"json": {}} if method in {"PATCH", "POST"} else {}
    for headers in ({}, {"X-Api-Key": "guessed"}, {"Cookie": f"cosmolocal_key_{draft}={key}"}):
        answer = await city.client.request(
            method, f"/api/drafts/{draft}{path}", headers=headers, **body
        )
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await city.client.get(f"/api/drafts/{draft}", headers=city.operator)).status_code == 200


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"title": "x" * 201}, "title"), ({"quantity": 0}, "quantity"), ({"quantity": 2001}, "qua"),
        ({"thickness_mm": -1}, "thickness_mm"), ({"colour": "red"}, "colour"),
        ({"title": 5}, "title"), ({"thickness_mm": 1e999}, ""),
    ],
)  # fmt: skip
async def test_a_wrong_answer_changes_nothing_and_names_the_field(
    city: City, said: dict[str, object], where: str
):
    draft, key = await begun(city)
    if said == {"thickness_mm": 1e999}:
        sent = {"content": '{"thickness_mm": 1e999}'}
    else:
        sent = {"json": said}
    answer = await city.client.patch(f"/api/drafts/{draft}/answers", headers=key, **sent)
    assert answer.status_code == 422
    assert where in answer.text
    kept = (await city.client.get(f"/api/drafts/{draft}", headers=key)).json()["answers"]
    assert kept["title"] is None


async def test_a_file_that_is_too_large_leaves_nothing(
    city: City, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    draft, key = await begun(city)
    monkeypatch.setattr(drafts_api, "MOST_BYTES", 1000)
    answer = await city.client.put(
        f"/api/drafts/{draft}/files/a.stl", content=b"x" * 1001, headers=key
    )
    assert (answer.status_code, "larger than" in answer.text) == (422, True)
    announced = {**key, "Content-Length": str(bodies.MOST_BYTES + 1)}
    answer = await city.client.put(f"/api/drafts/{draft}/files/a.stl", headers=announced)
    assert answer.status_code == 413
    kept = tmp_path / "drafts"
    assert not kept.exists() or [p for p in kept.rglob("*") if p.is_file()] == []


async def test_a_body_without_end_is_cut_off_before_it_fills_the_disk():
    sent = 0

    async def for_ever() -> dict[str, object]:
        nonlocal sent
        sent += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def reads_all(_scope: object, receive, _send: object) -> None:
        while True:
            await receive()

    bounded = bodies.Bounded(reads_all, most=10_000)
    with pytest.raises(Exception, match="413"):
        await bounded({"type": "http", "headers": []}, for_ever, None)
    assert sent <= 11_000


async def test_words_are_kept_shorter_than_files(city: City):
    draft, key = await begun(city)
    door, large = f"/api/drafts/{draft}", b" " * (3 << 20)
    file = await city.client.put(f"{door}/files/notes.txt", content=large, headers=key)
    assert file.status_code == 200
    headers = {**key, "Content-Type": "application/json"}
    words = await city.client.patch(f"{door}/answers", content=large, headers=headers)
    assert words.status_code == 413


async def test_a_sender_or_key_with_many_drafts_is_told_so_and_others_go_on(
    city: City, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "MOST_OF_ONE_KEY", 2)
    monkeypatch.setattr(room, "MOST_OF_ONE_SENDER", 3)
    _, key = await begun(city)
    assert (await city.client.post("/api/drafts", headers=key)).status_code == 201
    full = await city.client.post("/api/drafts", headers=key)
    assert full.status_code == 429
    assert "2 drafts of this key are open: publish or remove one" in full.json()["detail"]
    one, *_ = [await city.drafts.begin(sender="192.0.2.7") for _ in range(3)]
    with pytest.raises(room.YourDraftsFull, match="3 drafts that were begun from where you are"):
        await city.drafts.begin(sender="192.0.2.7")
    await city.drafts.begin(sender="192.0.2.8")
    await city.drafts.drop(one.id, "thrown away")
    await city.drafts.sweep()
    await city.drafts.begin(sender="192.0.2.7")


async def test_where_the_operator_begins_drafts_a_visitor_cannot(tmp_path: Path):
    async for city in served(tmp_path, drafts="operator"):
        assert (await city.client.post("/api/drafts")).status_code == 401
        assert (await city.client.post("/api/drafts", headers=city.operator)).status_code == 201
        page = await city.client.get("/publish")
        assert "operator" in page.text
        assert "<form" not in page.text
        assert (await city.client.post("/publish")).status_code == 401


async def test_a_pre_release_over_the_api_names_the_labs_it_is_for(city: City):
    lab = {"name": "Near", "lat": 41.4, "lon": 2.1}
    await city.client.post("/api/labs", json=lab, headers=city.operator)
    draft, key = await begun(city)
    door = f"/api/drafts/{draft}"
    await city.client.put(f"{door}/files/plate.svg", content=SQUARE, headers=key)
    await city.client.patch(f"{door}/answers", json=ANSWERS, headers=key)
    wrong = await city.client.post(f"{door}/publish", json={"labs": ["Nowhere"]}, headers=key)
    assert (wrong.status_code, "Nowhere" in wrong.text) == (422, True)
    told = (await city.client.post(f"{door}/publish", json={"labs": ["Near"]}, headers=key)).json()
    assert told["standing"]["state"] == "pre_release"
    more = await city.client.post(f"{door}/publish", json={"labs": ["Near"]}, headers=key)
    assert (more.status_code, "cosmolocal release labs" in more.json()["detail"]) == (409, True)
    assert told["lab_names"] == {"lab-near": "Near"}
    link = told["lab_pages"]["lab-near"].removeprefix("http://city.test")
    anew = f"/api/releases/{told['sha256']}/labs"
    named = await city.client.post(anew, json={"labs": ["Near"]}, headers=key)
    assert named.json()["names"] == {"lab-near": "Near"}
    link = named.json()["labs"]["lab-near"].removeprefix("http://city.test")
    assert (await city.client.get(link)).status_code == 303
    state = f"/api/releases/{told['sha256']}/state"
    opened = await city.client.post(state, json={"to": "released"}, headers=key)
    assert opened.json()["sha256"] == told["sha256"]
    assert (await city.client.get("/api/designs/plate")).status_code == 200


async def test_a_finding_under_its_file_does_not_name_it_again(city: City):
    draft, key = await begun(city)
    torn = SQUARE.replace("H40V40H0Z", "H40V40H0")
    sent = await city.client.put(f"/api/drafts/{draft}/files/a.svg", content=torn, headers=key)
    (file,) = sent.json()["files"]
    (found,) = file["findings"]
    place = found["where"].removeprefix("a.svg, ")
    assert place != found["where"]
    page = (await city.client.get(f"/publish/{draft}", headers=key)).text
    card = page.partition("<h3>a.svg</h3>")[2].partition("</form>")[0]
    assert f"</strong> {place}: {found['what']}." in card
    assert f"    refusal: {place}: {found['what']}." in drafts_command.told(sent.json())


async def test_whoever_brings_no_key_is_told_how_and_nothing_of_what_there_is(city: City):
    draft, _ = await begun(city)
    there, nowhere = [
        await city.client.get(f"/api/drafts/{name}") for name in (draft, "d-000000000000")
    ]
    assert (there.status_code, there.content) == (404, nowhere.content)
    assert "header X-Api-Key" in there.json()["detail"]


# ── slicers


def curl_form(fields: list[tuple[str, str]], name: str, content: str) -> tuple[bytes, str]:
    """As libcurl writes a multipart form: fields without a type, the file as octets."""
    edge = "------------------------d74496d66958873e"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields
    ]
    parts.append(
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n{content}\r\n--{edge}--\r\n"
    )
    return "".join(parts).encode(), f"multipart/form-data; boundary={edge}"


def qt_form(fields: list[tuple[str, str]], name: str, content: str) -> tuple[bytes, str]:
    """As Qt writes Cura's: `path` and the file first, each with its type, the boundary quoted."""
    edge = "boundary_.oOo._MjQ3OTI3OTc1NzE0NDM="
    before = [(field, value) for field, value in fields if field == "path"]
    after = [(field, value) for field, value in fields if field != "path"]

    def plain(pairs: list[tuple[str, str]]) -> str:
        return "".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{field}"\r\n'
            f"Content-Type: text/plain\r\n\r\n{value}\r\n"
            for field, value in pairs
        )

    file = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n{content}\r\n"
    )
    body = f"{plain(before)}{file}{plain(after)}--{edge}--\r\n"
    return body.encode(), f'multipart/form-data; boundary="{edge}"'


SENT = {
    "PrusaSlicer 2.5 to 2.9": (curl_form, [("print", "false"), ("path", "")], "Box_0.2mm.gcode"),
    "PrusaSlicer, and print, into a folder": (
        curl_form, [("print", "true"), ("path", "shelf/left")], "Träger 2.gcode",
    ),
    "PrusaSlicer, binary": (curl_form, [("print", "false"), ("path", "")], "Box.bgcode"),
    "OrcaSlicer": (
        curl_form, [("print", "false"), ("path", ""), ("plateindex", "1")], "Box.gcode.3mf",
    ),
    "Cura, and print": (
        qt_form, [("path", ""), ("select", "true"), ("print", "true")], "CE3_box.gcode",
    ),
    "Cura, queued": (qt_form, [("path", "mine")], "CE3_box.gcode"),
}  # fmt: skip


@pytest.mark.parametrize("slicer", SENT)
async def test_a_slicer_sends_a_program_into_the_draft_and_starts_nothing(city: City, slicer: str):
    draft, key = await begun(city)
    if "Cura" not in slicer:
        tested = await city.client.get("/api/version", headers=key)
        assert tested.json()["api"] == "0.1"
        assert tested.json()["text"].startswith("OctoPrint")
    form, fields, name = SENT[slicer]
    body, kind = form(fields, name, GCODE)
    headers = {**key, "Content-Type": kind}
    answer = await city.client.post("/api/files/local", content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    within = dict(fields).get("path", "")
    path = f"{within}/{name}" if within else name
    assert told["done"] is True
    assert (told["effectivePrint"], told["effectiveSelect"]) == (False, False)
    assert told["files"]["local"]["path"] == path
    assert told["files"]["local"]["name"] == name
    assert answer.headers["location"].endswith(draft)
    (file,) = (await city.client.get(f"/api/drafts/{draft}", headers=key)).json()["files"]
    assert (file["name"], file["role"], file["facts"]) == (path, "program", None)
    asked = dict(fields).get("print") == "true"
    assert file["note"] == (ASKED_TO_PRINT if asked else "")
    kept = city.store.blobs.apart("drafts", draft).read(file["sha256"])
    assert kept.decode() == GCODE
    async with city.store.view() as unit:
        assert (await unit.session.scalars(select(JobRow))).all() == []
        assert (await unit.session.scalars(select(AttemptRow))).all() == []


async def test_a_solid_from_a_slicer_is_a_part_of_the_draft(city: City):
    draft, key = await begun(city)
    body, kind = curl_form([("print", "false"), ("path", "")], "block.stl", block())
    headers = {**key, "Content-Type": kind}
    assert (
        await city.client.post("/api/files/local", content=body, headers=headers)
    ).status_code == 201
    (file,) = (await city.client.get(f"/api/drafts/{draft}", headers=key)).json()["files"]
    assert (file["role"], file["looked_at"]) == ("export", True)
    assert file["facts"]["size_mm"] == [20, 12, 8]


async def test_a_slicer_keeps_its_key_from_one_release_to_the_next(city: City):
    draft, key = await begun(city)
    await city.client.put(f"/api/drafts/{draft}/files/plate.svg", content=SQUARE, headers=key)
    await city.client.patch(f"/api/drafts/{draft}/answers", json=ANSWERS, headers=key)
    assert (
        await city.client.post(f"/api/drafts/{draft}/publish", json={}, headers=key)
    ).status_code == 201
    for _ in range(2):  # testing the connection begins nothing
        assert (await city.client.get("/api/version", headers=key)).status_code == 200
    async with city.store.view() as unit:
        assert len((await unit.session.scalars(select(DraftRow))).all()) == 1
    body, kind = curl_form([("print", "false"), ("path", "")], "a.gcode", GCODE)
    headers = {**key, "Content-Type": kind}
    sent = await city.client.post("/api/files/local", content=body, headers=headers)
    assert draft not in sent.headers["location"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, None, 403),
        ({"X-Api-Key": "guessed"}, None, 403),
        ({"X-Api-Key": "KEY"}, {"data": {"print": "true"}}, 400),
        ({"X-Api-Key": "KEY"}, {"files": {"file": ("../../etc/x.gcode", b"x")}}, 422),
        ({"X-Api-Key": "KEY"}, {"files": {"file": ("a\\..\\b.gcode", b"x")}}, 422),
        (
            {"X-Api-Key": "KEY"},
            {"files": {"file": ("x.gcode", b"x")}, "data": {"path": "../../etc"}},
            422,
        ),
        ({"X-Api-Key": "KEY"}, {"files": [("file", ("a", b"x")), ("file", ("b", b"x"))]}, 400),
        ({"X-Api-Key": "KEY"}, {"data": {f"f{n}": "x" for n in range(50)}}, 400),
        ({"X-Api-Key": "KEY"}, {"content": b"no form at all"}, 400),
    ],
)
async def test_what_no_slicer_sends_is_refused(
    city: City, headers: dict[str, str], body: dict[str, object] | None, status: int
):
    draft, key = await begun(city)
    sent = {name: key["X-Api-Key"] if it == "KEY" else it for name, it in headers.items()}
    if body is None:
        version = await city.client.get("/api/version", headers=sent)
        assert version.status_code == status
        body = {"files": {"file": ("x.gcode", b"x")}}
    answer: httpx.Response = await city.client.post("/api/files/local", headers=sent, **body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    view = (await city.client.get(f"/api/drafts/{draft}", headers=key)).json()
    assert view["files"] == []
