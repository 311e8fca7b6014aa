"""What a file is, told by its bytes: its name only says what somebody calls it.

It reads a few kilobytes of the beginning and the end, and never unpacks anything.
"""

import re
from pathlib import Path
from typing import Final

SOLIDS: Final = ("stl", "3mf", "obj", "step")
DRAWINGS: Final = ("dxf", "svg")
IMAGES: Final = ("png", "jpeg", "webp", "gif", "tiff", "heic")

TITLES: Final = {
    "stl": "an STL",
    "3mf": "a zip archive, as a 3MF is",
    "obj": "an OBJ",
    "step": "a STEP file",
    "dxf": "a DXF",
    "svg": "an SVG",
    "png": "a PNG picture",
    "jpeg": "a JPEG picture",
    "webp": "a WebP picture",
    "gif": "a GIF picture",
    "tiff": "a TIFF picture",
    "heic": "a HEIC picture",
    "pdf": "a PDF",
    "html": "a web page",
    "xml": "XML, but no SVG",
    "gcode": "a program for a machine (G-code)",
    "program": "a program for a computer",
    "archive": "a packed archive",
}
_NAMES = {
    "stp": "step",
    "p21": "step",
    "jpg": "jpeg",
    "tif": "tiff",
    "heif": "heic",
    "htm": "html",
    "gco": "gcode",
    "nc": "gcode",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"%PDF-", "pdf"),
    (b"\x7fELF", "program"),
    (b"MZ\x90\0", "program"),
    (b"#!", "program"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"\x1f\x8b\x08", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\0", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"PK\x03\x04", "3mf"),
    (b"PK\x05\x06", "archive"),
    (b"AutoCAD Binary DXF", "dxf"),
)
_HEAD, _TAIL = 2**16, 2**16
# Possessive: what has matched is never tried another way, so that no file makes it slow.
_DXF = re.compile(rb"(?>\s*+999[ \t\r]*+\n[^\n]*+\n)*+\s*+0[ \t\r]*+\n\s*+SECTION\b")
_STEP = re.compile(rb"(?>\s++|/\*(?>[^*]++|\*(?!/))*+\*/)*+ISO-10303-21\b")
_OBJ = re.compile(rb"^[ \t]*(v[ \t]+[-+.\d]|mtllib[ \t]|usemtl[ \t])", re.MULTILINE)
_GCODE = re.compile(rb"^[ \t]*[GM]\d{1,3}\b", re.MULTILINE | re.IGNORECASE)


def called(name: str) -> str:
    """The kind that a name claims, "" where it has no ending: "Part.STP" is called step."""
    _, dot, ending = name.rpartition(".")
    ending = ending.lower() if dot else ""
    return _NAMES.get(ending, ending)


def held(path: Path) -> str:
    """The kind that the bytes are of; "" for what cannot be told."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    return _by_magic(head) or _by_words(_as_text(head)) or _stl(head, tail, size) or _loose(head)


def _by_magic(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp" and head[8:12] in {b"heic", b"heix", b"mif1", b"avif"}:
        return "heic"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def _as_text(head: bytes) -> bytes:
    """The beginning without its byte order mark; UTF-16 as one byte a letter."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return head[2:].replace(b"\0", b"")
    return head.removeprefix(b"\xef\xbb\xbf")


def _by_words(text: bytes) -> str:
    if _STEP.match(text):
        return "step"
    if text.lstrip()[:1] == b"<":
        words = text.lower()
        if b"<svg" in words or b":svg" in words:
            return "svg"
        return "html" if b"<html" in words or b"<script" in words else "xml"
    return "dxf" if _DXF.match(text) else ""


def _stl(head: bytes, tail: bytes, size: int) -> str:
    exact = len(head) >= 84 and size == 84 + 50 * int.from_bytes(head[80:84], "little")
    if exact and b"PK\x05\x06" in tail[-(2**10) :]:
        return "archive"  # both an STL and a zip: whoever opens it next decides otherwise than we
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:6].lower()
    return "stl" if exact or text.startswith(b"solid") else ""


def _loose(head: bytes) -> str:
    if b"\0" in head:
        return ""
    if _OBJ.search(head):
        return "obj"
    return "gcode" if len(_GCODE.findall(head)) > 3 else ""
