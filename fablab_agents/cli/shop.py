"""The commands of a lab that serves: enrol it, run its agent, find what is wrong."""

import argparse
import dataclasses
import json
from importlib.metadata import version
from pathlib import Path

from fablab_agents import config
from fablab_agents.cli.common import (
    DONE,
    PERSON,
    REFUSED,
    Commands,
    command,
    refused,
    say,
    with_folder,
)
from fablab_agents.trust import EnrolRefused, Identity, enrol

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
_DOCTOR = """\
Looks at agent.toml, identity, disk, journal, ports, print servers, slicer, broker, orchestrator and
clock. Serial ports are opened only with --open: that resets many boards.
Exit status: 0 all well, 1 something is wrong, 3 something to look at.
"""


def register(commands: Commands) -> None:
    enrolling = command(commands, "enrol", "join a lab to an orchestrator", _ENROL, _enrol)
    enrolling.add_argument("url", help="the orchestrator's address, http(s)://…")
    enrolling.add_argument("code", help="the one-time code")
    enrolling.add_argument("--lab", help="the lab's name as people know it")
    with_folder(enrolling)
    with_folder(command(commands, "run", "serve this lab's machines", _RUN + config.EXAMPLE, _run))
    looking = with_folder(
        command(commands, "doctor", "find what is wrong and how to mend it", _DOCTOR, _doctor)
    )
    looking.add_argument(
        "--open", action="store_true", help="also ask on the serial ports; it resets many boards"
    )


def _enrol(asked: argparse.Namespace) -> int:
    folder: Path = asked.dir.expanduser()
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
    say(
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
        say(asked, words, **dataclasses.asdict(what))

    try:
        daemon.run(asked.dir.expanduser(), up)
    except JournalForeign as error:
        return refused(asked, str(error), PERSON)
    except (JournalBroken, daemon.AlreadyRunning) as error:
        return refused(asked, str(error), REFUSED)
    return DONE


def _doctor(asked: argparse.Namespace) -> int:
    from fablab_agents import doctor

    checks = doctor.examine(asked.dir.expanduser(), open_ports=asked.open)
    if asked.json:
        print(json.dumps({"checks": [dataclasses.asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{check.how:>5}  {check.what}: {check.said}")
            if check.do:
                print(f"       → {check.do}")
    found = {check.how for check in checks}
    return REFUSED if "wrong" in found else PERSON if "worry" in found else DONE
