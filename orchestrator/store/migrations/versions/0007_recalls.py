"""Recalls, and what they ask of a make: its file, its lot, when its machine worked on it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _recalls()
    with op.batch_alter_table("make", schema=None) as batch_op:
        batch_op.add_column(sa.Column("began_at", _MOMENT, nullable=True))
        batch_op.add_column(sa.Column("ended_at", _MOMENT, nullable=True))
        for name in ("file", "lot", "lot_key"):
            batch_op.add_column(sa.Column(name, sa.String(), nullable=True))
    _what_the_attempts_know()
    with op.batch_alter_table("make", schema=None) as batch_op:
        for name in ("began_at", "ended_at"):
            batch_op.alter_column(name, existing_type=_MOMENT, nullable=False)
        for name in ("release", "file", "lot_key"):
            batch_op.create_index(batch_op.f(f"ix_make_{name}"), [name], unique=False)
        batch_op.create_index("make_by_machine", ["agent", "machine", "began_at"], unique=False)


def _what_the_attempts_know() -> None:
    """Where an attempt did not note its start, the make was one moment: when we were told."""
    op.execute(
        "UPDATE make SET ended_at = made_at, "
        "began_at = COALESCE((SELECT a.started_at FROM attempt a "
        "WHERE a.id = make.attempt AND a.started_at <= make.made_at), made_at), "
        "file = (SELECT a.file FROM attempt a WHERE a.id = make.attempt)"
    )


def _recalls() -> None:
    op.create_table(
        "recall",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("todo", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.Column("settled_why", sa.Text(), nullable=True),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.Column("lifted_at", _MOMENT, nullable=True),
        sa.Column("lifted_why", sa.Text(), nullable=True),
        sa.Column("lifted_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall")),
    )
    op.create_index(op.f("ix_recall_state"), "recall", ["state"], unique=False)
    op.create_table(
        "recall_job",
        sa.Column("recall", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("attempt", sa.String(), nullable=True),
        sa.Column("did", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"], name=op.f("fk_recall_job_job")),
        sa.ForeignKeyConstraint(["recall"], ["recall.id"], name=op.f("fk_recall_job_recall")),
        sa.PrimaryKeyConstraint("recall", "job", name=op.f("pk_recall_job")),
    )
    op.create_table(
        "recall_notice",
        sa.Column("recall", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("told_at", _MOMENT, nullable=True),
        sa.Column("told_how", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_recall_notice_order_id")
        ),
        sa.ForeignKeyConstraint(["recall"], ["recall.id"], name=op.f("fk_recall_notice_recall")),
        sa.PrimaryKeyConstraint("recall", "order_id", name=op.f("pk_recall_notice")),
    )
    op.create_index(op.f("ix_recall_notice_order_id"), "recall_notice", ["order_id"], unique=False)
