"""How an agent stands with the city, beside a model: heard, silent, away, replaced, retired."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import select

from orchestrator.labs import service
from orchestrator.labs.model import NewLab, Session
from orchestrator.labs.tables import AgentRow
from orchestrator.store import Store, Unit
from orchestrator.store.tables import EventRow

_T = TypeVar("_T")
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class SessionStates(RuleBasedStateMachine):
    """One lab; `agents`: how each that ever spoke for it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        path = Path(self.folder.name)
        self.store = self.wait(Store.open(f"sqlite+aiosqlite:///{path}/city.db", path / "blobs"))
        self.now = NOW
        self.agents: dict[str, Session] = {}
        self.secrets: dict[str, str] = {}
        self.boot: dict[str, str] = {}
        self.heard_at = NOW
        new = NewLab(name="Nord", lat=1, lon=1)
        self.lab = self.wait(self.done(lambda unit: service.create_lab(unit, new))).id
        self.enrols()

    def teardown(self) -> None:
        self.wait(self.store.close())
        self.loop.close()
        self.folder.cleanup()

    def wait(self, work: Awaitable[_T]) -> _T:
        return self.loop.run_until_complete(work)  # pyright: ignore[reportArgumentType, reportReturnType]

    async def done(self, work: Callable[[Unit], Awaitable[_T]]) -> _T:
        async with self.store.unit() as unit:
            unit.now = self.now
            return await work(unit)

    @property
    def speaker(self) -> str | None:
        """The agent that speaks for the lab, unless the last one was retired."""
        return next((a for a, s in self.agents.items() if s is not Session.RETIRED), None)

    # ── what happens ────────────────────────────────────────────────────────────────────────

    @rule()
    def enrols(self) -> None:
        async def work(unit: Unit) -> service.Enrolled:
            return await service.enrol(unit, await service.new_code(unit, self.lab), "1")

        enrolled = self.wait(self.done(work))
        assert enrolled.agent not in self.agents, "an id is never used again"
        self.agents = dict.fromkeys(self.agents, Session.RETIRED)
        self.agents[enrolled.agent] = Session.ENROLLED
        self.secrets[enrolled.agent] = enrolled.secret

    @rule()
    def is_retired(self) -> None:
        if name := self.speaker:
            self.wait(self.done(lambda unit: service.retire(unit, name)))
            self.agents[name] = Session.RETIRED

    @rule(boot=st.sampled_from(["b1", "b2"]))
    def is_heard(self, boot: str) -> None:
        if name := self.speaker:
            self.wait(self.done(lambda unit: service.heard(unit, name, boot)))
            self.agents[name], self.boot[name], self.heard_at = Session.ONLINE, boot, self.now

    @rule(boot=st.sampled_from(["b1", "b2", None]))
    def the_broker_says_it_is_gone(self, boot: str | None) -> None:
        if name := self.speaker:
            self.wait(self.done(lambda unit: service.fell_silent(unit, name, boot)))
            ours = boot in (None, self.boot.get(name))
            if self.agents[name] is Session.ONLINE and ours:
                self.agents[name] = Session.SILENT

    @rule(minutes=st.sampled_from([1, 2.01, 5, 10.01]))
    def time_goes_by(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)
        self.wait(self.done(service.note_silence))
        name = self.speaker
        quiet = self.now - self.heard_at
        if name and self.agents[name] is Session.ONLINE and quiet > timedelta(minutes=2):
            self.agents[name] = Session.SILENT
        elif name and self.agents[name] is Session.SILENT and quiet > timedelta(minutes=10):
            self.agents[name] = Session.AWAY

    @rule()
    def the_city_restarts(self) -> None:
        self.wait(self.done(service.hear_anew))
        if (name := self.speaker) and self.agents[name] is Session.ONLINE:
            self.agents[name] = Session.SILENT

    # ── what holds at every moment ──────────────────────────────────────────────────────────

    @invariant()
    def rows_and_events_are_the_models(self) -> None:
        async def seen() -> tuple[dict[str, str], dict[str, str]]:
            async with self.store.view() as unit:
                rows = await unit.session.scalars(select(AgentRow))
                told = await unit.session.scalars(
                    select(EventRow).where(EventRow.kind.like("agent.%")).order_by(EventRow.id)
                )
                return (
                    {row.id: row.session for row in rows},
                    {row.subject: row.kind.partition(".")[2] for row in told},
                )

        rows, replayed = self.wait(seen())
        assert rows == self.agents
        assert replayed == self.agents

    @invariant()
    def who_is_retired_is_nobody(self) -> None:
        async def known() -> tuple[set[str], set[str]]:
            async with self.store.view() as unit:
                users = set(await service.secrets_of_agents(unit))
                fits = {
                    name
                    for name, secret in self.secrets.items()
                    if await service.secret_fits(unit, name, secret)
                    and await service.agent(unit, name) is not None
                }
                return users, fits

        speaking = {name for name, state in self.agents.items() if state is not Session.RETIRED}
        assert self.wait(known()) == (speaking, speaking)
        assert len(speaking) <= 1


TestSessionStates = SessionStates.TestCase
TestSessionStates.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)
