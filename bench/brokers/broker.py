"""The two brokers as real processes: started, killed, started again, and how much they need.

Both are set up as an operator would: by `cosmolocal serve`'s own files and commands.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from demo.children import Child, python
from demo.world import World

Kind = Literal["mosquitto", "embedded"]
KINDS: Final[tuple[Kind, ...]] = ("mosquitto", "embedded")
_BROKER: Final = b"orchestrator.dispatch.broker"
_RESTART_S: Final = 0.1  # systemd's RestartSec, as Debian's mosquitto.service leaves it


class Broker(ABC):
    """One broker on a port of its own; `kill` is a power cut to this process alone."""

    port: int

    @property
    @abstractmethod
    def pid(self) -> int: ...
    @abstractmethod
    def kill(self) -> None: ...
    @abstractmethod
    def revive(self) -> None:
        """What the system does after a kill: Mosquitto's service, or `serve` by itself."""

    @property
    def running(self) -> bool:
        return Path(f"/proc/{self.pid}/cmdline").read_bytes() != b""  # a zombie's is empty

    @abstractmethod
    def start(self) -> None: ...
    @abstractmethod
    def stop(self) -> None: ...
    @abstractmethod
    def admit(self) -> None:
        """Somebody was enrolled or retired."""

    def memory_mib(self, name: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
        return memory_mib(self.pid, name)


class Alone(Broker):
    """A broker that is a process beside the orchestrator: `serve --broker external`."""

    def __init__(self, kind: Kind, folder: Path, data_dir: Path, port: int) -> None:
        self.kind, self.port = kind, port
        self._folder, self._data_dir = folder / "broker", data_dir
        command = [str(mosquitto()), "-c", str(self._folder / "mosquitto.conf")]
        if kind == "embedded":
            command = [*self._command, "--parent", str(os.getpid())]
        self._child = Child("broker", command, folder / "broker.log")

    @property
    def _command(self) -> list[str]:
        where = ("--data-dir", str(self._data_dir), "--port", str(self.port))
        return python("orchestrator.cli", "broker", *where)

    @property
    def pid(self) -> int:
        assert self._child.process is not None
        return self._child.process.pid

    def start(self) -> None:
        until(self._passwords.exists, 120, "the orchestrator's password file")
        if self.kind == "mosquitto" and not self._folder.exists():
            write = [*self._command, "--print-mosquitto", str(self._folder)]
            subprocess.run(write, check=True, stdout=subprocess.DEVNULL, timeout=60)
            if os.geteuid() == 0:  # or it gives up its rights and cannot read these files
                with (self._folder / "mosquitto.conf").open("a") as config:
                    config.write("user root\n")
        self._child.start()
        self._child.wait_until(lambda: listens(self.port), 60, "it listens")

    @property
    def _passwords(self) -> Path:
        return self._data_dir / "broker" / "passwd"

    def kill(self) -> None:
        self._child.kill()

    def revive(self) -> None:
        time.sleep(_RESTART_S)
        self._child.start()

    def stop(self) -> None:
        self._child.stop()

    def admit(self) -> None:
        if self.kind == "mosquitto":
            shutil.copyfile(self._passwords, self._folder / "passwd")
            os.kill(self.pid, signal.SIGHUP)


class Within(Broker):
    """The embedded broker as most will have it: a child of `serve`, which starts it again."""

    def __init__(self, world: World) -> None:
        self._world, self.port = world, world.mqtt_port

    @property
    def pid(self) -> int:
        assert self._world.orchestrator.process is not None
        parent = self._world.orchestrator.process.pid
        until(lambda: child_of(parent, _BROKER) is not None, 30, "serve to start its broker")
        return child_of(parent, _BROKER) or 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def revive(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def admit(self) -> None: ...


def until(holds: Callable[[], object], within_s: float, what: str, every_s: float = 0.05) -> None:
    """Look again and again; raises TimeoutError with the words of what was waited for."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {within_s:.0f} s for {what}")
        time.sleep(every_s)


def child_of(parent: int, word: bytes) -> int | None:
    """The child process of `parent` that has this word in its command line."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            status = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(status[1]) == parent and word in (folder / "cmdline").read_bytes():
                return int(folder.name)
    return None


def mosquitto() -> Path:
    """The program; raises FileNotFoundError with what to type."""
    found = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("mosquitto is missing: ./run doctor says how to get it")
    return Path(found)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def memory_mib(pid: int, name: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
    """What a process holds now, or has held at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)
