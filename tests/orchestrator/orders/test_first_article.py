"""Of a first article never two pieces of a part are begun before one of them was accepted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.design import Alternative
from fablab_agents.protocol.attempts import State
from orchestrator.dispatch import offers, records
from orchestrator.dispatch.firsts import FirstArticles
from orchestrator.dispatch.pages import _of_job
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow
from orchestrator.labs import service as labs
from orchestrator.orders import model, service
from orchestrator.orders.model import IllegalMove, JobState
from tests.orchestrator.dispatch.conftest import PRINTER
from tests.orchestrator.orders.test_order_fold import CALLS, call
from tests.orchestrator.orders.test_orders import confirmed, opened, quoted, seal
from tests.orchestrator.planning.conftest import Town

_T = TypeVar("_T")
BEGUN = {JobState.PLANNED, JobState.OFFERED, JobState.MADE, JobState.ABANDONED, JobState.RECEIVED}
_NOBODY = Request({"type": "http", "headers": []})
REFUSED = (IllegalMove, service.Raced, service.OrderRefused)
USUAL = ["plan", "offer", "made", "receive", "again"]
steps = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(USUAL * 3 + sorted(CALLS))), max_size=40
)


class Shop:
    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = self.wait(opened(f"sqlite+aiosqlite:///{folder}/a.db", folder / "blobs"))
        self.orders = 0

    def wait(self, work: Awaitable[_T]) -> _T:
        return self.loop.run_until_complete(work)  # pyright: ignore[reportArgumentType, reportReturnType]

    async def order(self, pieces: int) -> list[str]:
        """A product of two parts: `pieces` hooks, and one plate more."""
        self.orders += 1
        plain = quoted(first_article=True)
        hook = plain.items[0].model_copy(update={"quantity": pieces})
        plate = hook.model_copy(update={"part": "plate", "quantity": pieces + 1})
        quote = plain.model_copy(update={"id": f"q-{self.orders}", "items": (hook, plate)})
        async with self.store.unit() as unit:
            order = await service.place(unit, quote, confirmed(quote), seal)
            return [job.id for job in await service.jobs_of(unit, order.id)]

    async def step(self, job: str, what: str) -> None:
        async with self.store.unit() as unit:
            row = await service.job(unit, job)
            await call(unit, what, job, row.fence + 1 if what == "offer" else row.fence)

    async def states(self, jobs: list[str]) -> list[tuple[str, JobState]]:
        async with self.store.view() as unit:
            rows = [await service.job(unit, job) for job in jobs]
            return [(row.part, JobState(row.state)) for row in rows]


def test_never_two_are_made_before_one_conforms() -> None:
    with TemporaryDirectory() as folder:
        shop = Shop(Path(folder))

        @settings(max_examples=15, deadline=None)
        @given(pieces=st.integers(1, 2), steps=steps)
        def holds(pieces: int, steps: list[tuple[int, str]]) -> None:
            jobs = shop.wait(shop.order(pieces))
            for which, what in steps:
                try:
                    shop.wait(shop.step(jobs[which % len(jobs)], what))
                except REFUSED:
                    continue
                states = shop.wait(shop.states(jobs))
                for part in ("hook", "plate"):
                    of_part = [state for name, state in states if name == part]
                    if JobState.RECEIVED not in of_part:
                        assert sum(state in BEGUN for state in of_part) <= 1

        holds()
        shop.wait(shop.store.close())
        shop.loop.close()


@given(asked=st.lists(st.sampled_from("abc"), max_size=12), first_article=st.booleans())
def test_pieces_wait_for_the_first_of_their_part_alone(
    asked: list[str], first_article: bool
) -> None:
    for place, waits in enumerate(model.waits_for(asked, first_article)):
        first = asked.index(asked[place])
        assert waits == (first if first_article and first != place else None)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A design with a first article, and a file of its own for one class of machine."""
    store = await opened(f"sqlite+aiosqlite:///{tmp_path}/a.db", tmp_path / "blobs")
    town = Town(store)
    hook = town.release.parts[0]
    mine = Alternative(
        file_name="hook-mk4.stl", file_sha256="e" * 64, format="stl", machine_class="mk4",
        facts=hook.facts,
    )  # fmt: skip
    part = hook.model_copy(update={"alternatives": (mine,)})
    file = town.release.files[0].model_copy(update={"name": "hook-mk4.stl", "sha256": "e" * 64})
    files = (*town.release.files, file)
    await town.publish(version="2.0.0", parts=(part,), files=files, first_article=True)
    yield town
    await store.close()


async def test_machines_that_are_sent_another_file_begin_with_one_piece_again(
    town: Town, tmp_path: Path
) -> None:
    store, signer = town.store, Signer.open(tmp_path / "keys")
    usual = await town.open_lab("Usual", 1, PRINTER)
    other = [
        await town.open_lab(name, 2, PRINTER.model_copy(update={"model": "mk4"}))
        for name in ("One", "Two")
    ]
    jobs = await town.order(await town.quote(quantity=6, choose={"hook": usual}))

    async def offered(**where: str) -> set[str]:
        """Plan these pieces there, offer what may be offered, and say which of them is."""
        async with store.unit() as unit:
            for which, agent in where.items():
                await service.plan_job(unit, jobs[int(which[1:])], agent, "printer-1")
            await offers.offer_planned(unit, signer)
            rows = [await service.job(unit, job) for job in jobs]
            return {f"p{n}" for n, row in enumerate(rows) if row.state == JobState.OFFERED}

    async def ended(which: str, *, conforms: bool = True) -> None:
        """The lab has made it and its machine is free; it is inspected."""
        async with store.unit() as unit:
            row = await service.job(unit, jobs[int(which[1:])])
            assert row.attempt is not None
            (await records.attempt(unit, row.attempt)).state = State.FINISHED
            (await unit.session.get_one(AttemptJobRow, (row.attempt, row.id))).live = False
            await service.job_made(unit, row.id, row.attempt)
            if conforms:
                await service.job_received(unit, row.id)
            else:
                await service.job_wanted_again(unit, row.id, "too small")

    assert await offered(p0=usual) == {"p0"}
    await ended("p0")
    assert await offered(p1=usual, p2=other[0], p3=other[1]) == {"p1", "p2"}, "one from the new"
    async with store.view() as unit:
        said = {each: await _of_job(_NOBODY, unit, jobs[each]) for each in (1, 2, 3)}
    assert [each for each, html in said.items() if "sent hook-mk4.stl: made once" in html] == [3]
    await ended("p2", conforms=False)
    assert await offered() == {"p1", "p3"}, "it did not conform: the next is the first"
    await ended("p1")
    assert await offered(p4=usual, p5=other[0]) == {"p3", "p4"}, "of the old file any"
    await ended("p3")
    assert await offered(p2=other[1]) == {"p2", "p4", "p5"}


STANDS = [
    # state of the other piece, its attempt, that one's file, whose order: may one more begin?
    (JobState.OFFERED, "a-1", "e", 0, False),
    (JobState.MADE, "a-1", "e", 0, False),
    (JobState.RECEIVED, "a-1", "e", 0, True),
    (JobState.ABANDONED, None, "e", 0, False),
    (JobState.WANTED, None, "e", 0, True),
    (JobState.OFFERED, "a-2", "e", 0, True),
    (JobState.OFFERED, "a-1", "f", 0, True),
    (JobState.OFFERED, "a-1", "e", 1, True),
]


async def test_which_pieces_hold_back_the_next_from_their_file(town: Town) -> None:
    await town.open_lab("Usual", 1, PRINTER)
    other = await town.open_lab("Other", 2, PRINTER.model_copy(update={"model": "mk4"}))
    placed = [await town.order(await town.quote(quantity=3)) for _ in range(2)]
    for state, current, file, whose, may in STANDS:
        async with town.store.unit() as unit:
            aside = await unit.session.begin_nested()
            _, begun, _ = placed[whose]
            job = await service.job(unit, begun)
            job.state, job.attempt = state, current
            attempt = AttemptRow(
                id="a-1", agent=other, machine="printer-1", fence=1, state=State.RUNNING,
                release=job.release, part=job.part, quantity=1, file=file * 64, estimate_s=60,
                ticket="", down_seq=1, offered_at=unit.now, not_after=unit.now,
            )  # fmt: skip
            unit.session.add(attempt)
            await unit.session.flush()
            unit.session.add(AttemptJobRow(attempt="a-1", job=begun))
            (there,) = [each for each in await labs.machines(unit) if each.agent == other]
            last = await service.job(unit, placed[0][2])
            assert await FirstArticles(unit).lets(last, there) is may, (state, current, file, whose)
            await aside.rollback()


def test_the_maker_agrees_to_the_first_article() -> None:
    said = model.confirmation_text(quoted(first_article=True), "Ana")
    assert "one piece is made and inspected first; the rest once it conforms" in said
    assert "first" not in model.confirmation_text(quoted(), "Ana").replace("first_", "")
