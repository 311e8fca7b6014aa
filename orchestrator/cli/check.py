"""`cosmolocal check`: whether files are sound, said on this computer before anybody sees them.

It reads each file in a child under limits, two at a time; it needs no server and changes nothing.
"""

import argparse
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from designs import bounded, kinds
from designs.bounded import Json, Limits
from designs.check import Verdict, name_findings, verdict
from designs.errors import DesignRefused, Finding, Refused
from designs.processes import MATERIALS, PROCESSES, find_material, find_process
from orchestrator.cli.client import DONE, NEEDS_PERSON, REFUSED, USAGE, Commands

_EPILOG = """\
Reads STL, 3MF, OBJ, STEP, DXF, SVG, OKH manifests and pictures by what they hold, not by their
name, and says what is wrong, where, and what to do. Without --process only the file itself is
judged: that it is whole, closed, of a plausible size and hides nothing. With it, also what that
process would make of it.

  cosmolocal check bracket.stl
  cosmolocal check my-design/ --json
  cosmolocal check panel.dxf --process laser_cutting --material acrylic --thickness 3
  cosmolocal check *.step --pictures seen/

With --json, one object for each file, one a line:
  {"file", "verdict": "accept|review|reject",
   "findings": [{"severity": "note|warning|refusal", "where", "what", "do"}],
   "facts": {"kind": "mesh|drawing|manifest|image", …} or null, "pictures"?: {kind: file}}
A refusal rejects, a warning asks for a person, a note decides nothing.

Exit status: 0 all accepted, 1 any rejected, 3 any to review, 2 wrong usage.
"""
LIMITS = Limits(cpu_s=30, wall_s=120.0)
_AT_ONCE = 2
_STATUS: dict[Verdict, int] = {"accept": DONE, "review": NEEDS_PERSON, "reject": REFUSED}
_WORDS: dict[Verdict, str] = {"accept": "accepted", "review": "to review", "reject": "REJECTED"}
_ENDINGS = {*kinds.SOLIDS, *kinds.DRAWINGS, *kinds.IMAGES}


@dataclass(frozen=True)
class Seen:
    file: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    facts: dict[str, Any] | None
    pictures: dict[str, str] | None = None

    def plain(self) -> dict[str, object]:
        told: dict[str, object] = {
            "file": self.file,
            "verdict": self.verdict,
            "findings": [f.model_dump(mode="json") for f in self.findings],
            "facts": self.facts,
        }
        return told | ({} if self.pictures is None else {"pictures": self.pictures})


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="say whether files are sound, without a server",
        description="Check design files: accept, review (a person decides) or reject, and why.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or a folder of them")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    parser.add_argument("--process", help=f"judge it for {', '.join(p.id for p in PROCESSES)}")
    parser.add_argument("--material", help="pla, petg, plywood, acrylic, …")
    parser.add_argument("--thickness", type=float, metavar="MM", help="of sheet material")
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="draw what was read, and write repairs, in there",
    )
    parser.set_defaults(run=check)


def check(args: argparse.Namespace) -> int:
    wrong = _wrong(args)
    files = [] if wrong else list(_walked(args.files))
    if wrong or not files:
        sys.stderr.write(f"cosmolocal check: {wrong or 'nothing here is a file of a design'}\n")
        return USAGE
    if len(files) > _AT_ONCE:
        bounded.stay_ready("designs.check", "designs.inspect")
    count: dict[Verdict, int] = {"accept": 0, "review": 0, "reject": 0}
    for seen in _all(args, files):
        count[seen.verdict] += 1
        print(json.dumps(seen.plain()) if args.json else _printable(_told(seen)), flush=True)
    if not args.json and len(files) > 1:
        print(", ".join(f"{number} {_WORDS[which]}" for which, number in count.items()))
    worst: Verdict = next(v for v in ("reject", "review", "accept") if count[v])
    return _STATUS[worst]


def _wrong(args: argparse.Namespace) -> str:
    if args.process is not None and find_process(args.process) is None:
        return f"nobody here knows the process; use one of {', '.join(p.id for p in PROCESSES)}"
    if args.material is not None and find_material(args.material) is None:
        return f"nobody here knows the material; use one of {', '.join(m.id for m in MATERIALS)}"
    if args.thickness is not None and not 0 < args.thickness <= 200:
        return "--thickness is in mm, above 0 and at most 200"
    try:
        if args.pictures is not None:
            args.pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"--pictures: that folder cannot be made ({error.strerror})"
    return ""


def _walked(paths: list[str]) -> Iterator[str]:
    """The files as they were named; of a folder, those that can be a design's, in order."""
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - names stay exactly as they were given
            yield path
            continue
        for folder, inner, files in os.walk(path):
            inner[:] = sorted(name for name in inner if not name.startswith((".", "__")))
            for name in sorted(files):
                ours = kinds.called(name) in _ENDINGS or name.lower().startswith("okh.")
                if ours and not name.startswith("."):
                    yield os.path.join(folder, name)  # noqa: PTH118


def _all(args: argparse.Namespace, files: list[str]) -> Iterator[Seen]:
    """What was seen of each, in order, two children at a time."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        asked: list[Future[Seen]] = [
            pool.submit(_look, args, file, number) for number, file in enumerate(files, 1)
        ]
        for number, (file, waiting) in enumerate(zip(files, asked, strict=True), 1):
            with _Progress(f"{number} of {len(files)}: {shown(file)}"):
                seen = waiting.result()
            yield seen
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Progress:
    """One line on a person's terminal, gone when the answer is there."""

    def __init__(self, words: str) -> None:
        self._words = words[:76] if sys.stderr.isatty() else ""

    def __enter__(self) -> None:
        if self._words:
            sys.stderr.write(self._words)
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._words:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _look(args: argparse.Namespace, file: str, number: int) -> Seen:
    named = name_findings(os.path.basename(file))  # noqa: PTH119
    with tempfile.TemporaryDirectory(prefix="check-") as work:
        try:
            _refuse_no_file(file)
            process = find_process(args.process).id if args.process else None  # pyright: ignore[reportOptionalMemberAccess]
            out = work if args.pictures else ""
            wanted = (process, args.material, args.thickness, out)
            answer: Any = bounded.run("designs.check:look", file, *wanted, limits=LIMITS)
            kept = _kept(answer["pictures"], Path(work), args.pictures, file, number)
        except DesignRefused as refused:
            drawn: dict[str, Json] = {
                f.picture: f"{f.picture}.png" for f in refused.findings if f.picture
            }
            kept = _kept(drawn, Path(work), args.pictures, file, number) if drawn else None
            return Seen(file, "reject", (*named, *refused.findings), None, kept)
    found = (*named, *(Finding.model_validate(f) for f in answer["findings"]))
    return Seen(file, verdict(found), found, answer["facts"], kept)


def _refuse_no_file(file: str) -> None:
    try:
        about = os.stat(file)  # noqa: PTH116
        if not stat.S_ISREG(about.st_mode):
            raise Refused("it is no file (a pipe, a socket or a device)", "the file", "Name a file")
        with open(file, "rb"):  # noqa: PTH123
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no name of a file"
        raise Refused(f"it cannot be opened ({why})", "the file", "Name a file") from None


def _kept(
    pictures: dict[str, Json], work: Path, folder: Path | None, file: str, number: int
) -> dict[str, str] | None:
    """The pictures moved to `folder` under names of ours: 003-bracket-thumbnail.png."""
    if folder is None:
        return None
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(file).stem)[:60]
    kept: dict[str, str] = {}
    for what, name in pictures.items():
        target = folder / f"{number:03d}-{stem}-{name}"
        target.write_bytes((work / str(name)).read_bytes())
        kept[what] = str(target)
    return kept


def _told(seen: Seen) -> str:
    lines = [f"{_WORDS[seen.verdict]:<10} {shown(seen.file)}{_figures(seen.facts)}"]
    lines += [
        f"{f.severity:>10} {shown(f.where)}: {shown(f.what)}. {shown(f.do)}." for f in seen.findings
    ]
    return "\n".join(lines)


def _figures(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return ""
    if facts["kind"] == "manifest":
        return f"   OKH {facts['dialect']}, {len(facts['parts'])} parts"
    size = " × ".join(f"{v:g}" for v in facts.get("size_mm") or facts["size_px"])
    if facts["kind"] == "image":
        return f"   {size} points"
    if facts["kind"] == "drawing":
        contours = f"{facts['contours']} contour{'' if facts['contours'] == 1 else 's'}"
        cut = f"{contours}, {facts['cut_length_mm'] / 1000:.2f} m to cut"
        return f"   {size} mm, {cut}"
    closed = "closed" if facts["watertight"] else f"{facts['open_edges']} open edges"
    plate = f", a plate {facts['plate']['thickness_mm']:g} mm thick" if "plate" in facts else ""
    return f"   {size} mm, {facts['volume_mm3'] / 1000:.2f} cm³, {closed}{plate}"


def shown(text: str) -> str:
    """Text of strangers as a terminal may have it: what does not print, or turns lines, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _printable(text: str) -> str:
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
