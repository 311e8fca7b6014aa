"""Reads the lines of a DXF model space, blocks expanded, as points in millimetres.

It counts before it expands, refuses solids and drawing sheets, and never believes the unit in the
header against the size of the part.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
from ezdxf import recover
from ezdxf.document import Drawing as Document
from ezdxf.entities.arc import Arc
from ezdxf.entities.circle import Circle
from ezdxf.entities.dxfgfx import DXFGraphic
from ezdxf.entities.ellipse import Ellipse
from ezdxf.entities.insert import Insert
from ezdxf.entities.line import Line as DxfLine
from ezdxf.entities.lwpolyline import LWPolyline
from ezdxf.entities.polyline import Polyline
from ezdxf.entities.spline import Spline
from ezdxf.lldxf.const import DXFError
from ezdxf.math import Vec2, Vec3

from designs.errors import Finding, LimitExceeded, Refused, Severity
from designs.geometry.contours import Line
from designs.geometry.drawing import UNIT_MM, Unit

FLAT_MM = 0.005  # a curve strays at most this far from its chords
MAX_ENTITIES = 200_000  # blocks expanded
MAX_RECORDS = 60_000  # entities, vertices and tables as written
MAX_POINTS = 500_000
_MOST_OF_ONE = 10_000  # points that define one spline
_RECORD = re.compile(rb"^[ \t]*0[ \t]*\r?$", re.MULTILINE)
_REACH = 1e6  # drawing units; checked before anything is flattened
_PLAUSIBLE_MM = (3.0, 3000.0)  # largest side of a part one cuts from a sheet
_MAX_DEPTH = 16
_HEADER_UNIT: dict[int, Unit] = {1: "in", 2: "ft", 4: "mm", 5: "cm", 6: "m"}
_WORDS = {"TEXT", "MTEXT", "ATTRIB", "ATTDEF"}
_SHEET = {"DIMENSION", "LEADER", "MULTILEADER", "ACAD_TABLE", "TOLERANCE", "VIEWPORT"}
_SILENT = {"POINT", "HATCH", "IMAGE", "WIPEOUT", "XLINE", "RAY", "SEQEND"}
_SIZES = {"start", "end", "center", "radius", "major_axis", "ratio", "extrusion", "elevation"}
_ANGLES = {"start_angle", "end_angle", "start_param", "end_param"}
_AGAIN = "Export the DXF again, as plain lines, arcs and polylines"

logging.getLogger("ezdxf").setLevel(logging.CRITICAL)


def read(path: Path, units: Unit | None) -> tuple[list[Line], tuple[Finding, ...]]:
    """(lines in mm, notes); raises `Refused`."""
    try:
        return _read(path, units)
    except (Refused, MemoryError):
        raise
    except Exception as broken:
        what = f"it cannot be understood ({type(broken).__name__}: {str(broken)[:60]})"
        raise Refused(what, "the drawing", _AGAIN) from broken


def _read(path: Path, units: Unit | None) -> tuple[list[Line], tuple[Finding, ...]]:
    document = _opened(path)
    drawn = [e for e in document.modelspace() if _shown(e, document)]
    _refuse_too_many(drawn, document)
    entities = [e for entity in drawn for e in _expanded(entity, document, 0)]
    curves = [e for e in entities if e.dxftype() in _POINTS_OF]
    for entity in curves:
        _refuse_wild_numbers(entity)
    scale, notes = _scale(document, curves, units)
    lines = _flattened(curves, scale)
    return lines, (*notes, *_left_out([e for e in entities if e.dxftype() not in _POINTS_OF]))


def _opened(path: Path) -> Document:
    with path.open("rb") as file:
        head = file.read(22)
        file.seek(max(0, path.stat().st_size - 64))
        tail = file.read()
    if head == b"AutoCAD Binary DXF\r\n\x1a\x00":
        raise Refused("it is a binary DXF", "the first bytes", "Export it as a text DXF")
    if b"EOF" not in tail.split():
        raise Refused("it has no end mark: cut off, or no DXF", "the last line", _AGAIN)
    if len(_RECORD.findall(path.read_bytes())) > MAX_RECORDS:
        raise LimitExceeded("it has too many entities", "the file", "Export a simpler drawing")
    try:
        document, audit = recover.readfile(path)
    except (DXFError, OSError, ValueError, TypeError, KeyError, AttributeError) as broken:
        raise Refused(
            f"it cannot be read as DXF ({str(broken)[:80]})", "the file", _AGAIN
        ) from None
    if audit.has_errors:
        worst = audit.errors[0].message[:120]
        raise Refused(f"it is damaged ({worst})", "the file", _AGAIN)
    return document


def _shown(entity: DXFGraphic, document: Document) -> bool:
    layer = document.layers.get(entity.dxf.layer) if entity.dxf.layer in document.layers else None
    hidden = layer is not None and (layer.is_off() or layer.is_frozen())
    return not hidden and not entity.dxf.get("invisible", 0) and entity.dxf.layer != "Defpoints"


def _refuse_too_many(drawn: list[DXFGraphic], document: Document) -> None:
    known: dict[str, int] = {}
    total = sum(_count(e, document, known, ()) for e in drawn)
    if total > MAX_ENTITIES:
        raise LimitExceeded(
            f"its blocks expand to {total:,} entities", "its INSERTs", "Export a simpler drawing"
        )


def _count(
    entity: DXFGraphic, document: Document, known: dict[str, int], inside: tuple[str, ...]
) -> int:
    if not isinstance(entity, Insert):
        return 1
    name = entity.dxf.name.casefold()
    if name in inside or len(inside) > _MAX_DEPTH:
        raise Refused("a block contains itself, or blocks nest too deep", f"block {name}", _AGAIN)
    if name not in known:
        members = document.blocks.get(name) if name in document.blocks else ()
        known[name] = sum(_count(e, document, known, (*inside, name)) for e in members)
    return max(1, entity.mcount) * known[name]


def _expanded(entity: DXFGraphic, document: Document, depth: int) -> Iterator[DXFGraphic]:
    if not isinstance(entity, Insert):
        yield entity
        return
    singles = entity.multi_insert() if entity.mcount > 1 else [entity]
    for single in singles:
        for member in single.virtual_entities():
            if _shown(member, document):
                yield from _expanded(member, document, depth + 1)


def _refuse_wild_numbers(entity: DXFGraphic) -> None:
    """Sizes are judged before flattening: a radius of 1e300 would never end."""
    for name in (_SIZES | _ANGLES) & entity.dxfattribs().keys():
        numbers = np.ravel(np.array(entity.dxf.get(name), dtype=np.float64))
        if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > _REACH:
            _refuse_number(entity, name)
    if isinstance(entity, LWPolyline):
        points = np.array(entity.get_points("xyb"))
    elif isinstance(entity, Polyline):
        points = np.array([(*v.dxf.location, v.dxf.get("bulge", 0)) for v in entity.vertices])
    elif isinstance(entity, Spline):
        if max(len(entity.control_points), len(entity.fit_points)) > _MOST_OF_ONE:
            what = f"a spline of more than {_MOST_OF_ONE:,} points"
            raise LimitExceeded(what, f"layer {entity.dxf.layer[:40]}", "Draw it simpler")
        points = np.array([*entity.control_points, *entity.fit_points])
    else:
        return
    if not np.isfinite(points).all() or np.abs(points).max(initial=0) > _REACH:
        _refuse_number(entity, "points")


def _refuse_number(entity: DXFGraphic, name: str) -> None:
    raise Refused(
        f"its {name} is no sensible number",
        f"{entity.dxftype()} on layer {entity.dxf.layer[:40]}",
        "Remove or redraw it",
    )


def _scale(
    document: Document, curves: list[DXFGraphic], units: Unit | None
) -> tuple[float, list[Finding]]:
    """Millimetres per drawing unit, and a note where the header was not followed."""
    header = _HEADER_UNIT.get(int(document.header.get("$INSUNITS", 0)))
    if units is not None or header in {None, "mm"}:
        return UNIT_MM[units or "mm"], []
    assert header is not None
    side = max((float(np.ptp(line, axis=0).max()) for line in _flattened(curves, 1.0)), default=0)
    if not _plausible(side) and _plausible(side * UNIT_MM[header]):
        return UNIT_MM[header], []
    return 1.0, [
        Finding(
            severity=Severity.WARNING,
            where="the unit in the header",
            what=f"it says {header}, but the part was read as millimetres: {side:.1f} mm large",
            do=f"If it is really drawn in {header}, export it in millimetres",
        )
    ]


def _plausible(side_mm: float) -> bool:
    return _PLAUSIBLE_MM[0] <= side_mm <= _PLAUSIBLE_MM[1]


def _flattened(curves: list[DXFGraphic], scale: float) -> list[Line]:
    lines: list[Line] = []
    left = MAX_POINTS
    for entity in curves:
        for points in _POINTS_OF[entity.dxftype()](entity, FLAT_MM / scale):
            left -= len(points)
            if left < 0:
                raise LimitExceeded("its curves need too many points", "the drawing", _AGAIN)
            lines.append(points * scale)
    return lines


def _flat(vertices: Iterable[Vec3 | Vec2]) -> Line:
    points = np.array([(v.x, v.y) for v in vertices])
    keep = np.ones(len(points), dtype=bool)
    keep[1:] = np.any(np.diff(points, axis=0), axis=1)
    return points[keep]


def _of_line(entity: DXFGraphic, _: float) -> Iterator[Line]:
    line = cast(DxfLine, entity)
    yield _flat([line.dxf.start, line.dxf.end])


def _of_arc(entity: DXFGraphic, sagitta: float) -> Iterator[Line]:
    arc = cast(Arc | Circle, entity)
    if arc.dxf.radius > 0:
        yield _flat(arc.flattening(min(sagitta, arc.dxf.radius / 10)))


def _of_curve(entity: DXFGraphic, distance: float) -> Iterator[Line]:
    yield _flat(cast(Ellipse | Spline, entity).flattening(distance))


def _of_polyline(entity: DXFGraphic, sagitta: float) -> Iterator[Line]:
    polyline = cast(LWPolyline | Polyline, entity)
    if isinstance(polyline, Polyline) and (polyline.is_polygon_mesh or polyline.is_poly_face_mesh):
        raise Refused("it holds a 3D mesh", f"layer {polyline.dxf.layer[:40]}", _AGAIN)
    pieces: list[Line] = []
    for piece in polyline.virtual_entities():
        pieces += _POINTS_OF[piece.dxftype()](piece, sagitta)
    if pieces:
        yield _strung(pieces)


def _strung(pieces: list[Line]) -> Line:
    """One line of consecutive pieces; arcs may come end first."""
    first, *rest = pieces
    if rest and _far(first[-1], rest[0]) > _far(first[0], rest[0]):
        first = first[::-1]
    strung = [first]
    for piece in rest:
        end = strung[-1][-1]
        ahead = np.hypot(*(piece[0] - end)) <= np.hypot(*(piece[-1] - end))
        strung.append(piece[1:] if ahead else piece[::-1][1:])
    return np.vstack(strung)


def _far(point: Line, piece: Line) -> float:
    return float(min(np.hypot(*(piece[0] - point)), np.hypot(*(piece[-1] - point))))


_POINTS_OF = {
    "LINE": _of_line,
    "ARC": _of_arc,
    "CIRCLE": _of_arc,
    "ELLIPSE": _of_curve,
    "SPLINE": _of_curve,
    "LWPOLYLINE": _of_polyline,
    "POLYLINE": _of_polyline,
}


def _left_out(others: list[DXFGraphic]) -> Iterator[Finding]:
    kinds = {e.dxftype() for e in others}
    solid = sorted(kinds - _WORDS - _SHEET - _SILENT)
    if solid:
        raise Refused(
            f"it holds {', '.join(solid)[:80]}, which has no outline we can cut",
            "the model space",
            "Export the outlines as lines, arcs and polylines",
        )
    if kinds & _SHEET:
        raise Refused(
            f"it holds {', '.join(sorted(kinds & _SHEET)).lower()}: a drawing sheet, no cut file",
            "the model space",
            "Export only the outlines of the part",
        )
    if kinds & _WORDS:
        yield Finding(
            severity=Severity.WARNING,
            where=f"{sum(e.dxftype() in _WORDS for e in others)} texts",
            what="text is not cut or engraved",
            do="Turn it into outlines if it should be",
        )
