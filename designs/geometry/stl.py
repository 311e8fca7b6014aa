"""Reads STL, binary or text, exactly as long as it says it is.

It never guesses at a damaged file and never keeps names, colours or attributes.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from designs.errors import Refused
from designs.geometry.mesh import MAX_TRIANGLES, Held, Points, checked

_LONGEST_LINE = 1024
_AGAIN = "Export the STL again"


def read(path: Path) -> Held:
    """One piece, with three corners of their own for each triangle; raises `Refused`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(84)
        count = int.from_bytes(head[80:84], "little")
        if len(head) == 84 and size == 84 + 50 * count:
            corners = _binary(file, count)
        elif head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(b"solid"):
            file.seek(0)
            corners = _text(file)
        else:
            _refuse_length(size, count)
    return Held([(checked(corners), np.arange(len(corners)).reshape(-1, 3))])


def _refuse_length(size: int, count: int) -> NoReturn:
    if size < 84:
        raise Refused("it is too short to be an STL", f"byte {size}", _AGAIN)
    room, beyond = divmod(size - 84, 50)
    raise Refused(
        f"it says {count} triangles but has room for {room}: cut off or damaged"
        if room != count
        else f"{beyond} bytes more follow its {count} triangles: damaged, or two files in one",
        f"byte {size}",
        _AGAIN,
    )


def _refuse_count(count: int) -> None:
    if count == 0:
        raise Refused("it holds no triangles", "the file", _AGAIN)
    if count > MAX_TRIANGLES:
        raise Refused(
            f"it has more than {MAX_TRIANGLES:,} triangles", "the file", "Export it coarser"
        )


def _binary(file: BinaryIO, count: int) -> Points:
    _refuse_count(count)
    records = np.frombuffer(file.read(50 * count), dtype=np.uint8).reshape(count, 50)
    return records[:, 12:48].copy().view("<f4").reshape(-1, 3).astype(np.float64)


def _text(file: BinaryIO) -> Points:
    numbers = array("d")
    for where, corner in _corners(_words(file)):
        try:
            numbers.extend(number(word) for word in corner)
        except ValueError:
            raise Refused("a corner is not three numbers", f"line {where}", _AGAIN) from None
        if len(numbers) > 9 * MAX_TRIANGLES:
            break
    _refuse_count(len(numbers) // 9)
    return np.array(numbers).reshape(-1, 3)


def number(word: bytes) -> float:
    """A number as programs of every language write it: Python's 1_000 is none."""
    if b"_" in word:
        raise ValueError("an underscore in a number")
    return float(word)


def _words(file: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise Refused("the line is far too long for an STL", f"line {number}", _AGAIN)
        words = line.lower().split()
        if words:
            yield number, words


_NEXT = {  # what may follow what in a text STL
    b"": {b"solid"},
    b"solid": {b"facet", b"endsolid"},
    b"facet": {b"outer"},
    b"outer": {b"vertex"},
    b"vertex": {b"vertex", b"endloop"},
    b"endloop": {b"endfacet"},
    b"endfacet": {b"facet", b"endsolid"},
    b"endsolid": {b"solid"},
}


def _corners(lines: Iterator[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
    before, loop = b"", 0
    for number, words in lines:
        word = words[0].removeprefix(b"\xef\xbb\xbf")
        if word not in _NEXT[before]:
            shown = word[:20].decode("ascii", "replace")
            raise Refused(f"{shown!r} cannot stand here", f"line {number}", _AGAIN)
        if word == b"vertex":
            loop += 1
            if len(words) != 4:
                raise Refused("a corner is not three numbers", f"line {number}", _AGAIN)
            yield number, words[1:]
        if word == b"endloop":
            if loop != 3:
                raise Refused(f"a facet has {loop} corners", f"line {number}", _AGAIN)
            loop = 0
        before = word
    if before != b"endsolid":
        raise Refused("it stops in the middle: cut off", "the last line", _AGAIN)
