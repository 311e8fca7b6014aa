"""A short life of what a shop or a city keeps on disk, by the production code: to be cut off.

python -m bench.crash.writer agent|orchestrator FOLDER
"""

import asyncio
import hashlib
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc.jwk import OKPKey

from fablab_agents.book import Moment
from fablab_agents.journal import FILE, Journal
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import ProgramFacts
from fablab_agents.protocol.tickets import Grant, Recipe, Ticket
from fablab_agents.trust import Identity, Mqtt

AGENT = "lab-nord"
PROGRAM = b"G21\nG90\nM4 S0\nG1 X20 S500 F3000\nM5\nM2\n"


def agent(folder: Path, jobs: int) -> None:
    """Enrolled, then two boots of one journal, each with its jobs."""
    key = OKPKey.generate_key("Ed25519", {"kid": "key-1"}).as_dict(private=False)
    mqtt = Mqtt(host="127.0.0.1", port=1883)
    Identity(agent=AGENT, secret=secrets.token_hex(16), mqtt=mqtt, keys=(key,)).save(folder)
    for boot in range(2):
        journal = Journal.open(folder / FILE, AGENT, f"b-{boot}", datetime.now(UTC))
        for number in range(jobs):
            _job(journal, folder, f"a-{boot}-{number}")
        journal.close()


def _job(journal: Journal, folder: Path, name: str) -> None:
    now = Moment(datetime.now(UTC), 1.0)
    ticket = _ticket(name, now.at)
    path = folder / "programs" / name / "program.gcode"
    path.parent.mkdir(parents=True)
    path.write_bytes(PROGRAM)
    facts = ProgramFacts(sha256=hashlib.sha256(PROGRAM).hexdigest(), lines=6, seconds=30, grams=1)
    journal.store_offer(journal.seen_down + 1, ticket, "e" * 400, now)
    journal.move(name, State.ACCEPTED, Actor.AGENT, now)
    journal.keep_program(name, facts, path)
    journal.move(name, State.STAGED, Actor.AGENT, now)
    journal.claim(name, now)
    journal.put_mark("laser-1", "Ana", now, name)
    journal.begin(name, _grant(name, now.at, facts.sha256, journal.boot), now, attended=True)
    journal.arm(name, f"handle {name}")
    journal.runs(name, now, resumed=False)
    journal.close_run(name)
    journal.end(name, State.FINISHED, now, cause="complete", machine_s=30)
    journal.ack_up(journal.head_seq)


def _ticket(name: str, now: datetime) -> Ticket:
    return Ticket(
        agent=AGENT, machine="laser-1", attempt=name, fence=1, issued_at=now, jobs=(f"j-{name}",),
        release="0" * 64, design="coaster", version="1", part="coaster", file="1" * 64,
        file_bytes=10, format="svg", quantity=1,
        recipe=Recipe(process="laser_cutting", material="plywood", thickness_mm=3),
        estimate_s=3600, not_after=now + timedelta(hours=1),
    )  # fmt: skip


def _grant(name: str, now: datetime, program: str, boot: str) -> Grant:
    return Grant(
        agent=AGENT, machine="laser-1", attempt=name, fence=1, issued_at=now,
        nonce=secrets.token_hex(16), boot=boot, program=program, window_s=60,
    )  # fmt: skip


async def orchestrator(folder: Path, units: int) -> None:
    """Two starts of one data folder, each with its units of work and files."""
    from orchestrator.app import secret, write_passwords
    from orchestrator.dispatch.signing import Signer
    from orchestrator.settings import Settings
    from orchestrator.store import Store

    settings = Settings(data_dir=folder)
    for start in range(2):
        Signer.open(settings.keys_file)
        secret(settings.token_file)
        store = await Store.open(settings.database_url, settings.blobs)
        await write_passwords(settings, store)
        for number in range(units):
            content = f"file {start} {number}".encode() * 200
            async with store.unit() as unit:
                await unit.record("part.kept", store.blobs.put(content), number=number)
        await store.close()


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        agent(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        asyncio.run(orchestrator(Path(sys.argv[2]), int(sys.argv[3])))
