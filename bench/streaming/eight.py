"""Eight jobs from one process: as in a workshop's agent, each machine's driver on its own thread.

Run as a program with a driver's name, a baud rate, a file and the ports; it ends when all have.
"""

import hashlib
import json
import sys
import threading
from pathlib import Path

from firmware_bridge import registry
from firmware_bridge.driver import Ended, Program


def stream(driver: str, baud: int, program: Program, port: str, together: threading.Barrier) -> str:
    """One machine's job from connecting to its end; the outcome."""
    machine = registry.open_driver({"driver": driver, "link": port, "baud": baud})
    machine.connect()
    try:
        together.wait()
        run = machine.start(program)
        for event in run.events():
            if isinstance(event, Ended):
                return event.outcome
        return "no end"
    finally:
        machine.close()


def main() -> int:
    driver, baud, path, *ports = sys.argv[1:]
    data = Path(path).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    program = Program(Path(path), digest, "bench", len(data.splitlines()))
    together = threading.Barrier(len(ports))
    outcomes: dict[str, str] = {}

    def one(port: str) -> None:
        outcomes[port] = stream(driver, int(baud), program, port, together)

    threads = [threading.Thread(target=one, args=(port,), name=port) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(outcomes))
    return 0 if set(outcomes.values()) == {"finished"} and len(outcomes) == len(ports) else 1


if __name__ == "__main__":
    raise SystemExit(main())
