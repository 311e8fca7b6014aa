"""A release has a state, a pre-release its labs, and what is not published yet a draft."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("state", sa.String(), server_default="released", nullable=False)
        )
        batch_op.add_column(sa.Column("state_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("reason", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("successor", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("key_sha256", sa.String(), nullable=True))
        batch_op.create_index(op.f("ix_release_key_sha256"), ["key_sha256"])
        batch_op.drop_constraint(op.f("uq_release_design_version"), type_="unique")
        batch_op.create_index(
            "one_public_release_of_a_version",
            ["design", "version"],
            unique=True,
            sqlite_where=sa.text("NOT private"),
            postgresql_where=sa.text("NOT private"),
        )
    op.create_table(
        "release_lab",
        sa.Column("release", sa.String(), nullable=False),
        sa.Column("lab", sa.String(), nullable=False),
        sa.Column("key_sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release"], ["release.sha256"], name=op.f("fk_release_lab_release_release")
        ),
        sa.PrimaryKeyConstraint("release", "lab", name=op.f("pk_release_lab")),
    )
    _drafts()


def _drafts() -> None:
    op.create_table(
        "draft",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key_sha256", sa.String(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("release", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
    )
    for column in ("key_sha256", "used_at"):
        op.create_index(op.f(f"ix_draft_{column}"), "draft", [column])
    op.create_table(
        "draft_file",
        sa.Column("draft", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=True),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("pictures", sa.JSON(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["draft"], ["draft.id"], name=op.f("fk_draft_file_draft_draft")),
        sa.PrimaryKeyConstraint("draft", "name", name=op.f("pk_draft_file")),
    )
