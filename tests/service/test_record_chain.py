from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, insert, text, update

from service.record.chain import (
    GENESIS,
    Break,
    Fault,
    Head,
    VerifyReport,
    link,
    row_digest,
    verify,
)
from service.record.rows import Columns, columns_of
from service.record.tables import metadata, shadow_log
from tests.support.record_entries import conflict, evaluated, not_evaluated, replayed

EDITABLE = [column.name for column in shadow_log.columns if column.name != "sequence"]


def _chain() -> list[Columns]:
    entries = [evaluated(), not_evaluated(), conflict(), evaluated(), evaluated(), evaluated()]
    head, rows = GENESIS, []
    for entry in [*entries, replayed(entries[0])]:
        rows.append(link(columns_of(entry), head))
        head = Head(head.sequence + 1, str(rows[-1]["row_digest"]))
    return rows


ROWS = _chain()
LAST = len(ROWS)
sequences = st.integers(1, LAST)


@contextmanager
def _logged(rows: list[Columns] = ROWS) -> Iterator[Connection]:
    """Hold the rows in a database without triggers, as a forger with the file would."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(shadow_log), rows)
        yield connection
    engine.dispose()


def _edit(connection: Connection, sequence: int, **values: Any) -> None:
    connection.execute(update(shadow_log).where(shadow_log.c.sequence == sequence).values(**values))


def _remove(connection: Connection, sequence: int) -> None:
    connection.execute(delete(shadow_log).where(shadow_log.c.sequence == sequence))


def _head(sequence: int) -> Head:
    return Head(sequence, str(ROWS[sequence - 1]["row_digest"])) if sequence else GENESIS


def test_a_chain_that_nobody_touched_is_whole() -> None:
    with _logged() as connection:
        assert verify(connection, _head(3)) == VerifyReport(_head(LAST), None)


def test_an_empty_log_is_whole() -> None:
    with _logged() as connection:
        connection.execute(delete(shadow_log))

        assert verify(connection) == VerifyReport(GENESIS, None)


@settings(deadline=None)
@given(sequences, st.sampled_from(EDITABLE), st.none() | st.text("ab:{}0 ", max_size=3))
def test_any_edit_of_any_column_is_noticed_at_its_row(
    sequence: int, column: str, value: str | None
) -> None:
    forged = [dict(row) for row in ROWS]
    forged[sequence - 1][column] = value
    untouched = forged == ROWS

    with create_engine("sqlite://").begin() as connection:
        columns = ", ".join(name for name in ROWS[0])  # a table without constraints takes NULL
        connection.execute(text(f"CREATE TABLE shadow_log ({columns})"))
        connection.execute(insert(shadow_log), forged)
        report = verify(connection)

    expected = VerifyReport(_head(sequence - 1), Break(sequence, Fault.ROW_EDITED))
    assert report == (VerifyReport(_head(LAST), None) if untouched else expected)


@settings(deadline=None)
@given(sequences, st.sampled_from(EDITABLE), st.integers(0, 500), st.integers(0, 6))
def test_one_flipped_bit_is_noticed(sequence: int, column: str, position: int, bit: int) -> None:
    before = str(ROWS[sequence - 1][column] or "x").encode()
    at = position % len(before)
    after = before[:at] + bytes([before[at] ^ (1 << bit)]) + before[at + 1 :]

    with _logged() as connection:
        _edit(connection, sequence, **{column: after.decode()})

        assert verify(connection).broken == Break(sequence, Fault.ROW_EDITED)


@settings(deadline=None)
@given(st.integers(1, LAST - 1))
def test_a_row_taken_from_the_middle_is_noticed(sequence: int) -> None:
    with _logged() as connection:
        _remove(connection, sequence)

        report = verify(connection)

    assert report == VerifyReport(_head(sequence - 1), Break(sequence, Fault.ROW_MISSING))


@settings(deadline=None)
@given(st.lists(sequences, min_size=2, max_size=2, unique=True).map(sorted))
def test_two_rows_that_change_places_are_noticed(pair: list[int]) -> None:
    first, second = pair
    swapped = [dict(row) for row in ROWS]
    swapped[first - 1]["sequence"], swapped[second - 1]["sequence"] = second, first

    with _logged(swapped) as connection:
        assert verify(connection).broken == Break(first, Fault.ROW_EDITED)


@settings(deadline=None)
@given(st.integers(1, LAST - 1))
def test_an_edit_that_is_digested_anew_is_noticed_at_the_next_row(sequence: int) -> None:
    forged = ROWS[sequence - 1] | {"reason": "FORGED"}

    with _logged() as connection:
        _edit(connection, sequence, reason="FORGED", row_digest=row_digest(forged))

        assert verify(connection).broken == Break(sequence + 1, Fault.LINK_BROKEN)


@settings(deadline=None)
@given(st.integers(0, LAST - 1))
def test_rows_removed_and_numbered_anew_are_noticed(removed: int) -> None:
    rest = ROWS[:removed] + ROWS[removed + 1 :]
    renumbered = [row | {"sequence": index} for index, row in enumerate(rest, start=1)]

    with _logged(renumbered) as connection:
        report = verify(connection, _head(LAST))

    assert report.broken is not None
    assert report.broken.sequence == removed + 1


@settings(deadline=None)
@given(st.integers(0, LAST - 1))
def test_a_lost_tail_is_noticed_by_its_anchor_alone(kept: int) -> None:
    with _logged() as connection:
        connection.execute(delete(shadow_log).where(shadow_log.c.sequence > kept))

        assert verify(connection).is_whole
        assert verify(connection, _head(LAST)) == VerifyReport(
            _head(kept), Break(kept + 1, Fault.TAIL_MISSING)
        )


@settings(deadline=None)
@given(sequences)
def test_a_chain_rewritten_to_its_end_is_noticed_by_its_anchor_alone(sequence: int) -> None:
    head, forged = _head(sequence - 1), ROWS[: sequence - 1]
    for row in ROWS[sequence - 1 :]:
        forged = [*forged, link(row | {"cautions": "[]", "row_digest": None}, head)]
        head = Head(head.sequence + 1, str(forged[-1]["row_digest"]))

    with _logged(forged) as connection:
        assert verify(connection).is_whole
        assert verify(connection, _head(LAST)).broken == Break(LAST, Fault.ANCHOR_DIFFERS)


def test_a_blob_in_a_text_column_is_an_edit() -> None:
    with _logged() as connection:
        connection.execute(text("UPDATE shadow_log SET outcome = x'00ff' WHERE sequence = 2"))

        assert verify(connection).broken == Break(2, Fault.ROW_EDITED)


def test_bytes_that_the_database_cannot_read_end_the_check_with_a_finding() -> None:
    with _logged() as connection:
        connection.execute(
            text("UPDATE shadow_log SET outcome = CAST(x'ff' AS TEXT) WHERE sequence = 2")
        )

        broken = verify(connection).broken

    assert broken is not None
    assert broken.fault is Fault.UNREADABLE


def test_a_column_of_a_later_release_leaves_old_digests_valid() -> None:
    row = dict(ROWS[0])

    assert row_digest(row | {"added_later": None}) == row["row_digest"]
    assert row_digest(row | {"added_later": "x"}) != row["row_digest"]


def test_the_digest_is_what_the_documentation_says() -> None:
    columns: Columns = {"id": "x", "reason": None, "answer": '{"a":1}'}

    placed = link(columns, GENESIS)

    # sha256sum of {"answer":"{\"a\":1}","id":"x","previous_digest":"sha256:000...0","sequence":1}
    assert placed["previous_digest"] == "sha256:" + "0" * 64
    assert placed["row_digest"] == (
        "sha256:c1a7149a9a48c09326aaa44246c2f948f5a68d6737ed30ad2f0d55f8af1d9ef3"
    )
