"""How pages say money, time and places."""

from datetime import UTC, datetime

import pytest
from fastapi import Request

from orchestrator.web.pages import Slots, clock, km, money, plain, when


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        (0, "EUR", "€0.00"),
        (7, "EUR", "€0.07"),
        (123456, "GBP", "£1234.56"),
        (50, "CHF", "CHF 0.50"),
    ],
)
def test_money(minor: int, currency: str, said: str) -> None:
    assert money(minor, currency) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "not recorded"), (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3725, "1 h 02 min")],
)
def test_clock(seconds: float | None, said: str) -> None:
    assert clock(seconds) == said


def test_words() -> None:
    assert km(1234) == "1.2 km"
    assert plain("birch_plywood") == "Birch plywood"
    assert plain("handed_over") == "handed over"
    assert when(None) == "not known"
    assert 'datetime="2026-11-22T14:30:00+00:00"' in when(
        datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
    )


async def test_a_slot_shows_what_every_room_has_to_say_and_nothing_where_none_has() -> None:
    slots = Slots()
    request = Request({"type": "http"})

    async def said(_request: Request, _unit: object, subject: str) -> str:
        return f"<p>{subject}</p>"

    slots.fill("x", said)
    slots.fill("x", said)
    assert await slots.render("x", request, None, "a") == "<p>a</p><p>a</p>"  # type: ignore[arg-type]
    assert await slots.render("y", request, None, "a") == ""  # type: ignore[arg-type]
