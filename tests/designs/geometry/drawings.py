"""Text of small drawings, for the tests of the readers."""

import io
from collections.abc import Callable

import ezdxf
from ezdxf.document import Drawing
from ezdxf.layouts.layout import Modelspace


def dxf(draw: Callable[[Modelspace], object], units: int = 4, prepare=None) -> bytes:
    """A DXF drawn by `draw`; `prepare` gets the document first, to make blocks and layers."""
    document: Drawing = ezdxf.new(units=units)
    if prepare:
        prepare(document)
    draw(document.modelspace())
    out = io.StringIO()
    document.write(out)
    return out.getvalue().encode()


def square(space: Modelspace, size: float = 100, at: tuple[float, float] = (0, 0)) -> None:
    x, y = at
    corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
    space.add_lwpolyline(corners, close=True)


def svg(body: str, head: str = 'width="200mm" height="100mm" viewBox="0 0 200 100"') -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f"{head}>{body}</svg>"
    ).encode()
