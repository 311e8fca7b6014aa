"""Reads the shapes of an SVG as points in millimetres, transforms, units and `use` applied.

It parses the XML itself under limits: no entities, no links, no scripts, no style sheets; what is
hidden, clipped away, text or picture is left out and said.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser
from svgelements import Arc, CubicBezier, Matrix, Move, PathSegment, Point, QuadraticBezier
from svgelements import Path as Curve
from svgelements.svgelements import Circle, Ellipse, Polygon, Polyline, Rect, Shape, SimpleLine

from designs.errors import Finding, LimitExceeded, Refused, Severity
from designs.geometry.contours import Line
from designs.geometry.drawing import UNIT_MM, Unit, told_apart

FLAT_MM = 0.005
MAX_ELEMENTS = 100_000  # after `use` is expanded
MAX_POINTS = 500_000
_PATH_BYTES = 4 * 2**20  # of one path
_PATH_NUMBERS = 200_000
MAX_DEPTH = 64
_REACH_MM = 1e6
_SVG = "{http://www.w3.org/2000/svg}"
_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")
_AGAIN = "Export it again as plain SVG"
_MM_OF = {"": 25.4 / 96, "px": 25.4 / 96, "mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72}
_MM_OF["pc"] = 25.4 / 6
_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z%]*)\s*")


def read(path: Path, units: Unit | None) -> tuple[list[Line], tuple[Finding, ...]]:
    """(lines in mm, notes); raises `Refused`."""
    try:
        return _read(path, units)
    except (Refused, MemoryError):
        raise
    except Exception as broken:
        what = f"it cannot be understood ({type(broken).__name__})"
        raise Refused(what, "the drawing", _AGAIN) from broken


def _read(path: Path, units: Unit | None) -> tuple[list[Line], tuple[Finding, ...]]:
    root = _parsed(path)
    if root.tag != f"{_SVG}svg":
        raise Refused("it is no SVG", "the first element", "Export it as SVG")
    page, notes = _page(root, units)
    if units is None and (dots := _dots(root, path)) and _is_in_dots(root):
        notes = [_other_dots(dots)]
    _measure_shares(root, _view(root))
    by_id = {e.attrib["id"]: e for e in root.iter() if "id" in e.attrib}
    if _count(root, by_id, {}, 0) > MAX_ELEMENTS:
        raise _too_much(root)
    walk = _Walk(by_id)
    lines = [line for curve in walk.children(root, page, 0) for line in _flattened(curve, walk)]
    return lines, (*notes, *walk.left_out(), *_taken_out(root))


def _parsed(path: Path) -> Element:
    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=False)
    try:
        parser.feed(path.read_bytes())
        return parser.close()
    except DefusedXmlException:
        raise Refused("it defines XML entities", "its head", "Save it as plain SVG") from None
    except (ParseError, ValueError, LookupError) as broken:
        raise Refused(f"its XML is broken ({broken})"[:160], "its XML", _AGAIN) from None


class _Bounded(TreeBuilder):
    """Builds the tree, and stops at too many or too deeply nested elements."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise LimitExceeded(
                "it has too many elements, or they are nested too deep", f"<{tag[-20:]}>", _AGAIN
            )
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _page(root: Element, units: Unit | None) -> tuple[Matrix, list[Finding]]:
    """From user units to mm: width, height and viewBox of the root; y goes up in the result."""
    flip = Matrix.scale(1, -1)
    if units is not None:
        return flip * Matrix.scale(UNIT_MM[units]), []
    width, height = (_length_mm(root.get(side)) for side in ("width", "height"))
    box = _view_box(root)
    if box is None or (width is None and height is None):
        return flip * Matrix.scale(UNIT_MM["px"]), [] if width or height else [_NO_SIZE]
    scale = height / box[3] if width is None and height else (width or 0) / box[2]
    wide, high = width or box[2] * scale, height or box[3] * scale
    return _fitted(root, box, wide, high) * flip, []


def _fitted(element: Element, box: "_Box", wide: float, high: float) -> Matrix:
    """From its viewBox into a field so wide and high, as its preserveAspectRatio says."""
    words = element.get("preserveAspectRatio", "").split()
    x, y = wide / box[2], high / box[3]
    if "none" not in words:
        x = y = (max if "slice" in words else min)(x, y)
    align = next((w for w in words if _ALIGN.fullmatch(w)), "xMidYMid")
    dx, dy = (_FREE[w] for w in (align[1:4], align[5:8]))
    moved = Matrix.translate(dx * (wide - box[2] * x), dy * (high - box[3] * y))
    return Matrix.translate(-box[0], -box[1]) * Matrix.scale(x, y) * moved


_Box = tuple[float, float, float, float]
_FREE = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}
_ALIGN = re.compile(r"x(Min|Mid|Max)Y(Min|Mid|Max)")
_OLD_INKSCAPE = re.compile(r"0\.(\d\b|[0-8]\d|9[01])")  # 0.92 began to count 96
_INKSCAPE = "{http://www.inkscape.org/namespaces/inkscape}version"


def _dots(root: Element, path: Path) -> int | None:
    """How many units its program took for an inch, where those were not the 96 of the standard."""
    with path.open("rb") as file:
        head = file.read(2**12)
    if b"Generator: Adobe Illustrator" in head:
        return 72
    return 90 if _OLD_INKSCAPE.match(root.get(_INKSCAPE, "")) else None


def _is_in_dots(root: Element) -> bool:
    words = [_LENGTH.fullmatch(root.get(side, "")) for side in ("width", "height")]
    return all(word is None or word[2] in {"", "px", "%"} for word in words)


def _other_dots(dots: int) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        where="width and height",
        what=f"96 units were taken as an inch, but the program that wrote it counts {dots}: "
        f"then all of it is {96 / dots:.4g} times as large",
        do="Set width and height in mm and export it again",
    )


_NO_SIZE = Finding(
    severity=Severity.WARNING,
    where="width and height",
    what="it does not say how large it is; 96 units were taken as an inch",
    do="If the size is wrong, set width and height in mm and export it again",
)


def _length_mm(text: str | None) -> float | None:
    match = _LENGTH.fullmatch(text or "")
    if match is None or match[2] not in _MM_OF:
        return None
    length = float(match[1]) * _MM_OF[match[2]]
    return length if 0 < length < _REACH_MM else None


def _view_box(element: Element) -> "_Box | None":
    try:
        x, y, w, h = (float(n) for n in re.split(r"[\s,]+", element.get("viewBox", "").strip()))
    except ValueError:
        return None
    sane = all(np.isfinite(n) for n in (x, y, w, h)) and w > 0 and h > 0
    return (x, y, w, h) if sane else None


def _view(element: Element) -> tuple[float, float] | None:
    """Width and height, in user units, that shares (50 %) of what is in it are of."""
    box = _view_box(element)
    sides = [_length_mm(element.get(side)) for side in ("width", "height")]
    if box is not None:
        return box[2], box[3]
    if sides[0] is None or sides[1] is None:
        return None
    return sides[0] / UNIT_MM["px"], sides[1] / UNIT_MM["px"]


def _measure_shares(element: Element, view: tuple[float, float] | None) -> None:
    """Writes user units in the place of every share below."""
    for child in element:
        for name, of in _SHARES.items() if view else ():
            share = _LENGTH.fullmatch(child.get(name, ""))
            if view and share and share[2] == "%":
                child.set(name, repr(float(share[1]) / 100 * of(*view)))
        own = child.tag in {f"{_SVG}svg", f"{_SVG}symbol"}
        _measure_shares(child, (_view(child) or view) if own else view)


def _wide(width: float, _: float) -> float:
    return width


def _high(_: float, height: float) -> float:
    return height


_SHARES: dict[str, Callable[[float, float], float]] = {
    **dict.fromkeys(("x", "x1", "x2", "cx", "rx", "width"), _wide),
    **dict.fromkeys(("y", "y1", "y2", "cy", "ry", "height"), _high),
    "r": lambda width, height: float(np.hypot(width, height) / np.sqrt(2)),
}


def _target(use: Element, by_id: dict[str, Element]) -> Element | None:
    link = next((use.get(name, "") for name in _HREFS if use.get(name)), "")
    return by_id.get(link[1:]) if link.startswith("#") else None


def _count(
    element: Element, by_id: dict[str, Element], known: dict[Element, int], depth: int
) -> int:
    """How many elements there are with every `use` expanded; one that uses itself counts once."""
    if depth > 2 * MAX_DEPTH:
        raise _too_much(element)
    if element not in known:
        known[element] = 1  # while it is being counted
        target = _target(element, by_id) if element.tag == f"{_SVG}use" else None
        inner = [*element, *([] if target is None else [target])]
        known[element] = 1 + sum(_count(e, by_id, known, depth + 1) for e in inner)
    return known[element]


def _too_much(element: Element) -> LimitExceeded:
    return LimitExceeded(
        "its <use> elements expand to too much", _name(element), "Export it expanded"
    )


@dataclass
class _Walk:
    """Walks the tree under a budget of points, noting what is left out."""

    by_id: dict[str, Element]
    points_left: int = MAX_POINTS
    texts: int = 0
    pictures: int = 0
    clipped: int = 0
    moved: int = 0
    hidden: int = 0
    colours: Counter[str] = field(default_factory=Counter[str])
    _stroke: str = "none"
    _using: list[Element] = field(default_factory=list[Element])

    def children(self, element: Element, matrix: Matrix, depth: int) -> Iterator[Curve]:
        for child in element:
            yield from self._element(child, matrix, depth + 1)

    def _element(self, element: Element, matrix: Matrix, depth: int) -> Iterator[Curve]:
        if depth > MAX_DEPTH:
            raise _too_much(element)
        style = _style(element)
        if _hidden(style):
            self.hidden += 1
            return
        tag = element.tag.removeprefix(_SVG)
        around, self._stroke = self._stroke, _stroke(element) or self._stroke
        matrix = _own(element) * matrix
        self.clipped += any(style.get(k, "none") != "none" for k in ("clip-path", "mask"))
        self.moved += not _MOVES.isdisjoint(style)
        if tag in {"g", "a", "switch"}:
            yield from self.children(element, matrix, depth)
        elif tag in {"use", "svg"}:
            move = Matrix.translate(_number(element, "x"), _number(element, "y"))
            inner = self._used if tag == "use" else self._viewport
            yield from inner(element, move * matrix, depth)
        elif tag in _SHAPES:
            self.colours["filled only" if self._stroke == "none" else self._stroke] += 1
            yield _curve(element, tag) * matrix
        self._stroke = around
        self.texts += tag in {"text", "flowRoot"}
        self.pictures += tag in {"image", "foreignObject"}

    def _used(self, element: Element, matrix: Matrix, depth: int) -> Iterator[Curve]:
        target = _target(element, self.by_id)
        if target is None or target in self._using:
            why = "points outside the file" if target is None else "contains itself"
            raise Refused(f"a <use> {why}", _name(element), "Export it expanded")
        self._using.append(target)
        if target.tag == f"{_SVG}symbol":
            yield from self._viewport(target, matrix, depth, element)
        else:
            yield from self._element(target, matrix, depth + 1)
        self._using.pop()

    def _viewport(
        self, element: Element, matrix: Matrix, depth: int, sized: Element | None = None
    ) -> Iterator[Curve]:
        box = _view_box(element)
        if box is not None:
            sized = element if sized is None else sized
            wide = _number(sized, "width") or box[2]
            high = _number(sized, "height") or box[3]
            matrix = _fitted(element, box, wide, high) * matrix
        yield from self.children(element, matrix, depth)

    def left_out(self) -> Iterator[Finding]:
        uncut, whole = "they are not cut", "clipping is not applied: they were taken whole"
        moved = "that is not applied: they were taken where their transform=… says"
        for count, name, what, do in (
            (self.texts, "texts", uncut, "Turn text into paths if it should be cut"),
            (self.pictures, "pictures", uncut, "Trace them if they should be cut"),
            (self.clipped, "clipped or masked shapes", whole, "Check the outline"),
            (self.moved, "shapes moved by a style", moved, "Export it as plain SVG"),
        ):
            if count:
                where = f"{count} {name}"
                yield Finding(severity=Severity.WARNING, where=where, what=what, do=do)
        yield from told_apart(self.colours, "colours of lines")
        if self.hidden:
            yield _note(f"{self.hidden} hidden shapes or groups", "they are not cut")


def _taken_out(root: Element) -> Iterator[Finding]:
    """What could act or fetch in a browser: none of it is followed, kept or sent to a machine."""
    found: Counter[str] = Counter()
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2].lower()
        found["scripts"] += tag in {"script", "handler", "listener"}
        found["embedded pages"] += tag in {"foreignobject", "iframe", "embed", "object"}
        found["animations"] += tag in {"animate", "animatetransform", "animatemotion", "set"}
        found["style sheets"] += tag == "style" and bool(_RULES.search(element.text or ""))
        for name, value in element.attrib.items():
            found["scripts"] += _is_script(name.rpartition("}")[2].lower(), value)
            found["links"] += _leads_out(name.rpartition("}")[2].lower(), value)
    grave = {"scripts", "embedded pages", "animations", "style sheets"}
    for what, count in found.items():
        if count and what in grave:
            yield Finding(
                severity=Severity.WARNING,
                where=f"{count} {what}",
                what="they were taken out: no part of a drawing" + _SO.get(what, ""),
                do="Save it as plain SVG, and look whether the outline is what you mean",
            )
        elif count:
            yield _note(f"{count} {what} out of the file", "they were taken out, none was followed")


_SO = {"style sheets": ", though they may hide or move shapes"}
_RULES = re.compile(
    r"@import|url\(|display|visibility|transform|clip-path"
    r"|(?<![\w-])(?:d|x|y|r|[cr][xy]|width|height|translate|rotate|scale)\s*:",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(
    r"\s*(https?:|ftp:|file:|//|\\\\|\.{0,2}/)|url\(\s*['\"]?(?!#|data:)", re.IGNORECASE
)


def _is_script(name: str, value: str) -> bool:
    code = re.sub(r"[\s\x00-\x1f]", "", value[:200]).lower()
    return name.startswith("on") or code.startswith(("javascript:", "vbscript:", "data:text/html"))


def _leads_out(name: str, value: str) -> bool:
    return name in {"href", "src", "style", "fill", "filter", "mask"} and bool(
        _OUTSIDE.search(value) if name == "style" else _OUTSIDE.match(value)
    )


def _note(where: str, what: str) -> Finding:
    return Finding(severity=Severity.NOTE, where=where, what=what, do="Nothing to do")


def _name(element: Element) -> str:
    own = element.get("id", "")[:40]
    return f"<{element.tag.removeprefix(_SVG)[:20]}{f' id={own!r}' if own else ''}>"


def _style(element: Element) -> dict[str, str]:
    """What its style, or else its attributes, say of how it is shown; what moves it by style."""
    shown = {name: element.attrib[name] for name in _SHOWN if name in element.attrib}
    pairs = (pair.partition(":") for pair in element.get("style", "").split(";"))
    said = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
    return shown | {k: v for k, v in said.items() if k in _SHOWN or k in _MOVES}


_SHOWN = ("display", "visibility", "clip-path", "mask")
_MOVES = frozenset({"transform", "translate", "rotate", "scale"})


def _stroke(element: Element) -> str:
    """The colour its lines are said to have; "" where what is around it decides."""
    own = re.findall(r"(?:^|;)\s*stroke\s*:([^;!]*)", element.get("style", ""))
    said = (own[-1] if own else element.get("stroke", "")).strip().lower()
    return "" if said in {"inherit", "currentcolor"} else said


def _hidden(style: dict[str, str]) -> bool:
    return style.get("display") == "none" or style.get("visibility") in {"hidden", "collapse"}


def _own(element: Element) -> Matrix:
    try:
        matrix = Matrix(element.get("transform", ""))
    except (ValueError, TypeError, IndexError, AttributeError):
        matrix = None
    numbers = [matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f] if matrix else [np.nan]
    if matrix is None or not np.isfinite(numbers).all():
        raise Refused("its transform is unreadable", _name(element), _AGAIN)
    return matrix


def _number(element: Element, name: str, otherwise: float = 0.0) -> float:
    """An attribute in user units."""
    text = element.get(name)
    if text is None:
        return otherwise
    match = _LENGTH.fullmatch(text)
    if match is None or match[2] not in _MM_OF:
        raise Refused(f"its {name} is no length", _name(element), _AGAIN)
    return float(match[1]) * _MM_OF[match[2]] / _MM_OF[""]


def _points(element: Element) -> list[float]:
    numbers = re.split(r"[\s,]+", element.get("points", "").strip())
    return [float(n) for n in numbers if n]


def _rect(element: Element) -> Shape:
    x, y, width, height = (_number(element, n) for n in ("x", "y", "width", "height"))
    rx, ry = _number(element, "rx", -1), _number(element, "ry", -1)
    rx, ry = (ry if rx < 0 else rx), (rx if ry < 0 else ry)
    return Rect(x, y, width, height, min(max(rx, 0), width / 2), min(max(ry, 0), height / 2))


def _circle(element: Element) -> Shape:
    return Circle(*(_number(element, n) for n in ("cx", "cy", "r")))


def _ellipse(element: Element) -> Shape:
    return Ellipse(*(_number(element, n) for n in ("cx", "cy", "rx", "ry")))


def _line(element: Element) -> Shape:
    return SimpleLine(*(_number(element, n) for n in ("x1", "y1", "x2", "y2")))


def _path(element: Element) -> str:
    text = element.get("d", "")
    if len(text) > _PATH_BYTES or len(_NUMBER.findall(text)) > _PATH_NUMBERS:
        raise LimitExceeded("it has too many points", _name(element), "Draw it simpler")
    return text


_NUMBER = re.compile(r"[\d.]+")
_SHAPES: dict[str, Callable[[Element], Shape]] = {
    "path": lambda e: Curve(_path(e)),
    "rect": _rect,
    "circle": _circle,
    "ellipse": _ellipse,
    "line": _line,
    "polyline": lambda e: Polyline(*_points(e)),
    "polygon": lambda e: Polygon(*_points(e)),
}


def _curve(element: Element, tag: str) -> Curve:
    try:
        return Curve(_SHAPES[tag](element))
    except (ValueError, TypeError, IndexError, AttributeError, ZeroDivisionError):
        raise Refused("its shape is unreadable", _name(element), _AGAIN) from None


def _flattened(curve: Curve, walk: _Walk) -> Iterator[Line]:
    """One line per subpath, straying at most FLAT_MM from the curve."""
    points: list[tuple[float, float]] = []
    for segment in curve.segments(transformed=True):
        if isinstance(segment, Move):
            if len(points) > 1:
                yield _distinct(points)
            points = []
        steps = 0 if segment.end is None else _steps(segment)
        walk.points_left -= steps
        if walk.points_left < 0:
            raise LimitExceeded("its curves need too many points", "a path", _AGAIN)
        points += _along(segment, steps) if steps else []
    if len(points) > 1:
        yield _distinct(points)


def _distinct(points: list[tuple[float, float]]) -> Line:
    line = np.array(points)
    keep = np.ones(len(line), dtype=bool)
    keep[1:] = np.any(np.diff(line, axis=0), axis=1)
    return line[keep]


def _along(segment: PathSegment, steps: int) -> Iterator[tuple[float, float]]:
    """Points of a segment after its start."""
    if steps > 1 and isinstance(segment, (CubicBezier, QuadraticBezier)):
        t = np.linspace(0, 1, steps + 1)[1:, None]
        level = [_finite([p]) + 0 * t for p in (segment.start, *_controls(segment), segment.end)]
        while len(level) > 1:  # de Casteljau
            level = [a + t * (b - a) for a, b in itertools.pairwise(level)]
        yield from map(tuple, level[0][:-1].tolist())
        yield _xy(segment.end)
        return
    for step in range(1, steps + 1):
        yield _xy(segment.end if step == steps else segment.point(step / steps))


def _steps(segment: PathSegment) -> int:
    """Chords enough for FLAT_MM: a Bézier strays by second difference / 8, an arc by sagitta."""
    if isinstance(segment, (CubicBezier, QuadraticBezier)):
        points = _finite([segment.start, *_controls(segment), segment.end])
        bend = float(np.hypot(*np.diff(points, n=2, axis=0).T).max())
        degree = len(points) - 1
        return max(1, int(np.ceil(np.sqrt(degree * (degree - 1) / 8 * bend / FLAT_MM))))
    _finite([segment.end])
    if not isinstance(segment, Arc):
        return 1
    _finite([Point(segment.rx, segment.ry)])
    radius = max(abs(segment.rx), abs(segment.ry), 2 * FLAT_MM)
    chord = 2 * np.arccos(1 - FLAT_MM / radius)
    return max(4, int(np.ceil(abs(cast(float, segment.sweep)) / chord)))


def _controls(curve: CubicBezier | QuadraticBezier) -> list[Point]:
    if isinstance(curve, QuadraticBezier):
        return [curve.control]
    return [curve.control1, curve.control2]


def _xy(point: Point | None) -> tuple[float, float]:
    assert point is not None
    return cast(float, point.x), cast(float, point.y)


def _finite(points: list[Point | None]) -> Line:
    numbers = np.array([_xy(point) for point in points], dtype=np.float64)
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > _REACH_MM:
        raise Refused("a point lies absurdly far out", "a path", "Redraw it near the page")
    return numbers
