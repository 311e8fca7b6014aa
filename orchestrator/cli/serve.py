"""`cosmolocal serve`: the orchestrator itself, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from orchestrator.cli.client import DONE, REFUSED, Commands
from orchestrator.settings import Settings

_SERVE = """\
Runs the orchestrator: pages and doors on one port, its broker on another, everything it keeps in
one folder. Each setting can also be given as COSMOLOCAL_… in the environment.

  cosmolocal serve
  cosmolocal serve --data-dir /srv/cosmolocal --host 0.0.0.0 --public-url https://make.example.org
  cosmolocal serve --database postgresql+psycopg://cosmolocal@/cosmolocal --broker external
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "serve",
        help="run the orchestrator",
        description=_SERVE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="default: var")
    parser.add_argument("--host", help="default: 127.0.0.1, this computer only")
    parser.add_argument("--port", type=int, help="default: 8000")
    parser.add_argument("--public-url", metavar="URL", help="how others reach this server")
    parser.add_argument("--database", metavar="URL", help="default: SQLite in the data folder")
    parser.add_argument("--broker", choices=["embedded", "external"], help="default: embedded")
    parser.add_argument("--mqtt-host", help="default: 127.0.0.1")
    parser.add_argument("--mqtt-port", type=int, help="default: 1883")
    parser.add_argument("--mqtt-public-host", help="the broker's name as agents see it")
    parser.add_argument("--json", action="store_true", help="print the addresses as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from orchestrator.app import running

    given = {
        name: value
        for name, value in vars(args).items()
        if name in Settings.model_fields and value is not None
    }
    settings = Settings(**given)

    def say(ready: dict[str, str]) -> None:
        words = (
            json.dumps(ready)
            if args.json
            else f"cosmolocal is at {ready['url']}\n  data: {ready['data_dir']}\n"
            f"  broker: {ready['broker']}\nstop it with Ctrl-C"
        )
        sys.stdout.write(f"{words}\n")
        sys.stdout.flush()

    try:
        asyncio.run(running.serve(settings, say))
    except running.CannotServe as error:
        sys.stderr.write(f"cosmolocal serve: {error}\n")
        return REFUSED
    return DONE
