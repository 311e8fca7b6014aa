"""The doors for attempts: how a job is coming along, and what people may do about it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fablab_agents.protocol.messages import Report
from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue.model import ReleaseState
from orchestrator.dispatch import census, outbox, records, service
from orchestrator.dispatch.signing import Signer
from orchestrator.dispatch.tables import AttemptRow, EpochRow
from orchestrator.labs.tables import AgentRow
from orchestrator.store import Store, Unit

routes = APIRouter(tags=["attempts"])


class AttemptView(BaseModel):
    """`fraction`, `line` and `temperatures_c` are the last telemetry heard, at `progress_at`."""

    id: str
    agent: str
    machine: str
    fence: int
    state: str
    release: str | None
    """None where the design is not for whoever asks."""
    part: str | None
    """None of a pre-release that is not for whoever asks; nor do they read a word about it."""
    quantity: int
    estimate_s: int
    offered_at: datetime
    program: str | None
    program_facts: dict[str, JsonValue] | None
    staged_at: datetime | None
    granted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    in_doubt_since: datetime | None
    stop_why: str | None
    cause: str
    person: str | None
    minutes: float | None
    machine_s: float | None
    simulated: bool
    attested: bool
    """What became of it is a person's word, not a machine's."""
    consent: str | None
    fraction: float | None
    line: int | None
    temperatures_c: dict[str, JsonValue] | None
    progress_at: datetime | None


class Why(BaseModel):
    model_config = ConfigDict(extra="forbid")
    why: str = Field(min_length=1, max_length=500)


class Cancel(Why):
    looked: bool = False
    """Somebody has seen at the labs that have not told yet what they made of it."""


def attempt_view(row: AttemptRow) -> AttemptView:
    return AttemptView.model_validate(row, from_attributes=True)


async def _views(unit: Unit, request: Request, rows: Sequence[AttemptRow]) -> list[AttemptView]:
    """As whoever asks may see them."""
    hidden = await catalogue_api.hidden(unit, request, {row.release for row in rows})
    return [_told(attempt_view(row), hidden.get(row.release)) for row in rows]


_UNTOLD: Final = dict.fromkeys(("part", "program_facts", "stop_why", "consent")) | {"cause": ""}
"""Of a pre-release: the part, and what labs, operator and maker say, which may name it."""


def _told(view: AttemptView, closed: ReleaseState | None) -> AttemptView:
    if closed is None:
        return view
    unknown = _UNTOLD if closed is ReleaseState.PRE_RELEASE else {}
    return view.model_copy(update={"release": None} | unknown)


@routes.get("/api/jobs/{job_id}/attempts")
async def of_job(job_id: str, request: Request) -> list[AttemptView]:
    """All tries of a job, first to last."""
    async with _store(request).view() as unit:
        return await _views(unit, request, await records.attempts_of_job(unit, job_id))


@routes.get("/api/attempts")
async def live(request: Request) -> list[AttemptView]:
    """Everything that is offered, runs or is in doubt now."""
    async with _store(request).view() as unit:
        return await _views(unit, request, await records.live(unit))


@routes.get("/api/attempts/{attempt_id}")
async def one(attempt_id: str, request: Request) -> AttemptView:
    async with _store(request).view() as unit:
        (view,) = await _views(unit, request, [await records.attempt(unit, attempt_id)])
    return view


@routes.get("/api/attempts/{attempt_id}/reports")
async def reports(attempt_id: str, request: Request) -> list[Report]:
    """What the shop said of it, word by word."""
    async with _store(request).view() as unit:
        row = await records.attempt(unit, attempt_id)
        hidden = await catalogue_api.hidden(unit, request, [row.release])
        said = await records.reports(unit, attempt_id)
    if hidden.get(row.release) is ReleaseState.PRE_RELEASE:
        return [each.bare() for each in said]
    return said


@routes.post("/api/orders/{order_id}/cancel")
async def cancel(order_id: str, asked: Cancel, request: Request) -> service.Cancelled:
    """Cancel what no machine has begun, free of charge; what has begun stays ordered."""
    async with _store(request).unit() as unit:
        return await service.cancel_order(unit, order_id, asked.why, looked=asked.looked)


@routes.post("/api/attempts/{attempt_id}/stop", status_code=202)
async def stop(attempt_id: str, why: Why, request: Request) -> AttemptView:
    """Withdraw it, or ask the machine to stop if it has begun."""
    async with _store(request).unit() as unit:
        await service.stop(unit, attempt_id, why.why)
        return attempt_view(await records.attempt(unit, attempt_id))


@routes.post("/api/attempts/{attempt_id}/give-up")
async def give_up(attempt_id: str, consent: Why, request: Request) -> AttemptView:
    """The maker accepts a possible duplicate: the unknown attempt is closed, its job wanted."""
    async with _store(request).unit() as unit:
        await service.give_up(unit, attempt_id, consent.why)
        return attempt_view(await records.attempt(unit, attempt_id))


class Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid")
    revoke: bool = False
    """The key in use is not trusted any more: what it signed is offered anew."""


def keys_router(signer: Signer) -> APIRouter:
    rotating = APIRouter(tags=["keys"])

    @rotating.post("/api/keys/rotate")
    async def rotate(wish: Rotation, request: Request) -> dict[str, list[str]]:  # pyright: ignore[reportUnusedFunction]
        """Sign with the next key from now on; the keys that agents are told to trust."""
        signer.rotate(revoke=wish.revoke)
        await _store(request).run(lambda unit: service.take_back_distrusted(unit, signer))
        return {"keys": [str(key["kid"]) for key in signer.public()]}

    return rotating


# ── after the database was put back to an older copy


class AwaitedView(BaseModel):
    agent: str
    lab: str
    heard_at: datetime | None


class OrphanView(BaseModel):
    """An attempt that no job waits for; what it made lies in the lab and counts for nothing."""

    attempt: str
    agent: str
    lab: str
    machine: str
    part: str
    quantity: int
    state: str
    offered_at: datetime


class CensusView(BaseModel):
    """While agents are awaited nothing is offered or granted. `since`: None, never put back."""

    epoch: int
    since: datetime | None
    why: str | None
    awaited: list[AwaitedView]
    orphans: list[OrphanView]


class Without(BaseModel):
    model_config = ConfigDict(extra="forbid")
    agent: str


@routes.get("/api/store/census")
async def the_census(request: Request) -> CensusView:
    async with _store(request).view() as unit:
        return await _census(unit)


@routes.post("/api/store/restored", status_code=201)
async def restored(why: Why, request: Request) -> CensusView:
    """This database was put back to an older copy: a new epoch, and nothing before the census."""
    async with _store(request).unit() as unit:
        await census.begin(unit, why.why)
        return await _census(unit)


@routes.post("/api/store/go-on")
async def go_on(without: Without, request: Request) -> CensusView:
    """A person decides: what this agent remembers is given up."""
    async with _store(request).unit() as unit:
        await census.go_on_without(unit, without.agent)
        return await _census(unit)


async def _census(unit: Unit) -> CensusView:
    number, labs = await outbox.epoch(unit), await census.lab_names(unit)
    row = await unit.session.get(EpochRow, number)
    agents = [await unit.session.get_one(AgentRow, each) for each in await census.missing(unit)]
    return CensusView(
        epoch=number,
        since=row and row.since,
        why=row and row.why,
        awaited=[
            AwaitedView(agent=each.id, lab=labs[each.id], heard_at=each.heard_at)
            for each in agents
        ],
        orphans=[
            OrphanView(
                attempt=each.id, lab=labs[each.agent], agent=each.agent, machine=each.machine,
                part=each.part, quantity=each.quantity, state=each.state,
                offered_at=each.offered_at,
            )
            for each in await census.orphans(unit)
        ],
    )  # fmt: skip


def _store(request: Request) -> Store:
    return request.app.state.store
