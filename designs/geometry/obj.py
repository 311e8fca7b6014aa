"""Reads the faces of a Wavefront OBJ; polygons become triangles that keep to their outline.

It never opens another file (material libraries, textures, `call`) and never runs a command (`csh`);
what it passed over is said.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from designs.errors import Finding, LimitExceeded, Refused, Severity
from designs.geometry.mesh import MAX_TRIANGLES, Held, Points, Thing, checked
from designs.geometry.stl import number

_LONGEST_LINE = 2**16
_MOST_CORNERS = 1000  # of one polygon
_MOST_THINGS = 10_000
_EARS = 5_000_000  # corners looked at while polygons are cut into triangles
_AGAIN = "Export the OBJ again"
_QUIET = {b"vt", b"vn", b"s", b"usemtl", b"g", b"o", b"v", b"f", b"lod", b"d_interp", b"c_interp"}
_LINKS = {b"mtllib", b"maplib", b"usemap", b"shadow_obj", b"trace_obj"}
_COMMANDS = {b"call", b"csh"}
_CURVED = {b"vp", b"cstype", b"deg", b"bmat", b"step", b"curv", b"curv2", b"surf", b"bzp", b"bsp"}


def read(path: Path) -> Held:
    """One piece of all faces, with the names of its objects; raises `Refused`."""
    with path.open("rb") as file:
        content = _Content()
        for row, words in _lines(file):
            content.take(row, words)
        ended = file.seek(-1, 2) >= 0 and file.read(1) in b"\r\n" if path.stat().st_size else False
    vertices, faces = content.geometry()
    notes = content.left_out()
    if not ended:
        notes.append(_UNENDED)
    return Held([(vertices, faces)], tuple(notes), content.things())


_UNENDED = Finding(
    severity=Severity.WARNING,
    where="the last line",
    what="it does not end: the file may be cut off",
    do="Compare the part with the original, or export it again",
)


def _lines(file: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """(line number, words), lines that go on after a backslash joined, comments left out."""
    row, before = 0, b""
    while line := file.readline(_LONGEST_LINE):
        row += 1
        if len(line) == _LONGEST_LINE or len(before) > _LONGEST_LINE:
            raise Refused("the line is far too long for an OBJ", f"line {row}", _AGAIN)
        line = before + line.rstrip(b"\r\n")
        before = b""
        if line.endswith(b"\\"):
            before = line[:-1] + b" "
            continue
        words = line.split(b"#", 1)[0].split()
        if words:
            yield row, words


class _Content:
    def __init__(self) -> None:
        self._numbers = array("d")
        self._corners = array("q")
        self._lengths = array("q")  # corners of each polygon
        self._rows = array("q")  # its line
        self._named: Counter[str] = Counter()
        self._name = ""
        self._passed: Counter[bytes] = Counter()

    def take(self, row: int, words: list[bytes]) -> None:
        match words[0].removeprefix(b"\xef\xbb\xbf"):
            case b"v":
                self._vertex(row, words)
            case b"f" | b"fo":
                self._face(row, words[1:])
            case b"o" | b"g" if len(words) > 1:
                self._name = b" ".join(words[1:]).decode("utf-8", "replace")[:80]
            case word if word in _CURVED:
                shown = word.decode("ascii")
                what = f"it holds free-form curves or surfaces ({shown}), which are no triangles"
                raise Refused(what, f"line {row}", "Export it as a mesh")
            case word if word in _QUIET:
                pass
            case word if word in _LINKS | _COMMANDS | {b"l", b"p"}:
                self._passed[word] += 1
            case word if word.isalnum() or b"_" in word:
                self._passed[b"?"] += 1
            case word:
                shown = word[:20].decode("ascii", "replace")
                raise Refused(f"{shown!r} cannot stand in an OBJ", f"line {row}", _AGAIN)

    def _vertex(self, row: int, words: list[bytes]) -> None:
        try:
            self._numbers.extend(number(word) for word in words[1:4])
        except ValueError:
            words = []
        if len(words) < 4:
            raise Refused("a corner is not three numbers", f"line {row}", _AGAIN)
        if len(self._numbers) > 9 * MAX_TRIANGLES:
            raise LimitExceeded("it has too many corners", f"line {row}", "Export it coarser")

    def _face(self, row: int, words: list[bytes]) -> None:
        if not 3 <= len(words) <= _MOST_CORNERS:
            what = f"a face has {len(words)} corners"
            raise Refused(what, f"line {row}", "Export it as triangles")
        count = len(self._numbers) // 3
        try:
            named = [int(word.split(b"/", 1)[0]) for word in words]
            self._corners.extend(index - 1 if index > 0 else count + index for index in named)
        except (ValueError, OverflowError):
            named = [0]
        if 0 in named or count + min(named) < 0:
            what = "a face names a corner that is not there"
            raise Refused(what, f"line {row}", _AGAIN)
        self._lengths.append(len(words))
        self._rows.append(row)
        self._named[self._name] += 1
        if len(self._corners) > 3 * MAX_TRIANGLES or len(self._named) > _MOST_THINGS:
            raise LimitExceeded("it has too many faces", f"line {row}", "Export it coarser")

    def geometry(self) -> tuple[Points, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
        vertices = np.array(self._numbers).reshape(-1, 3)
        if not self._lengths:
            raise Refused("it holds no faces", "the file", _AGAIN)
        corners, lengths = np.array(self._corners), np.array(self._lengths)
        starts = np.cumsum(lengths) - lengths
        beyond = np.flatnonzero(corners >= len(vertices))
        if len(beyond):
            row = self._rows[int(np.searchsorted(starts, beyond[0], "right")) - 1]
            raise Refused("a face names a corner that is not there", f"line {row}", _AGAIN)
        checked(vertices[corners])  # corners that no face uses may lie anywhere
        simple = np.flatnonzero(lengths == 3)
        faces = [corners[starts[simple][:, None] + np.arange(3)]]
        budget = _EARS
        for i in np.flatnonzero(lengths > 3):
            ring = corners[starts[i] : starts[i] + lengths[i]]
            if len(np.unique(ring)) < 3:
                continue  # a line: no area, as with a triangle whose corners are the same
            budget -= int(lengths[i]) ** 2
            if budget < 0:
                raise LimitExceeded("its polygons are too large", "its faces", "Export triangles")
            cut = _triangulated(vertices[ring])
            if cut is None:
                what = "a polygon crosses itself or has no area"
                raise Refused(what, f"line {self._rows[int(i)]}", "Export it as triangles")
            faces.append(ring[cut])
        used, numbered = np.unique(np.concatenate(faces), return_inverse=True)
        return vertices[used], numbered.reshape(-1, 3).astype(np.int64)

    def things(self) -> tuple[Thing, ...]:
        named = [name for name in self._named if name]
        return tuple(Thing(name, 1) for name in named[:100])

    def left_out(self) -> list[Finding]:
        found: list[Finding] = []
        links = sum(self._passed[word] for word in _LINKS)
        if links:
            what = "links to other files (materials, textures) were not followed; only the shape"
            found.append(_note(f"{links} lines", f"{what} counts"))
        commands = sum(self._passed[word] for word in _COMMANDS)
        if commands:
            what = "commands (call, csh) were taken out; they are never run"
            found.append(_warning(f"{commands} lines", what, "Ask where this file comes from"))
        thin = self._passed[b"l"] + self._passed[b"p"]
        if thin:
            what = "lines and points without thickness were left out"
            found.append(_warning(f"{thin} of them", what, "Give them a thickness"))
        if self._passed[b"?"]:
            what = "words that say nothing about the shape were passed over"
            found.append(_note(f"{self._passed[b'?']} lines", what))
        return found


def _triangulated(ring: Points) -> list[list[int]] | None:
    """Triangles (numbers of corners) of one flat polygon by cutting off ears; None if it is none.

    Seen along its own normal by Newell's formula, whose length is twice the area.
    """
    normal = np.cross(ring, np.roll(ring, -1, axis=0)).sum(axis=0)
    length = float(np.linalg.norm(normal))
    scale = float(np.ptp(ring, axis=0).max())
    if length <= 1e-12 * scale * scale:
        return None
    drop = int(np.abs(normal).argmax())
    flat = np.delete(ring, drop, axis=1)
    if (normal[drop] > 0) == (drop == 1):  # y dropped turns the view around
        flat = flat * [1, -1]
    points = [(float(x), float(y)) for x, y in flat]
    left, found, spins = list(range(len(ring))), list[list[int]](), 0
    at = 0
    while len(left) > 3:
        a, b, c = (left[(at + k) % len(left)] for k in (-1, 0, 1))
        if _is_ear(points, left, (a, b, c)):
            found.append([a, b, c])
            left.pop(at % len(left))
            spins = 0
        else:
            at += 1
            spins += 1
            if spins > len(left):
                return None
        at %= len(left)
    return [*found, left]


def _is_ear(
    points: Sequence[tuple[float, float]], left: list[int], corner: tuple[int, int, int]
) -> bool:
    a, b, c = (points[i] for i in corner)
    area = _cross(a, b, c)
    if area < 0:
        return False
    if area == 0:
        return True  # a corner on a straight side: cut off as a triangle without area
    return not any(
        _cross(a, b, p) >= 0 and _cross(b, c, p) >= 0 and _cross(c, a, p) >= 0
        for i in left
        if i not in corner and (p := points[i]) not in {a, b, c}
    )


def _cross(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _note(where: str, what: str) -> Finding:
    return Finding(severity=Severity.NOTE, where=where, what=what, do="Nothing to do")


def _warning(where: str, what: str, do: str) -> Finding:
    return Finding(severity=Severity.WARNING, where=where, what=what, do=do)
