"""Assignments, holdouts of reviewers, questions and answers, second signatures."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "review_assignments",
        sa.Column("submission", sa.String(32), sa.ForeignKey("submissions.id"), primary_key=True),
        sa.Column("person", sa.String(32), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("due", sa.Date(), nullable=False),
        sa.Column("asked_by", sa.String(32), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("review_entries", sa.Column("passage", sa.String(300), nullable=False, server_default=""))
    op.add_column("review_entries", sa.Column("answers", sa.Integer()))
    op.add_column("review_entries", sa.Column("stated", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("submissions", sa.Column("holdout_of", sa.String(32)))
    op.create_index("ix_submissions_holdout_of", "submissions", ["holdout_of"])


def downgrade() -> None:
    op.drop_index("ix_submissions_holdout_of", "submissions")
    op.drop_column("submissions", "holdout_of")
    for column in ("passage", "answers", "stated"):
        op.drop_column("review_entries", column)
    op.drop_table("review_assignments")
