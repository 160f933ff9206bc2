"""Revisions of the queue's schema, applied by Alembic when the queue is opened."""
