"""What Marlin 2.1.2 does with odd lines and with less usual codes; each with where it was read."""

import pytest

from tests.hardware_sim.bare import Bare
from tests.hardware_sim.conftest import numbered


def printer(**changes: object) -> Bare:
    return Bare("printer-220", **changes)


def stock(**changes: object) -> Bare:
    return Bare("marlin-stock", **changes)


# parser.cpp parse, parser.h, queue.cpp process_stream_char
ODD_LINES = [
    ("   ", ['echo:Unknown command: ""', "ok"]),  # not empty for the queue
    ("X5  ", ['echo:Unknown command: "X5  "', "ok"]),  # blanks go only before a star
    ("X5  *77", ['echo:Unknown command: "X5"', "ok"]),
    ("  M118 a", ["a", "ok"]),
    ("M118 a  ", ["a  ", "ok"]),
    ("M 1 18 x", ['echo:Unknown command: "M 1 18 x"', "ok"]),
    ("M 118 x", ["x", "ok"]),
    ("G", ['echo:Unknown command: "G"', "ok"]),
    ("G X5", ['echo:Unknown command: "G X5"', "ok"]),
    ("M65649 S1", ["ok"]),  # 65649 - 65536 = 113: a code has 16 bits
    ("M118.7 x", [".7 x", "ok"]),  # without USE_GCODE_SUBCODES the point belongs to the words
    ("M118 a\\;b;c", ["a;b", "ok"]),
    ("\\;M118 a", []),  # enqueue takes no comment, an escaped one neither
    ("M118 ab\bc", ["ac", "ok"]),
    ("M118 (a)", ["(a)", "ok"]),  # PAREN_COMMENTS is off
    ("M118 a\0b", ["a", "ok"]),
    ("M118 " + "x" * 90 + "\b\b", ["x" * 90, "ok"]),  # the buffer is full, the rest is skipped
    ("T256", ["ok"]),
    ("T257", ["echo:T1 Invalid extruder", "ok"]),
    ("M104 T-1 S20", ["ok"]),  # value_byte is never below 0
    ("M104 T200 S20", ["ok"]),  # and an int8 above 127 is below 0: turned away without a word
    ("M104 T127 S20", ["echo:M104 Invalid extruder 127", "ok"]),
    ("M117", ["ok"]),
]


@pytest.mark.parametrize(("line", "answer"), ODD_LINES)
def test_odd_lines(line: str, answer: list[str]) -> None:
    assert stock().ask(line) == answer


# gcode.cpp process_parsed_command with Configuration.h as it comes, and the file of each code
STOCK = [
    ("M0", ['echo:Unknown command: "M0"', "ok"]),  # neither menu nor emergency parser
    ("M1 stop", ['echo:Unknown command: "M1 stop"', "ok"]),
    ("M145", ['echo:Unknown command: "M145"', "ok"]),
    ("M600", ['echo:Unknown command: "M600"', "ok"]),
    ("M73 P5", ['echo:Unknown command: "M73 P5"', "ok"]),
    ("M900 K0", ['echo:Unknown command: "M900 K0"', "ok"]),
    ("M420 V", ['echo:Unknown command: "M420 V"', "ok"]),
    ("M27", ['echo:Unknown command: "M27"', "ok"]),
    ("M504", ['echo:Unknown command: "M504"', "ok"]),
    ("M80", ['echo:Unknown command: "M80"', "ok"]),
    ("M81", ["ok"]),  # on every board
    ("M108", ["ok"]),
    ("M410", ["ok"]),
    ("M21", ['echo:Unknown command: "M21"', "ok"]),
    ("G10", ['echo:Unknown command: "G10"', "ok"]),
    ("G92.1", ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0", "ok"]),
    ("M111", ["echo:DEBUG:off", "ok"]),
    ("M111 S9", ["echo:DEBUG:ECHO,DRYRUN", "ok"]),
    ("M428", ["echo:Home XYZ First", "ok"]),
    ("M205", ["  M205 B20000.00 S0.00 T0.00 J0.01", "ok"]),
    ("M999 S1", ["ok"]),
    ("M999 S0", ["Resend: 1", "ok", "ok"]),
    ("M31", ["echo:Print time: 0s", "ok"]),
]


@pytest.mark.parametrize(("line", "answer"), STOCK)
def test_as_it_comes(line: str, answer: list[str]) -> None:
    assert stock().ask(line) == answer


def test_the_last_word_of_its_kind_counts() -> None:
    """parser.h set: param[] is overwritten, by nothing too."""
    bare = printer()
    bare.ask("G1 X5 X7 Y3 Y F6000")
    assert bare.ask("M114")[0].startswith("X:7.00 Y:0.00")


def test_what_follows_the_number_up_to_the_star() -> None:
    bare = stock()
    assert bare.ask(numbered(1, "")) == ['echo:Unknown command: "*95"', "ok"]
    assert bare.ask(numbered(2, "  X5  ")) == ['echo:Unknown command: "X5"', "ok"]
    body = "N3M118 a*b"
    check = 0
    for byte in body.encode():
        check ^= byte
    assert bare.ask(f"{body}*{check}") == ["a", "ok"]  # the last star is checked, the first cuts


def test_an_m110_without_a_number_of_its_own_takes_the_line_s() -> None:
    """queue.cpp: M110 is never refused for its number; N without digits is 0 and no number."""
    bare = stock()
    assert bare.ask(numbered(500, "M110")) == ["ok"]
    assert bare.ask(numbered(501, "M117 x")) == ["ok"]
    body = "N M110"
    check = 0
    for byte in body.encode():
        check ^= byte
    assert bare.ask(f"{body}*{check}") == ['echo:Unknown command: "N M110"', "ok"]
    assert bare.ask(numbered(1, "M117 x")) == ["ok"]


def test_the_emergency_parser_allows_a_blank_behind_m() -> None:
    """feature/e_parser.h: EP_M skips blanks; what stands behind the number matters no more."""
    for line in ("M 112", "N5 M112*33", "M1120"):
        bare = stock(emergency_parser=True)
        bare.put("G4 S60\n" + line + "\n")
        assert bare.board.dead, line
    bare = stock(emergency_parser=True)
    bare.put("G4 S60\n" + "X M112\n")
    assert not bare.board.dead


def test_a_wait_for_a_person_says_its_message_where_there_is_no_display() -> None:
    """lcd/M0_M1.cpp: string_arg; S counts, not P."""
    bare = stock(emergency_parser=True)
    bare.put("M0 S2 P90000 Change it\n")
    assert bare.heard() == ["echo:Change it"]
    assert bare.wait(2.1)[-1] == "ok"


def test_cold_extrusion_by_whole_degrees_and_a_window() -> None:
    """temperature.h tooCold: extrude_min_temp - TEMP_WINDOW, wholeDegHotend."""
    bare = printer()
    bare.ask("M109 S169")
    assert bare.ask("G1 E1 F60") == ["ok"]
    colder = printer()
    colder.ask("M109 S168")
    assert colder.ask("G1 E1 F60") == ["echo: cold extrusion prevented", "ok"]


def test_m302_takes_both_words() -> None:
    """config/M302.cpp."""
    bare = printer()
    bare.ask("M302 S180 P1")
    assert bare.ask("M302") == ["echo:Cold extrudes are enabled (min temp 180C)", "ok"]
    bare.ask("M302 S190")
    assert bare.ask("M302") == ["echo:Cold extrudes are disabled (min temp 190C)", "ok"]
    bare.ask("M302 P")
    assert bare.ask("M302") == ["echo:Cold extrudes are enabled (min temp 190C)", "ok"]


def test_m220_keeps_and_restores() -> None:
    """config/M220.cpp."""
    bare = printer()
    bare.ask("M220 S80", "M220 B S120")
    assert bare.ask("M220") == ["FR:120%", "ok"]
    bare.ask("M220 R")
    assert bare.ask("M220") == ["FR:80%", "ok"]


def test_temperatures_out_of_range() -> None:
    """temperature.h setTargetHotend: at most the limit less HOTEND_OVERSHOOT; parser.h: 16 bits."""
    bare = printer()
    bare.ask("M104 S999", "M140 S-5")
    assert "/260.00 B:22.00 /-5.00" in bare.ask("M105")[0]
    bare.ask("M104 S65736")  # 65736 - 65536 = 200
    assert "/200.00" in bare.ask("M105")[0]


def test_a_heater_that_waits_starts_the_job_s_clock_and_cooling_stops_it() -> None:
    """temperature.cpp auto_job_check_timer; libs/duration_t.h toString; stats/M31.cpp."""
    bare = printer()
    bare.ask("M104 S200", "G4 S5")
    assert bare.ask("M31") == ["echo:Print time: 0s", "ok"]
    bare.ask("M109 S200", "G4 S3600")
    said = bare.ask("M31")[0]
    assert said.startswith("echo:Print time: 1h 1m ")
    bare.ask("M104 S0", "G4 S60")
    assert bare.ask("M31")[0] == said
    bare.ask("M75", "G4 S61", "M76", "G4 S9")
    assert bare.ask("M31")[0] == "echo:Print time: 1m 1s"
    bare.ask("M75", "G4 S1", "M77")
    assert bare.ask("M31")[0] == "echo:Print time: 1m 2s"


def test_debugging_echoes_the_line_as_it_came_and_heats_nothing() -> None:
    """gcode.cpp process_next_command, temp/M104_M109.cpp: DRYRUN returns."""
    bare = stock()
    bare.ask("M111 S9")
    line = numbered(1, "M109 S200")
    assert bare.ask(line) == [f"echo:{line}", "ok"]
    assert "/0.00" in bare.ask("M105")[1]
    assert bare.ask("G1 E1") == ["echo:G1 E1", "ok"]


def test_a_menu_has_presets() -> None:
    """config/M145, settings.cpp report (HAS_PREHEAT needs a menu), M104 I."""
    bare = printer()
    rows = ["M145 S0 H180.00 B70.00 F0", "M145 S1 H240.00 B110.00 F0"]
    assert bare.ask("M145") == [*(f"  {row}" for row in rows), "ok"]
    told = bare.ask("M503")
    place = told.index("echo:; Material heatup parameters:")
    assert told[place + 1 : place + 3] == [f"echo:  {row}" for row in rows]
    assert told[place + 3] == "echo:; Hotend PID:"
    bare.ask("M104 I1", "M140 I0")
    assert "/240.00 B:22.00 /70.00" in bare.ask("M105")[0]
    assert "echo:; Material heatup parameters:" not in stock().ask("M503")


def test_g92_tells_the_steps_of_the_motors_and_m114_those_that_are_planned() -> None:
    """motion.cpp report_current_position and report_current_position_projected."""
    bare = printer()
    bare.put("G1 X100 F600\nG92 E0\nM114\n")
    said = [row for row in bare.heard() if "Count" in row]
    assert said[0] == "X:100.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0"
    assert said[1].endswith("Count X:8000 Y:0 Z:0")


def test_fifteen_moves_fill_the_planner() -> None:
    """planner.h: a ring of BLOCK_BUFFER_SIZE 16 is full with one place free (moves_free)."""
    bare = stock(advanced_ok=True, rx_buffer=4096, bufsize=40)
    bare.put("".join(f"G1 X{n} F60\n" for n in range(1, 20)))
    said = bare.heard()
    assert len(said) == 15
    assert said[-1].split()[1] == "P0"


def test_three_moves_start_at_once_and_one_waits_a_tenth() -> None:
    """planner.cpp get_current_block: BLOCK_DELAY_FOR_1ST_MOVE, or a third move."""
    bare = printer()
    bare.put("G1 X1 F6000\n")
    alone_s = bare.board.wake_s()
    assert alone_s == pytest.approx(0.1)
    bare.put("G1 X2\nG1 X3\n")
    bare.board.run(0.0)
    running_s = bare.board.wake_s()
    assert running_s is not None
    assert running_s < 0.1


def test_an_arc_s_radius_that_is_too_short_is_taken_as_half_the_way() -> None:
    """motion/G2_G3.cpp: h2 below 0 counts as 0."""
    bare = printer()
    assert bare.ask("G2 X10 Y0 R1 F6000") == ["ok"]
    assert bare.ask("M114")[0].startswith("X:10.00 Y:0.00")
    assert bare.ask("G2 X10 Y0 R5") == ["Error:G2/G3 bad parameters", "ok"]


def test_the_ok_of_advanced_ok_tells_the_number_as_it_was_written() -> None:
    """queue.cpp ok_to_send: the digits are copied from the line."""
    bare = stock(advanced_ok=True)
    assert bare.ask(numbered(1, "M117 x").replace("N1 ", "N1 ")) == ["ok N1 P15 B3"]
    body = "N0002 M117 x"
    check = 0
    for byte in body.encode():
        check ^= byte
    assert bare.ask(f"{body}*{check}") == ["ok N0002 P15 B3"]


def test_a_card_brings_one_capability_more() -> None:
    """host/M115.cpp: MULTI_VOLUME stands behind SDCARD where there is a card."""
    names = [row.split(":")[1] for row in printer(sd_card=True).ask("M115") if row[:4] == "Cap:"]
    assert names[names.index("SDCARD") + 1] == "MULTI_VOLUME"
    assert "Cap:MULTI_VOLUME:0" not in printer().ask("M115")
