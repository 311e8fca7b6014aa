"""The console by itself: its page and its buttons, with no machine and no network at all."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from fablab_agents.config import Console, parse
from fablab_agents.console import Site
from fablab_agents.journal import Journal
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import Bed, Condition
from fablab_agents.reconciler import GRANT_LIFE_S
from fablab_agents.runner import Runner, clock
from tests.fablab_agents.conftest import LASER, PRINTER, make_ticket
from tests.fablab_agents.test_journal import PROGRAM

HEADER = {"X-Cosmolocal": "console"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "journal.db", "lab-nord", "b1", datetime.now(UTC))
    yield journal
    journal.close()


@pytest.fixture
async def runner(journal: Journal, tmp_path: Path) -> AsyncIterator[Runner]:
    shop = parse(LASER.format(link="/p") + PRINTER.format(link="/q"))
    benches: dict[str, Bench] = {}
    async with httpx.AsyncClient() as nowhere:
        runner = Runner(shop, tmp_path, journal, benches, nowhere)
        benches.update({entry.id: Bench(entry, runner.machine_changed) for entry in shop.machine})
        yield runner
        for bench in benches.values():
            await bench.close()


@pytest.fixture
async def browser(runner: Runner) -> AsyncIterator[httpx.AsyncClient]:
    site = Site(Console(), runner, "lab-nord", "Lab <Nord>")
    transport = httpx.ASGITransport(site.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8101") as it:
        yield it


def offered(journal: Journal, part: str = "coaster", state: State = State.OFFERED) -> str:
    ticket = make_ticket(part=part, jobs=(f"j-{journal.seen_down}",))
    journal.store_offer(journal.seen_down + 1, ticket, "e", clock())
    if state is not State.OFFERED:
        journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, clock())
        journal.keep_program(ticket.attempt, PROGRAM, Path("p"))
    return ticket.attempt


async def test_the_page_shows_the_machines_and_escapes_everything(
    browser: httpx.AsyncClient, journal: Journal
) -> None:
    offered(journal, '<img src=x onerror="alert(1)">')
    page = await browser.get("/")
    assert page.status_code == 200
    assert "Lab &lt;Nord&gt;" in page.text
    assert "<img" not in page.text
    assert page.text.count('<article class="card') == 2
    assert "simulated" in page.text
    assert "emergency stop" in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for asset in ("console.css", "console.js"):
        assert (await browser.get(f"/static/{asset}")).status_code == 200


async def test_the_machines_as_json(browser: httpx.AsyncClient, journal: Journal) -> None:
    attempt = offered(journal, state=State.ACCEPTED)
    laser, printer = (await browser.get("/api/machines")).json()
    assert laser["machine"] == "laser-1"
    assert laser["condition"] == "offline"
    assert laser["waits_for"] == "start"
    assert laser["attempt"] == attempt
    assert laser["material"] == "plywood"
    assert laser["bed"] == "unknown"
    assert laser["progress"] is None
    assert laser["simulated"] is True
    assert printer["waits_for"] is None
    assert (await browser.get("/api/agent")).json()["connected"] is False
    [line] = (await browser.get("/api/attempts")).json()
    assert line["state"] == "accepted"


async def test_a_foreign_page_presses_no_button(
    browser: httpx.AsyncClient, journal: Journal
) -> None:
    path = "/api/machines/printer-1/bed-clear"
    answer = await browser.post(path, json={"person": "Eve"})
    assert answer.status_code == 403
    rebound = {**HEADER, "Host": "evil.example"}
    answer = await browser.post(path, json={"person": "Eve"}, headers=rebound)
    assert answer.status_code == 400
    assert journal.mark("printer-1") is None
    assert (await browser.get("/api/machines", headers={"Host": "evil.example"})).is_error
    assert (await browser.get(path, headers=HEADER)).status_code == 405


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("machines/printer-1/bed-clear", {}, 400, "person"),
        ("machines/printer-1/bed-clear", {"person": "  "}, 400, "person"),
        ("machines/printer-1/bed-clear", {"person": "Ana", "more": 1}, 400, "more"),
        ("machines/printer-9/bed-clear", {"person": "Ana"}, 409, "no machine printer-9"),
        ("machines/printer-1/start", {"person": "Ana"}, 409, "starts by itself"),
        ("machines/laser-1/start", {"person": "Ana"}, 409, "nothing waits"),
        ("machines/laser-1/stop", {"person": "Ana"}, 409, "nothing of ours runs"),
        ("machines/laser-1/pause", {"person": "Ana"}, 409, "nothing runs"),
        ("machines/laser-1/offered", {"offered": "perhaps"}, 400, "offered"),
        ("attempts/a-1/accept", {"person": "Ana"}, 409, "no attempt a-1"),
        (
            "attempts/a-1/attest",
            {"person": "A", "outcome": "finished", "evidence": "x"},
            409,
            "a-1",
        ),
        (
            "attempts/a-1/attest",
            {"person": "A", "outcome": "staged", "evidence": "x"},
            400,
            "outcome",
        ),
        ("machines/printer-1/bed-clear", {"person": "A" * 20_000}, 409, "16384 bytes"),
    ],
)
async def test_what_cannot_be_done_is_said(
    browser: httpx.AsyncClient, path: str, body: dict[str, object], status: int, words: str
) -> None:
    answer = await browser.post(f"/api/{path}", json=body, headers=HEADER)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_not_started_is_not_believed_while_another_computer_could_start_it(
    browser: httpx.AsyncClient, journal: Journal, runner: Runner
) -> None:
    """A claim that a former boot made was perhaps granted, and nobody knows to which computer."""
    attempt = offered(journal, state=State.ACCEPTED)
    for to in (State.STAGED, State.CLAIMED, State.UNKNOWN):
        journal.move(attempt, to, Actor.AGENT, clock())

    async def press(outcome: str) -> tuple[int, str]:
        said = {"person": "Ana", "outcome": outcome, "evidence": "the bed is empty"}
        path = f"/api/attempts/{attempt}/attest"
        answer = await browser.post(path, json=said, headers=HEADER)
        return answer.status_code, answer.json().get("detail", "")

    status, why = await press("not_started")
    assert status == 409
    assert "the network does not answer this computer" in why
    runner.welcomed_s = clock().elapsed_s
    status, why = await press("not_started")
    assert status == 409
    assert "look again in 6 min" in why
    runner.welcomed_s -= GRANT_LIFE_S
    assert await press("not_started") == (200, "")
    [*_, said] = journal.causes(attempt)
    assert (said.state, said.person) == (State.NOT_STARTED, "Ana")


async def test_a_start_is_for_what_the_person_saw(
    browser: httpx.AsyncClient, journal: Journal
) -> None:
    offered(journal, state=State.ACCEPTED)
    path = "/api/machines/laser-1/start"
    said = {"person": "Ana", "attempt": "a-gone"}
    answer = await browser.post(path, json=said, headers=HEADER)
    assert "no longer the next one" in answer.json()["detail"]
    answer = await browser.post(path, json={"person": "Ana"}, headers=HEADER)
    assert "laser-1 is offline" in answer.json()["detail"]
    assert journal.mark("laser-1") is None


async def test_nobody_clears_the_bed_of_a_machine_that_could_be_used_unseen(
    browser: httpx.AsyncClient, journal: Journal
) -> None:
    path, said = "/api/machines/printer-1/bed-clear", {"person": "Ana"}
    answer = await browser.post(path, json=said, headers=HEADER)
    assert "not connected" in answer.json()["detail"]
    assert journal.mark("printer-1") is None


async def test_a_clear_bed_is_no_longer_known_once_the_machine_is_out_of_sight(
    browser: httpx.AsyncClient, journal: Journal, runner: Runner
) -> None:
    bench = runner.benches["printer-1"]
    bench.condition = Condition.IDLE
    path, said = "/api/machines/printer-1/bed-clear", {"person": "Ana"}
    assert (await browser.post(path, json=said, headers=HEADER)).status_code == 200
    bench.condition = Condition.OFFLINE
    runner.machine_changed("printer-1")
    mark = journal.mark("printer-1")
    assert mark is not None
    assert mark.bed is Bed.UNKNOWN


async def test_the_bed_is_cleared_by_a_named_person(
    browser: httpx.AsyncClient, journal: Journal, runner: Runner
) -> None:
    runner.benches["printer-1"].condition = Condition.IDLE
    path = "/api/machines/printer-1/bed-clear"
    answer = await browser.post(path, json={"person": " Ana "}, headers=HEADER)
    assert answer.json() == {"done": True}
    mark = journal.mark("printer-1")
    assert mark is not None
    assert (mark.bed, mark.person, mark.attempt) == (Bed.CLEAR, "Ana", None)


async def test_offers_are_taken_and_sent_away(browser: httpx.AsyncClient, journal: Journal) -> None:
    taken, sent = offered(journal), offered(journal, "hook")
    await browser.post(f"/api/attempts/{taken}/accept", json={"person": "Ana"}, headers=HEADER)
    said = {"person": "Ana", "why": "no time"}
    await browser.post(f"/api/attempts/{sent}/refuse", json=said, headers=HEADER)
    states = {attempt.id: attempt.state for attempt in journal.latest(5)}
    assert states == {taken: State.ACCEPTED, sent: State.REFUSED}
    assert journal.causes(sent)[-1].cause == "by Ana: no time"


async def test_a_machine_is_taken_off_the_network_and_stays_off(
    browser: httpx.AsyncClient, journal: Journal
) -> None:
    path = "/api/machines/laser-1/offered"
    await browser.post(path, json={"offered": False}, headers=HEADER)
    laser, printer = (await browser.get("/api/machines")).json()
    assert (laser["offered"], printer["offered"]) == (False, True)
    assert journal.offered() == {"laser-1": False}


async def test_a_broken_journal_is_said_on_the_page(
    browser: httpx.AsyncClient, journal: Journal
) -> None:
    journal._db.close()
    for path in ("/", "/cards", "/api/machines", "/api/attempts"):
        answer = await browser.get(path)
        assert answer.status_code == 503
        assert "journal" in answer.text
    path = "/api/machines/printer-1/bed-clear"
    answer = await browser.post(path, json={"person": "Ana"}, headers=HEADER)
    assert answer.status_code == 503
