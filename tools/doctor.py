"""Says what this machine has of what Cosmolocal uses, what is missing, and the line that brings it.

It needs nothing but Python's standard library (3.8 or newer), and it never changes anything.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent.parent
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
PROGRAMS = (
    ("prusa-slicer", "slices printed parts; without it they are shown as not made"),
    ("mosquitto", "the broker of a real installation; tests only, the demo brings its own"),
    ("chromium", "shows the pages to the tests; nothing else needs it"),
)
PORTS = ((8000, "the pages"), (1883, "the broker"))
DISK_GB = 3


def find(program: str) -> str | None:
    return shutil.which(program, path=SEARCH)


def first_line(*command: str) -> str:
    """What a program prints first, or nothing if it will not run."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def how_to_install(package: str) -> str:
    """The line to type."""
    if find("apt-get"):
        return f"sudo apt-get update && sudo apt-get install --no-install-recommends {package}"
    if find("brew"):
        return f"brew install {package}"
    return f"install {package} with your system's package manager"


class Row(NamedTuple):
    """One thing looked at; `fix` is the line that brings what is missing.

    `later`: it is not here yet and comes by itself when it is first used.
    """

    name: str
    ok: bool
    found: str
    fix: str
    later: bool = False

    @property
    def word(self) -> str:
        if self.later:
            return "later"
        return "ok" if self.ok else "--"


def row(name: str, good: bool, found: str, fix: str = "") -> Row:
    return Row(name, good, found, "" if good else fix)


def later(name: str, how: str) -> Row:
    return Row(name, True, how, "", later=True)


def check_python() -> Row:
    version = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    return row("python", good, version, how_to_install("python3.11"))


def check_uv() -> Row:
    uv = find("uv") or find(str(HERE / ".tools/venv/bin/uv"))
    if uv:
        return row("uv", True, first_line(uv, "--version"))
    can_make = subprocess.run(
        [sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False
    )
    if can_make.returncode == 0:
        return later("uv", "not here yet; the first ./run demo brings it")
    return row("uv", False, "not here, and python3 has no venv", how_to_install("python3-venv"))


def check_environment() -> Row:
    made = [name for name in ("demo", "dev") if (HERE / ".venv" / (f"made-for-{name}")).exists()]
    if not made:
        return later("environment", "not made yet; the first ./run demo makes it")
    return row("environment", True, "made for " + ", ".join(made))


def check_assets() -> Row:
    made = (HERE / "orchestrator/web/static/vendor/made-from").exists()
    if not made:
        return later("web assets", "not here yet; the first ./run demo fetches them")
    return row("web assets", True, "here")


def check_program(program: str, purpose: str) -> Row:
    path = find(program)
    if program == "chromium" and not path:
        path = find("chromium-browser") or find("google-chrome")
    if not path:
        return row(program, False, f"missing ({purpose})", how_to_install(program))
    return row(program, True, path)


def check_port(port: int, purpose: str) -> Row:
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    found = f"{'taken by another program' if taken else 'free'} ({purpose})"
    return row(f"port {port}", True, found)


def check_disk() -> Row:
    free_gb = shutil.disk_usage(str(HERE)).free / 1e9
    fix = f"make room: the demo and its tools need {DISK_GB} GB"
    return row("disk", free_gb > DISK_GB, f"{free_gb:.0f} GB free", fix)


def check_serial() -> Row:
    """Only told: who has no machine needs no serial port."""
    ports = sorted(str(p) for p in Path("/dev").glob("tty[AU][CS][MB]*"))
    unreadable = [p for p in ports if not os.access(p, os.R_OK | os.W_OK)]
    fix = "sudo usermod -a -G dialout $USER, then log in again"
    return row("serial ports", not unreadable, ", ".join(ports) or "none plugged in", fix)


def examine() -> list[Row]:
    rows = [check_python(), check_uv(), check_environment(), check_assets()]
    rows += [check_program(*program) for program in PROGRAMS]
    rows += [check_port(*port) for port in PORTS]
    return [*rows, check_serial(), check_disk()]


def main(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        print(f"usage: ./run doctor [--json]\n\n{__doc__}")
        print("Exit status: 0 all is here, 3 something is missing.")
        return 0
    if [word for word in words if word != "--json"]:
        print("usage: ./run doctor [--json]", file=sys.stderr)
        return 2
    rows = examine()
    if "--json" in words:
        print(json.dumps([each._asdict() for each in rows], indent=2))
    else:
        for each in rows:
            print(f"{each.word:<5} {each.name:<14} {each.found}")
            if each.fix:
                print(f"{'':<20} to get it: {each.fix}")
    return 0 if all(each.ok for each in rows) else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
