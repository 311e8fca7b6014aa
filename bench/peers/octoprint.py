"""A real OctoPrint, tuned as its documents advise or as it comes, driving a port of ours over REST.

Each variant is one server in a folder of its own; a job that does not end costs it its life.
"""

import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.peers.process import TOOLS, CannotHaveError, gone_with_parent, make_environment
from demo import octoprint as installed
from demo.environment import CannotInstallError

_START_S: Final = 120.0
_CONNECT_S: Final = 40.0
_LOOK_S: Final = 0.25
_USER: Final = "bench"
_NEXT: Final = "2.0.0rc7"

# Without these a first start waits for a person or for the network; they do not touch streaming.
_BASE: Final = """\
server:
  host: 127.0.0.1
  port: {port}
  firstRun: false
  onlineCheck: {{enabled: false}}
  pluginBlacklist: {{enabled: false}}
  seenWizards: {{corewizard: 4, backup: 1, classicwebcam: 1, tracking: 1, errortracking: 1}}
"""
_AS_INSTALLED: Final = """\
plugins:
  tracking: {enabled: false}
  errortracking: {enabled: false}
serial:
  additionalPorts: ["/dev/pts/*"]
  additionalBaudrates: [1000000]
"""
# What its documents and forum advise for speed: no extra plugins, no serial log, no analysis while
# printing, several acknowledgements banked, temperatures and busy reported by the firmware itself.
_TUNED: Final = """\
plugins:
  _disabled: [announcements, tracking, errortracking, discovery, softwareupdate, pluginmanager,
    health_check, firmware_check, pi_support, file_check, achievements, gcodeviewer, backup,
    logging, eventmanager, uploadmanager, corewizard, virtual_printer, classicwebcam,
    action_command_prompt, action_command_notification]
serial:
  additionalPorts: ["/dev/pts/*"]
  additionalBaudrates: [1000000]
  ackMax: 4
  log: false
  logResends: false
  terminalLogSize: 1
  useParityWorkaround: never
  maxConsecutiveResends: 1000
  resendRatioThreshold: 0
  supportResendsWithoutOk: never
  capabilities: {autoreport_temp: true, autoreport_pos: false, busy_protocol: true,
    autoreport_sdstatus: false, emergency_parser: true}
  timeout: {communicationBusy: 3.0}
gcodeAnalysis: {runAt: never}
webcam: {webcamEnabled: false, timelapseEnabled: false}
"""


@dataclass(frozen=True)
class Variant:
    name: str
    settings: str
    next_release: bool = False


TUNED: Final = Variant("OctoPrint 1.11.8 tuned", _TUNED)
AS_INSTALLED: Final = Variant("OctoPrint 1.11.8 as installed", _AS_INSTALLED)
NEXT: Final = Variant(f"OctoPrint {_NEXT} tuned", _TUNED, next_release=True)


class OctoPrint:
    """One server; `start` raises `CannotHaveError` where it cannot be installed."""

    def __init__(self, variant: Variant) -> None:
        self.name = variant.name
        self._variant = variant
        self._base: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._api: httpx.Client | None = None
        self._must_restart = False

    # -- the server

    def start(self) -> None:
        if self._process is not None:
            return
        program = _program(self._variant)
        self._base = Path(tempfile.mkdtemp(prefix="bench-octoprint-"))
        port = installed.free_port()
        key = secrets.token_hex(16).upper()
        (self._base / "data" / "appkeys").mkdir(parents=True)
        keys = f"{_USER}:\n- api_key: {key}\n  app_id: bench\n"
        (self._base / "data" / "appkeys" / "keys.yaml").write_text(keys)
        self._add_user(program)
        settings = _BASE.format(port=port) + self._variant.settings
        (self._base / "config.yaml").write_text(settings)
        self._api = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"X-Api-Key": key},
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        with (self._base / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "--basedir", str(self._base), "serve", "--iknowwhatimdoing"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=gone_with_parent,  # noqa: PLW1509 - it only sets a flag
            )  # fmt: skip
        self._until_ready()

    def _add_user(self, program: Path) -> None:
        words = [str(program), "--basedir", str(self._base), "user", "add", _USER]
        secret = secrets.token_urlsafe(16)
        done = subprocess.run(
            [*words, "--password", secret, "--admin"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise CannotHaveError(f"OctoPrint refused a user: {done.stderr.strip()[-200:]}")

    def _until_ready(self) -> None:
        ends = time.monotonic() + _START_S
        while time.monotonic() < ends:
            assert self._process is not None
            if self._process.poll() is not None:
                self._process = None
                raise CannotHaveError(f"{self.name} ended while it was starting")
            try:
                reply = self._asked().get("/api/version", timeout=2)
                if reply.is_success and "api" in reply.json():
                    return
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.3)
        self.stop()
        raise CannotHaveError(f"{self.name} did not answer within {_START_S:.0f} s")

    def _asked(self) -> httpx.Client:
        assert self._api is not None
        return self._api

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            installed.stop(self._process)
            self._process = None
        if self._api is not None:
            self._api.close()
            self._api = None
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)
            self._base = None

    # -- a job

    def send(self, port: str, baud: int, program: Path) -> int:
        self.start()
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._must_restart = True
        wanted = {
            "command": "connect",
            "port": port,
            "baudrate": baud,
            "printerProfile": "_default",
        }
        self._asked().post("/api/connection", json=wanted).raise_for_status()
        self._until_operational()
        self._asked().post(
            "/api/files/local",
            files={"file": (program.name, program.read_bytes())},
            data={"select": "true", "print": "true"},
        ).raise_for_status()
        return self._process.pid

    def _until_operational(self) -> None:
        ends = time.monotonic() + _CONNECT_S
        state = ""
        while time.monotonic() < ends:
            state = self._state()
            if state == "Operational":
                return
            time.sleep(_LOOK_S)
        raise CannotHaveError(f"{self.name} did not get to know the board: {state}")

    def _state(self) -> str:
        reply: dict[str, Any] = self._asked().get("/api/connection").json()
        return str(reply["current"]["state"])

    def wait(self, seconds: float, beat: Callable[[], None]) -> str:
        ends = time.monotonic() + seconds
        begun = False
        while time.monotonic() < ends:
            beat()
            time.sleep(_LOOK_S)
            job: dict[str, Any] = self._asked().get("/api/job").json()
            state, done = str(job["state"]), job["progress"]["completion"]
            begun = begun or state.startswith(("Printing", "Starting", "Finishing"))
            if state.startswith(("Error", "Offline")):
                self._must_restart = False
                return f"gave up: {job.get('error') or state}"[:90]
            if state == "Operational" and (begun or done == 100):
                self._must_restart = False
                return "finished" if done == 100 else f"stopped at {done or 0:.0f} %"
        return "time limit"

    def leave(self) -> None:
        if self._process is None:
            return
        if self._must_restart:
            self._must_restart = False
            self.stop()
            return
        try:
            self._asked().post("/api/connection", json={"command": "disconnect"})
            while not self._state().startswith(("Closed", "Offline", "Error")):
                time.sleep(_LOOK_S)
            self._process.send_signal(signal.SIGSTOP)  # at rest it must not disturb the others
        except httpx.HTTPError:
            self.stop()


def _program(variant: Variant) -> Path:
    """The program `octoprint`, installed on first use."""
    if not variant.next_release:
        try:
            return installed.ensure_installed()
        except CannotInstallError as error:
            raise CannotHaveError(str(error)) from error
    home = TOOLS / "octoprint-2"
    if not (home / "made").exists():
        make_environment(home, [f"octoprint=={_NEXT}"])
    return home / "bin" / "octoprint"
