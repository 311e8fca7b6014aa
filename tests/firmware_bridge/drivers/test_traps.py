"""The recorded traps of real firmware, one by one: what each language does that its name hides."""

import pytest

from firmware_bridge.driver import Condition, Ended, Paused, Resumed, Started
from firmware_bridge.drivers.grbl import codec as grbl
from firmware_bridge.drivers.grbl.ending import Modes, modes_after, modes_differ
from firmware_bridge.drivers.marlin import codec as marlin
from firmware_bridge.drivers.marlin import quirks
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.drivers.marlin.parking import Park, Parking
from firmware_bridge.streaming import Timeouts, Wish
from tests.firmware_bridge.drivers.table import MODES, OK_HEAT, Table, mill, printer, said


def heard(line: str) -> marlin.Reply:
    (reply,) = marlin.Codec().feed(line.encode() + b"\n")
    return reply


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("ok N123 P15 B3", marlin.Ok(number=123, free=3)),
        ("ok 123", marlin.Ok(number=123)),  # Repetier
        ("ok P15 B3", marlin.Ok()),
        ("rs N12", marlin.Resend(12)),  # Smoothie
        ("rs 12", marlin.Resend(12)),
        ("Resend:12", marlin.Resend(12)),  # Repetier
        ("Resend: N12", marlin.Resend(12)),
        ("wait", marlin.Idle()),
        ("Not SD printing", marlin.CardPrint(on=False, text="Not SD printing")),
        ("SD printing byte 12/345", marlin.CardPrint(on=True, text="SD printing byte 12/345")),
        ("External Reset", marlin.Banner("External Reset")),
        (" Brown out Reset", marlin.Banner(" Brown out Reset")),
        ("T:20.1 /200.0 @:127 W:?", marlin.Heat({"T": (20.1, 200.0)}, waits=True)),
        (" T:20.1 /200.0 @:127", marlin.Heat({"T": (20.1, 200.0)})),
        ("Error:volume.init failed", marlin.Note("Error:volume.init failed")),
        ("FIRMWARE_NAME: RepRapFirmware FIRMWARE_VERSION: 3", marlin.Firmware("RepRapFirmware")),
        ("!! Printer stopped", marlin.Killed("!! Printer stopped")),
        ("echo:Unknown command: M117", marlin.Note("echo:Unknown command: M117")),
        # Marlin 1.0.2 and Prusa-Firmware 3 while they wait for the nozzle, and for the bed
        ("T:150.3 E:0 W:?", marlin.Heat({}, waits=True)),
        ("T:21.5 E:0 B:59.1", marlin.Heat({}, waits=True)),
        # Prusa-Firmware 3: power and ambient behind it; its own words for what it does not know
        (
            "ok T:21.5 /0.0 B:22.1 /0.0 T0:21.5 /0.0 @:0 B@:0 P:0.0 A:27.3",
            marlin.Ok({"T": (21.5, 0.0), "B": (22.1, 0.0), "T0": (21.5, 0.0)}),
        ),
        ("Unknown M code: $2003 M486 S1", marlin.UnknownCommand("M486 S1")),
        ("Unknown G code: G60", marlin.UnknownCommand("G60")),
        (
            "Error:No Line Number with checksum, Last Line: 4",
            marlin.LineRefused("Error:No Line Number with checksum, Last Line: 4"),
        ),
        ('echo:Unknown command: ""', marlin.UnknownCommand("")),
        # a reset whose "start" was lost: every other line of the greeting says it too
        ("Marlin bugfix-2.1.x", marlin.Banner("Marlin bugfix-2.1.x")),
        ("echo:Marlin 1.1.9", marlin.Banner("echo:Marlin 1.1.9")),
        ("echo: External Reset", marlin.Banner("echo: External Reset")),
        (
            "echo: Free Memory: 3813  PlannerBufferBytes: 1152",
            marlin.Banner("echo: Free Memory: 3813  PlannerBufferBytes: 1152"),
        ),
        ("echo:SD card ok", marlin.Note("echo:SD card ok")),
    ],
)
def test_how_families_say_it(line: str, reply: marlin.Reply) -> None:
    assert heard(line) == reply


@pytest.mark.parametrize("line", ["nk", "k", "o", "okok", "\x8fk", "ok\x1b[0m", "okecho:busy: x"])
def test_half_an_ok_acknowledges_nothing_and_is_noticed(line: str) -> None:
    assert isinstance(heard(line), marlin.Garbled)


def streaming(count: int = 40) -> Table:
    table = printer([f"G1 X{n}" for n in range(count)])
    table.hear("ok")
    return table


def ended(table: Table) -> list[Ended]:
    return [event for event in table.events if isinstance(event, Ended)]


def test_1_the_ok_of_a_resend_belongs_to_no_line() -> None:
    table = streaming()
    assert table.hear("Error:checksum mismatch, Last Line: 1999", "Resend: 2000") == b""
    assert said(table.hear("ok")) == [(2000, "G1 X0")]  # the same, not the next


def test_2_a_restart_in_mid_job_is_the_end_of_it() -> None:
    table = streaming()
    table.hear("start")
    assert (table.end.outcome, table.end.cause) == ("interrupted", "reset")


def test_2_a_restart_whose_greeting_was_lost_is_noticed_by_its_numbers() -> None:
    table = streaming()
    table.hear("ok")
    table.hear("Error:Line Number is not Last Line Number+1, Last Line: 0", "Resend: 1", "ok")
    assert (table.end.outcome, table.end.cause) == ("interrupted", "reset")


@pytest.mark.parametrize("code", [b"N5 G28", b"M110 N1", b"M112", b"M999", b"m112"])
def test_2_and_3_codes_of_the_host_never_come_from_a_file(code: bytes) -> None:
    assert quirks.HOST_ONLY.match(code)


def test_4_busy_is_no_acknowledgement_and_resets_the_patience() -> None:
    table = streaming()
    table.hear("echo:busy: processing")
    for _ in range(90):
        assert table.wait(2.0) == b""
        assert table.hear("echo:busy: processing") == b""
    assert not ended(table)


def test_4_paused_for_a_person_at_the_printer() -> None:
    table = streaming()
    table.hear("echo:busy: paused for user")
    assert table.events == [Started(), Paused("the machine")]
    assert table.hear("ok") != b""
    assert table.events[-1] == Resumed("the machine")


@pytest.mark.parametrize("line", ["T:150.3 E:0 W:?", "T:21.5 E:0 B:59.1"])
def test_4_a_wait_for_heat_that_says_no_busy_is_neither_silent_nor_asked(line: str) -> None:
    """Marlin 1.0.2, Prusa-Firmware 3: one such line each second, and nothing else for minutes."""
    table = streaming()
    for _ in range(200):
        assert table.wait(1.0) == b""
        assert table.hear(line) == b""
    assert not ended(table)


def test_5_reports_in_between_acknowledge_nothing() -> None:
    table = streaming()
    assert table.hear(" T:201.5 /200.0 B:60.1 /60.0 @:0 B@:0") == b""
    assert said(table.hear("ok")) == [(2001, "G1 X1")]
    assert table.talk.status().temperatures_c["T"] == (201.5, 200.0)


@pytest.mark.parametrize(
    "line",
    [
        "Error:Printer halted. kill() called!",
        "Error:Thermal Runaway, system stopped! Heater_ID: 0",
        "Error:Heating failed, system stopped! Heater_ID: bed",
        "Error:MAXTEMP triggered, system stopped! Heater_ID: 0",
        "Error:MINTEMP triggered, system stopped! Heater_ID: 0",
        "!! Printer stopped due to errors.",
        "Printer stopped due to errors. Fix the error and use M999 to restart.",  # queue.cpp
    ],
)
def test_6_a_halted_printer_ends_the_job_for_good(line: str) -> None:
    table = streaming()
    table.hear(line)
    table.hear(OK_HEAT)
    assert table.end.outcome == "failed"
    assert table.wait(60) == b""


@pytest.mark.parametrize(
    "line", ["echo: cold extrusion prevented", "echo: too long extrusion prevented"]
)
def test_7_extrusion_that_is_prevented_is_no_error_and_ends_the_job(line: str) -> None:
    table = streaming()
    assert table.hear(line) == quirks.MAKE_SAFE


def test_8_an_ok_is_no_motion_the_end_waits_for_m400_and_a_sync() -> None:
    table = printer(["G1 X1"])
    assert said(table.hear("ok")) == [(2000, "G1 X1")]
    assert said(table.hear("ok"))[0] == (2001, "M400")
    assert said(table.hear("ok")) == [(2002, "M105")]
    table.hear("ok")  # one too many: it proves nothing
    assert not ended(table)
    table.hear(OK_HEAT)
    assert table.end.outcome == "finished"


def test_9_a_command_leaves_room_for_its_number_and_checksum() -> None:
    longest = b"G1 " + b"X" * (quirks.COMMAND_MAX_BYTES - 3)
    assert len(marlin.numbered(quirks.LAST_NUMBER, longest)) - 1 <= 95


def test_9_more_room_by_advanced_ok_widens_the_window_in_lines_not_in_bytes() -> None:
    table = printer([f"G1 X{n}" for n in range(400)])
    assert isinstance(table.talk, MarlinConversation)
    table.hear("ok")
    for number in range(2000, 2200):
        table.hear(f"ok N{number} P15 B15")
    tally = table.talk.tally
    assert quirks.IN_FLIGHT_LINES < tally.window_max <= 16
    assert tally.window_max_bytes <= quirks.IN_FLIGHT_BYTES


def test_12_the_printer_may_pause_and_cancel_but_never_start() -> None:
    table = streaming()
    table.hear("//action:start", "//action:print_start")
    assert table.events == []
    table.hear("//action:pause")
    assert table.events == [Paused("the machine")]
    assert table.hear("ok") == b""
    assert table.hear("//action:resume") != b""
    assert table.hear("//action:cancel") == quirks.MAKE_SAFE


@pytest.mark.parametrize("line", ["File opened: A.GCO Size: 123", "SD printing byte 1/2"])
def test_12_a_print_that_somebody_starts_at_the_panel_ends_ours(line: str) -> None:
    table = streaming()
    assert table.hear(line) == quirks.MAKE_SAFE
    table.hear(OK_HEAT)
    assert (table.end.outcome, table.end.cause) == ("interrupted", "foreign activity")


def parking_printer(*commands: str) -> Table:
    rows = [(n, row.encode()) for n, row in enumerate(commands, 1)]
    parking = Parking(Park(0, 200))
    table = Table(MarlinConversation(iter(rows), len(rows), Timeouts(), parking))
    table.wait()
    return table


def test_13_parked_only_after_homing_and_all_modes_restored() -> None:
    table = parking_printer("G28", "G91", "M83", "G1 X5 F1200", "G1 X6", "G1 X7")
    told: list[str] = [row for _, row in said(table.hear("ok"))]
    while "G1 X5 F1200" not in told:
        told += [row for _, row in said(table.hear("ok"))]
    table.wish = Wish.PAUSE
    told, new = [], ["G1 X5 F1200"]
    while new:
        place = b"X:10.00 Y:20.00 Z:3.00 E:0.00 Count X:800\n" if new[-1] == "M114" else b""
        new = [row for _, row in said(table.hear(place + b"ok\n"))]
        told += new
    assert told[-8:] == [
        "M400", "M114", "G91", "G1 Z5.000 F600", "G90", "G1 X0.000 Y200.000 F6000", "G91", "M83",
    ]  # fmt: skip
    table.wish = Wish.RUN
    told = [row for _, row in said(table.wait())]
    for _ in range(8):
        told += [row for _, row in said(table.hear("ok"))]
    back = ["G90", "G1 X10.000 Y20.000 F6000", "G1 Z3.000 F600", "G91", "M83", "G1 F1200"]
    assert told[: len(back)] == back
    assert told[len(back)] in ("G1 X6", "G1 X7")


def test_13_a_printer_that_has_not_homed_stays_where_it_is() -> None:
    table = parking_printer(*(f"G1 X{n}" for n in range(9)))
    table.hear("ok")
    table.wish = Wish.PAUSE
    assert table.hear("ok") == b""
    assert [table.wait(1) for _ in range(9)] == [b""] * 9


def test_16_no_more_in_flight_than_the_board_holds_and_a_stop_is_the_next_word() -> None:
    table = streaming()
    for _ in range(20):
        table.hear("ok")
    table.wish = Wish.STOP
    assert table.wait() == quirks.MAKE_SAFE


def test_repetier_s_wait_says_that_what_it_owed_was_lost() -> None:
    table = streaming()
    assert said(table.hear("wait")) == [(quirks.QUESTION_NUMBER, "M105")]


def test_a_question_can_never_be_the_next_line() -> None:
    assert quirks.QUESTION_NUMBER > quirks.LAST_NUMBER + 1


# ---- GRBL


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("GrblHAL 1.1f ['$' or '$HELP' for help]", grbl.Banner("1.1f", "GrblHAL")),
        ("Grbl 3.7 [FluidNC v3.7.8 (wifi) '$' for help]", grbl.Banner("3.7", "FluidNC")),
        ("[FIRMWARE:grblHAL]", grbl.Build("FIRMWARE", "grblHAL")),
        ("$22=1", grbl.Setting(22, "1")),
        (">G54G20:ok", grbl.Note(">G54G20:ok")),
        ("[MSG:Caution: Unlocked]", grbl.Note("[MSG:Caution: Unlocked]")),
        (
            "<Idle|WPos:1.0,2.0,3.0|Bf:15,127|FS:0,0>",
            grbl.Report("Idle", work_mm=(1.0, 2.0, 3.0), free=(15, 127)),
        ),
    ],
)
def test_18_only_ok_and_error_answer_a_line(line: str, reply: grbl.Reply) -> None:
    (said_,) = grbl.Codec().feed(line.encode() + b"\r\n")
    assert said_ == reply


def test_17_an_error_holds_at_once_and_nothing_more_of_the_program_is_told() -> None:
    table = mill([f"G1 X{n} F100" for n in range(90)])
    table.hear("ok")
    out = table.hear("error:20") + table.wait(0.3) + table.hear("ok", "ok", "<Run|MPos:0,0,0>")
    assert out.startswith(b"!")
    assert b"G1" not in out


@pytest.mark.parametrize("number", [1, 3, 6, 8, 9])
def test_21_alarms_that_lose_the_position_say_that_homing_is_needed(number: int) -> None:
    table = mill(["G1 X1"])
    table.hear("ok")
    table.hear(f"ALARM:{number}")
    if number == 1:
        table.hear("[MSG:Reset to continue]")
        table.hear("", "Grbl 1.1h ['$' for help]")
    assert table.end.outcome == "failed"
    assert "home it" in table.end.detail


def test_after_a_soft_limit_it_is_reset_when_it_asks_for_it_and_not_before() -> None:
    """Heard from GRBL 1.1h.20190825 on an emulated ATmega328P: until then it answers nothing."""
    table = mill(["G1 X1"])
    table.hear("ok")
    assert b"\x18" not in table.hear("ALARM:2") + table.wait(0.4)
    assert table.hear("[MSG:Reset to continue]").endswith(b"\x18")
    assert not ended(table)
    table.hear("ok", "", "Grbl 1.1h ['$' for help]", "[MSG:'$H'|'$X' to unlock]")
    assert table.end.outcome == "failed"
    assert table.end.cause == "alarm 2"


def test_a_limit_whose_request_for_a_reset_is_lost_is_reset_all_the_same() -> None:
    table = mill(["G1 X1"])
    table.hear("ok", "ALARM:1")
    assert b"\x18" in table.wait(2.1)
    table.wait(3.1)
    assert table.end.cause == "alarm 1"
    assert "did not come back" in table.end.detail


def test_23_the_last_ok_is_not_the_end() -> None:
    table = mill(["G1 X1 F100"])
    table.hear("ok")
    table.hear("ok")
    for _ in range(9):
        table.wait(0.25)
        table.hear("<Run|MPos:0.500,0.000,0.000|WCO:0,0,0>")
    assert not ended(table)
    for _ in range(2):
        table.wait(0.25)
        table.hear("<Idle|MPos:1.000,0.000,0.000>")
    table.hear(MODES.format("G1", 100), "ok")
    assert table.end.outcome == "finished"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("G1 X1 F100\nG20\nF10", {"motion": "G1", "unit": "G20"}),
        ("G55 G18 G91 G93 M4 S500 M8 M7", {"system": "G55", "plane": "G18", "distance": "G91",
                                           "feed": "G93", "spindle": "M4", "coolant": "M7M8"}),
        ("G55 G18 G20 G91 M3 S9 M8 G0X1\nM30", {"system": "G54", "plane": "G17", "unit": "G20",
                                                "distance": "G90", "spindle": "M5",
                                                "coolant": "M9", "motion": "G1"}),
        ("G38.2 Z-1 F10", {"motion": "G38.2"}),
        ("G53 G0 Z0", {"motion": "G0"}),
    ],
)  # fmt: skip
def test_the_modes_that_a_program_leaves(program: str, words: dict[str, str]) -> None:
    rows = [(n, row.encode()) for n, row in enumerate(program.split("\n"), 1)]
    after = modes_after(rows)
    assert words.items() <= after.words.items()
    assert modes_differ(after, after) == ""


def test_a_feed_is_compared_in_either_unit_and_not_when_it_has_no_meaning() -> None:
    inches = modes_after([(1, b"G20 G1 X1 F10")])
    told = Modes.of(
        frozenset(["G1", "G54", "G17", "G20", "G90", "G94", "M5", "M9", "T0", "F254", "S0"])
    )
    assert modes_differ(inches.over(told), told) == ""
    assert "F500" in modes_differ(inches, Modes({}, 500.0))
    assert modes_differ(modes_after([(1, b"F10 G20 X1")]), Modes({}, 254.0)) == ""
    assert modes_differ(modes_after([(1, b"G93 G1 X1 F2"), (2, b"G94")]), Modes({}, 7.0)) == ""


def test_status_while_it_streams() -> None:
    assert streaming().talk.status().condition is Condition.RUNNING
