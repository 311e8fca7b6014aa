import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fablab_agents.protocol import tickets
from fablab_agents.protocol.tickets import BadEnvelope, Grant
from fablab_agents.trust import Identity, Pinned
from orchestrator.dispatch.signing import Signer


def a_grant() -> Grant:
    return Grant(
        agent="lab-a1", machine="printer-1", attempt="a-1", fence=1, issued_at=datetime.now(UTC),
        nonce="1" * 32, boot="boot-1", program="a" * 64, window_s=60,
    )  # fmt: skip


def identity(signer: Signer) -> Identity:
    return Identity.model_validate(
        {
            "agent": "lab-a1",
            "secret": "s" * 43,
            "mqtt": {"host": "localhost", "port": 1},
            "keys": signer.public(),
        }
    )


def test_an_agent_believes_what_we_sign_with_the_keys_we_publish(tmp_path: Path):
    signer = Signer.open(tmp_path / "keys.json")
    grant = a_grant()
    verify = identity(signer).verifier()
    assert tickets.verify_grant(signer.sign(grant), verify) == grant
    assert tickets.verify_grant(signer.sign(grant), signer.read) == grant


def test_the_keys_are_two_and_only_their_owner_reads_them(tmp_path: Path):
    path = tmp_path / "keys" / "tickets.json"
    signer = Signer.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(signer.public()) == 2
    assert all("d" not in key and key["kid"] for key in signer.public())
    assert Signer.open(path).public() == signer.public()


def test_after_a_rotation_old_agents_still_believe_us_and_old_tickets_still_hold(tmp_path: Path):
    signer = Signer.open(tmp_path / "keys.json")
    pinned, old = identity(signer).verifier(), signer.sign(a_grant())
    signer.rotate()
    assert len(signer.public()) == 3
    tickets.verify_grant(signer.sign(a_grant()), pinned)
    tickets.verify_grant(old, identity(signer).verifier())
    signer.rotate()
    with pytest.raises(BadEnvelope):
        tickets.verify_grant(signer.sign(a_grant()), pinned)


@pytest.mark.parametrize("harm", ["payload", "signature", "other"])
def test_what_others_signed_or_changed_is_refused(tmp_path: Path, harm: str):
    signer = Signer.open(tmp_path / "keys.json")
    head, payload, signature = signer.sign(a_grant()).split(".")
    flipped = {"payload": (head, payload[:-4] + "AAAA", signature),
               "signature": (head, payload, "A" * len(signature))}  # fmt: skip
    forged = Signer.open(tmp_path / "other.json").sign(a_grant())
    with pytest.raises(BadEnvelope):
        signer.read(".".join(flipped[harm]) if harm in flipped else forged)


def test_an_agent_takes_each_list_over_and_a_revoked_key_is_worth_nothing(tmp_path: Path):
    signer = Signer.open(tmp_path / "keys.json")
    pinned = Pinned(identity(signer), tmp_path / "agent")
    old = signer.sign(a_grant())
    signer.rotate()
    assert pinned.take(signer.lists())
    assert not pinned.take(signer.lists())
    assert tickets.holds(old, pinned.verify)
    seen = signer.sign(a_grant())
    Signer.open(tmp_path / "keys.json").rotate(revoke=True)
    signer = Signer.open(tmp_path / "keys.json")
    assert pinned.take(signer.lists())
    for stolen in (old, seen):
        assert not tickets.holds(stolen, pinned.verify)
    assert tickets.holds(signer.sign(a_grant()), pinned.verify)


def test_a_file_of_keys_from_before_lists_had_serials_is_read(tmp_path: Path):
    path = tmp_path / "keys.json"
    signer = Signer.open(path)
    path.write_text(json.dumps(json.loads(path.read_text())["keys"]))
    assert Signer.open(path).public() == signer.public()
