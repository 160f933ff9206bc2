"""Run by Alembic: applies the revisions on the connection that `open_queue` hands over."""

from alembic import context

from service.pacs.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
