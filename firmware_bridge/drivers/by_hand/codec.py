"""What people said of one hand-out: lines of JSON, written, read and judged without any I/O.

A record that is not exactly what was written is never mended and never guessed at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from firmware_bridge.driver import Ended, Word
from firmware_bridge.drivers.by_hand import quirks
from firmware_bridge.errors import ProtocolError, Refused

NEXT: Final[Mapping[Word | None, tuple[Word, ...]]] = {
    None: ("started", "not started"),
    "started": ("finished", "failed", "stopped"),
}
"""Which words may follow the last one; after any other there is nothing left to say."""
# A name or a note in one line, without anything that a terminal would obey.
_Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class HandedOut(_Row):
    """The first line: which file, and when."""

    handed_out: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    lines: Annotated[int, Field(ge=0)]
    at: AwareDatetime


class Said(_Row):
    """Every further line: one word of one person."""

    word: Word
    by: Annotated[_Line, Field(min_length=1, max_length=80)]
    at: AwareDatetime
    note: Annotated[_Line, Field(max_length=500)] = ""


@dataclass(frozen=True)
class Record:
    handed: HandedOut
    said: tuple[Said, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """What may be said next; nothing once it is over."""
        return NEXT.get(self.said[-1].word if self.said else None, ())

    @property
    def over(self) -> bool:
        return not self.words

    @property
    def ran_s(self) -> float | None:
        """Seconds from the word *started* to the last one, by the agent's clock."""
        began = next((said.at for said in self.said if said.word == "started"), None)
        return None if began is None else max(0.0, (self.said[-1].at - began).total_seconds())

    def with_word(self, word: Word, by: str, note: str, at: datetime) -> "Record":
        """The record with one word more; `Refused` when it is out of order or without a name."""
        if word not in self.words:
            last = self.said[-1].word if self.said else "handed out"
            may = " or ".join(self.words) or "nothing more"
            raise Refused(f'"{word}" cannot follow "{last}": now it is {may}')
        try:
            said = Said(word=word, by=by, at=at, note=note)
        except ValidationError as error:
            first = error.errors()[0]
            raise Refused(f"{first['loc'][0]}: {_in_words(first['type'])}") from None
        return replace(self, said=(*self.said, said))

    def written(self) -> bytes:
        rows = (self.handed, *self.said)
        return "".join(f"{row.model_dump_json()}\n" for row in rows).encode()

    def ended(self, asked: str) -> Ended:
        """How it ended by the last word; `asked` is why somebody wanted it stopped."""
        last = self.said[-1]
        note, by = last.note, last.by
        match last.word:
            case "finished":
                return Ended("finished", "attested by a person", self.handed.lines, note, by)
            case "failed":
                return Ended("failed", "attested by a person", 0, note, by)
            case "stopped":
                return Ended("interrupted", "stopped", 0, note or asked, by)
            case _:
                return Ended("not started", "not started", 0, note or asked, by)


def read(data: bytes, name: str) -> Record:
    """The record in these bytes; raises `ProtocolError` when it is not one of ours for `name`."""
    first, *rest = data[: quirks.RECORD_MAX_BYTES].split(b"\n")
    try:
        record = Record(HandedOut.model_validate_json(first))
        for row in rest[:-1]:
            said = Said.model_validate_json(row)
            record = record.with_word(said.word, said.by, said.note, said.at)
    except (ValidationError, Refused) as error:
        raise _altered(name, data) from error
    if record.handed.handed_out != name or record.written() != data:
        raise _altered(name, data)
    return record


def _altered(name: str, data: bytes) -> ProtocolError:
    text = data[:2000].decode("utf-8", "replace")
    return ProtocolError(f"the record of {name} is not what was written", text)


def _in_words(kind: str) -> str:
    return {
        "string_too_short": "must be said",
        "string_too_long": "is too long",
        "string_pattern_mismatch": "must be one line of plain text",
    }.get(kind, "cannot be kept")
