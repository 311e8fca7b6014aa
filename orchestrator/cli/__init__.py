"""`cosmolocal`: one command, a file for each family of its subcommands.

Exit statuses: 0 done, 1 refused or failed, 2 wrong usage, 3 needs a person or incomplete.
"""

import argparse
import sys

_ABOUT = """\
Design global, manufacture local: routes open designs to fab labs and drives their machines.

  cosmolocal serve                                    the orchestrator, with its broker
  cosmolocal labs add "Atelier Nord" --place 41.39,2.19    a lab, and a code for its agent
  cosmolocal publish FOLDER                           a design; or step by step: cosmolocal draft
  cosmolocal search lamp --fits 220                   designs by words and every field
  cosmolocal fork DESIGN --who "Bo"                   your own of somebody's; propose, proposals
  cosmolocal okh lint FILE                            what its manifest lacks, and why that matters
  cosmolocal release deprecate RELEASE --reason WHY   it stays orderable, and says why
  cosmolocal quote DESIGN --place 41.39,2.19          who can make it, and for how much
  cosmolocal order QUOTE --name "Ana Puig"
  cosmolocal watch ORDER                              or cancel ORDER, before a machine has begun
  cosmolocal inspect PASSPORT --conforms --by "Ana"   once it is made
  cosmolocal passport PASSPORT                        what is known of a made part
  cosmolocal recall new --release … --reason "…"      withdraw it: jobs stop, holders are told
  cosmolocal store backup FILE                        and what to do after one was put back
"""


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = parser(words[0] if words else "").parse_args(words)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 1


def parser(command: str = "") -> argparse.ArgumentParser:
    """All commands; only one where it is known to be that, as it starts three times as fast."""
    from orchestrator.cli import okh

    root = argparse.ArgumentParser(
        prog="cosmolocal", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    if command == "okh":
        okh.register(commands)
        return root
    from orchestrator.cli import (
        archives,
        broker,
        designs,
        drafts,
        forks,
        keys,
        labs,
        makes,
        orders,
        recalls,
        search,
        serve,
        store,
    )

    families = (
        *(serve, labs, designs, search, archives, drafts, forks, okh),
        *(orders, makes, recalls, broker, keys, store),
    )
    for family in families:
        family.register(commands)
    return root
