"""Words wait in order for each agent, in turn among agents, and never without bound."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dispatch.inbox import SHARE, WAITING_MAX, WAITING_MAX_BYTES, Heard, Inbox


def said(agent: str, number: int, size: int = 8) -> Heard:
    return Heard(agent, "up", b"%0*d" % (size, number))


def filled(*words: Heard) -> Inbox:
    inbox = Inbox()
    for each in words:
        inbox.put(each)
    return inbox


async def test_a_loud_agent_holds_up_no_other():
    inbox = filled(*(said("loud", n) for n in range(500)), said("calm", 1), said("calm", 2))
    first = await inbox.take(100)
    assert [each.agent for each in first].count("loud") == SHARE
    assert [each for each in first if each.agent == "calm"] == [said("calm", 1), said("calm", 2)]
    assert inbox.crowded


async def test_who_had_no_turn_is_first_in_the_next():
    inbox = filled(*(said(f"lab-{a}", n) for a in range(6) for n in range(SHARE + 1)))
    first, second = await inbox.take(2 * SHARE), await inbox.take(4 * SHARE)
    assert {each.agent for each in first} == {"lab-0", "lab-1"}
    assert {each.agent for each in second} == {"lab-2", "lab-3", "lab-4", "lab-5"}


async def test_too_much_of_one_agent_pushes_out_its_own_oldest_words():
    inbox = Inbox()
    lost = sum(inbox.put(said("loud", n)) for n in range(WAITING_MAX + 7))
    inbox.put(said("calm", 1))
    assert lost == 7
    taken = [each for _ in range(200) for each in await _now(inbox)]
    assert taken[0] == said("loud", 7)
    assert taken.count(said("calm", 1)) == 1
    assert len(taken) == WAITING_MAX + 1


async def test_large_words_are_bounded_by_their_bytes():
    inbox = Inbox()
    for number in range(100):
        inbox.put(said("loud", number, 60_000))
    taken = [each for _ in range(20) for each in await _now(inbox)]
    assert sum(len(each.raw) for each in taken) <= WAITING_MAX_BYTES
    assert taken[-1] == said("loud", 99, 60_000)


async def _now(inbox: Inbox) -> list[Heard]:
    try:
        async with asyncio.timeout(0.01):
            return await inbox.take(100)
    except TimeoutError:
        return []


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=200))
def test_nothing_is_lost_below_the_bounds_and_each_agents_order_is_kept(
    steps: list[tuple[str, bool]],
):
    async def story() -> None:
        inbox, put, taken = Inbox(), list[Heard](), list[Heard]()
        for number, (agent, take) in enumerate(steps):
            put.append(said(f"lab-{agent}", number))
            inbox.put(put[-1])
            if take:
                taken += await inbox.take(3)
        while inbox.crowded:
            taken += await inbox.take(3)
        for agent in {each.agent for each in put}:
            assert [t for t in taken if t.agent == agent] == [p for p in put if p.agent == agent]
        assert len(taken) == len(put)

    asyncio.run(story())
