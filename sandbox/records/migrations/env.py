"""Run the migrations on the connection that `sandbox.records.database.migrate` hands over."""

from alembic import context

from sandbox.records.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
if connection.in_transaction():
    connection.commit()
