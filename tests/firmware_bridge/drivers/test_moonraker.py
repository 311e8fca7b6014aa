"""The Moonraker driver against the real Moonraker, which sits in front of a Klipper of ours."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from firmware_bridge.driver import (
    Condition,
    Ended,
    Event,
    Paused,
    Picture,
    Progress,
    Resumed,
    Sees,
    Started,
)
from firmware_bridge.drivers.moonraker import codec
from firmware_bridge.errors import NeedsPerson, ProtocolError, Refused
from firmware_bridge.serving import Doing, Past
from tests.firmware_bridge.drivers.conftest import JPEG, Shown
from tests.runs import end, follow, kinds, once, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("moonraker")]

Real = Callable[..., Any]
QUICK = ["M104 S175", "M109 S175", *[f"G1 X{n % 20} Y{n % 18} F6000 ; é" for n in range(200)]]
SLOW = ["G4 P200"] * 400


def test_a_print_runs_once_to_its_end_and_is_found_again(real_moonraker: Real) -> None:
    server = real_moonraker()
    driver = server.klipper.driver()
    status = driver.connect()
    assert (status.condition, status.firmware) == (Condition.IDLE, "Moonraker 0.11.0")
    assert set(status.temperatures_c) == {"tool0", "bed"}
    made = server.klipper.program(QUICK)
    run = driver.start(made)
    assert server.klipper.starts() == 0
    events = follow(run)
    assert kinds(events) == [Started, Ended]
    assert (end(events).outcome, end(events).last_line) == ("finished", made.lines)
    wanted = [row.split(";")[0].strip() for row in made.path.read_text().splitlines()]
    assert server.klipper.received().decode().splitlines() == wanted
    again = driver.recover(run.handle)
    assert again is not None
    assert end(follow(again)).outcome == "finished"
    twice = end(follow(driver.start(made)))
    assert (twice.outcome, "never started twice" in twice.detail) == ("interrupted", True)
    # A later print, and Klipper no longer remembers the first: the history does.
    assert end(follow(driver.start(server.klipper.program(QUICK)))).outcome == "finished"
    found = driver.recover(run.handle)
    assert found is not None
    assert end(follow(found)).outcome == "finished"
    assert server.klipper.starts() == 2
    with pytest.raises(NeedsPerson, match="no longer has"):
        driver.recover("attempt-never-000000000000.gcode")


def test_pause_resume_and_recovery_in_the_middle(real_moonraker: Real) -> None:
    server = real_moonraker(speed=20)
    first = server.klipper.driver()
    first.connect()
    made = server.klipper.program(SLOW)
    run = first.start(made)
    events = run.events()
    assert isinstance(next(events), Started)
    events.close()  # type: ignore[attr-defined]
    first.close()
    other = server.klipper.driver()
    other.connect()
    assert other.status().condition is Condition.ATTENTION  # nobody said yet that it is ours
    found = other.recover(run.handle)
    assert found is not None
    assert other.status().condition is Condition.RUNNING

    def act(event: Event) -> None:
        if isinstance(event, Paused):
            assert event.by == "the agent"
            assert other.status().condition is Condition.PAUSED
            threading.Timer(0.5, found.resume).start()

    found.pause()
    heard = follow(found, act)
    assert kinds(heard) == [Started, Paused, Resumed, Ended]
    assert end(heard).outcome == "finished"
    assert server.klipper.starts() == 1


def test_stop_leaves_it_cold_and_what_the_history_says(real_moonraker: Real) -> None:
    server = real_moonraker(speed=20)
    driver = server.klipper.driver()
    driver.connect()
    run = driver.start(server.klipper.program(["M104 S60", *SLOW]))
    over = end(follow(run, once(Progress, lambda: run.stop("the maker cancelled"))))
    assert (over.outcome, over.cause) == ("interrupted", "stopped")
    assert over.detail == "the maker cancelled"
    until(lambda: all(goal == 0 for _, goal in driver.status().temperatures_c.values()))
    found = driver.recover(run.handle)
    assert found is not None
    assert end(follow(found)).cause == "stopped at Moonraker"


def test_what_is_not_ours_is_left_alone(real_moonraker: Real) -> None:
    server = real_moonraker(speed=20)
    driver = server.klipper.driver()
    driver.connect()
    waiting = driver.start(server.klipper.program(QUICK))
    other = server.klipper.program(SLOW).path.read_bytes()
    sent = {"file": ("somebody-elses.gcode", other)}
    assert httpx.post(f"{server.url}/server/files/upload", files=sent).status_code == 201
    begun = httpx.post(
        f"{server.url}/printer/print/start", json={"filename": "somebody-elses.gcode"}
    )
    assert begun.status_code == 200
    until(lambda: driver.status().condition is Condition.ATTENTION)
    with pytest.raises(NeedsPerson, match=r"somebody-elses\.gcode"):
        driver.start(server.klipper.program(QUICK))
    late = follow(waiting)
    assert kinds(late) == [Ended]
    assert (end(late).outcome, end(late).cause) == ("not started", "not ready")
    assert server.klipper.act("state")["file"] == "somebody-elses.gcode"
    assert server.klipper.act("state")["state"] == "printing"


def test_a_start_that_klipper_refuses_is_proven_by_its_file(
    real_moonraker: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    klipper = real_moonraker(speed=10).klipper
    driver = klipper.driver()
    driver.connect()
    ask = driver._server.ask_to_start

    def too_late(name: str) -> None:
        """Somebody at the printer's screen is quicker."""
        klipper.act("foreign")
        ask(name)

    monkeypatch.setattr(driver._server, "ask_to_start", too_late)
    over = end(follow(driver.start(klipper.program(SLOW))))
    assert (over.outcome, over.cause) == ("not started", "refused"), over
    assert "busy" in over.detail
    assert driver.status().condition is Condition.ATTENTION


def test_the_picture_comes_from_the_camera_that_moonraker_names(
    real_moonraker: Real, shown: Shown
) -> None:
    where = f"http://127.0.0.1:{shown.port}/webcam/?action=snapshot"
    server = real_moonraker()
    driver = server.klipper.driver()
    assert isinstance(driver, Sees)
    with pytest.raises(Refused, match="no camera"):
        driver.snapshot()
    told = {"name": "bench", "snapshot_url": where, "stream_url": where}
    answer = httpx.post(f"{server.url}/server/webcams/item", json=told, timeout=10)
    assert answer.is_success, answer.text
    assert driver.snapshot() == Picture(JPEG, "image/jpeg")


def test_moonraker_dies_and_comes_back_and_the_print_goes_on(real_moonraker: Real) -> None:
    server = real_moonraker(speed=20)
    driver = server.klipper.driver(silence_s=40)
    driver.connect()
    made = server.klipper.program(SLOW)

    def again() -> None:
        server.kill()
        threading.Timer(0.5, server.start).start()

    events = follow(driver.start(made), once(Progress, again))
    assert (end(events).outcome, end(events).last_line) == ("finished", made.lines)
    assert server.klipper.starts() == 1


def test_moonraker_dies_for_good(real_moonraker: Real) -> None:
    server = real_moonraker(speed=20)
    driver = server.klipper.driver(silence_s=1)
    driver.connect()
    over = end(follow(driver.start(server.klipper.program(SLOW)), once(Progress, server.kill)))
    assert (over.outcome, over.cause) == ("unknown", "server lost")
    assert driver.status().condition is Condition.OFFLINE
    assert server.klipper.act("state")["state"] == "printing"


@pytest.mark.parametrize(
    ("verb", "outcome", "condition"),
    [
        ("unplug", {"interrupted"}, Condition.OFFLINE),
        ("overheat", {"interrupted", "failed"}, Condition.FAULT),
    ],
)
def test_klipper_gives_up(
    real_moonraker: Real, verb: str, outcome: set[str], condition: Condition
) -> None:
    server = real_moonraker(speed=20)
    driver = server.klipper.driver()
    driver.connect()
    run = driver.start(server.klipper.program(SLOW))
    over = end(follow(run, once(Progress, lambda: server.klipper.act(verb))))
    assert over.outcome in outcome, over
    until(lambda: driver.status().condition is condition)
    server.klipper.act("replug" if verb == "unplug" else "reset")
    until(lambda: driver.status().condition is Condition.IDLE)


def test_halt_is_an_emergency_stop(real_moonraker: Real) -> None:
    server = real_moonraker(speed=20)
    driver = server.klipper.driver()
    driver.connect()
    run = driver.start(server.klipper.program(["M104 S60", *SLOW]))
    over = end(follow(run, once(Progress, driver.halt)))
    assert over.outcome in ("interrupted", "failed")
    status = driver.status()
    assert status.condition is Condition.FAULT
    assert "webhooks request" in status.detail
    with pytest.raises(NeedsPerson, match="not ready"):
        driver.start(server.klipper.program(QUICK))


def test_a_wrong_key_is_said_and_never_shown(real_moonraker: Real) -> None:
    server = real_moonraker()
    with pytest.raises(Refused, match="key") as error:
        server.klipper.driver(api_key="a-wrong-secret").connect()
    assert "a-wrong-secret" not in str(error.value)
    key = httpx.get(f"{server.url}/access/api_key").json()["result"]
    assert server.klipper.driver(api_key=key).connect().condition is Condition.IDLE


def test_a_moonraker_that_rewrites_files_is_found_out(real_moonraker: Real) -> None:
    server = real_moonraker(settings="[file_manager]\nenable_object_processing: True\n")
    driver = server.klipper.driver()
    driver.connect()
    rows = [
        "; generated by PrusaSlicer 2.5.0 on 2026-11-22 at 10:00:00 UTC",
        "; printing object cube id:0 copy 0",
        "G1 X10 Y10 E1",
        "G1 X20 Y10 E1",
        "; stop printing object cube id:0 copy 0",
        "; objects_info = {}",
    ]
    over = end(follow(driver.start(server.klipper.program(rows))))
    assert (over.outcome, over.cause) == ("not started", "not handed over")
    assert "enable_object_processing" in over.detail
    assert server.klipper.starts() == 0


# ---- the language alone


def test_what_is_no_answer_is_a_protocol_error() -> None:
    for text in ("<html>login</html>", '{"id": "x"}', "[]", '{"error": 5}'):
        with pytest.raises(ProtocolError):
            codec.hear(text)
    with pytest.raises(ProtocolError, match="web page"):
        codec.hear("<html>login</html>")


def test_a_picture_grows_by_what_was_asked_for_only() -> None:
    picture = codec.Picture({})
    picture.merge({"heaters": {"available_heaters": ["extruder1", "heater_bed"]}})
    picture.merge({"extruder1": {"temperature": 20.5, "target": 60.0, "power": 1}, "x": {"y": 1}})
    picture.merge({"print_stats": {"state": "printing", "filename": "a.gcode"}})
    assert "x" not in picture.known
    look = picture.look(settling=False)
    assert (look.doing, look.file) == (Doing.WORKING, "a.gcode")
    assert look.heat == {"tool1": (20.5, 60.0)}
    with pytest.raises(ProtocolError):
        picture.merge({"print_stats": 5})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("completed", "finished"),
        ("cancelled", "interrupted"),
        ("error", "failed"),
        ("klippy_shutdown", "interrupted"),
        ("klippy_disconnect", "interrupted"),
        ("interrupted", "unknown"),
    ],
)
def test_each_word_of_the_history_has_its_meaning(status: str, outcome: str) -> None:
    jobs = [{"filename": "b", "status": "completed"}, {"filename": "a", "status": status}]
    history = codec.History.model_validate({"jobs": jobs})
    past = history.of("a")
    assert isinstance(past, Past)
    assert past.outcome == outcome
    assert history.of("c") is None
    assert codec.History.model_validate({"jobs": [{"filename": "a"}]}).of("a") is None


def test_complete_in_motion_is_not_yet_the_end() -> None:
    picture = codec.Picture({})
    stats = {"state": "complete", "filename": "a.gcode"}
    picture.merge({"print_stats": stats, "idle_timeout": {"state": "Printing"}})
    assert picture.complete_in_motion
    assert picture.look(settling=True).doing is Doing.ENDING
    picture.merge({"idle_timeout": {"state": "Ready"}})
    assert not picture.complete_in_motion
