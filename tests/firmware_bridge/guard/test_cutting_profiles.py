"""The examples in the page about one's own profiles are profiles, and mean what it says."""

import re
from pathlib import Path

import pytest

from firmware_bridge import profiles
from firmware_bridge.guard import cutting, judge
from firmware_bridge.guard.verdict import Findings
from firmware_bridge.profiles import MachineProfile

PAGE = Path(__file__).parents[3] / "docs" / "machine-profiles.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def own(tmp_path: Path) -> dict[str, MachineProfile]:
    loaded: dict[str, MachineProfile] = {}
    for number, text in enumerate(EXAMPLES):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        profile = profiles.load(path)
        loaded[profile.name] = profile
    return loaded


def rules(profile: MachineProfile, program: str) -> set[str]:
    return {finding.rule for finding in judge(program.encode(), profile).findings}


def test_an_own_mill(own: dict[str, MachineProfile]) -> None:
    cut = "G21\nG90\nG0 Z{safe}\nM3 S24000\nM8\nG0 X{x} Y0\nG1 Z-{deep} F900\nG0 Z{safe}\nM2\n"
    mill = own["shop-router"]
    assert rules(mill, cut.format(safe=5, x=590, deep=18.5)) == set()
    assert rules(mill, cut.format(safe=5, x=590.1, deep=18.5)) == {"envelope"}
    assert rules(mill, cut.format(safe=5, x=-10, deep=18.6)) == {"depth"}
    assert rules(mill, cut.format(safe=4.9, x=-10, deep=1)) == {"left low"}


def test_an_own_laser(own: dict[str, MachineProfile]) -> None:
    burn = "G21\nG90\nG0 X{x} Y-50\n{on} S255\nG1 X{to} F{feed}\nM5\nM2\n"
    laser = own["shop-laser"]
    assert rules(laser, burn.format(x=-150, to=150, on="M4", feed=60)) == set()
    assert rules(laser, burn.format(x=-151, to=150, on="M4", feed=60)) == {"envelope"}
    assert rules(laser, burn.format(x=0, to=150, on="M3", feed=60)) == {"person", "constant power"}
    assert rules(laser, burn.format(x=0, to=150, on="M4", feed=59)) == {"beam at rest"}


def test_every_field_of_a_cutting_profile_is_told() -> None:
    page = PAGE.read_text(encoding="utf-8")
    known = set(MachineProfile.model_fields) - {"fdm", "blocks", "mill", "laser"}
    for model in (profiles.Mill, profiles.Laser):
        known |= set(model.model_fields)
    assert {field for field in known if field not in page} == set()


def test_a_printer_is_not_judged_as_a_cutter() -> None:
    with pytest.raises(ValueError, match="only mills and lasers"):
        cutting.judge(b"G28\n", profiles.load("generic-fdm-220"), Findings())
