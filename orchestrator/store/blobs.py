"""Files named by the SHA-256 of their bytes: written whole or not at all, read-only, never changed.

It never trusts what it reads: bytes that no longer match their name are refused.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.store.durable import sync_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class MissingBlob(Exception):
    """No file of that name is kept here."""


class DamagedBlob(Exception):
    """The disk gave back other bytes than were stored; restore the file from a backup."""


class Blobs:
    """A folder of files, each at `<first two of its hash>/<hash>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)

    def put(self, content: bytes | Path) -> str:
        """Keep these bytes (or a copy of this file) and return their SHA-256, in hex."""
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".new-", delete=False) as new:
            spare = Path(new.name)
            try:
                sha256 = _copy(content, new.fileno())
            except BaseException:
                spare.unlink()
                raise
        self._settle(spare, sha256)
        return sha256

    def _settle(self, spare: Path, sha256: str) -> None:
        place = self._place(sha256)
        if place.exists() and _hash(place) == sha256:
            spare.unlink()
            return
        place.parent.mkdir(exist_ok=True)
        spare.chmod(0o444)
        spare.replace(place)
        sync_folder(place.parent)
        sync_folder(self._folder)

    def apart(self, *steps: str) -> "LooseBlobs":
        """Files in a folder of their own beside these, which may be thrown away."""
        return LooseBlobs(self._folder.parent.joinpath(*steps))

    def all(self) -> list[str]:
        """What is kept here."""
        return [file.name for file in self._folder.glob("??/*") if _SHA256.fullmatch(file.name)]

    def has(self, sha256: str) -> bool:
        return self._place(sha256).is_file()

    def path(self, sha256: str) -> Path:
        """Where the file is; raises MissingBlob. Who reads it there checks the hash himself."""
        place = self._place(sha256)
        if not place.is_file():
            raise MissingBlob(f"no file {sha256} is kept here")
        return place

    def read(self, sha256: str) -> bytes:
        """The bytes, checked against their name; raises MissingBlob or DamagedBlob."""
        content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DamagedBlob(f"file {sha256} has changed on disk; restore it from a backup")
        return content

    def _place(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise MissingBlob(f"{sha256[:80]!r} is no SHA-256 in lower-case hex")
        return self._folder / sha256[:2] / sha256


class LooseBlobs(Blobs):
    """Files that nobody else needs. Those of releases are never among them: who has a part is
    promised its source for years, so plain `Blobs` know no way to remove one.
    """

    def folders(self) -> list[Path]:
        """Those that are kept apart below this one."""
        return [each for each in self._folder.iterdir() if each.is_dir()]

    def remove(self, sha256: str) -> None:
        self._place(sha256).unlink(missing_ok=True)

    def throw_away(self) -> None:
        """The folder with all that is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _copy(content: bytes | Path, target: int) -> str:
    """Write the content to the open file, synced; return its hash."""
    digest = hashlib.sha256()
    with os.fdopen(os.dup(target), "wb") as out:
        for chunk in _chunks(content):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _hash(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
