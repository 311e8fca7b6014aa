"""The by-hand driver and its hand-out folder: people's words kept, in order, and never made up."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.driver import (
    ByPerson,
    Condition,
    Driver,
    Ended,
    Event,
    Program,
    Progress,
    Run,
    Started,
    Waiting,
)
from firmware_bridge.drivers.by_hand import codec, quirks
from firmware_bridge.errors import LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.registry import open_driver

NAME = "attempt-1-"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shopbot").mkdir()
    return tmp_path / "shopbot"


@pytest.fixture
def driver(folder: Path) -> Iterator[Driver]:
    made = open_driver({"driver": "by_hand", "link": str(folder)})
    made.connect()
    yield made
    made.close()


def program(folder: Path, attempt: str = "attempt-1") -> Program:
    data = b"G21\nG0 X10\nM5\n"
    path = folder.parent / f"{attempt}.gcode"
    path.write_bytes(data)
    return Program(path, hashlib.sha256(data).hexdigest(), attempt, 3, "Work zero: lower left.\n")


class Told:
    """Follows a run on a thread of its own, as the agent does."""

    def __init__(self, run: Run) -> None:
        assert isinstance(run, ByPerson)
        self.run: ByPerson = run
        self.events: list[Event] = []
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=[run], daemon=True)
        self._thread.start()
        self.until(Waiting)

    def _follow(self, run: Run) -> None:
        for event in run.events():
            with self._heard:
                self.events.append(event)
                self._heard.notify_all()

    def until(self, kind: type[Event]) -> None:
        with self._heard:
            assert self._heard.wait_for(
                lambda: any(isinstance(each, kind) for each in self.events), 10
            )

    def end(self) -> Ended:
        self._thread.join(10)
        ended = self.events[-1]
        assert isinstance(ended, Ended)
        return ended

    @property
    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.events if not isinstance(event, Waiting)]


def test_a_hand_out_from_start_to_finish(driver: Driver, folder: Path) -> None:
    made = program(folder)
    assert driver.status().condition is Condition.IDLE
    run = driver.start(made)
    assert list(folder.iterdir()) == [folder / quirks.LOCK]  # nothing before it is followed
    at = Told(run)
    assert (folder / made.remote_name).read_bytes() == made.path.read_bytes()
    assert (folder / (made.remote_name + quirks.SHEET)).read_text() == made.sheet
    assert at.run.words == ("started", "not started")
    assert driver.status().condition is Condition.ATTENTION
    at.run.tell("started", "Ana")
    at.until(Started)
    assert driver.status().condition is Condition.RUNNING
    assert at.run.words == ("finished", "failed", "stopped")
    at.run.tell("finished", " Ben ", "two tabs to cut")
    ended = at.end()
    assert at.kinds == [Started, Progress, Ended]
    assert (ended.outcome, ended.cause, ended.last_line) == ("finished", "attested by a person", 3)
    assert (ended.by, ended.detail) == ("Ben", "two tabs to cut")
    assert driver.status().condition is Condition.IDLE
    record = (folder / "done" / f"{made.remote_name}{quirks.RECORD}").read_text().splitlines()
    assert [json.loads(row).get("word") for row in record] == [None, "started", "finished"]
    assert not (folder / made.remote_name).exists()


@pytest.mark.parametrize(
    ("words", "outcome", "cause"),
    [
        (("started", "failed"), "failed", "attested by a person"),
        (("started", "stopped"), "interrupted", "stopped"),
        (("not started",), "not started", "not started"),
    ],
)
def test_every_other_end(
    driver: Driver, folder: Path, words: tuple[str, ...], outcome: str, cause: str
) -> None:
    at = Told(driver.start(program(folder)))
    for word in words:
        at.run.tell(word, "Ana")  # type: ignore[arg-type]
    ended = at.end()
    assert (ended.outcome, ended.cause, ended.by) == (outcome, cause, "Ana")
    assert driver.status().condition is Condition.IDLE


def test_words_out_of_order_or_without_a_name_are_refused(driver: Driver, folder: Path) -> None:
    made = program(folder)
    at = Told(driver.start(made))
    before = (folder / f"{made.remote_name}{quirks.RECORD}").read_bytes()
    for word in ("finished", "failed", "stopped"):
        with pytest.raises(Refused, match="started or not started"):
            at.run.tell(word, "Ana")  # type: ignore[arg-type]
    for by in ("", "  ", "A" * 81, "An\x1b[31ma", "A\nB"):
        with pytest.raises(Refused, match="by: "):
            at.run.tell("started", by)
    with pytest.raises(Refused, match="note: "):
        at.run.tell("started", "Ana", "x" * 501)
    assert (folder / f"{made.remote_name}{quirks.RECORD}").read_bytes() == before
    at.run.tell("not started", "Ana")
    at.end()
    with pytest.raises(Refused, match="nobody's word"):
        at.run.tell("started", "Ana")
    assert at.run.words == ()


def test_a_stop_is_asked_and_waits_for_the_persons_word(driver: Driver, folder: Path) -> None:
    run = driver.start(program(folder))
    at = Told(run)
    at.run.tell("started", "Ana")
    run.stop("the maker cancelled")
    assert at.run.asked == "the maker cancelled"
    assert not any(isinstance(event, Ended) for event in at.events)
    at.run.tell("stopped", "Ana")
    assert (at.end().outcome, at.end().detail) == ("interrupted", "the maker cancelled")


def test_a_run_that_was_stopped_before_it_began_hands_out_nothing(
    driver: Driver, folder: Path
) -> None:
    run = driver.start(program(folder))
    with pytest.raises(Refused, match="already"):
        driver.start(program(folder))
    run.stop("the disk is full")
    [ended] = run.events()
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.detail) == ("not started", "the disk is full")
    assert [path.name for path in folder.iterdir()] == [quirks.LOCK]
    assert isinstance(driver.start(program(folder)), ByPerson)


@pytest.mark.parametrize("said", [(), ("started",), ("started", "finished")])
def test_the_job_outlives_the_agent(driver: Driver, folder: Path, said: tuple[str, ...]) -> None:
    made = program(folder)
    first = driver.start(made)
    events = first.events()
    assert isinstance(next(events), Waiting)
    assert isinstance(first, ByPerson)
    for word in said:
        first.tell(word, "Ana")  # type: ignore[arg-type]
    driver.close()  # what a kill does too: nothing but the lock goes
    other = open_driver({"driver": "by_hand", "link": str(folder)})
    try:
        other.connect()
        if len(said) < 2:
            assert other.status().condition is Condition.ATTENTION
            with pytest.raises(NeedsPerson, match=made.remote_name):
                other.start(program(folder, "attempt-2"))
        found = other.recover(made.remote_name)
        assert found is not None
        if len(said) == 2:
            again = list(found.events())
        else:
            at = Told(found)
            for word in ("started", "finished")[len(said) :]:
                at.run.tell(word, "Ben")
            at.end()
            again = at.events
        ended = again[-1]
        assert isinstance(ended, Ended)
        assert ended.outcome == "finished"
        assert sum(isinstance(event, Started) for event in again) == 1
        # Told again after another kill, it still says the same, and it is never handed out twice.
        last = list((other.recover(made.remote_name) or found).events())[-1]
        assert last == ended
        with pytest.raises(Refused, match="never handed out twice"):
            other.start(made)
    finally:
        other.close()


@pytest.mark.parametrize(
    "harm",
    [
        b"",
        b"not json\n",
        b'{"word": "finished"}\n',
        b"\xff\xfe\n" * 40_000,
        None,
    ],
)
def test_a_record_altered_into_nonsense_is_unknown_and_kept(
    driver: Driver, folder: Path, harm: bytes | None
) -> None:
    made = program(folder)
    at = Told(driver.start(made))
    at.run.tell("started", "Ana")
    path = folder / f"{made.remote_name}{quirks.RECORD}"
    if harm is None:
        path.write_bytes(path.read_bytes().replace(b"Ana", b"Eve"))  # well-formed, yet not ours
    else:
        path.write_bytes(harm)
    altered = path.read_bytes()
    with pytest.raises(ProtocolError):
        at.run.tell("finished", "Ana")
    ended = at.end()
    assert (ended.outcome, ended.by) == ("unknown", "")
    assert path.read_bytes() == altered
    if harm is not None:
        with pytest.raises(ProtocolError):
            driver.recover(made.remote_name)
        assert driver.status().condition is Condition.ATTENTION


def test_a_record_that_is_gone_is_asked_about(driver: Driver) -> None:
    with pytest.raises(NeedsPerson, match="nobody knows"):
        driver.recover("attempt-1-0123456789ab.gcode")


def test_a_folder_that_is_away_loses_no_word(driver: Driver, folder: Path) -> None:
    at = Told(driver.start(program(folder)))
    away = folder.rename(folder.with_name("away"))
    with pytest.raises(LinkLost, match="gone"):
        at.run.tell("started", "Ana")
    assert at.run.words == ("started", "not started")
    assert driver.status().condition is Condition.OFFLINE
    away.rename(folder)
    at.run.tell("started", "Ana")
    at.until(Started)
    at.run.tell("stopped", "Ana", "a knot in the wood")
    assert at.end().detail == "a knot in the wood"


def test_a_folder_that_goes_before_the_hand_out_starts_nothing(
    driver: Driver, folder: Path
) -> None:
    run = driver.start(program(folder))
    shutil.rmtree(folder)
    [ended] = run.events()
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.cause) == ("not started", "not handed out")
    assert driver.status().condition is Condition.OFFLINE
    with pytest.raises(LinkLost, match="mounted"):
        open_driver({"driver": "by_hand", "link": str(folder)}).connect()


def test_one_agent_a_folder_and_a_folder_it_must_be(driver: Driver, folder: Path) -> None:
    second = open_driver({"driver": "by_hand", "link": str(folder)})
    with pytest.raises(Refused, match="in use"):
        second.connect()
    driver.close()
    assert second.connect().condition is Condition.IDLE
    second.close()
    with pytest.raises(Refused, match="whole path"):
        open_driver({"driver": "by_hand", "link": "shopbot"})


def test_closed_in_the_middle_it_is_unknown_and_no_thread_waits_for_ever(
    driver: Driver, folder: Path
) -> None:
    at = Told(driver.start(program(folder)))
    at.run.tell("started", "Ana")
    driver.close()
    assert at.end().outcome == "unknown"


@pytest.mark.parametrize("ask", [lambda run: run.pause(), lambda run: run.resume()])
def test_what_only_the_machine_itself_can_do(
    driver: Driver, folder: Path, ask: Callable[[Run], None]
) -> None:
    run = driver.start(program(folder))
    with pytest.raises(Refused, match="at the machine itself"):
        ask(run)
    with pytest.raises(Refused, match="its own switch"):
        driver.halt()


def test_only_the_approved_bytes_are_handed_out(driver: Driver, folder: Path) -> None:
    made = program(folder)
    with pytest.raises(Refused, match="approved"):
        driver.start(replace(made, sha256="0" * 64))
    made.path.write_bytes(b"G0 X999\n")
    with pytest.raises(Refused, match="approved"):
        driver.start(made)
    assert [path.name for path in folder.iterdir()] == [quirks.LOCK]


# ---- the record alone

HANDED = codec.HandedOut.model_validate(
    {"handed_out": "a.gcode", "sha256": "0" * 64, "lines": 3, "at": "2026-01-02T03:04:05Z"}
)


@given(st.lists(st.sampled_from(["started", "finished", "failed", "stopped", "not started"])))
def test_any_order_of_words_is_kept_exactly_or_refused(words: list[str]) -> None:
    record = codec.Record(HANDED)
    for word in words:
        legal = word in record.words
        try:
            longer = record.with_word(word, "Ana", "", HANDED.at)  # type: ignore[arg-type]
        except Refused:
            assert not legal
            continue
        assert legal
        record = longer
    assert codec.read(record.written(), "a.gcode") == record
    assert len(record.said) <= 2


@given(st.binary(max_size=300), st.integers(0, 300))
def test_what_is_read_is_all_that_is_written_there(noise: bytes, at: int) -> None:
    """A changed name may still be a name; what cannot have been written is no record."""
    record = codec.Record(HANDED).with_word("started", "Ana", "", HANDED.at)
    data = record.written()
    changed = data[:at] + noise + data[at:]
    try:
        read = codec.read(changed, "a.gcode")
    except ProtocolError:
        return
    assert read.written() == changed
