"""Alembic, kept apart: only a log that is new, or of an earlier release, needs it."""

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.core.errors import RecordUnavailable
from service.record.database import BEGIN_OPTION, open_engine


def upgrade(engine: Engine) -> None:
    """Run the revisions that the log lacks, in one transaction that no other writer shares.

    Raises
    ------
    RecordUnavailable
        Cannot be opened, or was written by a newer release than this one.
    """
    config = alembic_config()
    patient = open_engine(engine.url)  # a statement of a revision may take long
    try:
        with engine.connect():  # one that says nothing is not waited for as long
            pass
        with patient.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"}).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('shadow_log'))"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise RecordUnavailable("the shadow log's schema is unknown to this release") from error
    except SQLAlchemyError as error:
        cause = type(error.__cause__ or error).__name__
        raise RecordUnavailable(f"the shadow log cannot be opened ({cause})") from error
    finally:
        patient.dispose()


def alembic_config() -> Config:
    """Where the revisions are."""
    config = Config()
    config.set_main_option("script_location", "service.record:migrations")
    return config
