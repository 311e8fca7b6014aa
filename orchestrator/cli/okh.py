"""`cosmolocal okh`: says what an Open Know-How manifest lacks, and writes it as OKH 2.4.

It needs no server, and reads no file but the manifest.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.cli.client import DONE, NEEDS_PERSON, REFUSED, USAGE, Commands

_ABOUT = """\
Open Know-How manifests (okh.toml, okh.yml): OKH 1.0, LOSH, 2.3 and 2.4.

  cosmolocal okh lint okh.toml                what is missing or wrong, why it matters, an example
  cosmolocal okh convert okh.yml              the same manifest as OKH 2.4, on standard output
"""
_LINT = """\
For every missing or wrong field: its name and line, why it matters, and what to write. Files that
the manifest names are looked for beside it; no link is followed and no file opened.

  cosmolocal okh lint okh.toml
  cosmolocal okh lint designs/*/okh.* --json | jq -r '[.file, .verdict] | @tsv'

With --json one object a line for each file:
  {"file", "dialect", "verdict": "valid|incomplete|refused", "missing": […],
   "remarks": [{"level", "field", "line", "what", "why", "example"}]}
Exit status: 0 valid (perhaps with warnings and notes), 3 something essential is missing, 1 refused.
"""
_CONVERT = """\
Writes OKH 2.4. What 2.4 has no field for is kept in its table [cosmolocal]; nothing is lost but
comments after the first lines. What 2.4 requires and the manifest does not say is named.

  cosmolocal okh convert okh.yml > okh.toml
  cosmolocal okh convert okh.yml --license CERN-OHL-S-2.0 --repo https://codeberg.org/ada/lantern \\
      --out okh.toml

Exit status: 0 written, 3 something required is missing, 1 refused.
"""
_ANSWERS = {
    "name": ("title", "what it is called"),
    "function": ("function", "what it does and for whom, in a sentence"),
    "license": ("licence", "SPDX expression, such as CERN-OHL-S-2.0"),
    "licensor": ("licensor", "who holds the rights"),
    "repo": ("repo", "address where it is developed"),
    "design-version": ("version", "version of the design, such as 1.0.0"),
    "language": ("language", "language of the documentation, such as en"),
}


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "okh",
        help="check and convert Open Know-How manifests",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    lint = _verb(verbs, "lint", "what is missing or wrong in manifests", _LINT)
    lint.add_argument("files", nargs="+", type=Path, metavar="FILE")
    lint.set_defaults(run=lint_files)
    convert = _verb(verbs, "convert", "a manifest as OKH 2.4", _CONVERT)
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("--to", choices=["2.4"], default="2.4", help="version (default 2.4)")
    convert.add_argument("--out", type=Path, metavar="FILE", help="write there; never over a file")
    for option, (_, words) in _ANSWERS.items():
        convert.add_argument(f"--{option}", metavar="TEXT", help=words)
    convert.set_defaults(run=convert_file)


def _verb(
    verbs: "Commands[argparse.ArgumentParser]", name: str, words: str, description: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=words,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON, for programs")
    return parser


def lint_files(args: argparse.Namespace) -> int:
    from designs.okh import lint

    verdicts: set[str] = set()
    for path in args.files:
        report = lint(_bytes(path, "lint"), path.name, _beside(path))
        verdicts.add(report.verdict)
        plain = report.model_dump(mode="json") | {"file": str(path)}
        print(json.dumps(plain, ensure_ascii=False) if args.json else _told(plain))
    if "refused" in verdicts:
        return REFUSED
    return NEEDS_PERSON if "incomplete" in verdicts else DONE


def convert_file(args: argparse.Namespace) -> int:
    from designs.errors import DesignRefused, Refused
    from designs.okh import convert, read

    given = {
        field: getattr(args, option.replace("-", "_")) for option, (field, _) in _ANSWERS.items()
    }
    try:
        manifest = read(_bytes(args.file, "convert"), args.file.name)
        said = manifest.saying(**{name: value for name, value in given.items() if value})
        text = convert(said)
        if args.out:
            _write(args.out, text)
    except (DesignRefused, OSError) as no:
        return _no(args, no, REFUSED if isinstance(no, (Refused, OSError)) else NEEDS_PERSON)
    if args.json:
        answer = {"file": str(args.file), "from": manifest.dialect, "to": args.to}
        answer |= {"out": str(args.out)} if args.out else {"manifest": text}
        print(json.dumps(answer, ensure_ascii=False))
    elif args.out:
        print(f"{args.file} (OKH {manifest.dialect}) is {args.out} as OKH {args.to}")
    else:
        sys.stdout.write(text)
    return DONE


def _write(out: Path, text: str) -> None:
    """Whole or not at all, and never over what is there."""
    with out.open("x", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
        except BaseException:
            out.unlink()
            raise


def _no(args: argparse.Namespace, no: Exception, status: int) -> int:
    from designs.errors import DesignRefused, Finding

    found: list[Finding] = list(no.findings) if isinstance(no, DesignRefused) else []
    plain = [finding.model_dump(mode="json") for finding in found]
    plain += [] if found else [{"where": str(args.out), "what": _of_disk(no), "do": "Name another"}]
    for each in plain:
        option = str(each["where"])
        if option in _ANSWERS and status == NEEDS_PERSON:
            each["do"] = f"Say it with --{option}, or in the manifest: {each['do']}"
    if args.json:
        print(json.dumps({"file": str(args.file), "findings": plain}, ensure_ascii=False))
        return status
    for each in plain:
        sys.stderr.write(f"refused: {each['where']} {each['what']}. {each['do']}.\n")
    return status


def _of_disk(error: Exception) -> str:
    if isinstance(error, FileExistsError):
        return "is there already, and nothing is written over"
    return f"cannot be written ({getattr(error, 'strerror', None) or error})"


def _bytes(path: Path, verb: str) -> bytes:
    """What is in the file, and a little more than a manifest may have at most."""
    from designs.okh import MAX_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        sys.stderr.write(f"cosmolocal okh {verb}: {path}: {error.strerror or error}\n")
        raise SystemExit(USAGE) from error


def _beside(path: Path) -> Callable[[str], bool]:
    """Whether a plain relative path names a file below the manifest's folder."""
    folder = path.resolve().parent

    def present(name: str) -> bool:
        try:
            found = (folder / name).resolve()
            return found.is_relative_to(folder) and found.exists()
        except (OSError, ValueError, RuntimeError):
            return False

    return present


def _told(report: dict[str, Any]) -> str:
    dialect = f" (OKH {report['dialect']})" if report["dialect"] else ""
    lines = [f"{report['file']}{dialect}: {report['verdict']}"]
    for remark in report["remarks"]:
        place = f"line {remark['line']}, " if remark["line"] else ""
        lines.append(f"  {remark['level']}: {place}{remark['field']} {remark['what']}")
        lines.append(f"      {remark['why']}.")
        if remark["example"]:
            shown = remark["example"].replace("\n", "\n               ")
            lines.append(f"      for example: {shown}")
    return "\n".join(lines)
