"""Programs to measure with: every move a line of its own, so that what was executed can be told.

Short segments as slicers and CAM write them; made from a seed, never read from anywhere.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

_CHATTER: Final = re.compile(
    r"(?:M105|M110.*|M115|M114.*|M155.*|M154.*|M400|M2[01].*|M27|M108|M113.*|M503.*|T0|M220.*|M221.*"
    r"|M104 ?S0|M140 ?S0|M107|M84|M112|M410|M524|G4 ?P0?\.\d+|G4 ?P\d+|M5|M2|M30|M9|G90|M83|M117.*)"
)


@dataclass(frozen=True)
class Job:
    """`head` is said once before the moves; `moves` are unique lines without line ends."""

    head: tuple[str, ...]
    moves: tuple[str, ...]

    def write(self, path: Path) -> Path:
        path.write_text("\n".join([*self.head, *self.moves, ""]))
        return path


def printing(lines: int, *, homing: bool = False, seed: int = 1) -> Job:
    """28 bytes a line, as a slicer's short segments; homing lets firmware say `busy` once."""
    dice = Random(seed)
    head = ("G28",) if homing else ()
    moves = (
        f"G1 X{dice.uniform(100, 120):.3f} Y{dice.uniform(10, 99):.3f} E{number / 1000:07.3f}"
        for number in range(lines)
    )
    return Job((*head, "G90", "G92 E0"), tuple(moves))


def milling(lines: int, *, seed: int = 1) -> Job:
    """27 bytes a line with its feed, inside a 300 × 180 mm machine."""
    dice = Random(seed)
    seen: set[str] = set()
    moves: list[str] = []
    while len(moves) < lines:
        line = f"G1 X{dice.uniform(100, 290):.3f} Y{dice.uniform(10, 99):.3f} F1200"
        if line not in seen:
            seen.add(line)
            moves.append(line)
    return Job(("G21", "G90", "G94"), tuple(moves))


@dataclass(frozen=True)
class Compared:
    """What a board executed, held against the job line by line."""

    missing: int
    altered: int
    repeated: int
    in_order: bool

    @property
    def exact(self) -> bool:
        return self.in_order and not (self.missing or self.altered or self.repeated)


def compare(job: Job, executed: Sequence[str]) -> Compared:
    """Executed commands against the job; what hosts ask on their own account is left out."""
    wanted = {_plain(line): place for place, line in enumerate(job.moves)}
    allowed = {_plain(line) for line in job.head}
    places: list[int] = []
    altered = 0
    for command in executed:
        place = wanted.get(_plain(command))
        if place is not None:
            places.append(place)
        elif _plain(command) not in allowed and not _CHATTER.fullmatch(command.strip()):
            altered += 1
    counts = Counter(places)
    return Compared(
        missing=len(wanted) - len(counts),
        altered=altered,
        repeated=sum(counts.values()) - len(counts),
        in_order=places == sorted(places),
    )


def _plain(line: str) -> str:
    """Blanks carry no meaning in G-code, and hosts may leave them out."""
    return line.replace(" ", "")
