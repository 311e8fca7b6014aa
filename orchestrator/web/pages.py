"""Renders pages from the rooms' templates, with one look, one policy for scripts, one form check.

It never loads anything from elsewhere: what a page needs is served by this program.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from orchestrator.store import Unit

ROOMS: Final = Path(__file__).parent.parent
VENDOR: Final = Path(__file__).parent / "static" / "vendor"
COOKIE: Final = "cosmolocal_form"
POLICY: Final = (
    "default-src 'self'; script-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' blob: data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

Fragment = Callable[[Unit, str], Awaitable[str]]
"""Renders what one room has to show about a subject that another room's page is about."""


class Slots:
    """Places on pages that rooms further up fill: a page names a slot and its subject."""

    def __init__(self) -> None:
        self._fragments: dict[str, list[Fragment]] = {}

    def fill(self, slot: str, fragment: Fragment) -> None:
        self._fragments.setdefault(slot, []).append(fragment)

    async def render(self, slot: str, unit: Unit, subject: str) -> Markup:
        parts = [await fragment(unit, subject) for fragment in self._fragments.get(slot, ())]
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
    made.globals["has_script"] = has_script  # pyright: ignore[reportArgumentType]
    return made


def has_script(name: str) -> bool:
    """Whether that script was fetched at set-up; pages work without it and say so."""
    return (VENDOR / name).exists()


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


def when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%d %b %Y, %H:%M") if moment else "not known"


def plain(slug: str) -> str:
    """`laser_cutting` → `laser cutting`."""
    return slug.replace("_", " ").replace("3d printing fdm", "3D printing")


def short(sha256: str) -> str:
    return sha256[:12]


_PAGES: Final = _environment()


def fragment(template: str, **context: Any) -> str:  # noqa: ANN401
    """A piece of a page."""
    return _PAGES.get_template(template).render(**context)


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:  # noqa: ANN401
    """A whole page, with the token that its forms must bring back."""
    token = request.cookies.get(COOKIE) or secrets.token_urlsafe(24)
    html = fragment(template, path=request.url.path, form_token=token, **context)
    answer = HTMLResponse(html, status, headers={"Content-Security-Policy": POLICY})
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
    return answer


def check_form(request: Request, token: str) -> None:
    """Refuse a form that did not come from a page of ours."""
    kept = request.cookies.get(COOKIE, "")
    if not kept or not hmac.compare_digest(kept.encode(), token.encode()):
        raise HTTPException(403, "this form is not from a page of ours: load the page again")


def see_other(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)
