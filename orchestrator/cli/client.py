"""What the maker's and designer's commands share: the server, its answers, and how to print them.

It never shows a traceback for something a person can mend.
"""

import argparse
import ipaddress
import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

DONE, REFUSED, USAGE, NEEDS_PERSON = 0, 1, 2, 3
Commands = argparse._SubParsersAction  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
"""What `register` of each command family gets: argparse has no public name for it."""


class Answered(Exception):
    """The server said no; `problem` is its answer in full."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        super().__init__(problem.get("detail") or problem.get("title") or "the server refused")


def add_server(parser: argparse.ArgumentParser) -> None:
    """The options of every command that talks to a server."""
    parser.add_argument(
        "--server",
        default=os.environ.get("COSMOLOCAL_SERVER", "http://127.0.0.1:8000"),
        metavar="URL",
        help="the orchestrator (default %(default)s, or COSMOLOCAL_SERVER)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=_data_dir(),
        metavar="DIR",
        help="where a server on this computer keeps its token (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON, for programs")


def token(args: argparse.Namespace) -> str:
    """The one that was given, or lies in the folder that was named; what lies here by chance goes
    to this computer's own server only.
    """
    given = os.environ.get("COSMOLOCAL_TOKEN")
    file: Path = args.data_dir / "token"
    meant = args.data_dir != _data_dir() or _is_here(args.server)
    return given or (file.read_text().strip() if meant and file.exists() else "")


def _data_dir() -> Path:
    return Path(os.environ.get("COSMOLOCAL_DATA_DIR", "var"))


def _is_here(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def call(args: argparse.Namespace, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401
    """The parsed JSON answer; raises Answered for a refusal, SystemExit where nobody answers."""
    answer = _answer(args, method, path, **request)
    return answer.json() if answer.content else None


def fetch(args: argparse.Namespace, path: str) -> bytes:
    """A file as the server has it; raises as `call` does."""
    return _answer(args, "GET", path).content


def _answer(args: argparse.Namespace, method: str, path: str, **request: Any) -> "httpx.Response":  # noqa: ANN401
    import httpx

    known = token(args)
    headers: dict[str, str] = {**request.pop("headers", {})}
    headers |= {"Authorization": f"Bearer {known}"} if known else {}
    try:
        answer = httpx.request(
            method, f"{args.server}{path}", headers=headers, timeout=300, **request
        )
    except httpx.HTTPError as error:
        sys.stderr.write(
            f"cosmolocal: no answer from {args.server} ({error}). "
            "Start it with `cosmolocal serve`, or name another with --server.\n"
        )
        raise SystemExit(REFUSED) from error
    if answer.is_success:
        return answer
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise Answered({"status": answer.status_code, "detail": _no_token(args, known)})
    raise Answered(_problem(answer))


def _no_token(args: argparse.Namespace, known: str) -> str:
    wrong = "is not this one" if known else "is missing"
    return (
        f"this needs the operator's token, which {wrong}: it lies in the file `token` of the "
        f"server's data folder. Name that folder with --data-dir (now {args.data_dir}), or on "
        "another computer give the token as COSMOLOCAL_TOKEN"
    )


def _problem(answer: "httpx.Response") -> dict[str, Any]:
    try:
        plain = answer.json()
    except json.JSONDecodeError:
        plain = {}
    return plain if isinstance(plain, dict) and plain else {"title": answer.reason_phrase}


def refused(args: argparse.Namespace, answered: Answered) -> int:
    """Tell the refusal, finding by finding; returns the exit status."""
    if args.json:
        print(json.dumps(answered.problem, ensure_ascii=False))
        return REFUSED
    findings = [
        f"{f['where']}: {f['what']}. {f['do']}." for f in answered.problem.get("findings", [])
    ]
    for words in findings or [str(answered)]:
        sys.stderr.write(f"refused: {words}\n")
    return REFUSED


def show(args: argparse.Namespace, value: Any, words: str) -> int:  # noqa: ANN401
    """Print the value as JSON, or the words for a person."""
    print(json.dumps(value, ensure_ascii=False) if args.json else words)
    return DONE


def ask(question: str, default: str = "") -> str:
    """Ask on a terminal; without one, or with an empty answer, the default stands."""
    if not sys.stdin.isatty():
        return default
    hint = f" [{default}]" if default else ""
    return input(f"{question}{hint}: ").strip() or default


def counted(number: int, what: str) -> str:
    """`1 unit`, `2 units`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def labelled(row: dict[str, Any]) -> str:
    """What a reader must know of a machine or a make beside its name, as its page says it."""
    known = {
        "simulated": "simulated",
        "by_hand": "driven by hand",
        "attested": "attested by a person",
    }
    said = [words for name, words in known.items() if row.get(name)]
    return f" ({', '.join(said)})" if said else ""
