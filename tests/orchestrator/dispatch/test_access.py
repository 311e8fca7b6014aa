from pathlib import Path

import pytest

from orchestrator.dispatch import access

ROOT = "cosmolocal/v1"


@pytest.mark.parametrize(
    ("user", "act", "topic", "allowed"),
    [
        ("lab-a", "subscribe", f"{ROOT}/lab-a/down", True),
        ("lab-a", "receive", f"{ROOT}/lab-a/down", True),
        ("lab-a", "publish", f"{ROOT}/lab-a/up", True),
        ("lab-a", "publish", f"{ROOT}/lab-a/presence", True),
        ("lab-a", "publish", f"{ROOT}/lab-a/down", False),
        ("lab-a", "subscribe", f"{ROOT}/lab-a/up", False),
        ("lab-a", "subscribe", f"{ROOT}/+/down", False),
        ("lab-a", "subscribe", f"{ROOT}/lab-a/#", False),
        ("lab-a", "subscribe", "#", False),
        ("lab-a", "publish", f"{ROOT}/lab-ab/up", False),
        ("lab-a", "publish", f"{ROOT}/lab-a/up/more", False),
        ("orchestrator", "publish", f"{ROOT}/lab-a/down", True),
        ("orchestrator", "publish", f"{ROOT}/lab-a/up", False),
        ("orchestrator", "subscribe", f"{ROOT}/+/up", True),
        ("orchestrator", "subscribe", "#", False),
        ("orchestrator", "receive", f"{ROOT}/lab-a/telemetry", True),
    ],
)
def test_everybody_has_their_own_topics(user: str, act: access.Act, topic: str, allowed: bool):
    assert access.may(user, act, topic) is allowed


def test_only_presence_is_kept():
    assert access.may_retain(f"{ROOT}/lab-a/presence")
    assert not access.may_retain(f"{ROOT}/lab-a/up")
    assert not access.may_retain("presence")


def test_files_with_secrets_are_for_their_owner(tmp_path: Path):
    access.write_passwords(tmp_path / "passwd", {"lab-a": "$7$x"})
    conf = access.write_mosquitto(tmp_path / "m", tmp_path / "passwd", "127.0.0.1", 1883)
    for path in (tmp_path / "passwd", *conf.parent.iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600
