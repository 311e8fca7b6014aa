"""How a program must be written before its meaning is judged: bytes, lines, one spelling of words.

What is not written so is refused, because two readers could understand it differently.
"""

import re
from collections.abc import Iterator
from typing import Final

from firmware_bridge import gcode
from firmware_bridge.guard.verdict import Findings
from firmware_bridge.profiles import MachineProfile

_PLAIN: Final = bytes({9, 10, 13, *range(32, 127), *range(128, 256)})
_STRAY_RETURN: Final = re.compile(rb"\r(?!\n|\Z)")
_AT_ONCE: Final = re.compile(r"[!~?$%\x18]")
_NUMBER: Final = r"-?(?:\d{1,7}(?:\.\d{0,8})?|\.\d{1,8})"
_MARLIN: Final = re.compile(rf"[GMT](?:0|[1-9]\d{{0,3}})(?:\.[1-9])?(?: [A-Z](?:{_NUMBER})?)*")
_GRBL: Final = re.compile(rf"(?:[A-Z] ?{_NUMBER} ?)+")
_WORD: Final = re.compile(rf"([A-Z]) ?({_NUMBER})?")
_TEXT_CODES: Final = re.compile(r"M117(?: |$)")
_TWO_SPELLINGS: Final = re.compile(r"[GMT] ?(?:0\d\d|0\d\.|\d+\.(?!\d)|\d+\.\d*0|-|\.)")

Words = list[tuple[str, float | None]]


def check_bytes(data: bytes, profile: MachineProfile, findings: Findings) -> None:
    """Size and forbidden bytes, over the whole file at once."""
    if len(data) > profile.bytes_max:
        findings.reject("size", 0, f"{len(data)} bytes; at most {profile.bytes_max} are taken")
    odd = data.translate(None, _PLAIN)
    if odd:
        at = data.index(odd[:1])
        line = data.count(b"\n", 0, at) + 1
        findings.reject("control", line, f"a control character (0x{odd[0]:02x})")
    stray = _STRAY_RETURN.search(data)
    if stray:
        line = data.count(b"\n", 0, stray.start()) + 1
        findings.reject("control", line, "a carriage return in mid-line hides a second command")


class Reader:
    """Turns lines into words for one dialect, and says what keeps a line from being read."""

    def __init__(self, profile: MachineProfile, findings: Findings) -> None:
        self._form = _GRBL if profile.dialect == "grbl" else _MARLIN
        self._grbl = profile.dialect == "grbl"
        self._max = profile.line_max_bytes
        self._findings = findings

    def words(self, number: int, raw: bytes) -> Words | None:
        """The words of a line, or None when it holds no command or is refused."""
        command = gcode.strip(raw.decode("utf-8", "replace"))
        if not command:
            return None
        if not self._readable(number, command):
            return None
        if _TEXT_CODES.match(command):
            return [("M", 117.0)]
        return [(m[1], float(m[2]) if m[2] else None) for m in _WORD.finditer(command)]

    def _readable(self, number: int, command: str) -> bool:
        for rule, message in self._faults(command):
            self._findings.reject(rule, number, message)
            return False
        return True

    def _faults(self, command: str) -> Iterator[tuple[str, str]]:
        shown = command[:40].encode("ascii", "backslashreplace").decode()
        if len(command) > self._max:
            yield "length", f"{len(command)} characters; the machine reads {self._max}"
        if not command.isascii():
            yield "ascii", f"a character that machines do not read: {shown}"
        if command[0] in "Nn" or ("*" in command and not _TEXT_CODES.match(command)):
            yield "numbered", f"its own line number or checksum: {shown}"
        if self._grbl and _AT_ONCE.search(command):
            yield "realtime", f"a character that the controller obeys at once: {shown}"
        if not _TEXT_CODES.match(command) and not self._spelled(command):
            yield "spelling", f"not in the one spelling that is read: {shown}"

    def _spelled(self, command: str) -> bool:
        return bool(self._form.fullmatch(command)) and not _TWO_SPELLINGS.search(command)


def code(letter: str, value: float | None) -> str:
    """`G` and 1.0 as "G1"; "G91.1" keeps its part."""
    return letter if value is None else f"{letter}{value:g}"
