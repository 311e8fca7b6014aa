"""Milled and laser-cut parts, seen from the agent: what to cut them with, and the bounded child.

It holds no geometry; `sheets` does the work in the child.
"""

from pathlib import Path

from designs import bounded
from fablab_agents.prepare import manner
from fablab_agents.prepare.order import Made, Order, PrepareRefused, Sheet, refusal

TOOL_MM = 3.175
KERF_MM = 0.15


def tool(order: Order) -> str:
    """What besides the order decides the program: nothing but the width that is taken away."""
    return f"{_width_mm(order):g} mm"


def make(order: Order, program: Path) -> Made:
    """The program for this order, written to `program`; raises `DesignRefused`."""
    notes = manner.of_sheet(order)
    asked = sheet(order, program).model_dump_json()
    answer = bounded.run("fablab_agents.prepare.sheets:make", asked, limits=bounded.MAKING)
    made = Made.model_validate(answer)
    return made.model_copy(update={"findings": (*notes, *made.findings)})


def sheet(order: Order, program: Path) -> Sheet:
    """What the child is asked for; raises `PrepareRefused` without a thickness."""
    if order.thickness_mm is None or order.thickness_mm <= 0:
        what = "a sheet part needs the thickness of its sheet"
        raise PrepareRefused([refusal("thickness", what, "state the thickness in mm")])
    return Sheet(
        file=order.file_path,
        format=order.format,
        program=program,
        title=_title(order, order.thickness_mm),
        material=order.material,
        thickness_mm=order.thickness_mm,
        tool_mm=_width_mm(order),
        profile=order.profile,
    )


def _width_mm(order: Order) -> float:
    if order.profile.kind == "laser":
        return KERF_MM if order.kerf_mm is None else order.kerf_mm
    return TOOL_MM if order.tool_mm is None else order.tool_mm


def _title(order: Order, thickness_mm: float) -> str:
    width = "beam" if order.profile.kind == "laser" else "cutter"
    stock = f"{order.material}, {thickness_mm:g} mm"
    return f"cosmolocal {order.part_name}\n{stock}, {width} {_width_mm(order):g} mm"
