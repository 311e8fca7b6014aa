"""Pure decisions about makes: what an inspection means, and whether it keeps to the part's plan.

It never measures anything: readings come from whoever inspected, and say who that was.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from designs.design import Check, Release, Sha256
from designs.errors import DesignRefused, Finding, Severity
from designs.okh import Made
from orchestrator.catalogue import ancestry
from orchestrator.catalogue.model import NOT_NAMED
from orchestrator.recalls.model import Lot

Plan = Sequence[Check]
"""A part's inspection plan; its checks are numbered from 1 on."""


class Verdict(StrEnum):
    CONFORMS = "conforms"
    DEVIATES = "deviates"
    UNMEASURABLE = "unmeasurable"


class Kind(StrEnum):
    """Who or what inspected; a program's conformance is never a measurement of a real part."""

    SIMULATED = "simulated program conformance"
    PERSON = "measured by a person"


class Reading(BaseModel):
    """What was found for one check of the plan: a value in mm (of a reading: in its own unit),
    whether the gauge passed, or the hash of the photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    check: int = Field(ge=1, le=100)
    value: float | None = Field(default=None, ge=-1e9, le=1e9)
    passed: bool | None = None
    photo_sha256: Sha256 | None = None


class Inspection(BaseModel):
    """`outline_mm` and `volume_pct` are deviations from the design; None where not determined.

    `lot`: of the material, where the inspector sees it and the lab's report does not say it.
    """

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
    readings: tuple[Reading, ...] = Field(default=(), max_length=100)
    lot: Lot | None = None


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


# ── made, and made independently


@dataclass(frozen=True)
class Proof:
    """Real parts of one release that one lab made, accepted and not recalled.

    `party` contracts for the lab; `person` stood at the machine, None where nobody is named.
    """

    release: str
    lab: str | None
    name: str | None
    party: str | None
    person: str | None
    units: int


def made(proofs: Iterable[Proof], releases: Mapping[str, Release]) -> Made:
    """What these prove; `releases` by hash, of each proof."""
    proofs = tuple(proofs)
    return Made(
        total=sum(each.units for each in proofs),
        labs=len({each.lab for each in proofs if each.lab is not None}),
        independently=sum(
            each.units for each in proofs if independent(each, releases[each.release])
        ),
    )


_NOBODY: Final = (NOT_NAMED, "anonymous", "unknown", "nobody", "none", "n/a")


def independent(proof: Proof, release: Release) -> bool:
    """Whether all who made it are named, all who designed it too, and nobody is among both.

    Names are all that is known of either; what is not named proves nothing.
    """
    designers = [release.licensor, *(each.name for each in release.contributors)]
    makers = [proof.name, proof.party, proof.person]
    if not all(map(_said, [release.licensor, *makers])):
        return False
    return not any(ancestry.same(who or "", each) for who in makers for each in designers)


def _said(name: str | None) -> bool:
    letters = sum(each.isalnum() for each in name or "")
    return letters > 1 and not any(ancestry.same(name or "", each) for each in _NOBODY)


# ── the plan

_GIVEN_AS: Final[Mapping[str, str]] = {
    "dimension": "value",
    "reading": "value",
    "gauge": "passed",
    "photo": "photo_sha256",
}
_MEANT: Final[Mapping[str, str]] = {
    "value": "a number",
    "passed": "whether the gauge passed",
    "photo_sha256": "the photo's hash",
}


def due(plan: Plan, accepted: Sequence[Collection[int]]) -> tuple[int, ...]:
    """The checks, by number, that a part cannot be accepted without.

    `accepted`: for each part of the same order and file accepted before, in turn, the checks that
    were read on it. A check for one part in n is due when none of the last n - 1 had it: so the
    first part has them all, and one that was not accepted counts for nothing.
    """
    return tuple(
        number
        for number, check in enumerate(plan, 1)
        if not any(number in read for read in accepted[max(0, len(accepted) - check.every + 1) :])
    )


def hold(plan: Plan, needed: Collection[int], inspection: Inspection, *, simulated: bool) -> None:
    """Raise DesignRefused, with every reason, for an inspection that the plan does not bear out.

    Readings always have to be of the plan's; only "conforms" needs them, and needs them good.
    `simulated`: no such part exists, so nothing needs to be read on it; its passport says so.
    """
    findings = list(_strange(plan, inspection.readings))
    if not findings and inspection.verdict is Verdict.CONFORMS:
        read = {each.check: each for each in inspection.readings}
        excused = simulated and inspection.kind is Kind.SIMULATED
        findings += [
            _missing(number, plan[number - 1])
            for number in needed
            if number not in read and not excused
        ]
        findings += [
            Finding(
                severity=Severity.REFUSAL,
                where=label(number, plan[number - 1]),
                what=f"{fault}: such a part cannot be called conforming",
                do="measure again, or say that it deviates: it is made again at no cost",
            )
            for number, reading in read.items()
            if (fault := wrong(plan[number - 1], reading))
        ]
    if findings:
        raise DesignRefused(findings)


def _strange(plan: Plan, readings: Sequence[Reading]) -> Iterator[Finding]:
    """Readings that are of no check, twice of one, or of another kind than theirs."""
    seen = set[int]()
    for reading in readings:
        number = reading.check
        if number > len(plan):
            what = (
                f"the plan has {len(plan)} checks" if plan else "this part has no inspection plan"
            )
            yield _finding(f"check {number}", what, "leave this reading out, or write it as a note")
        elif number in seen:
            yield _finding(
                label(number, plan[number - 1]), "it is read twice", "give the one that counts"
            )
        else:
            wanted = _GIVEN_AS[plan[number - 1].kind]
            given = [name for name in _MEANT if getattr(reading, name) is not None]
            if given != [wanted]:
                said = f"it wants {_MEANT[wanted]} and nothing else"
                yield _finding(label(number, plan[number - 1]), said, "give that")
        seen.add(number)


def _missing(number: int, check: Check) -> Finding:
    what = "the plan asks for it on this part, and there is no reading"
    do = "measure it; if that cannot be done, the verdict is unmeasurable"
    return _finding(label(number, check), what, do)


def _finding(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)


def wrong(check: Check, reading: Reading) -> str:
    """What is wrong with the part by this reading; empty when it is as it should be.

    Counted in decimals: 8.1 mm is within 8 mm + 0.1.
    """
    if check.kind == "gauge":
        return "" if reading.passed else f"it does not pass {check.gauge}"
    if check.kind != "dimension" or reading.value is None:
        return ""
    nominal, minus, plus, value = (
        Decimal(str(each))
        for each in (check.nominal_mm, check.minus_mm, check.plus_mm, reading.value)
    )
    if nominal - minus <= value <= nominal + plus:
        return ""
    return f"{value} mm is not within {nominal - minus} to {nominal + plus} mm"


def label(number: int, check: Check) -> str:
    return f"check {number}, {check.what}"


def asked(check: Check) -> str:
    """What a check wants, in a workshop's words."""
    often = "" if check.every == 1 else f", on one part in {check.every}"
    if check.kind == "dimension":
        return (
            f"{check.what}: {check.nominal_mm:g} mm, "
            f"\N{MINUS SIGN}{check.minus_mm:g} +{check.plus_mm:g}{often}"
        )
    if check.kind == "gauge":
        return f"{check.what}: passes {check.gauge}{often}"
    return f"{check.what}: {'a photo' if check.kind == 'photo' else 'a reading'}{often}"
