"""Streams one file through Printrun's printcore; run by the interpreter that has it installed."""

import importlib
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    port, baud, path = sys.argv[1:4]
    core: Any = importlib.import_module("printrun.printcore")
    gcoder: Any = importlib.import_module("printrun.gcoder")
    program: Any = gcoder.LightGCode(Path(path).read_text(encoding="utf-8").splitlines())
    printer: Any = core.printcore(port, int(baud))
    while not printer.online:
        time.sleep(0.05)
    printer.startprint(program)
    while printer.printing:
        time.sleep(0.02)
    time.sleep(0.5)
    failed = printer.printer is None
    printer.disconnect()
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
