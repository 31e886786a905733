"""Who else had a hand in a submission: whoever filled in or confirmed a part of its draft."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submissions", sa.Column("hands", sa.JSON(), nullable=False, server_default="[]"))
    op.create_index("ix_audit_subject", "audit", ["subject"])


def downgrade() -> None:
    op.drop_index("ix_audit_subject", "audit")
    op.drop_column("submissions", "hands")
