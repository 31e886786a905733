"""Retention until a review closes, and where the head of the audit log was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("until_review", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "audit_heads",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("place", sa.String(300), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("audit_heads")
    op.drop_column("submissions", "until_review")
