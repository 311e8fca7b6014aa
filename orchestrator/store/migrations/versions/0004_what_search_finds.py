"""Designs are found by words and by every field.

The tables are filled at the next start (`orchestrator/catalogue/search/index.py`, `ensure`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NUMBERS = (
    *("solid_a", "solid_b", "solid_c", "flat_a", "flat_b", "flat_t"),
    *("mass_mg", "volume_mm3", "tolerance"),
)
_FLAGS = ("deprecated", "sold", "changed")
_SIZES = ("x", "y", "z", "a", "b", "c", "thickness", "tolerance")


def _key() -> sa.Column[int]:
    return sa.Column("id", _BIG, autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "found_design",
        _key(),
        *(sa.Column(name, _BIG, nullable=False) for name in _NUMBERS),
        sa.Column("made", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in _FLAGS),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_design")),
    )
    op.create_table(
        "found_card",
        _key(),
        sa.Column("design", sa.String(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_card")),
        sa.UniqueConstraint("design", name=op.f("uq_found_card_design")),
    )
    op.create_table(
        "found_part",
        _key(),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("material", sa.String(), nullable=False),
        sa.Column("flat", sa.Boolean(), nullable=False),
        *(sa.Column(name, _BIG, nullable=False) for name in _SIZES),
        sa.PrimaryKeyConstraint("id", "n", name=op.f("pk_found_part")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "found_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_state")),
    )
    _words()
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_release_published_at"), ["published_at"])


def _words() -> None:
    """Tokens come in [a-z0-9_], made by us: the engine splits at blanks and changes nothing."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE found_words USING fts5("
            "title, function, parts, fields, "
            "tokenize = \"ascii tokenchars '_'\", detail = column, prefix = '2 3')"
        )
        return
    op.execute("CREATE TABLE found_words (id bigint PRIMARY KEY, words tsvector NOT NULL)")
    op.execute("CREATE INDEX ix_found_words_words ON found_words USING gin (words)")
