"""One queue by PyJobShop; run by the interpreter that has it installed.

Standard input: the model as `peers.as_model` writes it. Standard output: starts, status, seconds.
"""

import importlib
import json
import sys
import time
from typing import Any


def model_of(told: dict[str, Any]) -> Any:  # noqa: ANN401 - its types are not here
    """Tardiness, flow time and set-up times, each with its weight: the very costs of the queue.

    What is loaded now is a task without duration that must start as soon as the machine is open.
    """
    shop: Any = importlib.import_module("pyjobshop")
    model = shop.Model()
    machine = model.add_machine(breaks=[tuple(each) for each in told["closed"]])
    loaded = model.add_task(latest_start=told["open"][0][0] if told["open"] else 0)
    model.add_mode(loaded, machine, 0)
    tasks: list[Any] = []
    for each in told["jobs"]:
        due = told["horizon"] if each["due"] is None else each["due"]
        job = model.add_job(weight=each["weight"], release_date=each["release"], due_date=due)
        task = model.add_task(job=job, earliest_start=each["release"], latest_end=told["horizon"])
        model.add_mode(task, machine, each["duration"])
        tasks.append(task)
    for before, row in zip((*tasks, loaded), told["changes"], strict=True):
        for after, steps in zip(tasks, row, strict=True):
            if before is not after and steps:
                model.add_setup_time(machine, before, after, steps)
    model.set_objective(
        weight_total_tardiness=told["late"],
        weight_total_flow_time=told["wait"],
        weight_total_setup_time=told["change"],
    )
    return model


def main() -> int:
    told = json.load(sys.stdin)
    began, cpu_began = time.monotonic(), time.process_time()
    model = model_of(told)
    result = model.solve(
        time_limit=told["seconds"],
        num_workers=told["workers"],
        display=False,
    )
    starts = [task.start for task in result.best.tasks[1:]]
    answer = {
        "starts": starts,
        "cost": result.objective if starts else None,
        "bound": result.lower_bound,
        "status": str(result.status.value).lower(),
        "wall_seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu_began,
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
