"""One process of the simulated workshop: started by its own command, spoken to at its two doors."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ROOT / "hardware-sim/hardware_sim/machines"


class Simulated:
    """A machine of this description; `port` is where it listens, its records are in `folder`."""

    def __init__(self, folder: Path, text: str, speed: float, link: Path | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "machine.toml").write_text(text)
        command = [sys.executable, "-m", "hardware_sim", "run", str(folder / "machine.toml")]
        command += ["--speed", str(speed), "--record", str(folder / "record")]
        command += ["--control", str(folder / "door"), *(["--link", str(link)] if link else [])]
        env = {**os.environ, "PYTHONPATH": str(ROOT / "hardware-sim")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
        assert self.process.stdout is not None
        self.port = str(json.loads(self.process.stdout.readline())["port"])

    def act(self, verb: str) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(5)
            door.connect(str(self.folder / "door"))
            door.sendall(json.dumps({"do": verb}).encode() + b"\n")
            answer = json.loads(door.makefile().readline())
        assert answer["ok"], answer
        return answer

    def records(self, name: str) -> list[dict[str, object]]:
        path = self.folder / "record" / name
        return [json.loads(row) for row in path.read_text().splitlines()] if path.exists() else []

    def starts(self) -> int:
        return len(self.records("starts.jsonl"))

    def received(self, start: int = 1) -> bytes:
        """The program lines of its nth start, as it carried them out."""
        if self.process.poll() is None:
            self.act("state")  # it answers when what it did is written down
        return (self.folder / "record" / f"job-{start}.gcode").read_bytes()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # a stopped one would not hear the next
            self.process.terminate()
            self.process.wait(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()
