"""What a mill or a laser will have trouble with in a drawing, each with its place to be shown.

Rules of thumb of ordinary machines; nothing here refuses a part.
"""

from collections.abc import Iterator

import numpy as np
import shapely

from designs.geometry.marked import Mark
from designs.geometry.measures import LETTER_MM, SHOWS_MM, Sheet
from designs.geometry.mesh import Points
from designs.geometry.remark import Remark, note, warning
from designs.geometry.webs import Widths
from designs.geometry.where import near_each_other
from designs.processes import LASER, MILL

CUTTER_MM = 3.175  # the usual small router bit
KERF_MM = 0.2  # what a laser burns away
LEAST_HOLE_MM = {MILL: CUTTER_MM, LASER: 0.5}
THINNEST_MM = {LASER: 1.0, MILL: 2.0}  # what survives between two cuts
ROOM_MM = {MILL: (300.0, 180.0), LASER: (400.0, 400.0)}  # of cnc-3018 and laser-400
_ROUND = 0.7  # 1 for a circle, 0.79 for a square
_LETTERS = 12  # so many small outlines look like lettering


def cut_remarks(seen: Sheet, process: str) -> Iterator[Remark]:
    yield from _webs(seen, process)
    yield from _slots(seen, process)
    if process == MILL:
        yield from _corners(seen)
    yield from _letters(seen)
    yield from _room(seen, process)


def _webs(seen: Sheet, process: str) -> Iterator[Remark]:
    least = THINNEST_MM.get(process, 1.0)
    thin = seen.webs.under(least)
    if float(thin.along_mm.sum()) > SHOWS_MM:
        yield warning(
            _where(seen, thin),
            f"it is thinner than {least:g} mm there (from {_least(thin)} mm on) and may break",
            "Make it wider there",
            _spots(thin),
        )


def _slots(seen: Sheet, process: str) -> Iterator[Remark]:
    """Slots and gaps, other than holes that are too small as a whole."""
    tool = CUTTER_MM if process == MILL else KERF_MM
    small = seen.outline.is_hole & (seen.outline.size_mm.min(axis=1) < tool)
    narrow = seen.slots.under(tool)
    narrow = narrow.only(~small[narrow.ring])
    if float(narrow.along_mm.sum()) > SHOWS_MM:
        what = f"a {tool} mm cutter does" if process == MILL else f"the {tool} mm of the beam do"
        yield warning(
            _where(seen, narrow),
            f"only {_least(narrow)} mm lie between two cuts there, and {what} not fit in",
            f"Leave at least {tool} mm",
            _spots(narrow),
        )


def small_holes(seen: Sheet, process: str) -> Mark:
    """The holes that are too small for the process, to show what the facts tell of the smallest."""
    least = LEAST_HOLE_MM.get(process, 0.0)
    small = np.flatnonzero(seen.outline.is_hole & (seen.outline.size_mm.min(axis=1) < least))
    lines = np.isin(seen.outline.ring, small)
    return Mark(lines=np.stack([seen.outline.start, seen.outline.end], axis=1)[lines])


def _corners(seen: Sheet) -> Iterator[Remark]:
    left = sum(_unreachable_mm2(region) for region in seen.drawing.regions)
    if left > 0.5:
        yield note(
            "inside corners",
            f"a {CUTTER_MM} mm cutter leaves {left:.1f} mm² standing there",
            "Add dog-bones if something square must fit in",
            Mark(spots=seen.corners.sharp, ring=seen.corners.sharp[:1]),
        )


def _room(seen: Sheet, process: str) -> Iterator[Remark]:
    """Each piece may be turned by a right angle and laid where there is room."""
    room = ROOM_MM.get(process)
    if room is None:
        return
    for region in seen.drawing.regions:
        left, low, right, high = region.bounds
        sides = sorted((right - left, high - low), reverse=True)
        if any(side > most for side, most in zip(sides, sorted(room, reverse=True), strict=True)):
            frame = seen.drawing.frame
            [(x, y)] = frame.counted(np.asarray(region.representative_point().coords))
            yield warning(
                f"the piece at x {x:.0f}, y {y:.0f} mm{frame.said}",
                f"{sides[0]:.0f} × {sides[1]:.0f} mm are more than the {room[0]:g} × {room[1]:g} "
                "mm of the machines we know",
                "Ask for a workshop with a larger machine, or divide it",
                Mark(lines=_outline_of(region)),
            )
            return


def _outline_of(region: shapely.Polygon) -> Points:
    corners = np.asarray(region.exterior.coords)
    return np.stack([corners[:-1], corners[1:]], axis=1)


def _letters(seen: Sheet) -> Iterator[Remark]:
    """Many small outlines of many sizes that are neither round nor square, as screw holes are."""
    drawn = seen.outline
    cross = drawn.start[:, 0] * drawn.end[:, 1] - drawn.start[:, 1] * drawn.end[:, 0]
    area = np.abs(np.bincount(drawn.ring, weights=cross)) / 2
    around = np.bincount(drawn.ring, weights=np.hypot(*(drawn.end - drawn.start).T))
    round_enough = 4 * np.pi * area > _ROUND * around**2
    tiny = np.flatnonzero((drawn.size_mm.max(axis=1) < LETTER_MM) & ~round_enough)
    sizes = {(round(w, 1), round(h, 1)) for w, h in drawn.size_mm[tiny]}
    if len(tiny) >= _LETTERS and len(sizes) >= _LETTERS // 2:
        lines = np.isin(drawn.ring, tiny)
        yield note(
            f"{len(tiny)} outlines smaller than {LETTER_MM:g} mm",
            "they look like lettering and will be cut through like everything else",
            "Leave them out, or tell the workshop to engrave them",
            Mark(lines=np.stack([drawn.start, drawn.end], axis=1)[lines]),
        )


def _unreachable_mm2(region: shapely.Polygon) -> float:
    radius = CUTTER_MM / 2
    swept = region.buffer(radius, quad_segs=16).buffer(-radius, quad_segs=16)
    return max(0.0, swept.area - region.area)


def _where(seen: Sheet, found: Widths) -> str:
    frame = seen.drawing.frame
    groups = near_each_other(frame.counted(found.middle), 2.0)
    many = f"{len(groups)} place{'s' * (len(groups) > 1)}"
    return f"{many}, the longest at {groups[0]}{frame.said}"


def _least(found: Widths) -> str:
    return f"{found.narrowest_mm(SHOWS_MM):.2f}"


def _spots(found: Widths) -> Mark:
    groups = near_each_other(found.middle, 2.0)
    return Mark(spots=found.middle, ring=found.middle[groups[0].members])
