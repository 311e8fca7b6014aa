"""One queue by CP-SAT as anybody would write it: a circuit of jobs, each with a start.

It reads and writes what `pyjobshop_job` does; hours are kept exactly, changeovers included.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from ortools.sat.python import cp_model


class Circuit:
    """The last node is what is loaded now: every order begins and ends there."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.jobs = told, told["jobs"]
        self.model = cp_model.CpModel()
        self.starts = [
            self.model.new_int_var(each["release"], told["horizon"] - each["duration"], "")
            for each in self.jobs
        ]
        self.model.add_no_overlap(
            self.model.new_fixed_size_interval_var(start, each["duration"], "")
            for start, each in zip(self.starts, self.jobs, strict=True)
        )
        self.lates: dict[int, cp_model.IntVar] = {}
        self.arcs: dict[tuple[int, int], cp_model.IntVar] = {}
        changing = self._follow()
        self.model.minimize(told["change"] * changing + sum(map(self._timed, range(self._many))))

    @property
    def _many(self) -> int:
        return len(self.jobs)

    def _follow(self) -> cp_model.LinearExprT:
        """The steps of all changeovers, as a sum over who comes after whom."""
        changing: list[Any] = []
        for before in range(self._many + 1):
            for after in range(self._many + 1):
                if before == after:
                    continue
                arc = self.model.new_bool_var("")
                self.arcs[before, after] = arc
                if after < self._many:
                    changing.append(self.told["changes"][before][after] * arc)
                    self._if_after(arc, before, after)
        self.model.add_circuit([(*pair, arc) for pair, arc in self.arcs.items()])
        return sum(changing)

    def _if_after(self, arc: cp_model.IntVar, before: int, after: int) -> None:
        steps, begins = self.told["changes"][before][after], 0
        if before < self._many:
            begins = self.starts[before] + self.jobs[before]["duration"]
        self.model.add(self.starts[after] >= begins + steps).only_enforce_if(arc)
        if self.told["open"]:
            last = self.jobs[after]["duration"]
            hours = [[a + steps, b - last] for a, b in self.told["open"] if a + steps <= b - last]
            domain = cp_model.Domain.from_intervals(hours)
            self.model.add_linear_expression_in_domain(self.starts[after], domain).only_enforce_if(
                arc
            )

    def _timed(self, number: int) -> cp_model.LinearExprT:
        each, told = self.jobs[number], self.told
        end = self.starts[number] + each["duration"]
        cost = each["weight"] * told["wait"] * (end - each["release"])
        if each["due"] is None:
            return cost
        late = self.model.new_int_var(0, told["horizon"], "")
        self.model.add(late >= end - each["due"])
        self.lates[number] = late
        return cost + each["weight"] * told["late"] * late

    def begin_with(self, starts: list[int]) -> None:
        """Every variable is told its value in this order."""
        order = sorted(range(self._many), key=lambda number: starts[number])
        ring = [self._many, *order]
        follows = set(zip(ring, [*order, self._many], strict=True))
        for pair, arc in self.arcs.items():
            self.model.add_hint(arc, pair in follows)
        for number, start in enumerate(starts):
            self.model.add_hint(self.starts[number], start)
            if number in self.lates:
                each = self.jobs[number]
                late = max(0, start + each["duration"] - each["due"])
                self.model.add_hint(self.lates[number], late)


def main() -> int:
    told = json.load(sys.stdin)
    began, cpu_began = time.monotonic(), time.process_time()
    circuit, solver = Circuit(told), cp_model.CpSolver()
    if "hint" in told:
        circuit.begin_with(told["hint"])
    solver.parameters.max_time_in_seconds = told["seconds"]
    solver.parameters.num_workers = told["workers"]
    status = solver.solve(circuit.model)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    value: Callable[[Any], int] = solver.value
    answer = {
        "starts": [value(start) for start in circuit.starts] if found else [],
        "cost": solver.objective_value if found else None,
        "bound": solver.best_objective_bound,
        "status": solver.status_name(status).lower(),
        "wall_seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu_began,
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
