import errno
import json
import os
import select
import socket
import subprocess
import sys
import time
import tomllib
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER_ENV = {**os.environ, "PYTHONPATH": str(ROOT / "hardware-sim")}


def numbered(number: int, text: str) -> str:
    body = f"N{number} {text}"
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"{body}*{check}"


class Host:
    """A host with nothing but a file descriptor: plain bytes, no driver."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self._heard = b""

    def close(self) -> None:
        os.close(self.fd)

    def put(self, data: bytes) -> None:
        os.write(self.fd, data)

    def line(self, timeout_s: float = 5.0) -> str:
        end = time.monotonic() + timeout_s
        while b"\n" not in self._heard:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"silence after {self._heard!r}")
            self._heard += os.read(self.fd, 65536)
        line, _, self._heard = self._heard.partition(b"\n")
        return line.rstrip(b"\r").decode()

    def until(self, *starts: str, timeout_s: float = 5.0) -> list[str]:
        lines: list[str] = []
        end = time.monotonic() + timeout_s
        while not lines or not lines[-1].startswith(starts):
            try:
                lines.append(self.line(end - time.monotonic()))
            except TimeoutError as error:
                raise TimeoutError(f"no {starts} in {lines[-20:]}") from error
        return lines

    def ask(self, text: str, timeout_s: float = 5.0) -> list[str]:
        self.put(text.encode() + b"\n")
        return self.until("ok", "error:", timeout_s=timeout_s)

    def lost(self) -> bool:
        """The line has hung up under the host."""
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError as error:
            return error.errno == errno.EIO
        return True

    def quiet(self, timeout_s: float = 0.2) -> bool:
        return not select.select([self.fd], [], [], timeout_s)[0]


class Simulator:
    """One `python -m hardware_sim run` in its own process."""

    def __init__(self, folder: Path, config: str, speed: float) -> None:
        self.link, self.control = folder / "port", folder / "control"
        self.records = folder / "records"
        command = [sys.executable, "-m", "hardware_sim", "run", config, "--speed", str(speed)]
        command += ["--link", str(self.link), "--record", str(self.records)]
        command += ["--control", str(self.control)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=FOLDER_ENV)
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())
        self.hosts: list[Host] = []

    def host(self, banner: str | None = "echo:Hardcoded") -> Host:
        host = Host(str(self.link))
        self.hosts.append(host)
        if banner:
            host.until(banner)
        return host

    def do(self, verb: str) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(self.control))
            door.sendall(json.dumps({"do": verb}).encode() + b"\n")
            return json.loads(door.makefile().readline())

    def rows(self, name: str) -> list[dict[str, object]]:
        path = self.records / name
        return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []

    def ended(self, count: int, timeout_s: float = 8.0) -> list[dict[str, object]]:
        end = time.monotonic() + timeout_s
        while len(self.rows("ends.jsonl")) < count and time.monotonic() < end:
            time.sleep(0.02)
        return self.rows("ends.jsonl")

    def close(self) -> None:
        for host in self.hosts:
            try:
                host.close()
            except OSError:
                continue
        self.process.terminate()
        assert self.process.wait(5) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert not self.link.is_symlink()
        assert not self.control.exists()


class Shop:
    def __init__(self, folder: Path) -> None:
        self._folder, self._all = folder, list[Simulator]()

    def __call__(
        self, config: str = "printer-220", speed: float = 0, **options: object
    ) -> Simulator:
        folder = self._folder / str(len(self._all))
        folder.mkdir()
        if options:
            config = _written(folder / "machine.toml", config, options)
        self._all.append(Simulator(folder, config, speed))
        return self._all[-1]

    def close(self) -> None:
        for one in self._all:
            one.close()


def _written(path: Path, shipped: str, options: dict[str, object]) -> str:
    """A shipped description with other values; `settings` are laid over the shipped ones."""
    machines = ROOT / "hardware-sim" / "hardware_sim" / "machines"
    tables = tomllib.loads((machines / f"{shipped}.toml").read_text())
    for key, value in options.items():
        tables[key] = {**tables.get(key, {}), **value} if isinstance(value, dict) else value
    many = {k: v for k, v in tables.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    plain = {k: v for k, v in tables.items() if not isinstance(v, dict) and k not in many}
    lines = [f"{k} = {json.dumps(v)}" for k, v in plain.items()]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    for name, rows in many.items():
        for row in rows:
            lines += [f"[[{name}]]", *(f"{k} = {json.dumps(v)}" for k, v in row.items())]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()
