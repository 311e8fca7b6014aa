"""What only PrusaLink does: digest, jobs by number, no history; and its published interface."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.driver import Condition, Event, Paused, Progress, Started
from firmware_bridge.drivers.prusalink import codec
from firmware_bridge.errors import NeedsPerson, ProtocolError, Refused
from firmware_bridge.registry import open_driver
from firmware_bridge.serving import Doing
from firmware_bridge.serving.answers import read
from tests.runs import end, follow, once

Serve = Callable[..., Any]
SLOW = ["G4 P200"] * 300


def test_an_agent_that_was_killed_finds_its_print_again(serve: Serve) -> None:
    server = serve("prusalink", speed=10)
    first = server.driver()
    first.connect()
    run = first.start(server.program(SLOW))
    events = run.events()
    assert isinstance(next(events), Started)
    events.close()  # type: ignore[attr-defined]
    other = server.driver()
    other.connect()
    found = other.recover(run.handle)
    assert found is not None
    assert end(follow(found)).outcome == "finished"
    # It keeps no history: whoever did not see it run cannot know.
    third = server.driver()
    third.connect()
    with pytest.raises(NeedsPerson, match="nobody knows"):
        third.recover(run.handle)
    assert server.starts() == 1


def test_a_print_that_vanished_is_unknown(serve: Serve) -> None:
    server = serve("prusalink", speed=10)
    driver = server.driver(silence_s=2)
    driver.connect()
    over = end(
        follow(driver.start(server.program(SLOW)), once(Progress, lambda: server.act("reset")))
    )
    assert (over.outcome, over.cause) == ("unknown", "end unseen")


def test_halt_stops_the_job_and_that_is_all_it_can(serve: Serve) -> None:
    server = serve("prusalink", speed=10)
    driver = server.driver()
    driver.connect()
    over = end(follow(driver.start(server.program(SLOW)), once(Progress, driver.halt)))
    assert (over.outcome, over.cause) == ("interrupted", "stopped at PrusaLink")
    assert driver.status().condition is Condition.IDLE


def test_a_printer_that_waits_for_a_person_pauses_the_run(serve: Serve) -> None:
    server = serve("prusalink", speed=10)
    driver = server.driver()
    driver.connect()
    run = driver.start(server.program(SLOW))

    def act(event: Event) -> None:
        if isinstance(event, Paused):
            assert event.by == "the machine"
            assert driver.status().condition is Condition.ATTENTION
            threading.Timer(0.2, server.act, ["press"]).start()

    events = follow(run, lambda event: (_jam(event, server), act(event)))
    assert any(isinstance(event, Paused) for event in events)
    assert end(events).outcome == "finished"


_jammed: list[object] = []


def _jam(event: Event, server: Any) -> None:
    if isinstance(event, Progress) and not _jammed:
        _jammed.append(server.act("jam"))


def test_a_board_that_catches_itself_is_still_at_our_print(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.serving.run.HISTORY_S", 1.0)
    server = serve("prusalink", speed=10)
    driver = server.driver(silence_s=2)
    driver.connect()

    def crash() -> None:
        server.act("recovering")
        threading.Timer(4, server.act, ["recovered"]).start()

    events = follow(driver.start(server.program(SLOW)), once(Progress, crash))
    assert end(events).outcome == "finished", end(events)
    assert server.starts() == 1


@pytest.mark.parametrize(("answer", "outcome"), [("yes", "finished"), ("no", "unknown")])
def test_a_question_before_the_first_line_waits_for_a_person(
    serve: Serve, answer: str, outcome: str
) -> None:
    server = serve("prusalink", speed=10)
    driver = server.driver(silence_s=2)
    driver.connect()
    server.act("ask-first")
    ask = once(Paused, lambda: threading.Timer(4, server.act, [f"answer-{answer}"]).start())
    over = end(follow(driver.start(server.program(SLOW[:40])), ask))
    assert over.outcome == outcome, over
    assert server.starts() == (answer == "yes")


def test_a_nonce_that_ages_costs_no_upload(serve: Serve) -> None:
    server = serve("prusalink")
    driver = server.driver()
    driver.connect()
    run = driver.start(server.program(["G1 X1 F600"] * 20000))
    server.act("age")
    assert end(follow(run)).outcome == "finished"


def test_without_a_password_it_says_where_to_find_one() -> None:
    with pytest.raises(Refused, match="panel shows it"):
        open_driver({"driver": "prusalink", "link": "http://printer"})


@pytest.mark.parametrize(
    ("state", "has_job", "doing"),
    [
        ("IDLE", False, Doing.READY),
        ("READY", False, Doing.READY),
        ("FINISHED", False, Doing.READY),
        ("STOPPED", False, Doing.READY),
        ("PRINTING", True, Doing.WORKING),
        ("PAUSED", True, Doing.PAUSED),
        ("BUSY", True, Doing.ENDING),
        ("BUSY", False, Doing.CHANGING),
        ("ATTENTION", True, Doing.WAITING),
        ("ATTTENTION", True, Doing.WAITING),
        ("ERROR", False, Doing.BROKEN),
        ("SOMETHING NEW", False, Doing.CHANGING),
    ],
)
def test_each_state_has_its_meaning(state: str, has_job: bool, doing: Doing) -> None:
    assert codec.doing(state, has_job=has_job) is doing


def test_what_is_no_answer_is_a_protocol_error() -> None:
    for body in (b"", b"<html>", b'{"printer": {}}', b'{"printer": {"state": 5}}'):
        with pytest.raises(ProtocolError):
            read(codec.Status, body, "PrusaLink")
