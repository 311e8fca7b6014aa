"""Quotes and plans on real labs, machines and orders in a real database."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from designs.design import OWN_WORK, Alternative, DrawingFacts, File, Role
from fablab_agents.protocol.messages import Bed, Condition, Machine
from fablab_agents.protocol.tickets import verify_ticket
from orchestrator.dispatch import offers, records
from orchestrator.dispatch.signing import Signer
from orchestrator.labs import service as labs
from orchestrator.labs.model import Session
from orchestrator.labs.tables import AgentRow
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState
from orchestrator.planning import model, service
from orchestrator.policy.model import IN_FORCE
from orchestrator.store import Unit
from tests.orchestrator.dispatch.conftest import PRINTER, a_release
from tests.orchestrator.planning.conftest import Town

LASER = Machine(
    machine="laser-1", title="Laser 1", model="generic-laser-400", processes=("laser_cutting",),
    materials=("plywood",), envelope_mm=(400, 400, 10), tolerance_mm=0.1, attended=True,
    rate_minor_per_h=1200, setup_minor=300, offered=True, condition=Condition.IDLE,
    bed=Bed.UNKNOWN,
)  # fmt: skip


async def test_a_quote_names_price_way_time_and_reason_and_why_not(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    await town.open_lab("Far", 30, PRINTER)
    await town.open_lab("Cutter", 0.5, LASER)
    quote = await town.quote(quantity=2)
    (item,) = quote.items
    first, second = item.options
    assert (first.lab, first.agent, second.lab) == ("Near", near, "Far")
    assert first.distance_m == pytest.approx(1000, abs=10)
    assert first.why.startswith("The best of 2 labs")
    assert [no.lab for no in item.why_not] == ["Cutter"]
    assert "no machine" in item.why_not[0].why
    assert first.lines[0] == orders_model.PriceLine(what="setting up Printer 1", minor=300)
    assert quote.complete
    assert quote.total_minor == first.total_minor == sum(line.minor for line in first.lines)
    assert first.transport_minor == -(-first.distance_m * IN_FORCE.transport_minor_per_km // 1000)
    assert quote.policy_version == IN_FORCE.version
    assert first.estimate_s * 2 > first.minutes * 60 / 2


async def test_a_machine_driven_by_hand_says_so_before_anybody_orders(town: Town):
    await town.publish()
    await town.open_lab("Near", 1, PRINTER.model_copy(update={"by_hand": True}))
    quote = await town.quote()
    assert quote.items[0].options[0].by_hand
    quoted = model.agreed(quote)
    assert quoted is not None
    assert quoted.items[0].by_hand
    words = "on a machine driven by hand, attested by a person"
    assert words in orders_model.confirmation_text(quoted, "Ana")
    await town.open_lab("Nearer", 0.1, PRINTER)
    other = model.agreed(await town.quote())
    assert other is not None
    assert words not in orders_model.confirmation_text(other, "Ana")


def test_a_profile_of_ones_own_name_is_estimated_by_what_the_machine_does() -> None:
    printed = a_release("f" * 64).parts[0]
    own = PRINTER.model_copy(update={"model": "shop-printer"})
    assert (known := model.effort(printed, PRINTER)) is not None
    assert (told := model.effort(printed, own)) is not None
    assert told.p50_s == known.p50_s
    assert told.p90_s > known.p90_s
    facts = DrawingFacts(
        size_mm=(100, 100), area_mm2=1e4, cut_length_mm=400, outlines=1, holes=0,
        smallest_hole_mm=None,
    )  # fmt: skip
    made = {"process": "cnc_milling", "material": "plywood", "thickness_mm": 6, "facts": facts}
    cut = printed.model_copy(update=made)
    mill = LASER.model_copy(update={"model": "shop-router", "processes": ("cnc_milling",)})
    assert model.effort(cut, mill) is not None
    assert model.effort(cut, own) is None


async def test_a_lab_whose_profile_has_a_name_of_its_own_is_quoted(town: Town):
    await town.publish()
    own = await town.open_lab("Nord", 1, PRINTER.model_copy(update={"model": "shop-printer"}))
    quote = await town.quote()
    assert quote.complete
    assert [option.agent for option in quote.items[0].options] == [own]


async def test_the_lines_add_up_to_what_was_compared(town: Town):
    """What the search takes for the price is the sum of the lines that a maker pays."""
    await town.publish()
    await town.open_lab("Near", 1, PRINTER)
    part = town.release.parts[0]
    async with town.store.view() as unit:
        benches, _ = await service._benches(unit)
        for pieces in (1, 2, 7):
            job = model.job_of("j", part, pieces, (41.39, 2.17), benches=benches, policy=IN_FORCE)
            problem = model.problem(
                unit.now, benches, [], busy_until={}, current={}, policy=IN_FORCE
            )
            (found,) = service.scheduling.quote(problem, job).options
            told = model.option_of(found, part, pieces, benches[0], IN_FORCE)
            assert told is not None
            assert found.price_minor == told.total_minor


async def test_a_maker_may_prefer_a_lab(town: Town):
    await town.publish()
    await town.open_lab("Near", 1, PRINTER)
    far = await town.open_lab("Far", 30, PRINTER)
    quote = await town.quote(choose={"hook": far})
    assert quote.items[0].options[0].agent == far
    (job,) = await town.order(quote)
    await service.replan(town.store)
    assert (await town.jobs([job]))[0].agent == far


async def test_without_a_capable_lab_a_quote_is_incomplete_and_cannot_be_ordered(town: Town):
    await town.publish()
    await town.open_lab("Cutter", 0.5, LASER)
    quote = await town.quote()
    assert not quote.complete
    assert quote.items[0].options == ()
    async with town.store.view() as unit:
        assert await service.quoted(unit, quote.id) is None
        assert await service.find_quote(unit, quote.id) == quote


@pytest.mark.parametrize(
    "how",
    [
        {"offered": False},
        {"condition": Condition.OFFLINE},
        {"condition": Condition.FAULT},
        {"currency": "CHF"},
        {"materials": ("petg",)},
        {"envelope_mm": (30.0, 30.0, 30.0)},
    ],
)
async def test_machines_that_cannot_are_not_quoted(town: Town, how: dict[str, Any]):
    await town.publish()
    await town.open_lab("Near", 1, PRINTER.model_copy(update=how))
    quote = await town.quote()
    assert not quote.complete
    assert quote.items[0].why_not[0].lab == "Near"


@pytest.mark.parametrize(
    "absurd",
    [
        {"tolerance_mm": -1.0},
        {"tolerance_mm": 1e300},
        {"envelope_mm": (0.0, 0.0, 0.0)},
        {"rate_minor_per_h": 50_000_000},
        {"setup_minor": 100_000_000},
    ],
)
async def test_one_machine_that_makes_no_sense_ends_nobody_elses_plan(
    town: Town, absurd: dict[str, Any]
):
    """What the wire or an older version let in, and what it lets in still."""
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    await town.order(await town.quote(quantity=20))
    await town.open_lab("Odd", 0, PRINTER.model_copy(update=absurd))
    assert [option.agent for option in (await town.quote(quantity=20)).items[0].options] == [near]
    async with town.store.view() as unit:
        asked = await service.look(unit)
        assert [each.agent for each in await labs.machines(unit)].count(near) == 1
    assert asked is not None
    planned = await service.in_a_thread(asked.problem, 0.2)
    assert {spot.machine for spot in planned.plan.by_job.values()} == {f"{near}/printer-1"}


async def test_designs_that_nobody_may_make_for_payment_are_refused(town: Town):
    await town.publish(licence="CC-BY-NC-4.0")
    await town.open_lab("Near", 1, PRINTER)
    with pytest.raises(service.QuoteRefused, match="for payment"):
        await town.quote()


async def test_own_work_is_quoted_by_its_hash(town: Town):
    await town.publish(licence=OWN_WORK, private=True)
    await town.open_lab("Near", 1, PRINTER)
    assert (await town.quote(design=town.release.sha256)).complete


async def test_a_part_that_is_not_there(town: Town):
    await town.publish()
    with pytest.raises(service.QuoteRefused, match="its parts are hook"):
        await town.quote(part="lamp")


async def test_what_is_wanted_is_planned_where_it_was_quoted(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    await town.open_lab("Far", 5, PRINTER)
    jobs = await town.order(await town.quote(quantity=2))
    mark = await service.replan(town.store)
    assert {(job.state, job.agent) for job in await town.jobs(jobs)} == {(JobState.PLANNED, near)}
    async with town.store.view() as unit:
        spots = await service.assignments(unit, jobs)
    assert all("Near" in spot.why for spot in spots.values())
    first, second = sorted(spots.values(), key=lambda spot: spot.start_at or unit.now)
    assert first.end_at is not None
    assert second.start_at is not None
    assert first.end_at <= second.start_at
    assert mark is not None
    assert await service.replan(town.store, mark) is None


async def test_a_plan_moves_when_its_machine_goes_away(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    far = await town.open_lab("Far", 5, PRINTER)
    jobs = await town.order(await town.quote())
    await service.replan(town.store)
    await town.says(near, PRINTER.model_copy(update={"offered": False}))
    await service.replan(town.store)
    (job,) = await town.jobs(jobs)
    assert (job.state, job.agent) == (JobState.PLANNED, far)


async def test_a_short_silence_moves_nothing_and_a_long_one_does(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    jobs = await town.order(await town.quote())
    await service.replan(town.store)
    for session, state in ((Session.SILENT, JobState.PLANNED), (Session.AWAY, JobState.WANTED)):
        async with town.store.unit() as unit:
            await unit.session.execute(
                update(AgentRow).where(AgentRow.id == near).values(session=session)
            )
        await service.replan(town.store)
        (job,) = await town.jobs(jobs)
        assert job.state == state
    async with town.store.view() as unit:
        spot = (await service.assignments(unit, jobs))[jobs[0]]
    assert spot.machine is None
    assert spot.why


async def test_a_machine_to_avoid_is_not_planned_on(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    far = await town.open_lab("Far", 5, PRINTER)
    jobs = await town.order(await town.quote())
    async with town.store.unit() as unit:
        (await orders.job(unit, jobs[0])).avoid = [f"{near}/printer-1"]
    await service.replan(town.store)
    assert (await town.jobs(jobs))[0].agent == far


async def test_a_lab_that_failed_twice_is_not_the_only_one_any_more(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    far = await town.open_lab("Far", 30, PRINTER)
    jobs = await town.order(await town.quote(choose={"hook": far}))
    for tries, agent in ((1, far), (2, near)):
        async with town.store.unit() as unit:
            (await orders.job(unit, jobs[0])).tries = tries
        await service.replan(town.store)
        assert (await town.jobs(jobs))[0].agent == agent
        async with town.store.unit() as unit:
            await orders.unplan_job(unit, jobs[0], "it went wrong")


async def test_a_job_that_moved_while_the_plan_was_made_is_left_alone(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    jobs = await town.order(await town.quote())
    async with town.store.view() as unit:
        asked = await service.look(unit)
    assert asked is not None
    planned = await service.in_a_thread(asked.problem, 2.0)

    async def meanwhile(unit: Unit) -> None:
        await orders.plan_job(unit, jobs[0], near, "printer-1")
        await orders.unplan_job(unit, jobs[0], "somebody else was quicker")

    await town.store.run(meanwhile)
    assert await town.store.run(lambda unit: service.put_in_force(unit, asked, planned)) == 0
    (job,) = await town.jobs(jobs)
    assert (job.state, job.why) == (JobState.WANTED, "somebody else was quicker")


async def test_busy_machines_are_ready_later(town: Town):
    await town.publish()
    await town.open_lab("Near", 1, PRINTER)
    before = await town.quote()
    await town.order(before)
    await service.replan(town.store)
    after = await town.quote()
    assert after.ready_at is not None
    assert before.ready_at is not None
    gap = after.ready_at - before.ready_at
    assert gap >= timedelta(seconds=before.items[0].options[0].estimate_s)


async def test_a_file_for_a_class_of_machine_is_quoted_fitted_and_sent_to_that_class_alone(
    town: Town, tmp_path: Path
):
    hook = town.release.parts[0]
    larger = hook.facts.model_copy(update={"size_mm": (300, 30, 20), "volume_mm3": 90_000})
    mine = Alternative(
        file_name="hook-mk4.stl", file_sha256="e" * 64, format="stl", machine_class="mk4",
        facts=larger,
    )  # fmt: skip
    program = mine.model_copy(update={"file_name": "hook.gcode", "format": "gcode", "facts": None})
    files = [
        File(name=each.file_name, sha256=each.file_sha256, size_bytes=size, role=role,
             format=each.format)
        for each, size, role in ((mine, 77, Role.EXPORT), (program, 78, Role.PROGRAM))
    ]  # fmt: skip
    part = hook.model_copy(update={"alternatives": (program, mine)})
    await town.publish(parts=(part,), files=(*town.release.files, *files))
    mk4 = PRINTER.model_copy(update={"model": "mk4", "envelope_mm": (310, 220, 250)})
    usual = await town.open_lab("Usual", 5, PRINTER)
    large = await town.open_lab("Large", 1, mk4)
    await town.open_lab("Small", 1, mk4.model_copy(update={"envelope_mm": (220, 220, 250)}))
    (item,) = (quote := await town.quote()).items
    by_agent = {option.agent: option for option in item.options}
    assert {agent: option.made_from for agent, option in by_agent.items()} == {
        usual: "", large: "hook-mk4.stl",
    }  # fmt: skip
    assert by_agent[large].size_mm == (300, 30, 20)
    assert by_agent[large].grams > 3 * by_agent[usual].grams
    assert "the part is 300 x 30 x 20 mm" in item.why_not[0].why
    signer = Signer.open(tmp_path / "keys")
    for agent, told in ((large, ("e" * 64, 77, "stl")), (usual, ("f" * 64, 1000, "stl"))):
        chosen = quote if agent == quote.items[0].options[0].agent else None
        await town.order(chosen or await town.quote(choose={"hook": agent}))
        await service.replan(town.store)
        async with town.store.unit() as unit:
            (attempt,) = await offers.offer_planned(unit, signer)
            row = await records.attempt(unit, attempt)
        ticket = verify_ticket(row.ticket, signer.read)
        assert (ticket.agent, row.file) == (agent, ticket.file)
        assert (ticket.file, ticket.file_bytes, ticket.format) == told
