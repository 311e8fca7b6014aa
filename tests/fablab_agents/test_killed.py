"""kill -9 at every synced commit and at the first bytes on the wire to the machine.

The oracle is the simulated laser: what it physically started, never what the protocol believes.
"""

import asyncio
import os

import pytest

from fablab_agents.protocol.attempts import LIVE, State
from tests.conftest import need
from tests.fablab_agents.conftest import (
    City,
    Keys,
    Lab,
    Workshop,
    attended,
    city_at,
)
from tests.fablab_agents.test_uplink import seed

pytestmark = pytest.mark.journey

# Each point takes some seconds: a sample by default, all of them with COSMOLOCAL_PROOF=1.
ALL = os.environ.get("COSMOLOCAL_PROOF") == "1"
COMMITS = range(3, 24) if ALL else (7, 8, 9, 10)
WRITES = range(1, 24) if ALL else (6, 12)


async def outcome(lab: Lab, city: City, workshop: Workshop, attempt: str, *wrap: str) -> State:
    """Run under `wrap` until it is killed (or done), start again, and see how it ends."""
    agent = lab.start(*wrap)
    async with attended(lab):
        killed = asyncio.create_task(asyncio.to_thread(agent.process.wait))
        ended = asyncio.create_task(city.until(lambda: _over(city, attempt), 60))
        await asyncio.wait({killed, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not killed.done():
            assert ALL, "this kill point was never reached"
            agent.end(9)
            return city.states(attempt)[-1]
        agent.close()
        again = lab.start()
        await ended
        again.end(9)
    return city.states(attempt)[-1]


def _over(city: City, attempt: str) -> bool:
    states = city.states(attempt)
    return bool(states) and (states[-1] not in LIVE or states[-1] is State.UNKNOWN)


def judge(workshop: Workshop, city: City, attempt: str, ended: State) -> None:
    """What was made, against what was said."""
    starts = workshop.starts("laser-1")
    assert len(starts) <= 1, f"started {len(starts)} times: {city.states(attempt)}"
    assert all(start["bed"] == "clear" for start in starts)
    if ended in (State.FINISHED, State.INTERRUPTED):
        assert len(starts) == 1
    elif ended in (State.NOT_STARTED, State.WITHDRAWN):
        assert starts == []
    else:
        assert ended is State.UNKNOWN
        assert State.STARTING in city.states(attempt)
        last = city.last(attempt)
        assert last is not None
        assert State.RUNNING not in city.states(attempt) or "after the last line" in last.cause


def strace(what: str, at: int, *more: str) -> tuple[str, ...]:
    program = need("strace")
    return (program, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={what}", *more,
            "-e", f"inject={what}:signal=KILL:when={at}")  # fmt: skip


@pytest.mark.parametrize("at", COMMITS)
async def test_killed_at_a_synced_commit(at: int, lab: Lab, keys: Keys, workshop: Workshop) -> None:
    async with city_at(lab.identity.mqtt.port, keys) as city:
        attempt = seed(lab, city, keys)
        ended = await outcome(lab, city, workshop, attempt, *strace("fdatasync", at))
        print(f"commit {at}: {' → '.join(city.states(attempt))}")
        judge(workshop, city, attempt, ended)


@pytest.mark.parametrize("at", WRITES)
async def test_killed_at_a_byte_to_the_machine(
    at: int, lab: Lab, keys: Keys, workshop: Workshop
) -> None:
    port = str((workshop.folder / "laser-1.port").resolve())
    async with city_at(lab.identity.mqtt.port, keys) as city:
        attempt = seed(lab, city, keys)
        ended = await outcome(lab, city, workshop, attempt, *strace("write", at, "-P", port))
        print(f"write {at}: {' → '.join(city.states(attempt))}")
        judge(workshop, city, attempt, ended)
