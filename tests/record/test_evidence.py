"""The evidence log is a chain of its own, written by the same thread as the entries."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from service.core.errors import RecordUnavailable
from service.record import Evidence, Kind, VerdictStands, open_reader, open_record
from service.record.anchor import read_anchor
from service.record.chain import GENESIS, Break, Fault, Head, link
from service.record.database import open_engine
from service.record.queries import evidence_about, newest_body
from service.record.record import anchors_beside
from service.record.rows import columns_of
from service.record.tables import evidence_log, shadow_log
from tests.support.record_entries import evaluated
from tests.support.record_log import tamper

OPEN = ("DROP TRIGGER evidence_log_no_update", "DROP TRIGGER evidence_log_no_delete")


def _note(number: int = 0, **changes: object) -> Evidence:
    return Evidence(kind=Kind.REPORT, study_instance="a" * 64, body={"number": number} | changes)


async def _write(url: str, rows: int) -> None:
    record = open_record(url)
    for number in range(rows):
        await record.note(_note(number))
    await record.close()


@pytest.fixture
async def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/shadow.db"
    await _write(address, 5)
    return address


async def test_entries_and_evidence_share_a_writer_and_not_a_chain(tmp_path: Path) -> None:
    record = open_record(f"sqlite:///{tmp_path}/shadow.db")

    entries = [record.append(evaluated()) for _ in range(20)]
    notes = [record.note(_note(number)) for number in range(20)]
    sequences = await asyncio.gather(*entries, *notes)
    await record.close()

    assert sequences == [*range(1, 21), *range(1, 21)]
    reader = open_reader(f"sqlite:///{tmp_path}/shadow.db")
    assert [reader.verify(table=table).head.sequence for table in (shadow_log, evidence_log)] == [
        20,
        20,
    ]


async def test_of_two_processes_that_write_a_verdict_one_is_the_first(tmp_path: Path) -> None:
    url, entry = f"sqlite:///{tmp_path}/shadow.db", evaluated()
    first, second = open_record(url), open_record(url)
    await first.append(entry)
    verdicts = [
        Evidence(kind=Kind.ADJUDICATION, entry=entry.id, actor=actor, body={})
        for actor in ("a", "b", "c", "d")
    ]
    pairs = zip((first, second, first, second), verdicts, strict=True)
    told = await asyncio.gather(*(r.note(v) for r, v in pairs), return_exceptions=True)

    with first.reader.reading() as connection:
        kept = evidence_about(connection, entry.id)
    await first.close()
    await second.close()

    assert Counter(map(type, told)) == {int: 1, VerdictStands: 3}
    assert [row["id"] for row in kept] == [
        v.id for v, outcome in zip(verdicts, told, strict=True) if outcome == 1
    ]


async def test_evidence_about_an_entry_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record, entry = open_record(f"sqlite:///{tmp_path}/shadow.db"), evaluated()
    await record.append(entry)
    told = Evidence(
        kind=Kind.ADJUDICATION, entry=entry.id, actor="local", body={"note": "Röntgen", "x": [1.5]}
    )
    await record.note(told)

    with record.reader.reading() as connection:
        found = evidence_about(connection, entry.id)
        newest = newest_body(connection, Kind.ADJUDICATION)
    await record.close()

    assert [(row["id"], row["actor"], row["body"]) for row in found] == [
        (told.id, "local", told.body)
    ]
    assert newest is not None
    assert newest["recorded_at"] == told.recorded_at.isoformat()


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (["UPDATE evidence_log SET body='{}' WHERE sequence=3"], Break(3, Fault.ROW_EDITED)),
        (["UPDATE evidence_log SET kind='purge' WHERE sequence=2"], Break(2, Fault.ROW_EDITED)),
        (["UPDATE evidence_log SET actor='me' WHERE sequence=5"], Break(5, Fault.ROW_EDITED)),
        (["DELETE FROM evidence_log WHERE sequence=4"], Break(4, Fault.ROW_MISSING)),
        (["DELETE FROM evidence_log WHERE sequence=1"], Break(1, Fault.ROW_MISSING)),
        (["DELETE FROM evidence_log WHERE sequence=5"], Break(5, Fault.TAIL_MISSING)),
        (
            [
                f"UPDATE evidence_log SET sequence={after} WHERE sequence={before}"
                for before, after in ((2, 99), (3, 2), (99, 3))
            ],
            Break(2, Fault.ROW_EDITED),
        ),
    ],
    ids=["body", "kind", "actor", "middle", "first", "last", "reordered"],
)
async def test_verify_names_the_first_row_of_evidence_that_is_not_as_it_was(
    url: str, statements: list[str], broken: Break
) -> None:
    tamper(url, *OPEN, *statements)

    reader = open_reader(url)
    report = reader.verify(table=evidence_log)
    reader.close()

    assert report.broken == broken


async def test_a_log_that_lost_evidence_from_its_end_is_not_continued(url: str) -> None:
    tamper(url, *OPEN, "DELETE FROM evidence_log WHERE sequence=5")

    with pytest.raises(RecordUnavailable, match="evidence log does not hold row 5"):
        open_record(url)


def test_what_another_process_writes_while_a_log_is_opened_is_not_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/shadow.db"

    async def write_both() -> None:
        record = open_record(url)
        await asyncio.gather(record.append(evaluated()), record.note(_note()))
        await record.close()

    def read_after_a_write(path: Path) -> Head | None:
        if path == anchors_beside(url)[evidence_log]:
            monkeypatch.undo()
            asyncio.run(write_both())
        return read_anchor(path)

    asyncio.run(write_both())
    monkeypatch.setattr("service.record.record.read_anchor", read_after_a_write)
    reader = open_reader(url)
    reader.check_anchor()
    report = reader.verify(table=evidence_log)
    reader.close()

    assert report.is_whole
    assert report.head.sequence == 2


@pytest.mark.parametrize(
    "statement", ["UPDATE evidence_log SET kind = 'x'", "DELETE FROM evidence_log"]
)
async def test_the_database_refuses_to_change_evidence(url: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        tamper(url, statement)


async def test_a_value_that_no_database_can_keep_is_refused(tmp_path: Path) -> None:
    record = open_record(f"sqlite:///{tmp_path}/shadow.db")

    with pytest.raises(ValueError, match="control characters in actor"):
        await record.note(Evidence(kind=Kind.LOOKUP, actor="a\0b", body={}))
    with pytest.raises(ValueError, match="Out of range"):
        await record.note(_note(share=float("nan")))
    await record.close()


async def test_a_log_of_an_older_release_is_not_called_damaged(url: str) -> None:
    tamper(url, "UPDATE alembic_version SET version_num = '0001'")

    with pytest.raises(RecordUnavailable, match="schema 0001; this release reads"):
        open_reader(url)


@pytest.mark.parametrize(
    ("revision", "unknown"),
    [("0001", ("age_band", "out_of_distribution")), ("0002", ("out_of_distribution",))],
)
async def test_a_log_of_an_older_release_is_brought_up_to_date(
    tmp_path: Path, revision: str, unknown: tuple[str, ...]
) -> None:
    url, engine = f"sqlite:///{tmp_path}/shadow.db", open_engine(f"sqlite:///{tmp_path}/shadow.db")
    config = Config()
    config.set_main_option("script_location", "service.record:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        known = {n: v for n, v in columns_of(evaluated()).items() if n not in unknown}
        row = link(known, GENESIS)
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO shadow_log ({names}) VALUES ({values})"), row)
    engine.dispose()

    record = open_record(url)
    await record.append(evaluated())
    report = record.verify()
    await record.close()

    assert (report.head.sequence, report.is_whole) == (2, True)
