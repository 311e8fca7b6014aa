"""The pictures that go with a built design: what it looks like, and each step of its assembly.

Drawn by our own renderer from the solids themselves, so they cannot show what is not built.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from designs.geometry.picture import Colour, Coloured, colour_of, group
from designs.library.assembly import Piece, Step
from designs.library.shapes import mesh_of
from designs.okh import PartEntry
from designs.processes import FDM

if TYPE_CHECKING:
    from manifold3d import Manifold

_NEW: Colour = (0.90, 0.42, 0.24)
_PX, _STEP_PX = 420, 360


def alone(body: "Manifold", entry: PartEntry) -> bytes:
    """PNG of a design of one part, as it lies when it is made."""
    lift = 32 if entry.process == FDM else 52
    return group([Coloured(mesh_of(body), _colour(entry))], _PX, lift_deg=lift)


def together(steps: Sequence[Step], entries: Mapping[str, PartEntry]) -> bytes:
    """PNG of the whole."""
    return group([_plain(piece, entries) for step in steps for piece in step], _PX)


def step(steps: Sequence[Step], number: int, entries: Mapping[str, PartEntry]) -> bytes:
    """PNG of step `number` from 1: what is new hovers, in orange, where it comes from."""
    before = [_plain(piece, entries) for done in steps[: number - 1] for piece in done]
    new = [
        Coloured(mesh_of(piece.body.translate(piece.comes_from)), _NEW)
        for piece in steps[number - 1]
    ]
    return group([*before, *new], _STEP_PX)


def _plain(piece: Piece, entries: Mapping[str, PartEntry]) -> Coloured:
    return Coloured(mesh_of(piece.body), _colour(entries[piece.part]))


def _colour(entry: PartEntry) -> Colour:
    return colour_of(entry.process or "", entry.material or "")
