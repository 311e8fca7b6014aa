"""The doors of a release's life: open a pre-release, deprecate, take it back, name its labs.

They ask for the key it was published with, or for the operator's token; never for a cookie.
"""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.catalogue import lifecycle
from orchestrator.catalogue.api import ReleaseView, base_of, release_view
from orchestrator.catalogue.lifecycle import Caller, LabsKnown, Wish
from orchestrator.store import Store
from orchestrator.web import keys


class LabsWish(BaseModel):
    """Labs by id or by name."""

    model_config = ConfigDict(extra="forbid")
    labs: tuple[str, ...] = Field(min_length=1, max_length=lifecycle.MOST_LABS)


class LabKeys(BaseModel):
    """By lab, the address at which it sees the pre-release, told only here; and their names."""

    labs: dict[str, str]
    names: dict[str, str]


def router(labs_known: LabsKnown) -> APIRouter:
    routes = APIRouter(tags=["catalogue"])

    @routes.post("/api/releases/{sha256}/state")
    async def move(sha256: str, wish: Wish, request: Request) -> ReleaseView:  # pyright: ignore[reportUnusedFunction]
        """`released` or `deprecated`, the latter with a reason and perhaps a successor."""
        async with _store(request).unit() as unit:
            return release_view(await lifecycle.move(unit, sha256, wish, by_header(request)))

    @routes.post("/api/releases/{sha256}/labs")
    async def name_labs(sha256: str, wish: LabsWish, request: Request) -> LabKeys:  # pyright: ignore[reportUnusedFunction]
        """The labs that a pre-release is for, in the place of those before."""
        async with _store(request).unit() as unit:
            known = await labs_known(unit)
            told = await lifecycle.name_labs(unit, sha256, wish.labs, known, by_header(request))
        names = {lab: known.get(lab, lab) for lab in told}
        return LabKeys(labs=addresses(request, sha256, told), names=names)

    return routes


def by_header(request: Request) -> Caller:
    """Who asks for a change: a cookie that the browser sends by itself is not enough."""
    return Caller(keys.is_operator(request), request.headers.get(keys.HEADER, ""))


def addresses(request: Request, sha256: str, lab_keys: dict[str, str]) -> dict[str, str]:
    base = base_of(request)
    return {lab: f"{base}/releases/{sha256}?key={key}" for lab, key in lab_keys.items()}


def _store(request: Request) -> Store:
    return request.app.state.store
