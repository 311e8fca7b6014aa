"""`cosmolocal store`: a backup, and the way on after the database was put back to an older copy."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli.client import (
    DONE,
    NEEDS_PERSON,
    Answered,
    Commands,
    add_server,
    call,
    refused,
    show,
)
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import URL

_STORE = """\
  cosmolocal store backup /backup/monday.db           while it is served, too
  cosmolocal store restored --from /backup/monday.db  with the server stopped
  cosmolocal store restored                           somebody put the database back by other means
  cosmolocal store census                             who has not told yet what it remembers
  cosmolocal store go-on --without lab-nord           it will not come: give up what it remembers

After `restored` nothing is offered or granted until every agent has told what it remembers.
"""
_BESIDE: Final = """\
Keep with it, from {folder}, copied after it:
  blobs/                           designs and programs; files are only ever added
  keys/                            without them no ticket that is out can be read again
  token, broker/orchestrator.secret"""
_ASKED: Final = "It asks for the password, or takes it from ~/.pgpass or PGPASSWORD."


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "store",
        help="back the database up; go on after one was put back",
        description=_STORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    more = parser.add_subparsers(metavar="WHAT", required=True)
    backing = more.add_parser("backup", help="copy the database as it is now, served or not")
    backing.add_argument("file", type=Path, metavar="FILE")
    backing.set_defaults(run=backup)
    restoring = more.add_parser("restored", help="the database was put back to an older copy")
    restoring.add_argument("--why", default="put back from a backup", metavar="TEXT")
    restoring.add_argument(
        "--from", dest="file", type=Path, metavar="FILE", help="put this backup in its place first"
    )
    restoring.set_defaults(run=restored)
    counting = more.add_parser("census", help="who has not told yet, and what belongs to no order")
    counting.set_defaults(run=census)
    going = more.add_parser("go-on", help="wait for an agent no longer")
    going.add_argument("--without", required=True, metavar="AGENT")
    going.set_defaults(run=go_on)
    for each in (backing, restoring, counting, going):
        add_server(each)
    for each in (backing, restoring):
        each.add_argument("--database", metavar="URL", help="as given to `cosmolocal serve`")


# ── backup


def backup(args: argparse.Namespace) -> int:
    from orchestrator.store import backup as files

    url = _database(args)
    beside = _BESIDE.format(folder=args.data_dir)
    if url.get_backend_name() != "sqlite":
        dump = f"pg_dump --format=custom --file={args.file} '{_plain(url)}'"
        words = f"this database is PostgreSQL; run\n  {dump}\n{_ASKED}\n{beside}"
        show(args, {"run": dump}, words)
        return NEEDS_PERSON
    try:
        files.copy(_file(url), args.file)
    except files.NotCopied as no:
        return _refuse(args, str(no))
    size = args.file.stat().st_size
    words = f"{args.file}: the database as it is now, {size} bytes, checked\n{beside}"
    return show(args, {"file": str(args.file), "bytes": size}, words)


def _database(args: argparse.Namespace) -> "URL":
    from sqlalchemy import make_url

    given = {"database": args.database} if args.database else {}
    return make_url(Settings(data_dir=args.data_dir, **given).database_url)


def _plain(url: "URL") -> str:
    """Without the password, which is nothing for a command line."""
    bare = url.set(drivername="postgresql")._replace(password=None)
    return bare.render_as_string(hide_password=False)


def _file(url: "URL") -> Path:
    return Path(url.database or "")


# ── after the database was put back


def restored(args: argparse.Namespace) -> int:
    """In the data folder, if nobody serves it; else through the server."""
    from orchestrator.app import running
    from orchestrator.store.backup import NotCopied

    if not args.data_dir.is_dir():
        if args.file:
            missing = f"there is no folder {args.data_dir}"
            return _refuse(args, f"{missing}: make it, or name the server's with --data-dir")
        return _through_server(args)
    try:
        with running.alone(args.data_dir):
            number = asyncio.run(_begin_here(args, _database(args)))
    except running.CannotServe:
        return _through_server(args)
    except NotCopied as no:
        return _refuse(args, str(no))
    return show(args, {"epoch": number}, _begun(number))


async def _begin_here(args: argparse.Namespace, url: "URL") -> int:
    """A backup has its new epoch before it is the database: no server ever sees it without."""
    from orchestrator.store import backup as files

    if url.get_backend_name() != "sqlite":
        if args.file:
            raise files.NotCopied(f"this database is PostgreSQL: pg_restore {args.file}, then this")
        return await _begin(url, args)
    place = _file(url)
    if not args.file:
        if not place.is_file():
            raise files.NotCopied(f"there is no database {place}")
        return await _begin(url, args)
    fresh = place.with_name(f"{place.name}.put-back")
    fresh.unlink(missing_ok=True)
    files.copy(args.file, fresh)
    number = await _begin(url.set(database=str(fresh)), args)
    files.replace(fresh, place)
    return number


async def _begin(url: "URL", args: argparse.Namespace) -> int:
    from orchestrator.dispatch import census as counting
    from orchestrator.store import Store

    whole = url.render_as_string(hide_password=False)
    store = await Store.open(whole, Settings(data_dir=args.data_dir).blobs)
    try:
        return await store.run(lambda unit: counting.begin(unit, args.why))
    finally:
        await store.close()


def _through_server(args: argparse.Namespace) -> int:
    if args.file:
        return _refuse(args, f"{args.data_dir} is being served: stop the server first")
    try:
        answer = call(args, "POST", "/api/store/restored", json={"why": args.why})
    except Answered as no:
        return refused(args, no)
    return show(args, answer, _begun(answer["epoch"]))


def _begun(number: int) -> str:
    return (
        f"epoch {number} begins: nothing is offered or granted until every agent has told what it"
        " remembers\nwho has not: cosmolocal store census"
    )


def _refuse(args: argparse.Namespace, why: str) -> int:
    return refused(args, Answered({"detail": why}))


# ── the census


def census(args: argparse.Namespace) -> int:
    """Exit status 3 while agents are awaited."""
    try:
        answer = call(args, "GET", "/api/store/census")
    except Answered as no:
        return refused(args, no)
    show(args, answer, "\n".join(told(answer)))
    return NEEDS_PERSON if answer["awaited"] else DONE


def told(answer: dict[str, Any]) -> list[str]:
    if answer["since"] is None:
        return ["epoch 1: this database was never put back"]
    lines = [f"epoch {answer['epoch']} since {answer['since']}: {answer['why']}"]
    lines += [
        f"  awaited: {each['agent']} of {each['lab']}, last heard {each['heard_at'] or 'never'}"
        for each in answer["awaited"]
    ]
    lines += [
        f"  orphan: {each['attempt']} at {each['lab']}, {each['machine']}:"
        f" {each['quantity']} × {each['part']}, {each['state']}"
        for each in answer["orphans"]
    ]
    waits = "nothing is offered or granted before the awaited agents have told, or `go-on`"
    return [*lines, waits if answer["awaited"] else "every agent has told; work goes on"]


def go_on(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "POST", "/api/store/go-on", json={"agent": args.without})
    except Answered as no:
        return refused(args, no)
    return show(args, answer, "\n".join(told(answer)))
