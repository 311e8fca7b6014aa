"""How long each command takes to start, and how much memory it takes to say its help"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
COMMANDS = {
    "cosmolocal": [str(PROGRAMS / "cosmolocal")],
    "cosmolocal-agent": [str(PROGRAMS / "cosmolocal-agent")],
    "hardware_sim": [sys.executable, "-m", "hardware_sim"],
    "demo": [sys.executable, "-m", "demo"],
}
TIMES = 5


def start_once(command: list[str]) -> tuple[int, float, float]:
    """Exit status, wall seconds and peak resident megabytes of one run."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - begun, used.ru_maxrss / 1024


def main() -> int:
    """Print one line per command; 1 if a command cannot say its help."""
    failed = False
    print(f"{'command':<18}{'median s':>10}{'longest s':>11}{'peak MB':>9}")
    for name, command in COMMANDS.items():
        runs = [start_once([*command, "--help"]) for _ in range(TIMES)]
        seconds = [wall for _, wall, _ in runs]
        broken = any(code for code, _, _ in runs)
        failed |= broken
        print(
            f"{name:<18}{statistics.median(seconds):>10.2f}{max(seconds):>11.2f}"
            f"{max(mb for _, _, mb in runs):>9.0f}{'  does not start' if broken else ''}"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
