"""`cosmolocal`: one command, a file for each family of its subcommands.

Exit statuses: 0 done, 1 refused or failed, 2 wrong usage, 3 needs a person or incomplete.
"""

import argparse
import sys
from importlib import import_module

_ABOUT = """\
Design global, manufacture local: routes open designs to fab labs and drives their machines.

  cosmolocal serve                                    the orchestrator, with its broker
  cosmolocal labs add "Atelier Nord" --place 41.39,2.19    a lab, and a code for its agent
  cosmolocal check FOLDER                             whether its files are sound
  cosmolocal publish FOLDER                           a design; or step by step: cosmolocal draft
  cosmolocal search lamp --fits 220                   designs by words and every field
  cosmolocal fork DESIGN --who "Bo"                   your own of somebody's; propose, proposals
  cosmolocal okh lint FILE                            what its manifest lacks, and why that matters
  cosmolocal grant new DESIGN --lab LAB               let it be made for money there (NC licences)
  cosmolocal release deprecate RELEASE --reason WHY   it stays orderable, and says why
  cosmolocal quote DESIGN --place 41.39,2.19          who can make it, and for how much
  cosmolocal order QUOTE --name "Ana Puig"
  cosmolocal watch ORDER                              or cancel ORDER, before a machine has begun
  cosmolocal inspect PASSPORT --conforms --by "Ana"   once it is made
  cosmolocal passport PASSPORT                        what is known of a made part
  cosmolocal recall new --release … --reason "…"      withdraw it: jobs stop, holders are told
  cosmolocal store backup FILE                        and what to do after one was put back
"""


_FAMILIES = (
    *("serve", "labs", "check", "designs", "search", "archives", "drafts", "forks", "okh"),
    "grants",
    *("orders", "makes", "recalls", "broker", "keys", "store"),
)
_ALONE = {"check", "okh"}  # needs nothing of the others, and starts sooner without them


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = parser(_ALONE & set(words[:1])).parse_args(words)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 1


def parser(only: set[str] | None = None) -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="cosmolocal", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for family in only or _FAMILIES:
        import_module(f"orchestrator.cli.{family}").register(commands)
    return root
