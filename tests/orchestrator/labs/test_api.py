"""The doors of labs and agents, through the whole application with its guards."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.app import create_app, secret
from orchestrator.dispatch.access import Passwords
from orchestrator.dispatch.signing import Signer
from orchestrator.settings import Settings
from orchestrator.store import Store

NORD = {"name": "Atelier Nord", "lat": 41.39, "lon": 2.17}


class Door:
    """A client with the operator's token, and what stands behind the door."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, store: Store) -> None:
        self.client = client
        self.settings = settings
        self.store = store
        self.token = {"Authorization": f"Bearer {secret(settings.token_file)}"}

    async def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **{"headers": self.token, **more})

    async def enrolled(self) -> dict[str, Any]:
        code = (await self.post("/api/labs", NORD)).json()["code"]
        wish = {"code": code, "version": "0.1.0"}
        return (await self.post("/agent/v1/enrol", wish, headers={})).json()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    settings = Settings(data_dir=tmp_path, mqtt_port=18830, mqtt_public_host="broker.example")
    store = await Store.open(settings.database_url, settings.blobs)
    app = create_app(settings, store, Signer.open(settings.keys_file), lambda: True)
    # As a server would: an error becomes an answer.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        yield Door(client, settings, store)
    await store.close()


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic eDp5", "Bearer "])
async def test_nothing_changes_without_the_operators_token(door: Door, token: str | None):
    headers = {"Authorization": token} if token else {}
    for path in ("/api/labs", "/api/quotes", "/api/orders", "/api/designs", "/api/none"):
        answer = await door.client.post(path, json=NORD, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await door.client.get("/api/labs")).json() == []


async def test_a_lab_comes_in_by_a_code_that_works_once(door: Door):
    code = (await door.post("/api/labs", NORD)).json()["code"]
    wish = {"code": code, "lab": "any", "version": "0.1.0"}
    told = (await door.post("/agent/v1/enrol", wish, headers={})).json()
    assert told["agent"] == "lab-atelier-nord"
    assert told["mqtt"] == {"host": "broker.example", "port": 18830}
    assert told["url"] == "http://city"
    assert [key["crv"] for key in told["keys"]] == ["Ed25519", "Ed25519"]
    assert Passwords(door.settings.passwords_file).fits(told["agent"], told["secret"])
    again = await door.post("/agent/v1/enrol", wish, headers={})
    assert again.status_code == 403
    assert "used already" in again.json()["detail"]
    labs = (await door.client.get("/api/labs")).json()
    assert [(lab["agent"], lab["session"]) for lab in labs] == [(told["agent"], "enrolled")]


async def test_an_agent_gets_keys_and_only_offered_files(door: Door):
    told = await door.enrolled()
    kept = door.store.blobs.put(b"solid")
    mine = httpx.BasicAuth(told["agent"], told["secret"])
    keys = await door.client.get("/agent/v1/keys", auth=mine)
    assert keys.json()["keys"] == told["keys"]
    assert len(keys.json()["signed"]) == 2
    for sha256 in (kept, "0" * 64, "nonsense", "..%2f..%2ftoken"):
        assert (await door.client.get(f"/files/{sha256}", auth=mine)).status_code == 404
    for wrong in (httpx.BasicAuth(told["agent"], "wrong"), httpx.BasicAuth("lab-x", "y"), None):
        answer = await door.client.get(f"/files/{kept}", auth=wrong)
        assert answer.status_code == 401


async def test_a_new_code_replaces_the_labs_agent(door: Door):
    first = await door.enrolled()
    code = (await door.post("/api/labs/lab-atelier-nord/codes", None)).json()["code"]
    second = (await door.post("/agent/v1/enrol", {"code": code, "version": "1"}, headers={})).json()
    assert second["agent"] == "lab-atelier-nord-2"
    listed = Passwords(door.settings.passwords_file)
    assert not listed.fits(first["agent"], first["secret"])
    assert listed.fits(second["agent"], second["secret"])
    assert listed.fits("orchestrator", secret(door.settings.broker_secret_file))
    none = await door.post("/api/labs/lab-none/codes", None)
    assert none.status_code == 404


async def test_a_retired_agent_is_nobody(door: Door):
    told = await door.enrolled()
    mine = httpx.BasicAuth(told["agent"], told["secret"])
    assert (await door.post(f"/api/agents/{told['agent']}/retire", None)).status_code == 204
    assert not Passwords(door.settings.passwords_file).fits(told["agent"], told["secret"])
    assert (await door.client.get("/agent/v1/keys", auth=mine)).status_code == 401
    [lab] = (await door.client.get("/api/labs")).json()
    assert lab["agent"] is None
    for gone in (told["agent"], "lab-none"):
        assert (await door.post(f"/api/agents/{gone}/retire", None)).status_code == 404


async def test_a_revoked_key_is_not_published_any_more(door: Door):
    first = (await door.enrolled())["keys"]
    rotated = await door.post("/api/keys/rotate", {"revoke": True})
    assert rotated.json()["keys"][0] == first[1]["kid"]
    assert first[0]["kid"] not in rotated.json()["keys"]
    kept = await door.post("/api/keys/rotate", {})
    assert first[1]["kid"] in kept.json()["keys"]
    assert (await door.post("/api/keys/rotate", {}, headers={})).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [{}, {"name": ""}, {"lat": 91}, {"lon": -181}, {"lat": "north"}, {"extra": 1}, {"name": None}],
)
async def test_a_lab_that_makes_no_sense_is_refused_with_the_field(
    door: Door, wrong: dict[str, Any]
):
    body = {**NORD, **wrong} if wrong else {}
    answer = await door.post("/api/labs", body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(field in answer.json()["detail"] for field in (*wrong, "name"))


async def test_errors_are_words_for_programs_and_pages_for_people(door: Door):
    for path in ("/api/attempts/a-none", "/api/quotes/q-none", "/api/orders/o-none"):
        answer = await door.client.get(path)
        assert answer.status_code == 404
        assert "none" in answer.json()["detail"]
    page = await door.client.get("/orders/o-none", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")


async def test_ready_only_with_broker_and_database(door: Door):
    assert (await door.client.get("/readyz")).json() == {"ready": True, "reasons": []}
    await door.store.close()
    assert (await door.client.get("/healthz")).status_code == 200
