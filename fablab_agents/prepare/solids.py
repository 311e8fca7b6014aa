"""The child's work for a printed part: rebuild its geometry, and judge the sliced program.

It runs in a bounded child; the file it reads is a stranger's, the file it writes is ours.
"""

from pathlib import Path

from designs import bounded, turning
from designs.geometry.mesh import mesh_facts, read_mesh, write_stl
from fablab_agents.prepare import judged, lastlook
from fablab_agents.prepare.order import Printing, Solid, refuse_if_any
from firmware_bridge.profiles import MachineProfile


def rebuild(
    file: str,
    file_format: str,
    stl: str,
    middle_mm: tuple[float, float],
    turn: turning.Degrees = (0.0, 0.0, 0.0),
) -> bounded.Json:
    """Child's work: the part, turned, on the bed as our own STL; raises `DesignRefused`."""
    mesh = read_mesh(file, file_format).turned(turn)
    low, high = mesh.bounds_mm
    x, y, _ = map(float, (low + high) / 2)
    move = (middle_mm[0] - x, middle_mm[1] - y, -float(low[2]))
    write_stl(mesh.moved(*move), stl)
    solid = Solid(size_mm=mesh_facts(mesh).size_mm, moved_mm=move, findings=mesh.notes)
    return solid.model_dump(mode="json")


def judge(program: str, stl: str, profile: str, material: str, asked: bounded.Json) -> bounded.Json:
    """Child's work: last look, then guard; raises `DesignRefused`. `profile` is its JSON."""
    want = Printing.model_validate(asked)
    text = Path(program).read_text(encoding="ascii")
    seen, looked = lastlook.look(text, read_mesh(stl, "stl").triangles, want)
    refuse_if_any(seen)
    machine = MachineProfile.model_validate_json(profile)
    verdict = judged.by_guard(Path(program), machine, None, material)
    facts = {**verdict.facts, "layers": looked.layers, "deposited_mm3": looked.deposited_mm3}
    facts |= {"support_mm3": looked.support_mm3}
    told = {"findings": (*seen, *verdict.findings), "lost_mm": looked.lost_mm, "facts": facts}
    return verdict.model_copy(update=told).model_dump(mode="json")
