"""Files as they arrive: written piece by piece, and no more of them than a door takes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from starlette.datastructures import UploadFile

from designs.errors import Refused

_CHUNK: Final = 1 << 20


async def pieces(sent: UploadFile) -> AsyncIterator[bytes]:
    while piece := await sent.read(_CHUNK):
        yield piece


async def received(
    sent: AsyncIterator[bytes], path: Path, name: str, *, most: int, before: int = 0
) -> int:
    """Write what arrives to `path`; how many bytes came in all, with those of the files `before`.

    Raises Refused when that is more than `most`.
    """
    size = before
    with path.open("wb") as out:
        async for piece in sent:
            size += len(piece)
            if size > most:
                raise Refused(
                    f"it is larger than {most >> 20} MB, all files counted", name[:80] or "upload",
                    "Leave out what is not needed to make the parts",
                )  # fmt: skip
            out.write(piece)
    return size
