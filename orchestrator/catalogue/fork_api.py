"""The doors of forks: fork a release, and look up and down the line it stands in."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from pydantic import BaseModel

from designs.design import Ancestor, Release
from orchestrator.catalogue import ancestry, forks, lineage, service
from orchestrator.catalogue.ancestry import Credit
from orchestrator.catalogue.api import ReleaseView, base_of, release_view, seen
from orchestrator.catalogue.drafts_api import may_begin
from orchestrator.catalogue.forks import Wish
from orchestrator.catalogue.lineage import Fork
from orchestrator.catalogue.service import Published
from orchestrator.store import Store, Unit

routes = APIRouter(tags=["catalogue"])


class AncestorView(Ancestor):
    """`here`: it is published here, too, and can be looked at."""

    here: bool


class ForkView(Ancestor):
    """The newest release of a design that descends from this one.

    `of_design` and `of_version` are what it was forked from, `depth` 1 for this design itself.
    """

    of_design: str
    of_version: str
    depth: int


class Share(BaseModel):
    """Somebody who made the design what it is, with their share in percent."""

    name: str
    did: str | None
    share: int
    percent: float


class LineageView(BaseModel):
    """The line of one release: `ancestors` nearest first, `forks` level by level."""

    release: str
    design: str
    version: str
    shares: tuple[Share, ...]
    ancestors: tuple[AncestorView, ...]
    forks: tuple[ForkView, ...]
    credits: tuple[Credit, ...]


async def lineage_view(unit: Unit, sha256: str) -> LineageView:
    release = await service.release(unit, sha256)
    chain = await lineage.chain(unit, release)
    below = () if release.private else await lineage.forks(unit, release.design)
    return LineageView(
        release=sha256,
        design=release.design,
        version=release.version,
        shares=shares(release),
        ancestors=tuple(
            AncestorView(**link.ancestor.model_dump(), here=link.release is not None)
            for link in chain
        ),
        forks=tuple(_fork(each) for each in below),
        credits=ancestry.credits(release, chain),
    )


def shares(release: Release) -> tuple[Share, ...]:
    return tuple(
        Share(**each.model_dump(), percent=percent)
        for each, percent in ancestry.percents(ancestry.standing(release))
    )


def _fork(fork: Fork) -> ForkView:
    row = fork.row
    named = ancestry.named(Release.model_validate_json(row.manifest))
    return ForkView(
        **named.model_dump(),
        of_design=fork.of_design,
        of_version=fork.of_version,
        depth=fork.depth,
    )


@routes.post("/api/releases/{sha256}/fork", status_code=201)
async def fork(sha256: str, wish: Wish, request: Request) -> ReleaseView:
    """A design of one's own that starts as this release, and names everybody who is named in it.

    The licence is the nearest one that the release allows, or the one asked for if it is allowed.
    """
    made = await forked(request, sha256, wish)
    async with _store(request).view() as unit:
        return release_view(await service.row(unit, made.release.sha256), made.key)


async def forked(request: Request, sha256: str, wish: Wish) -> Published:
    """The fork, if whoever asks may see the release and publish here."""
    may_begin(request, request.app.state.desk.anyone)
    async with _store(request).view() as unit:
        await seen(unit, request, sha256)
    address = f"{base_of(request)}/releases/{sha256}"
    return await forks.fork(_store(request), sha256, wish, address)


@routes.get("/api/designs/{design}/lineage")
async def line(design: str, request: Request) -> LineageView:
    """Where a design comes from and what was made of it; private work is not shown."""
    async with _store(request).view() as unit:
        return await lineage_view(unit, (await service.newest(unit, design)).sha256)


class Branch(BaseModel):
    """A fork with its own forks below it."""

    fork: ForkView
    branches: list["Branch"] = []


def tree(forks_below: Sequence[ForkView], root: str) -> list[Branch]:
    """The flat list as a tree below the design `root`."""
    branches = {each.design: Branch(fork=each) for each in forks_below}
    top: list[Branch] = []
    for each in forks_below:
        over = branches.get(each.of_design)
        (top if each.of_design == root or over is None else over.branches).append(
            branches[each.design]
        )
    return top


def _store(request: Request) -> Store:
    return request.app.state.store
