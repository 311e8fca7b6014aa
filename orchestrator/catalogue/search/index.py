"""Keeps the index: rows written in the transaction that publishes, or all made again.

Both engines get the same tokens; only where they put them differs (step 0004).
"""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from designs.design import Release
from designs.okh import Made
from orchestrator.catalogue.model import PUBLIC, ReleaseState, precedence
from orchestrator.catalogue.search.documents import RULES, Card, Document, Standing, document
from orchestrator.catalogue.search.tables import FoundCard, FoundDesign, FoundPart, FoundState
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store, Unit

Makes = Callable[[Unit, Sequence[str]], Awaitable[Made]]
"""How often these releases were made: from the room of makes, far above."""
_BATCH: Final = 500
TIERS: Final = "abc"
"""In PostgreSQL's tsvector: what the lexeme of a word begins with in the title; in title or
function; in either or the parts."""
FIELD: Final = "d"
"""And the lexeme of a field's value."""
_INTO_FTS: Final = text(
    "INSERT INTO found_words (rowid, title, function, parts, fields) "
    "VALUES (:id, :title, :function, :parts, :fields)"
)
_INTO_VECTOR: Final = text(
    "INSERT INTO found_words (id, words) VALUES (:id, CAST(:words AS tsvector))"
)
_STATE: Final = 1


async def refresh(unit: Unit, design: str, makes: Makes | None = None) -> None:
    """What is listed of this design now is found, and nothing else of it.

    Without `makes` the count stays what it was.
    """
    await unit.session.flush()
    former = await unit.session.scalar(select(FoundCard).where(FoundCard.design == design))
    kept = Made()
    if former is not None:
        kept = _made(Card.model_validate_json(former.card))
        await _drop(unit.session, former.id)
    rows = (await unit.session.scalars(select(ReleaseRow).where(ReleaseRow.design == design))).all()
    row = listed(rows)
    if row is None:
        return
    count = await makes(unit, [each.sha256 for each in _public(rows)]) if makes else kept
    await put(unit.session, [_document(row, count)])


def _made(card: Card) -> Made:
    return Made(total=card.made, labs=card.made_in_labs, independently=card.made_independently)


async def recount(unit: Unit, releases: Collection[str], makes: Makes) -> None:
    """Something of these releases was made, found not to conform, or recalled."""
    named = select(ReleaseRow.design).where(ReleaseRow.sha256.in_(releases))
    for design in (await unit.session.scalars(named.distinct().order_by(ReleaseRow.design))).all():
        await refresh(unit, design, makes)


def listed(rows: Iterable[ReleaseRow]) -> ReleaseRow | None:
    """Of the releases of one design the one that its name stands for; None if none is public."""
    return max(
        _public(rows),
        key=lambda row: precedence(ReleaseState(row.state), row.version, row.published_at),
        default=None,
    )


def _public(rows: Iterable[ReleaseRow]) -> list[ReleaseRow]:
    return [row for row in rows if not row.private and row.state in PUBLIC]


def is_public() -> ColumnElement[bool]:
    """What `listed` may choose from, as a condition."""
    return ReleaseRow.private.is_(False) & ReleaseRow.state.in_(PUBLIC)


def is_deprecated(row: ReleaseRow) -> bool:
    return row.state == ReleaseState.DEPRECATED


async def ensure(store: Store, makes: Makes | None = None) -> int | None:
    """Make the index if it is not by the rules of this version; how many designs it then holds.

    None if there was nothing to do. Called once at start, before anybody may ask.
    """
    async with store.view() as unit:
        state = await unit.session.get(FoundState, _STATE)
        if state is not None and state.rules == RULES:
            return None
    async with store.unit() as unit:
        return await rebuild(unit, makes)


async def rebuild(unit: Unit, makes: Makes | None = None) -> int:
    """Make the whole index again from the releases, in the caller's transaction."""
    for table in (FoundPart, FoundCard, FoundDesign, FoundState):
        await unit.session.execute(delete(table))
    await unit.session.execute(text("DELETE FROM found_words"))
    count = 0
    async for rows in _designs(unit):
        public = [each for every in rows if (each := _public(every))]
        counts = [
            await makes(unit, [r.sha256 for r in each]) if makes else Made() for each in public
        ]
        pairs = [
            (row, made) for each, made in zip(public, counts, strict=True) if (row := listed(each))
        ]
        await put(unit.session, [_document(row, made) for row, made in pairs])
        count += len(pairs)
        unit.session.expunge_all()
    unit.session.add(FoundState(id=_STATE, rules=RULES))
    await unit.session.flush()
    await surveyed(unit.session)
    return count


async def surveyed(session: AsyncSession) -> None:
    """Let PostgreSQL count the words: `finder` asks how many designs it expects to have one.

    By itself it keeps the thousand most common, and few of them begin like what somebody types.
    """
    if is_sqlite(session):
        return
    await session.execute(text("ALTER TABLE found_words ALTER words SET STATISTICS 300"))
    await session.execute(text("ANALYZE found_words"))


async def _designs(unit: Unit) -> AsyncGenerator[list[list[ReleaseRow]]]:
    """All releases, those of one design together, a batch of designs at a time.

    By name, backwards: of one moment the first name gets the last place and is shown first.
    """
    design = ReleaseRow.design
    names = select(design).distinct().order_by(design.desc()).limit(_BATCH)
    further = names
    while found := (await unit.session.scalars(further)).all():
        further = names.where(design < found[-1])
        rows = await unit.session.scalars(select(ReleaseRow).where(ReleaseRow.design.in_(found)))
        together: dict[str, list[ReleaseRow]] = {name: [] for name in found}
        for row in rows:
            together[row.design].append(row)
        yield list(together.values())


def _document(row: ReleaseRow, made: Made) -> Document:
    standing = Standing(row.sha256, row.published_at, is_deprecated(row), row.pictures, made)
    return document(Release.model_validate_json(row.manifest), standing)


# ── rows


async def put(session: AsyncSession, documents: Sequence[Document]) -> None:
    """Write these; a moment that another design has already becomes the next free one.

    Of designs of one moment the first by name is shown first.
    """
    if not documents:
        return
    documents = sorted(documents, key=lambda each: each.card.design, reverse=True)
    ids = await _free(session, documents)
    designs: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for each, number in zip(documents, ids, strict=True):
        card = each.card
        flags = {"sold": card.may_be_sold, "changed": card.may_be_changed}
        flags |= {"deprecated": card.deprecated}
        designs.append({"id": number, "kinds": each.kinds, **each.numbers, **flags})
        told = card.model_dump_json()
        cards.append({"id": number, "design": card.design, "card": told})
        parts += [{"id": number, "n": n, **asdict(part)} for n, part in enumerate(each.parts)]
    await session.execute(insert(FoundDesign), designs)
    await session.execute(insert(FoundCard), cards)
    await session.execute(insert(FoundPart), parts)
    into, worded = (_INTO_FTS, _fts) if is_sqlite(session) else (_INTO_VECTOR, _vector)
    pairs = zip(documents, ids, strict=True)
    await session.execute(into, [{"id": number, **worded(each)} for each, number in pairs])


async def _free(session: AsyncSession, documents: Sequence[Document]) -> list[int]:
    lowest, highest = min(d.id for d in documents), max(d.id for d in documents)
    reach = len(documents)
    while True:
        near = FoundDesign.id.between(lowest, highest + reach)
        free = _next_free(documents, set(await session.scalars(select(FoundDesign.id).where(near))))
        if max(free) <= highest + reach:
            return free
        reach *= 2


def _next_free(documents: Sequence[Document], taken: set[int]) -> list[int]:
    free: list[int] = []
    for each in documents:
        number = each.id
        while number in taken:
            number += 1
        taken.add(number)
        free.append(number)
    return free


def _fts(each: Document) -> Mapping[str, str]:
    names = ("title", "function", "parts", "fields")
    return {name: " ".join(scope) for name, scope in zip(names, each.scopes, strict=True)}


def _vector(each: Document) -> Mapping[str, str]:
    """`'ahook' 'bhook' 'chook' 'dpr_laser_5f_cutting'`: a word once for each scope that has it.

    A weight would say the same, but neither the index nor the planner's statistics know weights.
    """
    *worded, fields = each.scopes
    lexemes = {f"{FIELD}{token}" for token in fields}
    for place, scope in enumerate(worded):
        lexemes |= {f"{tier}{token}" for tier in TIERS[place:] for token in scope}
    return {"words": " ".join(f"'{lexeme}'" for lexeme in sorted(lexemes))}


async def _drop(session: AsyncSession, number: int) -> None:
    for table in (FoundPart, FoundCard, FoundDesign):
        await session.execute(delete(table).where(table.id == number))
    key = "rowid" if is_sqlite(session) else "id"
    await session.execute(text(f"DELETE FROM found_words WHERE {key} = :id"), {"id": number})  # noqa: S608 - ours


def is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


async def count(unit: Unit) -> int:
    return await unit.session.scalar(select(func.count()).select_from(FoundCard)) or 0
