"""What every command of `cosmolocal-agent` shares: exit statuses, its words and its JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fablab_agents import config

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
PERSON: Final = 3

Commands = Any
"""What argparse's `add_subparsers` answers; its class is private."""


def command(
    commands: Commands,
    name: str,
    what: str,
    more: str,
    act: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """A subcommand with its help and --json; `act` answers with an exit status."""
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="answer in JSON on standard output")
    made.set_defaults(act=act)
    return made


def with_folder(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A command that works on an agent's folder."""
    made.add_argument(
        "--dir", type=Path, default=config.DEFAULT_DIR, help="the agent's folder (%(default)s)"
    )
    return made


def say(asked: argparse.Namespace, words: str, **facts: object) -> None:
    print(json.dumps(facts) if asked.json else words, flush=True)


def refused(asked: argparse.Namespace, why: str, status: int) -> int:
    if asked.json:
        print(json.dumps({"error": why}))
    else:
        print(f"cosmolocal-agent: {why}", file=sys.stderr)
    return status
