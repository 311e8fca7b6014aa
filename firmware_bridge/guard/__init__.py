"""Is this program safe on that machine? Decided before a port is opened, from its text alone.

A modal interpreter over an allow-list: what it does not understand it refuses. It never changes a
program and never asks a machine.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from firmware_bridge.guard import blocks
from firmware_bridge.guard.cutting import CutJudge
from firmware_bridge.guard.printing import PrintJudge
from firmware_bridge.guard.reading import check_bytes, container
from firmware_bridge.guard.rules import RULES
from firmware_bridge.guard.verdict import Decision, Facts, Finding, Findings, Stock, Verdict
from firmware_bridge.profiles import Blocks, MachineProfile

__all__ = ["RULES", "Decision", "Facts", "Finding", "Stock", "Verdict", "footer", "judge"]

_APPROVE: Final = (
    "Nobody has approved it as it stands now: look at it with"
    " `cosmolocal-agent guard --machine FILE.toml --approve`"
)
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
    check_bytes(data, findings)
    lines = data.split(b"\n")
    count = len(lines) - (not lines[-1])
    if len(data) > profile.bytes_max or count > profile.lines_max:
        findings.reject(
            "size", 0, f"{count} lines in {len(data)} bytes; at most {profile.lines_max} lines in"
            f" {profile.bytes_max} bytes are taken",
        )  # fmt: skip
        return Verdict(findings.decision(), findings.all(), _NOTHING)
    facts = _read(data, lines, count, profile, findings, stock, material)
    all_ = findings.all()
    tame = any(finding.rule in _TAMED for finding in all_)
    return Verdict(findings.decision(), all_, facts, footer(profile) if tame else b"")


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


def _read(
    data: bytes,
    lines: Sequence[bytes],
    count: int,
    profile: MachineProfile,
    findings: Findings,
    stock: Stock | None,
    material: str | None,
) -> Facts:
    if profile.fdm is not None:
        who = PrintJudge(profile, findings, material)
        _print(lines, who, _framed(lines, profile.blocks, findings))
    else:
        del data
        _check_material(profile, findings, material)
        who = CutJudge(profile, findings, stock)
        for number, raw in enumerate(lines, 1):
            if raw and raw[0] != 59:
                who.line(number, raw)
    who.close(count)
    if not who.moved:
        findings.reject("empty", 0, "nothing moves: this is no program")
    return who.facts(count)


def _print(lines: Sequence[bytes], who: PrintJudge, framed: "Framed") -> None:
    tell = who.line
    for number, raw in enumerate(lines, 1):
        if raw and raw[0] != 59:
            if number in framed:
                who.block_line(*framed[number])
            else:
                tell(number, raw)


Framed = dict[int, tuple[blocks.Filled, blocks.Place]]


def _framed(lines: Sequence[bytes], shop: Blocks | None, findings: Findings) -> Framed:
    """The lines of the shop's start and end blocks by their number."""
    if shop is None:
        return {}
    found: Framed = {}
    if shop.start:
        found |= _placed(blocks.find(shop.start, blocks.head(lines)), "start", shop, findings)
    if shop.end:
        found |= _placed(blocks.find(shop.end, blocks.tail(lines)), "end", shop, findings)
    return found


def _placed(
    found: Sequence[blocks.Filled], which: Literal["start", "end"], shop: Blocks, findings: Findings
) -> Framed:
    if not found:
        findings.note(
            "block", 0, f"the shop's {which} block is not in it: every line is judged strictly"
        )
    elif not shop.are_approved:
        findings.review("block", found[0].number, f"this is the shop's {which} block. {_APPROVE}")
    last = len(found) - 1
    return {
        filled.number: (filled, blocks.Place(which, at == last)) for at, filled in enumerate(found)
    }


def _check_material(profile: MachineProfile, findings: Findings, material: str | None) -> None:
    laser, known = profile.laser, (profile.laser or profile.mill)
    if material is None or known is None:
        return
    if laser is not None and material in laser.forbidden_materials:
        findings.reject("material", 0, f"{material} must never meet a laser: toxic or on fire")
    elif known.materials and material not in known.materials:
        findings.review("material", 0, f"{material} is not among those this machine works")
