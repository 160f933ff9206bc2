"""Which schema a shadow log has, and bringing an older one up to date."""

from typing import Final

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.core.errors import RecordUnavailable

NEWEST: Final = "0004"
"""The last of `migrations/versions`: what this release writes and reads."""


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision, or leave it if it is there already.

    Several processes may do so at once: one migrates, the others wait and find it done.

    Raises
    ------
    RecordUnavailable
        Cannot be opened, or was written by a newer release than this one.
    """
    if _revision_of(engine) == NEWEST:
        return
    from service.record.upgrade import upgrade  # noqa: PLC0415 - a tenth of a second of each start

    upgrade(engine)


def has_log(engine: Engine) -> bool:
    """Whether there is a log of any release."""
    return _revision_of(engine) is not None


def check_schema(engine: Engine) -> None:
    """Refuse a log that another release wrote, before its columns look damaged.

    Raises
    ------
    RecordUnavailable
        Says which revision was found and which this release reads.
    """
    found = _revision_of(engine)
    if found not in (None, NEWEST):  # no log at all: whoever reads it says so
        raise RecordUnavailable(
            f"the shadow log has schema {found}; this release reads {NEWEST}: start the service "
            "once, and it brings an older log up to date"
        )


def _revision_of(engine: Engine) -> str | None:
    """None where there is no log, or no way to it."""
    try:
        with engine.begin() as connection:
            return connection.scalar(text("SELECT version_num FROM alembic_version")) or ""
    except SQLAlchemyError:
        return None
