"""A city and a plan as the JSON that `docs/city-format.md` describes, for anyone to check."""

from typing import Any

import numpy as np

from scheduling.cells import Floats, Ints
from scheduling.city import Choice, City


def dumped(city: City) -> dict[str, Any]:
    """The city, column by column; a machine's materials by their places."""
    machines = _columns(city.machines, leave_out="takes")
    machines["materials"] = [np.flatnonzero(row).tolist() for row in city.machines.takes]
    return {
        "format": "cosmolocal-city-1",
        "processes": list(city.processes),
        "materials": list(city.materials),
        "bucket_ends_s": city.ends_s.tolist(),
        "tariff": vars(city.tariff),
        "labs": _columns(city.labs),
        "machines": machines,
        "jobs": _columns(city.jobs),
    }


def planned(choice: Choice, cost: int, bound: float, price: Floats) -> dict[str, Any]:
    return {
        "format": "cosmolocal-plan-1",
        "machine": _or_none(choice.machine),
        "bucket": _or_none(choice.bucket),
        "cost_minor": cost,
        "bound_minor": bound,
        "price_minor_per_s": price.tolist(),
    }


def _columns(part: object, leave_out: str = "") -> dict[str, Any]:
    return {name: column.tolist() for name, column in vars(part).items() if name != leave_out}


def _or_none(column: Ints) -> list[int | None]:
    return [each if each >= 0 else None for each in column.tolist()]
