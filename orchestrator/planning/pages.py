"""Pages of quotes: the form on a design's page, the quote on a map, and agreeing to it in writing.

They work without scripts; an order is placed through the same door as the API's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field, StringConstraints

from designs.design import Part, Release
from orchestrator.catalogue import api as catalogue_api
from orchestrator.catalogue import service as catalogue
from orchestrator.grants import service as grants
from orchestrator.labs import service as labs
from orchestrator.labs.service import LabStanding
from orchestrator.orders import model as orders_model
from orchestrator.orders import service as orders
from orchestrator.orders.model import JobState, Maker, Quoted
from orchestrator.planning import api, model, service
from orchestrator.planning.model import Quote, QuotedPart, Wish
from orchestrator.policy.model import IN_FORCE
from orchestrator.recalls import service as recalls
from orchestrator.store import Store, Unit
from orchestrator.web import keys
from orchestrator.web.pages import Slots, check_form, form_token, fragment, page, plain, see_other

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class Asked(BaseModel):
    """The form on a design's page. `choose`: `part agent` for each part whose lab is chosen."""

    form_token: str = Field(max_length=100)
    design: str = Field(min_length=64, max_length=64)
    part: str = Field(default="", max_length=64)
    quantity: int = Field(default=1, ge=1, le=100)
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    choose: list[str] = Field(default_factory=list, max_length=200)

    def wish(self) -> Wish:
        chosen = dict(each.split(" ", 1) for each in self.choose if " " in each)
        return Wish(
            design=self.design, part=self.part or None, quantity=self.quantity,
            lat=self.lat, lon=self.lon, choose=chosen,
        )  # fmt: skip


class Named(BaseModel):
    """Who wants to order."""

    form_token: str = Field(max_length=100)
    name: _Line
    contact: str = Field(default="", max_length=200)


class Agreed(Named):
    """The same, having read the words with this hash."""

    agreed_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Words:
    """What a maker is about to agree to."""

    maker: Maker
    text: str
    sha256: str


def fill(slots: Slots) -> None:
    """Let a design's page ask who can make it, and an order's page say what is planned."""
    slots.fill("design.order", _form)
    slots.fill("order.job", _planned)


async def _planned(_request: Request, unit: Unit, job_id: str) -> str:
    """Where and when a job is to be made, or why nowhere yet; nothing once a lab has it."""
    job = await orders.job(unit, job_id)
    plan = (await service.assignments(unit, [job_id])).get(job_id)
    if plan is None or job.state not in {JobState.WANTED, JobState.PLANNED}:
        return ""
    names = {
        each.id: f"{each.machine.title} at {each.lab.name}" for each in await labs.machines(unit)
    }
    where = names.get(f"{plan.agent}/{plan.machine}", "") if job.state == JobState.PLANNED else ""
    why = model.plainly(plan.why, names, IN_FORCE.currency)
    return fragment("planning/job.html", where=where, ready_at=plan.end_at, why=why)


async def _form(request: Request, unit: Unit, release_sha256: str) -> str:
    release = await catalogue.release(unit, release_sha256)
    standings = await labs.labs(unit)
    here = _middle(standings)
    asked = request.query_params
    return fragment(
        "planning/ask.html",
        release=release,
        design=release_sha256,
        refusal=(await grants.permits(unit, release)).refusal,
        recalled=await recalls.against(unit, release_sha256, [each.name for each in release.parts]),
        lat=asked.get("lat", f"{here[0]:.4f}" if here else ""),
        lon=asked.get("lon", f"{here[1]:.4f}" if here else ""),
        part=asked.get("part", ""),
        labs=[standing.lab for standing in standings],
        points=[_point(standing) for standing in standings],
        form_token=form_token(request),
    )


def _middle(standings: Sequence[LabStanding]) -> tuple[float, float] | None:
    """Between the labs: where a map begins before anybody has said where they are."""
    places = [(standing.lab.lat, standing.lab.lon) for standing in standings]
    if not places:
        return None
    return sum(lat for lat, _ in places) / len(places), sum(lon for _, lon in places) / len(places)


def _point(standing: LabStanding, chosen: bool = False) -> dict[str, object]:
    lab = standing.lab
    return {"name": lab.name, "lat": lab.lat, "lon": lab.lon, "chosen": chosen}


def router(seal: orders.Seal) -> APIRouter:
    """The pages of quotes; `seal` signs what was agreed."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/quotes")
    async def ask(asked: Annotated[Asked, Form()], request: Request) -> RedirectResponse:  # pyright: ignore[reportUnusedFunction]
        check_form(request, asked.form_token)
        async with _store(request).unit() as unit:
            await catalogue_api.seen(unit, request, asked.design)
            given = await service.quote(unit, asked.wish())
        return see_other(f"/quotes/{given.id}")

    @routes.get("/quotes/{quote_id}")
    async def quote(quote_id: str, request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        async with _store(request).view() as unit:
            return await _page(request, unit, await api.seen(unit, request, quote_id))

    @routes.post("/quotes/{quote_id}/words")
    async def words(  # pyright: ignore[reportUnusedFunction]
        quote_id: str, named: Annotated[Named, Form()], request: Request
    ) -> HTMLResponse:
        """The quote again, with the words to agree to."""
        check_form(request, named.form_token)
        async with _store(request).view() as unit:
            given = await api.seen(unit, request, quote_id)
            text = orders_model.confirmation_text(await _quoted(unit, quote_id), named.name)
            maker = Maker(name=named.name, contact=named.contact)
            agreed = Words(maker, text, orders_model.digest(text))
            return await _page(request, unit, given, agreed)

    @routes.post("/quotes/{quote_id}/order")
    async def order(  # pyright: ignore[reportUnusedFunction]
        quote_id: str, agreed: Annotated[Agreed, Form()], request: Request
    ) -> RedirectResponse:
        check_form(request, agreed.form_token)
        maker = Maker(name=agreed.name, contact=agreed.contact)
        async with _store(request).unit() as unit:
            quoted = await _quoted(unit, quote_id)
            confirmation = orders.Confirmation(maker, agreed.agreed_sha256, proof=agreed.form_token)
            placed = await orders.place(unit, quoted, confirmation, seal)
        answer = see_other(f"/orders/{placed.id}")
        if orders.placed_by(placed, confirmation, seal):
            for path in (f"/orders/{placed.id}", f"/quotes/{quote_id}"):
                keys.keep_key(request, answer, placed.id, placed.seal, path)
        return answer

    return routes


async def _quoted(unit: Unit, quote_id: str) -> Quoted:
    quoted = await service.quoted(unit, quote_id)
    if quoted is None:
        raise orders.OrderRefused("not every part of this has a lab that can make it now")
    return quoted


async def _page(
    request: Request, unit: Unit, quote: Quote, words: Words | None = None
) -> HTMLResponse:
    release = await catalogue.release(unit, quote.release)
    chosen = {item.options[0].lab_id for item in quote.items if item.options}
    return page(
        request,
        "planning/quote.html",
        quote=quote,
        expired=quote.valid_until < unit.now,
        order=await orders.of_quote(unit, quote.id),
        part=alone(quote, release),
        choices=choices(quote),
        helps={item.part: what_helps(item, release.part(item.part)) for item in quote.items},
        points=[_point(each, each.lab.id in chosen) for each in await labs.labs(unit)],
        words=words,
        permission=orders_model.permission,
    )


def alone(quote: Quote, release: Release) -> str:
    """The name of the one part that was asked for, or nothing for the whole product."""
    asked = [(item.part, item.pieces) for item in quote.items]
    whole = [(part.name, part.quantity * quote.quantity) for part in release.parts]
    return "" if asked == whole else quote.items[0].part


def choices(quote: Quote) -> Mapping[str, str]:
    """By part, the lab that makes it as things stand: `part agent`, as a form brings it back."""
    return {
        item.part: f"{item.part} {item.options[0].agent}" for item in quote.items if item.options
    }


def what_helps(item: QuotedPart, part: Part | None) -> str:
    """For a part that nobody can make: the machine that would change that."""
    sheet = f" of {item.thickness_mm:g} mm" if item.thickness_mm else ""
    size = " × ".join(f"{side:.0f}" for side in part.facts.size_mm) if part else ""
    room = f", with room for {size} mm" if size else ""
    return f"{plain(item.process)} in {plain(item.material)}{sheet}{room}"


def _store(request: Request) -> Store:
    return request.app.state.store
