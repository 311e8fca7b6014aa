"""Finds: words by what they stand in, fields as tokens beside them, sizes and dates by number.

Ranking is by tier (every word in the title; in title or function; anywhere), then newest first: two
engines cannot disagree about it, and a page goes on from where the last one ended. Time is bounded:
each tier is read in its order and no further than the first thousand.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    Table,
    and_,
    column,
    exists,
    literal,
    literal_column,
    not_,
    or_,
    select,
    table,
    text,
    true,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.ext.asyncio import AsyncConnection

from designs.processes import MATERIALS, PROCESSES
from orchestrator.catalogue.search.documents import Card, moment_id, um
from orchestrator.catalogue.search.index import FIELD, TIERS, is_sqlite
from orchestrator.catalogue.search.model import Able, Box, Cursor, Query
from orchestrator.catalogue.search.tables import FoundCard, FoundDesign, FoundPart
from orchestrator.catalogue.search.words import Wanted, question, tag, tags
from orchestrator.store import Unit

BOUND: Final = 1000
"""Up to so many are counted; beyond it is "1,000+"."""
_HELP_BOUND: Final = 100
_MOST_ABLE: Final = 200
_DESIGN: Final = cast("Table", FoundDesign.__table__)
_WORDS: Final = table("found_words", column("id", BigInteger), column("rowid", BigInteger))
_EXPLAIN: Final = text(
    "EXPLAIN (FORMAT JSON) SELECT 1 FROM found_words WHERE words @@ CAST(:match AS tsquery)"
)
_PRICE: Final = 60_000
"""At 100,000 designs: reading m of them from PostgreSQL's index of words costs as much as going
through all, newest first, until n are found, where m² is so many times n."""
_PRICE_OF_NUMBERS: Final = 4 * _PRICE
"""Where sizes and the like leave out some of what has the words, it goes further for n."""
_LAST: Final = "\U0010ffff"
"""Sorts after every `kinds`."""
_SCOPES: Final = ("title", "title function", "title function parts")


@dataclass(frozen=True)
class Relaxed:
    """What leaving out one filter would give; `more`: there are more than that."""

    name: str
    words: str
    count: int
    more: bool
    without: Query


@dataclass(frozen=True)
class Found:
    """`total` is exact unless `more`; facets only where it is exact, by field and value."""

    cards: tuple[Card, ...]
    total: int
    more: bool
    next: Cursor | None
    facets: Mapping[str, Mapping[str, int]] | None
    ignored: tuple[str, ...]


_Hit = tuple[int, int, str]
"""Tier, negative id (hits sort as they are shown) and kinds, as the engine gives them: there may be
a thousand to a question."""


async def find(unit: Unit, query: Query, able: Sequence[Able] | None = None) -> Found:
    """One page. `able`: what the labs within reach can make, if `query.near` asks for it."""
    asked = await _Asked.of(unit, query, able)
    first = await asked.hits(unit, BOUND + 1)
    more = len(first) > BOUND
    page = await _page(unit, asked, first, query)
    rest = page[query.limit :]
    page = page[: query.limit]
    return Found(
        cards=await _cards(unit, [-back for _, back, _ in page]),
        total=min(len(first), BOUND),
        more=more,
        next=Cursor(page[-1][0], -page[-1][1]) if rest else None,
        facets=None if more else _facets(first),
        ignored=asked.ignored,
    )


async def relaxations(
    unit: Unit, query: Query, able: Sequence[Able] | None = None
) -> tuple[Relaxed, ...]:
    """For a query that finds nothing: what each filter costs, the dearest first."""
    found: list[Relaxed] = []
    for active in query.active():
        looser = query.without(active.name, active.value)
        asked = await _Asked.of(unit, looser, able if looser.near else None)
        many = len(await asked.hits(unit, _HELP_BOUND + 1))
        count = min(many, _HELP_BOUND)
        found.append(Relaxed(active.name, active.words, count, many > _HELP_BOUND, looser))
    return tuple(sorted(found, key=lambda each: -each.count))


async def _page(unit: Unit, asked: "_Asked", first: Sequence[_Hit], query: Query) -> Sequence[_Hit]:
    """Up to one more than fit on the page, from what is known already where that is enough."""
    after = query.after
    if after is None:
        return first[: query.limit + 1]
    begin = bisect_right(first, (after.tier, -after.id, _LAST))
    if len(first) - begin > query.limit or len(first) <= BOUND:
        return first[begin : begin + query.limit + 1]
    return await asked.hits(unit, query.limit + 1, after)


async def _whole(unit: Unit, words: tuple[Wanted, ...]) -> tuple[Wanted, ...]:
    """The last word is the beginning of one only if it is none that any design has."""
    if not words or not words[-1].prefix:
        return words
    last = Wanted(words[-1].token)
    if is_sqlite(unit.session):
        asked, match = "found_words MATCH :match", f'{{{_SCOPES[-1]}}} : "{last.token}"'
    else:
        asked, match = "words @@ CAST(:match AS tsquery)", f"'{TIERS[-1]}{last.token}'"
    there = text(f"SELECT 1 FROM found_words WHERE {asked} LIMIT 1")  # noqa: S608 - ours
    connection = await unit.session.connection()
    found = (await connection.execute(there, {"match": match})).first()
    return (*words[:-1], last) if found else words


async def _cards(unit: Unit, ids: Sequence[int]) -> tuple[Card, ...]:
    if not ids:
        return ()
    card = cast("Table", FoundCard.__table__).c
    connection = await unit.session.connection()
    rows = await connection.execute(select(card.id, card.card).where(card.id.in_(ids)))
    told = {row.id: row.card for row in rows}
    return tuple(Card.model_validate_json(told[number]) for number in ids)


def _facets(hits: Iterable[_Hit]) -> dict[str, dict[str, int]]:
    counted = Counter(" ".join([kinds for _, _, kinds in hits]).split())
    names = {"p": "process", "m": "material", "l": "licence"}
    facets: dict[str, dict[str, int]] = {name: {} for name in names.values()}
    for kind, many in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        letter, _, value = kind.partition(":")
        facets[names[letter]][value.replace("+", " ")] = many
    return facets


# ── the question in each engine's words


@dataclass(frozen=True)
class _Asked:
    """A query as conditions. `fields`: groups of tokens, one of each group has to be there."""

    words: tuple[Wanted, ...]
    ignored: tuple[str, ...]
    fields: tuple[tuple[str, ...], ...]
    without: tuple[str, ...]
    numbers: tuple[ColumnElement[bool], ...]
    spans: tuple[int | None, int | None]
    sqlite: bool

    @classmethod
    async def of(cls, unit: Unit, query: Query, able: Sequence[Able] | None) -> "_Asked":
        said = question(query.q)
        words = await _whole(unit, said.words)
        reach = _dearest(able or ()) if query.near else ()
        fields = list(_fields(query))
        without = _not_near(reach) if query.near else ()
        if without and not fields:
            fields.append(("all",))
        numbers = [*_numbers(query), *(_makeable(reach) if query.near else ())]
        spans = _midnight(query.since), _midnight(query.until, days=1)
        return cls(
            words, said.ignored, tuple(fields), without, tuple(numbers), spans,
            is_sqlite(unit.session),
        )  # fmt: skip

    async def hits(self, unit: Unit, limit: int, after: Cursor | None = None) -> Sequence[_Hit]:
        """The first so many in their order, after the one that is named."""
        tiers = range(after.tier if after else 0, len(_SCOPES) if self.words else 1)
        connection = await unit.session.connection()
        found: list[Any] = []
        for tier in tiers:
            if left := limit - len(found):
                rare = await self._rare(connection, tier, left)
                asked = self._select(tier, after, rare).limit(left)
                found += (await connection.execute(asked)).all()
        return found

    async def _rare(self, connection: AsyncConnection, tier: int, wanted: int) -> bool:
        """Whether PostgreSQL shall take the whole tier from its index of words.

        By itself it would rather go through all designs, newest first, though few are found.
        """
        if self.sqlite or not (self.words or self.fields):
            return False
        told = await connection.execute(_EXPLAIN, {"match": self.tsquery(tier)})
        expected = told.scalar_one()[0]["Plan"]["Plan Rows"]
        return expected**2 <= wanted * (_PRICE_OF_NUMBERS if self.numbers else _PRICE)

    def _select(self, tier: int, after: Cursor | None, rare: bool) -> Select[int, int, str]:
        if not (self.words or self.fields):
            key, sources, kinds = _DESIGN.c.id, _DESIGN, _DESIGN.c.kinds
            where = [*self.numbers, *self._within(key, tier, after)]
        elif self.sqlite:
            key, kinds = _WORDS.c.rowid, _DESIGN.c.kinds
            sources = _WORDS.join(_DESIGN, _DESIGN.c.id == key)
            where = [self._matching(tier), *self.numbers, *self._within(key, tier, after)]
        else:
            named = self._rarely(tier, after) if rare else _WORDS
            key = named.c.id
            # OFFSET: looked up one after the other in their order, never joined with all designs.
            its = select(_DESIGN.c.kinds).where(_DESIGN.c.id == key, *self.numbers).offset(0)
            design = its.lateral()
            sources, kinds = named.join(design, true()), design.c.kinds
            where = [] if rare else [self._matching(tier), *self._within(key, tier, after)]
        columns = literal_column(str(tier), Integer).label("tier"), (-key).label("back"), kinds
        return select(*columns).select_from(sources).where(*where).order_by(key.desc())

    def _rarely(self, tier: int, after: Cursor | None) -> Subquery:
        """A whole tier from PostgreSQL's index of words, newest first.

        Without OFFSET the index would not be read by itself.
        """
        named = select(_WORDS.c.id).where(self._matching(tier)).offset(0).subquery()
        within = self._within(named.c.id, tier, after)
        return select(named).where(*within).order_by(named.c.id.desc()).offset(0).subquery()

    def _within(
        self, key: ColumnElement[int], tier: int, after: Cursor | None
    ) -> Iterable[ColumnElement[bool]]:
        low, high = self.spans
        if low is not None:
            yield key >= low
        if high is not None:
            yield key < high
        if after and after.tier == tier:
            yield key < after.id

    def _matching(self, tier: int) -> ColumnElement[bool]:
        if self.sqlite:
            return literal_column("found_words").bool_op("MATCH")(self.fts(tier))
        asked = sql_cast(literal(self.tsquery(tier), String), TSQUERY)
        return literal_column("found_words.words").bool_op("@@")(asked)

    def fts(self, tier: int) -> str:
        """`({title} : ("hook" OR "hook"*)) AND ({fields} : ("pr_…")) NOT …`."""

        def scoped(scope: str) -> str:
            each = (
                f'("{w.token}" OR "{w.prefix}" *)' if w.prefix else f'"{w.token}"'
                for w in self.words
            )
            return " AND ".join(f"{{{scope}}} : {word}" for word in each)

        groups = [f"{{fields}} : ({' OR '.join(map(_quoted, group))})" for group in self.fields]
        asked = [f"({scoped(_SCOPES[tier])})"] if self.words else []
        told = f"({' AND '.join([*groups, *asked])})"
        if self.words and tier:
            told += f" NOT ({scoped(_SCOPES[tier - 1])})"
        if self.without:
            told = f"({told}) NOT ({{fields}} : ({' OR '.join(map(_quoted, self.without))}))"
        return told

    def tsquery(self, tier: int) -> str:
        """`('dpr_fdm') & ('bhook' | 'bhook':*) & !('ahook' | 'ahook':*)`."""

        def scoped(scope: str) -> str:
            each = (
                f"('{scope}{w.token}' | '{scope}{w.prefix}':*)"
                if w.prefix
                else f"'{scope}{w.token}'"
                for w in self.words
            )
            return " & ".join(each)

        groups = [f"({_any_field(group)})" for group in self.fields]
        asked = [f"({scoped(TIERS[tier])})"] if self.words else []
        if self.words and tier:
            asked.append(f"!({scoped(TIERS[tier - 1])})")
        if self.without:
            asked.append(f"!({_any_field(self.without)})")
        return " & ".join([*groups, *asked])


def _any_field(tokens: Iterable[str]) -> str:
    return " | ".join(f"'{FIELD}{token}'" for token in tokens)


def _quoted(token: str) -> str:
    return f'"{token}"'


def _midnight(day: date | None, days: int = 0) -> int | None:
    if day is None:
        return None
    return moment_id(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days))


# ── fields as tokens


def _fields(query: Query) -> Iterable[tuple[str, ...]]:
    yield from _made_of(query)
    for kind, values in (("li", query.licence), ("fo", query.format)):
        for each in tags(kind, values):
            yield (each,)
    texts = {"ve": query.version, "co": query.contributor, "lr": query.licensor}
    for kind, value in texts.items():
        if value:
            yield (tag(kind, value),)
    if query.forked_from:
        yield ("forked",) if query.forked_from == "*" else (tag("an", query.forked_from),)
    flags = {
        "recipe": query.recipe, "plan": query.inspection, "firstarticle": query.first_article,
        "deprecated": query.deprecated, "made": query.made,
    }  # fmt: skip
    for name, wanted in flags.items():
        if wanted:
            yield (name,)


def _made_of(query: Query) -> Iterable[tuple[str, ...]]:
    implied = len(query.process) == 1 and query.material
    for each in () if implied else tags("pr", query.process):
        yield (each,)
    for material in query.material:
        pairs = tuple(tag("pm", process, material) for process in query.process)
        yield pairs or (tag("ma", material),)
    if query.thickness is not None:
        yield (tag("th", f"{query.thickness:g}"),)


# ── numbers


def _numbers(query: Query) -> Iterable[ColumnElement[bool]]:
    if query.deprecated is False:
        yield FoundDesign.deprecated.is_(False)
    if query.sold:
        yield FoundDesign.sold.is_(True)
    if query.changed:
        yield FoundDesign.changed.is_(True)
    if query.mass_max is not None:
        yield FoundDesign.mass_mg <= round(query.mass_max * 1000)
    if query.volume_max is not None:
        yield FoundDesign.volume_mm3 <= round(query.volume_max * 1000)
    if query.tolerance is not None:
        yield FoundDesign.tolerance >= um(query.tolerance)
    if query.made is not None:
        yield FoundDesign.made >= query.made
    if query.fits is not None:
        yield from _fitting(query.fits, query.process)


def _fitting(box: Box, processes: Sequence[str]) -> Iterable[ColumnElement[bool]]:
    """A box turned along the axes holds another exactly if it does so side by sorted side.

    A sheet lies flat, and turns only on the bed.
    """
    a, b, c = sorted((box.x, box.y, box.z))
    side, width = sorted((box.x, box.y))
    every = and_(
        FoundDesign.solid_a <= a, FoundDesign.solid_b <= b, FoundDesign.solid_c <= c,
        FoundDesign.flat_a <= side, FoundDesign.flat_b <= width, FoundDesign.flat_t <= box.z,
    )  # fmt: skip
    if not processes:
        yield every
        return
    solid = or_(FoundPart.a > a, FoundPart.b > b, FoundPart.c > c)
    sheet = or_(FoundPart.a > side, FoundPart.b > width, FoundPart.c > box.z)
    too_large = or_(and_(FoundPart.flat.is_(False), solid), and_(FoundPart.flat, sheet))
    yield or_(every, not_(_part(FoundPart.process.in_(processes), too_large)))


def _part(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(FoundPart.id == FoundDesign.id, *conditions)


# ── what labs can make


def _dearest(able: Sequence[Able]) -> tuple[Able, ...]:
    """Without those that another one can do everything of; bounded, the first are kept."""
    kept: list[Able] = []
    for each in dict.fromkeys(able):
        if not any(_covers(other, each) for other in kept):
            kept = [other for other in kept if not _covers(each, other)]
            kept.append(each)
    return tuple(kept[:_MOST_ABLE])


def _covers(one: Able, other: Able) -> bool:
    thick = one.thickness is None or (
        other.thickness is not None and other.thickness <= one.thickness
    )
    return (
        thick
        and one.process == other.process
        and one.materials >= other.materials
        and (one.x >= other.x and one.y >= other.y and one.z >= other.z)
        and one.tolerance <= other.tolerance
    )


def _not_near(able: Sequence[Able]) -> tuple[str, ...]:
    """Tokens of what nobody near does at all: a design with one of them is out at once."""
    near = {(each.process, material) for each in able for material in each.materials}
    known = ((p.id, m.id) for p in PROCESSES for m in MATERIALS)
    return tuple(tag("pm", *pair) for pair in known if pair not in near)


def _makeable(able: Sequence[Able]) -> Iterable[ColumnElement[bool]]:
    """Every part can be made by one of them; before it, what rows can be left out at a glance."""
    if not able:
        yield text("1 = 0")  # pyright: ignore[reportReturnType]
        return
    sides = [sorted((each.x, each.y, each.z)) for each in able]
    yield FoundDesign.solid_a <= max(side[0] for side in sides)
    yield FoundDesign.solid_b <= max(side[1] for side in sides)
    yield FoundDesign.solid_c <= max(side[2] for side in sides)
    yield FoundDesign.flat_b <= max(max(each.x, each.y) for each in able)
    yield not_(_part(not_(or_(*(_can(each) for each in able)))))


def _can(each: Able) -> ColumnElement[bool]:
    limits = [
        FoundPart.process == each.process,
        FoundPart.material.in_(sorted(each.materials)),
        FoundPart.x <= each.x,
        FoundPart.y <= each.y,
        FoundPart.z <= each.z,
        FoundPart.tolerance >= each.tolerance,
    ]
    if each.thickness is not None:
        limits.append(FoundPart.thickness <= each.thickness)
    return and_(*limits)
