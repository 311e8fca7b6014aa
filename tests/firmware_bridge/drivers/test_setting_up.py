"""What machines can do besides, for set-up and on a person's word: home, jog, be looked at."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.driver import Condition, Driver, Ended, Homes, Jogs, Program, Sees, Travel
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.registry import DRIVERS, open_driver
from firmware_bridge.serving.camera import PICTURE_MAX, beside
from tests.contracts.stand_ins import QUICK
from tests.firmware_bridge.drivers.conftest import JPEG, Shown
from tests.simulated import MACHINES, Simulated

MILL = Travel((-300, -180, -45), (0, 0, 0), 1500)
PRINTER = Travel((0, 0, 0), (220, 220, 250), 1500)
Board = Callable[..., tuple[Driver, Simulated]]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made: list[tuple[Driver, Simulated]] = []

    def make(kind: str, machine: str, text: Callable[[str], str] = str) -> tuple[Driver, Simulated]:
        shipped = text((MACHINES / f"{machine}.toml").read_text())
        sim = Simulated(tmp_path / "sim", shipped, 20, tmp_path / "port")
        entry = {"driver": kind, "link": str(tmp_path / "port"), "timeouts": QUICK}
        made.append((open_driver(entry), sim))
        return made[-1]

    yield make
    for driver, sim in made:
        driver.close()
        sim.close()


def homing(shipped: str) -> str:
    return shipped.replace("22 = 0", "22 = 1")


def test_a_grbl_mill_is_homed_and_jogged_within_its_travel(board: Board) -> None:
    driver, sim = board("grbl", "mill-3018", homing)
    assert driver.connect().needs_homing
    assert isinstance(driver, Homes)
    assert isinstance(driver, Jogs)
    with pytest.raises(Refused, match="home it"):
        driver.jog((-1, 0, 0), MILL)
    here = driver.home()
    assert (here.condition, here.needs_homing) == (Condition.IDLE, False)
    assert here.position_mm is not None
    there = driver.jog((-10, 0, 0), MILL)
    assert there.condition is Condition.IDLE  # it stands again
    assert there.position_mm == pytest.approx(
        (here.position_mm[0] - 10, *here.position_mm[1:]), abs=0.02
    )
    with pytest.raises(Refused, match="outside its travel"):
        driver.jog((0, 0, 10), MILL)
    assert driver.status().position_mm == there.position_mm
    assert sim.starts() == 0


def test_a_grbl_jog_is_cancelled_and_the_place_stays_known(board: Board) -> None:
    driver, _ = board("grbl", "mill-3018", homing)
    driver.connect()
    assert isinstance(driver, Homes)
    assert isinstance(driver, Jogs)
    driver.home()
    slow = Travel(MILL.low_mm, MILL.high_mm, 60)
    threading.Timer(0.15, driver.stop_jog).start()
    there = driver.jog((-100, 0, 0), slow)
    assert there.condition is Condition.IDLE
    assert there.position_mm is not None
    assert -95 < there.position_mm[0] < -1
    assert driver.jog((1, 0, 0), MILL).condition is Condition.IDLE


def test_a_grbl_without_switches_does_not_know_its_place(board: Board) -> None:
    driver, _ = board("grbl", "mill-3018")
    assert not driver.connect().needs_homing
    assert isinstance(driver, Jogs)
    assert isinstance(driver, Homes)
    assert driver.no_switches
    for move in (driver.home, lambda: driver.jog((1, 0, 0), MILL)):
        with pytest.raises(Refused, match="set it up by its own panel"):
            move()


def test_a_marlin_printer_is_homed_and_jogged(board: Board, monkeypatch: Any) -> None:
    driver, sim = board("marlin", "printer-220")
    driver.connect()
    assert isinstance(driver, Homes)
    assert isinstance(driver, Jogs)
    with pytest.raises(Refused, match="home it"):
        driver.jog((1, 0, 0), PRINTER)
    assert driver.home().condition is Condition.IDLE
    assert driver.jog((10, 0, 0), PRINTER).position_mm == pytest.approx((10, 0, 0), abs=0.01)
    assert driver.jog((0, 0, 0.1), PRINTER).position_mm == pytest.approx((10, 0, 0.1), abs=0.01)
    with pytest.raises(Refused, match="outside its travel"):
        driver.jog((0, -1, 0), PRINTER)
    monkeypatch.setattr("firmware_bridge.drivers.marlin.quirks.HOMED_S", 0.0)
    with pytest.raises(Refused, match="home it"):
        driver.jog((1, 0, 0), PRINTER)  # its motors may have rested meanwhile
    assert sim.starts() <= 1  # a G1 without filament is no print


@pytest.mark.parametrize("parser", [False, True])
def test_a_marlin_set_up_is_stopped_and_its_printer_comes_back(parser: bool, board: Board) -> None:
    told = f"emergency_parser = {str(parser).lower()}\n"
    driver, _ = board("marlin", "printer-220", lambda shipped: told + shipped)
    driver.connect()
    assert isinstance(driver, Homes)
    assert isinstance(driver, Jogs)
    driver.home()
    slow = Travel(PRINTER.low_mm, PRINTER.high_mm, 60)
    threading.Timer(0.15, driver.stop_jog).start()
    began = time.monotonic()
    if parser:
        assert driver.jog((100, 0, 0), slow).condition is Condition.IDLE
    else:
        with pytest.raises(LinkLost, match="stopped and its board restarts"):
            driver.jog((100, 0, 0), slow)
        assert driver.status().condition is Condition.OFFLINE  # so its bench connects again
        driver.close()
        assert driver.connect().condition is Condition.IDLE
    assert time.monotonic() - began < 4  # the whole move takes 5 s
    with pytest.raises(Refused, match="home it"):
        driver.jog((1, 0, 0), PRINTER)
    assert driver.home().condition is Condition.IDLE


def test_a_marlin_that_stays_halted_is_told_of_in_words(board: Board) -> None:
    told = "reset_on_open = false\n"
    driver, sim = board("marlin", "printer-220", lambda shipped: told + shipped)
    driver.connect()
    assert isinstance(driver, Jogs)
    driver.stop_jog()
    assert driver.status().condition is Condition.OFFLINE
    with pytest.raises(NeedsPerson, match="press its reset button"):
        driver.connect()
    sim.act("reset")
    assert driver.connect().condition is Condition.IDLE


def test_after_a_job_and_while_one_runs_nothing_is_jogged(board: Board, tmp_path: Path) -> None:
    driver, _ = board("marlin", "printer-220")
    driver.connect()
    assert isinstance(driver, Homes)
    assert isinstance(driver, Jogs)
    driver.home()
    data = b"G28\nG1 X9 F600\nM84\n"
    (tmp_path / "p.gcode").write_bytes(data)
    made = Program(tmp_path / "p.gcode", hashlib.sha256(data).hexdigest(), "attempt-1", 3)
    events = driver.start(made).events()
    next(events)
    for move in (driver.home, lambda: driver.jog((1, 0, 0), PRINTER), driver.stop_jog):
        with pytest.raises((Refused, NeedsPerson)):
            move()
    assert isinstance(list(events)[-1], Ended)
    with pytest.raises(Refused, match="home it"):
        driver.jog((1, 0, 0), PRINTER)


def test_each_power_has_two_drivers() -> None:
    entry = {"link": "http://printer", "api_key": "k", "password": "p"}
    paths = {"marlin": "/dev/x", "grbl": "/dev/x", "by_hand": "/srv/x"}
    made = {
        name: open_driver({**entry, "driver": name, "link": paths.get(name, "http://printer")})
        for name in DRIVERS
    }
    able = {
        power: {name for name, driver in made.items() if isinstance(driver, power)}
        for power in (Homes, Jogs, Sees)
    }
    assert able == {
        Homes: {"grbl", "marlin"},
        Jogs: {"grbl", "marlin"},
        Sees: {"moonraker", "octoprint"},
    }


# ---- cameras


@pytest.mark.parametrize("kind", ["octoprint", "moonraker"])
def test_the_picture_comes_from_where_the_server_says_and_no_key_goes_there(
    kind: str, shown: Shown
) -> None:
    shown.said = "http://localhost:PORT/webcam/?action=snapshot"
    seen = shown.driver(kind).snapshot()
    assert (seen.data, seen.media_type) == (JPEG, "image/jpeg")
    assert shown.asked[-1] == ("/webcam/?action=snapshot", None)
    assert shown.asked[0][1] == "a-secret"


@pytest.mark.parametrize("kind", ["octoprint", "moonraker"])
@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("", Refused, "no camera"),
        ("http://192.0.2.7/snapshot", Refused, "another computer"),
        ("file:///etc/passwd", Refused, "none that a picture"),
        ("http://localhost:99999/", Refused, "none that a picture"),
        ("http://[localhost/", Refused, "none that a picture"),
        ("http://localhost:PORT/webcam/page", ProtocolError, "no picture"),
        ("http://localhost:PORT/webcam/flood", BridgeError, "bytes"),
    ],
)
def test_what_is_no_picture_is_said_in_words(
    kind: str, said: str, error: type[Exception], words: str, shown: Shown
) -> None:
    shown.said = said
    shown.picture = b"<html>" if "page" in said else JPEG + bytes(PICTURE_MAX)
    began = time.monotonic()
    with pytest.raises(error, match=words):
        shown.driver(kind).snapshot()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("camera", "place", "path"),
    [
        ("/webcam/?action=snapshot", "http://pi.local", "/webcam/?action=snapshot"),
        ("webcam/snap.jpg", "http://pi.local", "/webcam/snap.jpg"),
        ("http://127.0.0.1:8080/?action=snapshot", "http://pi.local:8080", "/?action=snapshot"),
        ("http://pi.local/x", "http://pi.local", "/x"),
    ],
)
def test_a_camera_is_beside_its_server(camera: str, place: str, path: str) -> None:
    assert beside("http://pi.local:7125", camera) == (place, path)
