"""Makes a design's part into a program for one machine, and lets it out only after two judges.

`prepare` is the door. It never drives a machine and never hands out a program that the guard or
the last look refused; reading, slicing and cutting happen in bounded children.
"""

from pathlib import Path

from designs.errors import DesignRefused, Finding
from designs.processes import FDM, LASER, MILL, find_process
from fablab_agents.prepare import cache, cutting, printing
from fablab_agents.prepare.order import (
    Made,
    Order,
    Prepared,
    PrepareRefused,
    SlicerMissing,
    refusal,
    refuse_if_any,
)

__all__ = ["Order", "PrepareRefused", "Prepared", "SlicerMissing", "prepare"]

KIND = {FDM: "fdm", MILL: "mill", LASER: "laser"}


def prepare(order: Order, out_dir: Path) -> Prepared:
    """The program for this order, with its placement, in `out_dir`; blocks for up to minutes.

    The same order gives the same bytes. Raises `PrepareRefused` or `SlicerMissing`; nothing is
    left in `out_dir` then.
    """
    refuse_if_any(_unfit(order))
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        return _prepared(out_dir, _made(order, out_dir))
    except DesignRefused as refused:
        for name in (cache.PROGRAM, cache.PLACEMENT):
            (out_dir / name).unlink(missing_ok=True)
        raise PrepareRefused(refused.findings) from refused


def _unfit(order: Order) -> list[Finding]:
    process = find_process(order.process)
    if process is None or process.id not in KIND:
        return [
            refusal("process", f"{order.process!r} is unknown", f"use one of {', '.join(KIND)}")
        ]
    if KIND[process.id] != order.profile.kind:
        what = f"{process.title} is not what {order.profile.title} does"
        return [refusal(order.machine, what, "send it to a machine for that process")]
    if order.quantity != 1:
        what = f"{order.quantity} copies in one program are not made yet"
        return [refusal("quantity", what, "order one program for each piece")]
    return []


def _made(order: Order, out_dir: Path) -> Made:
    maker = printing if order.profile.kind == "fdm" else cutting
    tool = maker.tool(order)
    kept = order.cache / cache.key(order, tool) if order.cache else None
    found = cache.find(kept, out_dir) if kept else None
    if found is not None:
        return found
    made = maker.make(order, out_dir / cache.PROGRAM)
    (out_dir / cache.PLACEMENT).write_text(made.placements_json(), encoding="utf-8")
    if kept:
        cache.keep(kept, out_dir, made)
    return made


def _prepared(out_dir: Path, made: Made) -> Prepared:
    return Prepared(
        program=out_dir / cache.PROGRAM,
        sha256=made.sha256,
        lines=made.lines,
        seconds=made.seconds,
        grams=made.grams,
        placement=out_dir / cache.PLACEMENT,
        findings=made.findings,
        facts=made.facts,
    )
