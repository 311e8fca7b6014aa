"""`python -m tests.designs.prepared [SLUG …]`: every part of our library for a shipped machine.

It prints a table: part, machine, verdict of guard and last look, seconds, grams. Some ten minutes.
"""

import sys
import tempfile
import time
from pathlib import Path

from designs import okh
from designs.errors import Severity
from designs.library import build, slugs
from designs.processes import FDM, LASER, MILL
from fablab_agents.prepare import Order, PrepareRefused, prepare
from fablab_agents.protocol.tickets import Manner
from firmware_bridge import profiles

MACHINE = {FDM: "generic-fdm-220", MILL: "generic-cnc-3018", LASER: "generic-laser-400"}


def order_of(entry: okh.PartEntry, folder: Path) -> Order:
    """One piece of the part as a lab with that machine would be asked for it."""
    process = str(entry.process)
    manner = Manner.model_validate(entry.recipe.model_dump(mode="json")) if entry.recipe else None
    return Order(
        part_name=entry.name,
        process=process,
        material=str(entry.material),
        thickness_mm=entry.thickness_mm,
        quality="normal",
        quantity=1,
        file_path=folder / str(entry.file),
        format=str(entry.file).rpartition(".")[2],
        profile=profiles.load(MACHINE[process]),
        machine="here",
        tool_mm=3.175 if process == MILL else None,
        kerf_mm=0.15 if process == LASER else None,
        manner=manner,
    )


def main() -> int:
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        for slug in sys.argv[1:] or slugs():
            folder = build(slug, Path(work) / slug)
            manifest = okh.read((folder / "okh.toml").read_bytes(), "okh.toml")
            for entry in manifest.parts:
                row = _row(order_of(entry, folder), Path(work) / "programs" / entry.name)
                bad += not row.startswith("accepted")
                machine = MACHINE[str(entry.process)]
                print(f"{slug:15} {entry.name:14} {machine:18} {row}", flush=True)
    return 1 if bad else 0


def _row(order: Order, out: Path) -> str:
    began = time.monotonic()
    try:
        made = prepare(order, out)
    except PrepareRefused as refused:
        return f"refused: {refused}"
    worries = [str(f) for f in made.findings if f.severity is not Severity.NOTE]
    took = time.monotonic() - began
    figures = f"{made.seconds:6d} s {made.grams:7.2f} g   (prepared in {took:.0f} s)"
    return f"accepted {figures}" if not worries else f"warned {figures}: {'; '.join(worries)}"


if __name__ == "__main__":
    raise SystemExit(main())
