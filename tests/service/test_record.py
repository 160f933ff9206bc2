import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DatabaseError

from service.core.errors import RecordUnavailable, ReplayConflict
from service.record import (
    Entry,
    Mode,
    Pseudonyms,
    Record,
    Upload,
    new_id,
    open_reader,
    open_record,
)
from service.record.database import open_engine
from service.record.tables import metadata
from tests.support.databases import DATABASES, empty_database
from tests.support.record_entries import MODEL, conflict, evaluated, not_evaluated, replayed
from tests.support.record_log import tamper

SOP = Pseudonyms(sop_instance="5" * 64)
OTHER_BYTES, OTHER_PIXELS = "sha256:" + "7" * 64, "sha256:" + "8" * 64
STORED, OTHER_STORED = "stored-sha256:" + "3" * 64, "stored-sha256:" + "4" * 64
OTHER_MODEL = replace(MODEL, digest="sha256:" + "3" * 64)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address of an empty database, of each kind that is at hand."""
    with empty_database(request.param, tmp_path) as address:
        yield address


@pytest.fixture
async def record(url: str) -> AsyncIterator[Record]:
    opened = open_record(url)
    yield opened
    await opened.close()


def _upload(entry: Entry) -> Upload:
    return Upload(
        sop_instance=entry.pseudonyms.sop_instance,
        input_digest=entry.input_digest,
        pixel_digest=entry.pixel_digest,
        model_digest=entry.model.digest,
        mode=entry.mode,
    )


async def test_an_entry_is_read_back_from_the_database_as_it_was_written(record: Record) -> None:
    entries = [evaluated(), not_evaluated(scanner_alias="Röntgen 2"), conflict()]
    entries.append(replayed(entries[0]))

    sequences = [await record.append(entry) for entry in entries]

    assert sequences == [1, 2, 3, 4]
    assert [row.entry for row in record.reader.rows()] == entries


async def test_rows_are_read_in_pages(record: Record) -> None:
    for _ in range(5):
        await record.append(evaluated())

    pages = [record.reader.rows(after, limit=2) for after in (0, 2, 4, 5)]

    assert [[row.head.sequence for row in page] for page in pages] == [[1, 2], [3, 4], [5], []]
    assert record.reader.count() == 5
    assert record.reader.head() == pages[2][0].head


async def test_the_same_upload_gets_the_answer_that_it_got_first(record: Record) -> None:
    first = evaluated(pseudonyms=SOP, answer={"id": "first"})
    await record.append(first)
    await record.append(replayed(first))
    await record.append(evaluated(pseudonyms=SOP, answer={"id": "second"}))

    assert await record.find_answer(_upload(first)) == first


async def test_a_radiograph_that_was_not_evaluated_is_replayed_too(record: Record) -> None:
    first = not_evaluated(pseudonyms=SOP, pixel_digest=None)
    await record.append(first)

    assert await record.find_answer(_upload(first)) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"model": OTHER_MODEL},
        {"model": OTHER_MODEL, "pixel_digest": OTHER_PIXELS},
        {"mode": Mode.SHADOW},
        {"input_digest": OTHER_BYTES},
        {"input_digest": OTHER_BYTES, "pixel_digest": None},
        {"pseudonyms": Pseudonyms(sop_instance="6" * 64)},
        {"pseudonyms": Pseudonyms()},
    ],
    ids=["model", "release", "mode", "tags", "undecoded", "instance", "png"],
)
async def test_what_was_not_answered_in_this_way_is_evaluated(
    record: Record, changes: dict[str, Any]
) -> None:
    first = evaluated(pseudonyms=SOP)
    await record.append(first)

    assert await record.find_answer(_upload(replace(first, **changes))) is None


async def test_other_pixels_under_the_same_instance_are_a_conflict(record: Record) -> None:
    first = evaluated(pseudonyms=SOP)
    second = replace(first, input_digest=OTHER_BYTES, pixel_digest=OTHER_PIXELS)
    await record.append(first)

    with pytest.raises(ReplayConflict):
        await record.find_answer(_upload(second))


async def test_pixels_digested_by_an_earlier_release_are_no_conflict(record: Record) -> None:
    earlier = evaluated(pseudonyms=SOP)
    corrected = evaluated(pseudonyms=SOP, input_digest=OTHER_BYTES, pixel_digest=STORED)
    other = replace(corrected, input_digest="sha256:" + "4" * 64, pixel_digest=OTHER_STORED)
    await record.append(earlier)

    assert await record.find_answer(_upload(corrected)) is None
    await record.append(corrected)

    assert await record.find_answer(_upload(earlier)) == earlier
    assert await record.find_answer(_upload(replace(earlier, model=OTHER_MODEL))) is None
    with pytest.raises(ReplayConflict):
        await record.find_answer(_upload(other))
    with pytest.raises(ReplayConflict):
        await record.append(replace(other, id=new_id()))


async def test_a_refused_upload_does_not_take_the_instance_over(record: Record) -> None:
    first = evaluated(pseudonyms=SOP)
    await record.append(first)
    await record.append(
        conflict(pseudonyms=SOP, input_digest=OTHER_BYTES, pixel_digest=OTHER_PIXELS)
    )

    assert await record.find_answer(_upload(first)) == first


async def test_a_log_that_cannot_be_read_is_unavailable(record: Record, url: str) -> None:
    tamper(url, "ALTER TABLE shadow_log RENAME TO gone")

    with pytest.raises(RecordUnavailable, match="cannot be read"):
        await record.find_answer(_upload(evaluated(pseudonyms=SOP)))


@pytest.mark.parametrize(
    "statement", ["UPDATE shadow_log SET reason = 'x'", "DELETE FROM shadow_log"]
)
async def test_the_database_itself_refuses_to_change_a_row(
    record: Record, url: str, statement: str
) -> None:
    await record.append(evaluated())

    with pytest.raises(DatabaseError, match="append-only"):
        tamper(url, statement)


async def test_a_log_is_continued_after_a_restart(url: str) -> None:
    for expected in (1, 2, 3):
        record = open_record(url)
        assert await record.append(evaluated()) == expected
        await record.close()

    reader = open_reader(url)
    assert reader.verify().is_whole
    reader.close()


async def test_two_recorders_on_one_database_make_one_chain(record: Record, url: str) -> None:
    other = open_record(url)

    appends = [each.append(evaluated()) for _ in range(50) for each in (record, other)]
    sequences = await asyncio.gather(*appends)
    await other.close()

    assert sorted(sequences) == list(range(1, 101))
    assert record.verify().is_whole


async def test_the_schema_of_the_migrations_is_the_schema_of_the_code(
    record: Record, url: str
) -> None:
    await record.append(evaluated())
    engine = open_engine(url)

    with engine.begin() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


async def test_a_log_of_a_later_release_is_refused(record: Record, url: str) -> None:
    tamper(url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(RecordUnavailable, match="schema is unknown"):
        open_record(url)
