"""`cosmolocal keys rotate`: another key signs tickets and grants, and perhaps one is revoked."""

import argparse

from orchestrator.cli.client import Answered, Commands, add_server, call, refused, show

_KEYS = """\
Two keys are known to every agent at any time: the one in use and the next one. Rotating now and
then costs nothing; agents take the new list over by themselves within half a minute.

  cosmolocal keys rotate              sign with the next key; what the former one signed holds
  cosmolocal keys rotate --revoke     the key in use was seen by others: it is worth nothing now
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "keys",
        help="change the keys that sign tickets, or revoke one",
        description=_KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server(parser)
    parser.add_argument("what", choices=["rotate"])
    parser.add_argument("--revoke", action="store_true", help="trust the key in use no more")
    parser.set_defaults(run=rotate)


def rotate(args: argparse.Namespace) -> int:
    try:
        answer = call(args, "POST", "/api/keys/rotate", json={"revoke": args.revoke})
    except Answered as no:
        return refused(args, no)
    return show(args, answer, f"agents are told to trust {', '.join(answer['keys'])}")
