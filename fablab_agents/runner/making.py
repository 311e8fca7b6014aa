"""From a ticket and a fetched file to a program for one machine, or to the reasons against it.

Blocks for seconds to minutes; geometry and slicer live in `prepare`'s bounded children, never in
the agent's own process.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from designs.errors import DesignRefused
from fablab_agents import prepare
from fablab_agents.config import Machine
from fablab_agents.protocol.messages import ProgramFacts
from fablab_agents.protocol.tickets import Ticket
from firmware_bridge.profiles import MachineProfile

FACTS: Final = "facts.json"
_NOTES_MAX: Final = 20


class NotMade(Exception):
    """No program for this part on this machine; the text says why and what to do."""


@dataclass(frozen=True)
class Made:
    program: Path
    facts: ProgramFacts


@dataclass(frozen=True)
class Rooms:
    """Where programs and prepared pieces are kept."""

    programs: Path
    cache: Path


def make(ticket: Ticket, entry: Machine, profile: MachineProfile, file: Path, rooms: Rooms) -> Made:
    """Prepare the part; raises NotMade in words."""
    out = rooms.programs / ticket.attempt
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    rooms.cache.mkdir(parents=True, exist_ok=True)
    try:
        prepared = prepare.prepare(_order(ticket, entry, profile, file, rooms.cache), out)
    except prepare.SlicerMissing as error:
        raise NotMade(f"slicer missing: {error.line_to_type}") from error
    except DesignRefused as error:
        raise NotMade(str(error)) from error
    facts = ProgramFacts(
        sha256=prepared.sha256,
        lines=prepared.lines,
        seconds=prepared.seconds,
        grams=prepared.grams,
        notes=tuple(str(finding) for finding in prepared.findings)[:_NOTES_MAX],
    )
    (out / FACTS).write_text(json.dumps(dict(prepared.facts)), encoding="utf-8")
    prepared.program.chmod(0o444)
    return Made(prepared.program, facts)


def _order(
    ticket: Ticket, entry: Machine, profile: MachineProfile, file: Path, cache: Path
) -> prepare.Order:
    return prepare.Order(
        part_name=ticket.part,
        process=ticket.recipe.process,
        material=ticket.recipe.material,
        thickness_mm=ticket.recipe.thickness_mm,
        quality=ticket.recipe.quality,
        quantity=ticket.quantity,
        file_path=file,
        format=ticket.format,
        profile=profile,
        machine=entry.id,
        tool_mm=entry.tool_mm,
        kerf_mm=entry.kerf_mm,
        cache=cache,
        manner=ticket.recipe.manner,
    )
