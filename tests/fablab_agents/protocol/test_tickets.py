import base64
import json
from typing import Any

import pytest

from designs import design
from fablab_agents.protocol import tickets
from fablab_agents.protocol.tickets import BadEnvelope, Manner, Recipe, canonical, strict_json
from tests.fablab_agents.conftest import make_ticket
from tests.fablab_agents.test_journal import grant_of


def trusting(envelope: str) -> bytes:
    """A verifier that believes everything: what is left is what the words say."""
    return envelope.encode()


def test_a_ticket_is_read_from_exactly_the_signed_bytes() -> None:
    ticket = make_ticket()
    assert tickets.verify_ticket(canonical(ticket).decode(), trusting) == ticket


def test_the_canonical_form_is_one() -> None:
    raw = canonical(make_ticket())
    told = json.loads(raw)
    assert raw == json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def test_a_grant_is_no_ticket_and_a_ticket_no_grant() -> None:
    ticket = make_ticket()
    with pytest.raises(BadEnvelope, match="grant where a ticket"):
        tickets.verify_ticket(canonical(grant_of(ticket)).decode(), trusting)
    with pytest.raises(BadEnvelope, match="ticket where a grant"):
        tickets.verify_grant(canonical(ticket).decode(), trusting)


@pytest.mark.parametrize(
    "wrong",
    [
        {"v": 2},
        {"fence": 0},
        {"fence": 2**63},
        {"jobs": []},
        {"file": "A" * 64},
        {"attempt": "../a"},
        {"quantity": 0},
        {"not_after": "2026-11-22T12:00:00"},
        {"more": 1},
        {"machine": None},
    ],
)
def test_a_ticket_that_does_not_say_what_it_must_is_refused(wrong: dict[str, Any]) -> None:
    told = {**json.loads(canonical(make_ticket())), **wrong}
    with pytest.raises(BadEnvelope):
        tickets.verify_ticket(json.dumps(told), trusting)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(BadEnvelope, match="twice"):
        strict_json(b'{"fence":9,"fence":1}')
    with pytest.raises(BadEnvelope, match="twice"):
        strict_json(b'{"a":{"fence":9,"fence":1}}')


@pytest.mark.parametrize("no_text", ["\\ud800", "\\udfff", "\\u0000", "\\u001b", "\\f", "\\b"])
def test_what_is_no_text_is_refused_wherever_it_stands(no_text: str) -> None:
    for raw in (f'"a{no_text}"', f'["a",{{"b":["{no_text}"]}}]', f'{{"a":{{"x{no_text}":1}}}}'):
        with pytest.raises(BadEnvelope, match="is no text"):
            strict_json(raw.encode())


def test_lines_tabs_backslashes_and_every_character_are_text() -> None:
    told = {"a\r\n\t": ["\\ud800 \\r", "\U0001f600 é"]}
    assert strict_json(json.dumps(told).encode()) == told


def spelled(header: object) -> str:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_an_envelope_names_its_key_and_has_one_spelling() -> None:
    good = spelled({"alg": "Ed25519", "kid": "k-1"})
    assert tickets.key_id(f"{good}.e30.AA") == "k-1"
    for rest in ("", ".AA.AA", "..AA", ".AB", "\n.AA", ".AA==", ".A!A", ".A A", ".+w"):
        with pytest.raises(BadEnvelope):
            tickets.key_id(f"{good}.e30{rest}")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "k-1"},
        {"alg": "Ed25519"},
        {"alg": "Ed25519", "kid": ""},
        {"alg": "Ed25519", "kid": "../k"},
        {"alg": "Ed25519", "kid": ["k-1"]},
        {"alg": "Ed25519", "kid": "k-1", "crit": ["b64"], "b64": False},
        {"alg": "Ed25519", "kid": "k-1", "jwk": {}},
        b'{"alg":"none","alg":"Ed25519","kid":"k-1"}',
        b"[1]",
        b"\xff",
    ],
)
def test_a_header_that_says_anything_else_is_refused(header: object) -> None:
    with pytest.raises(BadEnvelope):
        tickets.key_id(f"{spelled(header)}.e30.AA")


def test_a_recipe_without_a_manner_is_written_as_agents_of_before_read_it() -> None:
    plain = Recipe(process="3d_printing_fdm", material="pla")
    assert "manner" not in plain.model_dump_json()
    asked = Recipe(process="3d_printing_fdm", material="pla", manner=Manner(locked=True, walls=4))
    assert Recipe.model_validate_json(asked.model_dump_json()) == asked
    assert str(asked.manner) == "4 walls (exactly so)"


def test_what_a_designer_may_ask_is_what_a_release_holds() -> None:
    assert set(Manner.model_fields) == set(design.Recipe.model_fields)
    wish = {
        "locked": True, "layer_mm": 0.2, "walls": 3, "infill_pct": 0, "supports": "where_needed",
        "orientation_deg": (90, 0, 45), "material_grade": "PETG, food contact",
    }  # fmt: skip
    held = design.Recipe.model_validate(wish)
    assert str(Manner.model_validate(held.model_dump(mode="json"))) == (
        "0.2 mm layers, 3 walls, 0 % infill, turned by 90°, 0°, 45°, supports: where needed, "
        "PETG, food contact (exactly so)"
    )
