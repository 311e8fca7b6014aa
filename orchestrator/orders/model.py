"""Pure decisions about orders: which jobs an order asks for, how they may move, what it adds up to.

It never reads a store or a clock; prices are integer minor units of one currency per order.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from designs.licences import Grant

MOST_TRIES: Final = 4


class JobState(StrEnum):
    WANTED = "wanted"
    PLANNED = "planned"
    OFFERED = "offered"
    MADE = "made"
    RECEIVED = "received"
    ABANDONED = "abandoned"
    CANCELLED = "cancelled"


_J = JobState
JOB_MOVES: Final = frozenset(
    {
        (_J.WANTED, _J.PLANNED),
        (_J.PLANNED, _J.WANTED),
        (_J.PLANNED, _J.OFFERED),
        (_J.OFFERED, _J.WANTED),
        (_J.OFFERED, _J.ABANDONED),
        (_J.OFFERED, _J.MADE),
        (_J.MADE, _J.RECEIVED),
        (_J.MADE, _J.WANTED),
        (_J.MADE, _J.ABANDONED),
        (_J.ABANDONED, _J.WANTED),
        (_J.WANTED, _J.CANCELLED),
        (_J.PLANNED, _J.CANCELLED),
        (_J.OFFERED, _J.CANCELLED),
        (_J.ABANDONED, _J.CANCELLED),
    }
)
JOB_ENDS: Final = frozenset({_J.RECEIVED, _J.CANCELLED})


class OrderState(StrEnum):
    """Draft and quoted are the life of a quote; an order begins when it is placed."""

    PLACED = "placed"
    MAKING = "making"
    READY = "ready"
    HANDED_OVER = "handed_over"
    CLOSED = "closed"
    DISPUTED = "disputed"
    CANCELLED = "cancelled"


_O = OrderState
ORDER_MOVES: Final = frozenset(
    {
        (_O.PLACED, _O.MAKING),
        (_O.PLACED, _O.CANCELLED),
        (_O.MAKING, _O.READY),
        (_O.MAKING, _O.CANCELLED),
        (_O.READY, _O.MAKING),
        (_O.READY, _O.HANDED_OVER),
        (_O.HANDED_OVER, _O.CLOSED),
        (_O.HANDED_OVER, _O.DISPUTED),
        (_O.DISPUTED, _O.CLOSED),
    }
)


class IllegalMove(Exception):
    """A job or an order cannot become that from where it stands."""


def move_job(state: JobState, to: JobState) -> JobState:
    if (state, to) not in JOB_MOVES:
        raise IllegalMove(f"a job that is {state} cannot become {to}")
    return to


def move_order(state: OrderState, to: OrderState) -> OrderState:
    if (state, to) not in ORDER_MOVES:
        raise IllegalMove(f"an order that is {state} cannot become {to}")
    return to


def fold(state: OrderState, jobs: Iterable[JobState]) -> OrderState:
    """What a placed order has come to, from its jobs alone; people's moves are left as they are."""
    states = list(jobs)
    if state not in {_O.PLACED, _O.MAKING, _O.READY}:
        return state
    if states and all(job in JOB_ENDS for job in states):
        return _O.READY if _J.RECEIVED in states else _O.CANCELLED
    if state is _O.PLACED and all(job in {_J.WANTED, _J.PLANNED} for job in states):
        return _O.PLACED
    return _O.MAKING


def next_fence(last: int, epoch: int) -> int:
    """Higher than the last, and than any given in a life of the store that it has forgotten.

    An epoch's number is the clock's when it began; no job is offered more than once a second.
    """
    return max(last + 1, epoch)


def after_failure(tries: int) -> JobState:
    """A job whose attempt ended badly is wanted again until its tries are used up."""
    return _J.WANTED if tries < MOST_TRIES else _J.ABANDONED


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PriceLine(_Value):
    what: str
    minor: int


class Item(_Value):
    """One part of a quote: what is made, by which lab it was priced, and on what estimate."""

    part: str
    quantity: int = Field(ge=1, le=1000)
    process: str
    material: str
    thickness_mm: float | None = None
    quality: str = "normal"
    estimate_s: int = Field(ge=0)
    """The bound that the price stands on, per piece."""
    lab: str
    agent: str
    machine: str
    by_hand: bool = False
    """No software drives that machine: a person makes it and attests what became of it."""
    lines: tuple[PriceLine, ...]
    """For all pieces of this part together."""
    grants: tuple[Grant, ...] = ()
    """By which it may be made there for payment; none where the licence lets everybody."""

    @property
    def minor(self) -> int:
        return sum(line.minor for line in self.lines)


class Quoted(_Value):
    """A quote as an order keeps it; made by planning, bound until `valid_until`."""

    id: str
    release: str
    title: str
    version: str
    quantity: int
    lat: float
    lon: float
    items: tuple[Item, ...] = Field(min_length=1)
    currency: str
    policy_version: str
    ready_at: AwareDatetime | None
    valid_until: AwareDatetime
    first_article: bool = False
    """Of several pieces of a part one is made and accepted before the rest is begun."""

    @property
    def total_minor(self) -> int:
        return sum(item.minor for item in self.items)


class Maker(_Value):
    """Who orders. Kept in the order alone, never in an event."""

    name: str = Field(min_length=1, max_length=120)
    contact: str = Field(default="", max_length=200)


def money(minor: int, currency: str) -> str:
    """`1234, EUR` → `12.34 EUR`."""
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02d} {currency}"


def owed(
    grants: Sequence[Grant], pieces: int, lab_minor: int, currency: str
) -> tuple[PriceLine, ...]:
    """What licensors get on top of the lab's own lines, which come to `lab_minor`; rounded up.

    A fee in another currency is in no price: `permission` says so.
    """
    lines: list[PriceLine] = []
    for each in grants:
        to = f"to {each.by}, by grant {each.number}"
        if each.fee_cents and each.currency == currency:
            said = f"{to}: {money(each.fee_cents, currency)} a piece"
            lines.append(PriceLine(what=said, minor=each.fee_cents * pieces))
        if each.share_pct:
            minor = ceil(Fraction(str(each.share_pct)) * lab_minor / 100)
            said = f"{to}: {each.share_pct:g} % of the lab's price"
            lines.append(PriceLine(what=said, minor=minor))
    return tuple(line for line in lines if line.minor)


def permission(grant: Grant, currency: str) -> str:
    """By whose leave a thing is made for payment, and what they ask, in words after "is"."""
    asked: list[str] = []
    if grant.fee_cents and grant.currency:
        fee = f"a fee of {money(grant.fee_cents, grant.currency)} a piece"
        elsewhere = ", which is not in this price and for the lab to settle"
        asked.append(fee if grant.currency == currency else fee + elsewhere)
    if grant.share_pct:
        asked.append(f"{grant.share_pct:g} % of the lab's price")
    leave = f"made for payment by permission of {grant.by} (grant {grant.number})"
    return f"{leave}, which asks {' and '.join(reversed(asked))}" if asked else leave


def confirmation_text(quoted: Quoted, maker_name: str) -> str:
    """The words a maker agrees to, the same for a page and a command line."""
    first = (
        " Of each part one piece is made and inspected first; the rest once it conforms."
        if quoted.first_article and any(item.quantity > 1 for item in quoted.items)
        else ""
    )
    made_by = "; ".join(
        f"{item.quantity} × {item.part} by {item.lab} for {money(item.minor, quoted.currency)}"
        + (", on a machine driven by hand, attested by a person" if item.by_hand else "")
        for item in quoted.items
    )
    grants = dict.fromkeys(grant for item in quoted.items for grant in item.grants)
    by_leave = "".join(f" It is {permission(each, quoted.currency)}." for each in grants)
    if any(owed(item.grants, item.quantity, item.minor, quoted.currency) for item in quoted.items):
        by_leave += " What is priced for a licensor the lab passes on."
    return (
        f"{maker_name} orders {quoted.quantity} × {quoted.title} {quoted.version} "
        f"(release {quoted.release[:16]}) for {money(quoted.total_minor, quoted.currency)}: "
        f"{made_by}.{first}{by_leave} Each lab named here contracts for and invoices its own "
        "lines; a part that another lab has to make costs the same and that lab takes over its "
        "contract. "
        "Until a machine has started, a part is cancelled free of charge on request. A part that "
        "does not conform is made again at no cost. "
        f"Quote {quoted.id}, policy {quoted.policy_version}."
    )


def unnamed(confirmation: str, maker_name: str, quote_id: str) -> str:
    """The same words as others may read them: whoever knows the quote's number may open it."""
    words = confirmation.removeprefix(maker_name)
    return f"Somebody{words.replace(f'Quote {quote_id}, policy', 'Policy')}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pieces(quoted: Quoted) -> Sequence[Item]:
    """One entry for each piece to be made: a job is one operation on one piece, for now."""
    return [
        item.model_copy(update={"quantity": 1, "lines": share(item)})
        for item in quoted.items
        for _ in range(item.quantity)
    ]


AFTER_THE_FIRST: Final = "made once the first piece has been inspected and conforms"


def waits_for(asked: Sequence[str], first_article: bool) -> list[int | None]:
    """For each piece, by the name of its part: the place of the piece that is accepted before.

    None: it waits for nothing.
    """
    first: dict[str, int] = {}
    for place, part in enumerate(asked):
        first.setdefault(part, place)
    return [
        first[part] if first_article and first[part] != place else None
        for place, part in enumerate(asked)
    ]


def share(item: Item) -> tuple[PriceLine, ...]:
    """The item's price divided by its pieces, rounded down; an order bills items, not shares."""
    return tuple(PriceLine(what=x.what, minor=x.minor // item.quantity) for x in item.lines)
