"""One contract, every driver: runs the suite against each stand-in and prints driver × case

Cells: pass, FAIL, or "exempt" with the reason of the driver's quality.toml below the table; a
"skipped" stand-in could not be played here. --json prints the same as JSON; --driver NAME asks one.
Exit status: 0 all pass or are exempt, 1 something failed, 3 something could not be played.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
SUITE: Final = "tests/contracts/test_conformance.py"
_EXEMPT: Final = "exempt: "


class Cell(NamedTuple):
    driver: str
    case: str
    verdict: str
    why: str = ""


def run(drivers: list[str]) -> list[Cell]:
    """The suite as a process of its own; every word of pytest goes to standard error."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        asked = ["-k", " or ".join(f"[{name}]" for name in drivers)] if drivers else []
        command = [sys.executable, "-m", "pytest", SUITE, "-q", "-n", "2", "--dist", "loadgroup"]
        command += ["-p", "no:randomly", f"--junitxml={report}", *asked]
        whole = {**os.environ, "COSMOLOCAL_CONFORMANCE": "all"}
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr, env=whole, check=False)
        return list(read(report.read_text()))


def read(report: str) -> Iterator[Cell]:
    """Pytest's report, of which only names and verdicts are taken."""
    for case in ET.fromstring(report).iter("testcase"):
        name, _, driver = case.get("name", "").removesuffix("]").partition("[")
        if not driver:
            continue
        said = name.removeprefix("test_").replace("_", " ")
        skipped = case.find("skipped")
        if skipped is None:
            bad = case.find("failure") is not None or case.find("error") is not None
            yield Cell(driver.partition("@")[0], said, "FAIL" if bad else "pass")
        else:
            why = skipped.get("message", "").removeprefix("Skipped: ")
            how = "exempt" if why.startswith(_EXEMPT) else "skipped"
            yield Cell(driver.partition("@")[0], said, how, why.removeprefix(_EXEMPT))


def table(cells: list[Cell]) -> str:
    """Cases down, drivers across; each reason once, below."""
    drivers = sorted({cell.driver for cell in cells})
    cases = list(dict.fromkeys(cell.case for cell in cells))
    found = {(cell.driver, cell.case): cell for cell in cells}
    notes: dict[str, str] = {}
    wide = max(map(len, cases), default=0)
    rows = [" " * wide + "".join(f"{driver:>12}" for driver in drivers)]
    for case in cases:
        shown = [_shown(found.get((driver, case)), notes) for driver in drivers]
        rows.append(f"{case:<{wide}}" + "".join(f"{word:>12}" for word in shown))
    return "\n".join([*rows, "", *(f"{mark} {why}" for why, mark in notes.items())])


def _shown(cell: Cell | None, notes: dict[str, str]) -> str:
    if cell is None:
        return "-"
    if not cell.why:
        return cell.verdict
    return f"{cell.verdict} {notes.setdefault(cell.why, f'({len(notes) + 1})')}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--driver", action="append", default=[], help="only this one (repeatable)")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cells = run(asked.driver)
    print(json.dumps([cell._asdict() for cell in cells]) if asked.json else table(cells))
    verdicts = {cell.verdict for cell in cells}
    if not cells or "FAIL" in verdicts:
        return 1
    return 3 if "skipped" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
