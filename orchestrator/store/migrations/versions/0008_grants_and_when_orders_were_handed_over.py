"""Grants beyond a licence, the orders that stand on them, and when an order was handed over."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _grants()
    op.create_table(
        "grant_use",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("grant", sa.String(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["grant"], ["licence_grant.id"], name=op.f("fk_grant_use_grant_licence_grant")
        ),
        sa.PrimaryKeyConstraint("order_id", "part", "grant", name=op.f("pk_grant_use")),
    )
    op.create_index(op.f("ix_grant_use_grant"), "grant_use", ["grant"])
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("handed_over_at", _MOMENT, nullable=True))
    op.execute(
        "UPDATE orders SET handed_over_at = (SELECT MAX(e.at) FROM event e "
        "WHERE e.kind = 'order.handed_over' AND e.subject = orders.id)"
    )


def _grants() -> None:
    op.create_table(
        "licence_grant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("design", sa.String(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("acts", sa.JSON(), nullable=False),
        sa.Column("whom", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_version", sa.String(), nullable=True),
        sa.Column("last_version", sa.String(), nullable=True),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("most_units", sa.Integer(), nullable=True),
        sa.Column("fee_cents", sa.Integer(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("share_pct", sa.Float(), nullable=True),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.Column("withdrawn_at", _MOMENT, nullable=True),
        sa.Column("withdrawn_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_licence_grant")),
    )
    op.create_index(op.f("ix_licence_grant_design"), "licence_grant", ["design"])
