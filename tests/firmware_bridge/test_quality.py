"""Each driver says what it promises, and every promise names a test that exists."""

import re
import tomllib
from pathlib import Path

import pytest

from firmware_bridge.registry import DRIVERS

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ROOT / "firmware_bridge" / "drivers"
COMMON = {
    "complete_byte_exact",
    "pause_and_resume",
    "stop_leaves_everything_off",
    "unplugged",
    "reset_in_mid_job",
    "halt",
    "exclusive_port",
    "wrong_machine",
    "hostile_replies",
    "approved_bytes_only",
    "dirty_line",
    "recover",
    "foreign_activity",
}


def _tests() -> set[str]:
    places = (ROOT / "tests" / "contracts", ROOT / "tests" / "firmware_bridge")
    files = [file for place in places for file in place.rglob("test_*.py")]
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}


def test_every_folder_is_a_driver_and_every_driver_a_folder() -> None:
    folders = {path.parent.name for path in FOLDERS.glob("*/driver.py")}
    assert folders == set(DRIVERS)


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_promises_are_kept_or_owned_up_to(name: str) -> None:
    told = tomllib.loads((FOLDERS / name / "quality.toml").read_text())
    assert set(told["rules"]) >= COMMON
    assert told["hardware"]
    for rule, state in told["rules"].items():
        ((how, what),) = state.items()
        assert how in ("done", "todo", "exempt"), rule
        assert what, rule
        if how == "done":
            assert what in _tests(), f"{rule} names a test that does not exist: {what}"
