"""Pages of makes: the passport of a made part, and what other pages show of makes."""

from urllib.parse import urljoin

import segno
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from designs import licences
from orchestrator.catalogue import ancestry, lineage
from orchestrator.catalogue import service as catalogue
from orchestrator.labs import service as labs
from orchestrator.makes import service
from orchestrator.makes.api import make_view
from orchestrator.makes.tables import MakeRow
from orchestrator.store import Store, Unit
from orchestrator.web.pages import Slots, fragment, page

routes = APIRouter(include_in_schema=False)


@routes.get("/p/{make_id}")
async def passport(make_id: str, request: Request) -> HTMLResponse:
    async with _store(request).view() as unit:
        make = await service.find(unit, make_id)
        release = await catalogue.release(unit, make.release)
        verdict = licences.judge(release.licence, licences.Act.MAKE_PAID)
        part = release.part(make.part)
        lab, machine = await _maker(unit, make)
        line = ancestry.credits(release, await lineage.chain(unit, release))
        return page(
            request,
            "makes/passport.html",
            make=make_view(make),
            machine_s=_machine_s(make),
            release=release,
            part=part.title if part else make.part,
            lab=lab,
            machine=machine,
            notices=verdict.notices,
            credits=line,
            address=urljoin(str(request.base_url), f"p/{make_id}"),
            qr=qr(urljoin(str(request.base_url), f"p/{make_id}")),
        )


def _machine_s(make: MakeRow) -> float | None:
    """How long the machine worked; of a simulated one only its own time says anything."""
    told = (make.inspection or {}).get("machine_s")
    simulated_s = float(told) if isinstance(told, int | float) else None
    return simulated_s if make.simulated else make.machine_s


def qr(address: str) -> str:
    """An inline SVG that a phone reads as the address."""
    return segno.make(address, error="m").svg_inline(omitsize=True, title=f"Address: {address}")


def fill(slots: Slots) -> None:
    """Show makes where other rooms' pages have a place for them."""
    slots.fill("order.job", _of_job)
    slots.fill("design.makes", _of_release)


async def _of_job(_request: Request, unit: Unit, job_id: str) -> str:
    makes: list[MakeRow] = list(await service.of_job(unit, job_id))
    return fragment("makes/job.html", makes=[make_view(make) for make in makes])


async def _of_release(_request: Request, unit: Unit, release: str) -> str:
    makes = [make_view(make) for make in await service.of_release(unit, release)]
    return fragment("makes/release.html", makes=makes)


async def _maker(unit: Unit, make: MakeRow) -> tuple[str, str]:
    """The lab's name and the machine's, as they are called now."""
    for known in await labs.machines(unit):
        if known.id == f"{make.agent}/{make.machine}":
            return known.lab.name, known.machine.title
    return make.agent, make.machine


def _store(request: Request) -> Store:
    return request.app.state.store
