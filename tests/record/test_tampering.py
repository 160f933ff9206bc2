"""Whoever owns the database can change any row of either table; `verify` names the first."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Table, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DatabaseError

from service.record import Evidence, Kind, open_reader, open_record
from service.record.chain import Break, Fault, Head, link, row_digest, verify
from service.record.queries import read_head
from service.record.rows import Columns
from service.record.tables import CHAINED
from tests.support.record_entries import evaluated, replayed

ROWS = 6
tables = pytest.mark.parametrize("table", CHAINED, ids=lambda table: table.name)


@pytest.fixture
async def url(log_url: str) -> str:
    """Six rows in each table, with something in every column."""
    record = open_record(log_url)
    first = evaluated(reason="X", age_band="40-59")
    for entry in (first, *(evaluated() for _ in range(ROWS - 2)), replayed(first)):
        await record.append(entry)
        await record.note(
            Evidence(
                kind=Kind.ADJUDICATION, body={"note": "x"}, entry=entry.id, actor="local",
                study_instance="a" * 64, accession="b" * 64,
            )
        )  # fmt: skip
    await record.close()
    return log_url


@contextmanager
def _forging(url: str, table: Table) -> Iterator[Connection]:
    """A transaction without the triggers, which is taken back at the end."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER {table.name}_no_{verb}"))
        else:
            trigger = f"{table.name}_append_only"
            connection.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER {trigger}"))
        yield connection
        connection.rollback()
    engine.dispose()


def _set(connection: Connection, table: Table, place: int, /, **values: object) -> None:
    connection.execute(update(table).where(table.c.sequence == place).values(**values))


def _row(connection: Connection, table: Table, sequence: int) -> Columns:
    found = connection.execute(select(table).where(table.c.sequence == sequence))
    return dict(found.mappings().one())


def _head(connection: Connection, table: Table, sequence: int) -> Head:
    return Head(sequence, str(_row(connection, table, sequence)["row_digest"]))


@tables
async def test_an_edit_of_any_column_is_named(url: str, table: Table) -> None:
    columns = [column.name for column in table.columns if column.name != "sequence"]
    with _forging(url, table) as connection:
        before = _row(connection, table, 3)
        found = {}
        for name in columns:
            _set(connection, table, 3, **{name: f"{before[name] or ''}0"})
            found[name] = verify(connection, table=table).broken
            _set(connection, table, 3, **{name: before[name]})
        untouched = verify(connection, table=table)

    assert found == dict.fromkeys(columns, Break(3, Fault.ROW_EDITED))
    assert untouched.is_whole


@tables
@pytest.mark.parametrize("sequence", [1, 4])
async def test_a_deleted_row_is_named(url: str, table: Table, sequence: int) -> None:
    with _forging(url, table) as connection:
        connection.execute(delete(table).where(table.c.sequence == sequence))

        assert verify(connection, table=table).broken == Break(sequence, Fault.ROW_MISSING)


@tables
async def test_a_deleted_end_is_named_against_a_noted_head(url: str, table: Table) -> None:
    with _forging(url, table) as connection:
        noted = read_head(connection, table)
        connection.execute(delete(table).where(table.c.sequence > 4))

        assert verify(connection, noted, table=table).broken == Break(5, Fault.TAIL_MISSING)


@tables
async def test_each_of_several_noted_heads_is_checked(url: str, table: Table) -> None:
    with _forging(url, table) as connection:
        early, newest = _head(connection, table, 2), read_head(connection, table)
        other = Head(2, f"sha256:{'a' * 64}")

        assert verify(connection, early, newest, table=table).is_whole
        for noted in ((other, newest), (newest, other), (early, other), (other, early)):
            assert verify(connection, *noted, table=table).broken == Break(2, Fault.ANCHOR_DIFFERS)


@tables
async def test_two_rows_in_each_others_place_are_named(url: str, table: Table) -> None:
    with _forging(url, table) as connection:
        for before, after in ((2, 99), (5, 2), (99, 5)):
            _set(connection, table, before, sequence=after)

        assert verify(connection, table=table).broken == Break(2, Fault.ROW_EDITED)


@tables
async def test_a_row_digested_anew_breaks_the_next(url: str, table: Table) -> None:
    with _forging(url, table) as connection:
        forged = _row(connection, table, 2) | {"id": "0197-forged"}
        _set(connection, table, 2, id=forged["id"], row_digest=row_digest(forged))

        assert verify(connection, table=table).broken == Break(3, Fault.LINK_BROKEN)


@tables
async def test_a_chain_rewritten_to_its_end_is_named_against_a_noted_head(
    url: str, table: Table
) -> None:
    with _forging(url, table) as connection:
        noted = read_head(connection, table)
        head = _head(connection, table, 3)
        for sequence in range(4, ROWS + 1):
            row = _row(connection, table, sequence)
            plain = {n: v for n, v in row.items() if n not in ("previous_digest", "row_digest")}
            _set(connection, table, sequence, **link(plain | {"id": f"forged-{sequence}"}, head))
            head = _head(connection, table, sequence)

        assert verify(connection, table=table).is_whole
        assert verify(connection, noted, table=table).broken == Break(ROWS, Fault.ANCHOR_DIFFERS)


@tables
async def test_an_inserted_row_is_named(url: str, table: Table) -> None:
    with _forging(url, table) as connection:
        row = _row(connection, table, ROWS)
        connection.execute(insert(table), [row | {"id": "forged", "sequence": ROWS + 1}])

        assert verify(connection, table=table).broken == Break(ROWS + 1, Fault.ROW_EDITED)


@tables
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = 'x'", "DELETE FROM {}"])
async def test_the_database_itself_refuses(url: str, table: Table, verb: str) -> None:
    engine = create_engine(url)
    with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
        connection.execute(text(verb.format(table.name)))
    engine.dispose()

    reader = open_reader(url)
    assert reader.verify(table=table).is_whole
    reader.close()
