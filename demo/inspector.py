"""The demo's inspector: holds what a simulated machine received against the design.

It reads the bytes that the machine recorded, never what an agent or the orchestrator believes, and
signs as simulated: this is program conformance, not a measurement of a real part.
"""

import hashlib
import json
import subprocess
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from demo.children import python
from demo.world import Machine, World
from designs.geometry.mesh import read_mesh, write_stl
from designs.turning import Degrees

_VERDICTS = {0: "conforms", 1: "deviates"}
KIND = "simulated program conformance"


class Inspector(threading.Thread):
    """Inspects every make that nobody has inspected, one after the other."""

    def __init__(self, world: World) -> None:
        super().__init__(name="simulated inspector", daemon=True)
        self._world = world
        self._home = threading.Event()
        self._drawer = world.folder / "inspector"
        self._drawer.mkdir(exist_ok=True)
        self._known: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        while not self._home.wait(0.3):
            try:
                self._inspect_waiting()
            except (httpx.HTTPError, OSError):
                continue  # the orchestrator is away; what waits will wait

    def go_home(self) -> None:
        self._home.set()
        self.join(30)

    def _inspect_waiting(self) -> None:
        with self._world.api() as api:
            for make in api.get("/api/makes").raise_for_status().json():
                if self._home.is_set():
                    return
                reading = self.read(api, make)
                if reading is not None:
                    door = f"/api/makes/{make['id']}/inspection"
                    api.post(door, json=reading).raise_for_status()

    def read(self, api: httpx.Client, make: dict[str, Any]) -> dict[str, Any] | None:
        """The inspection of one make; None while the machine's own record is not closed."""
        lab = next(lab for lab in self._world.labs if lab.agent_id == make["agent"])
        machine = lab.machine(make["machine"])
        start = started(machine, datetime.fromisoformat(make["made_at"]))
        inspector = f"simulated inspector of {lab.spec.name}"
        if start is None:
            note = "the machine has no record of a start"
            return {
                "verdict": "unmeasurable", "kind": KIND, "inspector": inspector, "note": note
            }  # fmt: skip
        if start not in {end["start"] for end in machine.ends()}:
            return None
        program = machine.record / f"job-{start}.gcode"
        part = self._part(api, make)
        design = self._design(api, make, part)
        readings = self._measured(machine.spec.simulator, design, part["thickness_mm"], program)
        return {"kind": KIND, "inspector": inspector, **readings}

    def _measured(
        self, machine: str, design: Path, thickness_mm: float | None, program: Path
    ) -> dict[str, Any]:
        """The same bytes for the same design make the same part: measured once."""
        bytes_sha256 = hashlib.sha256(program.read_bytes()).hexdigest()
        key = f"{machine} {design.name} {thickness_mm} {bytes_sha256}"
        if key not in self._known:
            command = python("hardware_sim", "measure", "--machine", machine, "--json")
            command += ["--thickness", f"{thickness_mm:g}"] if thickness_mm else []
            done = subprocess.run(
                [*command, "--design", str(design), str(program)],
                capture_output=True, check=False, text=True, timeout=600,
            )  # fmt: skip
            self._known[key] = self._reading(done)
        return self._known[key]

    def _reading(self, done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
        try:
            seen = json.loads(done.stdout)
        except json.JSONDecodeError:
            return {"verdict": "unmeasurable", "note": done.stderr[-300:] or "no answer"}
        deviations = seen["deviations"] or {}
        return {
            "verdict": _VERDICTS.get(done.returncode, "unmeasurable"),
            "outline_mm": deviations.get("outline_mm"),
            "volume_pct": deviations.get("volume_pct"),
            "missing": [str(x) for x in deviations.get("missing") or []],
            "extra": [str(x) for x in deviations.get("extra") or []],
            "machine_s": seen.get("machine_s"),
            "note": str(seen.get("why") or "")[:500],
        }

    def _part(self, api: httpx.Client, make: dict[str, Any]) -> dict[str, Any]:
        release = api.get(f"/api/releases/{make['release']}").raise_for_status().json()["release"]
        return next(part for part in release["parts"] if part["name"] == make["part"])

    def _design(self, api: httpx.Client, make: dict[str, Any], part: dict[str, Any]) -> Path:
        """The file that it was made from, the part's own or that for its class of machine, in the
        pose that its recipe has it printed in.
        """
        made_from = (part, *part["alternatives"])
        kind = next(each["format"] for each in made_from if each["file_sha256"] == make["file"])
        turn = (part["recipe"] or {}).get("orientation_deg")
        path = self._drawer / f"{make['file'][:16]}.{kind}"
        if not path.exists():
            address = f"/releases/{make['release']}/files/{make['file']}"
            answer = api.get(address).raise_for_status()
            path.write_bytes(answer.content)
        return _laid(path, kind, turn) if turn else path


def _laid(path: Path, kind: str, turn: Degrees) -> Path:
    laid = path.with_name(f"{path.stem}-{'-'.join(f'{angle:g}' for angle in turn)}.stl")
    write_stl(read_mesh(path, kind).turned(turn), laid)
    return laid


def started(machine: Machine, made_at: datetime) -> object | None:
    """The number of the machine's last start before `made_at`.

    A machine starts nothing new before the finish of the last was told, so that start is the one.
    """
    before = [
        start for start in machine.starts() if datetime.fromisoformat(str(start["at"])) <= made_at
    ]
    return before[-1]["start"] if before else None
