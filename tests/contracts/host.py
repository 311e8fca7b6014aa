"""A host that does one job and dies when it is killed: says each event on its standard output."""

import json
import sys
from pathlib import Path

from firmware_bridge.driver import ByPerson, Program, Waiting
from firmware_bridge.registry import open_driver


def main() -> None:
    entry, program = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    driver = open_driver(entry)
    driver.connect()
    run = driver.start(Program(**{**program, "path": Path(program["path"])}))
    for event in run.events():
        print(type(event).__name__, flush=True)
        if isinstance(event, Waiting) and isinstance(run, ByPerson) and "started" in run.words:
            run.tell("started", "Ana")


if __name__ == "__main__":
    main()
