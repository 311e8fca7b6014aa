"""The set-up sheet: what a person at a machine that no driver reaches has to know, as plain text.

It tells what the journal, the shop's entry and the profile say; it works nothing out by itself.
"""

import json
from collections.abc import Iterator
from typing import Final

from fablab_agents.book import Attempt
from fablab_agents.config import Machine
from fablab_agents.runner.making import FACTS
from firmware_bridge.driver import Program
from firmware_bridge.profiles import MachineProfile

_STEPS: Final = {
    "fdm": (
        "Load the material and clear the bed.",
        "Take the file named above, no other, and start it at the machine.",
    ),
    "mill": (
        "Clamp the stock flat; nothing may stand in the way of the tool above it.",
        "Fit the tool, set the work zero as above, and check that the extent fits the stock.",
        "Take the file named above, no other, and start it at the machine. Stay beside it.",
    ),
    "laser": (
        "Lay the sheet flat and focus on its surface; switch the extraction on.",
        "Set the work zero as above, and check that the extent fits the sheet.",
        "Take the file named above, no other, and start it at the machine. Stay beside it.",
    ),
}
_AFTER: Final = (
    "If the machine's own program needs another format, convert this file; change nothing else.",
    "Say on the console when it started, and afterwards what became of it.",
)
_ZERO: Final = {
    "fdm": "as the printer homes",
    "mill": "lower left corner of the stock in X and Y, top of the stock in Z",
    "laser": "lower left corner of the sheet in X and Y",
}


def text(lab: str, attempt: Attempt, entry: Machine, profile: MachineProfile) -> str:
    """The sheet, one fact a line."""
    rows = [(name, said) for name, said in _facts(lab, attempt, entry, profile) if said]
    wide = max(len(name) for name, _ in rows)
    notes = list(attempt.program.notes) if attempt.program else []
    steps = (*_STEPS[profile.kind], *_AFTER)
    return "\n".join(
        [
            f"SET-UP SHEET: {attempt.ticket.part} on {entry.title or profile.title}",
            "",
            *(f"{name + ':':<{wide + 1}} {said}" for name, said in rows),
            *(["", "What the checks of this program noted:", *(f"- {note}" for note in notes)]
              if notes else []),
            "",
            *(f"{count}. {step}" for count, step in enumerate(steps, 1)),
            "",
        ]
    )  # fmt: skip


def file_name(attempt: Attempt) -> str:
    """The name under which the program is handed out; empty while there is none."""
    if attempt.program is None or attempt.program_path is None:
        return ""
    facts = attempt.program
    return Program(attempt.program_path, facts.sha256, attempt.id, facts.lines).remote_name


def _facts(
    lab: str, attempt: Attempt, entry: Machine, profile: MachineProfile
) -> Iterator[tuple[str, str]]:
    ticket, program = attempt.ticket, attempt.program
    yield "Lab", lab
    yield "Machine", f"{entry.title or profile.title} ({entry.id})"
    yield "Design", f"{ticket.design} {ticket.version}"
    yield "Part", f"{ticket.part}, {ticket.quantity} piece{'s' if ticket.quantity > 1 else ''}"
    yield "Process", ticket.recipe.process
    yield "Material", ticket.recipe.material
    yield "Thickness", _mm(ticket.recipe.thickness_mm)
    yield "As designed", str(ticket.recipe.manner or "")
    yield "Tool", _mm(entry.tool_mm) if profile.kind == "mill" else ""
    yield "Kerf", _mm(entry.kerf_mm) if profile.kind == "laser" else ""
    yield "Work zero", _ZERO[profile.kind]
    yield "Extent", str(_kept(attempt).get("extent", ""))
    yield "Time", f"about {-(-program.seconds // 60)} min by its program" if program else ""
    yield "Attempt", attempt.id
    yield "File", file_name(attempt)
    yield "SHA-256", program.sha256 if program else ""


def _mm(length_mm: float | None) -> str:
    return "" if length_mm is None else f"{length_mm:g} mm"


def _kept(attempt: Attempt) -> dict[str, object]:
    """The figures that were kept beside the program; none of them when they cannot be read."""
    if attempt.program_path is None:
        return {}
    try:
        found = json.loads((attempt.program_path.parent / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
