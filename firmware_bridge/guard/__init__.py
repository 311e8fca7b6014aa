"""Is this program safe on that machine? Decided before a port is opened, from its text alone.

A modal interpreter over an allow-list: what it does not understand it refuses. It never changes a
program and never asks a machine.
"""

from pathlib import Path

from firmware_bridge.guard.cutting import CutJudge
from firmware_bridge.guard.printing import PrintJudge
from firmware_bridge.guard.reading import check_bytes
from firmware_bridge.guard.verdict import Decision, Facts, Finding, Findings, Stock, Verdict
from firmware_bridge.profiles import MachineProfile

__all__ = ["Decision", "Facts", "Finding", "Stock", "Verdict", "judge"]


def judge(
    program: Path | bytes,
    profile: MachineProfile,
    stock: Stock | None = None,
    material: str | None = None,
) -> Verdict:
    """Judge a program (a file, or its bytes) for one machine, its stock and its material.

    Reject wins over review, review over accept; a program that cannot be read is rejected.
    """
    findings = Findings()
    try:
        data = program if isinstance(program, bytes) else program.read_bytes()
    except OSError as error:
        findings.reject("file", 0, f"cannot be read: {error.strerror}")
        data = b""
    check_bytes(data, profile, findings)
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    if lines > profile.lines_max:
        findings.reject("size", 0, f"{lines} lines; at most {profile.lines_max} are taken")
    facts = _read(data, lines, profile, findings, stock, material)
    return Verdict(findings.decision(), findings.all(), facts)


def _read(
    data: bytes,
    lines: int,
    profile: MachineProfile,
    findings: Findings,
    stock: Stock | None,
    material: str | None,
) -> Facts:
    if profile.fdm is not None:
        who = PrintJudge(profile, findings, material)
    else:
        _check_material(profile, findings, material)
        who = CutJudge(profile, findings, stock)
    tell = who.line
    for number, raw in enumerate(data.split(b"\n"), 1):
        if raw and raw[0] != 59:
            tell(number, raw)
    who.close(lines)
    if not who.moved:
        findings.reject("empty", 0, "nothing moves: this is no program")
    return who.facts(lines)


def _check_material(profile: MachineProfile, findings: Findings, material: str | None) -> None:
    laser, known = profile.laser, (profile.laser or profile.mill)
    if material is None or known is None:
        return
    if laser is not None and material in laser.forbidden_materials:
        findings.reject("material", 0, f"{material} must never meet a laser: toxic or on fire")
    elif known.materials and material not in known.materials:
        findings.review("material", 0, f"{material} is not among those this machine works")
