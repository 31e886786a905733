"""Who signs in from elsewhere, organisations that register themselves, budgets and webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BUDGET = ("cells_at_once", "cpu_seconds", "builds", "stored_bytes")
_NEW = ("notice_mark", "notices", "webhooks", "spent", "counted")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    for column in _BUDGET:
        kind = sa.BigInteger() if column in ("cpu_seconds", "stored_bytes") else sa.Integer()
        op.add_column("organisations", sa.Column(column, kind))
    op.add_column("organisations", sa.Column("registered_by", sa.String(32)))
    op.add_column("people", sa.Column("issuer", sa.String(300)))
    op.add_column("people", sa.Column("subject", sa.String(255)))
    op.add_column("people", sa.Column("mail", sa.String(254), nullable=False, server_default=""))
    op.add_column("people", sa.Column("language", sa.String(8), nullable=False, server_default="en"))
    op.create_index("ix_people_elsewhere", "people", ["issuer", "subject"], unique=True)
    op.create_table(
        "counted",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("begun", moment, nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
    )
    op.create_index("ix_counted_begun", "counted", ["begun"])
    op.create_table(
        "spent",
        sa.Column("submission", sa.String(32), primary_key=True),
        sa.Column("organisation", sa.String(32), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("cpu_seconds", sa.Double(), nullable=False),
        sa.Column("builds", sa.Integer(), nullable=False),
    )
    op.create_index("ix_spent_organisation", "spent", ["organisation"])
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("organisation", sa.String(32), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("made", moment, nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("tried", moment),
    )
    op.create_index("ix_webhooks_organisation", "webhooks", ["organisation"])
    op.create_table(
        "notices",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("webhook", sa.String(32)),
        sa.Column("person", sa.String(32)),
        sa.Column("event", sa.String(60), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("put", moment, nullable=False),
        sa.Column("due", moment, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
    )
    for column in ("webhook", "due"):
        op.create_index(f"ix_notices_{column}", "notices", [column])
    op.create_table(
        "notice_mark",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    for table in _NEW:
        op.drop_table(table)
    op.drop_index("ix_people_elsewhere", "people")
    for column in ("issuer", "subject", "mail", "language"):
        op.drop_column("people", column)
    for column in (*_BUDGET, "registered_by"):
        op.drop_column("organisations", column)
