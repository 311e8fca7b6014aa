"""Archives: what strangers pack is taken apart within bounds; a release's own can be checked."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from designs import archive, bounded
from designs.archive import unpack, verify, write
from designs.design import Release
from designs.errors import DesignRefused, Refused
from tests.designs.test_design import a_part, a_release

HOOK = b"solid hook\nendsolid hook\n"
NOTE = b"# A hook\n"


def zipped(files: dict[str, bytes], **more: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = more.get(name, 0o644) << 16
            packed.writestr(info, content)
    return out.getvalue()


def tarred(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for info in others:
            packed.addfile(info)
    return out.getvalue()


def linked(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def apart(tmp_path: Path, content: bytes, folder: str = "") -> dict[str, list[str]]:
    packed, into = tmp_path / "packed", tmp_path / "into"
    packed.write_bytes(content)
    into.mkdir(exist_ok=True)
    return cast(dict[str, list[str]], unpack(str(packed), str(into), folder))


FILES = {"lamp/okh.toml": b"okhv", "lamp/parts/hook.stl": HOOK, "lamp/README.md": NOTE}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_one_folder_around_all_is_left_away(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    told = apart(tmp_path, pack(FILES))
    assert told["files"] == ["README.md", "okh.toml", "parts/hook.stl"]
    assert (tmp_path / "into/parts/hook.stl").read_bytes() == HOOK


def test_only_what_lies_below_the_folder_is_taken(tmp_path: Path) -> None:
    many = {f"repo/{name}": content for name, content in FILES.items()}
    told = apart(tmp_path, zipped({**many, "repo/other/x.stl": HOOK}), "lamp")
    assert told["files"] == ["README.md", "okh.toml", "parts/hook.stl"]
    assert not (tmp_path / "into/other").exists()


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    odd = [linked("a/passwd", "/etc/passwd"), linked("a/hard", "a/okh.toml", tarfile.LNKTYPE)]
    told = apart(tmp_path, tarred({"a/okh.toml": b"okhv"}, *odd))
    assert told == {"files": ["okh.toml"], "left_out": ["a/hard", "a/passwd"]}
    linking = zipped({"okh.toml": b"o", "l": b"/etc/passwd"}, l=stat.S_IFLNK | 0o777)
    assert apart(tmp_path, linking)["left_out"] == ["l"]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "up": lambda: zipped({"../evil.stl": HOOK}),
    "up inside": lambda: tarred({"a/../../evil.stl": HOOK}),
    "absolute": lambda: tarred({"/etc/evil.stl": HOOK}),
    "backslash": lambda: zipped({"a\\..\\..\\evil.stl": HOOK}),
    "drive": lambda: zipped({"C:evil.stl": HOOK}),
    "control": lambda: tarred({"evil\x1b[2J.stl": HOOK}),
    "long": lambda: tarred({"a" * 500: HOOK}),
    "twice": lambda: zipped({"A.stl": HOOK, "a.stl": HOOK}),
    "empty": lambda: zipped({}),
    "nothing": lambda: b"",
    "garbage": lambda: bytes(range(256)) * 40,
    "html": lambda: b"<html>404</html>",
    "cut zip": lambda: zipped(FILES)[:-40],
    "cut tar": lambda: tarred(FILES)[:-40],
    "device": lambda: tarred({}, linked("dev", "", tarfile.CHRTYPE)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_or_broken_is_refused(tmp_path: Path, content: Callable[[], bytes]) -> None:
    with pytest.raises(Refused):
        apart(tmp_path, content())
    assert list((tmp_path / "into").iterdir()) == []
    assert not (tmp_path / "evil.stl").exists()


def test_a_bomb_is_stopped_by_what_comes_out_of_it(tmp_path: Path) -> None:
    packed = tmp_path / "bomb.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out, out.open("b.stl", "w") as big:
        for _ in range(200):
            big.write(bytes(1 << 20))
    (tmp_path / "into").mkdir()
    with pytest.raises(DesignRefused, match="more than 128 MB"):
        bounded.run("designs.archive:unpack", str(packed), str(tmp_path / "into"), "")
    assert list((tmp_path / "into").iterdir()) == []


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    many = zipped({f"f{n}": b"" for n in range(archive.Bounds().entries + 1)})
    with pytest.raises(Refused, match="more than 20,000 files"):
        apart(tmp_path, many)


def test_a_password_is_said(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.stl": HOOK}))
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(sign) + at] |= 1
    with pytest.raises(Refused, match="encrypted"):
        apart(tmp_path, bytes(content))


@given(content=st.binary(max_size=600), head=st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08"]))
def test_no_bytes_break_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    with pytest.raises(Refused):
        apart(tmp_path_factory.mktemp("any"), head + content)


# ── a release, whole


def whole(tmp_path: Path) -> tuple[Release, Path]:
    import hashlib

    kept = {hashlib.sha256(content).hexdigest(): content for content in (HOOK, NOTE)}
    for sha256, content in kept.items():
        (tmp_path / sha256).write_bytes(content)
    hook, note = kept
    release = a_release(
        parts=(a_part(file_sha256=hook, file_name="a/hook.stl"),),
        files=tuple(
            {"name": name, "sha256": sha, "size_bytes": 1, "role": role, "format": "x"}
            for name, sha, role in (("a/hook.stl", hook, "export"), ("README.md", note, "document"))
        ),
    )
    return Release.model_validate(release.model_dump()), tmp_path


def packed(release: Release, blobs: Path) -> bytes:
    out = io.BytesIO()
    write(release, lambda sha256: blobs / sha256, out)
    return out.getvalue()


def test_a_releases_archive_reproduces_its_hash(tmp_path: Path) -> None:
    release, blobs = whole(tmp_path)
    content = packed(release, blobs)
    assert content == packed(release, blobs)
    apart(tmp_path, content)
    assert archive.is_release(tmp_path / "into")
    found, files = verify(tmp_path / "into")
    assert found == release
    assert found.sha256 == release.sha256
    assert files["a/hook.stl"].read_bytes() == HOOK


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("files/a/hook.stl", b"other", "not the file that was released"),
        ("files/README.md", None, "missing"),
        ("release.json", b"{}", "cannot be read"),
        ("release.json", b" ", "cannot be read"),
    ],
)
def test_an_altered_archive_is_seen(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    release, blobs = whole(tmp_path)
    apart(tmp_path, packed(release, blobs))
    place = tmp_path / "into" / name
    place.unlink()
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(Refused, match=says):
        verify(tmp_path / "into")


def test_a_record_in_another_form_has_another_hash(tmp_path: Path) -> None:
    release, blobs = whole(tmp_path)
    apart(tmp_path, packed(release, blobs))
    record = tmp_path / "into/release.json"
    record.write_bytes(record.read_bytes() + b"\n")
    with pytest.raises(Refused, match="form that a hash is taken over"):
        verify(tmp_path / "into")
