"""Whose turn it is: priorities, when an organisation was served last, and how much of its work may run at once."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("organisations", sa.Column("running_at_once", sa.Integer()))
    op.add_column("organisations", sa.Column("served", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("organisations", "served")
    op.drop_column("organisations", "running_at_once")
    op.drop_column("submissions", "priority")
