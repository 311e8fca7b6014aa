"""Pure decisions about labs and their agents: names, sessions, what counts as a change.

It never reads a clock, draws a secret or opens a store.
"""

import re
import unicodedata
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SILENT_AFTER: Final = timedelta(minutes=2)
AWAY_AFTER: Final = timedelta(minutes=10)
CODE_LIFE: Final = timedelta(minutes=15)
_Line = Annotated[str, StringConstraints(min_length=1, max_length=160, strip_whitespace=True)]


class Session(StrEnum):
    """How an agent stands with us: what it may be told is decided elsewhere."""

    ENROLLED = "enrolled"
    ONLINE = "online"
    SILENT = "silent"
    AWAY = "away"
    RETIRED = "retired"


class NewLab(BaseModel):
    """`operator` is who contracts with makers and invoices them; the lab's name if left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: _Line
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    address: str = Field(default="", max_length=300)
    operator: _Line | None = None
    contact: str = Field(default="", max_length=200)
    website: str = Field(default="", max_length=300)


def lab_id(name: str, taken: set[str]) -> str:
    """`Atelier Nord` → `lab-atelier-nord`; a number is added until nobody else has it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return _free(f"lab-{words.removeprefix('lab-') or 'x'}", taken)


def agent_id(lab: str, taken: set[str]) -> str:
    """The lab's own id for its first agent, `…-2` for the next: an id is never used again."""
    return _free(lab, taken)


def _free(wish: str, taken: set[str]) -> str:
    number, name = 2, wish
    while name in taken:
        name, number = f"{wish}-{number}", number + 1
    return name


def after_silence(session: Session, heard_at: datetime | None, now: datetime) -> Session:
    """Online becomes silent after two minutes without a word, silent away after ten."""
    quiet = timedelta.max if heard_at is None else now - heard_at
    if session is Session.ONLINE and quiet > SILENT_AFTER:
        return Session.SILENT
    if session is Session.SILENT and quiet > AWAY_AFTER:
        return Session.AWAY
    return session
