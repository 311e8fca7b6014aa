"""Archives of designs: takes zip and tar apart, writes a release so that its hash can be checked.

It never writes outside the folder it is given, follows no link and believes no size that an archive
states. A release's archive is the same bytes each time; whoever has it needs nobody of ours to see
that nothing was changed.
"""

import contextlib
import hashlib
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

from pydantic import ValidationError

from designs import misfits
from designs.bounded import Json
from designs.design import Release
from designs.errors import Refused

RELEASE_NAME: Final = "release.json"
"""The release's canonical JSON in its archive: the SHA-256 of these bytes is the release's name."""
SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
_FILES: Final = "files/"
_SAY: Final = "archive"
_CHUNK: Final = 1 << 16
_READ_ME: Final = """\
This is one release of a design, whole.

release.json   the record; the SHA-256 of its bytes is the release's name:
               {sha256}
files/         every file of it, under its own name, each with its SHA-256 in release.json

To check it:   cosmolocal verify ARCHIVE
"""


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold once it is taken apart."""

    entries: int = 20_000
    total_bytes: int = 512 << 20
    file_bytes: int = 128 << 20


class _Entry(NamedTuple):
    name: str
    kind: str  # file | folder | link | other
    open: Callable[[], IO[bytes]]


# ── taking apart


def unpack(archive: str, into: str, folder: str = "") -> dict[str, Json]:
    """{"files": names below `into`, "left_out": names of links and devices}.

    Only what lies below `folder` is taken; a single folder that holds all else is left away, as the
    archives of code hosts have one. Run it in a bounded child. Raises `Refused` for what is no
    archive, is more than `Bounds`, or has a name that leads elsewhere; then some may lie in `into`.
    """
    bounds, left_out = Bounds(), list[str]()
    names, total = list[str](), 0
    with tempfile.TemporaryDirectory(dir=into, prefix=".unpacking-") as spare, _readable():
        for number, entry in enumerate(_entries(Path(archive))):
            if number >= bounds.entries:
                raise _too_much(f"it holds more than {bounds.entries:,} files")
            if entry.kind == "folder":
                continue
            name = _plain(entry.name)
            if entry.kind != "file":
                left_out.append(name)
                continue
            target = Path(spare) / str(len(names))
            total += _copy(entry, target, min(bounds.file_bytes, bounds.total_bytes - total))
            names.append(name)
        return _laid_out(names, left_out, Path(spare), Path(into), folder)


def _laid_out(
    names: list[str], left_out: list[str], spare: Path, into: Path, folder: str
) -> dict[str, Json]:
    """The files under their names, once all of them are known."""
    if len({name.casefold() for name in names}) != len(names):
        twice = next(n for n in names if [m.casefold() for m in names].count(n.casefold()) > 1)
        raise Refused(f"it holds {twice!r} twice", _SAY, "Pack it again, each file once")
    below = _common(names) + (f"{_plain(folder)}/" if folder else "")
    taken = {name.removeprefix(below): n for n, name in enumerate(names) if name.startswith(below)}
    if not taken:
        there = ", ".join(sorted({n.split("/")[0] for n in names})[:8]) or "nothing"
        raise Refused(f"there is no file below {folder or 'it'}", _SAY, f"It holds {there}")
    for name, number in taken.items():
        place = into / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(spare / str(number), place)
    return {"files": [*sorted(taken)], "left_out": [*sorted(left_out)]}


def _common(names: list[str]) -> str:
    """`top/` where everything lies in one folder and that is not the release's own `files/`."""
    tops = {name.split("/")[0] for name in names}
    inside = all("/" in name for name in names)
    return f"{tops.pop()}/" if inside and len(tops) == 1 else ""


@contextlib.contextmanager
def _readable() -> Generator[None]:
    """What the libraries say of a broken archive becomes a refusal."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as broken:
        raise _broken(broken) from None
    except OSError as broken:
        if broken.errno is not None:  # the disk's fault, not the archive's
            raise
        raise _broken(broken) from None
    except (RuntimeError, NotImplementedError, ValueError):
        what = "it is encrypted or packed in a way we do not read"
        raise Refused(what, _SAY, _PACK_AGAIN) from None


def _broken(why: Exception) -> Refused:
    said = str(why) or type(why).__name__
    return Refused(f"it cannot be taken apart ({said[:100]})", _SAY, _PACK_AGAIN)


_PACK_AGAIN: Final = "Pack it again as .zip or .tar.gz, without a password"


def _entries(archive: Path) -> Iterator[_Entry]:
    return _zipped(archive) if zipfile.is_zipfile(archive) else _tarred(archive)


def _zipped(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            mode = info.external_attr >> 16
            kind = "link" if stat.S_ISLNK(mode) else "folder" if info.is_dir() else "file"
            yield _Entry(info.filename, kind, lambda info=info: packed.open(info))


def _tarred(archive: Path) -> Iterator[_Entry]:
    if not tarfile.is_tarfile(archive):
        raise Refused("it is no .zip and no .tar", _SAY, _PACK_AGAIN)
    with tarfile.open(archive, "r:*") as packed:
        for info in packed:
            kind = "file" if info.isfile() else "folder" if info.isdir() else "other"
            kind = "link" if info.issym() or info.islnk() else kind
            yield _Entry(info.name, kind, lambda info=info: _opened(packed, info))


def _opened(packed: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = packed.extractfile(info)
    if found is None:
        raise tarfile.ReadError(f"{info.name[:80]} has no content")
    return found


def _copy(entry: _Entry, target: Path, most: int) -> int:
    """What is really in it counts, not what the archive says."""
    size = 0
    with entry.open() as source, target.open("wb") as out:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise _too_much(f"{entry.name[:80]!r} makes it more than {most >> 20} MB")
            out.write(chunk)
    return size


def _plain(name: str) -> str:
    """The name with plain slashes; raises where it leads out of the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    steps = [step for step in path.parts if step != "."]
    hostile = any(ord(letter) < 32 or letter == ":" for letter in name)
    if path.is_absolute() or ".." in steps or not steps or hostile or len(name) > 400:
        raise Refused(
            f"it has a file called {name[:80]!r}, which leads elsewhere", _SAY,
            "Pack it again from inside the design's folder",
        )  # fmt: skip
    return "/".join(steps)


def _too_much(what: str) -> Refused:
    return Refused(what, _SAY, "Leave out what is not needed to make the parts")


# ── a release, whole


def write(release: Release, path_of: Callable[[str], Path], out: IO[bytes]) -> None:
    """The release and every file of it as a zip; the same bytes each time.

    `path_of` says where the file with that SHA-256 lies.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        _add(packed, "README.txt", _READ_ME.format(sha256=release.sha256).encode())
        _add(packed, RELEASE_NAME, release.canonical())
        for file in sorted(release.files, key=lambda f: f.name):
            info = _named(f"{_FILES}{file.name}")
            with path_of(file.sha256).open("rb") as source, packed.open(info, "w") as target:
                shutil.copyfileobj(source, target, _CHUNK)


def _add(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    packed.writestr(_named(name), content)


def _named(name: str) -> zipfile.ZipInfo:
    """No clock, no owner: they would change the bytes."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
    info.external_attr = 0o644 << 16
    return info


def is_release(folder: Path) -> bool:
    """Whether a folder, taken apart, is a release's archive and not just a design's files."""
    return (folder / RELEASE_NAME).is_file() and (folder / _FILES).is_dir()


def verify(folder: Path) -> tuple[Release, dict[str, Path]]:
    """The release that lies in a folder, and its files by name; raises `Refused` if one differs."""
    content = (folder / RELEASE_NAME).read_bytes()
    try:
        release = Release.model_validate_json(content)
    except ValidationError as wrong:
        first = misfits.told(wrong.errors(), whole="the record")[0]
        raise Refused(
            f"its record cannot be read ({first.where}: {first.what})", RELEASE_NAME, _AGAIN
        ) from None
    if release.canonical() != content:
        raise Refused(
            "its record is not in the form that a hash is taken over", RELEASE_NAME, _AGAIN
        )
    files = {file.name: folder / _FILES / file.name for file in release.files}
    for file in release.files:
        place = files[file.name]
        if not place.is_file():
            raise Refused("it is missing", file.name, _AGAIN)
        with place.open("rb") as held:
            if hashlib.file_digest(held, "sha256").hexdigest() != file.sha256:
                raise Refused("it is not the file that was released", file.name, _AGAIN)
    return release, files


_AGAIN: Final = "Take the archive from where the design was published"
