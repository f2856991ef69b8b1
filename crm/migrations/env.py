"""What alembic runs for every upgrade: the connection comes from :func:`crm.state.open_state`."""

from __future__ import annotations

from alembic import context

from crm.state_tables import METADATA

connection = context.config.attributes["connection"]
# SQLite alters tables by making them anew.
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
