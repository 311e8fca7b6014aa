"""Promises one answer per program and design: within, deviates, or unmeasurable and why.
Never writes anything; files are read as they are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from hardware_sim.config import LaserMachine, Machine, MarlinMachine, MillMachine
from hardware_sim.metrology import (
    cut,
    deposit,
    drawing,
    placement,
    printed,
    removed,
    solid,
    toolpath,
)
from hardware_sim.metrology.report import (
    CUT,
    PRINTED,
    Conformance,
    Deviations,
    Tolerance,
    Unmeasurable,
    judge,
)
from hardware_sim.rehearse import CannotRehearse, machine_s

BIGGEST_PROGRAM_BYTES = 256 << 20


@dataclass(frozen=True)
class Question:
    """What is to be set against what; None leaves a choice to the machine or the files."""

    machine: Machine
    design: Path
    program: Path
    placement: Path | None = None
    thickness_mm: float | None = None
    width_mm: float | None = None  # tool diameter or kerf, instead of the machine's own
    cuts_mm_min: float | None = None  # a beam at full power and this feed just cuts through
    units: str | None = None
    outline_mm: float | None = None


def measure(question: Question) -> Conformance:
    """Compare; a design or program that cannot be read is unmeasurable, never an exception."""
    printer = isinstance(question.machine, MarlinMachine)
    try:
        lines = _lines(question.program)
        deviations, made = _printed(question, lines) if printer else _cut(question, lines)
    except (Unmeasurable, solid.UnreadableDesign) as error:
        return Conformance("unmeasurable", None, None, why=str(error))
    except OSError as error:
        why = f"{error.filename or 'a file'}: {error.strerror or error}"
        return Conformance("unmeasurable", None, None, why=why)
    except (shapely.errors.ShapelyError, ArithmeticError, np.linalg.LinAlgError, MemoryError) as no:
        why = f"the geometry cannot be worked out: {type(no).__name__}: {no}"
        return Conformance("unmeasurable", None, None, why=why)
    usual = PRINTED if printer else CUT
    tolerance = Tolerance(question.outline_mm or usual.outline_mm, usual.volume_pct)
    made = {
        **made,
        "tolerances": {"outline_mm": tolerance.outline_mm, "volume_pct": usual.volume_pct},
    }
    try:
        seconds = round(machine_s(question.machine, lines), 1)
    except Unmeasurable as error:
        return Conformance("unmeasurable", deviations, None, made, str(error))
    except CannotRehearse as error:
        why = f"the machine would not finish this program: {error}"
        return Conformance("deviates", deviations, None, made, why)
    return Conformance(judge(deviations, tolerance), deviations, seconds, made)


def _lines(program: Path) -> list[str]:
    """The program's lines; what no machine takes is refused by its size."""
    if not program.is_file():
        raise Unmeasurable(f"{program}: there is no such file")
    if program.stat().st_size > BIGGEST_PROGRAM_BYTES:
        raise Unmeasurable(f"{program}: larger than {BIGGEST_PROGRAM_BYTES >> 20} MiB")
    return program.read_text("utf-8", "replace").splitlines()


def _printed(question: Question, lines: list[str]) -> tuple[Deviations, dict[str, object]]:
    machine = question.machine
    assert isinstance(machine, MarlinMachine)
    return printed.compare(
        deposit.read(lines, machine.filament_mm),
        solid.read(question.design),
        placement.read(question.placement),
    )


def _cut(question: Question, lines: list[str]) -> tuple[Deviations, dict[str, object]]:
    machine = question.machine
    assert not isinstance(machine, MarlinMachine)
    path = toolpath.read(lines)
    plate = drawing.read(question.design, question.units)
    known: dict[str, object] = {"width_from": "told" if question.width_mm else "the machine"}
    if isinstance(machine, LaserMachine):
        made = removed.burned(path, question.width_mm or machine.kerf_mm, _cuts_at(question))
    else:
        thickness_mm, known["thickness_from"] = _thickness(question, plate.thickness_mm)
        made = removed.milled(path, question.width_mm or machine.tool_mm, thickness_mm)
    deviations, told = cut.compare(made, plate, placement.read(question.placement))
    return deviations, {**told, **known}


def _thickness(question: Question, of_plate_mm: float | None) -> tuple[float | None, str]:
    """Of the stock, and who says so: the question, the machine, a solid design, or nobody."""
    machine = question.machine
    assert isinstance(machine, MillMachine)
    known = ((question.thickness_mm, "told"), (machine.stock_mm, "the machine"))
    known = (*known, (of_plate_mm, "the design"))
    return next((pair for pair in known if pair[0]), (None, "the program's own depth"))


def _cuts_at(question: Question) -> tuple[float, float] | None:
    """Full power and the feed at which one pass of it just cuts through, if somebody told."""
    machine = question.machine
    assert isinstance(machine, LaserMachine)
    feed = question.cuts_mm_min or machine.cuts_mm_min
    return None if feed is None else (machine.settings.get("30", 1000.0), feed)
