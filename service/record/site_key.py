"""One log, one site key: which key it began with, and no other after it."""

from pathlib import Path

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from service.core.errors import CxrError, RecordUnavailable
from service.record.chain import GENESIS
from service.record.database import create_private_file, open_engine, path_beside, writing
from service.record.pseudonyms import (
    Pseudonymiser,
    SiteKeyMissing,
    load_key,
    load_or_create_key,
)
from service.record.queries import read_head
from service.record.schema import migrate
from service.record.server import SERVING
from service.record.tables import CHAINED, shadow_log, site_key

CHECKED_TEXT = "site key of this shadow log"
"""What every site key signs; the signature tells keys apart and nothing about them."""


class SiteKeyDiffers(CxrError):
    """The log began with another key: no row would be found again under this one."""

    code = "SITE_KEY_DIFFERS"

    def __init__(self) -> None:
        super().__init__(
            "CXR_RECORD__SITE_KEY_FILE is not the key that this shadow log began with; put that "
            "one back from its backup"
        )


def open_site_key(url: str, path: Path) -> Pseudonymiser:
    """Read the key of a log and hold the log to it; make one only where the log begins.

    A log of an earlier release, which does not know its key, learns it here.

    Raises
    ------
    SiteKeyMissing
        The log has rows, and their key is not there.
    SiteKeyDiffers
        The rows were written under another key.
    SiteKeyInvalid
        The file is not a key.
    RecordUnavailable
        The log cannot be opened.
    """
    create_private_file(url)
    engine = open_engine(url, patience=SERVING)
    try:
        migrate(engine)
        with writing(engine) as connection:
            return _hold(connection, path)
    except SQLAlchemyError as error:
        raise RecordUnavailable("the shadow log cannot be written") from error
    finally:
        engine.dispose()


def load_signer(url: str, path: Path) -> Pseudonymiser:
    """The key of a log that there is, for a command beside the service; makes and notes nothing.

    Raises
    ------
    SiteKeyMissing, SiteKeyDiffers, SiteKeyInvalid
        See `open_site_key`.
    """
    signer = Pseudonymiser(load_key(path))
    file = path_beside(url, "")
    if file is not None and not file.exists():
        return signer
    if _stored_beside(url) not in (None, signer.sign(CHECKED_TEXT)):
        raise SiteKeyDiffers
    return signer


def _hold(connection: Connection, path: Path) -> Pseudonymiser:
    stored = connection.scalar(select(site_key.c.check_value))
    has_begun = _has_begun(connection, stored)
    if has_begun and not path.exists():
        raise SiteKeyMissing(
            "the shadow log has rows, and there is no site key at CXR_RECORD__SITE_KEY_FILE; under "
            "a new one none of them would be found again: put the key back from its backup"
        )
    signer = Pseudonymiser(load_or_create_key(path))
    check_value = signer.sign(CHECKED_TEXT)
    if stored == check_value:
        return signer
    if has_begun and stored is not None:
        raise SiteKeyDiffers
    connection.execute(delete(site_key))
    connection.execute(insert(site_key).values(check_value=check_value))
    return signer


def _has_begun(connection: Connection, stored: str | None) -> bool:
    """Whether rows may hold pseudonyms; criteria may be registered before there is any key."""
    tables = (shadow_log,) if stored is None else CHAINED
    return any(read_head(connection, table) != GENESIS for table in tables)


def _stored_beside(url: str) -> str | None:
    """None where the log is of an earlier release."""
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            return connection.scalar(select(site_key.c.check_value))
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
