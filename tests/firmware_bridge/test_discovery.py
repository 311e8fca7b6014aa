"""Who is there: simulated boards on ports, simulated print servers at addresses."""

import os
import pty
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from firmware_bridge import discovery
from firmware_bridge.discovery import Found, Silent
from firmware_bridge.errors import LinkLost, Refused
from firmware_bridge.links import open_link
from tests.simulated import MACHINES, Simulated

Start = Callable[..., Simulated]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a shipped simulated machine; the workshop's record of it, and where it is."""
    running: list[Simulated] = []

    def begin(name: str, speed: float = 20) -> Simulated:
        text = next(MACHINES.parent.rglob(f"{name}.toml")).read_text()
        running.append(Simulated(tmp_path / f"sim-{len(running)}", text, speed))
        return running[-1]

    yield begin
    for each in running:
        each.close()


def test_a_printer_says_that_it_is_marlin(start: Start) -> None:
    port = start("printer-220").port
    found = discovery.ask_port(port)
    assert isinstance(found, Found)
    assert (found.driver, found.link, found.baud) == ("marlin", port, 115200)
    assert found.said.startswith("Marlin 2.1")


@pytest.mark.parametrize(
    ("machine", "laser", "travel"),
    [("mill-3018", False, (300.0, 180.0, 45.0)), ("laser-400", True, (400.0, 400.0, 40.0))],
)
def test_a_grbl_board_tells_mill_or_laser_and_its_travel(
    start: Start, machine: str, laser: bool, travel: tuple[float, ...]
) -> None:
    found = discovery.ask_port(start(machine).port)
    assert isinstance(found, Found)
    assert (found.driver, found.laser, found.travel_mm) == ("grbl", laser, travel)


def test_asking_moves_nothing(start: Start) -> None:
    for name in ("printer-220", "mill-3018"):
        machine = start(name)
        discovery.ask_port(machine.port)
        assert machine.starts() == 0


@pytest.mark.parametrize("server", ["moonraker", "prusalink"])
def test_a_print_server_is_known_without_a_key(start: Start, server: str) -> None:
    address = start(f"{server}-220").port
    found = discovery.ask_server(address)
    assert isinstance(found, Found)
    assert (found.driver, found.link) == (server, address)


def test_a_moonraker_that_wants_a_key_is_known_by_how_one_logs_in(tmp_path: Path) -> None:
    text = 'kind = "moonraker"\nname = "test"\napi_key = "a-key"\n'
    server = Simulated(tmp_path / "sim", text, 20)
    try:
        found = discovery.ask_server(server.port)
    finally:
        server.close()
    assert isinstance(found, Found)
    assert (found.driver, found.key) == ("moonraker", True)


def test_plain_http_behind_an_https_address_is_said() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        silent = discovery.ask_server(f"https://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert isinstance(silent, Silent)
    assert "plain http" in silent.why


def test_where_nobody_answers_is_said() -> None:
    silent = discovery.ask_server("http://127.0.0.1:9")
    assert isinstance(silent, Silent)
    assert "switched on" in silent.why


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("octopi.local", ["http://octopi.local", "http://octopi.local:5000", "http://octopi.local:7125"]),
        ("192.168.1.20:7125", ["http://192.168.1.20:7125"]),
        ("https://printer.lab/octoprint", ["https://printer.lab/octoprint"]),
    ],
)  # fmt: skip
def test_only_what_was_named_is_asked(given: str, asked: list[str]) -> None:
    assert discovery.addresses(given) == asked


def _board(answers: bytes) -> tuple[str, Callable[[], None]]:
    """A board that says the same whatever it hears."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    over = threading.Event()

    def talk() -> None:
        while not over.wait(0.05):
            os.write(ours, answers)

    thread = threading.Thread(target=talk)
    thread.start()

    def close() -> None:
        over.set()
        thread.join()
        os.close(ours)
        os.close(theirs)

    return os.ttyname(theirs), close


def test_a_wrong_speed_is_told_from_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_BANNER_S", 0.2)
    monkeypatch.setattr(discovery, "_ANSWER_S", 0.2)
    for answers, words in ((b"\xfe\x80\xf8\xc0", "unreadable at 115200"), (b"", "nothing answers")):
        port, close = _board(answers)
        silent = discovery.ask_port(port, (115200,))
        close()
        assert isinstance(silent, Silent)
        assert words in silent.why


def test_endless_babble_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_BANNER_S", 0.5)
    port, close = _board(b"x" * 1000)
    begun = time.monotonic()
    assert isinstance(discovery.ask_port(port, (115200,)), Silent)
    close()
    assert time.monotonic() - begun < 30


def test_a_port_in_use_is_refused_and_its_holder_named(start: Start) -> None:
    port = start("printer-220").port
    link = open_link(port)
    try:
        with pytest.raises(Refused, match="in use"):
            discovery.ask_port(port)
    finally:
        link.close()
    child = subprocess.Popen(["sleep", "60"], stdin=os.open(port, os.O_RDWR | os.O_NOCTTY))
    try:
        assert discovery.holder(port) == f"sleep (pid {child.pid})"
    finally:
        child.kill()
        child.wait()


def test_a_missing_port_is_said() -> None:
    with pytest.raises(LinkLost, match="plugged in"):
        discovery.ask_port("/dev/ttyUSB-none")


def test_each_port_is_listed_once_by_its_lasting_name(tmp_path: Path) -> None:
    dev = tmp_path / "dev"
    for name in ("ttyUSB0", "ttyACM0"):
        (dev / name).parent.mkdir(parents=True, exist_ok=True)
        (dev / name).touch()
    for folder, name in (("by-id", "usb-1a86_USB_Serial"), ("by-path", "pci-0000:usb-0:1.2")):
        (dev / "serial" / folder).mkdir(parents=True)
        (dev / "serial" / folder / name).symlink_to(dev / "ttyUSB0")
    ports = discovery.serial_ports(tmp_path)
    assert [Path(port.path).name for port in ports] == ["usb-1a86_USB_Serial", "ttyACM0"]
    assert [Path(port.device).name for port in ports] == ["ttyUSB0", "ttyACM0"]
