"""`cosmolocal download` and `verify`: a release as one file that is checked without us."""

import argparse
import hashlib
import math
import sys
import tempfile
from pathlib import Path

from designs import archive, bounded
from designs.errors import DesignRefused, Refused
from orchestrator.cli.client import (
    DONE,
    REFUSED,
    Answered,
    Commands,
    add_server,
    call,
    fetch,
    refused,
    show,
)

_DOWNLOAD = """\
The archive holds every file of the release and its record. `cosmolocal verify` checks it without a
server, and another server takes it over under the same hash:

  cosmolocal download lantern
  cosmolocal verify lantern-1.0.0.zip
  cosmolocal publish lantern-1.0.0.zip --server https://other.example
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    download = commands.add_parser(
        "download",
        help="a release as one archive, whole",
        description="Download a release: every file of it, and the record that names them.",
        epilog=_DOWNLOAD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    download.add_argument("design", help="a design's name, or a release's hash")
    download.add_argument("--version", help="which one; the newest if left out")
    download.add_argument("--out", type=Path, metavar="FILE", help="default DESIGN-VERSION.zip")
    add_server(download)
    download.set_defaults(run=fetched)
    verify = commands.add_parser(
        "verify",
        help="check a release's archive, without a server",
        description="Check that every file of a release's archive is what its record says.",
    )
    verify.add_argument("archive", type=Path)
    verify.add_argument("--sha256", help="the hash that the release should have")
    verify.add_argument("--json", action="store_true", help="answer as JSON, for programs")
    verify.set_defaults(run=verified)


def fetched(args: argparse.Namespace) -> int:
    by_hash = len(args.design) == hashlib.sha256().digest_size * 2
    where = f"/api/releases/{args.design}" if by_hash else f"/api/designs/{args.design}"
    try:
        found = call(args, "GET", where, params={"version": args.version} if args.version else {})
    except Answered as no:
        return refused(args, no)
    release = found["release"]
    out: Path = args.out or Path(f"{release['design']}-{release['version']}.zip")
    if out.exists():
        sys.stderr.write(f"cosmolocal download: {out} is there already; name another with --out\n")
        return REFUSED
    try:
        size = _saved(fetch(args, f"/releases/{found['sha256']}/archive.zip"), out)
    except Answered as no:
        return refused(args, no)
    told = {"file": str(out), "bytes": size, "release": found["sha256"]}
    return show(args, told, f"{out}: {math.ceil(size / 1000):,} kB, release {found['sha256']}")


def _saved(content: bytes, out: Path) -> int:
    """Whole under its name, or not there."""
    spare = out.with_name(f"{out.name}.part")
    try:
        spare.write_bytes(content)
        return spare.replace(out).stat().st_size
    finally:
        spare.unlink(missing_ok=True)


def verified(args: argparse.Namespace) -> int:
    try:
        release, files = _opened(args.archive, args.sha256)
    except DesignRefused as no:
        problem = {"detail": str(no), "findings": [f.model_dump(mode="json") for f in no.findings]}
        return refused(args, Answered(problem))
    told = {"release": release, "files": files, "ok": True}
    words = f"{args.archive}: all {files} files are those of release {release}"
    return show(args, told, words) and DONE


def _opened(packed: Path, wanted: str | None) -> tuple[str, int]:
    if not packed.is_file():
        raise Refused("there is no such file", str(packed), "Give the archive's path")
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        try:
            bounded.run("designs.archive:unpack", str(packed), folder, "")
        except Refused as no:
            raise Refused(no.what, packed.name, "Download it again") from None
        if not archive.is_release(Path(folder)):
            raise Refused("it is not the archive of a release", packed.name, "Download it again")
        release, files = archive.verify(Path(folder))
    if wanted is not None and release.sha256 != wanted:
        raise Refused(f"it is release {release.sha256}", packed.name, f"You asked for {wanted}")
    return release.sha256, len(files)
