"""`cosmolocal-agent`: one command, a file for each family of its subcommands.

It parses words and prints words; what it does is done elsewhere. With --json, standard output
carries JSON and nothing else. Exit statuses: 0 done, 1 refused or failed, 2 wrong usage, 3 needs a
person.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from fablab_agents.cli import guard, machines, shop, stream
from fablab_agents.cli.common import REFUSED, USAGE, refused
from fablab_agents.config import ConfigRefused
from fablab_agents.trust import EnrolRefused, NotEnrolled

_WHAT = """\
One agent serves one lab: it keeps in touch with the city's orchestrator, makes programs for the
lab's machines and runs them, one job at a time per machine, when a person said the bed is clear.

  1. cosmolocal-agent enrol http://orchestrator:8000 CODE     (the code comes from the orchestrator)
  2. describe the machines in agent.toml
  3. cosmolocal-agent doctor
  4. cosmolocal-agent run                                     (then open the console's address)
"""


def main(argv: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(argv)
    act: Callable[[argparse.Namespace], int] = asked.act
    try:
        status = act(asked)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        return _unheard()
    except (EnrolRefused, NotEnrolled) as error:
        return refused(asked, str(error), REFUSED)
    except ConfigRefused as error:
        return refused(asked, str(error), USAGE)


def _unheard() -> int:
    """Whoever read the output, such as `head`, is gone; a verdict that nobody took is no yes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cosmolocal-agent",
        description=_WHAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("cosmolocal"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for family in (shop, machines, guard, stream):
        family.register(commands)
    return parser
