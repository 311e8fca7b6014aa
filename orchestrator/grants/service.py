"""Records and withdraws grants, and answers which labs may make a design for payment.

A grant is used in the transaction that places the order, and stays good for that order: it is
withdrawn for what comes after.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import delete, func, select

from designs import licences
from designs.design import OWN_WORK, Ancestor, Release
from designs.errors import Refused
from designs.licences import Act, Grant, Outcome
from orchestrator.catalogue import lifecycle, lineage
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.lifecycle import Caller, NotYours
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.grants import model
from orchestrator.grants.model import Lab, Recorded, Step, Whom, Wish
from orchestrator.grants.tables import GrantRow, GrantUseRow
from orchestrator.labs.tables import AgentRow, LabRow
from orchestrator.store import Unit, new_id


class NoSuchGrant(Exception):
    """There is no grant with this number."""


class NotGranted(Exception):
    """The licence lets nobody do it without a grant, and none covers it; the message says which."""


# ── recording


async def record(unit: Unit, design: str, wish: Wish, caller: Caller) -> GrantRow:
    """Write a grant down; the same once more, while it stands, is that one.

    Raises NoSuchRelease, NotYours, and Refused for what no grant can lift or nobody can use.
    """
    newest = await catalogue.newest(unit, design)
    by = await _recorder(unit, design, caller)
    _check_acts(newest, wish)
    _check_terms(unit, wish, by)
    row = _row(unit, newest, wish, await _name(unit, wish), by)
    known = await of_design(unit, design)
    standing = (each for each in known if each.withdrawn_at is None)
    if same := next((each for each in standing if _said(each) == _said(row)), None):
        return same
    if len(known) >= model.MOST:
        raise Refused(
            f"{design} has {len(known)} grants, which is the most",
            "grant",
            "grant to everybody, or to a person, in the place of lab by lab",
        )
    unit.session.add(row)
    await unit.session.flush()
    await unit.record("grant.recorded", row.id, design=design, whom=row.whom, by=row.recorded_by)
    return row


async def _recorder(unit: Unit, design: str, caller: Caller) -> str:
    """The licensor, for whom the design's key stands, or the operator; raises NotYours."""
    if await lineage.is_maintainer(unit, design, caller.key):
        return "licensor"
    if caller.operator:
        return "operator"
    raise NotYours(
        f"only its licensor grants anything of {design}: give the key that was shown when it was "
        "first published, or the operator's token"
    )


def _check_acts(newest: ReleaseRow, wish: Wish) -> None:
    for act in sorted(wish.acts):
        verdict = licences.judge(newest.licence, act)
        said = str(act).replace("_", " ")
        if verdict.outcome is Outcome.ALLOWED:
            raise Refused(f"{newest.licence} lets everybody {said}", "acts", "it needs no grant")
        if verdict.outcome is Outcome.DENIED:
            raise Refused(
                verdict.why, "acts", "publish it under a licence that can be granted from"
            )


def _check_terms(unit: Unit, wish: Wish, by: str) -> None:
    if wish.until is not None and wish.until < unit.now.date():
        raise Refused(
            f"it would have ended on {wish.until.isoformat()}", "until", "name a day to come"
        )
    if by == "operator" and not wish.reference:
        raise Refused(
            "nobody can look up who permitted it",
            "reference",
            "say where the licensor's permission stands written, such as a letter and its date",
        )


async def _name(unit: Unit, wish: Wish) -> str:
    if wish.lab is None:
        return wish.person or ""
    known = {row.id: row.name for row in await unit.session.scalars(select(LabRow))}
    (lab,) = lifecycle.checked_labs([wish.lab], known)
    return lab


def _row(unit: Unit, newest: ReleaseRow, wish: Wish, name: str, by: str) -> GrantRow:
    said = wish.model_dump(exclude={"everybody", "lab", "person", "acts"})
    return GrantRow(
        id=new_id("g"),
        design=newest.design,
        licence=newest.licence,
        acts=sorted(wish.acts),
        whom=wish.whom,
        name=name,
        by=Release.model_validate_json(newest.manifest).licensor,
        recorded_by=by,
        recorded_at=unit.now,
        **said,
    )


def _said(row: GrantRow) -> tuple[object, ...]:
    """What a grant says, apart from when it was recorded."""
    apart = {"id", "recorded_by", "recorded_at", "withdrawn_at", "withdrawn_why"}
    return tuple(getattr(row, c.name) for c in GrantRow.__table__.columns if c.name not in apart)


async def withdraw(unit: Unit, grant_id: str, why: str, caller: Caller) -> GrantRow:
    """From now on nothing is ordered under it; what was ordered stands."""
    row = await find(unit, grant_id)
    by = await _recorder(unit, row.design, caller)
    if row.withdrawn_at is None:
        row.withdrawn_at, row.withdrawn_why = unit.now, why
        await unit.session.flush()
        await unit.record("grant.withdrawn", row.id, design=row.design, by=by)
    return row


async def find(unit: Unit, grant_id: str) -> GrantRow:
    row = await unit.session.get(GrantRow, grant_id)
    if row is None:
        raise NoSuchGrant(f"there is no grant {grant_id[:40]}")
    return row


async def of_design(unit: Unit, design: str, *, withdrawn: bool = True) -> Sequence[GrantRow]:
    """Oldest first."""
    rows = select(GrantRow).where(GrantRow.design == design)
    rows = rows if withdrawn else rows.where(GrantRow.withdrawn_at.is_(None))
    return (await unit.session.scalars(rows.order_by(GrantRow.recorded_at, GrantRow.id))).all()


def value(row: GrantRow) -> Grant:
    return Grant(
        number=row.id,
        by=row.by,
        acts=frozenset(Act(act) for act in row.acts),
        since=row.since,
        until=row.until,
        most_units=row.most_units,
        fee_cents=row.fee_cents,
        currency=row.currency,
        share_pct=row.share_pct,
    )


# ── what is permitted


@dataclass(frozen=True)
class Permits:
    """For making for payment: by lab why it may not, or by which grants it may; and why nobody may.

    All are empty where everybody may.
    """

    barred: Mapping[str, str]
    grants: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict[str, tuple[Grant, ...]])
    refusal: str = ""


async def permits(unit: Unit, release: Release, units: int = 1) -> Permits:
    """Which labs may make a release for payment, `units` pieces of it, today."""
    if release.private or release.licence == OWN_WORK:
        return Permits({})
    line = await _line(unit, release)
    on = unit.now.date()
    nowhere = model.permit([_bare(step) for step in line], Lab("", ""), on, units)
    if not nowhere.why:
        return Permits({})
    labs = await _labs(unit)
    if not labs:
        return Permits({})  # that there is none is what has to be said
    by_lab = {lab.id: model.permit(line, lab, on, units) for lab in labs}
    barred = {lab: permit.why for lab, permit in by_lab.items() if permit.why}
    if len(barred) < len(by_lab):
        return Permits(barred, {lab: _once(permit.grants) for lab, permit in by_lab.items()})
    why = next((why for why in barred.values() if why != nowhere.why), nowhere.why)
    helps = model.what_helps(line)
    more = f". {helps}" if helps else ""
    return Permits(barred, refusal=f"{release.title} cannot be made for payment: {why}{more}")


def _once(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Each one once: two releases of a line may stand on the same."""
    return tuple(dict.fromkeys(grants))


async def _labs(unit: Unit) -> list[Lab]:
    rows = await unit.session.scalars(select(LabRow).order_by(LabRow.name, LabRow.id))
    return [Lab(row.id, row.operator) for row in rows]


def _bare(step: Step) -> Step:
    return Step(step.title, step.version, step.licence, step.licensor, step.key)


async def _line(unit: Unit, release: Release) -> list[Step]:
    """It denies beyond the ancestors that are walked: nobody asked those."""
    links = await lineage.chain(unit, release)
    line = [await _step(unit, release)]
    line += [
        await _step(unit, link.release) if link.release else _unasked(link.ancestor)
        for link in links
    ]
    last = links[-1].release if links else None
    return [*line, _unasked(last.ancestor)] if last and last.ancestor else line


def _unasked(told: Ancestor) -> Step:
    return Step(told.title, told.version, told.licence, told.licensor, None)


async def _step(unit: Unit, release: Release) -> Step:
    needed = licences.judge(release.licence, Act.MAKE_PAID).outcome is Outcome.NEEDS_GRANT
    rows = await of_design(unit, release.design, withdrawn=False) if needed else []
    used = await _used(unit, [row.id for row in rows])
    recorded = tuple(_recorded(row, used.get(row.id, 0)) for row in rows)
    return Step(
        release.title, release.version, release.licence, release.licensor, release.design, recorded
    )


def _recorded(row: GrantRow, used: int) -> Recorded:
    whom = Whom(row.whom)
    return Recorded(
        value(row), row.licence, whom, row.name, row.first_version, row.last_version, used
    )


async def _used(unit: Unit, grants: Sequence[str]) -> dict[str, int]:
    """Pieces ordered under each."""
    if not grants:
        return {}
    counted = (
        select(GrantUseRow.grant, func.sum(GrantUseRow.units))
        .where(GrantUseRow.grant.in_(grants))
        .group_by(GrantUseRow.grant)
    )
    return {grant: int(units) for grant, units in await unit.session.execute(counted)}


# ── what orders stand on


@dataclass(frozen=True)
class Ordered:
    """Pieces of one part that an agent's lab is to make."""

    part: str
    agent: str
    units: int
    grants: frozenset[str]
    """Those that the quote names: what others ask is not in its price."""


async def use(unit: Unit, order_id: str, release: Release, parts: Iterable[Ordered]) -> None:
    """Let an order stand on the grants that it needs; raises NotGranted where one is missing.

    Whoever orders at the same time waits, so that nobody gets more pieces than are granted.
    """
    if release.private or release.licence == OWN_WORK:
        return
    await _alone(unit, release)
    for each in parts:
        line = [
            replace(step, grants=tuple(g for g in step.grants if g.grant.number in each.grants))
            for step in await _line(unit, release)  # anew: the parts before count
        ]
        lab = await _lab_of(unit, each.agent)
        permit = model.permit(line, lab, unit.now.date(), each.units)
        if permit.why:
            helps = model.what_helps(line)
            more = f". {helps}" if helps else ""
            raise NotGranted(
                f"{release.title} cannot be ordered for payment there any more: {permit.why}. "
                f"Another quote says whether another grant covers it{more}"
            )
        unit.session.add_all(
            GrantUseRow(order_id=order_id, part=each.part, grant=grant.number, units=each.units)
            for grant in _once(permit.grants)
        )
        await unit.session.flush()


async def _alone(unit: Unit, release: Release) -> None:
    """Hold the grants of its line until this transaction ends."""
    links = await lineage.chain(unit, release)
    line = [release, *(link.release for link in links if link.release)]
    designs = {each.design for each in line}
    held = select(GrantRow.id).where(GrantRow.design.in_(designs)).order_by(GrantRow.id)
    await unit.session.execute(held.with_for_update())


async def _lab_of(unit: Unit, agent: str) -> Lab:
    row = await unit.session.get(AgentRow, agent)
    lab = await unit.session.get(LabRow, row.lab_id) if row else None
    return Lab(lab.id, lab.operator) if lab else Lab("", "")


async def free(unit: Unit, order_id: str) -> None:
    """An order was cancelled: its pieces can be ordered again."""
    await unit.session.execute(delete(GrantUseRow).where(GrantUseRow.order_id == order_id))


async def bound(unit: Unit, orders: Iterable[str]) -> dict[tuple[str, str], frozenset[str]]:
    """By order and part the labs that its grants cover, withdrawn ones too.

    What stands on no grant is not in it: any lab may make it.
    """
    labs = await _labs(unit)
    rows = await unit.session.execute(
        select(GrantUseRow, GrantRow)
        .join(GrantRow, GrantRow.id == GrantUseRow.grant)
        .where(GrantUseRow.order_id.in_(set(orders)))
    )
    found: dict[tuple[str, str], frozenset[str]] = {}
    for used, row in rows:
        theirs = {lab.id for lab in labs if model.covers(Whom(row.whom), row.name, lab)}
        place = (used.order_id, used.part)
        found[place] = found.get(place, frozenset(lab.id for lab in labs)) & theirs
    return found


async def used_for(unit: Unit, order_id: str, part: str) -> list[Grant]:
    """The grants that a part of an order stands on."""
    rows = await unit.session.scalars(
        select(GrantRow)
        .join(GrantUseRow, GrantUseRow.grant == GrantRow.id)
        .where(GrantUseRow.order_id == order_id, GrantUseRow.part == part)
        .order_by(GrantRow.id)
    )
    return [value(row) for row in rows]
