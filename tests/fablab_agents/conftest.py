"""A small orchestrator of our own, on a real broker: signs tickets and grants, keeps reports.

It follows the wire's letter and can be told to be silent, to repeat itself or to send nonsense.
"""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from fablab_agents.journal import Journal
from fablab_agents.protocol import messages, tickets, topics
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.tickets import Grant, Recipe, Ticket
from fablab_agents.runner import clock
from fablab_agents.trust import Identity, Mqtt
from tests.wire import welcome

AGENT = "lab-nord"


class Keys:
    """One signing key of an orchestrator."""

    def __init__(self, kid: str = "key-1") -> None:
        self.kid = kid
        self._key = OKPKey.generate_key("Ed25519", {"kid": kid})

    @property
    def public(self) -> dict[str, Any]:
        return {**self._key.as_dict(private=False), "kid": self.kid}

    def sign(self, value: Ticket | Grant) -> str:
        return self.sign_bytes(tickets.canonical(value))

    def sign_bytes(self, payload: bytes, **header: str) -> str:
        protected = {"alg": "Ed25519", "kid": self.kid, **header}
        return jws.serialize_compact(protected, payload, self._key, algorithms=["Ed25519"])


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


def identity(keys: Keys, port: int = 1883, url: str = "http://127.0.0.1:9") -> Identity:
    return Identity(
        agent=AGENT,
        secret=secrets.token_urlsafe(32),
        mqtt=Mqtt(host="127.0.0.1", port=port),
        keys=(keys.public,),
        url=url,
    )


def make_ticket(**changes: Any) -> Ticket:
    """A ticket for a small laser-cut part, or what `changes` make of it."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "agent": AGENT,
        "machine": "laser-1",
        "attempt": f"a-{secrets.token_hex(4)}",
        "fence": 1,
        "issued_at": now,
        "jobs": ("j-1",),
        "release": "0" * 64,
        "design": "coaster",
        "version": "1",
        "part": "coaster",
        "file": "1" * 64,
        "file_bytes": 10,
        "format": "svg",
        "quantity": 1,
        "recipe": Recipe(process="laser_cutting", material="plywood", thickness_mm=3),
        "estimate_s": 3600,
        "not_after": now + timedelta(hours=1),
    }
    return Ticket(**{**fields, **changes})


class Files:
    """The orchestrator's content store over HTTP; `given` counts what was fetched."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.given: list[str] = []
        self.secret = ""
        files = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                user = base64.b64encode(f"{AGENT}:{files.secret}".encode()).decode()
                if self.headers.get("Authorization") != f"Basic {user}":
                    self.send_error(401)
                    return
                sha256 = self.path.rpartition("/")[2]
                body = files.kept.get(sha256)
                if body is None:
                    self.send_error(404)
                    return
                files.given.append(sha256)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def add(self, body: bytes) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        self.kept[sha256] = body
        return sha256

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    files.close()


class City:
    """The other end of the wire, for one agent."""

    def __init__(self, keys: Keys, client: aiomqtt.Client) -> None:
        self._keys = keys
        self._client = client
        self._changed = asyncio.Condition()
        self.reports: dict[int, messages.Report] = {}
        self.heard: list[messages.Up] = []
        self.claims: list[messages.Claim] = []
        self.presences: list[messages.Presence] = []
        self.telemetry: list[messages.Progress] = []
        self.outbox: dict[int, messages.Offer | messages.Withdraw | messages.Stop] = {}
        self.acked_down = 0
        self.boot = ""
        self.tickets: dict[str, Ticket] = {}
        self.answers_claims = True
        self.answers_reports = True
        self.answers_hello = True
        self.grants: list[str] = []
        self.down = topics.down(AGENT)

    # ── telling ─────────────────────────────────────────────────────────────────────────────

    async def tell(self, message: Any, *, retain: bool = False) -> None:
        await self.tell_raw(tickets.canonical(message), retain=retain)

    async def tell_raw(self, raw: bytes, *, retain: bool = False) -> None:
        await self._client.publish(self.down, raw, qos=1, retain=retain)

    async def offer(self, ticket: Ticket, *, envelope: str | None = None) -> int:
        self.tickets[ticket.attempt] = ticket
        seq = len(self.outbox) + 1
        signed = envelope or self._keys.sign(ticket)
        self.outbox[seq] = messages.Offer(epoch=1, seq=seq, ticket=signed)
        await self.tell(self.outbox[seq])
        return seq

    async def withdraw(self, attempt: str, fence: int = 1) -> None:
        seq = len(self.outbox) + 1
        said = messages.Withdraw(
            epoch=1, seq=seq, attempt=attempt, fence=fence, why="no longer wanted"
        )
        self.outbox[seq] = said
        await self.tell(said)

    async def stop(self, attempt: str, fence: int = 1) -> None:
        seq = len(self.outbox) + 1
        said = messages.Stop(
            epoch=1, seq=seq, attempt=attempt, fence=fence, why="the maker cancelled"
        )
        self.outbox[seq] = said
        await self.tell(said)

    def grant_for(self, claim: messages.Claim, **changes: Any) -> str:
        fields: dict[str, Any] = {
            "agent": AGENT,
            "machine": claim.machine,
            "attempt": claim.attempt,
            "fence": claim.fence,
            "issued_at": datetime.now(UTC),
            "nonce": claim.nonce,
            "boot": claim.boot,
            "program": claim.program,
            "window_s": 60,
        }
        return self._keys.sign(Grant(**{**fields, **changes}))

    # ── hearing ─────────────────────────────────────────────────────────────────────────────

    async def serve(self) -> None:
        with suppress(aiomqtt.MqttError):
            await self._serve()

    async def _serve(self) -> None:
        async for message in self._client.messages:
            place = topics.agent_of(str(message.topic))
            assert place is not None
            raw = message.payload
            assert isinstance(raw, bytes)
            if place[1] == "presence":
                self.presences.append(messages.read_presence(raw))
            elif place[1] == "telemetry":
                self.telemetry.append(messages.read_progress(raw))
            else:
                await self._hear(messages.read_up(raw))
            async with self._changed:
                self._changed.notify_all()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return  # 3.11's wait_for, in the client's waits, may swallow being cancelled

    async def _hear(self, said: messages.Up) -> None:
        self.heard.append(said)
        match said:
            case messages.Hello() if self.answers_hello:
                self.acked_down = said.acked_down
                if said.began_seq >= self.head:
                    self.boot = said.boot
                await self.tell(
                    welcome(
                        said.boot, current=said.boot == self.boot, speaks=self.boot or None,
                        acked_up=self.head, down_from=self.acked_down,
                    )
                )  # fmt: skip
                for seq in range(said.acked_down + 1, len(self.outbox) + 1):
                    await self.tell(self.outbox[seq])
            case messages.Report() if self.answers_reports:
                if said.seq <= self.head + 1:
                    self.reports[said.seq] = said
                await self.tell(messages.DownAck(seq=max(1, self.head)))
            case messages.UpAck():
                self.acked_down = max(self.acked_down, said.seq)
            case messages.Claim():
                self.claims.append(said)
                if self.answers_claims:
                    await self._answer(said)
            case _:
                pass

    async def _answer(self, claim: messages.Claim) -> None:
        staged = [
            report
            for report in self.reports.values()
            if report.attempt == claim.attempt and report.state is State.STAGED
        ]
        assert staged, "a claim came before its staged report"
        assert staged[-1].program is not None
        assert staged[-1].program.sha256 == claim.program
        self.grants.append(self.grant_for(claim))
        await self.tell(messages.Granted(grant=self.grants[-1]))

    @property
    def head(self) -> int:
        return max(self.reports, default=0)

    def states(self, attempt: str) -> list[State]:
        return [r.state for _, r in sorted(self.reports.items()) if r.attempt == attempt]

    def last(self, attempt: str) -> messages.Report | None:
        found = [r for _, r in sorted(self.reports.items()) if r.attempt == attempt]
        return found[-1] if found else None

    async def until(self, what: Callable[[], Any], within_s: float = 20) -> Any:
        """Wait until `what` is true, and give it back."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(what)
        return what()

    async def until_state(self, attempt: str, state: State, within_s: float = 30) -> None:
        try:
            await self.until(lambda: state in self.states(attempt), within_s)
        except TimeoutError:
            pytest.fail(f"{attempt} never became {state}: {self.states(attempt)}")


@asynccontextmanager
async def city_at(port: int, keys: Keys) -> AsyncIterator[City]:
    root = f"{topics.ROOT}/{AGENT}"
    client = aiomqtt.Client("127.0.0.1", port, identifier="orchestrator")
    await client.__aenter__()
    try:
        for channel in ("up", "presence", "telemetry"):
            await client.subscribe(f"{root}/{channel}", qos=1)
        city = City(keys, client)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(city.serve())
            try:
                yield city
            finally:
                serving.cancel()
    finally:
        with suppress(aiomqtt.MqttError):  # a test may have killed the broker
            await client.__aexit__(None, None, None)


class Workshop:
    """Simulated machines as processes of their own; the oracle is what they physically did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, kind: str, speed: float = 0) -> Path:
        link, record = self.folder / f"{name}.port", self.folder / name
        command = [sys.executable, "-m", "hardware_sim", "run", kind, "--speed", str(speed)]
        process = subprocess.Popen(
            [*command, "--link", str(link), "--record", str(record)], stdout=subprocess.PIPE
        )
        self._running.append(process)
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        return link

    def starts(self, name: str) -> list[dict[str, Any]]:
        return _lines(self.folder / name / "starts.jsonl")

    def ends(self, name: str) -> list[dict[str, Any]]:
        return _lines(self.folder / name / "ends.jsonl")

    def kill(self, at: int = -1) -> None:
        self._running[at].kill()
        self._running[at].wait()

    def close(self) -> None:
        for process in self._running:
            process.terminate()
            process.wait(5)
            assert process.stdout is not None
            process.stdout.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path / "workshop")
    workshop.folder.mkdir()
    yield workshop
    workshop.close()


class Agent:
    """A real agent in a process of its own."""

    def __init__(self, folder: Path, *wrap: str, **environment: str) -> None:
        self.folder = folder
        self._wrapped = bool(wrap)
        self._log = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            [
                *wrap,
                sys.executable,
                "-m",
                "fablab_agents.cli",
                "run",
                "--dir",
                str(folder),
                "--json",
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **environment},
        )

    def up(self, within_s: float = 30) -> dict[str, Any]:
        """What it says when it is up; fails with its log when it does not come up."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line and self._wrapped:
            return {"console": ""}  # killed before it was up
        if not line:
            pytest.fail(f"the agent did not come up: {self.log}")
        return json.loads(line)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        """The agent's own, also when a tracer stands before it."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = path.read_text().split() if self._wrapped else []
        return int(children[0]) if children else self.process.pid

    def end(self, how: int = signal.SIGTERM, within_s: float = 30) -> int:
        os.kill(self.pid, how)
        status = self.process.wait(within_s)
        self.close()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


def wait_until(what: Callable[[], Any], within_s: float = 20) -> Any:
    """For what no event tells: look every 50 ms."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if found := what():
            return found
        time.sleep(0.05)
    pytest.fail("it never became true")


LASER = """\
[console]
port = 0

[[machine]]
id = "laser-1"
profile = "generic-laser-400"
driver = "grbl"
link = "{link}"
materials = ["plywood"]
kerf_mm = 0.15
simulated = true
"""

PRINTER = """
[[machine]]
id = "printer-1"
profile = "generic-fdm-220"
driver = "marlin"
link = "{link}"
materials = ["pla"]
simulated = true
"""

COASTER = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="20mm" height="15mm" viewBox="0 0 20 15">'
    b'<rect x="0" y="0" width="20" height="15" fill="none" stroke="black"/></svg>'
)
PRINT = "G21\nG90\nG28\nM104 S60\n" + "G1 X60 F3000\nG1 X10\n" * 8 + "M104 S0\nM84\n"
CUT = "G21\nG90\nM4 S0\n" + "G1 X20 S500 F3000\nG1 X0 S500\n" * 8 + "M5\nM2\n"


class Lab:
    """One agent folder with one simulated laser, a broker and a content store."""

    def __init__(self, folder: Path, keys: Keys, port: int, files: Files) -> None:
        self.folder = folder
        self.identity = identity(keys, port, files.url)
        files.secret = self.identity.secret
        self.identity.save(folder)
        self.agents: list[Agent] = []
        self.console = ""

    def start(self, *wrap: str, **environment: str) -> Agent:
        agent = Agent(self.folder, *wrap, **environment)
        self.agents.append(agent)
        self.console = agent.up()["console"]
        return agent

    def prepared(self, keys: Keys, gcode: str = CUT, **changes: Any) -> tuple[Ticket, int]:
        """An accepted attempt with its program already in the journal; and its down seq."""
        ticket = make_ticket(**changes)
        with self.journal() as journal:
            seq = journal.seen_down + 1
            now = clock()
            journal.store_offer(seq, ticket, keys.sign(ticket), now)
            journal.move(ticket.attempt, State.ACCEPTED, Actor.AGENT, now)
            path = self.folder / "programs" / ticket.attempt / "program.gcode"
            path.parent.mkdir(parents=True)
            path.write_text(gcode)
            facts = messages.ProgramFacts(
                sha256=hashlib.sha256(gcode.encode()).hexdigest(),
                lines=len(gcode.splitlines()),
                seconds=30,
                grams=1.0,
            )
            journal.keep_program(ticket.attempt, facts, path)
        return ticket, seq

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """The journal of an agent that does not run."""
        boot = f"b{secrets.token_hex(4)}"
        journal = Journal.open(self.folder / "journal.db", AGENT, boot, datetime.now(UTC))
        yield journal
        journal.close()

    async def press(self, path: str, **said: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.console, trust_env=False) as client:
            header = {"X-Cosmolocal": "console"}
            return await client.post(path, json={"person": "Ana", **said}, headers=header)

    async def machines(self) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(base_url=self.console, trust_env=False) as client:
            return (await client.get("/api/machines")).raise_for_status().json()

    async def attend(self) -> None:
        """A person at the machines: confirms what the console waits for, for ever."""
        while True:
            with suppress(httpx.HTTPError, httpx.UnsupportedProtocol):
                for card in await self.machines():
                    if card["waits_for"] == "start":
                        await self.press(f"/api/machines/{card['machine']}/start")
                    elif card["waits_for"] == "bed clear":
                        await self.press(f"/api/machines/{card['machine']}/bed-clear")
            await asyncio.sleep(0.1)

    def close(self) -> None:
        for agent in self.agents:
            agent.close()


@pytest.fixture
def lab(
    tmp_path: Path, keys: Keys, mosquitto: Any, files: Files, workshop: Workshop
) -> Iterator[Lab]:
    """A lab with one simulated laser; not started yet."""
    folder = tmp_path / "agent"
    lab = Lab(folder, keys, mosquitto.port, files)
    link = workshop.start("laser-1", "laser-400", speed=50)
    (folder / "agent.toml").write_text(LASER.format(link=link))
    yield lab
    lab.close()


@asynccontextmanager
async def attended(lab: Lab) -> AsyncIterator[None]:
    person = asyncio.create_task(lab.attend())
    yield
    person.cancel()
    with suppress(asyncio.CancelledError):
        await person
