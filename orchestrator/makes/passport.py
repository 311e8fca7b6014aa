"""The passport as a record: what is known of one made unit, and nothing that is not.

What nobody recorded is absent from it, never guessed. The same record is the page, the JSON and
the file that somebody keeps when this node is gone.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

from pydantic import JsonValue

from designs.design import Part, Release
from designs.processes import MATERIALS, PROCESSES
from orchestrator.catalogue import ancestry, lineage
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.model import ReleaseState
from orchestrator.grants import service as grants
from orchestrator.labs.tables import AgentRow, LabRow, MachineRow
from orchestrator.makes import duties, model, recalled, service
from orchestrator.makes.duties import Owed
from orchestrator.makes.model import Inspection
from orchestrator.makes.tables import MakeRow
from orchestrator.orders.tables import OrderRow
from orchestrator.recalls import model as recalls_model
from orchestrator.recalls import service as recalls
from orchestrator.recalls.model import WORDS, State, Todo
from orchestrator.recalls.tables import RecallRow
from orchestrator.store import Unit

SCHEMA: Final = "cosmolocal passport 1"
_TITLES: Final = {each.id: each.title for each in (*PROCESSES, *MATERIALS)}
Record = dict[str, JsonValue]
Hidden = Callable[[Iterable[str]], Awaitable[Mapping[str, ReleaseState]]]
"""Those of some releases that whoever asks may not see."""


async def record(unit: Unit, make: MakeRow, base: str, hidden: Hidden) -> Record:
    """Everything that is known and for whoever asks; `base` is this node's address.

    Of work that is not for them it holds no hash, nobody's name and no inspection plan.
    """
    release = await catalogue.release(unit, make.release)
    part = release.part(make.part)
    met = await recalled.of_make(unit, make)
    scopes = [recalls.value(row).scope for row in met]
    named = (each for scope in scopes for each in recalls_model.releases_of(scope))
    closed = await hidden({make.release, *named})
    state = closed.get(make.release)
    checks = () if state else (await service.plan(unit, make)).checks
    told = [
        recalls_model.shown(scope, row.what, closed)[1]
        for scope, row in zip(scopes, met, strict=True)
    ]
    owed = duties.outline(release)
    if state is None:
        owed = await owed_for(unit, make, release, base, await _handed_over(unit, make))
    design = _outline(release, make, part, state) if state else _design(release, make, part, base)
    return _present(
        {
            "schema": SCHEMA,
            "item_id": make.id,
            "address": f"{base}/p/{make.id}",
            "recalled": any(row.state != State.LIFTED for row in met),
            "recalls": [recall_record(*each) for each in zip(met, told, strict=True)],
            "order_sha256": hashlib.sha256(make.order_id.encode()).hexdigest(),
            "design": design,
            "made": await _made(unit, make),
            "material": _material(make, part),
            "quality": _quality(make, part, checks, told=state is not ReleaseState.PRE_RELEASE),
            "licence_notices": [*owed.notices],
            "source_until": owed.until.isoformat() if owed.until else None,
            "stands_on": [] if state else await _stands_on(unit, release),
            "events": _events(make, met),
        }
    )


def _present(record: Record) -> Record:
    """Without what is not known."""
    return {key: kept for key, value in record.items() if (kept := _kept(value)) is not None}


def _kept(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return _present(value) or None
    if isinstance(value, list):
        return [_kept(each) for each in value] or None
    return None if value == "" else value


def _at(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def recall_record(row: RecallRow, what: str) -> Record:
    """`what` it withdraws, in words for whoever asks."""
    return {
        "id": row.id,
        "state": row.state,
        "what": what,
        "reason": row.reason,
        "do": WORDS[Todo(row.todo)] if row.state != State.LIFTED else None,
        "opened_at": _at(row.opened_at),
        "settled_at": _at(row.settled_at),
        "settled_why": row.settled_why,
        "lifted_at": _at(row.lifted_at),
        "lifted_why": row.lifted_why,
    }


def _design(release: Release, make: MakeRow, part: Part | None, base: str) -> Record:
    ancestor = release.ancestor
    return {
        "id": release.design,
        "title": release.title,
        "version": release.version,
        "release_sha256": make.release,
        "part": make.part,
        "part_title": part.title if part else None,
        "made_from_sha256": make.file,
        "licence": release.licence,
        "licensor": release.licensor,
        "contributors": [
            {"name": each.name, "did": each.did, "share": each.share}
            for each in release.contributors
        ],
        "forked_from": ancestor.model_dump(mode="json") if ancestor else release.forked_from,
        "source": f"{base}/releases/{make.release}",
        "repo": release.repo,
        "files": [
            {"name": file.name, "sha256": file.sha256, "role": file.role} for file in release.files
        ],
    }


def _outline(release: Release, make: MakeRow, part: Part | None, state: ReleaseState) -> Record:
    """What somebody who has the part may know of a design that is not for them."""
    pre = state is ReleaseState.PRE_RELEASE
    return {
        "title": "a design that is not public" if pre else release.title,
        "version": None if pre else release.version,
        "part": None if pre else make.part,
        "part_title": "a part" if pre else part.title if part else None,
        "licence": release.licence,
    }


async def _made(unit: Unit, make: MakeRow) -> Record:
    agent = await unit.session.get(AgentRow, make.agent)
    lab = await unit.session.get(LabRow, agent.lab_id) if agent else None
    machine = await unit.session.get(MachineRow, (make.agent, make.machine))
    said: dict[str, JsonValue] = machine.said if machine else {}
    return {
        "lab": lab.name if lab else None,
        "lab_id": lab.id if lab else None,
        "maker": lab.operator if lab else None,
        "facility": lab.address if lab else None,
        "agent": make.agent,
        "machine": make.machine,
        "machine_title": said.get("title"),
        "machine_class": said.get("model"),
        "simulated": make.simulated,
        "attested_by_a_person": make.attested,
        "process": make.process,
        "process_title": _TITLES.get(make.process),
        "began_at": _at(make.began_at) if make.began_at < make.ended_at else None,
        "ended_at": _at(make.ended_at),
        "machine_s": machine_s(make),
        "operator": make.operator,
        "operator_minutes": make.operator_minutes,
        "program_sha256": make.program_sha256,
    }


def machine_s(make: MakeRow) -> float | None:
    """How long the machine worked; of a simulated one only its own time says anything."""
    told = (make.inspection or {}).get("machine_s")
    simulated_s = float(told) if isinstance(told, int | float) else None
    return simulated_s if make.simulated else make.machine_s


def _material(make: MakeRow, part: Part | None) -> Record:
    recipe = part.recipe if part else None
    return {
        "name": make.material,
        "title": _TITLES.get(make.material),
        "grade_asked_for": recipe.material_grade if recipe else None,
        "thickness_mm": part.thickness_mm if part else None,
        "lot": make.lot,
    }


def _quality(make: MakeRow, part: Part | None, checks: model.Plan, *, told: bool) -> Record:
    """`told`: with the words of whoever inspected it."""
    seen = None if make.inspection is None else Inspection.model_validate(make.inspection)
    found: Record = {
        "tolerance_mm": part.tolerance_mm if part else None,
        "plan": [
            {"check": number, "asked": model.asked(check), **check.model_dump(mode="json")}
            for number, check in enumerate(checks, 1)
        ],
    }
    if seen is None:
        return found
    read: Record = {
        "verdict": make.verdict or seen.verdict,
        "kind": seen.kind,
        "inspector": seen.inspector,
        "inspected_at": _at(make.inspected_at),
        "outline_off_mm": seen.outline_mm,
        "volume_off_pct": seen.volume_pct,
        "missing": [*seen.missing] if told else [],
        "extra": [*seen.extra] if told else [],
        "note": seen.note if told else None,
        "readings": [
            {
                **each.model_dump(mode="json"),
                "what": checks[each.check - 1].what,
                "fault": model.wrong(checks[each.check - 1], each),
            }
            for each in seen.readings
            if each.check <= len(checks)
        ],
    }
    return found | read


async def _handed_over(unit: Unit, make: MakeRow) -> date:
    """Until then the day it was made stands for it: the promise can only become longer."""
    order = await unit.session.get(OrderRow, make.order_id)
    return ((order and order.handed_over_at) or make.ended_at).date()


async def owed_for(
    unit: Unit, make: MakeRow, release: Release, base: str, handed_over: date
) -> Owed:
    """What goes with it, for whoever may see its design."""
    used = await grants.used_for(unit, make.order_id, make.part)
    return duties.owed(release, f"{base}/releases/{make.release}", handed_over, used)


async def _stands_on(unit: Unit, release: Release) -> list[JsonValue]:
    """Who is named for the releases that it was forked from, nearest first."""
    line = ancestry.credits(release, await lineage.chain(unit, release))
    return [each.model_dump(mode="json") for each in line[1:]]


def _events(make: MakeRow, met: Sequence[RecallRow]) -> list[JsonValue]:
    """What happened to it, oldest first."""
    happened: list[tuple[datetime, str, str | None]] = [(make.ended_at, "made", None)]
    if make.inspected_at is not None:
        happened.append((make.inspected_at, f"inspected: {make.verdict or 'unmeasurable'}", None))
    for row in met:
        happened.append((max(row.opened_at, make.ended_at), "recalled", row.id))
        if row.settled_at is not None:
            happened.append((row.settled_at, "recall settled", row.id))
        if row.lifted_at is not None:
            happened.append((row.lifted_at, "recall lifted", row.id))
    happened.sort(key=lambda each: each[0])
    return [_present({"at": _at(at), "what": what, "recall": of}) for at, what, of in happened]
