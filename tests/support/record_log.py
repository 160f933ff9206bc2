"""Writes to a shadow log from outside the service, honestly or not."""

from sqlalchemy import create_engine, text

from service.record import open_record
from tests.support.record_entries import evaluated


async def write_rows(url: str, rows: int) -> None:
    """Append rows as the service does, and close."""
    record = open_record(url)
    for _ in range(rows):
        await record.append(evaluated())
    await record.close()


def tamper(url: str, *statements: str) -> None:
    """Run SQL as someone would who has the database and not the service."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
