"""Promises the one shape in which conformance is told, and the verdict drawn from it.
Never softens: what could not be measured is said to be unmeasurable.
"""

import signal
from dataclasses import asdict, dataclass, field
from typing import Literal

Verdict = Literal["within", "deviates", "unmeasurable"]
STATUS: dict[Verdict, int] = {"within": 0, "deviates": 1, "unmeasurable": 3}


class Unmeasurable(ValueError):
    """Nothing can be said about this program and this design; the message says why."""


def limit_cpu_s(limit_s: float) -> None:
    """Raise Unmeasurable after so much more processor time (0: never); main thread only.

    Again every second from then on: a reader of drawings may take it for an error of its own.
    """

    def stop(*_: object) -> None:
        raise Unmeasurable(
            f"not done after {limit_s:g} s of processor time: more moves or more geometry than "
            "fits in it (--limit-s allows more)"
        )

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit_s, 1.0)


@dataclass(frozen=True)
class Tolerance:
    """Largest deviations that are still within; volume None is not judged."""

    outline_mm: float
    volume_pct: float | None


PRINTED = Tolerance(outline_mm=0.3, volume_pct=3.0)
CUT = Tolerance(outline_mm=0.1, volume_pct=None)


@dataclass(frozen=True)
class Deviations:
    """How what would be made differs from the design."""

    outline_mm: float
    volume_pct: float | None
    missing: list[str]
    extra: list[str]


@dataclass(frozen=True)
class Conformance:
    """The answer of `measure`."""

    verdict: Verdict
    deviations: Deviations | None
    machine_s: float | None
    made: dict[str, object] = field(default_factory=dict)
    why: str | None = None
    kind: str = "program conformance"

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def judge(deviations: Deviations, tolerance: Tolerance) -> Verdict:
    """Within only if nothing is missing or extra and both figures hold."""
    off = deviations.outline_mm > tolerance.outline_mm
    limit, volume = tolerance.volume_pct, deviations.volume_pct
    off = off or (limit is not None and volume is not None and abs(volume) > limit)
    return "deviates" if off or deviations.missing or deviations.extra else "within"
