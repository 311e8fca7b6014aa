import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from fablab_agents.protocol import tickets
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import (
    Ask,
    AttemptStatus,
    Claim,
    Denied,
    DownAck,
    Granted,
    Recall,
    Welcome,
)
from orchestrator.dispatch import census, decide, model, offers, outbox, records, service
from orchestrator.dispatch.api import attempt_view
from orchestrator.dispatch.pages import _of_job
from orchestrator.dispatch.tables import AttemptJobRow, AttemptRow, UpRow
from orchestrator.labs import service as labs
from orchestrator.labs.model import Session
from orchestrator.labs.tables import AgentRow
from orchestrator.makes import service as makes
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.store import Unit
from tests.orchestrator.dispatch.conftest import BOOT

City = Any  # the fixture's class lives in conftest


async def test_an_offer_is_signed_numbered_and_says_all_that_it_binds(city: City):
    attempt = await city.plan_and_offer()
    (send,) = await city.sends()
    ticket = city.ticket(send)
    assert (ticket.attempt, ticket.fence, ticket.jobs) == (attempt, 1, (city.jobs[0],))
    assert (ticket.agent, ticket.machine) == (city.agent, "printer-1")
    assert (ticket.file, ticket.file_bytes, ticket.estimate_s) == (city.file, 1000, 1200)
    assert (await city.job()).state == JobState.OFFERED
    assert send.seq == 1


async def test_one_machine_gets_one_live_attempt(city: City):
    await city.plan_and_offer()
    async with city.store.unit() as unit:
        await orders.plan_job(unit, city.jobs[1], city.agent, "printer-1")
        assert await offers.offer_planned(unit, city.signer) == []


async def test_the_database_itself_refuses_a_second_live_attempt_of_a_job(city: City):
    first = await city.plan_and_offer()

    async def second(unit: Unit) -> None:
        row = await records.attempt(unit, first)
        values = {c.name: getattr(row, c.name) for c in AttemptRow.__table__.columns}
        unit.session.add(AttemptRow(**{**values, "id": "a-second"}))
        await unit.session.flush()
        unit.session.add(AttemptJobRow(attempt="a-second", job=city.jobs[0]))

    with pytest.raises(IntegrityError):
        await city.store.run(second)


async def test_a_part_from_offer_to_make(city: City):
    attempt = await city.staged()
    granted = await city.claim(attempt)
    assert isinstance(granted, Granted)
    grant = tickets.verify_grant(granted.grant, city.signer.read)
    assert (grant.nonce, grant.program, grant.window_s) == ("1" * 32, "a" * 64, model.WINDOW_S)
    for state in (State.STARTING, State.RUNNING, State.FINISHED):
        await city.say(attempt, state, person="Mo", minutes=4.0, machine_s=650.0)
    row = await city.attempt(attempt)
    assert (row.state, row.person, row.machine_s) == (State.FINISHED, "Mo", 650.0)
    assert (await city.job()).state == JobState.MADE
    async with city.store.view() as unit:
        (make,) = await makes.uninspected(unit)
    assert (make.program_sha256, make.operator, make.attempt) == ("a" * 64, "Mo", attempt)
    assert (await city.kinds()).count("attempt.finished") == 1


async def test_a_persons_word_is_marked_on_attempt_and_make(city: City):
    attempt = await city.staged()
    assert isinstance(await city.claim(attempt), Granted)
    for state in (State.STARTING, State.RUNNING):
        await city.say(attempt, state, person="Mo")
    assert not attempt_view(await city.attempt(attempt)).attested
    await city.say(attempt, State.FINISHED, person="Ben", evidence={"attested": True})
    assert attempt_view(await city.attempt(attempt)).attested
    async with city.store.view() as unit:
        (make,) = await makes.uninspected(unit)
        shown = await _of_job(Request({"type": "http"}), unit, city.jobs[0])
    assert (make.attested, make.operator) == (True, "Ben")
    assert "attested by a person" in shown


async def test_the_same_nonce_gives_the_same_grant_and_a_newer_one_replaces_it(city: City):
    attempt = await city.staged()
    first = await city.claim(attempt, "1" * 32)
    assert await city.claim(attempt, "1" * 32) == first
    second = await city.claim(attempt, "2" * 32)
    assert isinstance(second, Granted)
    assert second != first
    assert (await city.attempt(attempt)).nonce == "2" * 32


@pytest.mark.parametrize(
    "wrong",
    [{"fence": 2}, {"machine": "printer-2"}, {"program": "b" * 64}, {"attempt": "a-unknown"}],
)
async def test_a_claim_that_does_not_match_is_denied(city: City, wrong: dict[str, Any]):
    attempt = await city.staged()
    words = {"attempt": attempt, **wrong}
    assert isinstance(await city.claim(words.pop("attempt"), **words), Denied)
    assert (await city.attempt(attempt)).state == State.CLAIMED


async def test_another_agent_cannot_claim(city: City):
    attempt = await city.staged()
    asked = Claim(
        boot="boot-9", attempt=attempt, fence=1, machine="printer-1", nonce="3" * 32,
        program="a" * 64,
    )  # fmt: skip
    async with city.store.unit() as unit:
        answer = await service.claim(unit, city.signer, "lab-other", asked)
    assert isinstance(answer, Denied)


async def test_a_claim_before_its_report_is_met_with_silence(city: City):
    attempt = await city.plan_and_offer()
    await city.say(attempt, State.ACCEPTED)
    assert await city.claim(attempt) is None


async def test_a_claim_for_a_withdrawn_attempt_is_denied_and_the_job_is_wanted(city: City):
    attempt = await city.staged()
    async with city.store.unit() as unit:
        await service.withdraw(unit, attempt, "a better route")
    assert isinstance(await city.claim(attempt), Denied)
    job = await city.job()
    assert (job.state, job.tries, job.avoid) == (JobState.WANTED, 0, [])
    again = await city.plan_and_offer()
    assert (await city.attempt(again)).fence == 2


async def test_of_many_claims_at_once_one_nonce_is_live(city: City):
    """As two orchestrators would: every answer is a grant of its own nonce, the last one counts."""
    attempt = await city.staged()
    nonces = [f"{number:032x}" for number in range(12)]
    answers = await asyncio.gather(*(city.claim(attempt, nonce) for nonce in nonces))
    grants = [tickets.verify_grant(answer.grant, city.signer.read) for answer in answers]
    assert [grant.nonce for grant in grants] == nonces
    row = await city.attempt(attempt)
    assert row.grant in [answer.grant for answer in answers]
    assert row.version == (await city.attempt(attempt)).version


async def test_who_read_an_older_version_writes_nothing(city: City):
    attempt = await city.staged()
    async with city.store.unit() as unit:
        row = await records.attempt(unit, attempt)
        await unit.session.execute(
            update(AttemptRow)
            .where(AttemptRow.id == attempt)
            .values(version=AttemptRow.version + 1)
            .execution_options(synchronize_session=False)
        )
        with pytest.raises(records.Raced):
            await service.withdraw(unit, attempt, "too late")
        assert row.version == 4


async def test_reports_count_once_and_in_order(city: City):
    attempt = await city.plan_and_offer()
    gap = await city.repeat(attempt, State.STAGED, 2)
    assert isinstance(gap, Welcome)
    assert gap.acked_up == 0
    assert (await city.attempt(attempt)).state == State.OFFERED
    assert await city.repeat(attempt, State.ACCEPTED, 1) == DownAck(seq=1)
    assert await city.repeat(attempt, State.STAGED, 2) == DownAck(seq=2)
    assert await city.repeat(attempt, State.ACCEPTED, 1) == DownAck(seq=2)
    assert (await city.attempt(attempt)).state == State.STAGED
    async with city.store.view() as unit:
        assert [r.seq for r in await records.reports(unit, attempt)] == [1, 2]


async def test_a_report_about_another_agents_attempt_changes_nothing(city: City):
    attempt = await city.plan_and_offer()
    await city.say(attempt, State.ACCEPTED, fence=7)
    assert await city.say("a-nowhere", State.FINISHED) == Ask(attempt="a-nowhere")
    assert (await city.attempt(attempt)).state == State.OFFERED
    assert (await city.kinds()).count("attempt.stray") == 1


async def test_stray_words_fill_neither_inbox_nor_event_log(city: City):
    """60 kB a report, as many as a lab's secret can say in a second, were once kept for ever."""
    attempt = await city.plan_and_offer()
    for n in range(3):
        async with city.store.unit() as unit:
            said = Recall(boot=BOOT, attempt=f"a-{n}", ticket=None)
            await service.recall(unit, city.signer, city.agent, said)
        assert isinstance(await city.say(f"a-{n}", State.RUNNING, cause="z" * 60_000), DownAck)
        assert isinstance(await city.say(attempt, State.RUNNING, fence=7), DownAck)
        for boot, ahead in (("b-x", 2**30), ("b-y", 2**30)):
            await city.hello(boot=boot, epoch=ahead)
        await city.hello(acked_down=2**20 + n)
    async with city.store.view() as unit:
        assert (await unit.session.scalars(select(UpRow.body))).all() == []
    kinds = await city.kinds()
    for kind in ("attempt.stray", "agent.later_epoch", "agent.remembers_more"):
        assert kinds.count(kind) == 1


async def test_what_a_key_signed_that_counts_no_more_is_offered_anew_to_the_same_machine(
    city: City,
):
    """Left to the lab it is refused, and a lab with one machine would never be asked again."""
    attempt = await city.staged()
    async with city.store.unit() as unit:
        await service.take_back_distrusted(unit, city.signer)
    assert (await city.attempt(attempt)).state == State.CLAIMED
    city.signer.rotate(revoke=True)
    async with city.store.unit() as unit:
        await service.take_back_distrusted(unit, city.signer)
    job = await city.job()
    assert (job.state, job.tries, job.avoid) == ("wanted", 0, [])
    assert (await city.attempt(attempt)).state == State.WITHDRAWN
    await city.say(attempt, State.WITHDRAWN)
    again = await city.plan_and_offer()
    assert (await city.job()).avoid == []
    assert city.ticket((await city.sends())[-1]).attempt == again


@pytest.mark.parametrize("how", [State.FAILED, State.INTERRUPTED])
async def test_a_part_that_went_wrong_is_wanted_again_with_a_higher_fence(city: City, how: State):
    attempt = await city.running()
    await city.say(attempt, how, cause="out of filament")
    job = await city.job()
    assert (job.state, job.tries, job.why) == (JobState.WANTED, 1, "out of filament")
    again = await city.plan_and_offer()
    assert (await city.attempt(again)).fence == 2


async def test_a_machine_that_refused_is_not_asked_again(city: City):
    attempt = await city.plan_and_offer()
    await city.say(attempt, State.REFUSED, cause="the nozzle is blocked")
    job = await city.job()
    assert (job.state, job.tries) == (JobState.WANTED, 0)
    assert job.avoid == [f"{city.agent}/printer-1"]


async def test_what_was_granted_but_never_started_at_the_shop_is_not_started(city: City):
    attempt = await city.staged()
    await city.claim(attempt)
    await city.say(attempt, State.WITHDRAWN, cause="the offer ran out")
    assert (await city.attempt(attempt)).state == State.NOT_STARTED
    assert (await city.job()).state == JobState.WANTED


async def test_after_four_tries_a_job_is_left_to_people(city: City):
    for fence in range(1, 5):
        attempt = await city.staged()
        await city.claim(attempt, fence=fence)
        for state in (State.STARTING, State.RUNNING, State.FAILED):
            await city.say(attempt, state, fence)
    assert (await city.job()).state == JobState.ABANDONED


async def _silent(city: City, minutes: float, session: Session = Session.SILENT) -> None:
    async with city.store.unit() as unit:
        past = unit.now - timedelta(minutes=minutes)
        await unit.session.execute(update(AgentRow).values(session=session, heard_at=past))
        await unit.session.execute(update(AttemptRow).values(granted_at=past))
    async with city.store.unit() as unit:
        await service.note_silence(unit)


async def test_silence_after_a_grant_is_doubt_and_never_a_second_offer(city: City):
    attempt = await city.staged()
    await city.claim(attempt)
    await _silent(city, 1.5)
    assert (await city.attempt(attempt)).state == State.GRANTED
    await _silent(city, 3)
    row = await city.attempt(attempt)
    assert row.state == State.UNKNOWN
    assert row.in_doubt_since is not None
    assert (await city.job()).state == JobState.OFFERED
    assert isinstance(await city.claim(attempt, "9" * 32), Denied)
    await city.say(attempt, State.STARTING)
    await city.say(attempt, State.RUNNING)
    row = await city.attempt(attempt)
    assert (row.state, row.in_doubt_since) == (State.RUNNING, None)


async def test_an_agent_that_is_away_loses_its_offers_but_not_what_runs(city: City):
    offered = await city.plan_and_offer()
    await _silent(city, 11)
    assert (await city.attempt(offered)).state == State.WITHDRAWN
    await city.hello()
    job = await city.job()
    assert job.state == JobState.WANTED


async def test_what_runs_at_an_agent_that_is_away_is_in_doubt(city: City):
    attempt = await city.running()
    await _silent(city, 5)
    assert (await city.attempt(attempt)).state == State.RUNNING
    await _silent(city, 11)
    assert (await city.attempt(attempt)).state == State.UNKNOWN
    await city.say(attempt, State.FINISHED)
    assert (await city.job()).state == JobState.MADE


@pytest.mark.parametrize(
    ("listed", "then"),
    [
        (State.STARTING, State.STARTING),
        (State.RUNNING, State.RUNNING),
        (State.PAUSED, State.PAUSED),
        (State.CLAIMED, State.UNKNOWN),
        (State.UNKNOWN, State.UNKNOWN),
    ],
)
async def test_what_was_in_doubt_for_silence_alone_is_not_once_its_agent_is_heard(
    city: City, listed: State, then: State
):
    attempt = await city.running()
    await _silent(city, 11)
    status = AttemptStatus(attempt=attempt, fence=1, state=listed)
    await city.hello(acked_down=1, attempts=(status,), head_seq=city.seq + 1)
    assert (await city.attempt(attempt)).state == State.UNKNOWN  # a report is still to come
    await city.hello(acked_down=1, attempts=(status,))
    row = await city.attempt(attempt)
    assert (row.state, row.in_doubt_since is None) == (then, then is not State.UNKNOWN)
    assert (await city.job()).state == JobState.OFFERED


async def test_only_the_maker_can_give_up_what_nobody_knows(city: City):
    attempt = await city.running()
    with pytest.raises(decide.NotInDoubt, match="only an unknown one"):
        async with city.store.unit() as unit:
            await service.give_up(unit, attempt, "Ana: make it again")
    await city.say(attempt, State.UNKNOWN, cause="the cable was pulled")
    with pytest.raises(decide.NotInDoubt, match="may still start"):
        async with city.store.unit() as unit:
            await service.give_up(unit, attempt, "Ana: make it again")
    async with city.store.unit() as unit:
        past = unit.now - timedelta(minutes=10)
        await unit.session.execute(update(AttemptRow).values(granted_at=past))
    async with city.store.unit() as unit:
        await service.give_up(unit, attempt, "Ana: make it again")
    assert (await city.job()).state == JobState.WANTED
    again = await city.plan_and_offer()
    await city.say(attempt, State.FINISHED)  # the old fence is closed for ever
    assert (await city.attempt(attempt)).state == State.SUPERSEDED
    assert (await city.job()).attempt == again


async def test_an_order_is_cancelled_as_far_as_no_machine_has_begun(city: City):
    begun, waiting = city.jobs
    await city.running()
    order = (await city.job(begun)).order_id
    async with city.store.unit() as unit:
        told = await service.cancel_order(unit, order, "changed my mind")
    assert told == service.Cancelled((waiting,), (begun,))
    assert (await city.job(waiting)).state == JobState.CANCELLED
    assert (await city.job(begun)).state == JobState.OFFERED
    async with city.store.unit() as unit:
        with pytest.raises(service.NothingToCancel, match="each part is begun, made or ended"):
            await service.cancel_order(unit, order, "again")
        with pytest.raises(KeyError):
            await service.cancel_order(unit, "o-none", "nobody's")


async def test_a_cancelled_offer_is_withdrawn(city: City):
    attempt = await city.staged()
    order = (await city.job()).order_id
    async with city.store.unit() as unit:
        told = await service.cancel_order(unit, order, "changed my mind")
    assert told.cancelled == tuple(city.jobs)
    assert (await city.attempt(attempt)).state == State.WITHDRAWN
    assert [row for row in await city.sends() if "withdraw" in row.body]


async def test_a_cancelled_job_stops_its_machine(city: City):
    attempt = await city.running()
    async with city.store.unit() as unit:
        await service.stop_cancelled(unit, city.jobs[0])
        await service.stop_cancelled(unit, city.jobs[0])
    sends = await city.sends()
    assert [send.seq for send in sends] == [1, 2]
    assert '"kind":"stop"' in sends[1].body
    assert (await city.attempt(attempt)).stop_why is not None


async def test_the_outbox_is_sent_again_after_a_hello_until_it_is_stored(city: City):
    attempt = await city.plan_and_offer()
    (send,) = await city.sends()
    async with city.store.unit() as unit:
        await outbox.sent(unit, [send])
    async with city.store.view() as unit:
        assert await outbox.to_send(unit, unit.now - timedelta(seconds=10)) == []
    await city.hello()
    assert await city.sends() == [send]
    async with city.store.unit() as unit:
        await outbox.acked(unit, city.agent, 1)
    known = AttemptStatus(attempt=attempt, fence=1, state=State.OFFERED)
    await city.hello(acked_down=1, attempts=(known,))
    assert await city.sends() == []


async def test_silent_agents_are_sent_nothing(city: City):
    await city.plan_and_offer()
    async with city.store.unit() as unit:
        await labs.fell_silent(unit, city.agent)
    assert await city.sends() == []


async def test_an_attempt_that_the_agent_forgot_is_wanted_again(city: City):
    attempt = await city.plan_and_offer()
    await city.hello()  # the offer is not stored there yet: it will be sent again
    assert (await city.attempt(attempt)).state == State.OFFERED
    known = AttemptStatus(attempt=attempt, fence=1, state=State.OFFERED)
    await city.hello(acked_down=1, attempts=(known,))
    assert (await city.attempt(attempt)).state == State.OFFERED
    await city.hello(acked_down=1)
    assert (await city.attempt(attempt)).state == State.WITHDRAWN


@pytest.mark.parametrize("more", [{"acked_down": 40}, {"acked_up": 9, "head_seq": 9}])
async def test_an_agent_that_remembers_more_than_we_do_goes_on_from_what_we_have(
    city: City, more: dict[str, int]
):
    """Our database was put back and nobody said so, or somebody forged numbers."""
    assert await city.hello(**more) == 0
    assert "agent.remembers_more" in await city.kinds()
    async with city.store.unit() as unit:
        assert await census.missing(unit) == []
        await orders.plan_job(unit, city.jobs[0], city.agent, "printer-1")
        assert len(await offers.offer_planned(unit, city.signer)) == 1
        [send] = await outbox.to_send(unit, unit.now)
    assert send.seq == 1


async def test_an_agent_in_a_later_life_of_the_store_is_left_alone_and_stops_nobody(city: City):
    assert await city.hello(epoch=2**30) is None
    assert await city.hello(epoch=2**30) is None
    assert (await city.kinds()).count("agent.later_epoch") == 1
    async with city.store.unit() as unit:
        assert await service.turned_away(unit, city.agent, "boot-1")
        assert await census.missing(unit) == []
        await orders.plan_job(unit, city.jobs[0], city.agent, "printer-1")
        assert await offers.offer_planned(unit, city.signer) == []
        epoch = await census.begin(unit, "put back")
    assert await city.hello(epoch=epoch) == 0
    async with city.store.unit() as unit:
        assert not await service.turned_away(unit, city.agent, "boot-1")
        assert len(await offers.offer_planned(unit, city.signer)) == 1


async def test_a_file_is_read_only_with_a_live_offer_that_names_it(city: City):
    async def may(agent: str, sha256: str) -> bool:
        async with city.store.view() as unit:
            return await records.may_read(unit, agent, sha256)

    assert not await may(city.agent, city.file)
    attempt = await city.plan_and_offer()
    assert await may(city.agent, city.file)
    assert not await may("lab-other", city.file)
    assert not await may(city.agent, "0" * 64)
    await city.say(attempt, State.REFUSED)
    assert not await may(city.agent, city.file)


async def test_a_change_and_its_message_are_one(city: City):
    """If the unit fails after the offer, there is no attempt, no message and no event."""

    async def break_off(unit: Unit) -> None:
        await orders.plan_job(unit, city.jobs[0], city.agent, "printer-1")
        await offers.offer_planned(unit, city.signer)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await city.store.run(break_off)
    assert await city.sends() == []
    assert "attempt.offered" not in await city.kinds()
    async with city.store.view() as unit:
        assert (await unit.session.scalars(select(AttemptRow))).all() == []
