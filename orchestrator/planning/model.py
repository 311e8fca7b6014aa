"""Pure translation: parts, jobs and machines as a scheduling problem, its answers as a quote.

It never reads a store or a clock; money is integer minor units of the policy's currency.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

import scheduling
from designs.design import DrawingFacts, Part, class_of
from designs.errors import Refused
from designs.estimate import estimate, turned
from designs.licences import Grant
from designs.processes import MATERIALS, PROCESSES
from fablab_agents.protocol.messages import Machine
from orchestrator.catalogue.model import Standing
from orchestrator.catalogue.search.model import Able
from orchestrator.orders.model import Item, PriceLine, Quoted, money, owed
from orchestrator.policy.model import PricePolicy
from scheduling.distance import distance_m

GrantsOf = Mapping[str, tuple[Grant, ...]]
"""By lab, the grants by which it makes something for payment."""
HORIZON: Final = timedelta(days=30)
BEGIN_S: Final = 300
"""Heating, homing, purging, travelling to the part: in a program's time, not in an estimate's."""
_TITLES: Final = {each.id: each.title for each in (*PROCESSES, *MATERIALS)}
_UNUSABLE: Final = frozenset({"offline", "fault"})


@dataclass(frozen=True)
class Place:
    """A lab as far as planning knows it."""

    id: str
    name: str
    lat: float
    lon: float
    away: str = ""
    """Why none of its machines can be asked now, in words."""


@dataclass(frozen=True)
class Bench:
    """A machine with its lab. `id` is `agent/machine`."""

    id: str
    agent: str
    place: Place
    machine: Machine
    reachable: bool


@dataclass(frozen=True)
class Effort:
    """What one piece of a part takes on one machine; seconds and grams, never zero seconds."""

    p50_s: int
    p90_s: int
    grams: float


class PartQuoted(BaseModel):
    """One part of a wish: what is to be made, `pieces` of it."""

    model_config = ConfigDict(frozen=True)
    part: str
    title: str
    pieces: int
    process: str
    material: str
    thickness_mm: float | None
    quality: str


class Option(BaseModel):
    """One lab's offer for all pieces of a part. Transport is an estimate and not in the total."""

    model_config = ConfigDict(frozen=True)
    lab: str
    lab_id: str
    agent: str
    machine: str
    machine_title: str
    attended: bool
    by_hand: bool = False
    simulated: bool
    lat: float
    lon: float
    distance_m: int
    ready_at: AwareDatetime
    lines: tuple[PriceLine, ...]
    total_minor: int
    transport_minor: int
    minutes: float
    grams: float
    estimate_s: int
    """The bound that the price stands on, per piece."""
    why: str
    made_from: str = ""
    """The export for this class of machine; empty where it is made from the part's own file."""
    size_mm: tuple[float, ...] = ()
    """The box of the file that it is made from."""
    grants: tuple[Grant, ...] = ()
    """By which this lab may make it for payment; none where the licence lets everybody."""


class WhyNot(BaseModel):
    model_config = ConfigDict(frozen=True)
    lab: str
    why: str


class QuotedPart(PartQuoted):
    """Options, the best or the chosen one first."""

    options: tuple[Option, ...]
    why_not: tuple[WhyNot, ...]


class Quote(BaseModel):
    """Complete: every part has an option. The total is over the first options."""

    model_config = ConfigDict(frozen=True)
    id: str
    release: str
    design: str
    title: str
    version: str
    quantity: int
    lat: float
    lon: float
    items: tuple[QuotedPart, ...]
    complete: bool
    total_minor: int
    currency: str
    policy_version: str
    ready_at: AwareDatetime | None
    valid_until: AwareDatetime
    standing: Standing = Standing()
    """How the release stood when it was asked for: a deprecated one is quoted, and says why."""
    first_article: bool = False


class Wish(BaseModel):
    """What somebody wants, and where. `choose`: part name → the agent to prefer for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    design: str = Field(min_length=1, max_length=80)
    """A design's name, or a release's hash."""
    version: str | None = Field(default=None, max_length=40)
    part: str | None = Field(default=None, max_length=64)
    """Only this part, instead of the whole product."""
    quantity: int = Field(default=1, ge=1, le=100)
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    quality: str = Field(default="normal", pattern="^(draft|normal)$")
    due_at: AwareDatetime | None = None
    choose: dict[str, str] = Field(default_factory=dict)


# ── to scheduling


def in_quality(part: Part, quality: str) -> Part:
    """The part as it will be made: of a draft a workshop keeps to a recipe only if it is locked."""
    advised = part.recipe is not None and not part.recipe.locked
    return part.model_copy(update={"recipe": None}) if quality == "draft" and advised else part


def effort(part: Part, machine: Machine, quality: str = "normal") -> Effort | None:
    """What one piece takes on this machine; None where it does not do that."""
    if part.process not in machine.processes:
        return None
    part, kind = in_quality(part.on(machine.model), quality), class_of(machine.model)
    try:
        asked = (part.facts, part.process, part.material, kind, part.thickness_mm, part.recipe)
        told = estimate(*asked, quality)
    except Refused:
        return None
    p50_s, p90_s = (max(1, round(60 * x)) for x in (told.minutes_p50, told.minutes_p90))
    return Effort(p50_s, p90_s + BEGIN_S, told.grams_p50)


def usable(bench: Bench, currency: str) -> bool:
    """Whether anything may be planned on it at all."""
    machine = bench.machine
    wanted = machine.offered and machine.condition not in _UNUSABLE
    return bench.reachable and wanted and machine.currency == currency


def udeg(degrees: float) -> int:
    return round(degrees * 1e6)


def um(mm: float) -> int:
    return round(mm * 1000)


def size_um(part: Part) -> tuple[int, int, int]:
    """As it lies on the bed; a drawing stands as high as its sheet."""
    if isinstance(part.facts, DrawingFacts):
        x, y = part.facts.size_mm
        return um(x), um(y), um(part.thickness_mm or 0)
    x, y, z = turned(part.facts, part.recipe).size_mm
    return um(x), um(y), um(z)


def _other_sizes_um(part: Part, benches: Iterable[Bench]) -> dict[str, tuple[int, int, int]]:
    """By bench: of what is made there from a file for its class of machine, if it is other."""
    if not part.alternatives:
        return {}
    sizes_um = {bench.id: size_um(part.on(bench.machine.model)) for bench in benches}
    return {name: size for name, size in sizes_um.items() if size != size_um(part)}


def place_of(place: Place) -> scheduling.Lab:
    return scheduling.Lab(place.id, place.name, udeg(place.lat), udeg(place.lon))


def machine_of(bench: Bench) -> scheduling.Machine:
    said = bench.machine
    x, y, z = said.envelope_mm
    return scheduling.Machine(
        id=bench.id,
        lab=bench.place.id,
        process=said.processes[0] if said.processes else "none",
        materials=frozenset(said.materials),
        envelope_um=(um(x), um(y), um(z)),
        tolerance_um=um(said.tolerance_mm),
        rate_minor_per_h=said.rate_minor_per_h,
        setup_minor=said.setup_minor,
        unattended=not said.attended,
        thickness_max_um=None if said.thickness_max_mm is None else um(said.thickness_max_mm),
    )


def away_m(place: Place, lat: float, lon: float) -> int:
    """Metres as the crow flies."""
    return distance_m((udeg(lat), udeg(lon)), (udeg(place.lat), udeg(place.lon)))


def able(bench: Bench) -> Able:
    """The machine as search looks for it: by the same limits that routing keeps."""
    machine = machine_of(bench)
    x, y, z = machine.envelope_um
    return Able(
        process=machine.process,
        materials=machine.materials,
        x=x,
        y=y,
        z=z,
        tolerance=machine.tolerance_um,
        thickness=machine.thickness_max_um,
    )


def against_planning(bench: Bench) -> str | None:
    """Why the solver cannot take this machine as its lab describes it."""
    try:
        machine_of(bench)
    except (ValueError, OverflowError) as error:
        return str(error)
    return None


def job_of(  # noqa: PLR0913 - one thing wanted, at one place
    job_id: str,
    part: Part,
    pieces: int,
    at: tuple[float, float],
    *,
    quality: str = "normal",
    benches: Iterable[Bench],
    policy: PricePolicy,
    due_at: datetime | None = None,
    avoid: Iterable[str] = (),
    grants: GrantsOf = MappingProxyType({}),
) -> scheduling.Job:
    """All pieces one after the other on one machine; machines to avoid get no duration.

    Nor do those on which it would take years, or cost what nobody can add up.
    Time is promised on p90, as nine of ten parts keep it; the price stands on p50.
    `grants`: by lab, those whose fees are in its price.
    """
    shunned, part = set(avoid), in_quality(part, quality)
    efforts = {b.id: effort(part, b.machine, quality) for b in benches if b.id not in shunned}
    known = {b.id: (b, e) for b in benches if (e := efforts.get(b.id)) is not None}
    prices = {
        name: sum(x.minor for x in price_lines(part, pieces, b, e, policy, grants))
        - b.machine.setup_minor
        for name, (b, e) in known.items()
    }
    durations = {name: e.p90_s * pieces for name, (_, e) in known.items()}
    sane = {
        name
        for name in known
        if durations[name] <= scheduling.DURATION_MAX_S
        and prices[name] <= scheduling.MONEY_MAX_MINOR
    }
    return scheduling.Job(
        id=job_id,
        process=part.process,
        material=part.material,
        size_um=size_um(part),
        lat_udeg=udeg(at[0]),
        lon_udeg=udeg(at[1]),
        durations_s={name: durations[name] for name in sane},
        prices_minor={name: prices[name] for name in sane},
        sizes_um=_other_sizes_um(part, [known[name][0] for name in sane]),
        thickness_um=None if part.thickness_mm is None else um(part.thickness_mm),
        tolerance_um=None if part.tolerance_mm is None else um(part.tolerance_mm),
        due_s=None if due_at is None else int(due_at.timestamp()),
    )


def price_lines(
    part: Part, pieces: int, bench: Bench, each: Effort, policy: PricePolicy, grants: GrantsOf
) -> tuple[PriceLine, ...]:
    """Setting up once a piece, time, material and what grants ask; every line rounded up."""
    machine, seconds, grams = bench.machine, each.p50_s * pieces, each.grams * pieces
    time_minor = -(-machine.rate_minor_per_h * seconds // 3600)
    material_minor = -(-policy.material_minor(part.material) * round(grams * 1000) // 1_000_000)
    lines = (
        PriceLine(what=f"setting up {machine.title}", minor=machine.setup_minor * pieces),
        PriceLine(what=f"{seconds / 60:.0f} min of {machine.title}", minor=time_minor),
        PriceLine(what=f"{grams:.1f} g {named(part.material)}", minor=material_minor),
    )
    lab_minor, by = sum(line.minor for line in lines), grants.get(bench.place.id, ())
    return (*(x for x in lines if x.minor), *owed(by, pieces, lab_minor, policy.currency))


def problem(
    now: datetime,
    benches: Sequence[Bench],
    jobs: Sequence[scheduling.Job],
    *,
    busy_until: Mapping[str, datetime],
    current: Mapping[str, str],
    policy: PricePolicy,
    labs: Sequence[Place] = (),
) -> scheduling.Problem:
    """`busy_until`: by bench, when what it has to make now is over."""
    places = {bench.place.id: bench.place for bench in benches} | {p.id: p for p in labs}
    known = {bench.id for bench in benches}
    now_s = int(now.timestamp())
    return scheduling.Problem(
        now_s=now_s,
        horizon_s=now_s + int(HORIZON.total_seconds()),
        labs=tuple(place_of(place) for place in places.values()),
        machines=tuple(machine_of(bench) for bench in benches),
        jobs=tuple(jobs),
        fixed=tuple(
            scheduling.Running(f"busy:{name}", name, int(until.timestamp()))
            for name, until in busy_until.items()
            if name in known
        ),
        current={job: name for job, name in current.items() if name in known},
        weights=scheduling.Weights(
            transport_minor_per_km=policy.transport_minor_per_km,
            lateness_minor_per_h=policy.lateness_minor_per_h,
            waiting_minor_per_h=policy.waiting_minor_per_h,
            move_minor=policy.move_minor,
        ),
        minor_unit=f"{policy.currency} cents",
    )


# ── back to people


def named(word: str) -> str:
    """The title of a process or a material as it stands within a sentence."""
    title = _TITLES.get(word, word)
    return title if title[:2].upper() == title[:2] else title[0].lower() + title[1:]


def plainly(reason: str, machines: Mapping[str, str], currency: str) -> str:
    """Scheduling's words with titles in the place of its ids, and money as people write it.

    `machines`: by id, what to call them.
    """
    names = {each: named(each) for each in _TITLES} | dict(machines)
    longest_first = "|".join(re.escape(each) for each in sorted(names, key=len, reverse=True))
    said = re.sub(rf"(?<![\w/-])({longest_first})(?![\w/-])", lambda found: names[found[1]], reason)
    return re.sub(rf"(\d+) {currency} cents", lambda found: money(int(found[1]), currency), said)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def option_of(
    found: scheduling.Option,
    part: Part,
    pieces: int,
    bench: Bench,
    policy: PricePolicy,
    quality: str = "normal",
    grants: GrantsOf = MappingProxyType({}),
) -> Option | None:
    each, own = effort(part, bench.machine, quality), part.on(bench.machine.model)
    if each is None:
        return None
    lines = price_lines(part, pieces, bench, each, policy, grants)
    return Option(
        lab=bench.place.name,
        lab_id=bench.place.id,
        agent=bench.agent,
        machine=bench.machine.machine,
        machine_title=bench.machine.title,
        attended=bench.machine.attended,
        by_hand=bench.machine.by_hand,
        simulated=bench.machine.simulated,
        lat=bench.place.lat,
        lon=bench.place.lon,
        distance_m=found.distance_m,
        ready_at=moment(found.ready_by_s),
        lines=lines,
        total_minor=sum(line.minor for line in lines),
        transport_minor=-(-found.distance_m * policy.transport_minor_per_km // 1000),
        minutes=round(each.p50_s * pieces / 60, 1),
        grams=round(each.grams * pieces, 1),
        estimate_s=each.p90_s,
        why=plainly(found.reason, {}, policy.currency),
        made_from="" if own == part else own.file_name,
        size_mm=own.facts.size_mm,
        grants=grants.get(bench.place.id, ()),
    )


def chosen_first(options: Sequence[Option], agent: str | None) -> tuple[Option, ...]:
    """The options with the preferred lab's in front, if it is among them."""
    return tuple(sorted(options, key=lambda option: option.agent != agent))


def agreed(quote: Quote) -> Quoted | None:
    """The quote as an order keeps it, with the first option of each part; None if incomplete."""
    if not quote.complete:
        return None
    return Quoted(
        id=quote.id,
        release=quote.release,
        title=quote.title,
        version=quote.version,
        quantity=quote.quantity,
        lat=quote.lat,
        lon=quote.lon,
        items=tuple(_item(each) for each in quote.items),
        currency=quote.currency,
        policy_version=quote.policy_version,
        ready_at=quote.ready_at,
        valid_until=quote.valid_until,
        first_article=quote.first_article,
    )


def _item(each: QuotedPart) -> Item:
    best = each.options[0]
    return Item(
        part=each.part,
        quantity=each.pieces,
        process=each.process,
        material=each.material,
        thickness_mm=each.thickness_mm,
        quality=each.quality,
        estimate_s=best.estimate_s,
        lab=best.lab,
        agent=best.agent,
        machine=best.machine,
        by_hand=best.by_hand,
        lines=best.lines,
        grants=best.grants,
    )
