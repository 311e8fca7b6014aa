"""Promises one answer per program and design: within, deviates, or unmeasurable and why.
Never writes anything; files are read as they are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from hardware_sim.config import LaserMachine, Machine, MarlinMachine
from hardware_sim.metrology import cut, deposit, drawing, placement, printed, solid, toolpath
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
    if isinstance(machine, LaserMachine):
        removed = cut.burned(path, question.width_mm or machine.kerf_mm)
    else:
        removed = cut.milled(path, question.width_mm or machine.tool_mm, question.thickness_mm)
    design = drawing.read(question.design, question.units)
    return cut.compare(removed, design, placement.read(question.placement))
