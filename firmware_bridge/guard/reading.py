"""How a printer's program must be written before its meaning is judged: bytes, one spelling.

What is not written so is refused, because two readers could understand it differently.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from firmware_bridge import gcode
from firmware_bridge.guard.verdict import Findings
from firmware_bridge.profiles import MachineProfile

_PLAIN: Final = bytes({9, 10, 13, *range(32, 127), *range(128, 256)})
_STRAY_RETURN: Final = re.compile(rb"\r(?!\n|\Z)")
_NUMBER: Final = r"[-+]?(?:\d{1,7}(?:\.\d{0,8})?|\.\d{1,8})"
_FORM: Final = re.compile(rf"[GMT](?:0|[1-9]\d{{0,3}})(?:\.[1-9])?(?: +[A-Z](?:{_NUMBER})?)*")
_WORD: Final = re.compile(rf"([A-Z])({_NUMBER})?")
# What follows is shown or kept as a name, never read as words: a message, the name of an object.
_TEXT_CODES: Final = re.compile(r"(M117)(?: |$)|(M486) (?:S\d{1,4} )?A")
_WORD_INSIDE: Final = re.compile(rb"[A-Za-z]\s*[-+.]?\d|=")
_HOST_WORDS: Final = re.compile(
    rb";\s*@(?:pause|resume|cancel|abort|call|execute|func|sound|isathome|kill|set|reset)\b",
    re.IGNORECASE,
)
_CONTAINERS: Final = {
    b"GCDE": "binary G-code (.bgcode)",
    b"PK\x03\x04": "a packed file (.3mf or .zip)",
    b"\xef\xbb\xbf": "text with a byte order mark",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}

Words = list[tuple[str, float | None]]


def container(data: bytes) -> str | None:
    """What a file is that only looks like a program from outside, or None."""
    return next((what for magic, what in _CONTAINERS.items() if data.startswith(magic)), None)


def check_bytes(data: bytes, findings: Findings) -> None:
    """Forbidden bytes, over the whole file at once."""
    odd = data.translate(None, _PLAIN)
    if odd:
        at = data.index(odd[:1])
        line = data.count(b"\n", 0, at) + 1
        findings.reject("control", line, f"a control character (0x{odd[0]:02x})")
    stray = _STRAY_RETURN.search(data)
    if stray:
        line = data.count(b"\n", 0, stray.start()) + 1
        findings.reject("control", line, "a carriage return in mid-line hides a second command")


def check_parentheses(lines: Sequence[bytes], findings: Findings) -> None:
    """Commands beside a `( )`: where a server is handed the file, Marlin and Klipper read on in
    there (PAREN_COMMENTS is off as it comes), so `G1 X1 (Z0)` would sink.
    """
    for number, raw in enumerate(lines, 1):
        if b"(" in raw and _reads_on(raw):
            said = "( ) is no comment to every printer; write ; instead"
            findings.reject("spelling", number, said)


def check_host_words(lines: Sequence[bytes], findings: Findings) -> None:
    """`;@pause` and its like: a comment to the machine, an order to some hosts."""
    for number, raw in enumerate(lines, 1):
        if b"@" in raw:
            words = _HOST_WORDS.search(raw)
            if words:
                said = words[0].decode().strip()
                findings.reject("host", number, f"words that some hosts obey in a comment: {said}")


def _reads_on(raw: bytes) -> bool:
    told, sent = gcode.command(raw), raw.split(b";", 1)[0].strip()
    if not told or b"(" not in sent or _TEXT_CODES.match(told.decode("latin-1")):
        return False
    return sent.startswith(b"(") or _WORD_INSIDE.search(sent, sent.index(b"(")) is not None


class Reader:
    """Turns a printer's lines into words, and says what keeps a line from being read."""

    def __init__(self, profile: MachineProfile, findings: Findings) -> None:
        self._max = profile.line_max_bytes
        self._findings = findings

    def words(self, number: int, raw: bytes) -> Words | None:
        """The words of a line, or None when it holds no command or is refused."""
        told = gcode.command(raw).decode("utf-8", "replace")
        if not told:
            return None
        if not self._readable(number, told):
            return None
        text = _TEXT_CODES.match(told)
        if text:
            return [("M", float((text[1] or text[2])[1:]))]
        return [(m[1], float(m[2]) if m[2] else None) for m in _WORD.finditer(told)]

    def _readable(self, number: int, told: str) -> bool:
        for rule, message in self._faults(told):
            self._findings.reject(rule, number, message)
            return False
        return True

    def _faults(self, told: str) -> Iterator[tuple[str, str]]:
        shown = told[:40].encode("ascii", "backslashreplace").decode()
        text = _TEXT_CODES.match(told)
        if len(told) > self._max:
            yield "length", f"{len(told)} characters; the machine reads {self._max}"
        if not (told.isascii() and told.isprintable()):
            yield "ascii", f"a character that machines do not read: {shown}"
        if told[0] in "Nn" or ("*" in told and not text):
            yield "numbered", f"its own line number or checksum: {shown}"
        if text and "//" in told:
            yield "host", f"words that a host could take for an order of the machine: {shown}"
        if not text and not _FORM.fullmatch(told):
            yield "spelling", f"not in the one spelling that is read: {shown}"


def code(letter: str, value: float | None) -> str:
    """`G` and 1.0 as "G1"; "G91.1" keeps its part."""
    return letter if value is None else f"{letter}{value:g}"
