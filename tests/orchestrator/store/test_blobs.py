import hashlib
from pathlib import Path

import pytest

from orchestrator.store import Blobs, DamagedBlob, MissingBlob


def test_bytes_and_files_come_back_under_their_hash(tmp_path: Path):
    blobs = Blobs(tmp_path / "blobs")
    (tmp_path / "part.stl").write_bytes(b"solid" * 1000)
    assert blobs.put(b"solid" * 1000) == blobs.put(tmp_path / "part.stl")
    sha256 = hashlib.sha256(b"solid" * 1000).hexdigest()
    assert blobs.read(sha256) == b"solid" * 1000
    assert blobs.path(sha256).stat().st_mode & 0o777 == 0o444
    assert [p.name for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == [sha256]


def test_bytes_that_changed_on_disk_are_refused_and_can_be_put_again(tmp_path: Path):
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(b"as designed")
    blobs.path(sha256).chmod(0o644)
    blobs.path(sha256).write_bytes(b"as tampered")
    with pytest.raises(DamagedBlob):
        blobs.read(sha256)
    blobs.put(b"as designed")
    assert blobs.read(sha256) == b"as designed"


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_what_is_not_there_is_missing(tmp_path: Path, name: str):
    blobs = Blobs(tmp_path)
    assert name != "0" * 64 or not blobs.has(name)
    with pytest.raises(MissingBlob):
        blobs.path(name)


def test_a_put_that_fails_leaves_nothing(tmp_path: Path):
    blobs = Blobs(tmp_path / "blobs")
    with pytest.raises(FileNotFoundError):
        blobs.put(tmp_path / "not there")
    assert not [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]
