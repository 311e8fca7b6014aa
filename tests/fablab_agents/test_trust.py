import asyncio
import base64
import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from fablab_agents import trust
from fablab_agents.protocol import tickets
from fablab_agents.protocol.tickets import BadEnvelope
from fablab_agents.trust import EnrolRefused, Identity, NotEnrolled, Pinned, enrol
from tests.fablab_agents.conftest import Keys, identity, make_ticket


def test_what_a_pinned_key_signed_is_read(keys: Keys) -> None:
    ticket = make_ticket()
    verify = identity(keys).verifier()
    assert tickets.verify_ticket(keys.sign(ticket), verify) == ticket


def test_two_keys_in_rotation_are_both_believed(keys: Keys) -> None:
    other = Keys("key-2")
    me = Identity.model_validate(
        {**identity(keys).model_dump(), "keys": (keys.public, other.public)}
    )
    for signer in (keys, other):
        assert tickets.verify_ticket(signer.sign(make_ticket()), me.verifier())


def test_every_flipped_bit_is_refused(keys: Keys) -> None:
    envelope = keys.sign(make_ticket())
    verify = identity(keys).verifier()
    raw = envelope.encode()
    last = range(len(raw) * 8 - 32, len(raw) * 8)  # base64url leaves bits unused at its end
    for at in {*range(0, len(raw) * 8, 7), *last}:
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(BadEnvelope):
            verify(flipped.decode("latin-1"))


@pytest.mark.parametrize("alg", ["none", "HS256", "EdDSA"])
def test_another_algorithm_is_refused(keys: Keys, alg: str) -> None:
    header, body, signature = keys.sign(make_ticket()).split(".")
    told = json.loads(base64.urlsafe_b64decode(header + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**told, "alg": alg}).encode()).decode()
    with pytest.raises(BadEnvelope):
        identity(keys).verifier()(f"{forged.rstrip('=')}.{body}.{signature}")


def test_a_strangers_key_is_refused_under_any_name(keys: Keys) -> None:
    verify = identity(keys).verifier()
    for stranger in (Keys("key-9"), Keys(keys.kid)):
        with pytest.raises(BadEnvelope):
            verify(stranger.sign(make_ticket()))


def test_the_identity_is_kept_for_its_owner_alone(keys: Keys, tmp_path: Path) -> None:
    me, folder = identity(keys), tmp_path / "agent"
    me.save(folder)
    path = folder / "identity.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert Identity.load(folder) == me
    assert me.secret not in repr(me)


def test_without_an_identity_the_line_to_type_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="cosmolocal-agent enrol"):
        Identity.load(tmp_path)
    (tmp_path / "identity.json").write_text("{}")
    with pytest.raises(NotEnrolled, match="cannot be used"):
        Identity.load(tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        {"agent": "../evil"},
        {"keys": ()},
        {"keys": ({"kty": "oct", "k": "x", "kid": "1"},)},
        {"keys": (Keys("twin").public, Keys("twin").public)},
        {"secret": "short"},
    ],
)
def test_an_identity_that_cannot_be_trusted_is_refused(
    keys: Keys, broken: dict[str, object]
) -> None:
    good = identity(keys).model_dump()
    with pytest.raises(ValidationError):
        Identity.model_validate({**good, **broken})


def test_a_private_key_is_never_pinned(keys: Keys) -> None:
    good = identity(keys).model_dump()
    leaky = {**keys.public, "d": "private"}
    assert "private" not in repr(Identity.model_validate({**good, "keys": (leaky,)}))


def key_list(serial: int, *keys: Keys) -> bytes:
    told = {"serial": serial, "keys": [key.public for key in keys]}
    return tickets.canonical(tickets.KeyList.model_validate(told))


def test_a_newer_list_takes_keys_away_for_good(keys: Keys, tmp_path: Path) -> None:
    following, thief = Keys("key-2"), Keys("key-3")
    me = Identity.model_validate(
        {**identity(keys).model_dump(), "keys": (keys.public, following.public)}
    )
    pinned, ticket = Pinned(me, tmp_path), make_ticket()
    assert not pinned.take([thief.sign_bytes(key_list(9, thief))])
    newer = key_list(2, following, Keys("key-4"))
    assert pinned.take([thief.sign_bytes(newer), following.sign_bytes(newer)])
    assert pinned.verify(following.sign(ticket))
    assert not pinned.take([keys.sign_bytes(key_list(8, keys))])
    assert not pinned.take([following.sign_bytes(key_list(2, keys, following))])
    for held in (pinned, Pinned(Identity.load(tmp_path), tmp_path)):
        assert not tickets.holds(keys.sign(ticket), held.verify)
        assert tickets.holds(following.sign(ticket), held.verify)


def test_a_list_that_the_disk_does_not_keep_does_not_count(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pinned = Pinned(identity(keys), tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        pinned.take([keys.sign_bytes(key_list(2, Keys("key-2")))])
    assert tickets.holds(keys.sign(make_ticket()), pinned.verify)


async def test_the_keys_are_asked_for_and_a_wrong_answer_changes_nothing(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, changed = Keys("key-2"), asyncio.Event()
    good = json.dumps({"signed": [keys.sign_bytes(key_list(2, following))]})
    answers = iter([(500, "[]"), (200, "<html>"), (200, "[1]"), (200, '{"signed":[3]}')])
    monkeypatch.setattr(trust, "ASK_KEYS_S", 0)

    def answer(_: httpx.Request) -> httpx.Response:
        assert not changed.is_set()
        status, body = next(answers, (200, good))
        return httpx.Response(status, text=body)

    pinned = Pinned(identity(keys), tmp_path)
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
        following_it = asyncio.create_task(pinned.follow(client, changed.set))
        await asyncio.wait_for(changed.wait(), 10)
        following_it.cancel()
    assert tickets.holds(following.sign(make_ticket()), pinned.verify)


class Orchestrator:
    """Answers one enrolment with what it was told to."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.asked: list[dict[str, str]] = []
        outer = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer.asked.append(json.loads(self.rfile.read(length)))
                self.send_response(outer.status if self.path == "/agent/v1/enrol" else 404)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *said: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def orchestrator() -> Iterator[Orchestrator]:
    orchestrator = Orchestrator()
    yield orchestrator
    orchestrator.close()


def test_a_code_becomes_an_identity(orchestrator: Orchestrator, keys: Keys) -> None:
    me = identity(keys)
    orchestrator.body = me.model_dump_json().encode()
    given = enrol(f"{orchestrator.url}/", "CODE", "0.1.0", "Lab Nord")
    assert given == me.model_copy(update={"url": orchestrator.url})
    assert orchestrator.asked == [{"code": "CODE", "version": "0.1.0", "lab": "Lab Nord"}]


def test_a_refused_code_is_told_in_the_orchestrators_words(orchestrator: Orchestrator) -> None:
    orchestrator.status = 403
    orchestrator.body = b'{"title":"No","detail":"the code was used"}'
    with pytest.raises(EnrolRefused, match="No: the code was used"):
        enrol(orchestrator.url, "CODE", "0.1.0")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]"])
def test_another_kind_of_server_is_noticed(orchestrator: Orchestrator, body: bytes) -> None:
    orchestrator.body = body
    with pytest.raises(EnrolRefused):
        enrol(orchestrator.url, "CODE", "0.1.0")
    orchestrator.status = 404
    with pytest.raises(EnrolRefused, match="is this the orchestrator's address"):
        enrol(orchestrator.url, "CODE", "0.1.0")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "not a url", "http://[::1"])
def test_an_address_that_cannot_be_reached_is_said(url: str) -> None:
    with pytest.raises(EnrolRefused, match="cannot be reached"):
        enrol(url, "CODE", "0.1.0")
