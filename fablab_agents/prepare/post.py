"""Writes strokes as a GRBL program: plain ASCII lines below 80 characters, millimetres, absolute.

It never writes offsets, settings, tool changes or anything else that outlives the program.
"""

import re
from collections.abc import Iterator, Sequence

from fablab_agents.prepare.recipes import Burning, Milling

LINE_LIMIT = 79
NEAR_MM = 0.5  # this far above the stock the cutter slows down to plunging speed


Vertex = tuple[float, float, float]  # x, y, z in mm; z = 0 is the top of the stock
Stroke = tuple[Vertex, ...]  # cut in one go: the tool comes down at the first, lifts at the last


def mill_program(title: str, strokes: Sequence[Stroke], how: Milling) -> str:
    safe = f"G0 Z{number(how.safe_z_mm)}"
    begin = [*_header(title), "M5", safe, f"M3 S{how.rpm}", f"G4 P{number(how.spin_up_s)}"]
    body = [line for stroke in strokes for line in (*_mill_stroke(stroke, how), safe)]
    return _text([*begin, *body, "M5", "G0 X0 Y0", "M2"])


def laser_program(title: str, strokes: Sequence[Stroke], how: Burning) -> str:
    begin = [*_header(title), "M5 S0", "M4 S0"]
    body = [line for stroke in strokes for line in _laser_stroke(stroke, how)]
    return _text([*begin, *body, "M5 S0", "G0 X0 Y0", "M2"])


def number(value: float) -> str:
    """Thousandths at most, no trailing zeros, no minus zero."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def plain(text: str) -> str:
    """What a controller and a person can both read: letters, digits and a few signs."""
    return re.sub(r"[^A-Za-z0-9 .,_-]+", "-", text)[: LINE_LIMIT - 2].strip()


def _header(title: str) -> list[str]:
    return [*(f"({plain(line)})" for line in title.splitlines()), "G21", "G90", "G17", "G94"]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _mill_stroke(stroke: Stroke, how: Milling) -> Iterator[str]:
    x, y, z = stroke[0]
    yield f"G0 X{number(x)} Y{number(y)}"
    yield f"G1 Z{number(max(z, 0) + NEAR_MM)} F{number(how.feed)}"
    yield from _steps((x, y, max(z, 0) + NEAR_MM), stroke, how)


def _steps(at: Vertex, stroke: Stroke, how: Milling) -> Iterator[str]:
    feed = how.feed
    for to in stroke:
        words = [
            f"{axis}{number(b)}" for axis, a, b in zip("XYZ", at, to, strict=True) if _moved(a, b)
        ]
        if not words:
            continue
        wanted = how.plunge if len(words) == 1 and to[2] < at[2] else how.feed
        if wanted != feed:
            words.append(f"F{number(wanted)}")
        feed, at = wanted, to
        yield " ".join(["G1", *words])


def _moved(a: float, b: float) -> bool:
    return number(a) != number(b)


def _laser_stroke(stroke: Stroke, how: Burning) -> Iterator[str]:
    x, y, _ = stroke[0]
    yield f"G0 X{number(x)} Y{number(y)} S0"
    last = (number(x), number(y))
    power = f" F{number(how.feed)} S{how.power}"
    for px, py, _ in stroke[1:]:
        here = (number(px), number(py))
        if here != last:
            yield f"G1 X{here[0]} Y{here[1]}{power}"
            last, power = here, ""
