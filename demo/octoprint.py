"""A real OctoPrint with its virtual printer, installed and started for demo and tests.

It lives in its own environment below `.tools` and its own folder; it never touches a system one.
"""

import secrets
import socket
import subprocess
import time
from pathlib import Path

import httpx

from demo import environment
from demo.children import die_with_parent
from demo.environment import CannotInstallError

VERSION = "1.11.8"
_TOOLS = environment.TOOLS / "octoprint"
_PINNED = environment.TOOLS.parent / "tools" / "octoprint.txt"
_USER = "cosmolocal"
_START_S = 90.0

# Only what a print server needs: no look-ups on the network, no wizard, a fast virtual printer.
_CONFIG = """\
server:
  host: 127.0.0.1
  port: {port}
  firstRun: false
  onlineCheck: {{enabled: false}}
  pluginBlacklist: {{enabled: false}}
  seenWizards: {{corewizard: 4, backup: 1, classicwebcam: 1, tracking: 1, errortracking: 1}}
plugins:
  virtual_printer: {{enabled: true, throttle: 0}}
  tracking: {{enabled: false}}
  errortracking: {{enabled: false}}
  _disabled: [announcements, tracking, errortracking, discovery, softwareupdate, pluginmanager,
    health_check, firmware_check, pi_support, file_check, achievements, gcodeviewer, backup,
    logging, eventmanager, uploadmanager, corewizard]
serial:
  autoconnect: false
  log: false
  port: {serial_port}
  baudrate: 115200
  additionalPorts: [{extra}]
gcodeAnalysis: {{runAt: never}}
webcam: {{webcamEnabled: false, timelapseEnabled: false}}
"""


def ensure_installed() -> Path:
    """The program `octoprint`, installing it on first use (about 200 MB, a minute or two)."""
    program = _TOOLS / "bin" / "octoprint"
    if not program.exists():
        # Every one of them a wheel: no compiler is needed.
        environment.make(_TOOLS, ["--no-deps", "-r", str(_PINNED)])
    return program


def start(
    basedir: Path, port: int, *, printer: str = "VIRTUAL"
) -> tuple[str, str, subprocess.Popen[bytes]]:
    """Start a server of our own; (address, API key, process), ready to be asked.

    `printer` is the port it drives: its own virtual printer (which moves in real time), or the
    path of another one, a simulated machine's for instance.
    """
    program = ensure_installed()
    key = _write_settings(basedir, port, printer)
    with (basedir / "console.log").open("ab") as log:
        command = [str(program), "--basedir", str(basedir), "serve", "--iknowwhatimdoing"]
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it only sets a flag
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, key, process)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return url, key, process


def _write_settings(basedir: Path, port: int, printer: str) -> str:
    keys = basedir / "data" / "appkeys"
    keys.mkdir(parents=True, exist_ok=True)
    key_file = keys / "keys.yaml"
    if not key_file.exists():
        key = secrets.token_hex(16).upper()
        key_file.write_text(f"{_USER}:\n- api_key: {key}\n  app_id: cosmolocal\n")
        _add_user(basedir)
    extra = "" if printer == "VIRTUAL" else printer
    config = _CONFIG.format(port=port, serial_port=printer, extra=extra)
    (basedir / "config.yaml").write_text(config)
    return key_file.read_text().split("api_key:", 1)[1].split()[0]


def _add_user(basedir: Path) -> None:
    command = [str(ensure_installed()), "--basedir", str(basedir), "user", "add", _USER]
    password = secrets.token_urlsafe(16)
    done = subprocess.run(
        [*command, "--password", password, "--admin"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotInstallError(f"OctoPrint refused a user: {done.stderr.strip()[-400:]}")


def _wait_until_ready(url: str, key: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise CannotInstallError(f"OctoPrint ended with {process.returncode} while starting")
        if _answers(url, key):
            return
        time.sleep(0.2)
    raise CannotInstallError(f"OctoPrint did not answer at {url} within {_START_S:.0f} s")


def _answers(url: str, key: str) -> bool:
    try:
        reply = httpx.get(f"{url}/api/version", headers={"X-Api-Key": key}, timeout=2)
        return reply.is_success and "api" in reply.json()
    except (httpx.HTTPError, ValueError):
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that `start` gave; one that will not go is killed."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port on this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
