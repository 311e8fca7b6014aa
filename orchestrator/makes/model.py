"""Pure decisions about makes: what an inspection means and what a passport says.

It never measures anything: readings come from whoever inspected, and say who that was.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Verdict(StrEnum):
    CONFORMS = "conforms"
    DEVIATES = "deviates"
    UNMEASURABLE = "unmeasurable"


class Kind(StrEnum):
    """Who or what inspected; a program's conformance is never a measurement of a real part."""

    SIMULATED = "simulated program conformance"
    PERSON = "measured by a person"


class Inspection(BaseModel):
    """`outline_mm` and `volume_pct` are deviations from the design; None where not determined."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    verdict: Verdict
    kind: Kind
    inspector: str = Field(min_length=1, max_length=120)
    outline_mm: float | None = None
    volume_pct: float | None = None
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    machine_s: float | None = None
    note: str = Field(default="", max_length=2000)


def shortfall(inspection: Inspection) -> str:
    """Why the part is not accepted, in words; empty when it is."""
    if inspection.verdict is Verdict.CONFORMS:
        return ""
    said = [f"{len(inspection.missing)} missing"] if inspection.missing else []
    said += [f"{len(inspection.extra)} too many"] if inspection.extra else []
    if inspection.outline_mm is not None:
        said.append(f"outline off by {inspection.outline_mm:.2f} mm")
    if inspection.volume_pct is not None:
        said.append(f"volume off by {inspection.volume_pct:+.1f} %")
    return (
        f"inspection: {inspection.verdict} ({', '.join(said) or inspection.note or 'no reading'})"
    )
