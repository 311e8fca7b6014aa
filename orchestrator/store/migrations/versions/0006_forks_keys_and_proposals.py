"""Where a release was forked from, what is kept of a maintainer's key, and proposals."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fork",
        sa.Column("release", sa.String(), nullable=False),
        sa.Column("ancestor", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release"], ["release.sha256"], name=op.f("fk_fork_release_release")
        ),
        sa.PrimaryKeyConstraint("release", name=op.f("pk_fork")),
    )
    op.create_index(op.f("ix_fork_ancestor"), "fork", ["ancestor"])
    op.create_table(
        "design_key",
        sa.Column("design", sa.String(), nullable=False),
        sa.Column("kept", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("design", name=op.f("pk_design_key")),
    )
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("design", sa.String(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kept", sa.String(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("release", sa.String(), nullable=True),
        sa.Column("terms", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["base"], ["release.sha256"], name=op.f("fk_proposal_base_release")
        ),
        sa.ForeignKeyConstraint(
            ["release"], ["release.sha256"], name=op.f("fk_proposal_release_release")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    op.create_index(op.f("ix_proposal_design"), "proposal", ["design"])
