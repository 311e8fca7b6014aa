"""A shop's own blocks: written as slicers have them, approved once, found, their holes held."""

import json
import re
from pathlib import Path

import pytest

from firmware_bridge import profiles
from firmware_bridge.errors import ProfileBroken
from firmware_bridge.guard import Verdict, judge
from firmware_bridge.profiles import MachineProfile
from firmware_bridge.profiles.blocks import BlockBrokenError, compile_block

SHIPPED = Path(profiles.__file__).with_name("generic-fdm-220.toml").read_text()
BODY = (
    "G21 ; millimetres\nG90\nM83\nM107\n;LAYER_CHANGE\nG92 E0\nG1 Z.2 F7800\n"
    "G1 X60 Y60\nG1 X80 E1 F1200\nG1 Y80 E1\n"
)

# As the slicers of these families write them: checks of the printer, probing, conditions, macros.
BUDDY = """\
M862.3 P "[printer_model]" ; is it this printer
M862.1 P[nozzle_diameter]
M862.6 P"Input shaper"
M115 U6.0.1+14794
G90 ; absolute
M83
M104 S{if temperature[initial_tool]<170}{temperature[initial_tool]}{else}170{endif} ; probing
M140 S[first_layer_bed_temperature]
M555 X{print_min[0] - 32} Y{print_min[1]} W{print_max[0]} H80
G28 Q ; no levelling
{if filament_type[initial_tool] == "PC" or nozzle_diameter[0]>0.6}
M191 S[chamber_temperature]
{elsif filament_type[0]=~/.*PLA.*/}
M106 S70
{endif}
G29 P1 X30 Y0 W{first_layer_print_max[0]} H20 C
M109 S{first_layer_temperature[initial_tool]}
; a purge line {not for draft}
{local width = 0.4; global seen = 1}
G1 Z0.2 F720
G1 Y-3 F1000 ; beside the bed {if layer_height<0.1}; slowly{endif}
G1 X60 E9 F1000
G92 E0
M221 S{if layer_height<0.075}100{else}95{endif} M900 K[advance]
""".replace(" M900 K[advance]", "\nM900 K[advance]")
BUDDY_SAID = """\
M862.3 P "MK4" ; is it this printer
M862.1 P0.4
M862.6 P"Input shaper"
M115 U6.0.1+14794
G90 ; absolute
M83
M104 S170 ; probing
M140 S60
M555 X28 Y40 W120.5 H80
G28 Q ; no levelling
M73 P0 R12

M106 S70

G29 P1 X30 Y0 W120.5 H20 C
M109 S215
; a purge line

G1 Z0.2 F720
G1 Y-3 F1000 ; beside the bed
G1 X60 E9 F1000
G92 E0
M221 S95
M900 K0.06
"""
CREALITY = """\
; Ender start
M140 S{material_bed_temperature_layer_0}
M104 S{material_print_temperature_layer_0}
M190 S{material_bed_temperature_layer_0}
M109 S{material_print_temperature_layer_0}
M413 S0 ; no power loss recovery
G92 E0
G28
G29 ; level
M420 S1 Z2
G1 Z2.0 F3000
G1 X0.1 Y20 Z0.3 F5000.0
G1 X0.1 Y200.0 Z0.3 F1500.0 E15
G1 X0.4 Y200.0 Z0.3 F5000.0
G1 X0.4 Y20 Z0.3 F1500.0 E30
G92 E0
"""
CREALITY_SAID = CREALITY.replace("{material_bed_temperature_layer_0}", "60").replace(
    "{material_print_temperature_layer_0}", "200"
)
VORON = "PRINT_START BED=[first_layer_bed_temperature] EXTRUDER={first_layer_temperature[0]}"
VORON_SAID = "PRINT_START BED=60 EXTRUDER=245\n"
KLIPPER = (
    'SET_DISPLAY_TEXT MSG="{input_filename_base}"\n'
    "START_PRINT EXTRUDER_TEMP={nozzle_temperature_initial_layer} "
    "BED_TEMP=[bed_temperature] CHAMBER={chamber} MATERIAL={filament_type[0]} NOZZLE={number}"
)
KLIPPER_SAID = (
    'SET_DISPLAY_TEXT MSG="a part, v2"\n'
    "START_PRINT EXTRUDER_TEMP=245 BED_TEMP=60 CHAMBER=0 MATERIAL=ABS+ NOZZLE=0.4\n"
)
HOMED = "\n[blocks.after]\nhomed = true\nhot = true\n"
END = "PRINT_END ; parks\nM84"


def told(verdict: Verdict) -> tuple[str, set[str]]:
    return verdict.decision, {finding.rule for finding in verdict.findings}


def machine(
    folder: Path, start: str = "", end: str = "", more: str = "", after: str = "", ok: bool = True
) -> MachineProfile:
    """A profile file with these blocks, approved or not, as it is loaded."""
    path = folder / "mine.toml"
    blocks = f"[blocks]\nstart = {json.dumps(start)}\nend = {json.dumps(end)}\n{more}\n{after}\n"
    text = SHIPPED.replace("machine_min_mm = [0, 0, 0]", "machine_min_mm = [0, -4, 0]")
    path.write_text(text.replace("[fdm]\n", f"{blocks}[fdm]\n", 1))
    if ok:
        profiles.approve(path, profiles.load(path), "Ada", "2026-11-22T12:00:00Z")
    return profiles.load(path)


@pytest.mark.parametrize(
    ("start", "said", "after"),
    [
        (BUDDY, BUDDY_SAID, ""),
        (CREALITY, CREALITY_SAID, ""),
        (VORON, VORON_SAID, HOMED),
        (KLIPPER, KLIPPER_SAID, HOMED),
    ],
    ids=["prusa", "creality", "voron", "klipper"],
)
def test_stock_blocks_pass_once_approved(start: str, said: str, after: str, tmp_path: Path) -> None:
    program = (f"M73 P0\nM201 X900 Y900\n{said}{BODY}M104 S0\nM140 S0\n").encode()
    assert judge(program, profiles.load("generic-fdm-220")).decision == "reject"
    approved = judge(program, machine(tmp_path, start, after=after))
    assert told(approved) == ("accept", set()), approved.findings
    changed = judge(program, machine(tmp_path, start + "\n", after=after, ok=False))
    assert told(changed) == ("review", {"block"})


def test_nobody_approved_means_review(tmp_path: Path) -> None:
    program = (VORON_SAID + BODY + "M104 S0\nM140 S0\nPRINT_END\nM84\n").encode()
    waiting = machine(tmp_path, VORON, END, after=HOMED, ok=False)
    verdict = judge(program, waiting)
    assert told(verdict) == ("review", {"block"})
    assert [finding.line for finding in verdict.findings] == [1, 14]
    assert "--approve" in verdict.findings[0].message
    approved = judge(program, machine(tmp_path, VORON, END, after=HOMED))
    assert told(approved) == ("accept", set())


def test_any_change_of_the_blocks_needs_a_person_again(tmp_path: Path) -> None:
    assert _approved(machine(tmp_path, VORON, after=HOMED))
    assert _approved(machine(tmp_path, VORON, after=HOMED, ok=False))  # still remembered
    assert not _approved(machine(tmp_path, VORON + "\nG28", after=HOMED, ok=False))
    assert not _approved(machine(tmp_path, VORON, END, after=HOMED, ok=False))
    assert not _approved(machine(tmp_path, VORON, after="", ok=False))
    assert not _approved(machine(tmp_path, VORON, more='lines = ["M600"]', after=HOMED, ok=False))


def _approved(profile: MachineProfile) -> bool:
    assert profile.blocks is not None
    return profile.blocks.are_approved


@pytest.mark.parametrize(
    ("said", "rules"),
    [
        ("PRINT_START BED=101 EXTRUDER=245\n", {"temperature"}),
        ("PRINT_START BED=60 EXTRUDER=300\n", {"temperature"}),
        ("PRINT_START BED=-1 EXTRUDER=245\n", {"temperature"}),
        ("PRINT_START BED=60 EXTRUDER=100\n", {"cold"}),
        ("PRINT_START BED=60\n", {"block", "spelling", "homing", "cold"}),
        ("PRINT_START BED=60 EXTRUDER=245 X=1\n", {"block", "spelling", "homing", "cold"}),
        ("PRINT_START BED=60 EXTRUDER=245;\nG28\nM104 S999\n", {"temperature"}),
        ("PRINT_START BED=60 EXTRUDER=2e2\n", {"block", "spelling", "homing", "cold"}),
        ("PRINT_START\nBED=60 EXTRUDER=245\n", {"block", "spelling", "homing", "cold"}),
    ],
)
def test_holes_are_held_to_the_machine(said: str, rules: set[str], tmp_path: Path) -> None:
    profile = machine(tmp_path, VORON, after="[blocks.after]\nhomed = true")
    hot = machine(tmp_path, VORON, after=HOMED) if rules == {"temperature"} else profile
    verdict = judge((said + BODY + "M104 S0\nM140 S0\n").encode(), hot)
    assert told(verdict) == ("reject", rules), verdict.findings


def test_a_macro_only_counts_as_declared(tmp_path: Path) -> None:
    program = (VORON_SAID + BODY + "M104 S0\nM140 S0\n").encode()
    assert told(judge(program, machine(tmp_path, VORON))) == ("reject", {"homing", "cold"})
    homed = machine(tmp_path, VORON, after="[blocks.after]\nhomed = true")
    assert told(judge(program, homed)) == ("reject", {"cold"})
    hot = machine(tmp_path, VORON, after="[blocks.after]\nhot = true")
    assert told(judge(program, hot)) == ("reject", {"homing"})
    silent = machine(tmp_path, "PRINT_START", after=HOMED)
    assert told(judge(b"PRINT_START\n" + BODY.encode(), silent)) == ("accept", {"left on"})


def test_numbers_that_fill_holes_are_judged_words_that_a_person_saw_are_not(
    tmp_path: Path,
) -> None:
    start = "G28\nG1 Z{number} F600\nG1 Y-90 F600\nM104 S300\nM104 S0\nG4 S{number}\nG1 Y0"
    profile = machine(tmp_path, start)
    fine = "G28\nG1 Z5 F600\nG1 Y-90 F600\nM104 S300\nM104 S0\nG4 S2\nG1 Y0\n"
    assert told(judge(fine.encode(), profile)) == ("accept", set())
    assert told(judge(fine.replace("Z5", "Z-5").encode(), profile)) == ("reject", {"envelope"})
    assert told(judge(fine.replace("S2", "S9999").encode(), profile)) == ("reject", {"dwell"})
    assert judge(fine.replace("Y-90", "Y-91").encode(), profile).decision == "reject"


def test_holes_with_a_range_of_their_own(tmp_path: Path) -> None:
    profile = machine(tmp_path, "LEVEL DEPTH={-1.5 .. 3}\nG28")
    for depth, fine in (("-1.5", True), ("3", True), ("0.", True), ("3.01", False), ("-2", False)):
        verdict = judge(f"LEVEL DEPTH={depth}\nG28\nG1 X5\n".encode(), profile)
        assert told(verdict) == (("accept", set()) if fine else ("reject", {"block"}))


def test_a_block_stands_whole_at_the_beginning_or_end(tmp_path: Path) -> None:
    profile = machine(tmp_path, "LEVEL\nG28", "PARK\nM84")
    assert told(judge(b"LEVEL\nG28\nG1 X9\nPARK\nM84\n", profile)) == ("accept", set())
    half = judge(b"LEVEL\nG1 X9\nPARK\nM84\n", profile)
    assert told(half) == ("reject", {"block", "spelling", "homing"})
    assert next(f for f in half.findings if f.rule == "block").severity == "note"
    mid = b"G28\n" + b"G1 X9\n" * 500 + b"LEVEL\nG28\n" + b"G1 X9\n" * 500 + b"PARK\nM84\n"
    assert told(judge(mid, profile)) == ("reject", {"block", "spelling"})
    late = b"LEVEL\nG28\n" + b"G1 X9\n" * 500 + b"PARK\nM84\n" + b"G28\nG1 X9\n" * 500
    assert told(judge(late, profile)) == ("reject", {"block", "spelling"})
    twice = b"LEVEL\nG28\nLEVEL\nG28\nG1 X9\nPARK\nM84\n"
    assert told(judge(twice, profile)) == ("reject", {"spelling"})


def test_the_end_block_may_turn_everything_off_itself(tmp_path: Path) -> None:
    program = (VORON_SAID + BODY + "PRINT_END\nM84\nM73 P100\n").encode()
    plain = judge(program, machine(tmp_path, VORON, END, after=HOMED))
    assert (told(plain), bool(plain.footer)) == (("accept", {"left on"}), True)
    off = judge(program, machine(tmp_path, VORON, END, "end_is_off = true", HOMED))
    assert (told(off), off.footer) == (("accept", set()), b"")


def test_single_lines_may_stand_anywhere(tmp_path: Path) -> None:
    lines = 'lines = ["EXCLUDE_OBJECT_START NAME={word}", "M600", "SET_LIMIT ACCEL={1..9000}"]'
    program = (
        VORON_SAID + "EXCLUDE_OBJECT_START NAME=cube_1\n" + BODY.replace("G92", "M600\nG92")
        + "SET_LIMIT  ACCEL=800\nM104 S0\nM140 S0\n"
    )  # fmt: skip
    profile = machine(tmp_path, VORON, "", lines, HOMED)
    assert told(judge(program.encode(), profile)) == ("accept", set())
    assert told(judge(program.replace("=800", "=9001").encode(), profile)) == ("reject", {"block"})
    assert told(judge(program.replace("_LIMIT", "").encode(), profile)) == ("reject", {"spelling"})
    spaced = program.replace("cube_1", "cube 1").encode()
    assert told(judge(spaced, profile)) == ("reject", {"spelling"})
    changed = machine(tmp_path, VORON + "\nM400", "", lines, HOMED, ok=False)
    assert told(judge(program.encode(), changed))[1] >= {"block"}
    waiting = machine(tmp_path, "", "", lines, ok=False)
    assert told(judge(b"G28\nSET_LIMIT ACCEL=5\nG1 X5\n", waiting)) == ("review", {"block"})


@pytest.mark.parametrize(
    ("text", "line", "kinds"),
    [
        ("M104 S[first_layer_temperature]", "M104 S215", ["hotend"]),
        ("M104 T0 S{t}", "M104 T0 S1", ["hotend"]),
        ("M104 T{t} S200", "M104 T0 S200", ["number"]),
        ("M190 R{x}", "M190 R60", ["bed"]),
        ("M191 S{x}", "M191 S60", ["chamber"]),
        ("PRINT_START BED_TEMP={x}", "PRINT_START BED_TEMP=60", ["bed"]),
        ("START T={first_layer_bed_temperature[0]}", "START T=60", ["bed"]),
        ("START T={nozzle_temperature[0]}", "START T=60", ["hotend"]),
        ("START NOZZLE_DIAMETER={x}", "START NOZZLE_DIAMETER=0.4", ["number"]),
        ("START TYPE={filament_type}", "START TYPE=PLA", ["word"]),
        ("M117 printing {input}", "M117 printing a part", ["quoted"]),
        ('CHECK MODEL="{printer}"', 'CHECK MODEL="a b"', ["quoted"]),
        ("G1 Z{z} F{if fast}900{else}[feed]{endif}", "G1 Z5 F900", ["number", "number"]),
        ("M204 S[machine_a] T[machine_b]", "M204 S1 T2", ["number", "number"]),
        ("M104 S[temperature_[tool]]", "M104 S9", ["hotend"]),
        ("T[initial_tool]", "T0", ["number"]),
        ("{local x = 3}G28{y=4}", "G28", []),
    ],
)
def test_what_fills_a_hole(text: str, line: str, kinds: list[str]) -> None:
    block = compile_block(text)
    assert block.form.fullmatch(f"\n{line}\n"), block.form
    assert [hole.kind for hole in block.holes] == kinds


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("G28\n{if a}G29\n{endif}M400", ["G28\nM400", "G28\nG29\nM400"], ["G28\nG29", "G28M400"]),
        ("{if a}G29{else}M420{endif}", ["G29", "M420"], ["", "G29\nM420"]),
        ("{if a}G28{elsif b}G29{else}M420{endif}", ["G28", "G29", "M420"], ["", "G30"]),
        ("{if a}{if b}G28{endif}\nG29{endif}\nM84", ["M84", "G29\nM84", "G28\nG29\nM84"],
            ["G28\nM84"]),
        ("G28 ; home {if a}twice{endif}\nG29 ;x", ["G28\nG29"], ["G28"]),
        ("G28;{if a}\nG29;{endif}\nM84", ["G28\nG29\nM84", "G28\nM84"], ["G28"]),
        ("T[tool]", ["T0"], ["T"]),
        ("  G28   X  ", ["G28 X"], ["G28 Y", "G28 X Y"]),
        ("G28.1", ["G28.1"], ["G2801"]),
    ],
)  # fmt: skip
def test_conditions_comments_and_blanks(text: str, yes: list[str], no: list[str]) -> None:
    form = compile_block(text).form
    assert [line for line in yes if not form.fullmatch(f"\n{line}\n")] == []
    assert [line for line in no if form.fullmatch(f"\n{line}\n")] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{if a}G28", "without its {endif}"),
        ("G28{endif}", "without its {if}"),
        ("G28\n{else}", "without its {if}"),
        ("; only words", "no command"),
        ("{if a}G28{endif}", "could be empty"),
        ("M{code} S5", "write the code itself"),
        ("G{code}", "write the code itself"),
    ],
)
def test_a_block_that_cannot_be_used_says_why(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BlockBrokenError, match=why):
        compile_block(text)
    with pytest.raises(ProfileBroken, match=why):
        machine(tmp_path, text, ok=False)


def test_blocks_may_be_files_beside_the_profile(tmp_path: Path) -> None:
    (tmp_path / "start.gcode").write_text(VORON)
    (tmp_path / "end.gcode").write_text(END)
    path = tmp_path / "mine.toml"
    blocks = '[blocks]\nstart_file = "start.gcode"\nend_file = "end.gcode"\n'
    path.write_text(SHIPPED + blocks)
    loaded = profiles.load(path)
    assert loaded.blocks is not None
    assert (loaded.blocks.start, loaded.blocks.end) == (VORON, END)
    (tmp_path / "end.gcode").unlink()
    with pytest.raises(ProfileBroken, match=r"end\.gcode: No such file"):
        profiles.load(path)


def test_a_profile_cannot_approve_itself(tmp_path: Path) -> None:
    digest = machine(tmp_path, VORON).blocks
    assert digest is not None
    with pytest.raises(ProfileBroken, match="nobody approves"):
        machine(tmp_path, VORON, more=f'approved = "{digest.digest}"', ok=False)


@pytest.mark.parametrize("record", ["", "{}", "[]", "{", '{"blocks": 5}'])
def test_a_spoilt_record_approves_nothing(record: str, tmp_path: Path) -> None:
    machine(tmp_path, VORON)
    profiles.approval_of(tmp_path / "mine.toml").write_text(record)
    assert not _approved(profiles.load(tmp_path / "mine.toml"))


def test_only_printers_have_blocks_and_only_profiles_with_blocks_are_approved(
    tmp_path: Path,
) -> None:
    mill = Path(profiles.__file__).with_name("generic-cnc-3018.toml").read_text()
    path = tmp_path / "mill.toml"
    path.write_text(mill + '\n[blocks]\nstart = "G21"\n')
    with pytest.raises(ProfileBroken, match="for printers"):
        profiles.load(path)
    with pytest.raises(ProfileBroken, match="to approve"):
        profiles.approve(path, profiles.load("generic-fdm-220"), "Ada", "now")


def test_the_printer_of_the_handbook(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "machine-profiles.md"
    examples = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(next(text for text in examples if "[blocks]" in text), encoding="utf-8")
    program = (
        b"PRINT_START BED=60 EXTRUDER=215\nG21\nG90\nM83\nSET_PRESSURE_ADVANCE ADVANCE=0.04\n"
        b"EXCLUDE_OBJECT_START NAME=a\nG1 Z.2 F600\nG1 X60 E2\n"
        b"EXCLUDE_OBJECT_END NAME=a\nPRINT_END\n"
    )
    assert told(judge(program, profiles.load(path))) == ("review", {"block"})
    profiles.approve(path, profiles.load(path), "Ada", "now")
    assert told(judge(program, profiles.load(path))) == ("accept", set())


@pytest.mark.parametrize("said", ["G28\nG1Z-5 F600\n", "G28\nG1 Z-5F600\n", "G28\nG1 Z-5 F600\n"])
def test_a_number_in_a_move_is_held_however_it_is_spaced(said: str, tmp_path: Path) -> None:
    shop = machine(tmp_path, "G28\nG1 Z{number} F600")
    program = f"M104 S200\nM109 S200\n{said}{BODY}M104 S0\n"
    assert judge(program.encode(), shop).decision == "reject"


def test_a_hole_in_a_move_without_blanks_is_not_understood() -> None:
    with pytest.raises(BlockBrokenError, match="blank"):
        compile_block("G28\nG1Z{number}")


def test_what_hides_in_parentheses_is_no_part_of_a_block(tmp_path: Path) -> None:
    shop = machine(tmp_path, VORON, after=HOMED)
    said = VORON_SAID.replace("\n", " ( EXTRUDER=500 )\n")
    assert judge((said + BODY + "M104 S0\n").encode(), shop).decision == "reject"
