"""A flat part as closed regions in millimetres: read strictly from DXF, SVG or STEP, and measured.

It never follows a link, runs a script or keeps text; line colours and fills mean nothing to it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from shapely import LinearRing, Polygon

from designs import kinds
from designs.design import DrawingFacts
from designs.errors import Finding, Refused, Severity
from designs.geometry.contours import Frame, regions
from designs.geometry.mesh import read_mesh, refuse_misnamed

MAX_FILE_BYTES = 32 * 2**20
LARGEST_MM, SMALLEST_MM = 5e4, 0.5
_ENGRAVED = re.compile(
    r"(?<![a-z])(?:engrav|grav|etch|scor|raster|mark|fold|bend|crease)", re.IGNORECASE
)

Unit = Literal["mm", "cm", "m", "in", "ft", "px"]
UNIT_MM: dict[Unit, float] = {
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "in": 25.4,
    "ft": 304.8,
    "px": 25.4 / 96,
}


_FROM_CORNER = Frame()


@dataclass(frozen=True, eq=False)
class Drawing:
    """`regions`: polygons with holes, in mm, y upwards, lower left corner of all at (0, 0).

    `thickness_mm` is only known where the file is a plate's solid. `frame` is how the file counts.
    """

    regions: tuple[Polygon, ...]
    notes: tuple[Finding, ...] = ()
    thickness_mm: float | None = None
    frame: Frame = _FROM_CORNER

    @property
    def size_mm(self) -> tuple[float, float]:
        bounds = shapely.total_bounds(self.regions)
        return float(bounds[2]), float(bounds[3])


def read_drawing(
    path: str | Path,
    format: str,  # noqa: A002 - the word of the records
    units: Unit | None = None,
) -> Drawing:
    """The regions of a DXF or SVG file, or of a STEP file that holds a flat plate.

    Raises `Refused`. `units` says what one unit of a drawing is; without it the evidence decides,
    and says so.
    """
    from designs.geometry import dxf, svg

    path = Path(path)
    declared = kinds.called(f".{format.lower().lstrip('.')}")
    if declared == "step":
        return _of_plate(path)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise Refused(
            f"it is larger than {MAX_FILE_BYTES // 2**20} MiB",
            "the file",
            "Export a simpler drawing",
        )
    readers = {"dxf": dxf.read, "svg": svg.read}
    if declared not in readers:
        raise Refused(f"{declared[:20]!r} is no drawing we read", "the file", "Export DXF or SVG")
    refuse_misnamed(path, declared)
    lines, read_notes = readers[declared](path, units)
    if not lines:
        where = ", ".join(["the drawing", *(note.where for note in read_notes)])
        todo = [note.do for note in read_notes if note.severity is Severity.WARNING]
        raise Refused("it holds no lines", where, (todo or ["Export the outlines of the part"])[0])
    _refuse_absurd_size(np.ptp(np.vstack(lines), axis=0))
    try:
        joined = regions(lines, Frame(y_down=declared == "svg"))
    except shapely.errors.GEOSException as broken:
        what = f"its outlines cannot be told apart ({str(broken)[:80]})"
        raise Refused(what, "the drawing", "Export it again as plain closed outlines") from broken
    frame = Frame(joined.corner_mm, y_down=declared == "svg")
    return Drawing(joined.regions, (*read_notes, *joined.notes), frame=frame)


def told_apart(drawn: Counter[str], what: str) -> Iterator[Finding]:
    """Lines that a drawing tells apart by layers or colours are cut through all alike: `drawn`
    counts them by name. A name that speaks of engraving asks for a person.
    """
    if len(drawn) < 2:
        return
    engraved = any(_ENGRAVED.search(name) for name in drawn)
    names = ", ".join(name[:40] for name, _ in drawn.most_common(5))
    yield Finding(
        severity=Severity.WARNING if engraved else Severity.NOTE,
        where=f"{len(drawn)} {what}: {names}{', …' * (len(drawn) > 5)}",
        what=f"{what} mean nothing here: what is on any of them is cut through",
        do="Leave out what should only be engraved" if engraved else "Nothing to do, if so meant",
    )


def _of_plate(path: Path) -> Drawing:
    from designs.geometry.plate import plate_of

    mesh = read_mesh(path, "step")
    plate = plate_of(mesh)
    if plate is None:
        raise Refused(
            "it is no flat plate: a sheet cannot be cut into it",
            "the solid",
            "Export the outline as DXF, or print or mill it as a solid",
        )
    thick = Finding(
        severity=Severity.NOTE,
        where="the solid",
        what=f"it is a flat plate {plate.thickness_mm:g} mm thick; its outline is cut",
        do="Nothing to do",
    )
    return Drawing(plate.regions, (*mesh.notes, thick), plate.thickness_mm)


def drawing_facts(drawing: Drawing) -> DrawingFacts:
    holes = [Polygon(ring) for region in drawing.regions for ring in region.interiors]
    width, height = drawing.size_mm
    return DrawingFacts(
        size_mm=(round(width, 3), round(height, 3)),
        area_mm2=round(sum(r.area for r in drawing.regions), 3),
        cut_length_mm=round(sum(r.length for r in drawing.regions), 3),
        outlines=len(drawing.regions),
        holes=len(holes),
        smallest_hole_mm=round(_tightest_mm(holes), 2) if holes else None,
    )


def as_svg(regions: Sequence[Polygon]) -> str:
    """An SVG page of just their size in mm, one path for each region, ASCII."""
    left, low, right, high = shapely.total_bounds(list(regions))
    width, height = f"{right - left:.4f}", f"{high - low:.4f}"

    def way(ring: LinearRing) -> str:
        points = (f"{x - left:.4f},{high - y:.4f}" for x, y in ring.coords[:-1])
        return f"M {' L '.join(points)} Z"

    shapes = (" ".join(way(ring) for ring in (r.exterior, *r.interiors)) for r in regions)
    paths = "\n".join(f'<path d="{shape}"/>' for shape in shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" fill="none" fill-rule="evenodd" stroke="#000" '
        f'stroke-width="0.2">\n{paths}\n</svg>\n'
    )


def _tightest_mm(holes: list[Polygon]) -> float:
    """Diameter of the largest circle in the tightest hole.

    An inscribed circle is at least 2 x area / perimeter wide, so most holes need no search.
    """
    tightest = np.inf
    for hole in sorted(holes, key=lambda h: h.area / h.length):
        if 2 * hole.area / hole.length >= tightest:
            break
        radius = shapely.maximum_inscribed_circle(hole, tolerance=0.001).length
        tightest = min(tightest, 2 * radius)
    return float(tightest)


def _refuse_absurd_size(size: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    largest = float(size.max())
    if not SMALLEST_MM <= largest <= LARGEST_MM:
        raise Refused(
            f"the drawing is {largest:.3g} mm large",
            "its outermost lines",
            "Export it in millimetres",
        )
