"""What of a design may be wished otherwise: named, with its unit in the name, within bounds.

Whatever lies within the bounds is a part that can be made; what does not is refused in words.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from designs.errors import DesignRefused, Finding, Severity


class Parameters(BaseModel):
    """A design's own subclass has one field for each; `given` checks what was wished."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


P = TypeVar("P", bound=Parameters)


class Bounds(BaseModel):
    """One parameter as it is shown: its usual value and how far it may be wished otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    what: str
    usual: float
    least: float
    most: float
    whole: bool


def length(usual_mm: float, least_mm: float, most_mm: float, what: str) -> float:
    """A field in millimetres."""
    field: Any = Field(default=usual_mm, ge=least_mm, le=most_mm, description=what)
    return field


def share(usual_pct: float, least_pct: float, most_pct: float, what: str) -> float:
    """A field in per cent."""
    return length(usual_pct, least_pct, most_pct, what)


def count(usual: int, least: int, most: int, what: str) -> int:
    field: Any = Field(default=usual, ge=least, le=most, description=what)
    return field


def bounds(wishes: type[Parameters]) -> tuple[Bounds, ...]:
    properties = wishes.model_json_schema()["properties"]
    return tuple(
        Bounds(
            name=name,
            what=said["description"],
            usual=said["default"],
            least=said["minimum"],
            most=said["maximum"],
            whole=said["type"] == "integer",
        )
        for name, said in properties.items()
    )


def given(wishes: type[P], values: Mapping[str, float | str]) -> P:
    """The design's parameters with these values; raises `DesignRefused`, a finding for each."""
    try:
        return wishes.model_validate(dict(values))
    except ValidationError as wrong:
        known = {each.name: each for each in bounds(wishes)}
        findings = [_finding(dict(error), known) for error in wrong.errors()]
        raise DesignRefused(findings) from None


def _finding(error: Mapping[str, Any], known: Mapping[str, Bounds]) -> Finding:
    name = ".".join(map(str, error["loc"])) or "the parameters together"
    if one := known.get(name):
        number = "a whole number" if one.whole else "a number"
        do = f"Give {number} from {one.least:g} to {one.most:g}"
        what = f"{str(error['input'])[:40]!r} is not possible for {one.what}"
    else:
        what, do = "this design has no such parameter", f"Choose among {', '.join(known)}"
    return Finding(severity=Severity.REFUSAL, where=name, what=what, do=do)
