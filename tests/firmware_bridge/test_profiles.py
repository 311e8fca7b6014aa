"""Machine profiles: the shipped ones, and what is wrong with a broken one."""

import json
from pathlib import Path

import pytest

from firmware_bridge import profiles
from firmware_bridge.errors import ProfileBroken


def test_shipped_profiles_say_what_they_promise() -> None:
    assert profiles.names() == ("generic-cnc-3018", "generic-fdm-220", "generic-laser-400")
    printer = profiles.load("generic-fdm-220")
    assert printer.envelope_mm == ((0, 0, 0), (220, 220, 250))
    assert printer.fdm is not None
    assert (printer.fdm.hotend_max_c, printer.fdm.bed_max_c) == (260, 100)
    mill = profiles.load("generic-cnc-3018")
    assert mill.envelope_mm.max == (300, 180, 45)
    assert mill.envelope_mm.min[:2] == (0, 0)
    assert mill.mill is not None
    assert mill.mill.spindle_max_rpm == 12000
    assert not mill.codes & {"M7", "M8"}
    laser = profiles.load("generic-laser-400")
    assert laser.envelope_mm.max[:2] == (400, 400)


def test_a_profile_is_written_in_one_order_so_that_what_is_kept_by_it_is_found_again() -> None:
    written = json.loads(profiles.load("generic-fdm-220").model_dump_json())
    for name in ("codes", "review"):
        assert written[name] == sorted(written[name])
        assert len(written[name]) > 3


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('kind = "fdm"', 'kind = "mill"', "one table"),
        ("machine_max_mm = [220, 220, 250]", "machine_max_mm = [220, 0, 250]", "below"),
        ('"G0", "G1", ', '"G1", ', "G0"),
        ("nozzle_mm = 0.4", "nozzle_mm = -1", "nozzle_mm"),
        ("nozzle_mm = 0.4", "nozzle = 0.4", "nozzle"),
        ("machine_max_mm = [220, 220, 250]", "machine_max_mm = [220, nan, 250]", "finite"),
        ("hotend_max_c = 260", "hotend_max_c = inf", "hotend_max_c"),
        ('"M107"', '"M0107"', "codes 26: 'M0107' is not right; it takes codes such as G1"),
        ("[fdm]", "[fdm", "cannot be read"),
        ("work_zero_mm = [0, 0, 0]", 'work_zero_mm = "unknown"', "a printer homes"),
        (
            "work_zero_mm = [0, 0, 0]",
            'work_zero_mm = "unkown"',
            "work_zero_mm: 'unkown' is no place; write three numbers",
        ),
        ("nozzle_mm = 0.4", 'nozzle_mm = "0.4"', "fdm, nozzle_mm: wants a number without quotes"),
        ('name = "generic-fdm-220"', 'name = "Shop 1"', "'Shop 1' .* takes small letters"),
        ("nozzle_mm = 0.4", "nozle_mm = 0.4", "did you mean 'nozzle_mm'"),
        ("machine_max_mm = [220, 220, 250]", "machine_max_mm = [220, 220]", "mm 3: is missing"),
        ("hotend_c = [170, 240]", "hotend_c = [240, 170]", "backwards; write .170, 240."),
        ("hotend_c = [170, 240]", "hotend = [170, 240]", "pla, hotend: .* mean 'hotend_c'"),
    ],
)
def test_a_broken_profile_says_where(old: str, new: str, why: str, tmp_path: Path) -> None:
    shipped = Path(profiles.__file__).with_name("generic-fdm-220.toml").read_text()
    assert old in shipped
    path = tmp_path / "mine.toml"
    path.write_text(shipped.replace(old, new))
    with pytest.raises(ProfileBroken, match=why):
        profiles.load(path)


@pytest.mark.parametrize(
    ("blocks", "why"),
    [
        ('start = "M106 S{0-2}"', "blocks, start: {0-2} is no range; write {0..2}"),
        ('start = "M106 S{2..0}"', "blocks, start: {2..0} runs backwards; write {0..2}"),
        ('end_is_off = "yes"', "blocks, end_is_off: wants true or false without quotes"),
    ],
)
def test_a_broken_block_says_what_is_right(blocks: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{profiles.text('generic-fdm-220')}\n[blocks]\n{blocks}\n")
    with pytest.raises(ProfileBroken) as broken:
        profiles.load(path)
    assert why in str(broken.value)


def test_all_that_is_wrong_in_a_profile_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    mill = profiles.text("generic-cnc-3018")
    assert "stock_mm = 12" in mill
    wrong = mill.replace("stock_mm = 12", 'stock_mm = "18"').replace("dialect", "dialekt")
    path.write_text(wrong)
    with pytest.raises(ProfileBroken) as broken:
        profiles.load(path)
    said = str(broken.value).splitlines()
    assert len(said) == 3
    assert any("did you mean 'dialect'" in line for line in said)
    assert any("mill, stock_mm: wants a number without quotes, not '18'" in line for line in said)


def test_a_profile_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ProfileBroken, match="generic-fdm-220"):
        profiles.load("my-printer")


def test_a_profile_is_shown_as_it_is_written(tmp_path: Path) -> None:
    text = profiles.text("generic-cnc-3018")
    assert text == Path(profiles.__file__).with_name("generic-cnc-3018.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    assert profiles.text(mine) == text
    assert profiles.load(mine) == profiles.load("generic-cnc-3018")


def test_a_zero_that_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    known = "work_zero_mm = [-300, -180, -45]"
    path.write_text(profiles.text("generic-cnc-3018").replace(known, 'work_zero_mm = "unknown"'))
    assert profiles.load(path).work_zero_mm is None
