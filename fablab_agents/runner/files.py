"""The content store: files by their SHA-256, fetched over HTTP, read-only, checked on every read.

A file that is not exactly what its name says is never handed out and never kept.
"""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

import httpx

MOST_BYTES: Final = 256 << 20
_CHUNK = 1 << 16
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)


class FileRefused(Exception):
    """The orchestrator does not have the file, or gives other bytes: asking again is no use."""


class FileAway(Exception):
    """The file cannot be had now (network, disk): try again later."""


def sha256_of(path: Path) -> str | None:
    """The hash of the file's bytes; None when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


class Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".part-*"):
            left.unlink()

    def path(self, sha256: str) -> Path:
        return self._folder / sha256

    def forget(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)

    async def get(self, client: httpx.AsyncClient, sha256: str, size_bytes: int) -> Path:
        """The file, from here or from the orchestrator; FileRefused or FileAway otherwise."""
        if size_bytes > MOST_BYTES:
            raise FileRefused(f"the file is larger than the {MOST_BYTES >> 20} MiB taken here")
        path = self.path(sha256)
        if await asyncio.to_thread(sha256_of, path) == sha256:
            return path
        path.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", dir=self._folder)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                await _download(client, sha256, size_bytes, file)
            part.chmod(0o444)
            part.replace(path)
        except httpx.HTTPError as error:
            raise FileAway(f"the file cannot be fetched: {error or type(error).__name__}") from None
        except OSError as error:
            raise FileAway(f"the file cannot be kept: {error}") from None
        finally:
            part.unlink(missing_ok=True)
        return path


async def _download(
    client: httpx.AsyncClient, sha256: str, size_bytes: int, into: BinaryIO
) -> None:
    digest, got = hashlib.sha256(), 0
    async with client.stream("GET", f"/files/{sha256}", timeout=_TIMEOUT) as answer:
        if answer.status_code in (401, 403, 404, 410):
            raise FileRefused(f"the orchestrator does not give the file {sha256[:12]}…")
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes(_CHUNK):
            got += len(chunk)
            if got > size_bytes:
                raise FileRefused(f"the file {sha256[:12]}… is longer than the offer says")
            digest.update(chunk)
            into.write(chunk)
    if got != size_bytes or digest.hexdigest() != sha256:
        raise FileRefused(f"the bytes of file {sha256[:12]}… are not what the offer names")
    into.flush()
    os.fsync(into.fileno())
