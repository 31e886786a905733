"""Changes nothing: what is decided once about published figures is kept in files of the state folder.

The number stays, because databases have passed it.
"""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
