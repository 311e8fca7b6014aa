"""Says what this machine has of what Cosmolocal uses, what is missing, and the line that brings it.

It needs nothing but Python's standard library (3.8 or newer), and it never changes anything.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
PROGRAMS = (
    ("prusa-slicer", "slices printed parts; without it they are shown as not made"),
    ("mosquitto", "the broker of a real installation; tests only, the demo brings its own"),
    ("chromium", "shows the pages to the tests; nothing else needs it"),
)
PORTS = ((8000, "the pages"), (1883, "the broker"))
DISK_GB = 3


def find(program):
    return shutil.which(program, path=SEARCH)


def first_line(*command):
    """What a program prints first, or nothing if it will not run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def how_to_install(package):
    if find("apt-get"):
        return "sudo apt-get install --no-install-recommends " + package
    if find("brew"):
        return "brew install " + package
    return "install " + package + " with your system's package manager"


def row(name, good, found, fix=""):
    return {"name": name, "ok": bool(good), "found": found, "fix": "" if good else fix}


def check_python():
    version = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    return row("python", good, version, how_to_install("python3.11"))


def check_uv():
    uv = find("uv") or find(str(HERE / ".tools/venv/bin/uv"))
    if uv:
        return row("uv", True, first_line(uv, "--version"))
    can_make = subprocess.run(
        [sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False
    )
    if can_make.returncode == 0:
        return row("uv", True, "not here yet; the first ./run demo brings it")
    return row("uv", False, "not here, and python3 has no venv", how_to_install("python3-venv"))


def check_environment():
    made = [name for name in ("demo", "dev") if (HERE / ".venv" / ("made-for-" + name)).exists()]
    return row("environment", True, "made for " + ", ".join(made) if made else "not made yet")


def check_assets():
    made = (HERE / "orchestrator/web/static/vendor/made-from").exists()
    return row("web assets", True, "here" if made else "not here yet; ./run demo fetches them")


def check_program(program, purpose):
    path = find(program)
    if program == "chromium" and not path:
        path = find("chromium-browser") or find("google-chrome")
    if not path:
        return row(program, False, "missing (" + purpose + ")", how_to_install(program))
    return row(program, True, path)


def check_port(port, purpose):
    name = "port %d" % port
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    found = ("taken by another program" if taken else "free") + " (" + purpose + ")"
    return row(name, True, found)


def check_disk():
    free_gb = shutil.disk_usage(str(HERE)).free / 1e9
    found = "%.0f GB free" % free_gb
    return row("disk", free_gb > DISK_GB, found, "make room: the demo and its tools need %d GB" % DISK_GB)


def check_serial():
    """Only told: who has no machine needs no serial port."""
    ports = sorted(str(p) for p in Path("/dev").glob("tty[AU][CS][MB]*"))
    unreadable = [p for p in ports if not os.access(p, os.R_OK | os.W_OK)]
    fix = "sudo usermod -a -G dialout $USER, then log in again"
    return row("serial ports", not unreadable, ", ".join(ports) or "none plugged in", fix)


def examine():
    rows = [check_python(), check_uv(), check_environment(), check_assets()]
    rows += [check_program(*program) for program in PROGRAMS]
    rows += [check_port(*port) for port in PORTS]
    return rows + [check_serial(), check_disk()]


def main(words):
    if "--help" in words or "-h" in words:
        print("usage: ./run doctor [--json]\n\n" + __doc__)
        print("Exit status: 0 all is here, 3 something is missing.")
        return 0
    if [word for word in words if word != "--json"]:
        print("usage: ./run doctor [--json]", file=sys.stderr)
        return 2
    rows = examine()
    if "--json" in words:
        print(json.dumps(rows, indent=2))
    else:
        for each in rows:
            print("%-4s %-14s %s" % ("ok" if each["ok"] else "--", each["name"], each["found"]))
            if each["fix"]:
                print("     %-14s to get it: %s" % ("", each["fix"]))
    return 0 if all(each["ok"] for each in rows) else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
