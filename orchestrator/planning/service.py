"""Quotes for who asks, and a plan for the jobs that are wanted; verified before it counts.

It moves jobs between wanted and planned through orders' doors and touches no machine.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import structlog
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import select

import scheduling
from designs.design import Part, Release
from orchestrator.catalogue import lifecycle
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.search.model import Able
from orchestrator.grants import service as grants
from orchestrator.labs import service as labs
from orchestrator.labs.model import Session
from orchestrator.labs.service import LabStanding
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState, Quoted
from orchestrator.orders.tables import JobRow, OrderRow
from orchestrator.planning import model
from orchestrator.planning.model import Bench, Place, Quote, QuotedPart, WhyNot, Wish
from orchestrator.planning.solving import Planned, solved
from orchestrator.planning.tables import AssignmentRow, PlanRow, QuoteRow
from orchestrator.policy.model import IN_FORCE
from orchestrator.recalls import service as recalls
from orchestrator.store import JsonValue, Store, Unit

_log = structlog.get_logger("planning")
_SOLVE_S = 2.0
_REGION: Final = "all"
_HELD: Final = timedelta(seconds=30)
_FAIR_TRIES = 2
# A short silence, as when a broker restarts, does not move work elsewhere.
_HEARD = frozenset({Session.ONLINE, Session.SILENT})
_HEX = frozenset("0123456789abcdef")


class QuoteRefused(Exception):
    """A design that nobody here may make for payment, or a part that it does not have."""


# ── quotes


async def quote(unit: Unit, wish: Wish) -> Quote:
    """Who can make it, for how much, ready when, and why not the others; kept under its id."""
    release = await _release(unit, wish)
    parts = _parts(release, wish)
    permits = await grants.permits(unit, release, sum(_pieces(wish, part) for part in parts))
    if permits.refusal:
        raise QuoteRefused(permits.refusal)
    if no := await recalls.against(unit, release.sha256, [part.name for part in parts]):
        raise QuoteRefused(no)
    benches, places = await _benches(unit)
    benches = [bench for bench in benches if bench.place.id not in permits.barred]
    places = [replace(p, away=permits.barred.get(p.id) or p.away) for p in places]
    named = (await lifecycle.only_labs(unit, [release.sha256])).get(release.sha256)
    if named is not None:
        benches = [bench for bench in benches if bench.place.id in named]
        places = [place for place in places if place.id in named]
    busy = await _busy_until(unit, benches)
    items = tuple(
        _quoted_part(wish, part, benches, places, busy, unit.now, permits.grants) for part in parts
    )
    firsts = [item.options[0] for item in items if item.options]
    complete = len(firsts) == len(items)
    given = Quote(
        id=f"q-{secrets.token_hex(12)}",
        release=release.sha256,
        design=release.design,
        title=release.title,
        version=release.version,
        quantity=wish.quantity,
        lat=wish.lat,
        lon=wish.lon,
        items=items,
        complete=complete,
        total_minor=sum(option.total_minor for option in firsts),
        currency=IN_FORCE.currency,
        policy_version=IN_FORCE.version,
        ready_at=max(option.ready_at for option in firsts) if complete else None,
        valid_until=unit.now + timedelta(hours=IN_FORCE.quote_hours),
        standing=lifecycle.standing(await lifecycle.find(unit, release.sha256)),
        first_article=release.first_article,
    )
    unit.session.add(
        QuoteRow(
            id=given.id,
            release=given.release,
            body=given.model_dump_json(),
            made_at=unit.now,
            valid_until=given.valid_until,
        )
    )
    await unit.session.flush()
    await unit.record("quote.given", given.id, release=given.release, complete=complete)
    return given


async def _release(unit: Unit, wish: Wish) -> Release:
    if len(wish.design) == 64 and set(wish.design) <= _HEX:
        return await catalogue.release(unit, wish.design)
    row = await catalogue.newest(unit, wish.design, wish.version)
    return await catalogue.release(unit, row.sha256)


def _parts(release: Release, wish: Wish) -> Sequence[Part]:
    if wish.part is None:
        return release.parts
    part = release.part(wish.part)
    if part is None:
        names = ", ".join(each.name for each in release.parts)
        raise QuoteRefused(f"{release.title} has no part {wish.part}: its parts are {names}")
    return (part,)


def _pieces(wish: Wish, part: Part) -> int:
    return wish.quantity if wish.part is not None else wish.quantity * part.quantity


def _quoted_part(
    wish: Wish,
    part: Part,
    benches: Sequence[Bench],
    places: Sequence[Place],
    busy: Mapping[str, datetime],
    now: datetime,
    granted: model.GrantsOf,
) -> QuotedPart:
    pieces = _pieces(wish, part)
    job = model.job_of(
        "asked", part, pieces, (wish.lat, wish.lon), quality=wish.quality,
        benches=benches, policy=IN_FORCE, due_at=wish.due_at, grants=granted,
    )  # fmt: skip
    asked = model.problem(
        now, benches, [], busy_until=busy, current={}, policy=IN_FORCE, labs=places
    )
    found = scheduling.quote(asked, job)
    by_id = {bench.id: bench for bench in benches}
    away = {place.id: place.away for place in places}
    names = {bench.id: f"{bench.machine.title} at {bench.place.name}" for bench in benches}
    options = [
        option
        for each in found.options
        if (
            option := model.option_of(
                each, part, pieces, by_id[each.machine], IN_FORCE, wish.quality, granted
            )
        )
    ]
    return QuotedPart(
        part=part.name,
        title=part.title,
        pieces=pieces,
        process=part.process,
        material=part.material,
        thickness_mm=part.thickness_mm,
        quality=wish.quality,
        options=model.chosen_first(options, wish.choose.get(part.name)),
        why_not=tuple(
            WhyNot(
                lab=each.lab_name,
                why=away.get(each.lab) or model.plainly(each.reason, names, IN_FORCE.currency),
            )
            for each in found.refusals
        ),
    )


def _away(standing: LabStanding) -> str:
    """Why none of a lab's machines can be asked now; empty if one can."""
    name, sessions = standing.lab.name, {each.session for each in standing.machines}
    if not sessions:
        return f"{name} has not shown the network a machine yet."
    return "" if sessions & _HEARD else f"{name} is not connected now."


async def find_quote(unit: Unit, quote_id: str) -> Quote | None:
    row = await unit.session.get(QuoteRow, quote_id)
    return None if row is None else Quote.model_validate_json(row.body)


async def quoted(unit: Unit, quote_id: str) -> Quoted | None:
    """The quote as an order keeps it; None if there is none, or a part of it has no lab."""
    found = await find_quote(unit, quote_id)
    return None if found is None else model.agreed(found)


# ── the plan


@dataclass(frozen=True)
class Open:
    """The jobs to be planned, as a problem, and each job's version when it was read."""

    problem: scheduling.Problem
    versions: Mapping[str, int]
    mark: object
    """Equal for two looks between which nothing has changed that a plan depends on."""


async def look(unit: Unit) -> Open | None:
    """What is to be planned now; None if nothing is wanted and every planned job can stay."""
    wanted, planned = await orders.wanted_jobs(unit), await orders.planned_jobs(unit)
    benches, _ = await _benches(unit)
    known = {bench.id for bench in benches}
    if not wanted and all(f"{job.agent}/{job.machine}" in known for job in planned):
        return None
    jobs = [*wanted, *planned]
    parts = await _parts_of(unit, jobs)
    agreed = await _agreed(unit, jobs)
    bound = await _bound(unit, jobs)
    current = agreed | {job.id: f"{job.agent}/{job.machine}" for job in planned}
    asked = [
        model.job_of(
            job.id, parts[job.id], job.quantity, (job.lat, job.lon), quality=job.quality,
            benches=_asked_labs(job, agreed.get(job.id), _allowed(bound.get(job.id), benches)),
            policy=IN_FORCE,
            due_at=job.due_at, avoid=job.avoid,
        )
        for job in jobs
    ]  # fmt: skip
    busy = await _busy_until(unit, benches, planned=False)
    problem = model.problem(
        unit.now, benches, asked, busy_until=busy, current=current, policy=IN_FORCE
    )
    mark = (tuple((job.id, job.version) for job in jobs), problem.machines, tuple(sorted(busy)))
    return Open(problem, {job.id: job.version for job in jobs}, mark)


Solve = Callable[[scheduling.Problem, float], Awaitable[Planned]]


async def in_a_thread(problem: scheduling.Problem, seconds: float) -> Planned:
    """Where there is no process to solve in."""
    return await asyncio.to_thread(solved, problem, seconds)


# ── who plans


async def held(store: Store, who: str) -> int | None:
    """The number of the plan in force, if this planner is the one who plans now; else None.

    Whoever plans says so for half a minute, and again; another steps in when that has run out.
    """
    async with store.view() as unit:
        row = await unit.session.get(PlanRow, _REGION)
        mine = row is not None and row.planner == who
        if row is not None and mine and row.held_until > unit.now + _HELD / 2:
            return row.version
        if row is not None and not mine and row.held_until > unit.now:
            return None
    return await store.run(lambda unit: _hold(unit, who))


async def _hold(unit: Unit, who: str) -> int | None:
    row = await unit.session.get(PlanRow, _REGION, with_for_update=True)
    if row is None:
        row = PlanRow(region=_REGION, version=0, planner=who, held_until=unit.now)
        unit.session.add(row)
    elif row.planner != who and row.held_until > unit.now:
        return None
    row.planner, row.held_until = who, unit.now + _HELD
    await unit.session.flush()
    return row.version


class Span(BaseModel):
    """What a machine is to do. `job`: for the operator alone."""

    start_at: AwareDatetime
    end_at: AwareDatetime
    job: str | None = None


class MachineRow(BaseModel):
    """A row of the Gantt chart, in order of time."""

    agent: str
    machine: str
    spans: tuple[Span, ...]


class InForce(BaseModel):
    """The plan in force; what is at work already is no longer in it.

    `bound_minor`: no plan can weigh less. `objective_minor`: what this one weighs.
    """

    version: int = 0
    made_at: AwareDatetime | None = None
    status: str | None = None
    objective_minor: int | None = None
    bound_minor: int | None = None
    placed: int | None = None
    left_out: int | None = None
    rows: tuple[MachineRow, ...] = ()


async def in_force(unit: Unit, *, named: bool) -> InForce:
    row = await unit.session.get(PlanRow, _REGION)
    if row is None:
        return InForce()
    planned = [job.id for job in await orders.planned_jobs(unit)]
    machines: dict[tuple[str, str], list[Span]] = {}
    for each in (await assignments(unit, planned)).values():
        if each.agent and each.machine and each.start_at and each.end_at:
            job = each.job if named else None
            span = Span(start_at=each.start_at, end_at=each.end_at, job=job)
            machines.setdefault((each.agent, each.machine), []).append(span)
    return InForce(
        version=row.version,
        made_at=row.made_at,
        status=row.status,
        objective_minor=row.objective_minor,
        bound_minor=row.bound_minor,
        placed=row.placed,
        left_out=row.left_out,
        rows=tuple(
            MachineRow(
                agent=agent, machine=machine, spans=tuple(sorted(s, key=lambda x: x.start_at))
            )
            for (agent, machine), s in sorted(machines.items())
        ),
    )


async def _commit(unit: Unit, asked: "Open", planned: Planned, who: str, version: int) -> None:
    """The plan, and its number; nothing if another has put one in force meanwhile."""
    row = await unit.session.get(PlanRow, _REGION, with_for_update=True)
    if row is None or row.planner != who or row.version != version:
        _log.info("another planner's plan is in force")
        return
    await put_in_force(unit, asked, planned)
    plan = planned.plan
    row.version, row.made_at, row.status = version + 1, unit.now, plan.status
    row.objective_minor, row.bound_minor = plan.objective_minor, plan.bound_minor
    row.placed, row.left_out = len(plan.assignments), len(plan.unplaced)
    await unit.session.flush()


# ── putting it in force


async def put_in_force(unit: Unit, asked: Open, planned: Planned) -> int:
    """Move jobs where the plan has them; those that moved meanwhile are left alone. How many."""
    moved = 0
    out = await recalls.machines_out(unit)
    for job_id, version in asked.versions.items():
        job = await orders.job(unit, job_id)
        spot = planned.plan.by_job.get(job_id)
        if job.version == version and (spot is None or spot.machine not in out):
            moved += await _place(unit, job, planned)
    return moved


async def _place(unit: Unit, job: JobRow, planned: Planned) -> int:
    spot = planned.plan.by_job.get(job.id)
    await _note(unit, job.id, planned)
    where = f"{job.agent}/{job.machine}" if job.state == JobState.PLANNED else None
    if where == (spot.machine if spot else None):
        return 0
    if where is not None:
        await orders.unplan_job(unit, job.id, planned.why[job.id])
    if spot is not None:
        agent, _, machine = spot.machine.partition("/")
        await orders.plan_job(unit, job.id, agent, machine)
    return 1


async def _note(unit: Unit, job_id: str, planned: Planned) -> None:
    spot, why = planned.plan.by_job.get(job_id), planned.why[job_id]
    row = await unit.session.get(AssignmentRow, job_id)
    if row is None:
        row = AssignmentRow(job=job_id, why="")
        unit.session.add(row)
    told = row.why if row.machine is None else None
    agent, _, machine = spot.machine.partition("/") if spot else (None, "", None)
    lines: list[JsonValue] = [[line.name, line.minor] for line in spot.lines] if spot else []
    row.agent, row.machine, row.why, row.lines = agent, machine, why, lines
    row.start_at = model.moment(spot.start_s) if spot else None
    row.end_at = model.moment(spot.end_s) if spot else None
    row.planned_at = unit.now
    await unit.session.flush()
    if spot is None and told != why:
        await unit.record("job.unplaced", job_id, why=why)


async def replan(
    store: Store, last: object = None, who: str = "here", solve: Solve = in_a_thread
) -> object:
    """One look and, if anything has changed since `last`, one plan; returns the look's mark.

    Nothing where another planner is at it. The time is spent outside any transaction.
    """
    version = await held(store, who)
    if version is None:
        return last
    async with store.view() as unit:
        asked = await look(unit)
    if asked is None or asked.mark == last:
        return None if asked is None else last
    planned = await solve(asked.problem, _SOLVE_S)
    await store.run(lambda unit: _commit(unit, asked, planned, who, version))
    return asked.mark


async def assignments(unit: Unit, job_ids: Iterable[str]) -> dict[str, AssignmentRow]:
    """By job id: where and when it is to be made, and why there; or why nowhere yet."""
    rows = select(AssignmentRow).where(AssignmentRow.job.in_(list(job_ids)))
    return {row.job: row for row in await unit.session.scalars(rows)}


# ── what planning knows


async def able(unit: Unit, lat: float, lon: float, within_km: float) -> tuple[Able, ...]:
    """What machines of labs around a place can make now, the nearest first."""
    benches, _ = await _benches(unit)
    away = {bench.id: model.away_m(bench.place, lat, lon) for bench in benches}
    near = [bench for bench in benches if away[bench.id] <= within_km * 1000]
    return tuple(model.able(b) for b in sorted(near, key=lambda b: (away[b.id], b.id)))


async def _benches(unit: Unit) -> tuple[list[Bench], list[Place]]:
    """Machines that can be planned on, and all labs, also those without such a machine."""
    standings = await labs.labs(unit)
    places = [Place(s.lab.id, s.lab.name, s.lab.lat, s.lab.lon, _away(s)) for s in standings]
    found = [
        Bench(
            id=each.id,
            agent=each.agent,
            place=place,
            machine=each.machine,
            reachable=each.session in _HEARD,
        )
        for standing, place in zip(standings, places, strict=True)
        for each in standing.machines
    ]
    out = await recalls.machines_out(unit)
    usable = [
        bench for bench in found if bench.id not in out and model.usable(bench, IN_FORCE.currency)
    ]
    return [bench for bench in usable if _can_be_planned(bench)], places


def _can_be_planned(bench: Bench) -> bool:
    """One machine that makes no sense is left out, and told; it ends nobody else's plan."""
    why = model.against_planning(bench)
    if why is not None:
        _tell_left_out(bench.id, why)
    return why is None


@lru_cache(maxsize=1000)
def _tell_left_out(bench: str, why: str) -> None:
    """Once, however often it is looked at."""
    _log.warning("a machine is left out of every plan", machine=bench, why=why)


async def _busy_until(
    unit: Unit, benches: Iterable[Bench], *, planned: bool = True
) -> dict[str, datetime]:
    """When each machine is through with what it was offered (and what is planned on it)."""
    states = [JobState.OFFERED, JobState.PLANNED] if planned else [JobState.OFFERED]
    rows = select(JobRow).where(JobRow.state.in_(states), JobRow.machine.is_not(None))
    work: dict[str, int] = {}
    for job in await unit.session.scalars(rows):
        name = f"{job.agent}/{job.machine}"
        work[name] = work.get(name, 0) + job.estimate_s * job.quantity
    known = {bench.id for bench in benches}
    return {n: unit.now + timedelta(seconds=s) for n, s in work.items() if n in known}


async def _parts_of(unit: Unit, jobs: Iterable[JobRow]) -> dict[str, Part]:
    releases: dict[str, Release] = {}
    found: dict[str, Part] = {}
    for job in jobs:
        if job.release not in releases:
            releases[job.release] = await catalogue.release(unit, job.release)
        part = releases[job.release].part(job.part)
        if part is None:
            raise LookupError(f"release {job.release} has no part {job.part}")
        found[job.id] = part
    return found


async def _bound(unit: Unit, jobs: Sequence[JobRow]) -> dict[str, frozenset[str]]:
    """By job the labs that alone may make it: a pre-release those it is for, an order that stands
    on a grant those it covers. What any lab may make is not in it.
    """
    named = await lifecycle.only_labs(unit, (job.release for job in jobs))
    granted = await grants.bound(unit, (job.order_id for job in jobs))
    found: dict[str, frozenset[str]] = {}
    for job in jobs:
        limits = [named.get(job.release), granted.get((job.order_id, job.part))]
        if known := [limit for limit in limits if limit is not None]:
            found[job.id] = frozenset.intersection(*known)
    return found


def _allowed(labs_of: frozenset[str] | None, benches: Sequence[Bench]) -> Sequence[Bench]:
    return benches if labs_of is None else [b for b in benches if b.place.id in labs_of]


def _asked_labs(job: JobRow, agreed: str | None, benches: Sequence[Bench]) -> Sequence[Bench]:
    """The lab that the maker agreed to, while it can and has not failed twice; then any."""
    if job.tries >= _FAIR_TRIES:
        return benches
    agent = (agreed or "").partition("/")[0]
    theirs = [
        bench
        for bench in benches
        if bench.agent == agent
        and bench.id not in job.avoid
        and job.process in bench.machine.processes
        and job.material in bench.machine.materials
    ]
    return theirs or benches


async def _agreed(unit: Unit, jobs: Iterable[JobRow]) -> dict[str, str]:
    """By job: `agent/machine` of the quote that its maker agreed to."""
    orders_of = {job.order_id for job in jobs}
    rows = await unit.session.scalars(select(OrderRow).where(OrderRow.id.in_(orders_of)))
    items = {
        (row.id, item.part): f"{item.agent}/{item.machine}"
        for row in rows
        for item in Quoted.model_validate_json(row.quoted).items
    }
    pairs = ((job.id, items.get((job.order_id, job.part))) for job in jobs)
    return {job_id: name for job_id, name in pairs if name is not None}
