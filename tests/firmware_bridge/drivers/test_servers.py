"""What goes wrong between us and a print server, with simulated ones that lie, lose and die."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.driver import Condition, Ended, Event, Paused, Progress, Resumed, Started
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, Refused
from firmware_bridge.registry import open_driver
from tests.runs import end, follow, kinds, once, until

KINDS = ("moonraker", "prusalink")
SLOW = ["G4 P200"] * 300
Serve = Callable[..., Any]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_printed_as_it_was_sent(kind: str, serve: Serve) -> None:
    server = serve(kind)
    driver = server.driver()
    assert driver.connect().condition is Condition.IDLE
    made = server.program(
        ["M104 S175", "M109 S175", *[f"G1 X{n % 20} Y5 F6000" for n in range(99)]]
    )
    run = driver.start(made)
    assert server.starts() == 0
    events = follow(run)
    assert kinds(events) == [Started, Ended]
    assert (end(events).outcome, end(events).last_line) == ("finished", made.lines)
    assert server.received() == made.path.read_bytes()
    assert driver.status().condition is Condition.IDLE


@pytest.mark.parametrize("kind", KINDS)
def test_pause_resume_and_stop(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=10)
    driver = server.driver()
    driver.connect()
    run = driver.start(server.program(["M104 S60", *SLOW]))

    def act(event: Event) -> None:
        if isinstance(event, Started):
            run.pause()
        elif isinstance(event, Paused):
            assert driver.status().condition is Condition.PAUSED
            threading.Timer(0.3, run.resume).start()
        elif isinstance(event, Resumed):
            run.stop("enough")

    events = follow(run, act)
    assert kinds(events) == [Started, Paused, Resumed, Ended]
    assert (end(events).outcome, end(events).cause) == ("interrupted", "stopped")
    assert end(events).detail == "enough"
    until(lambda: all(goal == 0 for _, goal in driver.status().temperatures_c.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_somebody_at_the_panel_pauses_and_stops(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=10)
    driver = server.driver()
    driver.connect()
    run = driver.start(server.program(SLOW))
    heard: list[Event] = []

    def act(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Started):
            server.act("panel-pause")
        elif isinstance(event, Paused):
            server.act("panel-resume")
        elif isinstance(event, Resumed):
            server.act("panel-stop")

    over = end(follow(run, act))
    assert next(event.by for event in heard if isinstance(event, Paused)) == "the machine"
    assert over.outcome == "interrupted"
    assert over.cause.startswith("stopped at")


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_whose_answer_is_lost_is_asked_for_once(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=20)
    driver = server.driver()
    driver.connect()
    server.act("lose-start")
    events = follow(driver.start(server.program(SLOW[:50])))
    assert kinds(events) == [Started, Ended]
    assert end(events).outcome == "finished"
    assert server.starts() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_came_to_nothing_is_in_doubt(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=20)
    driver = server.driver(silence_s=1.5)
    driver.connect()
    server.act("drop-start")
    events = follow(driver.start(server.program(SLOW)))
    assert kinds(events) == [Ended]
    assert (end(events).outcome, end(events).cause) == ("unknown", "end unseen")
    assert server.starts() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_is_refused_never_was(kind: str, serve: Serve) -> None:
    server = serve(kind)
    driver = server.driver()
    driver.connect()
    server.act("refuse-start")
    run = driver.start(server.program(SLOW))
    events = follow(run)
    assert kinds(events) == [Ended]
    assert (end(events).outcome, end(events).cause) == ("not started", "refused")
    assert server.starts() == 0
    with pytest.raises(NeedsPerson):
        driver.recover(run.handle)  # the file was taken back: nothing can start it any more


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_was_refused_and_began_all_the_same_is_followed(
    kind: str, serve: Serve
) -> None:
    server = serve(kind, speed=20)
    driver = server.driver()
    driver.connect()
    server.act("deny-start")
    events = follow(driver.start(server.program(SLOW)))
    assert kinds(events) == [Started, Ended]
    assert end(events).outcome == "finished"
    assert server.starts() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_start_whose_file_is_kept_is_in_doubt(
    kind: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.serving.run.CALM_S", 0.5)
    server = serve(kind)
    driver = server.driver(silence_s=1.5)
    driver.connect()
    server.act("refuse-start")
    server.act("keep-file")
    over = end(follow(driver.start(server.program(SLOW))))
    assert (over.outcome, over.cause) == ("unknown", "start in doubt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_before_the_start_lets_nothing_out(kind: str, serve: Serve) -> None:
    server = serve(kind)
    driver = server.driver()
    driver.connect()
    run = driver.start(server.program(SLOW))
    run.stop("the maker cancelled")
    events = follow(run)
    assert (end(events).outcome, end(events).detail) == ("not started", "the maker cancelled")
    assert server.starts() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_activity_is_never_touched(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=10)
    driver = server.driver()
    driver.connect()
    waiting = driver.start(server.program(SLOW))
    server.act("foreign")
    until(lambda: driver.status().condition is Condition.ATTENTION)
    with pytest.raises(NeedsPerson, match="somebody-elses"):
        driver.start(server.program(SLOW))
    events = follow(waiting)
    assert kinds(events) == [Ended]
    assert (end(events).outcome, end(events).cause) == ("not started", "not ready")
    with pytest.raises(NeedsPerson):
        driver.recover("attempt-none-000000000000.gcode")
    state = server.act("state")
    assert (state["file"], state["state"]) == ("somebody-elses.gcode", "printing")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_kept_as_sent_is_not_started(kind: str, serve: Serve) -> None:
    server = serve(kind)
    driver = server.driver()
    driver.connect()
    server.act("alter")
    over = end(follow(driver.start(server.program(["G1 X1", "G1 X2"]))))
    assert (over.outcome, over.cause) == ("not started", "not handed over")
    assert "as it was sent" in over.detail
    assert server.starts() == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "words"), [("full", "no room"), ("small", "too large")])
def test_no_room_is_said_in_words(kind: str, fault: str, words: str, serve: Serve) -> None:
    server = serve(kind, more="room_bytes = 100" if fault == "small" else "")
    driver = server.driver()
    driver.connect()
    if fault == "full":
        server.act("full")
    over = end(follow(driver.start(server.program(SLOW))))
    assert (over.outcome, over.cause) == ("not started", "not handed over")
    assert words in over.detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_restarts_is_found_again(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=10)
    driver = server.driver(silence_s=20)
    driver.connect()
    made = server.program(SLOW)
    events = follow(driver.start(made), once(Progress, lambda: server.act("restart")))
    assert kinds(events) == [Started, Ended]
    assert (end(events).outcome, end(events).last_line) == ("finished", made.lines)
    assert server.starts() == 1


LIES = ("html", "flood", "drip", "500", "redirect", "silence", "garbage", "cut")


@pytest.mark.parametrize(
    ("kind", "lie"),
    [*(("prusalink", lie) for lie in LIES), *(("moonraker", lie) for lie in LIES[:4])],
)
def test_a_lying_server_never_finishes_and_never_hangs(
    kind: str, lie: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.serving.http.REQUEST_S", 1.0)
    monkeypatch.setattr("firmware_bridge.serving.push.OPEN_S", 1.0)
    server = serve(kind, speed=5)
    driver = server.driver(silence_s=1)
    driver.connect()
    began = time.monotonic()
    over = end(
        follow(driver.start(server.program(SLOW)), once(Progress, lambda: server.act(f"lie-{lie}")))
    )
    assert (over.outcome, over.cause) == ("unknown", "server lost"), over
    assert server.secret not in over.detail
    assert over.detail.isprintable()
    assert time.monotonic() - began < 25
    with pytest.raises(BridgeError) as error:
        driver.connect()
    assert server.secret not in str(error.value)
    server.act("honest")
    found = driver.recover(server_handle(server))
    assert found is not None


def server_handle(server: Any) -> str:
    return str(server.act("state")["file"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_machine_halts(kind: str, serve: Serve) -> None:
    server = serve(kind, speed=10)
    driver = server.driver()
    driver.connect()
    over = end(
        follow(driver.start(server.program(SLOW)), once(Progress, lambda: server.act("overheat")))
    )
    assert over.outcome in ("failed", "interrupted"), over
    assert driver.status().condition is Condition.FAULT
    with pytest.raises(NeedsPerson):
        driver.start(server.program(SLOW))


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_in_no_words_and_no_log(
    kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(kind)
    driver = server.driver()
    driver.connect()
    follow(driver.start(server.program(["G1 X1"])))
    assert server.secret not in caplog.text
    wrong = {"api_key": "wrong-secret"} if kind == "moonraker" else {"password": "wrong-secret"}
    other = server.driver(**wrong)
    with pytest.raises(Refused, match="key or password") as error:
        other.connect()
    assert "wrong-secret" not in str(error.value)
    assert "wrong-secret" not in caplog.text


@pytest.mark.parametrize("kind", [*KINDS, "octoprint"])
@pytest.mark.parametrize(
    "link",
    [
        "/dev/ttyUSB0",
        "ftp://printer",
        "http://",
        "http://user:secret@printer",
        "http://printer?key=secret",
        "http://[printer",
        "http://printer:99999",
    ],
)
def test_what_is_no_address_is_refused(kind: str, link: str) -> None:
    entry = {"driver": kind, "link": link, "api_key": "k", "password": "p"}
    with pytest.raises(Refused, match="address") as error:
        open_driver(entry)
    assert ":secret" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(kind: str) -> None:
    driver = open_driver({"driver": kind, "link": "http://127.0.0.1:9", "password": "p"})
    with pytest.raises(LinkLost):
        driver.connect()
    assert driver.status().condition is Condition.OFFLINE
    driver.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_program_is_not_sent(kind: str, serve: Serve) -> None:
    server = serve(kind)
    driver = server.driver()
    driver.connect()
    made = server.program(["G1 X1"])
    made.path.write_bytes(b"G1 X2\n")
    assert hashlib.sha256(b"G1 X2\n").hexdigest() != made.sha256
    with pytest.raises(Refused, match="approved"):
        driver.start(made)
