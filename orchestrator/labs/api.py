"""The doors for labs and for their agents: JSON in, JSON out.

Agents authenticate with their own secret; what people may do is the application's business.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fablab_agents.protocol.messages import Machine
from orchestrator.labs import service
from orchestrator.labs.model import NewLab
from orchestrator.store import MissingBlob, Store, Unit

_basic = HTTPBasic(realm="cosmolocal agent")
MayRead = Callable[[Unit, str, str], Awaitable[bool]]
"""Whether this agent has a live offer that names this file: dispatch's, handed in."""


class EnrolWish(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: str = Field(max_length=80)
    lab: str | None = Field(default=None, max_length=160)
    version: str = Field(max_length=40)


class Mqtt(BaseModel):
    host: str
    port: int


class Welcome(BaseModel):
    """All an agent needs; the secret is told only here."""

    agent: str
    secret: str
    mqtt: Mqtt
    keys: list[dict[str, JsonValue]]
    url: str


class KeysView(BaseModel):
    """`signed`: a KeyList as compact JWS, once by each of its keys; agents believe only that."""

    keys: list[dict[str, JsonValue]]
    signed: list[str]


class MachineView(Machine):
    lab: str
    agent: str
    reachable: bool


class LabView(BaseModel):
    id: str
    name: str
    lat: float
    lon: float
    address: str
    operator: str
    website: str
    agent: str | None
    session: str | None
    heard_at: datetime | None
    machines: tuple[MachineView, ...]


class NewLabView(BaseModel):
    lab: LabView
    code: str
    code_minutes: int = 15


class Reach:
    """Where agents find broker and server, the public ticket keys, and the broker's list.

    `signed_keys` gives the list of those keys signed by each of them.
    """

    def __init__(
        self,
        mqtt: Mqtt,
        url: str | None,
        keys: Callable[[], list[dict[str, JsonValue]]],
        signed_keys: Callable[[], list[str]],
        tell_broker: Callable[[], Awaitable[None]],
    ) -> None:
        self.mqtt = mqtt
        self.keys = keys
        self.signed_keys = signed_keys
        self.tell_broker = tell_broker
        self._url = url

    def url(self, request: Request) -> str:
        return self._url or str(request.base_url).rstrip("/")


def machine_view(standing: service.MachineStanding) -> MachineView:
    return MachineView(
        **standing.machine.model_dump(),
        lab=standing.lab.id,
        agent=standing.agent,
        reachable=standing.reachable,
    )


def lab_view(standing: service.LabStanding) -> LabView:
    lab, agent = standing.lab, standing.agent
    return LabView(
        id=lab.id,
        name=lab.name,
        lat=lab.lat,
        lon=lab.lon,
        address=lab.address,
        operator=lab.operator,
        website=lab.website,
        agent=agent.id if agent else None,
        session=agent.session if agent else None,
        heard_at=agent.heard_at if agent else None,
        machines=tuple(machine_view(machine) for machine in standing.machines),
    )


async def agent_of(
    request: Request, credentials: Annotated[HTTPBasicCredentials, Depends(_basic)]
) -> str:
    """The agent that asks; 401 unless its secret fits."""
    async with _store(request).view() as unit:
        if await service.secret_fits(unit, credentials.username, credentials.password):
            return credentials.username
    raise HTTPException(
        401,
        "this agent is not known here or its secret is wrong: enrol it again",
        {"WWW-Authenticate": "Basic"},
    )


Agent = Annotated[str, Depends(agent_of)]


def people_router(reach: Reach) -> APIRouter:
    routes = APIRouter(tags=["labs"])

    @routes.get("/api/labs")
    async def all_labs(request: Request) -> list[LabView]:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            return [lab_view(standing) for standing in await service.labs(unit)]

    @routes.post("/api/labs", status_code=201)
    async def create(new: NewLab, request: Request) -> NewLabView:  # pyright: ignore[reportUnusedFunction]
        """A new lab and the one-time code with which its agent enrols."""
        async with _store(request).unit() as unit:
            lab = await service.create_lab(unit, new)
            code = await service.new_code(unit, lab.id)
            return NewLabView(lab=lab_view(service.LabStanding(lab, None, ())), code=code)

    @routes.post("/api/labs/{lab_id}/codes", status_code=201)
    async def another_code(lab_id: str, request: Request) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """A fresh code for a lab: its next agent replaces the present one."""
        async with _store(request).unit() as unit:
            return {"lab": lab_id, "code": await service.new_code(unit, lab_id)}

    @routes.post("/api/agents/{agent_id}/retire", status_code=204)
    async def retire(agent_id: str, request: Request) -> None:  # pyright: ignore[reportUnusedFunction]
        """The agent speaks for its lab no more: nothing it says counts, its connection is cut."""
        async with _store(request).unit() as unit:
            if await service.agent(unit, agent_id) is None:
                raise service.NoSuchAgent(f"no agent {agent_id} speaks for a lab")
            await service.retire(unit, agent_id)
        await reach.tell_broker()

    return routes


def agent_router(reach: Reach, may_read: MayRead) -> APIRouter:
    """The doors that only agents use."""
    routes = APIRouter(tags=["agents"])

    @routes.post("/agent/v1/enrol")
    async def enrol(wish: EnrolWish, request: Request) -> Welcome:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).unit() as unit:
            enrolled = await service.enrol(unit, wish.code, wish.version)
        await reach.tell_broker()
        return Welcome(
            agent=enrolled.agent,
            secret=enrolled.secret,
            mqtt=reach.mqtt,
            keys=reach.keys(),
            url=reach.url(request),
        )

    @routes.get("/agent/v1/keys")
    async def keys(_agent: Agent) -> KeysView:  # pyright: ignore[reportUnusedFunction]
        return KeysView(keys=reach.keys(), signed=reach.signed_keys())

    @routes.get("/files/{sha256}")
    async def file(sha256: str, agent: Agent, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The bytes of a file that a live offer to this agent names."""
        store = _store(request)
        async with store.view() as unit:
            if not await may_read(unit, agent, sha256):
                raise MissingBlob("no live offer to this agent names this file")
        return _bytes(store.blobs.path(sha256), sha256)

    return routes


def _bytes(path: Path, sha256: str) -> FileResponse:
    return FileResponse(path, media_type="application/octet-stream", headers={"ETag": sha256})


def _store(request: Request) -> Store:
    return request.app.state.store
