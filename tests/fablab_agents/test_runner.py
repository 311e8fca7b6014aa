"""Bad luck and people, told plainly: a real agent, simulated machines, everything else real."""

import asyncio
import resource
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from fablab_agents.config import Config
from fablab_agents.journal import Journal
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.tickets import Recipe
from fablab_agents.runner import Runner, clock
from tests.fablab_agents.conftest import (
    CUT,
    PRINT,
    PRINTER,
    City,
    Files,
    Keys,
    Lab,
    Workshop,
    attended,
    city_at,
    make_ticket,
    wait_until,
)
from tests.fablab_agents.test_uplink import seed

LONG = CUT.replace("M5\n", "G4 P60\n" * 100 + "M5\n")
PLA = Recipe(process="3d_printing_fdm", material="pla")


@pytest.fixture
async def city(lab: Lab, keys: Keys) -> AsyncIterator[City]:
    async with city_at(lab.identity.mqtt.port, keys) as city:
        yield city


def add(lab: Lab, table: str) -> None:
    path = lab.folder / "agent.toml"
    path.write_text(path.read_text() + table)


async def test_a_printer_starts_by_itself_once_its_bed_is_clear(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    add(lab, PRINTER.format(link=workshop.start("printer-1", "printer-220")))
    attempt = seed(lab, city, keys, PRINT, machine="printer-1", recipe=PLA)
    lab.start()
    await city.until(lambda: city.head >= 1)
    laser, printer = await lab.machines()
    assert laser["attempt"] is None
    assert printer["waits_for"] == "bed clear"
    answer = await lab.press("/api/machines/printer-1/start")
    assert answer.status_code == 409
    assert "by itself" in answer.text
    assert workshop.starts("printer-1") == []
    async with attended(lab):
        await city.until_state(attempt, State.FINISHED, 60)
    [_, printer] = await lab.machines()
    assert printer["bed"] == "occupied"
    assert len(workshop.starts("printer-1")) == 1


async def test_a_missing_port_is_said_and_disturbs_no_other_machine(
    lab: Lab, city: City, keys: Keys
) -> None:
    add(lab, PRINTER.format(link="/dev/no-such-port"))
    attempt = seed(lab, city, keys)
    agent = lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.FINISHED)
    _, printer = await lab.machines()
    assert printer["condition"] == "offline"
    assert "/dev/no-such-port" in printer["detail"]
    assert agent.log.count("machine not ready") == 1
    told = [said for said in city.heard if isinstance(said, messages.Machines)][-1]
    assert {m.machine: m.condition.value for m in told.machines}["printer-1"] == "offline"


async def test_a_machine_unplugged_in_mid_job_is_interrupted(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys, LONG)
    lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.RUNNING)
        workshop.kill()
        await city.until_state(attempt, State.INTERRUPTED)
    [machine] = await lab.machines()
    assert machine["condition"] != "idle"
    assert machine["bed"] == "occupied"


async def test_a_missing_slicer_refuses_with_the_line_to_type(
    lab: Lab, city: City, files: Files
) -> None:
    add(lab, PRINTER.format(link="/dev/no-such-port"))
    lab.start(PATH=str(Path(sys.executable).parent))
    cube = _cube()
    ticket = make_ticket(
        machine="printer-1",
        recipe=PLA,
        format="stl",
        file=files.add(cube),
        file_bytes=len(cube),
    )
    await city.offer(ticket)
    await city.until_state(ticket.attempt, State.REFUSED, 60)
    said = city.last(ticket.attempt)
    assert said is not None
    assert said.cause.startswith("slicer missing: ")
    assert "prusa-slicer" in said.cause


def _cube() -> bytes:
    import trimesh

    data = trimesh.creation.box((10, 10, 10)).export(file_type="stl")
    assert isinstance(data, bytes)
    return data


async def test_a_full_disk_stops_new_work_keeps_the_running_job_and_says_so(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys, CUT.replace("M5\n", "G4 P60\n" * 4 + "M5\n"))
    agent = lab.start()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with attended(lab):
        await city.until_state(attempt, State.RUNNING)
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (1024, unlimited[1]))
        # The log is a file too: what counts is what the page says.
        await asyncio.to_thread(wait_until, lambda: workshop.ends("laser-1"), 30)
        await asyncio.to_thread(wait_until, lambda: b"No new work" in _page(lab), 30)
        assert city.states(attempt)[-1] is State.RUNNING
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, unlimited)
        await city.until_state(attempt, State.FINISHED)
    assert b"No new work" not in _page(lab)
    assert len(workshop.starts("laser-1")) == 1


async def test_a_folder_that_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    """A network disk that is away: the machines go on, and so does the loop when it is back."""
    folder = tmp_path / "agent"
    with closing(Journal.open(tmp_path / "journal.db", "lab-nord", "b1", clock().at)) as journal:
        async with httpx.AsyncClient() as client:
            runner = Runner(Config(), folder, journal, {}, client)
            shutil.rmtree(folder)
            runner.step()
            folder.mkdir()
            runner.step()
            assert runner.trouble() is None


def _page(lab: Lab) -> bytes:
    return httpx.get(lab.console, trust_env=False).content


async def test_sigterm_stops_the_machine_and_says_interrupted(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys, LONG)
    agent = lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.RUNNING)
        assert await asyncio.to_thread(agent.end) == 0
    lab.start()
    await city.until_state(attempt, State.INTERRUPTED)
    said = city.last(attempt)
    assert said is not None
    assert "the agent was stopped" in said.cause
    assert len(workshop.starts("laser-1")) == 1


async def test_a_person_stops_pauses_and_resumes(lab: Lab, city: City, keys: Keys) -> None:
    attempt = seed(lab, city, keys, LONG)
    lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.RUNNING)
    assert (await lab.press("/api/machines/laser-1/pause")).status_code == 200
    await city.until_state(attempt, State.PAUSED)
    [machine] = await lab.machines()
    assert machine["waits_for"] == "stop decision"
    assert (await lab.press("/api/machines/laser-1/resume")).status_code == 200
    await city.until(lambda: city.states(attempt)[-1] is State.RUNNING)
    answer = await lab.press("/api/machines/laser-1/stop", why="smoke")
    assert answer.status_code == 200
    await city.until_state(attempt, State.INTERRUPTED)
    said = city.last(attempt)
    assert said is not None
    assert said.cause == "stopped: by Ana at the machine: smoke"


async def test_an_altered_program_is_not_started(
    lab: Lab, city: City, keys: Keys, workshop: Workshop
) -> None:
    attempt = seed(lab, city, keys)
    path = lab.folder / "programs" / attempt / "program.gcode"
    path.write_text(path.read_text().replace("X20", "X21"))
    lab.start()
    async with attended(lab):
        await city.until_state(attempt, State.NOT_STARTED)
    assert workshop.starts("laser-1") == []


async def test_a_machine_taken_off_the_network_gives_its_work_back(
    lab: Lab, city: City, keys: Keys
) -> None:
    attempt = seed(lab, city, keys)
    lab.start()
    await city.until(lambda: city.head >= 1)
    answer = await lab.press("/api/machines/laser-1/offered")
    assert answer.status_code == 400
    import httpx

    async with httpx.AsyncClient(base_url=lab.console, trust_env=False) as client:
        header = {"X-Cosmolocal": "console"}
        path = "/api/machines/laser-1/offered"
        await client.post(path, json={"offered": False}, headers=header)
    await city.until_state(attempt, State.REFUSED)
    told = [said for said in city.heard if isinstance(said, messages.Machines)]
    await city.until(lambda: not told[-1].machines[0].offered or city.head >= 2)


async def test_what_nobody_knows_waits_for_a_persons_word(lab: Lab, city: City, keys: Keys) -> None:
    attempt = seed(lab, city, keys)
    with lab.journal() as journal:
        from fablab_agents.protocol.attempts import Actor
        from fablab_agents.runner import clock
        from tests.fablab_agents.test_journal import grant_of

        now = clock()
        journal.move(attempt, State.STAGED, Actor.AGENT, now)
        journal.claim(attempt, now)
        journal.put_mark("laser-1", "Ana", now, attempt=attempt)
        ticket = city.tickets[attempt]
        journal.begin(attempt, grant_of(ticket), now, attended=True)
        journal.arm(attempt, "handle")
    lab.start()
    await city.until_state(attempt, State.UNKNOWN)
    [machine] = await lab.machines()
    assert machine["waits_for"] == "unknown decision"
    assert (await lab.press("/api/machines/laser-1/start")).status_code == 409
    path = f"/api/attempts/{attempt}/attest"
    assert (await lab.press(path, outcome="running", evidence="x")).status_code == 400
    assert (await lab.press(path, outcome="finished", evidence=" ")).status_code == 400
    answer = await lab.press(path, outcome="not_started", evidence="the sheet is untouched")
    assert answer.status_code == 200
    await city.until_state(attempt, State.NOT_STARTED)
    said = city.last(attempt)
    assert said is not None
    assert (said.person, said.cause) == ("Ana", "the sheet is untouched")
    assert (await lab.press(path, outcome="failed", evidence="no")).status_code == 409


def test_one_agent_a_folder(lab: Lab) -> None:
    lab.start()
    second = subprocess.run(
        [sys.executable, "-m", "fablab_agents.cli", "run", "--dir", str(lab.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "another agent works in" in second.stderr
