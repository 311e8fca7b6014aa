"""`cosmolocal publish`: a folder or some files become a release, or a list of what to mend."""

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from designs import archive
from orchestrator.catalogue import model
from orchestrator.cli.client import USAGE, Answered, Commands, add_server, ask, call, refused, show

_EPILOG = """\
With an OKH manifest (okh.toml or okh.yml) in the folder, its parts are published as it says.
Without one, every STL, 3MF, OBJ, DXF or SVG is a part (a STEP only where there is nothing else:
then workshops get the STL or the outline made of it), and the options below (or the questions on a
terminal) say what a manifest would. Without a licence the design stays your own private work:
not listed, but it can be made for you.

  cosmolocal publish designs/my-lamp
  cosmolocal publish bracket.stl --licence CERN-OHL-W-2.0 --material petg --licensor "Ana Puig"
  cosmolocal publish panel.dxf --process laser_cutting --material acrylic --thickness 3

An archive, a Git bundle or an https address is taken apart by the server; of a large repository
name the folder that holds the design:

  cosmolocal publish lamp-2.0.0.zip
  cosmolocal publish https://example.org/lamp.git --folder hardware --ref v2.0.0
"""
OWN_WORK = "LicenseRef-OwnWork"
_PACKED = (*archive.SUFFIXES, ".bundle")


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "publish",
        help="publish a design from a folder or files",
        description="Publish a design: an immutable release that others can find and order.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a folder, files, an archive, or an https address"
    )
    parser.add_argument("--folder", default="", help="of a repository or archive: what is below it")
    parser.add_argument("--ref", default="HEAD", help="of a repository: a branch or tag")
    parser.add_argument(
        "--title", help="what the design is called (default: the first file's name)"
    )
    parser.add_argument("--version", default="1.0.0", help="default %(default)s")
    parser.add_argument("--function", help="what it does, for whom, in a sentence")
    parser.add_argument("--licence", help=f"SPDX expression; default {OWN_WORK} (private)")
    parser.add_argument("--licensor", help="who holds the rights")
    parser.add_argument("--process", help="3d_printing_fdm, cnc_milling or laser_cutting")
    parser.add_argument("--material", help="pla, petg, plywood, acrylic, …")
    parser.add_argument("--thickness", type=float, metavar="MM", help="of sheet material")
    parser.add_argument("--quantity", type=int, default=1, help="of each part in one product")
    add_server(parser)
    parser.set_defaults(run=publish)


def publish(args: argparse.Namespace) -> int:
    remote = [path for path in args.paths if "://" in path]
    if remote and len(args.paths) > 1:
        raise wrong("give one address, and nothing beside it")
    try:
        answer = _from(args, remote[0]) if remote else _sent(args)
    except Answered as no:
        return refused(args, no)
    return show(args, answer, told(answer))


def _from(args: argparse.Namespace, address: str) -> Any:  # noqa: ANN401
    where = {"address": address, "folder": args.folder, "ref": args.ref}
    return call(args, "POST", "/api/designs/from", json=where | given(args))


def _sent(args: argparse.Namespace) -> Any:  # noqa: ANN401
    paths = [Path(path) for path in args.paths]
    if len(paths) == 1 and paths[0].name.lower().endswith(_PACKED) and paths[0].is_file():
        wish = {"folder": args.folder, "ref": args.ref} | given(args)
        return upload(args, {paths[0].name: paths[0]}, wish)
    files = gather(paths)
    manifest = any(name.startswith("okh.") for name in files)
    return upload(args, files, {} if manifest else answers(args, files))


def gather(paths: list[Path]) -> dict[str, Path]:
    """Name → file; a folder gives what lies in it, hidden files, caches and links left out.

    A link in somebody's folder may lead to a file of one's own, and what is published stays so.
    What else is left out is said on standard error, for whoever looks for it later.
    """
    found = dict[str, Path]()
    left, links = list[str](), list[str]()
    for path in paths:
        if not path.exists():
            raise wrong(f"there is no {path}")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        base = path if path.is_dir() else path.parent
        for file in inside:
            name = file.relative_to(base).as_posix()
            if file != path and file.is_symlink():
                links.append(name)
            elif file.is_file() and model.wanted([name]):
                found[name] = file
            elif file.is_file() and not model.hidden(name):
                left.append(name)
    if left:
        sys.stderr.write(f"note: {model.left_out(left)}\n")
    if links:
        sys.stderr.write(f"left out, links are not followed: {', '.join(links)}\n")
    if not found:
        raise wrong("nothing here can be published: add an STL, 3MF, OBJ, STEP, DXF or SVG")
    return found


def wrong(words: str) -> SystemExit:
    """Ends the command as wrongly used."""
    sys.stderr.write(f"cosmolocal publish: {words}\n")
    return SystemExit(USAGE)


def answers(args: argparse.Namespace, files: Iterable[str]) -> dict[str, Any]:
    """The form's fields; what is missing is asked for on a terminal."""
    form = given(args)
    form["licence"] = args.licence or ask("licence (SPDX id; empty keeps it private)", OWN_WORK)
    form["licensor"] = args.licensor or ask("who holds the rights (empty: not named)")
    if all(
        kind in model.DRAWINGS for kind in map(model.file_format, files) if kind in model.FORMATS
    ):
        form["material"] = args.material or ask("material of the sheet (empty: plywood)")
        form["thickness_mm"] = args.thickness or ask("its thickness in mm (empty: 3)")
    return {key: value for key, value in form.items() if value}


def given(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of the design."""
    form = {
        "title": args.title,
        "version": args.version,
        "function": args.function,
        "licence": args.licence,
        "licensor": args.licensor,
        "process": args.process,
        "material": args.material,
        "thickness_mm": args.thickness,
        "quantity": args.quantity,
    }
    return {key: value for key, value in form.items() if value is not None}


def upload(args: argparse.Namespace, files: dict[str, Path], form: dict[str, Any]) -> Any:  # noqa: ANN401
    with ExitStack() as stack:
        parts = [
            ("files", (name, stack.enter_context(path.open("rb")), "application/octet-stream"))
            for name, path in files.items()
        ]
        return call(args, "POST", "/api/designs", files=parts, data=form)


def told(answer: dict[str, Any]) -> str:
    release = answer["release"]
    lines = [
        (
            f"published {release['design']} {release['version']}"
            f"{' (private)' if release['private'] else ''}"
        ),
        f"  release {answer['sha256']}",
    ]
    for part in release["parts"]:
        size = " × ".join(f"{value:.1f}" for value in part["facts"]["size_mm"])
        lines.append(f"  {part['name']}: {part['process']}, {part['material']}, {size} mm")
    lines += [
        f"  {f['severity']}: {f['where']}: {f['what']}. {f['do']}" for f in answer["findings"]
    ]
    if answer.get("maintainer_key"):
        lines.append(f"  its key, shown this once: {answer['maintainer_key']}")
    name = answer["sha256"] if release["private"] else release["design"]
    lines.append(f"ask who makes it with: cosmolocal quote {name} --place LAT,LON")
    return "\n".join(lines)
