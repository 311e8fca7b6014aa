"""Which plan is in force, what it weighs, and who plans."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("planner", sa.String(), nullable=False),
        sa.Column("held_until", _MOMENT, nullable=False),
        sa.Column("made_at", _MOMENT, nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("objective_minor", sa.BigInteger(), nullable=True),
        sa.Column("bound_minor", sa.BigInteger(), nullable=True),
        sa.Column("placed", sa.Integer(), nullable=True),
        sa.Column("left_out", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("region", name=op.f("pk_plan")),
    )
