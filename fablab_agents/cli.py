"""`cosmolocal-agent`: enrol a lab, run its agent, find what is wrong.

It parses words and prints words; what it does is done elsewhere. With --json, standard output
carries JSON and nothing else.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fablab_agents import config
from fablab_agents.config import ConfigRefused
from fablab_agents.trust import EnrolRefused, Identity, NotEnrolled, enrol

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
PERSON: Final = 3

_WHAT = """\
One agent serves one lab: it keeps in touch with the city's orchestrator, makes programs for the
lab's machines and runs them, one job at a time per machine, when a person said the bed is clear.

  1. cosmolocal-agent enrol http://orchestrator:8000 CODE     (the code comes from the orchestrator)
  2. describe the machines in agent.toml
  3. cosmolocal-agent doctor
  4. cosmolocal-agent run                                     (then open the console's address)
"""
_ENROL = """\
Trades a one-time code (valid for 15 minutes, works once) for this agent's identity, which is
written to identity.json for its owner alone. If there is no agent.toml yet, one is written with
every key explained.
"""
_RUN = """\
Serves until Ctrl-C or SIGTERM: then what runs on a serial line is stopped safely and reported as
interrupted. It may be killed at any time; at the next start the journal says what was going on.

A machine in agent.toml:

"""


def main(argv: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(argv)
    act: Callable[[argparse.Namespace], int] = asked.act
    asked.dir = asked.dir.expanduser()
    try:
        return act(asked)
    except (EnrolRefused, NotEnrolled) as error:
        return _refused(asked, str(error), REFUSED)
    except ConfigRefused as error:
        return _refused(asked, str(error), USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cosmolocal-agent",
        description=_WHAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("cosmolocal"))
    add = parser.add_subparsers(required=True, metavar="COMMAND").add_parser
    command = _command(add, "enrol", "join a lab to an orchestrator", _ENROL, _enrol)
    command.add_argument("url", help="the orchestrator's address, http(s)://…")
    command.add_argument("code", help="the one-time code")
    command.add_argument("--lab", help="the lab's name as people know it")
    _command(add, "run", "serve this lab's machines", _RUN + config.EXAMPLE, _run)
    _command(
        add,
        "doctor",
        "find what is wrong and how to mend it",
        "Looks at agent.toml, identity, disk, journal, ports, slicer, broker, orchestrator and"
        " clock.\nExit status: 0 all well, 1 something is wrong, 3 something to look at.",
        _doctor,
    )
    return parser


def _command(
    add: Callable[..., argparse.ArgumentParser],
    name: str,
    what: str,
    more: str,
    act: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = add(
        name, help=what, description=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "--dir", type=Path, default=config.DEFAULT_DIR, help="the agent's folder (%(default)s)"
    )
    command.add_argument("--json", action="store_true", help="answer in JSON on standard output")
    command.set_defaults(act=act)
    return command


def _say(asked: argparse.Namespace, words: str, **facts: object) -> None:
    print(json.dumps(facts) if asked.json else words, flush=True)


def _refused(asked: argparse.Namespace, why: str, status: int) -> int:
    if asked.json:
        print(json.dumps({"error": why}))
    else:
        print(f"cosmolocal-agent: {why}", file=sys.stderr)
    return status


def _enrol(asked: argparse.Namespace) -> int:
    folder: Path = asked.dir
    if (folder / "identity.json").exists():
        known = Identity.load(folder).agent
        raise EnrolRefused(
            f"{folder} is enrolled as {known} already; use another --dir, or move identity.json"
            " and journal.db away to enrol it anew"
        )
    identity = enrol(asked.url, asked.code, version("cosmolocal"), asked.lab)
    identity.save(folder)
    shop = folder / config.FILE
    if not shop.exists():
        shop.write_text(config.EXAMPLE, encoding="utf-8")
    _say(
        asked,
        f"Enrolled as {identity.agent}.\nNow describe the machines in {shop},\n"
        f"then type: cosmolocal-agent run --dir {folder}",
        agent=identity.agent,
        dir=str(folder),
        config=str(shop),
        url=identity.url,
    )
    return DONE


def _run(asked: argparse.Namespace) -> int:
    from fablab_agents import daemon
    from fablab_agents.journal import JournalBroken, JournalForeign

    daemon.set_up_logs()

    def up(what: daemon.Up) -> None:
        words = f"{what.agent} serves {len(what.machines)} machines. Console: {what.console}"
        _say(asked, words, **dataclasses.asdict(what))

    try:
        daemon.run(asked.dir, up)
    except JournalForeign as error:
        return _refused(asked, str(error), PERSON)
    except (JournalBroken, daemon.AlreadyRunning) as error:
        return _refused(asked, str(error), REFUSED)
    return DONE


def _doctor(asked: argparse.Namespace) -> int:
    from fablab_agents import doctor

    checks = doctor.examine(asked.dir)
    if asked.json:
        print(json.dumps({"checks": [dataclasses.asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{check.how:>5}  {check.what}: {check.said}")
            if check.do:
                print(f"       → {check.do}")
    found = {check.how for check in checks}
    return REFUSED if "wrong" in found else PERSON if "worry" in found else DONE


if __name__ == "__main__":
    sys.exit(main())
