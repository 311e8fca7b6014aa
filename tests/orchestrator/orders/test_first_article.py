"""Of a first article never two pieces of a part are begun before one of them was accepted."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.orders import model, service
from orchestrator.orders.model import IllegalMove, JobState
from tests.orchestrator.orders.test_order_fold import CALLS, call
from tests.orchestrator.orders.test_orders import confirmed, opened, quoted, seal

_T = TypeVar("_T")
BEGUN = {JobState.PLANNED, JobState.OFFERED, JobState.MADE, JobState.ABANDONED, JobState.RECEIVED}
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


def test_the_maker_agrees_to_the_first_article() -> None:
    said = model.confirmation_text(quoted(first_article=True), "Ana")
    assert "one piece is made and inspected first; the rest once it conforms" in said
    assert "first" not in model.confirmation_text(quoted(), "Ana").replace("first_", "")
