"""Orders and jobs under any calls, beside a model: in the tables, in the fold, in the events.

One store, several orders; whatever is refused changes nothing, whatever is told can be replayed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from orchestrator.orders import model, service
from orchestrator.orders.model import IllegalMove, JobState, OrderState
from orchestrator.store import Unit
from orchestrator.store.tables import EventRow
from tests.orchestrator.orders.test_orders import confirmed, opened, quoted, seal

pytestmark = pytest.mark.timeout(300)
_T = TypeVar("_T")
BEGUN = {OrderState.PLACED, OrderState.MAKING, OrderState.READY}
WAITING = {JobState.WANTED, JobState.PLANNED}
CALLS: dict[str, tuple[set[JobState], JobState]] = {
    "plan": ({JobState.WANTED}, JobState.PLANNED),
    "unplan": ({JobState.PLANNED}, JobState.WANTED),
    "offer": ({JobState.PLANNED}, JobState.OFFERED),
    "made": ({JobState.OFFERED}, JobState.MADE),
    "receive": ({JobState.MADE}, JobState.RECEIVED),
    "again": ({JobState.PLANNED, JobState.OFFERED, JobState.MADE}, JobState.WANTED),
    "try again": ({JobState.ABANDONED}, JobState.WANTED),
    "cancel": (
        {JobState.WANTED, JobState.PLANNED, JobState.OFFERED, JobState.ABANDONED},
        JobState.CANCELLED,
    ),
}


class Known:
    """A job as the model has it."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.state = JobState.WANTED
        self.tries = self.fence = 0


async def call(unit: Unit, what: str, job: str, number: int) -> None:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "plan": lambda: service.plan_job(unit, job, "lab", "printer-1"),
        "unplan": lambda: service.unplan_job(unit, job, "x"),
        "offer": lambda: service.offer_job(unit, job, f"a-{job}-{number}"),
        "made": lambda: service.job_made(unit, job, f"a-{job}-{number}"),
        "receive": lambda: service.job_received(unit, job),
        "again": lambda: service.job_wanted_again(unit, job, "x"),
        "try again": lambda: service.try_again(unit, job),
        "cancel": lambda: service.cancel_job(unit, job, "x"),
    }
    await calls[what]()


class OrderFold(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        path = Path(self.folder.name)
        self.store = self.wait(opened(f"sqlite+aiosqlite:///{path}/city.db", path / "blobs"))
        self.jobs: dict[str, Known] = {}
        self.orders: dict[str, OrderState] = {}
        self.places(1)

    def teardown(self) -> None:
        self.wait(self.store.close())
        self.loop.close()
        self.folder.cleanup()

    def wait(self, work: Awaitable[_T]) -> _T:
        return self.loop.run_until_complete(work)  # pyright: ignore[reportArgumentType, reportReturnType]

    # ── what may be done ────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.orders) < 3)
    @rule(pieces=st.integers(1, 3))
    def places(self, pieces: int) -> None:
        plain = quoted()
        items = tuple(item.model_copy(update={"quantity": pieces}) for item in plain.items)
        quote = plain.model_copy(update={"id": f"q-{len(self.orders)}", "items": items})

        async def place() -> tuple[str, list[str]]:
            async with self.store.unit() as unit:
                order = await service.place(unit, quote, confirmed(quote), seal)
                return order.id, [job.id for job in await service.jobs_of(unit, order.id)]

        order, jobs = self.wait(place())
        assert len(jobs) == pieces
        self.orders[order] = OrderState.PLACED
        self.jobs |= {job: Known(order) for job in jobs}
        assert self.wait(place()) == (order, jobs), "the same quote twice is one order"

    @rule(which=st.integers(0, 8), what=st.sampled_from(sorted(CALLS)), stale=st.integers(0, 2))
    def calls(self, which: int, what: str, stale: int) -> None:
        name = list(self.jobs)[which % len(self.jobs)]
        job = self.jobs[name]
        number = job.fence + 1 if what == "offer" else job.fence - (stale == 0)
        froms, to = CALLS[what]
        right = what != "made" or stale > 0
        may = job.state in froms and right

        async def do() -> None:
            async with self.store.unit() as unit:
                await call(unit, what, name, number)

        try:
            self.wait(do())
        except (IllegalMove, service.Raced, service.OrderRefused):
            assert not may, f"refused to {what} a job that is {job.state}"
            return
        assert may, f"{what} did something to a job that is {job.state}"
        self.moved(job, what, to)

    @rule(which=st.integers(0, 8))
    def goes_the_usual_way(self, which: int) -> None:
        for what in ("plan", "offer", "made", "receive"):
            self.calls(which, what, 1)

    @rule(which=st.integers(0, 8))
    def fails_for_good(self, which: int) -> None:
        for what in ("plan", "offer", "again") * 4:
            self.calls(which, what, 1)

    @rule(which=st.integers(0, 3))
    def hands_over(self, which: int) -> None:
        order = list(self.orders)[which % len(self.orders)]

        async def do() -> None:
            async with self.store.unit() as unit:
                await service.hand_over(unit, order)

        try:
            self.wait(do())
        except IllegalMove:
            assert self.orders[order] is not OrderState.READY
            return
        assert self.orders[order] is OrderState.READY
        self.orders[order] = OrderState.HANDED_OVER

    # ── the model ───────────────────────────────────────────────────────────────────────────

    def moved(self, job: Known, what: str, to: JobState) -> None:
        job.state = to
        if what == "offer":
            job.tries, job.fence = job.tries + 1, job.fence + 1
        elif what == "try again":
            job.tries = 0
        elif what == "again" and job.tries >= 4:
            job.state = JobState.ABANDONED
        self.orders[job.order] = self.folded(job.order)

    def folded(self, order: str) -> OrderState:
        states = [job.state for job in self.jobs.values() if job.order == order]
        was = self.orders[order]
        if was not in BEGUN:
            return was
        if all(state is JobState.CANCELLED for state in states):
            return OrderState.CANCELLED
        if all(state in {JobState.CANCELLED, JobState.RECEIVED} for state in states):
            return OrderState.READY
        untouched = was is OrderState.PLACED and all(state in WAITING for state in states)
        return OrderState.PLACED if untouched else OrderState.MAKING

    # ── what holds at every moment ──────────────────────────────────────────────────────────

    @invariant()
    def tables_and_events_are_the_models(self) -> None:
        async def seen() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
            async with self.store.view() as unit:
                orders = {row.id: row.state for row in await service.orders(unit)}
                jobs = {j.id: j.state for o in orders for j in await service.jobs_of(unit, o)}
                told = await unit.session.scalars(select(EventRow).order_by(EventRow.id))
                return orders, jobs, {row.subject: row.kind.partition(".")[2] for row in told}

        orders, jobs, replayed = self.wait(seen())
        assert orders == self.orders
        assert jobs == {name: job.state for name, job in self.jobs.items()}
        assert replayed == {**orders, **jobs}, "the events do not tell what the tables hold"

    @invariant()
    def folding_again_changes_nothing(self) -> None:
        for order, state in self.orders.items():
            jobs = [job.state for job in self.jobs.values() if job.order == order]
            assert model.fold(state, jobs) is state
            assert model.fold(state, reversed(jobs)) is state


TestOrderFold = OrderFold.TestCase
TestOrderFold.settings = settings(max_examples=6, stateful_step_count=25, deadline=None)
