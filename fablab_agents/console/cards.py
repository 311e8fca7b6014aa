"""What the console shows: one card a machine, and what happened last; plain values, no markup."""

from typing import Any, Final

from fablab_agents.book import UNSTARTED, Attempt
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import State
from fablab_agents.reconciler import View, first_in_line, waits_for
from fablab_agents.runner import Runner
from fablab_agents.runner.sheet import file_name
from firmware_bridge.driver import ByPerson, Homes, Jogs, Sees

LATEST: Final = 12
Card = dict[str, Any]


def cards(runner: Runner) -> list[Card]:
    """Every machine with what it does, what is next on it and what it waits for."""
    view = runner.view()
    return [_card(runner, view, bench) for bench in runner.benches.values()]


def _card(runner: Runner, view: View, bench: Bench) -> Card:
    desk = view.desks[bench.id]
    first = first_in_line(view, bench.id)
    here = [attempt for attempt in view.attempts if attempt.machine == bench.id]
    shown = first or next(iter(here), None)
    waits, run = waits_for(view, bench.id), bench.run
    return {
        "machine": bench.id,
        "title": bench.entry.title or bench.profile.title,
        "condition": bench.condition.value,
        "detail": bench.detail or _why_waiting(view, shown),
        "bed": runner.journal.bed(bench.id, view.moment.elapsed_s).value,
        "attended": desk.attended,
        "offered": desk.offered,
        "simulated": bench.entry.simulated,
        "by_hand": bench.entry.by_hand,
        "words": list(run.words) if isinstance(run, ByPerson) else [],
        "asked": run.asked if isinstance(run, ByPerson) else "",
        "file": file_name(shown) if shown and bench.entry.by_hand else "",
        "waits_for": waits,
        "attempt": shown.id if shown else None,
        "state": shown.state.value if shown else None,
        "part": shown.ticket.part if shown else None,
        "design": shown.ticket.design if shown else None,
        "quantity": shown.ticket.quantity if shown else None,
        "process": shown.ticket.recipe.process if shown else None,
        "material": shown.ticket.recipe.material if shown else None,
        "thickness_mm": shown.ticket.recipe.thickness_mm if shown else None,
        "manner": str(shown.ticket.recipe.manner or "") if shown else "",
        "seconds": shown.program.seconds if shown and shown.program else None,
        "notes": list(shown.program.notes) if shown and shown.program else [],
        "progress": bench.doing.fraction if bench.doing else None,
        "temperatures_c": {name: list(pair) for name, pair in bench.temperatures_c.items()},
        "needs_homing": bench.needs_homing and bench.can(Homes) is not None,
        "can_home": bench.entry.jog and bench.can(Homes) is not None,
        "can_jog": bench.entry.jog and bench.can(Jogs) is not None,
        "no_switches": _no_switches(bench),
        "camera": bench.entry.camera and bench.can(Sees) is not None,
        "position_mm": list(bench.position_mm) if bench.position_mm else None,
        "queue": len([attempt for attempt in here if attempt.state in UNSTARTED]),
        "moving": bench.run is not None,
    }


def _no_switches(bench: Bench) -> bool:
    driver = bench.can(Homes)
    return driver is not None and driver.no_switches


def _why_waiting(view: View, shown: Attempt | None) -> str:
    if shown is None:
        return ""
    if shown.state is State.ACCEPTED and shown.program is None:
        return "its program is being prepared"
    return "" if view.connected else "the network is away"


def latest(runner: Runner) -> list[Card]:
    """The last attempts, newest first, with how each one ended and why."""
    return [_line(runner, attempt) for attempt in runner.journal.latest(LATEST)]


def _line(runner: Runner, attempt: Attempt) -> Card:
    reports = runner.journal.causes(attempt.id)
    said = [report.cause for report in reports if report.cause]
    return {
        "attempt": attempt.id,
        "machine": attempt.machine,
        "state": attempt.state.value,
        "part": attempt.ticket.part,
        "design": attempt.ticket.design,
        "why": said[-1] if said else "",
        "attested": any(report.evidence.get("attested") is True for report in reports),
        "at": attempt.at.isoformat(),
        "clock": attempt.at.astimezone().strftime("%H:%M"),
    }
