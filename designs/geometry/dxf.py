"""Reads the lines of a DXF model space, blocks expanded, as points in millimetres.

It counts before it expands, refuses solids and drawing sheets, and never believes the unit in the
header against the size of the part.
"""

import logging
import re
from collections import Counter
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
from designs.geometry.drawing import UNIT_MM, Unit, told_apart
from designs.geometry.flaws import SHEET_MM

FLAT_MM = 0.005  # a curve strays at most this far from its chords
MAX_ENTITIES = 200_000  # blocks expanded
MAX_RECORDS = 60_000  # entities, vertices and tables as written
MAX_POINTS = 500_000
_MOST_OF_ONE = 10_000  # points that define one spline
_RECORD = re.compile(rb"^[ \t]*0[ \t]*\r?$", re.MULTILINE)
_REACH = 1e6  # drawing units; checked before anything is flattened
_MAX_DEPTH = 16
_HEADER_UNIT = {  # name, millimetres
    1: ("in", 25.4),
    2: ("ft", 304.8),
    5: ("cm", 10.0),
    6: ("m", 1000.0),
    8: ("microinches", 25.4e-6),
    9: ("mils", 25.4e-3),
    10: ("yards", 914.4),
    13: ("microns", 1e-3),
    14: ("dm", 100.0),
    21: ("US survey feet", 304.8006096),
}
_WORDS = {"TEXT", "MTEXT", "ATTRIB", "ATTDEF"}
_SHEET = {"DIMENSION", "LEADER", "MULTILEADER", "ACAD_TABLE", "TOLERANCE", "VIEWPORT"}
_PICTURES = {"IMAGE"}
_NO_OUTLINE = {"POINT", "HATCH", "WIPEOUT", "XLINE", "RAY"}
_FLAT = 1e-3  # drawing units that a curve may leave its plane
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
    lost = _Lost(document)
    drawn = list(lost.shown(document.modelspace()))
    _refuse_too_many(drawn, document)
    entities = [e for entity in drawn for e in _expanded(entity, lost)]
    curves = [e for e in entities if e.dxftype() in _POINTS_OF]
    for entity in curves:
        _refuse_wild_numbers(entity)
    scale, notes = _scale(document, curves, units)
    lines = _flattened(curves, scale)
    others = [e for e in entities if e.dxftype() not in _POINTS_OF]
    layers = told_apart(Counter(e.dxf.layer for e in curves), "layers")
    return lines, (*notes, *layers, *_leaning(curves), *_left_out(others), *lost.findings())


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


class _Lost:
    """What is not drawn, by layers and by blocks, of a document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._hidden: Counter[str] = Counter()
        self._outside: Counter[str] = Counter()

    def shown(self, entities: Iterable[DXFGraphic]) -> Iterator[DXFGraphic]:
        layers = self._document.layers
        for entity in entities:
            name = entity.dxf.layer
            layer = layers.get(name) if name in layers else None
            off = layer is not None and (layer.is_off() or layer.is_frozen())
            if name == "Defpoints":
                continue
            if off or entity.dxf.get("invisible", 0):
                self._hidden[name] += 1
            else:
                yield entity

    def looked_for(self, name: str) -> None:
        """A block is placed: whether it is in this file."""
        blocks = self._document.blocks
        head = blocks.get(name).block if name in blocks else None
        self._outside[name] += head is None or head.is_xref

    def findings(self) -> Iterator[Finding]:
        outside = [name[:40] for name, count in self._outside.items() if count]
        if outside:
            yield Finding(
                severity=Severity.WARNING,
                where=f"blocks {', '.join(outside[:5])}",
                what="they lie in other files, or nowhere: they are not cut",
                do="Bind them into the drawing (XREF, bind) and export it again",
            )
        if self._hidden:
            layers = ", ".join(name[:40] for name in list(self._hidden)[:5])
            yield _note(
                f"{self._hidden.total()} hidden entities, on layers {layers}", "they are not cut"
            )


def _note(where: str, what: str) -> Finding:
    return Finding(severity=Severity.NOTE, where=where, what=what, do="Nothing to do")


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


def _expanded(entity: DXFGraphic, lost: _Lost) -> Iterator[DXFGraphic]:
    if not isinstance(entity, Insert):
        yield entity
        return
    lost.looked_for(entity.dxf.name)
    singles = entity.multi_insert() if entity.mcount > 1 else [entity]
    for single in singles:
        for member in lost.shown(single.virtual_entities()):
            yield from _expanded(member, lost)


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
    if units is not None or header is None:
        return UNIT_MM[units or "mm"], []
    name, mm = header
    side = max((float(np.ptp(line, axis=0).max()) for line in _flattened(curves, 1.0)), default=0)
    if not _plausible(side) and _plausible(side * mm):
        return mm, []
    return 1.0, [
        Finding(
            severity=Severity.WARNING,
            where="the unit in the header",
            what=f"it says {name}, but the part was read as millimetres: {side:.1f} mm large",
            do=f"If it is really drawn in {name}, export it in millimetres",
        )
    ]


def _plausible(side_mm: float) -> bool:
    return SHEET_MM[0] <= side_mm <= SHEET_MM[1]


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
    solid = sorted(kinds - _WORDS - _SHEET - _PICTURES - _NO_OUTLINE - {"SEQEND"})
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
    pictures = sum(e.dxftype() in _PICTURES for e in others)
    if pictures:
        yield Finding(
            severity=Severity.WARNING,
            where=f"{pictures} pictures",
            what="they are not cut",
            do="Trace them if they should be cut",
        )
    bare = Counter(e.dxftype() for e in others if e.dxftype() in _NO_OUTLINE)
    if bare:
        where = ", ".join(f"{count} {kind.lower()}" for kind, count in bare.items())
        yield _note(where, "they have no outline of their own: they are not cut")


def _leaning(curves: list[DXFGraphic]) -> Iterator[Finding]:
    count = sum(map(_leans, curves))
    if count:
        yield Finding(
            severity=Severity.WARNING,
            where=f"{count} curves",
            what="they lean in space, and only their view from above was taken",
            do="Lay the part flat in the design program and export it again",
        )

    levels = {round(_level(entity), 2) for entity in curves if not _leans(entity)}
    if len(levels) > 1:
        yield Finding(
            severity=Severity.WARNING,
            where=f"{len(levels)} heights, z {min(levels):g} to {max(levels):g}",
            what="its lines lie at different heights, but all of them are cut through",
            do="Leave out what should not go through, and lay the rest at one height",
        )


def _level(entity: DXFGraphic) -> float:
    """The height, in drawing units, at which a level curve lies or begins."""
    if isinstance(entity, DxfLine):
        return float(entity.dxf.start.z)
    if isinstance(entity, Spline):
        return float(next(iter((*entity.control_points, *entity.fit_points)), (0, 0, 0))[2])
    if isinstance(entity, Polyline) and entity.is_3d_polyline:
        return next((float(vertex.dxf.location.z) for vertex in entity.vertices), 0.0)
    if isinstance(entity, Ellipse):
        return float(entity.dxf.center.z)
    flat = entity.dxf.get("elevation", 0.0)
    along = entity.dxf.center.z if isinstance(entity, Circle) else getattr(flat, "z", flat)
    return float(along * Vec3(entity.dxf.get("extrusion", (0, 0, 1))).z)


def _leans(entity: DXFGraphic) -> bool:
    """Whether a curve is not level: what is turned over or lies higher is."""
    if isinstance(entity, DxfLine):
        heights = [entity.dxf.start.z, entity.dxf.end.z]
    elif isinstance(entity, Spline):
        heights = [float(point[2]) for point in (*entity.control_points, *entity.fit_points)]
    elif isinstance(entity, Polyline) and entity.is_3d_polyline:
        heights = [vertex.dxf.location.z for vertex in entity.vertices]
    else:
        up = Vec3(entity.dxf.get("extrusion", (0, 0, 1))).normalize()
        heights = [0.0, float(np.hypot(up.x, up.y))]
    return bool(heights) and max(heights) - min(heights) > _FLAT
