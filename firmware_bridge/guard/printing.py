"""Judges a program for a printer: a modal reading of Marlin's codes against one machine's profile.

It believes no comment and no slicer; a code it does not interpret is refused.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

from firmware_bridge.guard import blocks
from firmware_bridge.guard.head import AXES, Head
from firmware_bridge.guard.hotend import Filament, Heat, Number
from firmware_bridge.guard.reading import Reader, Words, check_host_words, check_parentheses, code
from firmware_bridge.guard.verdict import Facts, Findings
from firmware_bridge.profiles import Blocks, MachineProfile
from firmware_bridge.profiles.blocks import Hole

_N: Final = rb"(-?(?:\d{1,6}(?:\.\d{0,8})?|\.\d{1,8}))"
# The lines that make up nearly all of a sliced program, read without the general reader.
_MOVE: Final = re.compile(
    rb"G([01])(?: F%b)?(?: X%b)?(?: Y%b)?(?: Z%b)?(?: E%b)?(?: F%b)? *(?:;.*)?\r?"
    % (_N, _N, _N, _N, _N, _N)
)
_ARC: Final = re.compile(
    rb"(G[23]) X%b Y%b(?: Z%b)?(?: I%b)?(?: J%b)?(?: E%b)?(?: F%b)? *(?:;.*)?\r?"
    % (_N, _N, _N, _N, _N, _N, _N)
)
# Settings that slicers write, each word with the most that is sane: mm/s², mm/s, per cent.
_BOUNDS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "M200": {"D": (0, 0)},
    "M201": dict.fromkeys("XYZE", (10, 50_000)),
    "M203": dict.fromkeys("XYZE", (0.1, 1_000)),
    "M204": dict.fromkeys("PRTS", (10, 50_000)),
    "M205": {
        **dict.fromkeys("XYZE", (0, 60)), **dict.fromkeys("ST", (0, 100)),
        "B": (0, 100_000), "J": (0, 1),
    },
    "M220": {"S": (10, 200), "B": (0, 0), "R": (0, 0)},
    "M221": {"S": (50, 150), "T": (0, 0)},
    "M300": {"S": (0, 20_000), "P": (0, 10_000)},
    "M73": {**dict.fromkeys("PQ", (0, 100)), **dict.fromkeys("RSCDL", (0, 1e6))},
    "M155": {"S": (0, 60)},
    "M486": {"S": (-1, 10_000), "T": (0, 10_000)},
    "M572": {"S": (0, 2), "D": (0, 0)},
    "M74": {"W": (0, 100_000)},
    "G10": {},
    "G11": {},
    "G17": {},
    "G21": {},
}  # fmt: skip
_NO_WORDS: Final = frozenset(
    {"G90", "G91", "M82", "M83", "M105", "M114", "M117", "M400", "M75", "M76", "M77", "T0"}
)
# What holds in an approved block all the same, where a program filled in the numbers.
_HELD: Final = frozenset({"arc", "blob", "dwell", "envelope", "feed", "setting", "temperature"})
_TIMELESS: Final = _BOUNDS.keys() - {"M73", "M220", "M221", "M300"} | {"M106", "M107", "M900"}
_ADVANCE_MAX_S: Final = 2.0
_ADVANCE_OLD: Final = range(10, 201)
_COMMENT: Final = ord(";")
_ARCS: Final = frozenset({"G2", "G3"})
# Turned off by slicers whether the machine has them or not. P1 may cool the nozzle's throat.
_SPARE_FANS: Final = range(2, 10)
_HEATS: Final[dict[str, str]] = {"hotend": "nozzle", "bed": "bed", "chamber": "chamber"}


_APPROVE: Final = (
    "Nobody has approved it as it stands now: look at it with"
    " `cosmolocal-agent guard --machine FILE.toml --approve`"
)
Framed = dict[int, tuple[blocks.Filled, blocks.Place]]


def judge(
    lines: Sequence[bytes], profile: MachineProfile, findings: Findings, material: str | None
) -> Facts | None:
    """The facts of a program, its faults told to `findings`; None where nothing moves."""
    who = _Judge(profile, findings, material)
    check_parentheses(lines, findings)
    check_host_words(lines, findings)
    framed = _framed(lines, profile.blocks, findings)
    tell = who.line
    for number, raw in enumerate(lines, 1):
        if raw and raw[0] != _COMMENT:
            if number in framed:
                who.block_line(*framed[number])
            else:
                tell(number, raw)
    count = len(lines) - (not lines[-1])
    who.close(count)
    if lines[-1] and who.hot and lines[-1][0] != _COMMENT:
        findings.review("cut off", count, "ends in the middle of a line, and hot: cut off?")
    return who.facts(count) if who.moved else None


def _framed(lines: Sequence[bytes], shop: Blocks | None, findings: Findings) -> Framed:
    """The lines of the shop's start and end blocks by their number."""
    if shop is None:
        return {}
    found: Framed = {}
    if shop.start:
        found |= _placed(blocks.find(shop.start, blocks.head(lines)), "start", shop, findings)
    if shop.end:
        found |= _placed(blocks.find(shop.end, blocks.tail(lines)), "end", shop, findings)
    return found


def _placed(
    found: Sequence[blocks.Filled], which: Literal["start", "end"], shop: Blocks, findings: Findings
) -> Framed:
    if not found:
        findings.note(
            "block", 0, f"the shop's {which} block is not in it: every line is judged strictly"
        )
    elif not shop.are_approved:
        findings.review("block", found[0].number, f"this is the shop's {which} block. {_APPROVE}")
    last = len(found) - 1
    return {
        filled.number: (filled, blocks.Place(which, at == last)) for at, filled in enumerate(found)
    }


class _Judge:
    """Reads line after line, and hands each command to who knows what it does."""

    def __init__(self, profile: MachineProfile, findings: Findings, material: str | None) -> None:
        assert profile.fdm is not None
        self._profile, self._fans, self._findings = profile, profile.fdm.fans, findings
        self._reader = Reader(profile, findings)
        self._heat = heat = Heat(profile, findings, material)
        self._filament = Filament(profile, heat, findings)
        self._head = head = Head(profile, self._filament, findings)
        self._move = head.move
        self._longest = profile.line_max_bytes
        self._shop = profile.blocks
        self._harmless: set[bytes] = set()
        self._handlers: dict[str, Callable[[int, str, dict[str, Number]], None]] = {
            **dict.fromkeys(("G0", "G1"), head.linear),
            **dict.fromkeys(("G2", "G3"), head.arc),
            "G4": head.dwell,
            "G28": head.home,
            "G92": self._set_position,
            **dict.fromkeys(("G90", "G91", "M82", "M83"), self._mode),
            **dict.fromkeys(("M104", "M109"), heat.nozzle),
            **dict.fromkeys(("M140", "M190"), heat.bed),
            **dict.fromkeys(("M141", "M191"), heat.chamber),
            **dict.fromkeys(("M84", "M18"), head.motors_off),
            **dict.fromkeys(("M106", "M107"), self._fan),
            "M220": self._speed,
            "M300": self._beep,
            "M221": self._flow,
            "M900": self._advance,
            "M17": self._nothing,
        }

    # ------------------------------------------------------------------ lines

    def line(self, number: int, raw: bytes) -> None:
        match = None if len(raw) > self._longest else _MOVE.fullmatch(raw)
        if match is None:
            self._other_line(number, raw)
            return
        _, f1, x, y, z, e, f2 = match.groups()
        if f1 and f2:
            self._findings.reject("words", number, "a move with two feeds")
        self._move(
            number,
            None if x is None else float(x),
            None if y is None else float(y),
            None if z is None else float(z),
            None if e is None else float(e),
            float(f1 or f2) if f1 or f2 else None,
        )

    def _other_line(self, number: int, raw: bytes) -> None:
        if raw in self._harmless or self._approved_line(number, raw):
            return
        arc = None if len(raw) > self._longest else _ARC.fullmatch(raw)
        if arc is None or not self._profile.codes >= _ARCS:
            self._strictly(number, raw)
            return
        given = zip("XYZIJEF", arc.groups()[1:], strict=True)
        words: dict[str, Number] = {letter: float(told) for letter, told in given if told}
        self._head.arc(number, arc[1].decode(), words)

    def _strictly(self, number: int, raw: bytes) -> None:
        """Read it, and remember it if it says the same, and nothing bad, wherever it stands."""
        told = self._findings.told
        name = self._read(number, raw)
        if name in _TIMELESS and told == self._findings.told:
            self._harmless.add(raw)

    def _read(self, number: int, raw: bytes) -> str | None:
        words = self._reader.words(number, raw)
        return self._command(number, words) if words else None

    # ------------------------------------------------------------------ the shop's own lines

    def block_line(self, filled: blocks.Filled, place: blocks.Place) -> None:
        """A line of a block: its effect counts, its words are the shop's, not so its numbers."""
        shop = self._shop
        assert shop is not None
        self._findings.heard = _HELD if filled.values else frozenset()
        self._read(filled.number, filled.raw)
        self._findings.heard = None
        for hole, value in filled.values:
            self._fill(filled.number, hole, value)
        if place.last and place.block == "start":
            if shop.after.homed:
                self._head.knows(AXES)
            if shop.after.hot:
                self._heat.ready()
        elif place.last and shop.end_is_off:
            self._heat.off()

    def _fill(self, number: int, hole: Hole, value: str) -> None:
        if hole.kind in ("word", "quoted"):
            return
        given = float(value)
        heats = _HEATS.get(hole.kind)
        low, high = (0.0, self._heat.top(heats)) if heats else (hole.low, hole.high)
        if not low <= given <= high:
            rule = "temperature" if heats else "block"
            self._findings.reject(
                rule, number, f"{hole.shown} is {given:g} here; {low:g} to {high:g} allowed"
            )
        if heats:
            self._heat.taken(heats, given)

    def _approved_line(self, number: int, raw: bytes) -> bool:
        """One of the lines that the shop lets stand anywhere; True when it was one."""
        filled = blocks.line_of(self._shop.lines, number, raw) if self._shop else None
        if filled is None or self._shop is None:
            return False
        if not self._shop.are_approved:
            self._findings.review("block", number, "one of the shop's own lines, not approved yet")
        self.block_line(filled, blocks.Place("body", last=False))
        return True

    def _command(self, number: int, words: Words) -> str:
        name = code(*words[0])
        if name in self._profile.review:
            self._findings.review("person", number, f"{name} waits for a person or changes set-up")
        elif name not in self._profile.codes:
            self._findings.reject("code", number, f"{name} is not allowed on this machine")
        elif name not in _NO_WORDS or len(words) == 1:
            self._known(number, name, words[1:])
        else:
            self._mode(number, name, {})
            self._findings.reject("words", number, f"{name} takes no words here")
        return name

    def _known(self, number: int, name: str, rest: Words) -> None:
        given: dict[str, Number] = dict(rest)
        if len(given) != len(rest) or any(letter in "GMN" for letter in given):
            self._findings.reject("words", number, f"{name} with a word twice or a second code")
        elif name in self._handlers:
            self._handlers[name](number, name, given)
        elif name in _BOUNDS:
            self._bounded(number, name, given)
        elif name not in _NO_WORDS:
            self._findings.reject("code", number, f"{name}: the guard does not know its effect")

    def _bounded(self, number: int, name: str, given: dict[str, Number]) -> bool:
        beyond = [
            (letter, value or 0.0)
            for letter, value in given.items()
            if not _within(_BOUNDS[name].get(letter, (1.0, 0.0)), value or 0.0)
        ]
        for letter, value in beyond:
            self._findings.reject("setting", number, f"{name} {letter}{value:g} is beyond reason")
        return not beyond

    def _advance(self, number: int, name: str, given: dict[str, Number]) -> None:
        """Linear advance: K of today's firmware in s, or in whole numbers as of before 2018."""
        new = all(0 <= (given.get(letter) or 0) <= _ADVANCE_MAX_S for letter in "KL")
        old = given.get("K") in _ADVANCE_OLD
        if set(given) - set("KLT") or given.get("T") not in (None, 0.0) or not (new or old):
            self._findings.reject("setting", number, f"{name} is beyond reason")

    def _nothing(self, number: int, name: str, given: dict[str, Number]) -> None:
        if set(given) - set("XYZE"):
            self._findings.reject("words", number, f"{name} takes only axes")

    def _mode(self, number: int, name: str, given: dict[str, Number]) -> None:
        del number, given
        if name in ("G90", "G91"):
            self._head.absolute = name == "G90"
            self._filament.axes_read(absolute=name == "G90")
        else:
            self._filament.read(absolute=name == "M82", axes_absolute=self._head.absolute)

    def _set_position(self, number: int, name: str, given: dict[str, Number]) -> None:
        e = given.get("E")
        if set(given) != {"E"} or e is None:
            self._findings.reject(
                "offset", number, f"{name} may only set E; it would shift the envelope"
            )
            return
        self._filament.count_from(e)

    def _speed(self, number: int, name: str, given: dict[str, Number]) -> None:
        if self._bounded(number, name, given):
            self._head.speed(number, given)

    def _beep(self, number: int, name: str, given: dict[str, Number]) -> None:
        if self._bounded(number, name, given):
            self._head.dwell(number, name, {"P": given.get("P")})

    def _flow(self, number: int, name: str, given: dict[str, Number]) -> None:
        if self._bounded(number, name, given) and given.get("S"):
            self._filament.flows(given["S"] or 0.0)

    def _fan(self, number: int, name: str, given: dict[str, Number]) -> None:
        speed, which = given.get("S") or 0.0, given.get("P") or 0.0
        off = name == "M107" or given.get("S") == 0
        known = which in range(self._fans) or (off and which in _SPARE_FANS)
        strange = set(given) - {"S", "P", "T"} or given.get("T") not in (None, 0.0)
        if strange or not 0 <= speed <= 255 or not known:
            self._findings.reject("setting", number, f"{name}: no such fan, or beyond S0 to S255")

    # ------------------------------------------------------------------ the end

    @property
    def hot(self) -> bool:
        return any(self._heat.targets.values())

    @property
    def moved(self) -> bool:
        return self._head.moves > 0

    def facts(self, lines: int) -> Facts:
        head, layers, filament = self._head, self._head.layers, self._filament
        layers.close()
        box = None if layers.low is None or layers.high is None else (layers.low, layers.high)
        hottest = self._heat.hottest
        return Facts(
            lines, head.seconds, box, filament.most * filament.area, 0.0, head.end,
            filament_mm=filament.most, layers=len(layers.heights),
            outline_mm=layers.outline(), hottest_c=(hottest["nozzle"], hottest["bed"]),
        )  # fmt: skip

    def close(self, lines: int) -> None:
        self._head.close()
        self._filament.close()
        for what, target in self._heat.targets.items():
            if target > 0:
                self._findings.note("left on", lines, f"ends with the {what} at {target:g} °C")


def _within(bounds: tuple[float, float], value: float) -> bool:
    return bounds[0] <= value <= bounds[1]
