"""Print servers to talk to: simulated ones of our workshop, and the real Moonraker."""

import fcntl
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo import environment, octoprint
from firmware_bridge.driver import Driver, Program, Sees
from firmware_bridge.registry import open_driver
from tests.simulated import Simulated

ROOT = Path(__file__).resolve().parents[3]
JPEG = b"\xff\xd8\xff\xe0 a picture"
_KEY = "a-key-nobody-may-see"
_ENTRIES = {
    "moonraker": {"api_key": _KEY},
    "prusalink": {"user": "maker", "password": _KEY},
}
_MORE = {
    "moonraker": f'api_key = "{_KEY}"',
    "prusalink": f'password = "{_KEY}"',
}


class Workshop(Simulated):
    """A simulated server, or Klipper alone, in a process of its own."""

    def __init__(self, folder: Path, text: str, speed: float, entry: dict[str, object]) -> None:
        super().__init__(folder, text, speed)
        self.entry = entry
        self.link = self.port
        self.drivers: list[Driver] = []
        self.programs = 0

    @property
    def secret(self) -> str:
        return _KEY

    def driver(self, silence_s: float = 4.0, **more: object) -> Driver:
        entry = {**self.entry, "timeouts": {"silence_s": silence_s}, "link": self.link, **more}
        self.drivers.append(open_driver(entry))
        return self.drivers[-1]

    def program(self, rows: list[str]) -> Program:
        data = ("\n".join(["G28", "G90", *rows, "M104 S0", "M84"]) + "\n").encode()
        self.programs += 1
        path = self.folder / f"program-{self.programs}.gcode"
        path.write_bytes(data)
        name = f"attempt-{self.programs}"
        return Program(path, hashlib.sha256(data).hexdigest(), name, data.count(b"\n"))

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()
        super().close()


Serve = Callable[..., Workshop]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve("moonraker", speed=20)`: a simulated server; speed 0 jumps over every wait."""
    made: list[Workshop] = []

    def make(kind: str, speed: float = 0, more: str = "") -> Workshop:
        text = f'kind = "{kind}"\nname = "test"\n{_MORE[kind]}\n{more}\n'
        folder = tmp_path / f"workshop-{len(made)}"
        made.append(Workshop(folder, text, speed, {"driver": kind, **_ENTRIES[kind]}))
        return made[-1]

    yield make
    for each in made:
        each.close()


# ---- the real Moonraker


@dataclass
class RealMoonraker:
    """The real server, in front of a Klipper that is ours; `restart` kills and starts it anew."""

    klipper: Workshop
    program: Path
    port: int
    settings: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        folder = self.klipper.folder
        config = folder / "moonraker.conf"
        config.write_text(
            f"[server]\nhost: 127.0.0.1\nport: {self.port}\n"
            f"klippy_uds_address: {folder}/klippy.sock\n"
            "[machine]\nprovider: none\n"
            f"[authorization]\ntrusted_clients:\n  127.0.0.1\n{self.settings}\n"
        )
        with (folder / "moonraker.log").open("ab") as log:
            command = [str(self.program), "-d", str(folder / "data"), "-c", str(config), "-n"]
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 60
        while not self._ready() and self.process.poll() is None:
            assert time.monotonic() < deadline, (folder / "moonraker.log").read_text()[-2000:]
            time.sleep(0.1)
        assert self.process.poll() is None, (folder / "moonraker.log").read_text()[-2000:]

    def _ready(self) -> bool:
        try:
            told = httpx.get(f"{self.url}/server/info", timeout=2).json()
        except (httpx.HTTPError, ValueError):
            return False
        return told["result"]["klippy_state"] == "ready"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None:
            self.kill()
        self.klipper.close()


def _moonraker_program() -> Path:
    """The program `moonraker`, installed below .tools on first use, by one of us at a time."""
    tools = ROOT / ".tools"
    tools.mkdir(exist_ok=True)
    with (tools / "moonraker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _installed_moonraker()


def _installed_moonraker() -> Path:
    home = ROOT / ".tools" / "moonraker"
    program, made_from = home / "bin" / "moonraker", home / "made-from"
    pinned = ROOT / "tools" / "moonraker.txt"
    if made_from.exists() and made_from.read_text() == pinned.read_text():
        return program
    try:
        environment.make(home, ["--no-deps", "-r", str(pinned)])
    except environment.CannotInstallError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the real Moonraker is not here: {error}")
    made_from.write_text(pinned.read_text())
    return program


@pytest.fixture
def real_moonraker(tmp_path: Path) -> Iterator[Callable[..., RealMoonraker]]:
    program = _moonraker_program()
    made: list[RealMoonraker] = []

    def make(speed: float = 0, settings: str = "") -> RealMoonraker:
        folder = tmp_path / f"klipper-{len(made)}"
        (folder / "data" / "gcodes").mkdir(parents=True)
        text = (
            f'kind = "klipper"\nname = "test"\nsocket = "{folder}/klippy.sock"\n'
            f'files = "{folder}/data/gcodes"\n'
        )
        klipper = Workshop(folder, text, speed, {"driver": "moonraker"})
        made.append(RealMoonraker(klipper, program, octoprint.free_port(), settings))
        klipper.link = made[-1].url
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


# ---- cameras


class Shown:
    """A camera, and a print server that says where it is; both only answer."""

    def __init__(self) -> None:
        self.picture, self.said, self.asked = JPEG, "", []
        shown = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown.asked.append((self.path, self.headers.get("X-Api-Key")))
                kind, body = "application/json", shown.answer(self.path)
                if self.path.startswith("/webcam/"):
                    kind, body = "text/plain", shown.picture
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> bytes:
        where = self.said.replace("PORT", str(self.port))
        if path == "/api/settings":
            return b'{"webcam": {"snapshotUrl": "%s"}}' % where.encode()
        off = b'{"enabled": false, "snapshot_url": "/off"}'
        return b'{"result": {"webcams": [%s, {"snapshot_url": "%s"}]}}' % (off, where.encode())

    def driver(self, kind: str) -> Sees:
        link = f"http://127.0.0.1:{self.port}"
        driver = open_driver({"driver": kind, "link": link, "api_key": "a-secret"})
        assert isinstance(driver, Sees)
        return driver

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def shown() -> Iterator[Shown]:
    made = Shown()
    yield made
    made.close()
