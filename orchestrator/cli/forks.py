"""`fork`, `propose`, `proposals`, `proposal`, `designs key`: to change what others designed."""

import argparse
import asyncio
import hashlib
import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli.client import (
    REFUSED,
    USAGE,
    Answered,
    Commands,
    add_server,
    call,
    refused,
    show,
)
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from designs.design import Release

_FORK: Final = """\
Writes the newest release of a design into a folder of your own: all its files, with an okh.toml
that says where it comes from and names everybody who is named in it. Change what you like, then
publish the folder. With --publish the fork is published as it is, without a folder.

  cosmolocal fork coat-hook --who "Bo Lund"                   into the folder coat-hook-fork
  cosmolocal fork coat-hook --as wide-hook --who "Bo Lund"
  cosmolocal fork coat-hook --who "Bo Lund" --licence CERN-OHL-S-2.0 --publish
"""
_PROPOSE: Final = """\
Give the files that you changed under the names they have in the release; a folder gives all that
lies in it, and what is as it was is no change. Whoever has the design's key decides.

  cosmolocal propose coat-hook hook.stl --author "Cy" --message "Thicker at the bend"
  cosmolocal propose coat-hook my-folder --author "Cy" --message - < why.txt
  cosmolocal propose coat-hook --remove old.stl --author "Cy" --message "Nobody makes this"
"""
_PROPOSAL: Final = """\
  cosmolocal proposal show pr-…
  cosmolocal proposal accept pr-… --share 10 --key maintainer-…
  cosmolocal proposal decline pr-… --reason "It breaks at 40 N: see the test" --key maintainer-…
  cosmolocal proposal withdraw pr-… --key proposal-…

Accepting publishes the next release, with the author among the contributors: --share counts against
the shares of the others, which `proposal show` lists. Leave --key out and give it as
COSMOLOCAL_DESIGN_KEY to keep it off the command line.
"""
_KEY: Final = """\
The key of a design is shown once, when it is published first. On the server's own computer a new
one can be made, for a design from before there were keys or where it was lost; the former one
opens nothing from then on.

  cosmolocal designs key coat-hook --new
"""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    _register_fork(commands)
    _register_propose(commands)
    _register_proposals(commands)
    _register_key(commands)


def _parser(
    commands: "Commands[argparse.ArgumentParser]", name: str, words: str, about: str
) -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    return commands.add_parser(name, help=words, description=about, formatter_class=plain)


def _register_fork(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _parser(commands, "fork", "make somebody's design your own", _FORK)
    parser.add_argument("design", metavar="DESIGN", help="its name, or a release's hash")
    parser.add_argument("--who", required=True, metavar="NAME", help="you: the fork's licensor")
    parser.add_argument("--as", dest="name", metavar="NAME", help="what the fork is called")
    parser.add_argument("--licence", help="SPDX; default: the nearest one that is allowed")
    parser.add_argument("--into", type=Path, metavar="DIR", help="the folder (default: its name)")
    parser.add_argument("--publish", action="store_true", help="publish it as it is, at once")
    add_server(parser)
    parser.set_defaults(run=fork)


def _register_propose(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _parser(commands, "propose", "propose a change to somebody's design", _PROPOSE)
    parser.add_argument("design", metavar="DESIGN")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files, or a folder")
    parser.add_argument("--author", required=True, metavar="NAME")
    parser.add_argument("--message", required=True, help="what you changed and why; - reads it")
    parser.add_argument("--remove", action="append", default=[], metavar="FILE")
    parser.add_argument("--licence", help="SPDX, of files that are not under the design's own")
    parser.add_argument(
        "--base", metavar="SHA256", help="the release you changed (default: newest)"
    )
    add_server(parser)
    parser.set_defaults(run=propose)


def _register_proposals(commands: "Commands[argparse.ArgumentParser]") -> None:
    listing = _parser(commands, "proposals", "what others propose to a design", "")
    listing.add_argument("design", metavar="DESIGN")
    add_server(listing)
    listing.set_defaults(run=proposals)
    deciding = _parser(commands, "proposal", "look at a proposal, accept or decline it", _PROPOSAL)
    deciding.add_argument("what", choices=["show", "accept", "decline", "withdraw"])
    deciding.add_argument("proposal", metavar="ID")
    deciding.add_argument("--key", metavar="KEY", help="default: COSMOLOCAL_DESIGN_KEY")
    deciding.add_argument("--share", type=int, help="what the author gets, on top of the others'")
    deciding.add_argument("--did", metavar="TEXT", help="what for (default: the proposal's number)")
    deciding.add_argument("--version", help="of the new release (default: the next minor one)")
    deciding.add_argument("--reason", default="", help="your words to the author")
    add_server(deciding)
    deciding.set_defaults(run=proposal)


def _register_key(commands: "Commands[argparse.ArgumentParser]") -> None:
    family = _parser(commands, "designs", "keys of designs, on the server's computer", _KEY)
    more = family.add_subparsers(metavar="WHAT", required=True)
    parser = _parser(more, "key", "a new key for a design's maintainer", _KEY)
    parser.add_argument("design", metavar="DESIGN")
    parser.add_argument(
        "--new", action="store_true", required=True, help="in the former one's place"
    )
    parser.add_argument("--database", metavar="URL", help="as given to `cosmolocal serve`")
    add_server(parser)
    parser.set_defaults(run=key)


# ── fork


def fork(args: argparse.Namespace) -> int:
    try:
        if args.publish:
            return _publish_fork(args)
        return _write_fork(args)
    except Answered as no:
        return refused(args, no)


def _release_of(args: argparse.Namespace) -> Any:  # noqa: ANN401
    place = "releases" if _SHA256.fullmatch(args.design) else "designs"
    return call(args, "GET", f"/api/{place}/{args.design}")


def _publish_fork(args: argparse.Namespace) -> int:
    sha256 = _release_of(args)["sha256"]
    wish = {"who": args.who, "name": args.name, "licence": args.licence}
    given = {key: value for key, value in wish.items() if value is not None}
    answer = call(args, "POST", f"/api/releases/{sha256}/fork", json=given)
    release = answer["release"]
    origin = release["ancestor"]
    lines = [
        f"published {release['design']} {release['version']}, under {release['licence']}",
        f"  forked from {origin['design']} {origin['version']} by {origin['licensor']}",
        f"  release {answer['sha256']}",
        *told_key(answer),
    ]
    return show(args, answer, "\n".join(lines))


def told_key(answer: dict[str, Any]) -> list[str]:
    """The line that shows a new design's key."""
    key = answer.get("maintainer_key")
    return [f"  its key, shown this once: {key}"] if key else []


def _write_fork(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from designs import misfits
    from designs.design import Release
    from designs.errors import DesignRefused
    from orchestrator.catalogue import forks

    found = _release_of(args)
    base = Release.model_validate(found["release"])
    address = f"{args.server}/releases/{found['sha256']}"
    try:
        wish = forks.Wish(who=args.who, name=args.name, licence=args.licence)
        made = forks.forked(base, wish, next(forks.titles(base, wish)), address)
    except DesignRefused as no:
        findings = [finding.model_dump(mode="json") for finding in no.findings]
        raise Answered({"detail": str(no), "findings": findings}) from None
    except ValidationError as wrong:
        what, do = misfits.words(dict(wrong.errors()[0]))
        sys.stderr.write(f"cosmolocal fork: {what}: {do}\n")
        return USAGE
    folder: Path = args.into or Path(made.design)
    if folder.exists() and any(folder.iterdir()):
        sys.stderr.write(f"cosmolocal fork: {folder} is not empty: name another with --into\n")
        return USAGE
    _write_files(args, found["sha256"], base, made, folder)
    words = (
        f"{folder}: {made.title}, forked from {base.design} {base.version}, {made.licence}\n"
        f"change it, then: cosmolocal publish {folder}"
    )
    files = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    return show(args, {"folder": str(folder), "design": made.design, "files": files}, words)


def _write_files(
    args: argparse.Namespace, sha256: str, base: "Release", made: "Release", folder: Path
) -> None:
    """All files, each held against its hash, and the manifest of the fork."""
    from orchestrator.catalogue import forks, manifest

    old, older = forks.old_manifest(base), None
    for file in base.files:
        content = _fetched(args, f"/releases/{sha256}/files/{file.sha256}")
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise Answered({"detail": f"{file.name} came with other content than was published"})
        if old is not None and file.name == old.name:
            older = content
            continue
        place = folder / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    text = manifest.text(made, older, old.name if old else manifest.NAME)
    (folder / manifest.NAME).write_bytes(text)


def _fetched(args: argparse.Namespace, path: str) -> bytes:
    import httpx

    try:
        answer = httpx.get(f"{args.server}{path}", timeout=300)
    except httpx.HTTPError as error:
        sys.stderr.write(f"cosmolocal: no answer from {args.server} ({error})\n")
        raise SystemExit(REFUSED) from error
    if not answer.is_success:
        raise Answered({"detail": f"{path} was not to be had: {answer.reason_phrase}"})
    return answer.content


# ── proposals


def propose(args: argparse.Namespace) -> int:
    if not args.paths and not args.remove:
        sys.stderr.write("cosmolocal propose: name the files that you changed, or --remove FILE\n")
        return USAGE
    from orchestrator.cli.designs import gather

    files = gather(args.paths) if args.paths else {}
    message = sys.stdin.read() if args.message == "-" else args.message
    form: dict[str, Any] = {"author": args.author, "message": message, "removed": args.remove}
    form |= {name: each for name in ("base", "licence") if (each := getattr(args, name))}
    try:
        answer = _send(args, files, form)
    except Answered as no:
        return refused(args, no)
    words = [*told(answer), f"  to withdraw it, its key, shown this once: {answer['key']}"]
    return show(args, answer, "\n".join(words))


def _send(args: argparse.Namespace, files: dict[str, Path], form: dict[str, Any]) -> Any:  # noqa: ANN401
    with ExitStack() as stack:
        parts = [
            ("files", (name, stack.enter_context(path.open("rb")), "application/octet-stream"))
            for name, path in files.items()
        ]
        path = f"/api/designs/{args.design}/proposals"
        return call(args, "POST", path, files=parts or None, data=form)


def proposals(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "GET", f"/api/designs/{args.design}/proposals")
    except Answered as no:
        return refused(args, no)
    lines = [
        f"{each['id']} {each['state']}: {each['message'].splitlines()[0][:80]}, by {each['author']}"
        for each in answer
    ]
    return show(args, answer, "\n".join(lines) or "nobody has proposed anything")


def proposal(args: argparse.Namespace) -> int:
    missing = _missing(args)
    if missing:
        sys.stderr.write(f"cosmolocal proposal {args.what}: give {missing}\n")
        return USAGE
    path = f"/api/proposals/{args.proposal}"
    try:
        if args.what == "show":
            answer = call(args, "GET", path)
        else:
            answer = call(args, "POST", f"{path}/{args.what}", json=_decision(args))
    except Answered as no:
        return refused(args, no)
    return show(args, answer, "\n".join(told(answer)))


def _missing(args: argparse.Namespace) -> str:
    if args.what != "show" and not _key_of(args):
        return "--key KEY, or set COSMOLOCAL_DESIGN_KEY"
    if args.what == "accept" and args.share is None:
        return "--share N: what the author gets, on top of the shares of the others (0 for none)"
    if args.what == "decline" and not args.reason:
        return "--reason TEXT: its author reads it"
    return ""


def _key_of(args: argparse.Namespace) -> str:
    return args.key or os.environ.get("COSMOLOCAL_DESIGN_KEY", "")


def _decision(args: argparse.Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {"key": _key_of(args)}
    if args.what == "accept":
        asked = {"share": args.share, "version": args.version, "did": args.did}
        body |= {key: value for key, value in asked.items() if value is not None}
    if args.what in {"accept", "decline"}:
        body["reason"] = args.reason
    return body


def told(answer: dict[str, Any]) -> list[str]:
    lines = [
        f"{answer['id']} {answer['state']}: {answer['message'].splitlines()[0][:80]}",
        f"  by {answer['author']}, to {answer['design']} {answer['base_version']}",
    ]
    for change in answer["changes"]:
        kind = "new" if not change["before"] else "changed" if change["after"] else "taken away"
        lines.append(f"  {change['name']}: {kind}")
    seen = answer["seen"]
    lines += [f"  {part['title']} {part['kind']}: {part['sentence']}" for part in seen["parts"]]
    lines += [f"  {f['severity']}: {f['where']}: {f['what']}. {f['do']}" for f in seen["findings"]]
    lines.append(f"  {seen['licence']}")
    if answer["conflicts"]:
        lines.append(
            f"  {', '.join(answer['conflicts'])} changed in {answer['newest_version']} too"
        )
    elif answer["stale"]:
        lines.append(f"  {answer['newest_version']} is out meanwhile; it still fits")
    if answer["release"]:
        lines.append(f"  it became release {answer['release']}")
    if answer["reason"]:
        lines.append(f"  {answer['reason']}")
    return lines


# ── the key of a design


def key(args: argparse.Namespace) -> int:
    settings = Settings(
        data_dir=args.data_dir, **({"database": args.database} if args.database else {})
    )
    if not args.database and not (args.data_dir / "cosmolocal.db").exists():
        sys.stderr.write(f"cosmolocal designs key: {args.data_dir} holds no database\n")
        return USAGE
    try:
        made = asyncio.run(_new_key(settings, args.design))
    except Answered as no:
        return refused(args, no)
    words = f"the key of {args.design}, shown this once: {made}"
    return show(args, {"design": args.design, "maintainer_key": made}, words)


async def _new_key(settings: Settings, design: str) -> str:
    from orchestrator import app
    from orchestrator.catalogue import lineage, service
    from orchestrator.store import Store

    assert app  # every room's tables are known, which the store wants
    store = await Store.open(settings.database_url, settings.blobs)
    try:
        async with store.unit() as unit:
            await service.newest(unit, design)
            return await lineage.new_key(unit, design)
    except service.NoSuchRelease as no:
        raise Answered({"detail": str(no)}) from None
    finally:
        await store.close()
