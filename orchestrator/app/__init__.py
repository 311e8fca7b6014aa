"""Puts the rooms together: one web application, and what wakes what.

It decides nothing: backward flow between rooms is wired here, by event, inside the unit of work.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue import (
    drafts,
    drafts_api,
    feeds,
    fork_api,
    fork_pages,
    lifecycle,
    lifecycle_api,
    publish_pages,
    slicers,
)
from orchestrator.catalogue import model as catalogue_model
from orchestrator.catalogue import pages as catalogue_pages
from orchestrator.catalogue.drafts import Drafts
from orchestrator.catalogue.search import doors as search_doors
from orchestrator.catalogue.search import index as search_index
from orchestrator.catalogue.search.model import Able, Place
from orchestrator.dispatch import access, census, records
from orchestrator.dispatch import api as dispatch_api
from orchestrator.dispatch import pages as dispatch_pages
from orchestrator.dispatch import service as dispatch
from orchestrator.dispatch.decide import NotInDoubt
from orchestrator.dispatch.signing import Signer
from orchestrator.grants import api as grants_api
from orchestrator.grants import pages as grants_pages
from orchestrator.grants import service as grants
from orchestrator.labs import api as labs_api
from orchestrator.labs import enrolment
from orchestrator.labs import pages as labs_pages
from orchestrator.labs import service as labs
from orchestrator.makes import api as makes_api
from orchestrator.makes import delivery, recall_api, recall_pages, recalled
from orchestrator.makes import pages as makes_pages
from orchestrator.makes import service as makes
from orchestrator.orders import api as orders_api
from orchestrator.orders import model as orders_model
from orchestrator.orders import pages as orders_pages
from orchestrator.orders import service as orders
from orchestrator.planning import api as planning_api
from orchestrator.planning import pages as planning_pages
from orchestrator.planning import service as planning
from orchestrator.proposals import api as proposals_api
from orchestrator.proposals import model as proposals_model
from orchestrator.proposals import pages as proposals_pages
from orchestrator.proposals import service as proposals
from orchestrator.recalls import model as recalls_model
from orchestrator.recalls import service as recalls
from orchestrator.settings import Settings
from orchestrator.store import Event, JsonValue, Store, Unit, write_whole
from orchestrator.web import bodies, errors, keys, site
from orchestrator.web.pages import Slots

WORDING: Final[errors.Wording] = {
    lifecycle.NoSuchRelease: 404,
    lifecycle.NotYours: 403,
    catalogue_model.IllegalMove: 409,
    drafts.NoSuchDraft: 404,
    drafts.DraftPublished: 409,
    drafts.YourDraftsFull: 429,
    drafts.DraftsFull: 507,
    labs.NoSuchLab: 404,
    labs.NoSuchAgent: 404,
    labs.CodeRefused: 403,
    records.NoSuchAttempt: 404,
    NotInDoubt: 409,
    dispatch.NothingToCancel: 409,
    census.Awaited: 409,
    census.NotAwaited: 409,
    records.Raced: 409,
    makes.NoSuchMake: 404,
    makes.AlreadyInspected: 409,
    makes.OtherLot: 409,
    recalled.RecalledUnit: 409,
    grants.NoSuchGrant: 404,
    grants.NotGranted: 409,
    recalls.NoSuchRecall: 404,
    recalls.RecallRefused: 422,
    recalls.RecallIsOpen: 409,
    recalls_model.IllegalMove: 409,
    orders.OrderRefused: 409,
    orders.Raced: 409,
    orders_model.IllegalMove: 409,
    planning.QuoteRefused: 422,
    proposals.NoSuchProposal: 404,
    proposals.NotYours: 403,
    proposals.Raced: 409,
    proposals_model.Closed: 409,
}
PERSONAL: Final = ("/orders", "/api/orders", "/quotes", "/api/quotes")
"""Addresses that answer each who asks differently, by seal and token."""


# ── the web application


_OWN_KEYS: Final = re.compile(
    r"/api/(drafts(/.*)?|files/local|releases/[0-9a-f]{64}/(state|labs|fork)"
    r"|designs/[a-z0-9-]+/(proposals|grants)|grants/[a-z0-9-]+/withdraw|proposals/[a-z0-9-]+/(accept|decline|withdraw))"
)
"""Doors that ask for a key of their own, see `web.keys`; and anybody may propose."""


class Gate:
    """Whatever changes something through /api/ needs the operator's token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._closed(scope):
            detail = "this needs the operator's token: it is in the data folder's file `token`"
            body = {"status": 401, "title": "Unauthorized", "detail": detail}
            answer = JSONResponse(
                body, 401, {"WWW-Authenticate": "Bearer"}, "application/problem+json"
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _closed(self, scope: Scope) -> bool:
        if scope["method"] in {"GET", "HEAD", "OPTIONS"} or not scope["path"].startswith("/api/"):
            return False
        if _OWN_KEYS.fullmatch(scope["path"]):
            return False
        return not keys.is_token(Headers(scope=scope).get("authorization", ""), self._token)


def create_app(
    settings: Settings, store: Store, signer: Signer, reachable: Callable[[], bool]
) -> FastAPI:
    """The doors and pages of all rooms; `reachable` says whether the broker is connected."""
    app = FastAPI(
        title="Cosmolocal",
        version=version("cosmolocal"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.store = store
    app.state.drafts = Drafts(store)
    app.state.public_url = settings.public_url
    app.state.operator_token = secret(settings.token_file)
    app.add_middleware(bodies.Bounded)
    app.add_middleware(Gate, token=app.state.operator_token)
    errors.install(app, WORDING)
    _include_doors(app, settings, signer)
    _include_pages(app, settings, signer)
    _include_health(app, store, reachable)
    site.furnish(app, PERSONAL)
    return app


def _include_doors(app: FastAPI, settings: Settings, signer: Signer) -> None:
    mqtt = labs_api.Mqtt(
        host=settings.mqtt_public_host or settings.mqtt_host, port=settings.mqtt_port
    )

    telling = asyncio.Lock()  # two at once could write the older list over the newer one

    async def tell_broker() -> None:
        async with telling:
            await write_passwords(settings, app.state.store)

    reach = labs_api.Reach(mqtt, settings.public_url, signer.public, signer.lists, tell_broker)
    app.include_router(catalogue_api.routes)
    app.include_router(catalogue_api.router(makes.made))
    app.include_router(fork_api.routes)
    app.include_router(proposals_api.routes)
    app.include_router(lifecycle_api.router(_labs_known))
    anyone = settings.drafts == "anyone"
    app.include_router(drafts_api.router(app.state.drafts, _labs_known, anyone))
    app.include_router(slicers.router(app.state.drafts))
    app.include_router(feeds.routes)
    app.include_router(labs_api.people_router(reach))
    app.include_router(labs_api.agent_router(reach, records.may_read))
    app.include_router(grants_api.routes)
    app.include_router(planning_api.routes)
    app.include_router(orders_api.router(planning.quoted, signer.seal))
    app.include_router(dispatch_api.routes)
    app.include_router(dispatch_api.keys_router(signer))
    app.include_router(makes_api.routes)
    app.include_router(delivery.routes)
    app.include_router(recall_api.routes)


def _include_pages(app: FastAPI, settings: Settings, signer: Signer) -> None:
    slots = Slots()
    fork_pages.fill(slots)
    proposals_pages.fill(slots)
    labs_pages.fill(slots)
    grants_pages.fill(slots)
    planning_pages.fill(slots)
    dispatch_pages.fill(slots)
    makes_pages.fill(slots)
    delivery.fill(slots)
    recall_pages.fill(slots)
    app.include_router(search_doors.router(_reach, makes.made, slots))
    app.include_router(catalogue_pages.router(slots))
    app.include_router(fork_pages.routes)
    app.include_router(proposals_pages.routes)
    app.state.desk = publish_pages.Desk(app.state.drafts, _labs_known, settings.drafts == "anyone")
    app.include_router(publish_pages.routes)
    app.include_router(labs_pages.routes)
    app.include_router(grants_pages.routes)
    app.include_router(planning_pages.router(signer.seal))
    app.include_router(orders_pages.router(slots))
    app.include_router(makes_pages.routes)
    app.include_router(recall_pages.routes)


async def _reach(unit: Unit, place: Place, within_km: float) -> Sequence[Able]:
    return await planning.able(unit, place.lat, place.lon, within_km)


def _include_health(app: FastAPI, store: Store, reachable: Callable[[], bool]) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        """Database and broker answer; 503 with the reasons otherwise."""
        reasons = [] if reachable() else ["the broker is not connected"]
        try:
            await store.ping()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            reasons.append(f"the database does not answer: {type(error).__name__}")
        body: dict[str, JsonValue] = {"ready": not reasons, "reasons": [*reasons]}
        return JSONResponse(body, 503 if reasons else 200)


async def _labs_known(unit: Unit) -> dict[str, str]:
    return {standing.lab.id: standing.lab.name for standing in await labs.labs(unit)}


# ── backward flow


def wire(store: Store) -> None:
    """What a room further up has to do when something happened further down."""
    store.on("attempt.finished", _record_makes)
    store.on("job.wanted", lambda unit, told: recalled.stop_again(unit, told.subject))
    store.on("make.inspected", _count_make)
    store.on("order.cancelled", lambda unit, told: grants.free(unit, told.subject))
    store.on("recall.opened", _count_recalled)
    store.on("recall.lifted", _count_recalled)
    store.on("job.cancelled", lambda unit, told: dispatch.stop_cancelled(unit, told.subject))


async def _record_makes(unit: Unit, told: Event) -> None:
    row = await records.attempt(unit, told.subject)
    for job_id in await records.jobs_of_attempt(unit, row.id):
        if (await orders.job(unit, job_id)).attempt != row.id:
            continue
        done = makes.Finished(
            job_id=job_id,
            attempt=row.id,
            agent=row.agent,
            machine=row.machine,
            program_sha256=row.program or "",
            machine_s=row.machine_s,
            operator=row.person,
            operator_minutes=row.minutes,
            simulated=row.simulated,
            attested=row.attested,
            file=row.file,
            began_at=row.started_at,
            ended_at=await records.finished_at(unit, row.id),
            lot=lot if isinstance(lot := row.evidence.get("lot"), str) else None,
        )
        await makes.record(unit, done)


async def _count_make(unit: Unit, told: Event) -> None:
    make = await makes.find(unit, told.subject)
    await search_index.recount(unit, [make.release], makes.made)


async def _count_recalled(unit: Unit, told: Event) -> None:
    released = await recalled.releases(unit, told.subject)
    await search_index.recount(unit, released, makes.made)


async def index_designs(store: Store) -> None:
    """What is published is found, also after a version that looks things up in another way."""
    await search_index.ensure(store, makes.made)


# ── secrets


async def write_passwords(settings: Settings, store: Store) -> None:
    """Tell the broker, embedded or not, who its users are."""
    async with store.view() as unit:
        hashes = await labs.secrets_of_agents(unit)
    own = enrolment.secret_hash(secret(settings.broker_secret_file))
    access.write_passwords(settings.passwords_file, {**hashes, access.ORCHESTRATOR: own})


def secret(path: Path) -> str:
    """The secret in this file, drawn and written for its owner alone if there is none in it."""
    kept = path.read_text().strip() if path.exists() else ""
    if kept:
        return kept
    write_whole(path, enrolment.new_secret() + "\n")
    return path.read_text().strip()
