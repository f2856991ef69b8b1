"""The first form of the state."""

from __future__ import annotations

from alembic import op

from crm.state_tables import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go to this form."""
    METADATA.create_all(op.get_bind())


def downgrade() -> None:
    """Go back to the form before it."""
    METADATA.drop_all(op.get_bind())
