"""Judges a zip archive before anything of it is unpacked, and says what is taken out of a 3MF.

It never writes a file and never unpacks more than an entry claims.
"""

import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator

from designs.errors import Finding, LimitExceeded, Refused, Severity

MAX_ENTRIES = 1000
MAX_ENTRY_BYTES = 320 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
MAX_RATIO = 200  # unpacked / packed, for entries over 1 MiB
_SETTINGS_BYTES = 4 * 2**20  # of slicer settings looked through
_LOCAL_HEADER = 30
_PLAIN = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_AGAIN = "Export the 3MF again"
_COMMAND = re.compile(
    rb"""["']?\b(post_process|\w*g_?code|gcode_substitutions)["']?[ \t]*[=:][ \t]*([^\r\n]*)"""
)
_AID = re.compile(  # as PrusaSlicer and its kin, and as Bambu Studio and its kin name them
    rb"""(?:volume_type["'] value=|subtype=)["']\w*?(modifier|negative|enforcer|blocker)""",
    re.IGNORECASE,
)
_AIDS = {
    b"modifier": "modifiers",
    b"negative": "bodies to be cut away",
    b"enforcer": "support enforcers",
    b"blocker": "support blockers",
}
_EMPTY = {b"", b'""', b"''", b"[]", b"nil", b"0", b"1"}
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".svg")
_PROGRAMS = (".gcode", ".bgcode", ".gcode.md5", ".ngc")
_FRAME = ("[content_types].xml", ".rels")


def safe_names(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries by name in one case; raises `Refused` for an archive that lies or hides."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise LimitExceeded(f"it holds {len(entries)} files", "the archive", _AGAIN)
    for entry in entries:
        _refuse_unsafe(entry)
    names = {entry.filename.casefold(): entry for entry in entries}
    if len(names) != len(entries):
        raise Refused("two files in it have the same name", "the archive", _AGAIN)
    if sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        raise LimitExceeded("it unpacks to too much", "the archive", "Export a simpler part")
    _refuse_overlaps(entries, size)
    return names


def taken_out(
    archive: zipfile.ZipFile, models: set[str], metadata: Iterable[str]
) -> Iterator[Finding]:
    """What the package holds beside its models (names in one case), and that it was left out."""
    others = [
        e for e in archive.infolist() if not e.is_dir() and e.filename.casefold() not in models
    ]
    others = [e for e in others if not e.filename.casefold().endswith(_FRAME)]
    kinds = {
        "programs for a machine": [e for e in others if _ends(e, _PROGRAMS)],
        "pictures": [e for e in others if _ends(e, _PICTURES)],
    }
    known = [e for found in kinds.values() for e in found]
    rest = [e for e in others if e not in known]
    kinds["settings and other files"] = rest
    for what, found in kinds.items():
        if found:
            yield note(_listed(e.filename for e in found), f"{what} in it were taken out")
    settings = list(_texts(archive, rest))
    commands = _commands(settings)
    shell = sorted(c for c in commands if c.startswith("post_process"))
    if shell:
        yield Finding(
            severity=Severity.WARNING,
            where=_listed(shell),
            what="commands for the computer that slices it were taken out; they are never run",
            do="Ask where this file comes from",
        )
    if commands - set(shell):
        what = "machine commands (G-code) in the slicer's settings were taken out"
        yield note(_listed(sorted(commands - set(shell))), what)
    bodies = Counter(_AIDS[word.lower()] for text in settings for word in _AID.findall(text))
    if bodies:
        yield Finding(
            severity=Severity.WARNING,
            where=_listed(f"{count} {what}" for what, count in bodies.items()),
            what="bodies that only tell a slicer something were taken for solid ones",
            do="Cut, unite or remove them in the design program, and export the part alone",
        )
    named = [name for name in metadata if name]
    if named:
        yield note(_listed(named), "metadata of the model was taken out")


def _ends(entry: zipfile.ZipInfo, endings: tuple[str, ...]) -> bool:
    return entry.filename.casefold().endswith(endings)


def _listed(names: Iterable[str]) -> str:
    every = [name[:60] for name in names]
    more = f" and {len(every) - 5} more" if len(every) > 5 else ""
    return ", ".join(every[:5]) + more


def _texts(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[bytes]:
    """The settings; a file that cannot be unpacked holds none."""
    left = _SETTINGS_BYTES
    for entry in entries:
        try:
            with archive.open(entry) as file:
                text = file.read(left)
        except Exception:  # noqa: BLE001, S112 - damaged, and left out whatever it is
            continue
        left -= len(text)
        yield text


def _commands(texts: Iterable[bytes]) -> set[str]:
    """Names of the settings that hold commands."""
    found = set[str]()
    for text in texts:
        for name, value in _COMMAND.findall(text):
            if value.strip(b" \t,;") not in _EMPTY and len(found) < 100:
                found.add(name.decode("ascii", "replace")[:60])
    return found


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    shown = name[:80]
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or name[1:2] == ":":
        raise Refused("a name in it points outside the archive", shown, _AGAIN)
    if entry.flag_bits & 1:
        raise Refused("it is encrypted", shown, "Export it without a password")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise Refused("it holds a link instead of a file", shown, _AGAIN)
    if entry.compress_type not in _PLAIN:
        raise Refused("it is packed in a way no 3MF uses", shown, _AGAIN)
    bomb = entry.file_size > 2**20 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1)
    if bomb or entry.file_size > MAX_ENTRY_BYTES:
        raise LimitExceeded(
            f"it unpacks to {entry.file_size / 2**20:.0f} MiB", shown, "Export a simpler part"
        )


def _refuse_overlaps(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Each entry has bytes of its own, the first at the very beginning of the file."""
    end = 0
    for entry in sorted(entries, key=lambda e: e.header_offset):
        if entry.header_offset < end or (end == 0 and entry.header_offset > 0):
            what = "its files lie over each other" if end else "something stands before the archive"
            raise Refused(what, entry.filename[:80], _AGAIN)
        end = entry.header_offset + _LOCAL_HEADER + entry.compress_size
    if end > size:
        raise Refused("it is cut off", "the archive", _AGAIN)


def note(where: str, what: str) -> Finding:
    """What was left out, and decides nothing."""
    return Finding(severity=Severity.NOTE, where=where, what=what, do="Nothing to do")
