"""Keeps prepared programs by the hash of all that went into them.

A kept program is given out only when its bytes still have the hash they were kept under.
"""

import hashlib
import json
import shutil
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from fablab_agents.prepare.order import Made, Order

PROGRAM, PLACEMENT, RECORD = "program.gcode", "placement.json", "record.json"


def key(order: Order, tool: str) -> str:
    """Names the outcome: geometry, machine, recipe, slicer version and this room's own code."""
    parts = [
        hashlib.sha256(order.file_path.read_bytes()).hexdigest(),
        order.profile.model_dump_json(),
        *map(str, (order.part_name, order.format, order.process, order.material)),
        *map(str, (order.thickness_mm, order.quality, order.tool_mm, order.kerf_mm)),
        order.manner.model_dump_json() if order.manner else "",
        tool,
        _room(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _room() -> str:
    """The hash of this room's code and tables: what they change, they make again."""
    here = resources.files("fablab_agents.prepare")
    files = [*here.iterdir(), *(here / "data").iterdir()]
    rows = sorted((f.name, f.read_bytes()) for f in files if f.is_file())
    return hashlib.sha256(b"".join(name.encode() + data for name, data in rows)).hexdigest()


def find(kept: Path, out_dir: Path) -> Made | None:
    """Copies what is kept there into `out_dir`; None when there is nothing sound."""
    try:
        made = Made.model_validate_json((kept / RECORD).read_bytes())
        program = (kept / PROGRAM).read_bytes()
        placement = (kept / PLACEMENT).read_bytes()
    except (OSError, ValidationError):
        return None
    if hashlib.sha256(program).hexdigest() != made.sha256:
        return None
    (out_dir / PROGRAM).write_bytes(program)
    (out_dir / PLACEMENT).write_bytes(placement)
    return made


def keep(kept: Path, out_dir: Path, made: Made) -> None:
    """Whole or not at all: written aside, then renamed."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".making-"))
    for name in (PROGRAM, PLACEMENT):
        shutil.copyfile(out_dir / name, aside / name)
    (aside / RECORD).write_text(made.model_dump_json(), encoding="utf-8")
    try:
        aside.replace(kept)
    except OSError:  # somebody kept the same in the meantime, or an unsound one lies there
        shutil.rmtree(kept, ignore_errors=True)
        aside.replace(kept)
