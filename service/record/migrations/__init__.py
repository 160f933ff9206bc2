"""Revisions of the shadow log's schema, run by `service.record.schema.migrate`."""
