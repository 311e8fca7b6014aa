"""From a ticket and a fetched file to a program, in a child process under limits.

The agent itself loads no geometry: what the child answers is plain facts or the reasons against.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from designs import bounded
from designs.errors import DesignRefused, Finding, ReaderCrashed
from fablab_agents.config import Machine
from fablab_agents.protocol.messages import ProgramFacts
from fablab_agents.protocol.tickets import Ticket

_NOTES_MAX: Final = 20
_TARGET: Final = "fablab_agents.runner.making:child"


class NotMade(Exception):
    """No program for this part on this machine; the text says why and what to do."""


class Task(BaseModel):
    """What the child is told; `profile` is a shipped name or a path."""

    part: str
    process: str
    material: str
    thickness_mm: float | None
    quality: str
    quantity: int
    file: Path
    format: str
    profile: str
    machine: str
    tool_mm: float | None
    kerf_mm: float | None
    out: Path
    cache: Path


class Made(BaseModel):
    program: Path
    facts: ProgramFacts


class _Answer(BaseModel):
    made: Made | None = None
    refused: tuple[Finding, ...] = ()
    missing: str | None = None


@dataclass(frozen=True)
class Rooms:
    """Where programs and prepared pieces are kept."""

    programs: Path
    cache: Path


def task(ticket: Ticket, entry: Machine, file: Path, rooms: Rooms) -> Task:
    return Task(
        part=ticket.part,
        process=ticket.recipe.process,
        material=ticket.recipe.material,
        thickness_mm=ticket.recipe.thickness_mm,
        quality=ticket.recipe.quality,
        quantity=ticket.quantity,
        file=file,
        format=ticket.format,
        profile=entry.profile,
        machine=entry.id,
        tool_mm=entry.tool_mm,
        kerf_mm=entry.kerf_mm,
        out=rooms.programs / ticket.attempt,
        cache=rooms.cache,
    )


def make(wanted: Task) -> Made:
    """Prepare in a child; blocks for seconds to minutes. Raises NotMade in words."""
    wanted.out.mkdir(parents=True, exist_ok=True)
    wanted.cache.mkdir(parents=True, exist_ok=True)
    try:
        said = bounded.run(_TARGET, wanted.model_dump(mode="json"), limits=bounded.MAKING)
    except ReaderCrashed as error:
        raise NotMade(f"preparing it broke: {_last_line(error.detail)}") from error
    except DesignRefused as error:
        raise NotMade(str(error)) from error
    answer = _Answer.model_validate(said)
    if answer.missing:
        raise NotMade(f"slicer missing: {answer.missing}")
    if answer.made is None:
        raise NotMade("; ".join(str(finding) for finding in answer.refused))
    return answer.made


def _last_line(detail: str) -> str:
    lines = detail.strip().splitlines()
    return lines[-1] if lines else "no word from it"


def child(told: dict[str, bounded.Json]) -> bounded.Json:
    """Runs in the child: call `prepare` and put its answer into plain words and figures."""
    from fablab_agents import prepare
    from firmware_bridge import profiles

    wanted = Task.model_validate(told)
    order = prepare.Order(
        part_name=wanted.part,
        process=wanted.process,
        material=wanted.material,
        thickness_mm=wanted.thickness_mm,
        quality=wanted.quality,
        quantity=wanted.quantity,
        file_path=wanted.file,
        format=wanted.format,
        profile=profiles.load(wanted.profile),
        machine=wanted.machine,
        tool_mm=wanted.tool_mm,
        kerf_mm=wanted.kerf_mm,
        cache=wanted.cache,
    )
    try:
        prepared = prepare.prepare(order, wanted.out)
    except prepare.SlicerMissing as error:
        return _Answer(missing=error.line_to_type).model_dump(mode="json")
    except DesignRefused as error:
        return _Answer(refused=error.findings).model_dump(mode="json")
    facts = ProgramFacts(
        sha256=prepared.sha256,
        lines=prepared.lines,
        seconds=prepared.seconds,
        grams=prepared.grams,
        notes=tuple(str(finding) for finding in prepared.findings)[:_NOTES_MAX],
    )
    return _Answer(made=Made(program=prepared.program, facts=facts)).model_dump(mode="json")
