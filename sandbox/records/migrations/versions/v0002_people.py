"""People, organisations and roles, sessions, tokens of programs, and drafts of the questionnaire."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("submissions", sa.Column("organisation", sa.String(32)))
    op.add_column("submissions", sa.Column("submitted_by", sa.String(32)))
    op.create_index("ix_submissions_organisation", "submissions", ["organisation"])
    op.create_table(
        "organisations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("made", moment, nullable=False),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("login", sa.String(100), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("password", sa.String(300), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("made", moment, nullable=False),
    )
    op.create_table(
        "memberships",
        sa.Column("person", sa.String(32), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("organisation", sa.String(32), sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(32), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("begun", moment, nullable=False),
        sa.Column("seen", moment, nullable=False),
    )
    op.create_index("ix_sessions_person", "sessions", ["person"])
    op.create_table(
        "failed_sign_ins",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last", moment, nullable=False),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("person", sa.String(32), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("organisation", sa.String(32), sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("made", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
    )
    op.create_index("ix_api_tokens_person", "api_tokens", ["person"])
    op.create_table(
        "questionnaires",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("changed", moment, nullable=False),
    )
    op.create_index("ix_questionnaires_changed", "questionnaires", ["changed"])


def downgrade() -> None:
    for table in ("questionnaires", "api_tokens", "failed_sign_ins", "sessions", "memberships", "people"):
        op.drop_table(table)
    op.drop_table("organisations")
    op.drop_index("ix_submissions_organisation", "submissions")
    op.drop_column("submissions", "submitted_by")
    op.drop_column("submissions", "organisation")
