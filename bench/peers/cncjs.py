"""CNCjs 1.11.5, a GRBL sender with character counting, as its own server drives a port.

It is installed from its package on first use and left out where node or the registry is missing.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from bench.peers.process import TOOLS, CannotHaveError, gone_with_parent
from demo.octoprint import free_port

_HOME: Final = TOOLS / "cncjs"
_WANTED: Final = ("cncjs@1.11.5", "socket.io-client@2.5.0")
_START_S: Final = 60.0


class Cncjs:
    """One server for all jobs; a job is a small client that loads the file and presses start."""

    name = "CNCjs 1.11.5"

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._job: subprocess.Popen[str] | None = None
        self._url = ""
        self._well = False

    def start(self) -> None:
        if self._server is not None:
            return
        _install()
        self._folder = Path(tempfile.mkdtemp(prefix="bench-cncjs-"))
        settings = self._folder / "cncrc.json"
        known = {"secret": "bench", "checkForUpdates": False, "state": {"checkForUpdates": False}}
        settings.write_text(json.dumps(known))
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        program = _HOME / "node_modules" / "cncjs" / "bin" / "cncjs"
        words = ["node", str(program), "-p", str(port), "-H", "127.0.0.1", "-c", str(settings)]
        self._server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=gone_with_parent,  # noqa: PLW1509 - it only sets a flag
        )  # fmt: skip
        self._until_ready()

    def _until_ready(self) -> None:
        ends = time.monotonic() + _START_S
        while time.monotonic() < ends:
            try:
                httpx.post(f"{self._url}/api/signin", json={}, timeout=2).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.3)
            else:
                return
        self.stop()
        raise CannotHaveError(f"{self.name} did not answer within {_START_S:.0f} s")

    def stop(self) -> None:
        self.leave()
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def send(self, port: str, baud: int, program: Path) -> int:
        self.start()
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)
        self._well = False
        script = Path(__file__).with_name("cncjs_job.cjs")
        words = ["node", str(script), str(_HOME), self._url, port, str(baud), str(program)]
        self._job = subprocess.Popen(
            words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        return self._server.pid

    def wait(self, seconds: float, beat: Callable[[], None]) -> str:
        ends = time.monotonic() + seconds
        job = self._job
        assert job is not None
        while job.poll() is None:
            if time.monotonic() >= ends:
                return "time limit"
            beat()
            time.sleep(0.05)
        assert job.stdout is not None
        self._well = job.returncode == 0
        return job.stdout.read().strip()[-90:] or f"status {job.returncode}"

    def leave(self) -> None:
        """The client goes; a server that still holds the port goes with it."""
        job, self._job = self._job, None
        if job is None:
            return
        if job.poll() is None:
            job.kill()
        job.wait()
        assert job.stdout is not None
        job.stdout.close()
        if self._server is None:
            return
        if self._well:
            self._server.send_signal(signal.SIGSTOP)  # at rest it must not disturb the others
        else:
            self._server.kill()
            self._server.wait()
            self._server = None


def _install() -> None:
    if (_HOME / "made").exists():
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise CannotHaveError("CNCjs needs node and npm, which are not here")
    print("  installing CNCjs into .tools/cncjs", file=sys.stderr, flush=True)
    _HOME.mkdir(parents=True, exist_ok=True)
    (_HOME / "package.json").write_text('{"name": "bench-cncjs", "private": true}')
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *_WANTED],
        cwd=_HOME, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(_HOME, ignore_errors=True)
        raise CannotHaveError(f"CNCjs could not be installed: {done.stderr.strip()[-200:]}")
    (_HOME / "made").touch()
