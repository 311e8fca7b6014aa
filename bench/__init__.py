"""Measurements and long proofs, and what their command lines share."""

import argparse
import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from unittest.mock import patch


def at_least_one(said: str) -> int:
    """For argparse: a proof that tries nothing has proven nothing."""
    if not said.isdecimal() or int(said) < 1:
        raise argparse.ArgumentTypeError(f"{said!r} is no number from 1 on")
    return int(said)


def within(least: float, most: float, unit: str) -> Callable[[str], float]:
    """For argparse: a number of this span."""

    def number(said: str) -> float:
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{said} will not do; give {least:g} to {most:g}{unit}"
            )
        return value

    return number


def cpu_s(pid: int) -> float:
    """What the threads of a running process have computed so far, to the microsecond."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it ended meanwhile
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def computed_s(pid: int) -> float:
    """What a running process, all below it, and all that these have waited for had computed."""
    tick, spent = os.sysconf("SC_CLK_TCK"), cpu_s(pid)
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = each.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                spent += computed_s(int(each.parent.name))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return spent + (int(fields[13]) + int(fields[14])) / tick


def remembering_in(folder: Path) -> AbstractContextManager[object]:
    """Meanwhile what a journal keeps in the computer's memory goes here."""
    return patch.dict(os.environ, {"COSMOLOCAL_RUNTIME_DIR": str(folder)})
