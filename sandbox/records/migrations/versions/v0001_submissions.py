"""Submissions, the audit log (which refuses to be changed) and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WORDS = "the audit log is only ever added to"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "submissions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("received", moment, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease_until", moment),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("started", moment),
        sa.Column("ended", moment),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("incident", sa.String(32)),
        sa.Column("system", sa.Text()),
        sa.Column("version", sa.String(60)),
        sa.Column("risk_class", sa.String(60)),
        sa.Column("beyond", sa.Integer()),
        sa.Column("undecided", sa.Integer()),
        sa.Column("within", sa.Integer()),
        sa.Column("dossier", sa.String(80)),
        sa.Column("dossier_digest", sa.String(64)),
        sa.Column("evidence_digest", sa.String(64)),
    )
    op.create_index("ix_submissions_state_received", "submissions", ["state", "received"])
    op.create_index("ix_submissions_received", "submissions", ["received"])
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
    )
    op.create_table(
        "outbox",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("folder", sa.String(80), nullable=False),
        sa.Column("put", moment, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("logged", moment),
        sa.Column("mlflow_run", sa.String(64)),
    )
    op.create_index("ix_outbox_logged", "outbox", ["logged"])
    match op.get_bind().dialect.name:
        case "sqlite":
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                    f"BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
                )
        case "postgresql":
            op.execute(
                "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{_WORDS}'; END $$"
            )
            op.execute(
                "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
                "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()"
            )
        case _:
            pass


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("audit")
    op.drop_table("submissions")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuses()")
