"""What GRBL 1.1h answers, line by line; each fact with the function of gnea/grbl it was read in."""

import pytest

from tests.hardware_sim.bare import Bare, with_settings

HOMING = {"20": 1, "22": 1, "23": 0, "27": 1, "130": 300, "131": 180, "132": 45}


def mill(**changes: object) -> Bare:
    return Bare("mill-3018", **changes)


def homed_mill(**settings: float) -> Bare:
    told = with_settings("mill-3018", {**HOMING, **settings})
    return mill(settings=told)


# gcode.c gc_execute_line: the number it FAILs with, and which check comes first
ERRORS = [
    ("X1 Y", 2),
    ("1X1", 1),
    ("#1=2", 1),
    ("G1 X", 2),
    ("G1 X1.2.3 F1", 1),
    ("G1X-F1", 2),
    ("M3 S-1", 4),
    ("N-1 G0 X1", 4),
    ("G4 P-1", 4),
    ("F-1", 4),
    ("G5 X1", 20),
    ("M6 T1", 20),
    ("M7", 20),  # config.h: ENABLE_M7 is not set
    ("M56", 20),
    ("G90.1", 20),
    ("G28.2", 20),
    ("G38 X1 F1", 20),
    ("G61.1", 20),
    ("E1", 20),
    ("G10 L3 P1 X1", 20),
    ("G10 L2 R1 P1 X1", 20),
    ("G17 G18", 21),
    ("M3 M4", 21),
    ("G54 G55", 21),
    ("G4 P0 G53", 21),
    ("G1 X10", 22),
    ("G1", 22),
    ("G2 X1 I1", 22),
    ("G93 G1 X1", 22),
    ("$J=X1", 22),
    ("M3.5", 23),
    ("G1.5 X1", 23),
    ("G59.1", 23),
    ("G256", 23),
    ("G0 G1 X1", 24),  # axis command conflict is looked at before the modal group
    ("G28 G1 X1", 24),
    ("G10 G92 X1", 24),
    ("G43.1 G0 Z1", 24),
    ("G0 X1 X2", 25),
    ("G1 F1 F2 X1", 25),
    ("G10 L2 P1", 26),
    ("G92", 26),
    ("G2 I1 F10", 26),
    ("G38.2 F10", 26),
    ("N10000001 G0 X1", 27),
    ("G4", 28),
    ("G10 X1", 28),
    ("G10 L2 P7 X1", 29),
    ("G53 G2 X1 Y1 I1 F100", 30),
    ("G80 X1", 31),
    ("G2 Z1 I1 F100", 32),
    ("G17 G2 X10 Y0 I3 F100", 33),
    ("G2 X0 Y0 R1 F100", 33),
    ("G38.2 X0 F10", 33),
    ("G2 X10 R1 F100", 34),
    ("G2 X10 Y0 F100", 35),
    ("G18 G2 X10 Z0 J1 F100", 35),
    ("G0 X1 I1", 36),
    ("M5 P1", 36),
    ("G4 P0 R1", 36),
    ("G2 X2 R1 I1 F100", 36),
    ("G43.1 X1", 37),
    ("G43.1", 37),
    ("T256", 38),
    ("$J=G2 X1 F10", 35),  # the arc is looked at before the jog
    ("$J=G0 X1 F10", 16),
    ("$J=M3 X1 F10", 16),
    ("$J=G28 X1 F10", 16),
    ("$J=X1 F10 S5", 36),
    # system.c system_execute_line
    ("$Q", 2),
    ("$", 0),
    ("$GG", 3),
    ("$#1", 3),
    ("$5", 3),
    ("$100", 3),
    ("$SLEEP", 3),
    ("$RST=x", 3),
    ("$J", 3),
    ("$=1", 2),
    ("$999=1", 3),
    ("$7=1", 3),
    ("$103=1", 3),
    ("$1=", 2),
    ("$1=1x", 3),
    ("$100=-1", 4),
    ("$H", 5),
    ("$0=2", 6),
    ("$20=1", 10),
    ("G1 X" + "1" * 90, 11),
]


@pytest.mark.parametrize(("line", "number"), ERRORS)
def test_refusals_have_grbls_own_numbers(line: str, number: int) -> None:
    assert mill().ask(line)[-1] == (f"error:{number}" if number else "ok")


def test_a_line_may_have_79_characters_after_cleaning() -> None:
    """protocol.h LINE_BUFFER_SIZE 80; blanks and comments do not count."""
    line = "G4P0" + "0" * 75
    assert mill().ask(line) == ["ok"]
    assert mill().ask(" ".join(line) + "(a comment of any length at all)") == ["ok"]
    assert mill().ask(line + "0") == ["error:11"]


def test_both_line_ends_end_a_line() -> None:
    """protocol.c protocol_main_loop: CR and LF each end one; an empty line gets its ok."""
    bare = mill()
    bare.put("G21\r\n\n(only words)\n")
    assert bare.heard() == ["ok"] * 4


def test_the_welcome_and_the_build() -> None:
    """report.c report_init_message, report_build_info; grbl.h."""
    bare = mill()
    assert bare.banner == ["", "Grbl 1.1h ['$' for help]"]
    assert bare.ask("$I") == ["[VER:1.1h.20190830:]", "[OPT:V,15,128]", "ok"]
    assert bare.ask("$I=shop mill 3") == ["ok"]
    assert bare.ask("$I")[0] == "[VER:1.1h.20190830:SHOPMILL3]"
    assert mill(door_switch=True).ask("$I")[1] == "[OPT:V+,15,128]"


def test_the_settings_as_printed() -> None:
    """report.c report_grbl_settings: bytes whole, spindle without decimals, the rest with three."""
    said = Bare("mill-3018", settings={}).ask("$$")
    assert said == [
        "$0=10", "$1=25", "$2=0", "$3=0", "$4=0", "$5=0", "$6=0", "$10=1", "$11=0.010",
        "$12=0.002", "$13=0", "$20=0", "$21=0", "$22=0", "$23=0", "$24=25.000", "$25=500.000",
        "$26=250", "$27=1.000", "$30=1000", "$31=0", "$32=0", "$100=250.000", "$101=250.000",
        "$102=250.000", "$110=500.000", "$111=500.000", "$112=500.000", "$120=10.000",
        "$121=10.000", "$122=10.000", "$130=200.000", "$131=200.000", "$132=200.000", "ok",
    ]  # fmt: skip


def test_the_modes_as_printed() -> None:
    """report.c report_gcode_modes; gcode.c: T counts for its own line only; step [3] turns inches
    into millimetres only from G94 to G94 (seen on 1.1h.20190825 under libsimavr)."""
    bare = mill()
    assert bare.ask("$G") == ["[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]", "ok"]
    bare.ask("G1 G55 G18 G20 G91 G93 M3 M8 T7 S1000.4 F20")
    assert bare.ask("$G")[0] == "[GC:G1 G55 G18 G20 G91 G93 M3 M8 T7 F20 S1000]"
    bare.ask("G94 F5")
    assert "T0 F5 S1000]" in bare.ask("$G")[0]
    bare.ask("F5")
    assert "T0 F127 S1000]" in bare.ask("$G")[0]
    bare.ask("G93")
    bare.ask("G94")
    assert bare.ask("$G")[0] == "[GC:G1 G55 G18 G20 G91 G94 M3 M8 T0 F0 S1000]"


def test_a_refused_line_changes_no_mode() -> None:
    """gcode.c: step 4 is only reached when all checks have passed."""
    bare = mill()
    bare.ask("G91 G20 G1 X1")  # no feed
    assert bare.ask("$G")[0] == "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]"


def test_the_offsets_as_printed() -> None:
    """report.c report_ngc_parameters."""
    bare = mill()
    bare.ask("G10 L2 P2 X1.5 Y-2", "G92 Z3", "G43.1 Z-0.25")
    assert bare.ask("$#") == [
        "[G54:0.000,0.000,0.000]", "[G55:1.500,-2.000,0.000]", "[G56:0.000,0.000,0.000]",
        "[G57:0.000,0.000,0.000]", "[G58:0.000,0.000,0.000]", "[G59:0.000,0.000,0.000]",
        "[G28:0.000,0.000,0.000]", "[G30:0.000,0.000,0.000]", "[G92:0.000,0.000,-3.000]",
        "[TLO:-0.250]", "[PRB:0.000,0.000,0.000:0]", "ok",
    ]  # fmt: skip


def test_status_fields_come_and_go() -> None:
    """report.c report_realtime_status: WCO first, Ov next, then every tenth when idle."""
    bare = mill(settings={"10": 1})
    rows = [bare.status() for _ in range(13)]
    plain = "<Idle|MPos:0.000,0.000,0.000|FS:0,0>"
    assert rows[0] == "<Idle|MPos:0.000,0.000,0.000|FS:0,0|WCO:0.000,0.000,0.000>"
    assert rows[1] == "<Idle|MPos:0.000,0.000,0.000|FS:0,0|Ov:100,100,100>"
    assert rows[2:10] == [plain] * 8
    assert rows[10].endswith("|WCO:0.000,0.000,0.000>")
    assert rows[11].endswith("|Ov:100,100,100>")
    bare.ask("M3 S500")
    assert bare.status().endswith("|FS:0,500|Ov:100,100,100|A:S>")
    assert Bare("mill-3018", settings={"10": 0}).status().startswith("<Idle|WPos:")
    assert (
        Bare("mill-3018", settings={"10": 2})
        .status()
        .startswith("<Idle|WPos:0.000,0.000,0.000|Bf:15,128|")
    )


def test_positions_are_whole_motor_steps() -> None:
    """planner.c plan_buffer_line: lround(target * steps_per_mm)."""
    bare = mill(settings={"100": 80})
    bare.ask("G0 X10.007", "G4 P0")
    assert "MPos:10.013,0.000,0.000" in bare.status()
    bare.ask("G0 X-0.0001", "G4 P0")
    assert "MPos:0.000,0.000,0.000" in bare.status()


def test_inches_in_reports() -> None:
    """$13: four decimals for places, one for rates (print.c, config.h)."""
    bare = mill()
    bare.ask("$13=1", "G0 X25.4", "G1 F254", "G4 P0")
    assert "MPos:1.0000,0.0000,0.0000" in bare.status()
    assert "F10.0 " in bare.ask("$G")[0]


def test_what_states_refuse() -> None:
    """system.c: $ commands by state; protocol.c: G-code while locked or jogging is error 9."""
    bare = mill()
    bare.ask("G1 X100 F600")
    for line, answer in (("$$", 8), ("$#", 8), ("$C", 8), ("$1=25", 8), ("$J=X1F10", 8)):
        bare.put(line + "\n")
        assert bare.heard() == [f"error:{answer}"]
    assert bare.ask("$G")[-1] == "ok"
    locked = homed_mill()
    assert locked.banner[-1] == "[MSG:'$H'|'$X' to unlock]"
    for line, answer in (("G0 X-1", "error:9"), ("$J=X1F10", "error:8"), ("$C", "error:8")):
        assert locked.ask(line) == [answer]
    assert locked.ask("$X") == ["[MSG:Caution: Unlocked]", "ok"]
    assert locked.ask("$X") == ["ok"]


def test_jogging_takes_no_g_code_and_stops_at_a_hold() -> None:
    bare = mill()
    bare.put("$J=G91 X50 F600\n")
    assert bare.heard() == ["ok"]
    assert bare.status().startswith("<Jog|")
    bare.put("G0 X1\n")
    assert bare.heard() == ["error:9"]
    bare.wait(1.0)
    bare.put(b"\x85")
    assert bare.status().startswith("<Idle|")
    assert bare.ask("$G")[0].startswith("[GC:G0 G54 G17 G21 G90 G94")


def test_check_mode_checks_and_ends_in_a_reset_after_its_ok() -> None:
    """system.c $C, motion_control.c mc_line: nothing moves, limits are still looked at."""
    bare = mill()
    assert bare.ask("$C") == ["[MSG:Enabled]", "ok"]
    assert bare.ask("G1 X10 F600") == ["ok"]
    assert bare.ask("G1 Y10 R2") == ["error:36"]
    assert bare.ask("M0") == ["ok"]
    assert bare.status().startswith("<Check|MPos:0.000,0.000,0.000")
    assert bare.ask("M30") == ["[MSG:Pgm End]", "ok"]
    assert bare.ask("$C") == ["[MSG:Disabled]", "ok", "", "Grbl 1.1h ['$' for help]"]
    assert bare.journal.starts == 0


def test_reset_in_motion_says_alarm_then_the_lines_ok_then_welcome() -> None:
    """motion_control.c mc_reset; the line that was blocked still gets its ok on the way out."""
    bare = mill()
    bare.ask("G1 X100 F600")
    bare.put("G4 P1\n")
    assert bare.heard() == []
    bare.put(b"\x18?G4 P0\n")  # lost, all of it: the restart begins with an empty buffer
    assert bare.heard() == ["ALARM:3"]
    bare.put("G4 P0\n?")
    said = bare.wait(1)
    assert said == ["ok", "", "Grbl 1.1h ['$' for help]", "[MSG:'$H'|'$X' to unlock]"]


def test_soft_limit_is_critical_and_deaf_to_questions() -> None:
    """limits.c limits_soft_check; protocol.c waits in an empty loop for the reset."""
    bare = homed_mill()
    bare.ask("$H")
    assert bare.ask("$J=G91 X500 F100") == ["error:15"]
    assert bare.ask("G0 X20") == ["ALARM:2", "[MSG:Reset to continue]"]
    bare.put("?G0 X-5\n")
    assert bare.heard() == []
    bare.put(b"\x18")
    assert bare.heard() == ["ok", "", "Grbl 1.1h ['$' for help]", "[MSG:'$H'|'$X' to unlock]"]


def test_homing_ends_a_pull_off_away_and_answers_questions_late() -> None:
    """limits.c limits_go_home; there is no time for reports in its loop."""
    bare = homed_mill(**{"23": 3})
    bare.put("$H\n")
    bare.put("?")
    bare.put("?")
    assert bare.heard() == []
    said = bare.wait(600)
    assert [x[:6] for x in said] == ["<Home|", "ok"]
    assert "MPos:-299.000,-179.000,-1.000" in bare.status()


@pytest.mark.parametrize(("fault", "number"), [("limit-stuck", 8), ("limit-dead", 9)])
def test_a_bad_switch_fails_the_homing(fault: str, number: int) -> None:
    bare = homed_mill()
    bare.board.deeds()[fault]()
    said = bare.ask("$H")
    assert said == [
        f"ALARM:{number}", "ok", "", "Grbl 1.1h ['$' for help]", "[MSG:'$H'|'$X' to unlock]",
    ]  # fmt: skip
    bare.put("$H\n")
    bare.put(b"\x18")
    assert bare.heard()[0] == "ALARM:6"


def test_a_hard_limit_stops_everything() -> None:
    bare = homed_mill(**{"20": 0, "21": 1})
    bare.ask("$H", "G1 X50 F1500")
    assert bare.wait(30) == ["ALARM:1"]
    bare.put(b"\x18")  # too early: the flag is cleared when the half second is over
    assert bare.wait(1) == ["[MSG:Reset to continue]"]
    bare.put(b"\x18")
    assert bare.heard()[1] == "Grbl 1.1h ['$' for help]"


def test_probing() -> None:
    """motion_control.c mc_probe_cycle."""
    bare = mill(probe_z_mm=-3.0)
    assert bare.ask("G38.2 Z-10 F100") == ["[PRB:0.000,0.000,-3.000:1]", "ok"]
    assert "|Pn:P|" in bare.status()
    assert bare.ask("G38.2 Z-20 F100") == ["ALARM:4", "ok"]
    nothing = mill()
    assert nothing.ask("G38.3 Z-2 F100") == ["[PRB:0.000,0.000,-2.000:0]", "ok"]
    assert nothing.ask("G38.2 Z-4 F100") == ["ALARM:5", "[PRB:0.000,0.000,-2.000:0]", "ok"]


def test_the_door() -> None:
    """protocol.c: ajar, shut, back to work; a spindle needs four seconds."""
    bare = mill(door_switch=True)
    bare.ask("M3 S1000", "G1 X100 F1500")
    bare.wait(1.0)
    bare.board.deeds()["door-open"]()
    assert bare.heard() == ["[MSG:Check Door]"]
    assert bare.status().startswith("<Door:2|")
    bare.wait(2.0)
    ajar = bare.status()
    assert ajar.startswith("<Door:1|")
    assert "|Pn:D|" in ajar
    bare.put("~")
    assert bare.status().startswith("<Door:1|")
    bare.board.deeds()["door-close"]()
    assert bare.status().startswith("<Door:0|")
    bare.put("~")
    assert bare.status().startswith("<Door:3|")
    bare.wait(4.1)
    assert bare.status().startswith("<Run|")


def test_overrides() -> None:
    """config.h CMD_FEED_OVR_*: coarse, fine, limits; the change is reported at once."""
    bare = mill()
    bare.status(), bare.status()
    bare.put(bytes([0x91, 0x91, 0x94, 0x96, 0x9B]))
    assert "|Ov:119,50,90" in bare.status()
    bare.put(bytes([0x92] * 20))
    assert "|Ov:10,50,90" in bare.status()
    bare.put(bytes([0x90, 0x95, 0x99]))
    assert "|Ov:100,100,100" in bare.status()


def test_spindle_stop_override_only_in_a_hold() -> None:
    bare = mill()
    bare.ask("M3 S1000")
    bare.put(b"\x9e!\x9e")
    assert "|FS:0,0" in bare.status()
    bare.put(b"~")
    assert bare.heard() == ["[MSG:Restoring spindle]"]
    assert "|FS:0,1000" in bare.status()


def test_the_spindle_stays_within_its_range() -> None:
    """spindle_control.c spindle_compute_pwm_value."""
    bare = mill(settings={"30": 10000, "31": 100})
    bare.ask("M3 S20000")
    assert "|FS:0,10000" in bare.status()
    bare.ask("S50")
    assert "|FS:0,100" in bare.status()
    assert "S50]" in bare.ask("$G")[0]


def test_sleep_wakes_locked() -> None:
    bare = mill()
    assert bare.ask("$SLP") == ["ok", "[MSG:Sleeping]"]
    bare.put("G0 X1\n?")
    assert bare.heard() == ["<Sleep|MPos:0.000,0.000,0.000|Bf:15,122|FS:0,0|WCO:0.000,0.000,0.000>"]
    bare.status()
    bare.put(b"\x84")
    bare.heard()
    assert "Ov:" not in bare.status()  # the accessories were off already
    bare.put(b"\x18")
    assert bare.heard()[-1] == "[MSG:'$H'|'$X' to unlock]"


def test_startup_lines_are_kept_and_run_at_a_reset() -> None:
    bare = mill()
    assert bare.ask("$N0=G20 G55") == ["ok"]
    assert bare.ask("$N1=G99") == ["error:20"]
    assert bare.ask("$N") == ["$N0=G20G55", "$N1=", "ok"]
    bare.put(b"\x18")
    assert bare.heard() == ["", "Grbl 1.1h ['$' for help]", ">G20G55:ok"]
    assert bare.ask("$RST=*")[:2] == ["[MSG:Restoring defaults]", "ok"]
    assert bare.ask("$N") == ["$N0=", "$N1=", "ok"]


def test_program_end_keeps_units_feed_and_speed() -> None:
    """gcode.c step [21]."""
    bare = mill()
    bare.ask("G20 G91 G55 G18 G93 M4 S700 M8")
    assert bare.ask("M2") == ["[MSG:Pgm End]", "ok"]
    assert bare.ask("$G")[0] == "[GC:G1 G54 G17 G20 G90 G94 M5 M9 T0 F0 S700]"


def test_an_eeprom_write_makes_it_deaf() -> None:
    """machines.md trap 19: the receive interrupt is off while a byte is written."""
    bare = mill()
    bare.put("G10 L2 P1 X1\n")
    bare.put("G0 X5\n")
    assert bare.wait(1.0) == ["ok"]
    assert bare.board.state(bare.now_s)["overrun_bytes"] == 6


def test_bytes_of_utf8_comments_are_obeyed() -> None:
    """machines.md trap 22, serial.c: 0x80 to 0xFF never reach the parser; 0x84 is the door."""
    bare = mill()
    bare.put("(\u0104)\n".encode())
    assert "[MSG:Check Door]" in bare.heard()
    assert bare.status().startswith("<Door:0|")


def test_the_buffer_holds_128_bytes_and_fifteen_moves() -> None:
    bare = mill(settings={"10": 3})
    for number in range(16):
        bare.put(f"G1X{number + 1}F60\n")
    assert bare.heard() == ["ok"] * 15
    bare.put(b"G4P1\n" * 40)
    row = bare.status()
    assert "|Bf:0,0|" in row
    assert bare.board.state(0)["overrun_bytes"] == 200 - 128


def test_laser_mode_needs_no_stop_for_power_on_a_move() -> None:
    """gcode.c GC_PARSER_LASER_*: S on a cutting line rides with the move; M4 is dark at rest."""
    laser = Bare("laser-400")
    laser.ask("M4 S0", "G1 X10 F600 S500", "G1 X20 S900")
    assert laser.board.moving
    laser.wait(0.002)
    rate, beam = map(float, laser.status().split("FS:")[1].split("|")[0].split(","))
    assert 0 < rate < 600
    assert beam == pytest.approx(500 * rate / 600, abs=1)  # M4 follows the speed
    laser.wait(0.3)
    assert "|FS:600,500" in laser.status()
    laser.still()
    assert "|FS:0,0" in laser.status()
    laser.ask("M3 S300")
    assert "|FS:0,300" in laser.status()
    laser.ask("G0 X0")
    assert "|FS:0,0" in laser.status()


def laser_mill() -> Bare:
    return Bare("grbl-stock", settings={"32": 1})


def test_a_beam_stays_as_the_last_move_left_it() -> None:
    """stepper.c st_prep_buffer: each block sets it. Seen on 1.1h.20190825 under libsimavr."""
    laser = laser_mill()
    laser.ask("M3 S100", "G0 X1", "G4 P0")
    assert "|FS:0,0" in laser.status()
    laser.ask("G1 F500")  # from G0 to G1 without a move: on again
    assert laser.status().endswith("|FS:0,100|Ov:100,100,100|A:S>")
    laser.ask("G1 X0 S5", "G4 P0")
    assert "|FS:0,5" in laser.status()
    laser.ask("G0")
    assert "|FS:0,0" in laser.status()


def test_a_hold_puts_a_beam_out_and_says_when_it_comes_back() -> None:
    """config.h DISABLE_LASER_DURING_HOLD. Seen on 1.1h.20190825 under libsimavr."""
    laser = laser_mill()
    laser.ask("G1 F500 M3 S50")
    laser.put("!")
    assert "|FS:0,0" in laser.status()
    laser.put(b"\x9e")
    assert laser.heard() == ["[MSG:Restoring spindle]"]
    assert "|FS:0,50" in laser.status()
    laser.put(b"~")
    assert laser.heard() == []
    laser.put(b"!")
    laser.put(b"~")
    assert laser.heard() == ["[MSG:Restoring spindle]"]
    assert "|FS:0,0" in laser.status()  # at rest it waits for the next move


def test_coolant_in_check_mode_and_behind_a_door_does_not_flow() -> None:
    """coolant_control.c coolant_set_state, coolant_get_state: A tells the pin, `$G` the mode."""
    bare = mill()
    bare.ask("M8")
    assert bare.status().endswith("|WCO:0.000,0.000,0.000>")
    assert bare.status().endswith("|A:F>")
    bare.put(b"\x84")
    assert bare.heard() == ["[MSG:Check Door]"]
    assert bare.status().endswith("|Ov:100,100,100>")
    bare.put(b"\x18")
    bare.ask("$C", "M8")
    assert "M8" in bare.ask("$G")[0]
    assert "A:" not in bare.status() + bare.status() + bare.status()


def test_a_reset_in_a_finished_hold_loses_nothing() -> None:
    """machines.md trap 20: Hold:0 is at rest, Hold:1 is not."""
    bare = mill()
    bare.ask("G1 X100 F1500")
    bare.wait(1.0)
    bare.put("!")
    assert bare.status().startswith("<Hold:1|")
    bare.wait(2.0)
    assert bare.status().startswith("<Hold:0|")
    place = bare.status().split("|")[1]
    bare.put(b"\x18")
    assert bare.heard() == ["", "Grbl 1.1h ['$' for help]"]
    assert bare.status().split("|")[1] == place


def test_an_altered_line_that_is_still_valid_is_carried_out() -> None:
    """machines.md trap 17: no number, no checksum."""
    bare = mill()
    assert bare.ask("G1 X10 F600", "G1 X90 F600", "G4 P0") == ["ok"]
    assert "MPos:90.000" in bare.status()


def test_it_carries_on_after_an_error() -> None:
    """interface.md: in character counting, what is in the buffer behind an error is executed."""
    bare = mill()
    bare.put("G1 X10 F600\nG1 Q5\nG1 Y10\nG4 P0\n")
    assert bare.wait(60) == ["ok", "error:20", "ok", "ok"]
    assert "MPos:10.000,10.000" in bare.status()


def test_lines_wait_in_a_hold() -> None:
    bare = mill()
    bare.put("!G0 X5\n")
    assert bare.heard() == []
    bare.put("~")
    assert bare.heard() == ["ok"]
