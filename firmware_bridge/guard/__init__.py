"""Is this program safe on that machine? Decided before a port is opened, from its text alone.

A modal interpreter over an allow-list: what it does not understand it refuses. It never changes a
program and never asks a machine.
"""

from pathlib import Path
from typing import Final

from firmware_bridge.guard import cutting, printing
from firmware_bridge.guard.reading import check_bytes, container
from firmware_bridge.guard.rules import RULES
from firmware_bridge.guard.verdict import Decision, Facts, Finding, Findings, Stock, Verdict
from firmware_bridge.profiles import MachineProfile

__all__ = ["RULES", "Decision", "Facts", "Finding", "Stock", "Verdict", "footer", "judge"]

_TAMED: Final = ("left on", "left low")
_NOTHING: Final = Facts(0, 0.0, None, 0.0, 0.0, (None, None, None))


def judge(
    program: Path | bytes,
    profile: MachineProfile,
    stock: Stock | None = None,
    material: str | None = None,
) -> Verdict:
    """Judge a program (a file, or its bytes) for one machine, its stock and its material.

    Reject wins over review, review over accept; a program that cannot be read is rejected. Before
    an accepted program runs, `Verdict.footer` must be appended to it.
    """
    findings = Findings()
    data = program if isinstance(program, bytes) else _bytes_of(program, profile, findings)
    if data is None:
        return Verdict(findings.decision(), findings.all(), _NOTHING)
    what = container(data)
    if what is not None:
        findings.reject("file", 0, f"is {what}; save it as plain G-code, in ASCII or UTF-8")
        return Verdict(findings.decision(), findings.all(), _NOTHING)
    check_bytes(data, findings)
    lines = data.split(b"\n")
    count = len(lines) - (not lines[-1])
    if len(data) > profile.bytes_max or count > profile.lines_max:
        findings.reject(
            "size", 0, f"{count} lines in {len(data)} bytes; at most {profile.lines_max} lines in"
            f" {profile.bytes_max} bytes are taken",
        )  # fmt: skip
        return Verdict(findings.decision(), findings.all(), _NOTHING)
    if profile.fdm is not None:
        facts = printing.judge(lines, profile, findings, material)
    else:
        facts = cutting.judge(data, profile, findings, stock, material)
    if facts is None:
        findings.reject("empty", 0, "nothing moves: this is no program")
    all_ = findings.all()
    tame = any(finding.rule in _TAMED for finding in all_)
    end = footer(profile) if tame else b""
    if end and lines[-1]:
        end = b"\n" + end  # its last line is not ended
    return Verdict(findings.decision(), all_, facts or _NOTHING, end)


def footer(profile: MachineProfile) -> bytes:
    """The lines that leave this kind of machine safe: heat, spindle or laser off; no motion."""
    if profile.fdm is None:
        return b"M5\n"
    chamber = b"M141 S0\n" if "M141" in profile.codes else b""
    return b"M104 S0\nM140 S0\n" + chamber + b"M107\n"


def _bytes_of(program: Path, profile: MachineProfile, findings: Findings) -> bytes | None:
    try:
        if not program.is_file():
            findings.reject("file", 0, "is no file" if program.exists() else "is not there")
            return None
        size = program.stat().st_size
        if size > profile.bytes_max:
            most = profile.bytes_max
            findings.reject("size", 0, f"{size} bytes; at most {most} are taken")
            return None
        return program.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        findings.reject("file", 0, f"cannot be read: {why}")
        return None
