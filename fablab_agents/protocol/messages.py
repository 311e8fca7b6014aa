"""The messages of the wire: JSON of at most 64 KiB, parsed once at the door into frozen models.

Reports and offers carry a sequence number and are repeated until the other side acknowledges it;
everything else may be lost at any time without harm.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.tickets import (
    COUNT_MAX,
    BadEnvelope,
    Fence,
    Nonce,
    Sha256,
    Slug,
    Words,
    plain,
    strict_json,
)

MAX_BYTES = 64 * 1024
BOOTS_MAX = 32
_FIRST_LIFE = datetime(2026, 1, 1, tzinfo=UTC)
Seq = Annotated[int, Field(ge=1, le=COUNT_MAX)]
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
Told = Annotated[int, Field(ge=0, le=COUNT_MAX // 2)]
"""A count that the other side takes over: after the greatest there is room to count on."""
Length = Annotated[float, Field(ge=0, le=100_000)]
Travel = Annotated[float, Field(ge=0.001, le=100_000)]
Price = Annotated[int, Field(ge=0, le=100_000_000)]
_T = TypeVar("_T")


class BadMessage(Exception):
    """Bytes from the broker that are no message of this version; drop them, count them, go on."""


def _plain(evidence: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    return {plain(k): plain(v) if isinstance(v, str) else v for k, v in evidence.items()}


Evidence = Annotated[dict[str, str | int | float | bool], AfterValidator(_plain)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Condition(StrEnum):
    """What the driver says of a machine."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    ATTENTION = "attention"
    FAULT = "fault"


class Bed(StrEnum):
    """What people say of a machine's bed; idle never means clear."""

    CLEAR = "clear"
    OCCUPIED = "occupied"
    UNKNOWN = "unknown"


class Machine(_Model):
    """One machine as its shop describes it, and how it stands now."""

    machine: Slug
    title: Words
    model: Words
    """Machine class for estimates, the profile's name: `generic-fdm-220`, `generic-cnc-3018` …"""
    processes: tuple[Slug, ...]
    materials: tuple[Slug, ...]
    envelope_mm: tuple[Travel, Travel, Travel]
    tolerance_mm: Length
    thickness_max_mm: Length | None = None
    tool_mm: Length | None = None
    attended: bool
    """A person starts it at the machine, and stays: mills and lasers always."""
    by_hand: bool = False
    """No software reaches it: a person makes the part there and attests what became of it."""
    rate_minor_per_h: Price
    setup_minor: Price
    currency: Words = "EUR"
    simulated: bool = False
    offered: bool
    condition: Condition
    detail: Words = ""
    bed: Bed
    attempt: Slug | None = None
    firmware: Words = ""


class ProgramFacts(_Model):
    """What the agent prepared for an attempt."""

    sha256: Sha256
    lines: Count
    seconds: Count
    grams: float
    notes: tuple[Words, ...] = ()


class AttemptStatus(_Model):
    attempt: Slug
    fence: Fence
    state: State


class Opening(_Model):
    """That a boot opened a journal, and the journal's last report then."""

    boot: Slug
    began_seq: Count


def goes_on(after: str | None, up_acked: int, began_seq: int, boots: "tuple[Opening, ...]") -> bool:
    """Whether a boot of a journal comes right after the boot `after` and had all its reports.

    `up_acked` of them are known to be stored; `began_seq` is the journal's last report when the
    boot opened it, and `boots` opened it before, the last one first.
    """
    for earlier in boots:
        if earlier.boot == after:
            return began_seq >= up_acked
        began_seq = earlier.began_seq
    return False


# ── up: agent → orchestrator ────────────────────────────────────────────────────────────────


class Hello(_Model):
    """Comparing notes: sent first after every connect."""

    kind: Literal["hello"] = "hello"
    boot: Slug
    version: Words
    epoch: Count
    """Of the orchestrator's store, as this agent last heard; 0 before it heard of any."""
    boots: Annotated[tuple[Opening, ...], Field(max_length=BOOTS_MAX)]
    """The last that had this journal before, and whose memory was taken over; newest first."""
    floor_seq: Count
    """Reports up to this one exist no more."""
    began_seq: Count
    """The journal's last report when this boot opened it."""
    head_seq: Count
    acked_up: Count
    acked_down: Count
    attempts: tuple[AttemptStatus, ...]
    machines: tuple[Machine, ...]


class Machines(_Model):
    """How the machines stand now; a newer one replaces it."""

    kind: Literal["machines"] = "machines"
    boot: Slug
    machines: tuple[Machine, ...]


class Report(_Model):
    """One synced move of one attempt in the agent's journal."""

    kind: Literal["report"] = "report"
    boot: Slug
    seq: Seq
    attempt: Slug
    fence: Fence
    state: State
    at: AwareDatetime
    cause: Words = ""
    """Why it was refused, failed, was interrupted or is unknown, in words for people."""
    person: Words | None = None
    minutes: float | None = None
    program: ProgramFacts | None = None
    machine_s: float | None = None
    evidence: Evidence = Field(default_factory=dict)

    def bare(self) -> "Report":
        """The same move without a word about it."""
        return Report(
            boot=self.boot,
            seq=self.seq,
            attempt=self.attempt,
            fence=self.fence,
            state=self.state,
            at=self.at,
        )


class Claim(_Model):
    """May I start this program now? Answered by a grant or a denial, or by silence."""

    kind: Literal["claim"] = "claim"
    boot: Slug
    attempt: Slug
    fence: Fence
    machine: Slug
    nonce: Nonce
    program: Sha256


class UpAck(_Model):
    """All messages down to and with `seq` are stored here."""

    kind: Literal["ack"] = "ack"
    boot: Slug
    seq: Seq


class Recall(_Model):
    """The ticket of an attempt that the orchestrator does not know; None: nor does the agent."""

    kind: Literal["recall"] = "recall"
    boot: Slug
    attempt: Slug
    ticket: str | None


class Progress(_Model):
    """Telemetry: may be lost."""

    kind: Literal["progress"] = "progress"
    boot: Slug
    attempt: Slug
    machine: Slug
    fraction: Annotated[float, Field(ge=0, le=1)]
    line: Count
    temperatures_c: dict[Words, tuple[float, float]] = Field(default_factory=dict)


class Presence(_Model):
    """Retained, and the broker's last word when the agent is gone; advisory."""

    kind: Literal["presence"] = "presence"
    boot: Slug
    online: bool


# ── down: orchestrator → agent ──────────────────────────────────────────────────────────────


class Welcome(_Model):
    """The answer to hello: what the orchestrator remembers of this agent."""

    kind: Literal["welcome"] = "welcome"
    boot: Slug
    current: bool
    """False: this journal is an older copy, or a newer boot of this agent has spoken."""
    epoch: Seq
    speaks: Slug | None
    """The boot that speaks for this agent, this one or another."""
    acked_up: Told
    down_from: Told
    """Where an agent that takes this over begins to count our messages."""
    down_back: Told | None = None
    """Our last message, to an agent that says it has later ones: it was misled, and goes back."""
    at: AwareDatetime


class Offer(_Model):
    kind: Literal["offer"] = "offer"
    epoch: Seq
    seq: Seq
    ticket: str
    """Compact JWS of a Ticket."""


class Withdraw(_Model):
    kind: Literal["withdraw"] = "withdraw"
    epoch: Seq
    seq: Seq
    attempt: Slug
    fence: Fence
    why: Words


class Stop(_Model):
    """The maker or the network no longer wants this attempt: stop if you can."""

    kind: Literal["stop"] = "stop"
    epoch: Seq
    seq: Seq
    attempt: Slug
    fence: Fence
    why: Words


class Doubt(_Model):
    """This attempt may have been begun here and the agent knows nothing of it: ask a person."""

    kind: Literal["doubt"] = "doubt"
    epoch: Seq
    seq: Seq
    ticket: str


class Ask(_Model):
    """Which ticket was this attempt made from? The orchestrator's store is an older copy."""

    kind: Literal["ask"] = "ask"
    attempt: Slug


class Granted(_Model):
    kind: Literal["grant"] = "grant"
    grant: str
    """Compact JWS of a Grant."""


class Denied(_Model):
    kind: Literal["deny"] = "deny"
    attempt: Slug
    nonce: Nonce
    why: Words


class DownAck(_Model):
    """All reports up to and with `seq` are stored at the orchestrator."""

    kind: Literal["ack"] = "ack"
    seq: Seq


Durable = Offer | Withdraw | Stop | Doubt
Wish = Withdraw | Stop
Up = Hello | Machines | Report | Claim | UpAck | Recall
Down = Welcome | Durable | Granted | Denied | DownAck | Ask

_UP: TypeAdapter[Up] = TypeAdapter(Annotated[Up, Field(discriminator="kind")])
_DOWN: TypeAdapter[Down] = TypeAdapter(Annotated[Down, Field(discriminator="kind")])
_PROGRESS: TypeAdapter[Progress] = TypeAdapter(Progress)
_PRESENCE: TypeAdapter[Presence] = TypeAdapter(Presence)


def _read(adapter: TypeAdapter[_T], raw: bytes) -> _T:
    if len(raw) > MAX_BYTES:
        msg = f"a message of {len(raw)} bytes; the wire carries at most {MAX_BYTES}"
        raise BadMessage(msg)
    try:
        return adapter.validate_python(strict_json(raw))
    except (BadEnvelope, ValidationError) as error:
        raise BadMessage(str(error)) from error


def read_up(raw: bytes) -> Up:
    return _read(_UP, raw)


def numbered(wish: Wish, epoch: int, seq: int) -> Wish:
    """The same, in another place of the line."""
    return wish.model_copy(update={"epoch": epoch, "seq": seq})


def epoch_by(at: datetime) -> int:
    """The number of an epoch that begins now: seconds since 2026, so that none comes twice."""
    return int((at - _FIRST_LIFE).total_seconds())


def next_epoch(last: int, at: datetime) -> int:
    """Higher than the last that the store remembers, and than those that it has forgotten."""
    return max(last, epoch_by(at)) + 1


def read_down(raw: bytes) -> Down:
    return _read(_DOWN, raw)


def read_progress(raw: bytes) -> Progress:
    return _read(_PROGRESS, raw)


def read_presence(raw: bytes) -> Presence:
    return _read(_PRESENCE, raw)
