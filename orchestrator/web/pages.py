"""Renders pages from the rooms' templates, with one look and one check for forms.

It never loads anything from elsewhere: what a page needs is served by this program.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from designs.processes import MATERIALS, PROCESSES
from orchestrator.store import Unit

ROOMS: Final = Path(__file__).parent.parent
STATIC: Final = Path(__file__).parent / "static"
COOKIE: Final = "cosmolocal_form"
_TITLES: Final = {each.id: each.title for each in (*PROCESSES, *MATERIALS)}

Fragment = Callable[[Request, Unit, str], Awaitable[str]]
"""Renders what one room has to show about a subject that another room's page is about."""


class Slots:
    """Places on pages that rooms further up fill: a page names a slot and its subject."""

    def __init__(self) -> None:
        self._fragments: dict[str, list[Fragment]] = {}

    def fill(self, slot: str, fragment: Fragment) -> None:
        self._fragments.setdefault(slot, []).append(fragment)

    async def render(self, slot: str, request: Request, unit: Unit, subject: str) -> Markup:
        fragments = self._fragments.get(slot, ())
        parts = [await fragment(request, unit, subject) for fragment in fragments]
        return Markup("").join(Markup(part) for part in parts)  # noqa: S704 - rendered by us


def _environment() -> Environment:
    folders = [ROOMS / "web" / "templates", *sorted(ROOMS.glob("*/templates"))]
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(money=money, km=km, clock=clock, when=when, plain=plain, short=short)
    made.globals.update({"has_script": has_script, "asset": asset})  # pyright: ignore[reportArgumentType, reportCallIssue]
    return made


def has_script(name: str) -> bool:
    """Whether that script was fetched at set-up; pages work without it and say so."""
    return (STATIC / "vendor" / name).exists()


@cache
def asset(path: str) -> str:
    """`/static/…` with a mark of its content, so that a browser may keep it for ever."""
    content = (STATIC / path.removeprefix("/static/")).read_bytes()
    return f"{path}?v={hashlib.sha256(content).hexdigest()[:12]}"


def money(minor: int, currency: str = "EUR") -> str:
    sign = {"EUR": "€", "GBP": "£", "USD": "$"}.get(currency, currency + " ")
    return f"{sign}{minor // 100}.{minor % 100:02d}"


def km(metres: float) -> str:
    return f"{metres / 1000:.1f} km"


def clock(seconds: float | None) -> str:
    """`3725` → `1 h 02 min`; under a minute in seconds."""
    if seconds is None:
        return "not recorded"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def when(moment: datetime | None) -> Markup:
    """Day and time where the server stands, with the zone's name."""
    if moment is None:
        return Markup("not known")
    here = moment.astimezone()
    words = f"{here.day} {here:%b %Y, %H:%M %Z}"
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), words)


def plain(slug: str) -> str:
    """The title of a process or a material; of other words, the words: `handed over`."""
    return _TITLES.get(slug) or slug.replace("_", " ")


def short(sha256: str) -> str:
    return sha256[:12]


_PAGES: Final = _environment()


def fragment(template: str, **context: Any) -> str:  # noqa: ANN401
    """A piece of a page."""
    return _PAGES.get_template(template).render(**context)


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:  # noqa: ANN401
    """A whole page; its forms bring back `form_token(request)`."""
    token = form_token(request)
    html = fragment(template, path=request.url.path, form_token=token, **context)
    answer = HTMLResponse(html, status, headers={"Cache-Control": "no-cache"})
    if request.cookies.get(COOKIE) != token:
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=secure)
    return answer


def form_token(request: Request) -> str:
    """The same for every form of this visitor, and known to no other site."""
    kept = request.cookies.get(COOKIE) or getattr(request.state, "form_token", None)
    request.state.form_token = kept or secrets.token_urlsafe(24)
    return request.state.form_token


def check_form(request: Request, token: str) -> None:
    """Refuse a form that did not come from a page of ours."""
    kept = request.cookies.get(COOKIE, "")
    if not kept or not hmac.compare_digest(kept.encode(), token.encode()):
        raise HTTPException(403, "this form is not from a page of ours: load the page again")


def see_other(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)
