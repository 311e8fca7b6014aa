"""Which plain numbers in a shop's own blocks lie beyond its machine, for whoever approves them.

It reads one line at a time and decides nothing; what fills a hole is judged in each program.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from firmware_bridge.profiles import Fdm, MachineProfile
from firmware_bridge.profiles.blocks import HEATS_BY_CODE, Kind, kind_by_words

_CONDITION: Final = re.compile(r"\{\s*(?:if|elsif|elif|else|endif)\b[^{}]*\}")
_HOLE: Final = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_CODE: Final = re.compile(r"\s*([GM])0*(\d+)")
_NUMBER: Final = r"(-?(?:\d+(?:\.\d*)?|\.\d+))(?![\d.{])"
_WORD: Final = re.compile(rf"([XYZFSR]) ?{_NUMBER}")
_SETTING: Final = re.compile(rf"([A-Z_]+)={_NUMBER}")
_MOVES: Final = ("G0", "G1", "G2", "G3")


@dataclass
class Extremes:
    """Told line by line, in order: G90 and G91 change what a place means."""

    profile: MachineProfile
    relative: bool = False

    def beyond(self, line: str) -> tuple[str, ...]:
        """What on this line is too far, too fast or too hot, each in words."""
        plain = _HOLE.sub("{", _CONDITION.sub(" ", line.split(";", 1)[0])).upper()
        found = _CODE.match(plain)
        if found is None:
            return tuple(self._settings(plain))
        code = f"{found[1]}{found[2]}"
        if code in ("G90", "G91"):
            self.relative = code == "G91"
        words = _WORD.findall(plain[found.end() :])
        return tuple(word for name, said in words for word in self._word(code, name, float(said)))

    def _settings(self, plain: str) -> Iterator[str]:
        for key, said in _SETTING.findall(plain):
            yield from self._heat(kind_by_words(key, ""), f"{key}={said}", float(said))

    def _word(self, code: str, name: str, value: float) -> Iterator[str]:
        said, moves = f"{name}{value:g}", code in _MOVES
        if name in "SR" and code in HEATS_BY_CODE:
            yield from self._heat(HEATS_BY_CODE[code], said, value)
        elif name == "F" and moves:
            most = max(self.profile.feed_max_mm_min, self.profile.rapid_mm_min)
            if value > most:
                yield f"{said}: it goes {most:g} mm/min at most"
        elif name in "XYZ" and moves:
            yield from self._place("XYZ".index(name), said, value)

    def _place(self, axis: int, said: str, value: float) -> Iterator[str]:
        low, high = (end[axis] for end in self.profile.envelope_mm)
        if self.relative:
            low, high = low - high, high - low
        if not low <= value <= high:
            yield f"{said}: it reaches {low:g} to {high:g} mm"

    def _heat(self, kind: Kind, said: str, value: float) -> Iterator[str]:
        most = _hottest(self.profile.fdm, kind)
        if most is not None and value > most:
            yield f"{said}: the {kind} takes {most:g} °C at most"


def _hottest(fdm: Fdm | None, kind: Kind) -> float | None:
    if fdm is None:
        return None
    limits = {"hotend": fdm.hotend_max_c, "bed": fdm.bed_max_c, "chamber": fdm.chamber_max_c}
    return limits.get(kind)
