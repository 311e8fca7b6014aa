"""Makes whose end is a person's word say so."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("make", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("attested", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
