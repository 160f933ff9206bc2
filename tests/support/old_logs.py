"""Shadow logs as earlier releases left them, with rows in each table that they had."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, insert

from service.record import Evidence, Head, Kind
from service.record.chain import GENESIS, link
from service.record.database import open_engine
from service.record.evidence import evidence_columns
from service.record.rows import Columns, columns_of
from tests.support.record_entries import evaluated

CANDIDATE = '{"name":"tiny","priority":"review","version":"0.0.2"}'
"""In a column that nothing fills any more; the chain covers it all the same."""

MIGRATIONS = Config()
MIGRATIONS.set_main_option("script_location", "service.record:migrations")
REVISIONS = [step.revision for step in ScriptDirectory.from_config(MIGRATIONS).walk_revisions()]


def write_old_log(path: Path, revision: str) -> dict[str, Head]:
    """A file as a release of that schema left it, with rows in each table that it had."""
    return fill_old_log(f"sqlite:///{path}", revision)


def fill_old_log(url: str, revision: str) -> dict[str, Head]:
    """The same in an empty database of either kind."""
    engine = open_engine(url)
    heads = {"shadow_log": GENESIS, "evidence_log": GENESIS}
    rows = {
        "shadow_log": [
            columns_of(evaluated(scanner_alias=f"room-{n}")) | {"candidate": CANDIDATE}
            for n in (1, 2, 3)
        ],
        "evidence_log": [evidence_columns(Evidence(kind=Kind.LOOKUP, actor="a", body={}))],
    }
    with engine.begin() as connection:
        MIGRATIONS.attributes["connection"] = connection
        command.upgrade(MIGRATIONS, revision)
        known = MetaData()
        known.reflect(connection)
        for name, columns in rows.items():
            for row in columns if name in known.tables else []:
                heads[name] = _insert(connection, known.tables[name], row, heads[name])
    engine.dispose()
    return heads


def _insert(connection: Connection, table: Table, row: Columns, head: Head) -> Head:
    linked = link({name: value for name, value in row.items() if name in table.c}, head)
    connection.execute(insert(table), linked)
    return Head(head.sequence + 1, str(linked["row_digest"]))
