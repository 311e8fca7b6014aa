"""Promises one answer per program and design: within, deviates, or unmeasurable and why.
Never writes anything; files are read as they are.
"""

from dataclasses import dataclass
from pathlib import Path

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
    try:
        lines = question.program.read_text("utf-8", "replace").splitlines()
        printer = isinstance(question.machine, MarlinMachine)
        deviations, made = _printed(question, lines) if printer else _cut(question, lines)
    except (Unmeasurable, solid.UnreadableDesign, OSError) as error:
        return Conformance("unmeasurable", None, None, why=str(error))
    usual = PRINTED if printer else CUT
    tolerance = Tolerance(question.outline_mm or usual.outline_mm, usual.volume_pct)
    try:
        seconds = round(machine_s(question.machine, lines), 1)
    except CannotRehearse as error:
        why = f"the machine would not finish this program: {error}"
        return Conformance("deviates", deviations, None, made, why)
    return Conformance(judge(deviations, tolerance), deviations, seconds, made)


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
