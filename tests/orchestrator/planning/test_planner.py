"""Who plans, in which process, and what of the plan in force is told."""

import asyncio
import os
import signal
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from orchestrator.orders.model import JobState
from orchestrator.planning import service
from orchestrator.planning.tables import PlanRow
from orchestrator.planning.worker import PlannerGone, Worker
from scheduling import InvalidPlan, Plan, ProblemError, Unplaced, verify
from tests.orchestrator.dispatch.conftest import PRINTER
from tests.orchestrator.planning.conftest import Town
from tests.scheduling.worlds import job, two_labs

WORLD = two_labs(job("a", {"n1": 1, "f1": 1}), job("b", {"n1": 2, "f1": 1}))


async def test_a_process_answers_with_a_checked_plan_and_its_reasons():
    async with Worker() as worker:
        planned = await worker.solve(WORLD, 0.2)
        again = await worker.solve(WORLD, 0.2)
    assert not verify(WORLD, planned.plan)
    assert set(planned.why) == {"a", "b"}
    assert again.plan.objective_minor == planned.plan.objective_minor


async def test_a_killed_process_is_told_and_the_next_plan_has_another():
    async with Worker() as worker:
        await worker.solve(WORLD, 0.1)
        child = worker._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(PlannerGone):
            await worker.solve(WORLD, 0.1)
        assert (await worker.solve(WORLD, 0.1)).plan.assignments


async def test_a_process_ends_with_its_context_and_when_its_parent_is_gone():
    async with Worker() as worker:
        await worker.solve(WORLD, 0.1)
        child = worker._child
        assert child is not None
        assert child.stdin is not None
        child.stdin.close()
        async with asyncio.timeout(20):
            assert await child.wait() == 0
    assert worker._child is None


async def test_what_the_process_could_not_do_is_raised_here(monkeypatch: pytest.MonkeyPatch):
    from orchestrator.planning import worker as module

    plan = Plan((), (Unplaced("a", ("",)),), 0, 0, "greedy")
    faults = verify(WORLD, plan)
    for failed, error in (
        (module._Failed("invalid", "", faults), InvalidPlan),
        (module._Failed("problem", "no"), ProblemError),
        (module._Failed("error", "Traceback"), PlannerGone),
    ):
        worker = Worker()

        async def asked(_: bytes, failed: module._Failed = failed) -> module._Failed:
            return failed

        monkeypatch.setattr(worker, "_asked", asked)
        with pytest.raises(error):
            await worker.solve(replace(WORLD), 0.1)


async def test_one_planner_at_a_time_and_the_next_when_it_is_silent(town: Town):
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    jobs = await town.order(await town.quote())
    assert await service.held(town.store, "one") == 0
    assert await service.held(town.store, "two") is None
    assert await service.replan(town.store, None, "two") is None
    assert (await town.jobs(jobs))[0].state == JobState.WANTED
    async with town.store.unit() as unit:
        gone = unit.now - timedelta(seconds=1)
        await unit.session.execute(update(PlanRow).values(held_until=gone))
    await service.replan(town.store, None, "two")
    assert (await town.jobs(jobs))[0].agent == near
    assert await service.held(town.store, "one") is None
    assert await service.held(town.store, "two") == 1


async def test_a_plan_made_while_another_was_put_in_force_is_dropped(town: Town):
    await town.publish()
    await town.open_lab("Near", 1, PRINTER)
    jobs = await town.order(await town.quote())

    async def overtaken(problem: service.scheduling.Problem, seconds: float) -> service.Planned:
        async with town.store.unit() as unit:
            await unit.session.execute(update(PlanRow).values(version=7))
        return await service.in_a_thread(problem, seconds)

    await service.replan(town.store, None, "one", overtaken)
    assert (await town.jobs(jobs))[0].state == JobState.WANTED


async def test_the_plan_in_force_tells_strangers_when_and_the_operator_what(town: Town):
    async with town.store.view() as unit:
        assert (await service.in_force(unit, named=True)).rows == ()
    await town.publish()
    near = await town.open_lab("Near", 1, PRINTER)
    jobs = await town.order(await town.quote(quantity=2))
    await service.replan(town.store)
    async with town.store.view() as unit:
        told = await service.in_force(unit, named=False)
        known = await service.in_force(unit, named=True)
    assert (told.version, told.placed, told.left_out) == (1, 2, 0)
    assert told.objective_minor is not None
    assert told.bound_minor is not None
    assert told.bound_minor <= told.objective_minor
    [row] = told.rows
    assert (row.agent, row.machine) == (near, PRINTER.machine)
    assert [span.job for span in row.spans] == [None, None]
    assert row.spans[0].end_at <= row.spans[1].start_at
    assert {span.job for span in known.rows[0].spans} == set(jobs)
