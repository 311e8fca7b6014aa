"""GRBL 1.1's side of the line, read from its `serial.c`, `protocol.c` and interface document.

It has no line numbers and no checksum, so it executes whatever parses; a line that does not parse
gets `error:N` and is left out, and the next one is taken as if nothing had happened.
"""

import re
from typing import Final

from bench.streaming.board import Planner, Wire

_LINE_MAX: Final = 79
_REALTIME: Final = re.compile(rb"[?!~\x18\x80-\xff]")
_WORDS: Final = re.compile(rb"(?:[A-Z][+-]?(?:\d+\.?\d*|\.\d+))+")
_WORD: Final = re.compile(rb"([A-Z])([+-]?(?:\d+\.?\d*|\.\d+))")
_FAST: Final = re.compile(rb"G1 X-?\d+\.\d+ Y-?\d+\.\d+ F\d+")
_LETTERS: Final = frozenset(b"FGIJKLMNPRSTXYZ")
_NOT_NEGATIVE: Final = frozenset(b"FNPTS")
_G: Final[dict[float, str]] = {
    0: "motion", 1: "motion", 2: "motion", 3: "motion", 80: "motion", 38.2: "motion",
    38.3: "motion", 38.4: "motion", 38.5: "motion", 4: "once", 10: "once", 28: "once", 28.1: "once",
    30: "once", 30.1: "once", 53: "once", 92: "once", 92.1: "once", 17: "plane", 18: "plane",
    19: "plane", 20: "units", 21: "units", 40: "cutter", 43.1: "length", 49: "length", 54: "system",
    55: "system", 56: "system", 57: "system", 58: "system", 59: "system", 61: "path",
    90: "distance", 91: "distance", 91.1: "arc", 93: "feed", 94: "feed",
}  # fmt: skip
_M: Final[dict[float, str]] = {
    0: "stop", 1: "stop", 2: "stop", 30: "stop", 3: "spindle", 4: "spindle", 5: "spindle",
    7: "coolant", 8: "coolant", 9: "coolant", 56: "override",
}  # fmt: skip
_DEFAULTS: Final = (
    ("motion", "G0"), ("system", "G54"), ("plane", "G17"), ("units", "G21"), ("distance", "G90"),
    ("feed", "G94"), ("spindle", "M5"), ("coolant", "M9"),
)  # fmt: skip
_SETTINGS: Final = (
    (0, "10"), (1, "25"), (2, "0"), (3, "0"), (4, "0"), (5, "0"), (6, "0"), (10, "1"),
    (11, "0.010"), (12, "0.002"), (13, "0"), (20, "0"), (21, "0"), (22, "0"), (23, "0"),
    (24, "25.000"), (25, "500.000"), (26, "250"), (27, "1.000"), (30, "12000"), (31, "0"),
    (32, "0"),
    (100, "800.000"), (101, "800.000"), (102, "800.000"), (110, "8000.000"), (111, "8000.000"),
    (112, "800.000"), (120, "100.000"), (121, "100.000"), (122, "50.000"), (130, "300.000"),
    (131, "300.000"), (132, "45.000"),
)  # fmt: skip


class Grbl:
    """One GRBL controller: real-time bytes, the line parser, hold, check mode."""

    banner = b"\r\nGrbl 1.1h ['$' for help]\r\n"

    def __init__(self, wire: Wire, planner: Planner | None) -> None:
        self.wire = wire
        self.planner = planner
        self.ready = 0.0
        self.held: list[tuple[bytes, float]] | None = None
        self.alarm = False
        self.check = False
        self.feed = False
        self.facts = {"errors": 0, "holds": 0, "soft resets": 0, "alarms": 0, "after error": 0}

    def reset(self, at: float) -> None:
        self.held, self.check, self.feed, self.alarm = None, False, False, False
        self.ready = at
        if self.planner:
            self.planner.clear()

    def idle(self, now: float) -> float | None:
        del now

    # -- real-time bytes, taken out of the stream before the receive buffer

    def realtime(self, data: bytes, at: float) -> bytes:
        if not _REALTIME.search(data):
            return data
        for found in _REALTIME.finditer(data):
            self._at_once(found[0], at)
        return _REALTIME.sub(b"", data)

    def _at_once(self, byte: bytes, at: float) -> None:
        if byte == b"?":
            self._report(at)
        elif byte == b"!" and self.held is None and not self.alarm:
            self.facts["holds"] += 1
            self.held = []
        elif byte == b"~" and self.held is not None:
            waiting, self.held = self.held, None
            for line, _ in waiting:
                self.take(line, at)
        elif byte == b"\x18":
            self._soft_reset(at)

    def _soft_reset(self, at: float) -> None:
        self.facts["soft resets"] += 1
        moving = self.held is None and self._moving(at)
        self.reset(at)
        self.wire.partial = b""
        self.wire.deaf_until = max(self.wire.deaf_until, at)
        if moving:
            self._alarm(3, at)
        self.wire.say(self.banner, at)
        if moving:
            self.wire.say(b"[MSG:'$H'|'$X' to unlock]\r\n", at)

    def _alarm(self, number: int, at: float) -> None:
        self.alarm = True
        self.facts["alarms"] += 1
        self.wire.say(b"ALARM:%d\r\n" % number, at)

    def _moving(self, at: float) -> bool:
        return self.planner is not None and at < self.planner.last_end

    def _report(self, at: float) -> None:
        state = "Alarm" if self.alarm else "Check" if self.check else "Idle"
        if self.held is not None:
            state = "Hold:0"
        elif self._moving(at):
            state = "Run"
        x, y, z = self._position()
        text = f"<{state}|MPos:{x:.3f},{y:.3f},{z:.3f}|FS:0,0|WCO:0.000,0.000,0.000>\r\n"
        self.wire.say(text.encode(), at)

    # -- lines

    def take(self, line: bytes, at: float) -> None:
        if self.held is not None:
            self.held.append((line, at))
            return
        read_at = max(at, self.ready)
        if (read_at > at or self.wire.buffered) and not self.wire.store(line, at, read_at):
            return
        body = line[:-1]
        if b"\r" not in body:
            self._line(body, len(line), read_at)
            return
        for part in body.split(b"\r"):  # each line end gets an answer, so CR LF gets two
            self._line(part, len(line), max(read_at, self.ready))

    def _line(self, body: bytes, size: int, at: float) -> None:
        if self.feed and not self.alarm and not self.check and _FAST.fullmatch(body):
            self._move(body, size, at)
            return
        text = self._filtered(body)
        if text.startswith(b"$"):
            self._system(text, at)
            return
        error = self._error(text)
        if error:
            self.facts["errors"] += 1
            self.wire.acknowledge(b"error:%d\r\n" % error, at)
        elif not text or self.check:
            self.wire.acknowledge(b"ok\r\n", at)
        else:
            self.feed = self.feed or b"F" in text
            self._move(body, size, at)

    @staticmethod
    def _filtered(body: bytes) -> bytes:
        """As the main loop reads it: comments, blanks and control characters out, upper case."""
        text = re.sub(rb"\([^)]*(?:\)|$)", b"", body.split(b";", 1)[0])
        return re.sub(rb"[\x00-\x20/]", b"", text).upper()

    def _move(self, body: bytes, size: int, at: float) -> None:
        if self.facts["errors"]:
            self.facts["after error"] += 1
        if self.planner and (b"X" in body or b"Y" in body or b"Z" in body):
            at = self.planner.add(at)
        elif self.planner and body.startswith(b"G4"):
            at = max(at, self.planner.last_end)
        self.ready = at
        self.wire.ran(body, size, at)
        self.wire.acknowledge(b"ok\r\n", at)

    def _error(self, text: bytes) -> int:
        """The number of GRBL's complaint about a line, or 0."""
        if len(text) > _LINE_MAX:
            return 11
        if not text:
            return 0
        if self.alarm:
            return 9
        if not _WORDS.fullmatch(text):
            return 1 if not re.match(rb"(?:[A-Z][+-]?(?:\d+\.?\d*|\.\d+))*[A-Z]", text) else 2
        return self._meaning(_WORD.findall(text))

    def _meaning(self, words: list[tuple[bytes, bytes]]) -> int:
        groups: set[str] = set()
        letters: set[int] = set()
        for letter, value in words:
            code = letter[0]
            if code not in _LETTERS:
                return 20
            if code in b"GM":
                group = (_G if code == 71 else _M).get(float(value))
                if group is None:
                    return 20
                if group in groups and group != "once":
                    return 21
                groups.add(group)
            elif code in letters:
                return 25
            else:
                letters.add(code)
            if code in _NOT_NEGATIVE and value.startswith(b"-"):
                return 4
        return self._unused(groups, letters)

    def _unused(self, groups: set[str], letters: set[int]) -> int:
        axes = letters & set(b"XYZ")
        if letters & set(b"IJKR") and not axes:
            return 36
        if "motion" in groups and axes and not self.feed and ord("F") not in letters:
            return 22
        return 0

    # -- `$` commands

    def _system(self, text: bytes, at: float) -> None:
        answer = self._said(text)
        if answer is None:
            self.wire.acknowledge(b"error:3\r\n", at)
            return
        self.wire.say(answer.encode(), at) if answer else None
        self.wire.acknowledge(b"ok\r\n", at)
        if text == b"$C":
            self.check = not self.check
            if not self.check:
                self.reset(at)
                self.wire.say(self.banner, at)
        if text == b"$X":
            self.alarm = False

    def _said(self, text: bytes) -> str | None:
        if text == b"$$":
            return "".join(f"${number}={value}\r\n" for number, value in _SETTINGS)
        if text == b"$I":
            return "[VER:1.1h.20190825:]\r\n[OPT:V,15,128]\r\n"
        if text == b"$G":
            return self._modes()
        if text == b"$#":
            zero = ":0.000,0.000,0.000]\r\n"
            names = ("G54", "G55", "G56", "G57", "G58", "G59", "G28", "G30", "G92")
            return (
                "".join(f"[{name}{zero}" for name in names)
                + "[TLO:0.000]\r\n[PRB:0.000,0.000,0.000:0]\r\n"
            )
        if text == b"$C":
            return "[MSG:Disabled]\r\n" if self.check else "[MSG:Enabled]\r\n"
        if text == b"$N":
            return "$N0=\r\n$N1=\r\n"
        if text == b"$X":
            return "[MSG:Caution: Unlocked]\r\n" if self.alarm else ""
        return None

    def _modes(self) -> str:
        """`$G` from what was executed; words that never came have GRBL's defaults."""
        found: dict[str, str] = {}
        for command in reversed(self.wire.executed[-20000:]):
            for letter, value in _WORD.findall(self._filtered(command)):
                self._mode(letter.decode(), float(value), found)
            if len(found) == 11:
                break
        modes = " ".join(found.get(group, default) for group, default in _DEFAULTS)
        rest = " ".join(letter + found.get(letter, "0") for letter in "TFS")
        return f"[GC:{modes} {rest}]\r\n"

    @staticmethod
    def _mode(letter: str, value: float, found: dict[str, str]) -> None:
        if letter in "GM":
            group = (_G if letter == "G" else _M).get(value, "once")
            found.setdefault(group, f"{letter}{value:g}")
        elif letter in "TFS":
            found.setdefault(letter, f"{value:g}")

    def _position(self) -> tuple[float, float, float]:
        """X, Y, Z in mm: the last word of each in what was executed (absolute programs only)."""
        found: dict[bytes, float] = {}
        for command in reversed(self.wire.executed):
            for letter, value in _WORD.findall(self._filtered(command)):
                if letter in (b"X", b"Y", b"Z"):
                    found.setdefault(letter, float(value))
            if len(found) == 3:
                break
        return found.get(b"X", 0.0), found.get(b"Y", 0.0), found.get(b"Z", 0.0)
