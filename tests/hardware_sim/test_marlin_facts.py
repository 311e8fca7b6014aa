"""What Marlin 2.1 answers, line by line; each fact with the file it was read in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sim.marlin.intake import Command, Intake, LineFault, xor
from tests.hardware_sim.bare import Bare
from tests.hardware_sim.conftest import numbered


def printer(**changes: object) -> Bare:
    return Bare("printer-220", **changes)


def test_the_banner() -> None:
    """MarlinCore.cpp setup."""
    assert printer().banner == [
        "start",
        "Marlin 2.1.2.1",
        "echo: Last Updated: 2024-01-06 | Author: (none, default config)",
        "echo: Compiled: Jan  6 2024",
        "echo: Free Memory: 3813  PlannerBufferBytes: 1152",
        "echo:Hardcoded Default Settings Loaded",
    ]


def test_it_says_what_it_can_in_the_sources_order() -> None:
    """host/M115.cpp."""
    said = printer(advanced_ok=True, emergency_parser=True, host_actions=True).ask("M115")
    assert said[0] == (
        "FIRMWARE_NAME:Marlin 2.1.2.1 (Jan  6 2024 12:00:00)"
        " SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin PROTOCOL_VERSION:1.0"
        " MACHINE_TYPE:printer-220 EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
    )
    names = [row.split(":")[1] for row in said[1:-1]]
    assert names[:6] == [
        "SERIAL_XON_XOFF", "BINARY_FILE_TRANSFER", "EEPROM", "VOLUMETRIC", "AUTOREPORT_POS",
        "AUTOREPORT_TEMP",
    ]  # fmt: skip
    assert names[-1] == "CONFIG_EXPORT"
    assert "Cap:EMERGENCY_PARSER:1" in said
    assert "Cap:HOST_ACTION_COMMANDS:1" in said


# gcode.cpp dispatch, and the file of each code
ANSWERS = [
    ("M114", ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0", "ok"]),
    ("M105", ["ok T:22.00 /0.00 B:22.00 /0.00 @:0 B@:0"]),
    ("M105 T1", ["echo:M105 Invalid extruder 1"]),  # M105.cpp returns before any ok
    ("M104 T1 S200", ["echo:M104 Invalid extruder 1", "ok"]),
    ("T0", ["ok"]),
    ("T1", ["echo:T1 Invalid extruder", "ok"]),
    ("M113", ["echo:M113 S2", "ok"]),
    ("M119", ["Reporting endstop status", "x_min: open", "y_min: open", "z_min: open", "ok"]),
    ("M118 hello there", ["hello there", "ok"]),
    ("M118 E1 hello", ["echo:hello", "ok"]),
    ("M118 A1 action:cancel", ["//action:cancel", "ok"]),
    ("M117 G1 X5", ["ok"]),
    ("M220", ["FR:100%", "ok"]),
    ("M221", ["echo:E0 Flow: 100%", "ok"]),
    ("M302", ["echo:Cold extrudes are disabled (min temp 170C)", "ok"]),
    ("M206", ["  M206 X0.00 Y0.00 Z0.00", "ok"]),
    ("M211", ["  M211 S1 ; ON", "  Min:  X0.00 Y0.00 Z0.00   Max:  X220.00 Y220.00 Z250.00", "ok"]),
    ("M92", ["  M92 X80.00 Y80.00 Z400.00 E500.00", "ok"]),
    ("M203", ["  M203 X500.00 Y500.00 Z12.00 E120.00", "ok"]),
    ("M201", ["  M201 X3000.00 Y3000.00 Z200.00 E10000.00", "ok"]),
    ("M204", ["  M204 P1000.00 R1500.00 T1000.00", "ok"]),
    ("M205", ["  M205 B20000.00 S0.00 T0.00 X8.00 Y8.00 Z0.40 E5.00", "ok"]),
    ("M301", ["  M301 P22.20 I1.08 D114.00", "ok"]),
    ("M500", ["Error:EEPROM disabled", "ok"]),
    ("M502", ["echo:Hardcoded Default Settings Loaded", "ok"]),
    ("M31", ["echo:Print time: 0s", "ok"]),
    ("M999", ["Resend: 1", "ok", "ok"]),  # machines.md trap 3
    ("G92 E5", ["X:0.00 Y:0.00 Z:0.00 E:5.00 Count X:0 Y:0 Z:0", "ok"]),
    ("G1 E5", ["echo: cold extrusion prevented", "ok"]),
    ("G2 X5 Y5", ["Error:G2/G3 bad parameters", "ok"]),
    ("G29", ['echo:Unknown command: "G29"', "ok"]),
    ("G20", ['echo:Unknown command: "G20"', "ok"]),
    ("M154 S1", ['echo:Unknown command: "M154 S1"', "ok"]),
    ("M20", ['echo:Unknown command: "M20"', "ok"]),
    ("M420 S1 ; level", ['echo:Unknown command: "M420 S1 "', "ok"]),
    ("g1 x5", ['echo:Unknown command: "g1 x5"', "ok"]),
    ("X5", ['echo:Unknown command: "X5"', "ok"]),
    ("M73 P5 R60", ["ok"]),
    ("  G1 X1 F60", ["ok"]),
    ("G1X1Y1F60", ["ok"]),
    ("", []),
    ("; only words", []),
]


@pytest.mark.parametrize(("line", "answer"), ANSWERS)
def test_answers(line: str, answer: list[str]) -> None:
    assert printer().ask(line) == answer


def test_the_settings_report() -> None:
    """settings.cpp MarlinSettings::report, classic jerk and junction deviation."""
    said = printer().ask("M503")
    assert said[:6] == [
        "echo:; Linear Units:", "echo:  G21 ; (mm)",
        "echo:; Temperature Units:", "echo:  M149 C ; Units in Celsius",
        "echo:; Filament settings (Disabled):", "echo:  M200 S0 D1.75",
    ]  # fmt: skip
    assert "echo:  M203 X500.00 Y500.00 Z12.00 E120.00" in said
    machine = printer().machine
    smooth = machine.motion.model_copy(update={"junction_mm": 0.013})  # type: ignore[union-attr]
    assert printer(motion=smooth).ask("M205") == ["  M205 B20000.00 S0.00 T0.00 J0.01", "ok"]


def test_homing_says_where_it_ended() -> None:
    """calibrate/G28.cpp report_current_position."""
    assert printer().ask("G28") == [
        "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0",
        "ok",
    ]


def test_m114_reports_what_is_planned_not_what_is_reached() -> None:
    bare = printer()
    bare.put("G1 X100 F60\nM114\n")
    assert "X:100.00 Y:0.00 Z:0.00 E:0.00 Count X:8000 Y:0 Z:0" in bare.heard()


def test_motors_off_leaves_soft_endstops() -> None:
    """motion.cpp apply_motion_limits asks whether an axis was homed, not whether it is trusted."""
    bare = printer()
    bare.ask("G28", "M84", "G1 X900 F6000")
    assert bare.ask("M114")[0].startswith("X:220.00")


def test_heating_reports_at_once_and_every_second() -> None:
    """temperature.cpp wait_for_hotend; BUSY_WHILE_HEATING."""
    said = printer().ask("M109 S60")
    assert said[0] == " T:22.00 /60.00 B:22.00 /0.00 @:127 B@:0 W:?"
    assert "echo:busy: processing" in said
    assert [x.split("W:")[1] for x in said if "W:" in x][-10:] == list("9876543210")
    assert said[-1] == "ok"


def test_waiting_for_cold_needs_r() -> None:
    bare = printer()
    bare.ask("M109 S60")
    assert bare.ask("M109 S30") == ["ok"]
    began_s = bare.now_s
    bare.ask("M109 R30")
    assert bare.now_s > began_s + 60


def test_a_warm_heater_still_settles_for_thirteen_seconds() -> None:
    """temperature.cpp: residency starts a third later when the first look finds it warm."""
    bare = printer()
    bare.ask("M109 S60")
    began_s = bare.now_s
    said = bare.ask("M109 S60")
    assert bare.now_s - began_s == pytest.approx(10 + 10 / 3)
    assert [x.split("W:")[1] for x in said if "W:" in x][:3] == ["?", "12", "11"]


def test_automatic_reports_come_by_themselves() -> None:
    bare = printer(auto_position=True)
    bare.ask("M155 S2", "M154 S5")
    said = [row[:2] for row in bare.wait(10.5)]
    assert said == [" T", " T", "X:", " T", " T", " T", "X:"]


def test_errors_of_the_line() -> None:
    """queue.cpp: N is looked at before the checksum; the ok belongs to the request."""
    bare = printer()
    assert bare.ask(numbered(5, "M105")) == [
        "Error:Line Number is not Last Line Number+1, Last Line: 0", "Resend: 1", "ok",
    ]  # fmt: skip
    assert bare.ask("N1 M105*1") == ["Error:checksum mismatch, Last Line: 0", "Resend: 1", "ok"]
    assert bare.ask("N1 M105") == [
        "Error:No Checksum with line number, Last Line: 0", "Resend: 1", "ok",
    ]  # fmt: skip
    assert bare.ask("N9 M105*1")[0].startswith("Error:Line Number is not")
    assert bare.ask(numbered(1, "M105"))[0].startswith("ok T:")


def test_a_letter_that_turned_hides_the_checksum() -> None:
    """machines.md section 3: without N no checksum is looked at; the line is executed as it is."""
    waiting = printer()
    waiting.put("M1 G1 X5*77\n")
    assert waiting.printer.wants_person
    assert printer().ask("K1 G1 X5*77") == ['echo:Unknown command: "K1 G1 X5"', "ok"]


def test_counting_starts_over_when_m110_is_carried_out() -> None:
    """host/M110.cpp: lines that were let in behind it are forgotten again."""
    bare = printer(bufsize=8)
    bare.put("G4 P1000\n" + numbered(0, "M110 N2000") + "\n" + numbered(2001, "M117 a") + "\n")
    said = bare.wait(2.0)
    assert said == ["ok"] * 3
    assert bare.ask(numbered(2002, "M117 b"))[0].endswith("Last Line: 2000")
    assert bare.ask(numbered(2001, "M117 a")) == ["ok"]


def test_a_number_beyond_a_long_saturates() -> None:
    bare = printer()
    assert bare.ask(numbered(0, "M110 N99999999999")) == ["ok"]
    assert bare.ask(numbered(5, "M105"))[0].endswith("Last Line: 2147483647")


def test_a_line_is_cut_at_95_characters() -> None:
    bare = printer()
    text = "M118 " + "x" * 200
    assert bare.ask(text) == ["x" * 90, "ok"]


def test_a_numbered_m112_waits_its_turn_and_a_bare_one_does_not() -> None:
    """queue.cpp looks at command[0]; machines.md trap 3."""
    bare = printer()
    bare.put("G4 S5\n" + numbered(1, "M112") + "\n")
    assert bare.heard() == []
    assert bare.wait(6.0)[-2:] == ["echo:M112 Shutdown", "Error:Printer halted. kill() called!"]
    other = printer()
    other.put("G4 S5\nM112\n")
    assert other.heard() == ["echo:M112 Shutdown", "Error:Printer halted. kill() called!"]
    assert other.ask("M105") == []


def test_without_an_emergency_parser_a_full_queue_hides_m112() -> None:
    bare = printer()
    bare.put("G4 S60\n" + "M117 x\n" * 3 + "M112\n")
    assert bare.heard() == []
    watched = printer(emergency_parser=True)
    for piece in ("G4 S60\n", "M117 x\n" * 3, "M1", "12", "\n"):
        watched.put(piece)
    assert watched.board.dead


def test_m108_ends_a_wait() -> None:
    bare = printer(emergency_parser=True)
    bare.put("M109 S200\n")
    bare.wait(5.0)
    bare.put("M108\n")
    assert bare.wait(1.1)[-2:] == ["ok", "ok"]


def test_m0_needs_a_panel_or_an_emergency_parser() -> None:
    """gcode.cpp: HAS_RESUME_CONTINUE."""
    assert printer(panel=False).ask("M0")[0].startswith("echo:Unknown command")
    bare = printer()
    bare.put("M0\n")
    assert bare.wait(3.0) == ["echo:busy: paused for user"]
    bare.board.press()
    assert bare.wait(0.1) == ["ok"]


def test_ok_n_p_b() -> None:
    """queue.cpp ok_to_send: the command still has its slot; M105's ok is another."""
    bare = printer(advanced_ok=True)
    assert bare.ask("G90") == ["ok P15 B3"]
    assert bare.ask(numbered(1, "M117 x")) == ["ok N1 P15 B3"]
    assert bare.ask("M105")[0].startswith("ok T:")
    bare.put("G1 X10 F60\nG1 X20\nG1 X30\n")
    assert bare.heard() == ["ok P14 B1", "ok P13 B2", "ok P12 B3"]


@pytest.mark.parametrize(
    ("fault", "warm", "error"),
    [
        ("heater-dead", False, "Error:Heating failed, system stopped! Heater_ID: E0"),
        ("heater-dead", True, "Error:Thermal Runaway, system stopped! Heater_ID: E0"),
        ("runaway", True, "Error:MAXTEMP triggered, system stopped! Heater_ID: E0"),
        ("thermistor-off", True, "Error:MINTEMP triggered, system stopped! Heater_ID: E0"),
        ("thermistor-short", False, "Error:MAXTEMP triggered, system stopped! Heater_ID: E0"),
    ],
)
def test_thermal_protection(fault: str, warm: bool, error: str) -> None:
    """temperature.cpp _temp_error; in 2.1 the hot end's name brings a line end of its own."""
    bare = printer()
    bare.ask("M109 S200" if warm else "M104 S200")
    bare.board.deeds()[fault]()
    said = bare.wait(900)
    assert said[0] == error
    assert said[1] == ""
    assert said[2].startswith("echo:")
    assert said[3] == "Error:Printer halted. kill() called!"
    assert bare.printer.hotend.target_c == 0


def test_a_print_from_the_card_is_somebody_elses() -> None:
    bare = printer(sd_card=True)
    assert bare.ask("M20") == ["Begin file list", "End file list", "ok"]
    bare.board.deeds()["panel-print"]()
    said = bare.wait(60)
    assert "ok" not in said
    assert bare.journal.running
    bare.put("M27\n")
    assert any(x.startswith("SD printing byte ") for x in bare.wait(30))
    bare.board.deeds()["panel-stop"]()
    bare.wait(60)
    assert bare.ask("M27") == ["Not SD printing", "ok"]


def test_the_panel_speaks_to_the_host_if_it_can() -> None:
    assert printer().board.deeds()["panel-stop"]() is None
    bare = printer(host_actions=True)
    bare.board.deeds()["panel-pause"]()
    assert bare.heard() == ["//action:pause"]


def test_somebody_turns_the_knob() -> None:
    bare = printer()
    bare.ask("G28", "G1 X50 F6000")
    bare.board.deeds()["panel-jog"]()
    assert bare.ask("M114")[0].startswith("X:60.00")


# ---- the front door, chopped anywhere


def _feed(chunks: list[bytes]) -> list[Command | LineFault]:
    intake = Intake(4096, 64, 96, lambda _: None)
    found: list[Command | LineFault] = []
    for chunk in chunks:
        intake.put(chunk)
        while (one := intake.next()) is not None:
            found.append(one)
            intake.queue.clear()
    return found


LINES = st.lists(st.text(alphabet="GXYZE0123456789. -", max_size=30), max_size=8)


@given(LINES, st.lists(st.integers(0, 300), max_size=10))
@settings(max_examples=60, deadline=None)
def test_chopping_changes_nothing(lines: list[str], cuts: list[int]) -> None:
    rows = [numbered(n, f"M117 {text}") for n, text in enumerate(lines, 1)]
    data = "".join(f"{row}\n" for row in rows).encode()
    places = sorted({min(cut, len(data)) for cut in cuts})
    chunks = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    assert _feed([chunk for chunk in chunks if chunk]) == _feed([data])
    assert len(_feed([data])) == len(lines)


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_bytes_upset_the_front_door(data: bytes) -> None:
    for one in _feed([data]):
        assert isinstance(one, LineFault) or len(one.text) <= 95


@given(st.binary(min_size=1, max_size=90), st.integers(0, 89), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_one_altered_byte_never_keeps_the_checksum(data: bytes, place: int, turn: int) -> None:
    other = bytearray(data)
    other[place % len(data)] ^= turn
    assert xor(bytes(other)) != xor(data)


def test_asking_again_for_what_it_has_is_safe_and_tells_the_truth() -> None:
    """machines.md section 3: re-send an unacknowledged line; the answer cannot lie."""
    bare = printer()
    bare.ask(*(numbered(n, f"G92 E{n}") for n in range(1, 4)))
    before = bare.ask("M114")
    assert bare.ask(numbered(1, "G92 E9"))[:2] == [
        "Error:Line Number is not Last Line Number+1, Last Line: 3",
        "Resend: 4",
    ]
    assert bare.ask("M114") == before


def test_a_line_sent_twice_is_dropped_without_a_word() -> None:
    """queue.cpp get_serial_commands, 2.1.2 on: the last two numbers; before, they are refused."""
    bare = printer()
    bare.ask(numbered(1, "M83"), numbered(2, "G92 E1"))
    assert bare.ask(numbered(2, "G92 E9")) == []
    assert bare.ask(numbered(1, "G92 E9")) == []
    assert bare.ask(numbered(2, "G92 E9") + "0") == []  # its checksum is not even looked at
    assert bare.ask(numbered(3, "M117 x")) == ["ok"]
    older = printer(drops_repeats=False)
    older.ask(numbered(1, "M83"))
    assert older.ask(numbered(1, "M83"))[1:] == ["Resend: 2", "ok"]


def test_what_finds_no_room_is_lost_in_silence() -> None:
    """machines.md trap 9: 128 bytes, one place of the ring stays free, no flow control."""
    bare = printer()
    bare.put("G4 S5\n" + "M117 a\n" * 3)
    bare.put(b"x" * 500)
    assert bare.board.state(0)["overrun_bytes"] == 500 - 127
    assert bare.heard() == []


def test_one_fault_sets_off_a_storm() -> None:
    """machines.md trap 1: every line in flight behind a bad one gives its own Error, Resend, ok."""
    bare = printer()
    rows = [numbered(n, f"M117 {n}") for n in range(1, 5)]
    bare.put(rows[0].replace("M117", "M118") + "\n")
    for row in rows[1:]:
        bare.put(row + "\n")
    assert [x for x in bare.heard() if x.startswith("Resend")] == ["Resend: 1"] * 4


def test_busy_comes_every_two_seconds_and_can_be_switched_off() -> None:
    """machines.md trap 4; gcode.cpp host_keepalive, M113."""
    assert printer().ask("G4 S9").count("echo:busy: processing") == 4
    bare = printer()
    assert bare.ask("M113 S0", "G4 S9") == ["ok"]


def test_nothing_is_heard_after_a_kill_until_a_reset() -> None:
    """machines.md trap 6."""
    bare = printer()
    bare.ask("M104 S200", "M112")
    assert bare.ask("M105", "M999") == []
    bare.board.power_up(bare.now_s)
    assert bare.heard()[0] == "start"
