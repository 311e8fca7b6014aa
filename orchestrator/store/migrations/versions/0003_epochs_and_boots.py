"""Each life of the store has a number, and so has what an agent was told in it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COUNTS = {"epoch": "1", "down_floor": "0", "without": "0"}


def upgrade() -> None:
    op.create_table(
        "store_epoch",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_store_epoch")),
    )
    with op.batch_alter_table("agent_link", schema=None) as batch_op:
        for name, first in _COUNTS.items():
            batch_op.add_column(sa.Column(name, sa.Integer(), server_default=first, nullable=False))
        batch_op.add_column(sa.Column("turned_away", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("strange", sa.String(), nullable=True))
