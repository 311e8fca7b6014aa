"""Conversations without a wire: what is said when this was heard, at that time."""

import pytest

from firmware_bridge.driver import Closing, Ended, Event, Paused, Resumed, Started
from firmware_bridge.drivers.grbl.counting import Counting
from firmware_bridge.drivers.marlin import quirks
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.streaming import Rows, Tally, Timeouts, Wish
from tests.firmware_bridge.drivers.table import IDLE, MODES, OK_HEAT, Table, mill, printer, said


def test_one_line_at_a_time_until_there_is_evidence() -> None:
    table = printer([f"G1 X{n}" for n in range(40)])
    flying = [said(table.hear("ok"))]
    widths = []
    while len(widths) < 20:
        told = said(table.hear("ok"))
        flying.append(told)
        widths.append(len(told))
    assert flying[0] == [(2000, "G1 X0")]
    assert max(widths) == 2  # one for the ok, one as the window grows
    assert sum(widths) == 20 + 3  # it grew from one to four and no further


def test_no_more_bytes_in_flight_than_the_board_can_hold() -> None:
    table = printer([f"G1 X{n:03} Y100.000 Z100.000 E100.00000 F1000" for n in range(200)])
    flying: list[int] = []
    most = 0
    for _ in range(60):
        flying += [len(row) + 1 for row in table.hear("ok").splitlines()]
        most = max(most, sum(flying))
        flying.pop(0)
    assert 90 < most <= quirks.IN_FLIGHT_BYTES


def test_a_resend_goes_on_behind_the_last_line_the_machine_has() -> None:
    table = printer([f"G1 X{n}" for n in range(30)])
    flying = said(table.hear("ok"))
    while len(flying) < 3:  # a window that has opened
        flying.pop(0)
        flying += said(table.hear("ok"))
    first = flying[0][0]
    refused = ("Error:checksum mismatch", f"Resend: {first}", "ok")
    assert table.hear(*refused) == b""
    assert table.hear(*refused) == b""  # once more for a line behind it
    assert said(table.wait(0.05)) == flying[:1]
    assert said(table.hear("ok")) == flying[1:2]  # under the same number, one at a time
    told = flying[1:2]
    for _ in range(12):
        told = said(table.hear(OK_HEAT if told[0][1] == "M105" else "ok"))
        assert len(told) == 1


def test_with_one_line_in_flight_a_refused_line_goes_again_at_once() -> None:
    table = printer([f"G1 X{n}" for n in range(30)])
    (line,) = said(table.hear("ok"))
    assert table.hear("Error:checksum mismatch", "Resend: 2000") == b""
    assert said(table.hear("ok")) == [line]


def test_a_firmware_that_says_no_ok_after_resend_is_learnt() -> None:
    table = printer([f"G1 X{n}" for n in range(30)])
    told = said(table.hear("ok"))
    for turn in range(5):
        at_once = table.hear("Error:checksum mismatch", f"Resend: {told[0][0]}")
        later = table.wait(0.021)
        assert said(at_once if turn > 1 else later) == told
        for _ in range(quirks.CLEAN_ACKS_BETWEEN_RESENDS):
            told = said(table.hear("ok" if told[0][1] != "M105" else OK_HEAT))
        assert len(told) == 1


def test_resends_for_one_line_after_another_are_heard_out_before_we_speak() -> None:
    """We may be one answer behind: each refusal would be taken for that of the line in flight."""
    table = printer([f"G1 X{n}" for n in range(30)])
    table.hear("ok")
    assert said(table.hear("Error:checksum mismatch", "Resend: 2000", "ok")) == [(2000, "G1 X0")]
    assert said(table.hear("ok")) == [(2001, "M105")]
    assert table.hear("Error:Line Number is not", "Resend: 2001", "ok") == b""
    assert said(table.wait(0.05)) == [(2001, "M105")]


QUESTION = (quirks.QUESTION_NUMBER, "M105")


def test_a_lost_ok_is_recovered_by_asking_and_trusted_after_a_sync() -> None:
    table = printer(["G28", "G1 X1", "G1 X2"], Timeouts(probe_s=1))
    assert said(table.hear("ok")) == [(2000, "G28")]
    assert table.wait(0.9) == b""
    assert said(table.wait(0.2)) == [QUESTION]
    table.talk.hear(b"Error:Line Number is not Last Line Number+1, Last Line: 2000\n", table.now)
    assert said(table.hear("Resend: 2001", "ok")) == [(2001, "M105")]
    assert table.hear("ok") == b""  # an old ok proves nothing now
    assert said(table.hear(OK_HEAT)) == [(2002, "G1 X1")]


def test_numbers_start_over_before_they_run_into_the_sixteenth_bit() -> None:
    table = printer("G1 X1" for _ in range(200))
    assert isinstance(table.talk, MarlinConversation)
    window = table.talk._window
    window._acked = window._sent = window._highest = quirks.LAST_NUMBER - 21
    told = said(table.hear("ok"))
    while not told or not told[-1][1].startswith("M110"):
        told += said(table.hear("ok"))
    assert told[-2:] == [(60_000, "G1 X1"), (1999, "M110 N1999")]
    assert table.wait() == b""  # nothing may follow before it is answered
    assert said(table.hear("ok"))[0] == (2000, "G1 X1")


def test_a_new_beginning_is_acknowledged_by_its_number_too() -> None:
    """ADVANCED_OK names the M110, which counts as the line before the first."""
    table = printer("G1 X1" for _ in range(200))
    assert isinstance(table.talk, MarlinConversation)
    window = table.talk._window
    window._acked = window._sent = window._highest = quirks.LAST_NUMBER - 21
    told = said(table.hear("ok"))
    while not told[-1][1].startswith("M110"):
        told += said(table.hear(f"ok N{told[-1][0]} P15 B3"))
    assert said(table.hear("ok N1999 P15 B3"))[0] == (2000, "G1 X1")


def run_to_the_end(table: Table, data: bytes) -> None:
    for _ in range(50):
        answers = [OK_HEAT if b"M105" in row else b"ok\n" for row in data.splitlines()]
        if not answers:
            return
        data = table.hear(*answers)


def test_the_end_is_proven_by_m400_and_a_sync() -> None:
    table = printer(["G28", "G1 X1"])
    run_to_the_end(table, table.hear("ok"))
    assert [type(e) for e in table.events] == [Started, Ended]
    assert (table.end.outcome, table.end.last_line) == ("finished", 2)


@pytest.mark.parametrize(
    ("line", "outcome", "cause"),
    [
        ("start", "interrupted", "reset"),
        ("Error:Printer halted. kill() called!", "failed", "halted by the machine"),
        ("Error:Thermal Runaway, system stopped! Heater_ID: 0", "failed", "machine error"),
        ("echo: cold extrusion prevented", "failed", "machine error"),
        ('echo:Unknown command: "G28"', "failed", "unknown command"),
        ("//action:cancel", "interrupted", "stopped"),
    ],
)
def test_bad_news_ends_it_with_everything_off(line: str, outcome: str, cause: str) -> None:
    table = printer(["G28", "G1 X1"])
    table.hear("ok")
    out = table.hear(line)
    if not any(isinstance(event, Ended) for event in table.events):
        assert out == quirks.MAKE_SAFE
        table.hear("ok", "ok T:200 /200 B:60 /0", "ok")
        assert not any(isinstance(event, Ended) for event in table.events)
        table.hear(OK_HEAT)
    assert (table.end.outcome, table.end.cause) == (outcome, cause)
    assert table.wait(100) == b""


def test_a_command_that_arrived_as_another_is_doubt_not_failure() -> None:
    table = printer(["G28", "G1 X1"])
    table.hear("ok")
    assert table.hear('echo:Unknown command: "X2000 G28*12"') == b""
    assert said(table.hear("ok")) == [(2001, "M105")]
    table.talk.hear(b"Error:Line Number is not Last Line Number+1, Last Line: 1999\n", table.now)
    assert said(table.hear("Resend: 2000", "ok")) == [(2000, "G28")]  # nothing else was in flight


def test_heat_that_will_not_go_off_is_killed_and_said() -> None:
    table = printer(["M109 S200"], Timeouts(stop_s=5))
    table.hear("ok")
    table.wish, table.why = Wish.STOP, "the maker cancelled"
    assert table.wait() == quirks.MAKE_SAFE
    table.hear("ok T:200 /200")
    assert table.wait(6) == quirks.KILL
    assert (table.end.outcome, table.end.cause) == ("interrupted", "stopped")
    assert "look at it" in table.end.detail


def test_busy_keeps_it_waiting_and_a_person_at_the_printer_pauses_it() -> None:
    table = printer(["G28", "G1 X1"], Timeouts(silence_s=10, probe_s=3))
    table.hear("ok")
    for _ in range(20):
        assert table.wait(2) == b""
        table.hear("echo:busy: processing")
    table.hear("echo:busy: paused for user")
    table.hear("ok")
    assert [type(e) for e in table.events] == [Started, Paused, Resumed]


def test_silence_is_asked_about_and_then_called_by_its_name() -> None:
    table = printer(["G28", "G1 X1"], Timeouts(silence_s=30, probe_s=1))
    table.hear("ok")
    said_again = sum(table.wait(0.5).count(b"N65432") for _ in range(50))
    assert 3 <= said_again <= 6  # at 1, 2, 4, 8 … s
    out = table.wait(20)
    assert out == quirks.MAKE_SAFE
    assert (table.end.outcome, table.end.cause) == ("interrupted", "silent")


def test_a_short_patience_still_leaves_time_for_a_question() -> None:
    """A machine that said busy is asked later than another, but before it is called silent."""
    table = printer([f"G1 X{n}" for n in range(9)], Timeouts(silence_s=1.5))
    table.hear("ok")
    table.hear("echo:busy: processing")
    assert b"N65432 M105" in table.wait(1.2)


def test_a_cable_pulled_at_the_very_end_is_honestly_unknown() -> None:
    table = printer(["G28"])
    table.hear("ok")
    table.hear("ok")
    table.talk.lost("gone")
    table.wait()
    assert (table.end.outcome, table.end.last_line) == ("unknown", 1)


def test_one_line_asked_for_for_ever_is_given_up() -> None:
    table = printer(["G28", "G1 X1"])
    table.hear("ok")
    for _ in range(quirks.RESENDS_FOR_ONE_LINE + 1):
        table.hear("Resend: 2000", "ok")
        table.wait(0.05)
    table.hear(OK_HEAT)
    assert (table.end.outcome, table.end.cause) == ("interrupted", "bad line")


# ---- GRBL


def test_characters_are_counted() -> None:
    table = mill([f"G1 X{n:02} Y10 F1000" for n in range(30)])
    first = table.hear("ok").replace(b"?", b"")
    assert len(first) <= 127
    assert first.count(b"\n") == 127 // 18
    assert table.hear("ok").replace(b"?", b"") == b"G1 X07 Y10 F1000\n"


def test_it_homes_only_when_told_and_sets_the_modes_it_counts_on() -> None:
    table = mill(["G0 X5"], home=True, modes="[GC:G1 G54 G17 G20 G91 G94 M5 M9 F0 S0]")
    assert table.hear("ok").replace(b"?", b"") == b"G0 G21 G90\n"
    assert table.hear("ok").replace(b"?", b"") == b"$G\n"
    assert table.hear(MODES.format("G0", 0), "ok").replace(b"?", b"") == b"G0 X5\n"


def test_a_board_that_never_takes_a_mode_is_not_asked_for_ever() -> None:
    stubborn = "[GC:G0 G54 G17 G20 G90 G94 M5 M9 F0 S0]"
    table = mill(["G0 X5"], modes=stubborn)
    for _ in range(2):
        assert table.hear("ok").replace(b"?", b"") == b"G21\n"
        assert table.hear("ok").replace(b"?", b"") == b"$G\n"
        table.hear(stubborn)
    assert (table.end.outcome, table.end.cause) == ("failed", "modes")
    assert "G21" in table.end.detail


def at_the_end(place: str, *modes: str) -> Table:
    table = mill(["G1 X5 F100"])
    table.hear("ok")
    table.hear("ok")
    for _ in range(3):
        table.wait(0.25)
        table.hear(IDLE.format(place))
    table.hear(*modes)
    return table


def test_finished_is_idle_and_where_and_how_the_program_ends() -> None:
    assert at_the_end("5.010", MODES.format("G1", 100), "ok").end.outcome == "finished"
    wrong = at_the_end("7.000")
    assert b"\x18" in b"".join(wrong.wait(0.3) + wrong.hear(IDLE.format("7.000")) for _ in range(3))
    wrong.hear("Grbl 1.1h ['$' for help]")
    assert (wrong.end.outcome, wrong.end.cause) == ("interrupted", "wrong place")
    assert "X ended at 7.000 mm" in wrong.end.detail


def test_a_job_that_ends_in_other_modes_was_altered_on_the_wire() -> None:
    for modes, words in (
        (MODES.format("G0", 100), "ended in G0, the program ends in G1"),
        (MODES.format("G1", 700), "ended with F700"),
        (MODES.format("G1", 100).replace("M5", "M3"), "ended in M3"),
        (MODES.format("G1", 100).replace("S0", "S900"), "ended with S900"),
    ):
        table = at_the_end("5.000", modes, "ok")
        for _ in range(3):
            table.hear(IDLE.format("5.000"))
            table.wait(0.3)
        table.hear("Grbl 1.1h ['$' for help]")
        assert (table.end.outcome, table.end.cause) == ("interrupted", "wrong modes")
        assert words in table.end.detail
    silent = at_the_end("5.000", "ok")
    assert (silent.end.outcome, silent.end.cause) == ("unknown", "end unproven")


def test_a_dry_run_tells_it_all_in_check_mode_first() -> None:
    table = mill(["G1 X5 F100", "M30"], check=True)
    assert table.hear("ok").replace(b"?", b"") == b"$C\n"
    assert table.hear("[MSG:Enabled]", "ok").replace(b"?", b"") == b"G1 X5 F100\n"
    assert table.hear("ok") == b"M30\n"  # the end of a program waits for its answer alone
    assert table.hear("ok") == b"$C\n"
    assert table.events == []
    assert table.hear("[MSG:Disabled]", "ok", "", "Grbl 1.1h ['$' for help]") == b"$G\n"
    assert table.hear(MODES.format("G0", 0), "ok") == b"G1 X5 F100\n"
    table.hear("ok")
    assert table.events == [Started()]


def test_what_check_mode_refuses_moves_nothing() -> None:
    table = mill(["G1 X5"], check=True)
    table.hear("ok")
    table.hear("ok")
    assert table.hear("error:22").startswith(b"!")
    out = table.hear("<Check|MPos:0,0,0>") + table.hear("<Check|MPos:0,0,0>")
    assert b"\x18" in out
    table.hear("Grbl 1.1h ['$' for help]")
    assert (table.end.outcome, table.end.cause, table.end.last_line) == ("failed", "error 22", 0)
    assert "nothing moved" in table.end.detail


@pytest.mark.parametrize("word", ["G10 L20 P1 X0", "G28.1", "G30", "G55", "M30"])
def test_what_touches_the_eeprom_is_told_alone(word: str) -> None:
    table = mill(["G0 X1", word, "G0 X2"])
    assert table.hear("ok").replace(b"?", b"") == b"G0 X1\n"
    assert table.hear("ok") == word.encode() + b"\n"
    assert table.hear("ok") == b"G0 X2\n"


def test_the_first_error_holds_then_resets() -> None:
    table = mill([f"G1 X{n}" for n in range(30)])
    table.hear("ok")
    out = table.hear("ok", "error:22")
    assert out.startswith(b"!")
    assert b"\x18" not in out
    assert b"\x18" not in table.hear("<Hold:1|MPos:0,0,0>") + table.wait(0.3)
    out = table.hear("<Hold:0|MPos:0,0,0>") + table.hear("<Hold:0|MPos:0,0,0>")
    assert b"\x18" in out
    table.hear("Grbl 1.1h ['$' for help]")
    assert (table.end.outcome, table.end.cause) == ("failed", "error 22")
    assert "line 2" in table.end.detail


@pytest.mark.parametrize(
    ("line", "outcome", "cause"),
    [
        ("ALARM:3", "failed", "alarm 3"),
        ("Grbl 1.1h ['$' for help]", "interrupted", "reset"),
        ("<Alarm|MPos:0,0,0>", "failed", "alarm"),
    ],
)
def test_bad_news_ends_a_cut(line: str, outcome: str, cause: str) -> None:
    table = mill([f"G1 X{n}" for n in range(30)])
    table.hear("ok")
    table.hear(line)
    assert (table.end.outcome, table.end.cause) == (outcome, cause)


def test_an_answer_that_never_comes_is_never_a_finish() -> None:
    table = mill(["G4 P3", "G0 X5"])
    table.hear("ok")
    for _ in range(16):  # a dwell looks idle, and is waited for
        table.wait(0.25)
        table.hear(IDLE.format("0.000"))
    assert table.events == []
    for _ in range(12):
        table.wait(0.25)
        table.hear(IDLE.format("0.000"))
    table.hear("Grbl 1.1h ['$' for help]")
    assert (table.end.outcome, table.end.cause) == ("unknown", "answer lost")


def test_a_hand_on_the_hold_button_is_a_pause() -> None:
    table = mill([f"G1 X{n}" for n in range(30)])
    table.hear("ok")
    table.hear("ok")
    table.hear("<Hold:0|MPos:1,0,0>")
    table.hear("<Run|MPos:1,0,0>")
    assert table.events == [Started(), Paused("the machine"), Resumed("the machine")]


def test_the_last_line_of_a_print_waits_until_it_was_heard_that_it_is_due():
    talk = MarlinConversation(iter([(1, b"G28"), (2, b"G1 X1")]), 2, Timeouts())
    talk.tick(100.0, Wish.RUN, "")
    talk.take_bytes()
    talk.hear(b"ok\n", 100.1)
    talk.tick(100.1, Wish.RUN, "")
    assert b"G28" in talk.take_bytes()
    talk.hear(b"ok\n", 100.2)
    for _ in range(3):  # nobody took the events: nothing was heard
        talk.tick(100.3, Wish.RUN, "")
    assert b"G1 X1" not in talk.take_bytes()
    assert Closing() in talk.take_events()
    talk.tick(100.4, Wish.RUN, "")
    assert b"G1 X1" in talk.take_bytes()


def test_the_last_line_of_a_cut_waits_until_it_was_heard_that_it_is_due():
    counting = Counting(Rows([(1, b"G0 X1"), (2, b"G1 X2")]), 127, Tally())
    events: list[Event] = []
    assert counting.fill(events) == b"G0 X1\n"
    assert counting.fill(events) == b""
    assert events == [Closing()]
    counting.heard()
    assert counting.fill(events) == b"G1 X2\n"
    assert counting.all_sent
