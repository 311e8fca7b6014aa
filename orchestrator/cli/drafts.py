"""`cosmolocal draft` and `cosmolocal release`: a design step by step, and the life of a release.

Keys are kept in a file that only their owner can read; they are printed once, when a draft begins.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.cli.client import (
    NEEDS_PERSON,
    USAGE,
    Answered,
    Commands,
    add_server,
    call,
    refused,
    show,
)

_DRAFT = """\
A draft is a folder on the server that only you can see. Put files in, read what was found in them,
say what they are, and publish when nothing is missing. Its key is kept on this computer.

  cosmolocal draft new hook.stl plate.svg                 begin one; prints its id, link and key
  cosmolocal draft add d-1r74y18ryvtn hook.stl            add a file, or replace the one of its name
  cosmolocal draft say d-1r74y18ryvtn --licence CERN-OHL-W-2.0 --licensor "Ana Puig"
  cosmolocal draft show d-1r74y18ryvtn                    exit status 3 while something is missing
  cosmolocal draft publish d-1r74y18ryvtn                 a release, for everybody
  cosmolocal draft publish d-1r74y18ryvtn --lab "Atelier Nord"     a pre-release for that lab alone
  cosmolocal draft new --next-of d-1r74y18ryvtn           the next version, with the same key
  cosmolocal draft drop d-1r74y18ryvtn

Slicers send into a draft too: add a printer of type OctoPrint, with the server's address as host
and the draft's key as API key. Nothing is ever printed from a draft.
"""
_RELEASE = """\
A release never changes; how it stands does. RELEASE is its hash.

  cosmolocal release open RELEASE                         a pre-release becomes public
  cosmolocal release labs RELEASE --lab "Atelier Nord"    other labs for a pre-release; prints links
  cosmolocal release deprecate RELEASE --reason "The hook breaks in frost." --successor RELEASE
  cosmolocal release undo RELEASE                         no longer deprecated

A deprecated release can still be ordered where its licence lets labs make it: its page and every
quote say why it is deprecated. With --draft ID the key of that draft is used, with --key another,
else the operator's token.
"""
_SAID = {
    "title": "what it is called",
    "version": "three numbers, such as 1.2.0",
    "function": "what it does, for whom",
    "licence": "SPDX expression, or LicenseRef-OwnWork to keep it private",
    "licensor": "who holds the rights",
    "process": "3d_printing_fdm, cnc_milling or laser_cutting",
    "material": "pla, petg, plywood, acrylic, …",
    "thickness_mm": "of sheet material",
    "quantity": "of each part in one product",
}
_NUMBERS = {"thickness_mm": float, "quantity": int}


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    _register_draft(commands)
    _register_release(commands)


def _register_draft(commands: "Commands[argparse.ArgumentParser]") -> None:
    raw = argparse.RawDescriptionHelpFormatter
    family = commands.add_parser(
        "draft", help="prepare a design step by step, then publish it", description=_DRAFT,
        formatter_class=raw,
    )  # fmt: skip
    more = family.add_subparsers(required=True, metavar="WHAT")
    new = more.add_parser("new", help="begin a draft, with files or without")
    new.add_argument("files", nargs="*", type=Path, metavar="FILE")
    new.add_argument("--next-of", metavar="DRAFT", help="the next version of what it became")
    new.add_argument("--key", help="the key of that one, if it was not begun on this computer")
    new.set_defaults(run=begin)
    adding = more.add_parser("add", help="add files, or replace those of the same name")
    _of_draft(adding)
    adding.add_argument("files", nargs="+", type=Path, metavar="FILE")
    adding.set_defaults(run=add)
    removing = more.add_parser("remove", help="take a file out")
    _of_draft(removing)
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(run=remove)
    saying = more.add_parser("say", help="say what it is; empty words take an answer back")
    _of_draft(saying)
    for name, words in _SAID.items():
        option = "--thickness" if name == "thickness_mm" else f"--{name}"
        saying.add_argument(option, dest=name, type=_NUMBERS.get(name, str), help=words)
    saying.set_defaults(run=say)
    showing = more.add_parser("show", help="what is in it, what was found, what is missing")
    _of_draft(showing)
    showing.set_defaults(run=look)
    publishing = more.add_parser("publish", help="make an immutable release of it")
    _of_draft(publishing)
    publishing.add_argument(
        "--lab", action="append", default=[], help="only for this lab (repeat): a pre-release"
    )
    publishing.set_defaults(run=publish)
    dropping = more.add_parser("drop", help="throw it away with its files")
    _of_draft(dropping)
    dropping.set_defaults(run=drop)
    for each in (new, adding, removing, saying, showing, publishing, dropping):
        add_server(each)


def _register_release(commands: "Commands[argparse.ArgumentParser]") -> None:
    family = commands.add_parser(
        "release", help="open a pre-release, deprecate a release, or undo that",
        description=_RELEASE, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    more = family.add_subparsers(required=True, metavar="WHAT")
    opening = more.add_parser("open", help="let everybody see and order it")
    opening.set_defaults(run=move, to="released")
    undoing = more.add_parser("undo", help="no longer deprecated")
    undoing.set_defaults(run=move, to="released")
    deprecating = more.add_parser("deprecate", help="say that it should not be chosen any more")
    deprecating.add_argument("--reason", required=True, help="as makers will read it")
    deprecating.add_argument(
        "--successor", metavar="RELEASE", type=_hash, help="what takes its place"
    )
    deprecating.set_defaults(run=move, to="deprecated")
    naming = more.add_parser("labs", help="the labs that a pre-release is for")
    naming.add_argument("--lab", action="append", required=True, help="id or name (repeat)")
    naming.set_defaults(run=name_labs)
    for each in (opening, undoing, deprecating, naming):
        each.add_argument("release", metavar="RELEASE", type=_hash, help="its hash")
        each.add_argument("--draft", help="use the key of this draft")
        each.add_argument("--key", help="use this key")
        add_server(each)


def _hash(words: str) -> str:
    if re.fullmatch(r"[0-9a-f]{64}", words):
        return words
    raise argparse.ArgumentTypeError(
        f"{words!r} is no hash of 64 digits: the design's page shows it, and publishing said it"
    )


def _of_draft(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("draft", metavar="DRAFT")
    parser.add_argument("--key", help="its key, if it was not begun on this computer")


# ── drafts


def begin(args: argparse.Namespace) -> int:
    try:
        told = call(args, "POST", "/api/drafts", headers=_designers(args, args.next_of))
        _keep(told["id"], told["key"])
        args.draft = told["id"]
        for file in args.files:
            _put(args, file)
    except Answered as no:
        return refused(args, no)
    words = (
        f"draft {told['id']}\n  page {told['page']}\n  key  {told['key']} (kept in {_keys_file()})"
    )
    return show(args, told, words)


def add(args: argparse.Namespace) -> int:
    try:
        seen = [_put(args, file) for file in args.files][-1]
    except Answered as no:
        return refused(args, no)
    return _shown(args, seen)


def remove(args: argparse.Namespace) -> int:
    return _changed(args, "DELETE", f"/files/{quote(args.name)}")


def say(args: argparse.Namespace) -> int:
    given = {name: getattr(args, name) for name in _SAID if getattr(args, name) is not None}
    return _changed(args, "PATCH", "/answers", json={k: v or None for k, v in given.items()})


def look(args: argparse.Namespace) -> int:
    """Exit status 3 while a person has something to correct."""
    return _changed(args, "GET", "")


def publish(args: argparse.Namespace) -> int:
    try:
        told = _ask(args, "POST", "/publish", json={"labs": args.lab})
    except Answered as no:
        return refused(args, no)
    release = told["release"]
    lines = [f"published {release['design']} {release['version']}", f"  release {told['sha256']}"]
    names = told["lab_names"]
    lines += [f"  for {names[lab]} alone: {link}" for lab, link in told["lab_pages"].items()]
    if told["lab_pages"]:
        lines.append(f"open it with: cosmolocal release open {told['sha256']} --draft {args.draft}")
    return show(args, told, "\n".join(lines))


def drop(args: argparse.Namespace) -> int:
    try:
        _ask(args, "DELETE", "")
    except Answered as no:
        return refused(args, no)
    return show(args, {"dropped": args.draft}, f"{args.draft} is thrown away")


def _put(args: argparse.Namespace, file: Path) -> dict[str, Any]:
    if not file.is_file():
        sys.stderr.write(f"cosmolocal draft: there is no file {file}\n")
        raise SystemExit(USAGE)
    with file.open("rb") as content:
        return _ask(args, "PUT", f"/files/{quote(file.name)}", content=content)


def _changed(args: argparse.Namespace, method: str, path: str, **request: Any) -> int:  # noqa: ANN401
    try:
        return _shown(args, _ask(args, method, path, **request))
    except Answered as no:
        return refused(args, no)


def _shown(args: argparse.Namespace, seen: dict[str, Any]) -> int:
    show(args, seen, told(seen))
    return 0 if seen["ready"] or seen["release"] else NEEDS_PERSON


def told(seen: dict[str, Any]) -> str:
    """The draft in words, file by file."""
    lines = [f"draft {seen['id']}: {seen['answers']['title'] or 'without a title yet'}"]
    if seen["release"]:
        return f"{lines[0]}\n  published as release {seen['release']}"
    for file in seen["files"]:
        size = " × ".join(f"{side:.1f}" for side in (file["facts"] or {}).get("size_mm", ()))
        lines.append(f"  {file['name']}: {file['role']}{f', {size} mm' if size else ''}")
        lines += [f"    {file['note']}"] if file["note"] else []
        lines += [f"    {_finding(each, file['name'])}" for each in file["findings"]]
    lines += [f"  {_finding(each)}" for each in seen["findings"]]
    if seen["ready"]:
        lines.append(f"ready: cosmolocal draft publish {seen['id']}")
    return "\n".join(lines)


def _finding(each: dict[str, str], name: str = "") -> str:
    """Under the file of that name it is not named again."""
    where = "" if each["where"] == name else each["where"].removeprefix(f"{name}, ") + ": "
    return f"{each['severity']}: {where}{each['what']}. {each['do']}."


# ── releases


def move(args: argparse.Namespace) -> int:
    wish = {"to": args.to}
    if args.to == "deprecated":
        wish |= {"reason": args.reason, "successor": args.successor}
    try:
        answer = call(
            args, "POST", f"/api/releases/{args.release}/state", json=wish,
            headers=_designers(args, args.draft),
        )  # fmt: skip
    except Answered as no:
        return refused(args, no)
    release = answer["release"]
    return show(args, answer, f"{release['design']} {release['version']} is {args.to}")


def name_labs(args: argparse.Namespace) -> int:
    try:
        answer = call(
            args, "POST", f"/api/releases/{args.release}/labs", json={"labs": args.lab},
            headers=_designers(args, args.draft),
        )  # fmt: skip
    except Answered as no:
        return refused(args, no)
    lines = [f"{answer['names'][lab]}: {page}" for lab, page in answer["labs"].items()]
    return show(args, answer, "\n".join(lines))


# ── keys


def _ask(args: argparse.Namespace, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401
    address = f"/api/drafts/{quote(args.draft)}{path}"
    return call(args, method, address, headers=_keyed(args, args.draft), **request)


def _keyed(args: argparse.Namespace, draft: str | None) -> dict[str, str]:
    key = getattr(args, "key", None) or (draft and _kept().get(draft))
    return {"X-Api-Key": key} if key else {}


def _designers(args: argparse.Namespace, draft: str | None) -> dict[str, str]:
    """The key of that draft, if there is to be one; raises Answered where nobody kept it here.

    The operator's token does not stand for it: what comes next would have another key, and whoever
    has this one could do nothing about it.
    """
    found = _keyed(args, draft)
    if draft and not found:
        no = f"no key for {draft} is kept on this computer: give it by --key"
        raise Answered({"detail": no})
    return found


def _keys_file() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "cosmolocal" / "drafts.json"


def _kept() -> dict[str, str]:
    file = _keys_file()
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def _keep(draft: str, key: str) -> None:
    from orchestrator.store.durable import write_whole

    write_whole(_keys_file(), json.dumps(_kept() | {draft: key}, indent=1))
