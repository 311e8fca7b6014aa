"""Asks the shop's guard about a finished program, and says its answer in our words.

A program that the guard would only let a person wave through, or that it would have to tame by a
footer, is refused too: ours need neither.
"""

from pathlib import Path

from designs.errors import Finding
from fablab_agents.prepare.order import Judged, refusal, refuse_if_any
from firmware_bridge import guard
from firmware_bridge.guard.verdict import Box
from firmware_bridge.profiles import MachineProfile

_AGAIN = "do not run it; report this program as a fault of the preparation"


def by_guard(
    program: Path, profile: MachineProfile, stock: guard.Stock | None, material: str
) -> Judged:
    """The guard's figures for an accepted program; raises `PrepareRefused` with its objections."""
    verdict = guard.judge(program, profile, stock, material)
    refuse_if_any(
        _objection(finding)
        for finding in verdict.findings
        if finding.severity != "note" or verdict.footer
    )
    facts = verdict.facts
    told: dict[str, float | str] = {
        "path_s": round(facts.seconds, 1),
        "cut_mm": round(facts.cut_length_mm, 1),
        "extruded_mm3": round(facts.extruded_mm3, 1),
        "extent": _extent(facts.bbox_mm),
    }
    return Judged(findings=(), seconds=facts.seconds, extruded_mm3=facts.extruded_mm3, facts=told)


def _extent(box: Box | None) -> str:
    """What is deposited, cut or burnt, in the program's own coordinates."""
    if box is None:
        return ""
    pairs = zip("XYZ", *box, strict=True)
    return ", ".join(f"{axis} {low:.1f} to {high:.1f}" for axis, low, high in pairs) + " mm"


def _objection(finding: guard.Finding) -> Finding:
    where = f"line {finding.line}" if finding.line else "the program"
    return refusal(where, finding.message, _AGAIN)
