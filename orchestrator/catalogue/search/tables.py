"""The tables of search: one row for the listed release of each design, and one for each part.

The words stand in `found_words`, which each engine has in its own way (step 0004): a table of FTS5
in SQLite, a tsvector with a GIN index in PostgreSQL. Lengths are whole micrometres.
"""

from typing import Final

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.store import Base

_Big: Final = BigInteger().with_variant(Integer, "sqlite")  # INTEGER is SQLite's own row number
ENDLESS: Final = 1 << 40
"""Micrometres: for a part without tolerance, and a box without a lid."""


class FoundDesign(Base):
    """Kept narrow: a question without words may have to read every row.

    `id` is the moment of publishing in microseconds, so that its order is newest first. The six
    sizes are the largest of all parts: of solids the sides by length, of sheets both sides by
    length and the thickness; 0 where there is none.
    """

    __tablename__ = "found_design"

    id: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    solid_a: Mapped[int] = mapped_column(_Big)
    solid_b: Mapped[int] = mapped_column(_Big)
    solid_c: Mapped[int] = mapped_column(_Big)
    flat_a: Mapped[int] = mapped_column(_Big)
    flat_b: Mapped[int] = mapped_column(_Big)
    flat_t: Mapped[int] = mapped_column(_Big)
    mass_mg: Mapped[int] = mapped_column(_Big)
    volume_mm3: Mapped[int] = mapped_column(_Big)
    tolerance: Mapped[int] = mapped_column(_Big)
    """The tightest that any part asks for; `ENDLESS` if none asks."""
    made: Mapped[int]
    """Conforming makes of any of the design's releases."""
    deprecated: Mapped[bool]
    sold: Mapped[bool]
    """Whether it may be made for payment. What most designs have is asked of the row: as a token
    it would be a list nearly as long as all designs."""
    changed: Mapped[bool]
    kinds: Mapped[str] = mapped_column(Text)
    """`p:laser_cutting m:plywood l:CERN-OHL-W-2.0 …`: what facets are counted from."""


class FoundCard(Base):
    """What a list shows of a design, as JSON of `documents.Card`."""

    __tablename__ = "found_card"

    id: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    design: Mapped[str] = mapped_column(unique=True)
    card: Mapped[str] = mapped_column(Text)


class FoundPart(Base):
    """`x`, `y`, `z` as the file lies, `a` ≤ `b` ≤ `c` the same of a solid by length; of a sheet
    `a` ≤ `b` are its sides and `c` its thickness.
    """

    __tablename__ = "found_part"
    __table_args__ = ({"sqlite_with_rowid": False},)

    id: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    process: Mapped[str]
    material: Mapped[str]
    flat: Mapped[bool]
    x: Mapped[int] = mapped_column(_Big)
    y: Mapped[int] = mapped_column(_Big)
    z: Mapped[int] = mapped_column(_Big)
    a: Mapped[int] = mapped_column(_Big)
    b: Mapped[int] = mapped_column(_Big)
    c: Mapped[int] = mapped_column(_Big)
    thickness: Mapped[int] = mapped_column(_Big)
    tolerance: Mapped[int] = mapped_column(_Big)


class FoundState(Base):
    """One row: by which rules the index was made."""

    __tablename__ = "found_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rules: Mapped[str]
