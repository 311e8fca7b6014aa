"""What the guard says of a program: a decision, its reasons by line, and the facts it computed.

Values only; nothing here judges.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Decision = Literal["accept", "review", "reject"]
Severity = Literal["note", "review", "reject"]
Box = tuple[tuple[float, float, float], tuple[float, float, float]]

PER_RULE = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` counts from 1; 0 means the program as a whole. A note is told and decides nothing."""

    rule: str
    line: int
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Stock:
    """The piece on the table, in mm; the program's zero is its lower left top corner."""

    x_mm: float
    y_mm: float
    z_mm: float


@dataclass(frozen=True, slots=True)
class Facts:
    """`seconds` is path over feed without acceleration, so a lower bound; `bbox_mm` holds what is
    deposited, cut or burnt, `outline_mm` its convex hull seen from above, counter-clockwise;
    `end_mm` is the last position, None where the program leaves it open.
    """

    lines: int
    seconds: float
    bbox_mm: Box | None
    extruded_mm3: float
    cut_length_mm: float
    end_mm: tuple[float | None, float | None, float | None]
    filament_mm: float = 0.0
    layers: int = 0
    outline_mm: tuple[tuple[float, float], ...] = ()
    hottest_c: tuple[float, float] | None = None
    """Nozzle and bed."""
    travel_mm: Box | None = None
    """Everything that the tool's point passes, in work coordinates."""
    depth_mm: float = 0.0
    """The deepest cut below the top of the stock."""
    power_max: float = 0.0
    end_machine_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    end_modes: tuple[str, ...] = ()
    """As GRBL's $G tells them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`footer` is what the guard wants appended before the program may run, empty mostly."""

    decision: Decision
    findings: tuple[Finding, ...]
    facts: Facts
    footer: bytes = b""


@dataclass(slots=True)
class Findings:
    """Collects reasons; a rule that is broken on every line is told a few times, then counted."""

    found: list[Finding] = field(default_factory=list[Finding])
    counts: Counter[tuple[str, Severity]] = field(default_factory=Counter[tuple[str, Severity]])
    heard: frozenset[str] | None = None
    """While lines are read that a person approved: the rules that hold all the same."""

    @property
    def told(self) -> int:
        """How many so far."""
        return self.counts.total()

    def reject(self, rule: str, line: int, message: str) -> None:
        self._add(rule, line, message, "reject")

    def review(self, rule: str, line: int, message: str) -> None:
        self._add(rule, line, message, "review")

    def note(self, rule: str, line: int, message: str) -> None:
        self._add(rule, line, message, "note")

    def each(self, rule: str, lines: Iterable[int], message: str) -> None:
        """Reject each of these lines for the same reason."""
        for line in lines:
            self._add(rule, line, message, "reject")

    def decision(self) -> Decision:
        severities = {finding.severity for finding in self.found}
        if "reject" in severities:
            return "reject"
        return "review" if "review" in severities else "accept"

    def all(self) -> tuple[Finding, ...]:
        """By line, what concerns the program as a whole at the end."""
        more = [
            Finding(rule, 0, f"… and {count - PER_RULE} more like these", severity)
            for (rule, severity), count in self.counts.items()
            if count > PER_RULE
        ]
        return (*sorted(self.found, key=lambda f: f.line or math.inf), *more)

    def _add(self, rule: str, line: int, message: str, severity: Severity) -> None:
        if self.heard is not None and rule not in self.heard:
            return
        self.counts[rule, severity] += 1
        if self.counts[rule, severity] <= PER_RULE:
            self.found.append(Finding(rule, line, message, severity))
