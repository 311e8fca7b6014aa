"""From an order placed to the first byte at an idle printer with its bed marked clear"""

import argparse
import statistics
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from demo.city import LABS, MAKERS, LabSpec
from demo.people import look
from demo.story import order, publish
from demo.world import Lab, Machine, World, free_port

OPEN = {"licence": "CC0-1.0", "licensor": "bench", "process": "3d_printing_fdm"}
HEADERS = {"X-Cosmolocal": "console"}


def box(x: float, y: float, z: float) -> str:
    """An ASCII STL of a box, sizes in mm."""
    corners = [(a, b, c) for a in (0, x) for b in (0, y) for c in (0, z)]
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    lines = ["solid box"]
    for a, b, c, d in quads:
        for face in ((a, b, c), (a, c, d)):
            lines += ["facet normal 0 0 0", "outer loop"]
            lines += ["vertex {} {} {}".format(*corners[corner]) for corner in face]
            lines += ["endloop", "endfacet"]
    return "\n".join([*lines, "endsolid box", ""])


def bare_slicer_s(stl: Path) -> float:
    """Wall seconds of PrusaSlicer alone on the same file: the bound."""
    begun = time.perf_counter()
    subprocess.run(
        ["prusa-slicer", "--export-gcode", "--layer-height", "0.2", "-o", f"{stl}.gcode", str(stl)],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - begun


def clear_bed(lab: Lab, machine: Machine) -> None:
    """Wait until the printer is idle, clear its bed and say so."""
    with httpx.Client(headers=HEADERS, timeout=10) as console:
        while True:
            card = next(
                c
                for c in console.get(f"{lab.console}/api/machines").json()
                if c["machine"] == machine.spec.id
            )
            if card["condition"] == "idle" and card["attempt"] is None:
                break
            if card["waits_for"] == "unknown decision":
                raise SystemExit(f"the printer is in doubt: {look(machine)}")
            time.sleep(0.05)
        machine.tell("clear-bed")
        door = f"{lab.console}/api/machines/{machine.spec.id}/bed-clear"
        console.post(door, json={"person": "bench"}).raise_for_status()


def one(api: httpx.Client, lab: Lab, stl: Path) -> dict[str, float]:
    """Seconds of one order: all, slicing (accepted → staged), and PrusaSlicer alone."""
    machine = lab.machines[0]
    release = publish(api, [stl], OPEN)
    bare = bare_slicer_s(stl)
    clear_bed(lab, machine)
    before = len(machine.starts())
    placed = order(api, release, MAKERS[0])
    job = api.get(f"/api/orders/{placed.id}").json()
    while len(machine.starts()) == before:
        time.sleep(0.005)
    started = datetime.fromisoformat(str(machine.starts()[before]["at"]))
    attempt = api.get(f"/api/jobs/{job['jobs'][0]['id']}/attempts").json()[0]
    prepared = prepare_s(api, attempt["id"])
    total = (started - datetime.fromisoformat(job["placed_at"])).total_seconds()
    return {"all": total, "slicing": prepared, "rest": total - prepared, "bare slicer": bare}


def prepare_s(api: httpx.Client, attempt_id: str) -> float:
    reports: list[dict[str, Any]] = api.get(f"/api/attempts/{attempt_id}/reports").json()
    at = {report["state"]: datetime.fromisoformat(report["at"]) for report in reports}
    return (at["staged"] - at["accepted"]).total_seconds()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def resident_mb(pid: int) -> float:
    """Proportional share is not asked for: resident megabytes as the system counts them."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measured(
    folder: Path, spec: LabSpec, orders: int
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """The seconds of each order, and the resident megabytes of both programs after the last."""
    with World(folder / "world", free_port(), free_port(), speed=0) as world:
        world.start_orchestrator(60)
        lab = world.add_lab(spec)
        runs: list[dict[str, float]] = []
        with world.api() as api:
            for number in range(orders):
                stl = folder / f"box-{number}.stl"
                stl.write_text(box(8 + number * 0.05, 8, 2))
                runs.append(one(api, lab, stl))
                if number % 10 == 9:
                    print(f"  {number + 1} of {orders}", flush=True)
        pids = {"orchestrator": world.orchestrator.process, "agent": lab.agent.process}
        return runs, {name: resident_mb(child.pid) for name, child in pids.items() if child}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100)
    args = parser.parse_args()
    spec = LABS[0]
    lab_of_one = LabSpec(spec.slug, spec.name, spec.address, spec.lat, spec.lon, spec.machines[:1])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        runs, memory = measured(Path(folder), lab_of_one, args.orders)
    show(runs, memory)
    return 0


def show(runs: list[dict[str, float]], memory: dict[str, float]) -> None:
    bare = statistics.median(run["bare slicer"] for run in runs)
    print(f"{'seconds':<14}{'p50':>8}{'p99':>8}{'p50 / bare slicer':>20}")
    for name in runs[0]:
        values = [run[name] for run in runs]
        p50 = percentile(values, 0.5)
        print(f"{name:<14}{p50:>8.2f}{percentile(values, 0.99):>8.2f}{p50 / bare:>20.1f}")
    for name, megabytes in memory.items():
        print(f"resident memory of the {name} after {len(runs)} orders: {megabytes:.0f} MB")


if __name__ == "__main__":
    raise SystemExit(main())
