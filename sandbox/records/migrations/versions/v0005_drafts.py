"""Submissions that are still being put together, and uploads in parts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OF_SUBMISSIONS = ("draft", "previous", "retention_days", "data_digest", "limits_digest")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "drafts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("organisation", sa.String(32)),
        sa.Column("made_by", sa.String(32)),
        sa.Column("made", moment, nullable=False),
        sa.Column("changed", moment, nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(32)),
        sa.Column("submission", sa.String(32)),
    )
    for column in ("organisation", "changed", "submission"):
        op.create_index(f"ix_drafts_{column}", "drafts", [column])
    op.create_table(
        "draft_sections",
        sa.Column("draft", sa.String(32), sa.ForeignKey("drafts.id"), primary_key=True),
        sa.Column("section", sa.String(20), primary_key=True),
        sa.Column("assigned_to", sa.String(32)),
        sa.Column("confirmed_by", sa.String(32)),
        sa.Column("confirmed_name", sa.String(200), nullable=False),
        sa.Column("confirmed_at", moment),
    )
    op.create_table(
        "draft_files",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("draft", sa.String(32), sa.ForeignKey("drafts.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made", moment, nullable=False),
    )
    op.create_index("ix_draft_files_draft", "draft_files", ["draft"])
    op.create_table(
        "draft_jobs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("draft", sa.String(32), sa.ForeignKey("drafts.id"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("asked", moment, nullable=False),
        sa.Column("until", moment),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
    )
    for column in ("draft", "state"):
        op.create_index(f"ix_draft_jobs_{column}", "draft_jobs", [column])
    op.add_column("submissions", sa.Column("draft", sa.String(32)))
    op.add_column("submissions", sa.Column("previous", sa.String(32)))
    op.add_column("submissions", sa.Column("retention_days", sa.Integer()))
    op.add_column("submissions", sa.Column("data_digest", sa.String(64)))
    op.add_column("submissions", sa.Column("limits_digest", sa.String(64)))
    op.create_index("ix_submissions_data_digest", "submissions", ["data_digest"])


def downgrade() -> None:
    op.drop_index("ix_submissions_data_digest", "submissions")
    for column in _OF_SUBMISSIONS:
        op.drop_column("submissions", column)
    for table in ("draft_jobs", "draft_files", "draft_sections", "drafts"):
        op.drop_table(table)
