import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import ANY

import pytest

from fablab_agents.book import BED_MARK_S, START_MARK_S, Moment, NotReady, left_behind
from fablab_agents.journal import Journal, JournalBroken, JournalForeign
from fablab_agents.protocol.attempts import Actor, IllegalMove, State
from fablab_agents.protocol.messages import Bed, ProgramFacts
from fablab_agents.protocol.tickets import Grant, Ticket
from tests.fablab_agents.conftest import make_ticket

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AT = Moment(NOW, 1000.0)
PROGRAM = ProgramFacts(sha256="a" * 64, lines=3, seconds=60, grams=1.0)


def after(seconds: float) -> Moment:
    return Moment(NOW + timedelta(seconds=seconds), AT.elapsed_s + seconds)


def grant_of(ticket: Ticket, nonce: str = "0" * 32, boot: str = "b1") -> Grant:
    return Grant(
        agent=ticket.agent,
        machine=ticket.machine,
        attempt=ticket.attempt,
        fence=ticket.fence,
        issued_at=NOW,
        nonce=nonce,
        boot=boot,
        program=PROGRAM.sha256,
        window_s=60,
    )


def opened(journal: Journal) -> list[tuple[str, int]]:
    return [(each.boot, each.began_seq) for each in journal.boots]


def open_at(path: Path, boot: str = "b1") -> Journal:
    return Journal.open(path / "journal.db", "lab-nord", boot, NOW)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_at(tmp_path)
    yield journal
    journal.close()


def staged(journal: Journal, ticket: Ticket, seq: int = 1) -> None:
    journal.store_offer(seq, ticket, "envelope", AT)
    journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, AT)
    journal.keep_program(ticket.attempt, PROGRAM, Path("program.gcode"))
    journal.move(ticket.attempt, State.STAGED, Actor.AGENT, AT)
    journal.claim(ticket.attempt, AT)


def running(journal: Journal, ticket: Ticket) -> None:
    staged(journal, ticket)
    journal.put_mark(ticket.machine, "Ana", AT)
    journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)
    journal.arm(ticket.attempt, "h")
    journal.runs(ticket.attempt, AT, resumed=False)


def state_of(journal: Journal, ticket: Ticket) -> State:
    attempt = journal.find(ticket.attempt)
    assert attempt is not None
    return attempt.state


def test_an_offer_is_kept_once_and_raises_the_fence_of_its_jobs(journal: Journal) -> None:
    ticket = make_ticket(fence=4, jobs=("j-1", "j-2"))
    assert journal.store_offer(1, ticket, "envelope", AT)
    assert not journal.store_offer(2, ticket, "envelope", AT)
    assert [attempt.id for attempt in journal.live()] == [ticket.attempt]
    assert journal.floor(["j-2"]) == 4
    assert journal.floor(["j-3"]) == 0
    assert journal.seen_down == 2


@pytest.mark.parametrize("fence", [3, 4])
def test_an_offer_below_or_at_the_fence_is_stale(journal: Journal, fence: int) -> None:
    journal.store_offer(1, make_ticket(fence=4), "envelope", AT)
    stale = make_ticket(fence=fence)
    assert not journal.store_offer(2, stale, "envelope", AT)
    assert journal.find(stale.attempt) is None


def test_a_newer_fence_ends_the_older_attempt_that_has_not_started(journal: Journal) -> None:
    old, new = make_ticket(fence=1), make_ticket(fence=2)
    staged(journal, old)
    journal.store_offer(2, new, "envelope", AT)
    assert state_of(journal, old) is State.WITHDRAWN
    assert state_of(journal, new) is State.OFFERED


def test_messages_are_stored_in_order_without_a_gap(journal: Journal) -> None:
    with pytest.raises(IllegalMove):
        journal.store_offer(2, make_ticket(), "envelope", AT)
    assert journal.live() == ()
    assert journal.seen_down == 0


def test_a_cause_that_is_no_text_is_told_as_text(journal: Journal) -> None:
    ticket = make_ticket()
    journal.store_offer(1, ticket, "envelope", AT)
    journal.move(ticket.attempt, State.REFUSED, Actor.AGENT, AT, cause="it says \ud800\x00")
    assert [report.cause for report in journal.reports(0)] == ["it says ��"]


def test_each_move_is_one_report_in_order_and_survives_a_reopening(
    journal: Journal, tmp_path: Path
) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.close()
    again = open_at(tmp_path, "b2")
    assert [(r.seq, r.state) for r in again.reports(0)] == [
        (1, State.ACCEPTED),
        (2, State.STAGED),
        (3, State.CLAIMED),
    ]
    assert again.reports(0)[1].program == PROGRAM
    assert again.reports(1)[0].boot == "b1"
    assert again.head_seq == 3
    again.ack_up(1)
    again.ack_up(0)
    assert again.acked_up == 1
    again.close()


def test_the_intent_uses_up_the_mark_and_can_be_had_once(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT, attempt=ticket.attempt)
    journal.begin(ticket.attempt, grant_of(ticket), AT, attended=True)
    assert state_of(journal, ticket) is State.STARTING
    assert journal.reports(0)[-1].person == "Ana"
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.OCCUPIED
    with pytest.raises(NotReady):
        journal.begin(ticket.attempt, grant_of(ticket), AT, attended=True)


def test_a_mark_put_while_the_machine_gets_going_clears_no_bed(journal: Journal) -> None:
    """A second press of "bed clear", between the intent and the first byte."""
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT)
    journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)
    journal.put_mark("laser-1", "Ana", AT)
    journal.move(ticket.attempt, State.RUNNING, Actor.AGENT, AT)
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.OCCUPIED
    journal.end(ticket.attempt, State.FINISHED, AT)
    later = make_ticket(jobs=("j-2",))
    staged(journal, later, seq=2)
    with pytest.raises(NotReady, match="bed is clear"):
        journal.begin(later.attempt, grant_of(later, nonce="2" * 32), AT, attended=False)


def test_a_journal_of_years_is_not_read_whole_at_every_look(journal: Journal) -> None:
    with sqlite3.connect(journal.path) as db:
        for query in (
            "SELECT * FROM attempts WHERE state IN (SELECT value FROM json_each('[]'))",
            "SELECT * FROM moves WHERE attempt = 'a-1'",
        ):
            [*_, plan] = db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()[:1]
            assert "USING INDEX" in plan[-1]
    db.close()


def test_no_intent_without_a_mark(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    with pytest.raises(NotReady, match="bed is clear"):
        journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)
    assert state_of(journal, ticket) is State.CLAIMED


def test_a_bed_mark_does_not_start_an_attended_machine(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT)
    with pytest.raises(NotReady, match="two minutes"):
        journal.begin(ticket.attempt, grant_of(ticket), AT, attended=True)


def test_a_start_mark_is_for_one_attempt(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT, attempt="a-other")
    with pytest.raises(NotReady, match="two minutes"):
        journal.begin(ticket.attempt, grant_of(ticket), AT, attended=True)


@pytest.mark.parametrize(
    ("attended", "seconds", "holds"),
    [
        (True, START_MARK_S - 1, True),
        (True, START_MARK_S, False),
        (False, BED_MARK_S - 1, True),
        (False, BED_MARK_S, False),
        (False, -1, False),
    ],
)
def test_marks_grow_old(journal: Journal, attended: bool, seconds: float, holds: bool) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT, attempt=ticket.attempt)
    expected = contextlib.nullcontext() if holds else pytest.raises(NotReady)
    with expected:
        journal.begin(ticket.attempt, grant_of(ticket), after(seconds), attended=attended)


def test_a_clear_bed_is_forgotten_by_a_restart_an_occupied_one_is_not(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    journal.put_mark("laser-1", "Ana", AT)
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.CLEAR
    journal.close()
    journal = open_at(tmp_path, "b2")
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.UNKNOWN
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT)
    journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)
    journal.close()
    journal = open_at(tmp_path, "b3")
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.OCCUPIED
    journal.close()


def test_an_alarm_voids_a_clear_bed_only(journal: Journal) -> None:
    assert not journal.void_mark("laser-1")
    journal.put_mark("laser-1", "Ana", AT)
    assert journal.void_mark("laser-1")
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.UNKNOWN
    assert not journal.void_mark("laser-1")


def test_one_attempt_a_machine(journal: Journal) -> None:
    first, second = make_ticket(), make_ticket(jobs=("j-2",))
    staged(journal, first)
    staged(journal, second, seq=2)
    journal.put_mark("laser-1", "Ana", AT)
    journal.begin(first.attempt, grant_of(first), AT, attended=False)
    journal.put_mark("laser-1", "Ana", AT)
    with pytest.raises(NotReady, match="has not ended"):
        journal.begin(second.attempt, grant_of(second, "1" * 32), AT, attended=False)


def test_a_tombstone_is_final(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.tombstone(ticket.attempt, grant_of(ticket), "the machine is offline", AT)
    assert journal.reports(0)[-1].state is State.NOT_STARTED
    journal.put_mark("laser-1", "Ana", AT)
    with pytest.raises((NotReady, IllegalMove)):
        journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)


def test_a_part_whose_last_line_was_due_is_no_scrap_after_a_restart(tmp_path: Path) -> None:
    journal, ticket = open_at(tmp_path), make_ticket()
    running(journal, ticket)
    found = journal.find(ticket.attempt)
    assert found is not None
    assert left_behind(found) == (State.INTERRUPTED, ANY)
    journal.close_run(ticket.attempt)
    journal.close()
    closing = open_at(tmp_path, "b2").find(ticket.attempt)
    assert closing is not None
    assert left_behind(closing) == (State.UNKNOWN, ANY)


@pytest.mark.parametrize("boots", [2, 3])
def test_what_stood_in_a_journal_without_a_witness_is_in_doubt_after_any_number_of_starts(
    tmp_path: Path, boots: int
) -> None:
    """The first start may end before anybody asked: the second is witnessed by the first."""
    journal, ticket = open_at(tmp_path), make_ticket()
    running(journal, ticket)
    journal.close()
    journal._witness._path.unlink()
    for boot in range(boots):
        journal = open_at(tmp_path, f"b{boot + 2}")
        journal.close()
    found = open_at(tmp_path, "b9").find(ticket.attempt)
    assert found is not None
    assert (found.state, found.handle) == (State.UNKNOWN, "h")


def test_what_came_as_a_doubt_is_never_said_to_be_over_by_this_journal(tmp_path: Path) -> None:
    """A recovery that was begun before the journal was struck out finds the doubt in its place."""
    journal, ticket = open_at(tmp_path), make_ticket()
    journal.store_doubt(1, ticket, "e", AT)
    doubted = journal.find(ticket.attempt)
    assert doubted is not None
    assert left_behind(doubted) is None


def test_a_journal_of_the_release_before_is_taken_on(tmp_path: Path) -> None:
    open_at(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("ALTER TABLE attempts DROP COLUMN closing")
    journal, ticket = open_at(tmp_path, "b2"), make_ticket()
    staged(journal, ticket)
    journal.close_run(ticket.attempt)
    assert state_of(journal, ticket) is State.CLAIMED


def test_an_end_before_the_first_line_goes_through_unknown(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT)
    journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)
    journal.end(ticket.attempt, State.INTERRUPTED, AT, cause="stopped")
    assert [r.state for r in journal.reports(3)] == [
        State.STARTING,
        State.UNKNOWN,
        State.INTERRUPTED,
    ]


def test_a_withdrawal_comes_too_late_after_the_intent(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.put_mark("laser-1", "Ana", AT)
    journal.begin(ticket.attempt, grant_of(ticket), AT, attended=False)
    assert not journal.store_withdrawal(2, ticket.attempt, 1, "cancelled", AT)
    assert state_of(journal, ticket) is State.STARTING
    assert journal.store_stop(3, ticket.attempt, 1, "cancelled", AT)
    attempt = journal.find(ticket.attempt)
    assert attempt is not None
    assert attempt.stop_why == "cancelled"


def test_a_withdrawal_with_another_fence_is_for_nobody(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    assert not journal.store_withdrawal(2, ticket.attempt, 7, "cancelled", AT)
    assert state_of(journal, ticket) is State.CLAIMED


def test_a_move_outside_the_table_changes_nothing(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    for to in (State.RUNNING, State.FINISHED, State.GRANTED, State.OFFERED):
        with pytest.raises(IllegalMove):
            journal.move(ticket.attempt, to, Actor.AGENT, AT)
    assert state_of(journal, ticket) is State.CLAIMED
    assert journal.head_seq == 3


def test_a_full_disk_undoes_the_move_and_stops_all_writing_until_mended(
    journal: Journal, tmp_path: Path
) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    [pages] = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalBroken, match="full"):
        journal.store_offer(2, make_ticket(jobs=("j-2",)), "e" * 400_000, AT)
    assert journal.trouble is not None
    with pytest.raises(JournalBroken):
        journal.put_mark("laser-1", "Ana", AT)
    assert state_of(journal, ticket) is State.CLAIMED
    assert journal.mend()
    journal.put_mark("laser-1", "Ana", AT)
    assert journal.bed("laser-1", AT.elapsed_s) is Bed.CLEAR


def test_a_journal_of_another_agent_is_not_taken(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    with pytest.raises(JournalForeign, match="lab-sued"):
        Journal.open(tmp_path / "journal.db", "lab-sued", "b2", NOW)


def test_a_damaged_journal_is_for_a_person(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is no database, not even close" * 100)
    with pytest.raises(JournalForeign, match="damaged"):
        open_at(tmp_path)


def test_what_is_ended_and_acknowledged_may_be_forgotten(journal: Journal) -> None:
    ticket = make_ticket()
    staged(journal, ticket)
    journal.store_withdrawal(2, ticket.attempt, 1, "cancelled", AT)
    later = NOW + timedelta(days=1)
    assert journal.forgettable(later) == ()
    journal.ack_up(journal.head_seq)
    assert journal.forgettable(NOW) == ()
    assert [attempt.id for attempt in journal.forgettable(later)] == [ticket.attempt]
    journal.forget(ticket.attempt)
    assert journal.forgettable(later) == ()


def test_the_file_is_written_through(journal: Journal) -> None:
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_two_writers_do_not_hang_each_other(journal: Journal, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBroken, match="locked"):
        journal.put_mark("laser-1", "Ana", AT)
    other.execute("ROLLBACK")
    other.close()
    assert journal.mend()


def test_who_was_counted_on_by_others_goes_back_to_the_last_true_number(journal: Journal) -> None:
    journal.renumber(1, 0, 0, None)
    for seq in range(1, 7):
        journal.store_seen(seq)
    assert not journal.renumber(1, 0, 0, 6)
    assert not journal.renumber(1, 0, 0, None)
    assert journal.renumber(1, 0, 0, 4)
    assert journal.seen_down == 4
    journal.store_seen(5)


def test_an_older_copy_forgets_what_it_was_at_and_what_it_said_since(tmp_path: Path) -> None:
    """Seed 479: before it compared notes it withdrew what its newer self had begun."""
    journal, ticket, done = open_at(tmp_path), make_ticket(), make_ticket(jobs=("j-2",))
    journal.store_offer(1, done, "envelope", AT)
    journal.store_withdrawal(2, done.attempt, 1, "cancelled", AT)
    staged(journal, ticket, seq=3)
    journal.close()
    older = open_at(tmp_path, "b2")
    older.move(ticket.attempt, State.WITHDRAWN, Actor.AGENT, AT)
    older.forget_all(after="b9", seq=9, epoch=2, seen_down=5)
    assert older.find(ticket.attempt) is None
    assert state_of(older, done) is State.WITHDRAWN
    assert older.reports(9) == ()
    numbers = (older.began_seq, older.head_seq, older.floor_seq, older.acked_up)
    assert numbers == (9, 9, 9, 9)
    assert opened(older) == [("b9", 9), ("b1", 9)]
    assert (older.epoch, older.seen_down) == (2, 5)
    assert older.store_doubt(6, ticket, "envelope", AT)
    assert state_of(older, ticket) is State.UNKNOWN
    assert [report.seq for report in older.reports(9)] == [10]
    older.close()
    again = open_at(tmp_path, "b3")
    assert (opened(again), again.began_seq) == ([("b2", 9), ("b9", 9), ("b1", 9)], 10)
    again.close()


def test_each_boot_is_named_with_what_the_journal_held_then(tmp_path: Path):
    for number in (1, 2, 3):
        journal = open_at(tmp_path, f"b{number}")
        ticket = make_ticket(attempt=f"a-{number}", jobs=(f"j-{number}",))
        journal.store_offer(number, ticket, "envelope", AT)
        journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, AT)
        assert opened(journal) == [(f"b{n}", n - 1) for n in range(number - 1, 0, -1)]
        assert (journal.began_seq, journal.head_seq) == (number - 1, number)
        journal.close()


@pytest.mark.parametrize("never", [State.REFUSED, State.WITHDRAWN, State.NOT_STARTED])
def test_what_never_started_here_may_have_at_a_second_computer(tmp_path: Path, never: State):
    """Withdrawn at this one while the other made it; then this one goes on alone (seed 47892)."""
    journal, ticket = open_at(tmp_path), make_ticket()
    journal.store_offer(1, ticket, "envelope", AT)
    if never is State.NOT_STARTED:
        journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, AT)
        journal.keep_program(ticket.attempt, PROGRAM, tmp_path)
        journal.move(ticket.attempt, State.STAGED, Actor.AGENT, AT)
        journal.claim(ticket.attempt, AT)
        journal.tombstone(ticket.attempt, grant_of(ticket), "too late", AT)
    else:
        journal.move(ticket.attempt, never, Actor.AGENT, AT)
    assert journal.store_doubt(2, ticket, "envelope", AT)
    assert state_of(journal, ticket) is State.UNKNOWN
    assert journal.reports(0)[-1].state is State.UNKNOWN
    journal.close()


def test_a_journal_of_before_is_opened_and_its_boots_count_as_they_did(tmp_path: Path):
    journal = open_at(tmp_path)
    staged(journal, make_ticket(), seq=1)
    journal.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("ALTER TABLE boots DROP COLUMN began_seq")
    again = open_at(tmp_path, "b2")
    assert opened(again) == [("b1", again.began_seq)]
    assert again.began_seq == again.head_seq > 0
    again.close()
