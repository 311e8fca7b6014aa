"""What a power cut may leave of what a process wrote: recorded by the gate, rebuilt for a moment.

As strict as POSIX allows: of the writes since a file's last sync any subset is kept, each whole or
in any of its sectors; a name is only sure once its folder was synced, whatever the file was.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.crash.gate import GO, SYNCS, Call, Word

SECTOR: Final = 512


@dataclass(frozen=True)
class Change:
    """One thing done to the disk; `other` is a rename's goal, `at` an offset or a size."""

    what: str
    path: str
    other: str = ""
    at: int = 0
    data: bytes = b""


class Recorder:
    """A judge for a gate that writes down every change below a folder and lets it happen."""

    def __init__(self, folder: Path) -> None:
        self._below = f"{folder.resolve()}/"
        self.changes: list[Change] = []

    def __call__(self, call: Call) -> Word:
        self.changes += [each for each in _changes(call) if self._ours(each)]
        return GO

    def _ours(self, change: Change) -> bool:
        return f"{change.path}/".startswith(self._below) and not change.path.endswith("-shm")


def _changes(call: Call) -> Iterator[Change]:
    match call.name:
        case "fsync" | "fdatasync":
            yield Change("sync", call.path)
        case "write" | "pwrite64" | "writev" | "sendfile":
            if call.path.startswith("/"):
                yield Change("write", call.path, at=call.offset, data=call.data)
        case "ftruncate":
            yield Change("size", call.path, at=call.given[1])
        case "openat":
            yield from _opened(call)
        case "mkdir" | "mkdirat":
            yield Change("folder", call.named(0 if call.name == "mkdir" else 1))
        case "unlink" | "rmdir" | "unlinkat":
            yield Change("remove", call.named(1 if call.name == "unlinkat" else 0))
        case "rename":
            yield Change("rename", call.named(0), call.named(1))
        case _:
            yield Change("rename", call.named(1), call.named(3))


def _opened(call: Call) -> Iterator[Change]:
    path = call.named(1)
    if not Path(path).exists():
        yield Change("make", path)
    elif call.given[2] & os.O_TRUNC:
        yield Change("size", path, at=0)


RECORDED: Final = (
    "write", "pwrite64", "writev", "sendfile", "ftruncate", "openat", "mkdir", "mkdirat",
    "unlink", "rmdir", "unlinkat", "rename", "renameat", "renameat2", *SYNCS,
)  # fmt: skip


@dataclass(eq=False)
class _File:
    """Bytes that are sure, and what was done to them since."""

    sure: bytes = b""
    since: list[Change] = field(default_factory=list[Change])

    def now(self) -> bytes:
        return _done(self.sure, self.since)

    def cut(self, chance: random.Random) -> bytes:
        """Any subset of what was done since, in any of its sectors."""
        keep, tear = chance.random(), chance.random()
        kept: list[Change] = []
        for each in self.since:
            if chance.random() < keep:
                kept += _torn(each, chance) if chance.random() < tear else [each]
        return _done(self.sure, kept)


def _done(data: bytes, changes: list[Change]) -> bytes:
    out = bytearray(data)
    for each in changes:
        if each.what == "size":
            out = out[: each.at] + bytes(max(0, each.at - len(out)))
        else:
            out += bytes(max(0, each.at - len(out)))
            out[each.at : each.at + len(each.data)] = each.data
    return bytes(out)


def _torn(change: Change, chance: random.Random) -> Iterator[Change]:
    """The sectors of a write that reached the disk."""
    at, end = change.at, change.at + len(change.data)
    while at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR)
        if chance.random() < 0.5:
            yield Change(
                "write", change.path, at=at, data=change.data[at - change.at :][: stop - at]
            )
        at = stop


Names = dict[str, _File | None]
"""A path's file; None for a folder."""


class Disk:
    """What was there before, and what the changes make of it."""

    def __init__(self, before: Path, root: Path) -> None:
        """`before`: a copy of `root` as it was."""
        self._now: Names = {str(root): None}
        for path in sorted(before.rglob("*")):
            name = str(root / path.relative_to(before))
            if path.is_dir():
                self._now[name] = None
            elif path.is_file() and not path.name.endswith("-shm"):
                self._now[name] = _File(path.read_bytes())
        self._sure: Names = dict(self._now)
        self._moves: list[dict[str, tuple[_File | None] | None]] = []

    def do(self, change: Change) -> None:
        match change.what:
            case "sync":
                self._sync(change.path)
            case "write" | "size":
                found = self._now.get(change.path)
                if found is not None:
                    found.since.append(change)
            case "make":
                self._name({change.path: (_File(),)})
            case "folder":
                if change.path not in self._now:
                    self._name({change.path: (None,)})
            case "rename":
                self._name(self._renamed(change.path, change.other))
            case _:
                self._name({change.path: None})

    def _renamed(self, old: str, new: str) -> dict[str, tuple[_File | None] | None]:
        """A folder takes along what is in it."""
        moved: dict[str, tuple[_File | None] | None] = {}
        for path in [p for p in self._now if p == old or p.startswith(f"{old}/")]:
            moved[path] = None
            moved[new + path[len(old) :]] = (self._now[path],)
        return moved

    def _name(self, move: dict[str, tuple[_File | None] | None]) -> None:
        self._moves.append(move)
        _apply(self._now, move)

    def _sync(self, path: str) -> None:
        found = self._now.get(path)
        if found is not None:
            found.sure, found.since = found.now(), []
            return
        for move in [each for each in self._moves if any(_in(path, name) for name in each)]:
            _apply(self._sure, move)
            self._moves.remove(move)

    # ── after the cut

    def kept(self) -> dict[str, bytes | None]:
        """All of it: what a killed process leaves."""
        return {path: file.now() if file else None for path, file in self._now.items()}

    def lost(self) -> dict[str, bytes | None]:
        """Nothing but what was synced."""
        return {path: file.sure if file else None for path, file in self._sure.items()}

    def cut(self, chance: random.Random) -> dict[str, bytes | None]:
        """Some of it."""
        names, keep = dict(self._sure), chance.random()
        for move in self._moves:
            if chance.random() < keep:
                _apply(names, move)
        return {path: file.cut(chance) if file else None for path, file in names.items()}


def _in(folder: str, path: str) -> bool:
    return os.path.dirname(path) == folder  # noqa: PTH120 - ten thousands of times


def _apply(names: Names, move: dict[str, tuple[_File | None] | None]) -> None:
    for path, file in move.items():
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file[0]


def lay_out(state: dict[str, bytes | None], root: str, folder: Path) -> None:
    """Write a state below `folder`; what has lost the folder that it was in is lost."""
    for path, data in sorted(state.items()):
        place = folder / os.path.relpath(path, root)
        if data is None:
            if place.parent.is_dir() or path == root:
                place.mkdir(exist_ok=True)
        elif place.parent.is_dir():
            place.write_bytes(data)
