"""What the shop allows: which offers it takes, when a machine may start, how long a job may be.

Pure decisions that answer None or the reason against, in words; nothing remote can change them.
"""

from datetime import datetime
from typing import Final

from fablab_agents.config import PROCESS_OF, Machine, Policy
from fablab_agents.protocol.tickets import Ticket

TOO_LONG: Final = 1.2


def against_offer(entry: Machine | None, kind: str, ticket: Ticket, *, offered: bool) -> str | None:
    """Why this shop does not take this offer."""
    if entry is None:
        return f"this lab has no machine {ticket.machine}"
    if not offered:
        return f"{entry.id} is not offered to the network now"
    if PROCESS_OF.get(kind) != ticket.recipe.process:
        return f"{entry.id} does not do {ticket.recipe.process}"
    if ticket.recipe.material not in entry.materials:
        return f"{entry.id} has no {ticket.recipe.material}; it has {', '.join(entry.materials)}"
    thick_mm, most_mm = ticket.recipe.thickness_mm, entry.thickness_max_mm
    if thick_mm is not None and most_mm is not None and thick_mm > most_mm:
        return f"{entry.id} takes at most {most_mm:g} mm, not {thick_mm:g} mm"
    return None


def against_length(seconds: int, estimate_s: int) -> str | None:
    """Why a prepared program may not be started at the quoted price: over 20 % too long."""
    if seconds <= TOO_LONG * estimate_s:
        return None
    return (
        f"it would take {_minutes(seconds)}, the quote stands on {_minutes(estimate_s)};"
        " it must be quoted again"
    )


def against_now(entry: Machine, kind: str, policy: Policy, local: datetime) -> str | None:
    """Why this machine may not start at this local time."""
    if entry.started_by_a_person(kind) or policy.unattended_hours.hold(local.time()):
        return None
    return f"the shop lets machines start alone only in {policy.unattended_hours}"


def against_moving(entry: Machine, *, needs_homing: bool) -> str | None:
    """Why nobody at the console may move this machine: the shop says so for each, homing apart."""
    if entry.jog or needs_homing:
        return None
    return (
        f"this shop lets nobody move {entry.id} from the console; that is jog = true in agent.toml"
    )


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"
