"""Retention: old rows go, the chain goes on, and nobody without the key can do the same."""

import json
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from service.record import Evidence, Kind, Pseudonymiser, Pseudonyms, open_reader, open_record
from service.record.bulk import append_rows
from service.record.case_index import CaseIndex, open_case_index
from service.record.case_tables import cases
from service.record.chain import Break, Fault, Head, VerifyReport
from service.record.database import open_engine
from service.record.evidence import evidence_columns
from service.record.gaps import FLOOR_DAYS, Gap, RetentionTooShort, find_gap, purge
from service.record.index_check import first_forged_case
from service.record.record import anchors_beside
from service.record.tables import evidence_log, shadow_log
from service.shadow_checks import describe_gap
from tests.support.record_entries import evaluated
from tests.support.record_log import tamper

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SIGNER = Pseudonymiser(b"k" * 32)
OLD, NEW = NOW - timedelta(days=300), NOW - timedelta(days=10)


@pytest.fixture
async def url(log_url: str) -> str:
    """Three old rows and two new ones in each table."""
    record = open_record(log_url)
    for moment in (OLD, OLD, OLD, NEW, NEW):
        await record.append(evaluated(received_at=moment))
        await record.note(Evidence(kind=Kind.LOOKUP, body={}, recorded_at=moment))
    await record.close()
    return log_url


def _purge(url: str, *, now: datetime = NOW, keep_days: int = 200) -> dict[str, int]:
    engine = open_engine(url)
    try:
        return purge(
            engine, keep_days=keep_days, signer=SIGNER, actor="tests",
            anchors=anchors_beside(url), now=now,
        )  # fmt: skip
    finally:
        engine.dispose()


def _verify(url: str, signer: Pseudonymiser | None = SIGNER) -> list[VerifyReport]:
    reader = open_reader(url)
    reports = [reader.verify(table=table, signer=signer) for table in (shadow_log, evidence_log)]
    reader.close()
    return reports


def _indexed(index: CaseIndex) -> list[int]:
    with index.reading() as connection:
        return list(connection.scalars(select(cases.c.sequence).order_by(cases.c.sequence)))


def _open_shadow_log(url: str) -> str:
    """What somebody does first who owns the database and wants a row gone."""
    if url.startswith("sqlite"):
        return "DROP TRIGGER shadow_log_no_delete"
    return "ALTER TABLE shadow_log DISABLE TRIGGER shadow_log_append_only"


def _gap(url: str) -> Gap:
    reader = open_reader(url)
    with reader.reading() as connection:
        gap = find_gap(connection, shadow_log)
    reader.close()
    assert gap is not None
    return gap


async def test_purge_deletes_what_is_old_and_leaves_a_whole_chain(url: str) -> None:
    assert _purge(url) == {"shadow_log": 3, "evidence_log": 3}

    shadow, evidence = _verify(url)
    assert shadow.is_whole
    assert evidence.is_whole
    assert (shadow.head.sequence, evidence.head.sequence) == (5, 7)


async def test_the_log_is_continued_after_a_purge(url: str) -> None:
    _purge(url)

    record = open_record(url)
    assert await record.append(evaluated()) == 6
    await record.close()

    assert all(report.is_whole for report in _verify(url))


async def test_a_second_purge_covers_the_first(url: str) -> None:
    _purge(url)

    assert _purge(url, now=NOW + timedelta(days=400))["shadow_log"] == 1

    assert _gap(url).last == 4
    assert all(report.is_whole for report in _verify(url))


async def test_the_last_row_stays_so_that_the_chain_has_an_end(url: str) -> None:
    _purge(url, now=NOW + timedelta(days=4000))
    _purge(url, now=NOW + timedelta(days=8000))

    shadow, evidence = _verify(url)
    assert (shadow.head.sequence, shadow.is_whole, evidence.is_whole) == (5, True, True)


async def test_six_months_are_kept_whatever_is_asked(url: str) -> None:
    with pytest.raises(RetentionTooShort, match="183"):
        _purge(url, keep_days=FLOOR_DAYS - 1)


async def test_the_index_forgets_what_was_purged(url: str) -> None:
    reader = open_reader(url)
    index = open_case_index(url, reader)
    index.catch_up()
    before = _indexed(index)

    _purge(url)
    index.catch_up()
    after = _indexed(index)
    index.close()
    reader.close()

    assert (before, after) == ([1, 2, 3, 4, 5], [4, 5])


async def test_a_row_cannot_be_deleted_after_a_purge_either(url: str) -> None:
    _purge(url)

    with pytest.raises(DatabaseError, match="append-only"):
        tamper(url, "DELETE FROM shadow_log")


async def test_a_gap_that_the_site_key_did_not_sign_is_named(url: str) -> None:
    _purge(url)

    shadow, _ = _verify(url, Pseudonymiser(b"x" * 32))

    assert shadow.broken == Break(1, Fault.GAP_UNSIGNED)


async def test_the_last_purged_row_is_held_to_a_head_that_was_noted_of_it(url: str) -> None:
    _purge(url)
    gone = _gap(url).head
    reader = open_reader(url)
    true, forged = (
        reader.verify(head, signer=SIGNER) for head in (gone, Head(3, f"sha256:{'a' * 64}"))
    )
    reader.close()

    assert true.is_whole
    assert forged.broken == Break(3, Fault.ANCHOR_DIFFERS)


@pytest.mark.parametrize(
    ("signer", "vouched"),
    [
        (SIGNER, "signed"),
        (Pseudonymiser(b"x" * 32), "not signed with the site key"),
        (None, "not checked without the site key"),
    ],
)
async def test_a_gap_is_told_with_who_vouches_and_what_cannot_be_checked(
    url: str, signer: Pseudonymiser | None, vouched: str
) -> None:
    _purge(url)
    noted = [Head(sequence, f"sha256:{'a' * 64}") for sequence in (0, 2, 3, 4)]

    assert describe_gap(shadow_log, _gap(url), signer, noted) == [
        f"rows 1 to 3 were purged ({vouched})",
        "row 2 was purged: its noted head cannot be checked any more",
    ]


async def test_rows_deleted_beyond_the_signed_gap_are_missed(url: str) -> None:
    _purge(url)
    tamper(url, _open_shadow_log(url), "DELETE FROM shadow_log WHERE sequence=4")

    shadow, _ = _verify(url)

    assert shadow.broken == Break(4, Fault.ROW_MISSING)


async def test_a_gap_that_was_widened_loses_its_signature(url: str) -> None:
    _purge(url)
    gap = _gap(url)

    wider = Gap(**asdict(gap) | {"last": gap.last + 1})

    assert gap.is_signed_by(SIGNER)
    assert not wider.is_signed_by(SIGNER)
    assert json.loads(json.dumps(asdict(gap))) == asdict(gap)


REPORT = {"outcomes": {"pneumonia": "negative", "tuberculosis": "negative"}, "read_at": None}


async def _forged_after_a_purge(url: str) -> int | None:
    """What verification says of an index that was there before the purge."""
    with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
        index.catch_up()
        _purge(url)
        index.catch_up()
        return first_forged_case(index, reader)


async def test_the_next_image_of_a_purged_one_counts(log_url: str) -> None:
    record = open_record(log_url)
    for moment in (OLD, NEW, NEW):
        await record.append(evaluated(received_at=moment))
    await record.close()

    assert await _forged_after_a_purge(log_url) is None


@pytest.mark.parametrize("is_shadow_purged", [True, False])
async def test_a_case_loses_the_early_report_that_was_purged(
    log_url: str, is_shadow_purged: bool
) -> None:
    record = open_record(log_url)
    if is_shadow_purged:
        await record.append(evaluated(received_at=OLD, pseudonyms=Pseudonyms()))
    await record.note(
        Evidence(kind=Kind.REPORT, study_instance="e" * 64, body=REPORT, recorded_at=OLD)
    )
    await record.append(evaluated(received_at=NEW))
    await record.note(Evidence(kind=Kind.LOOKUP, body={}, recorded_at=NEW))
    await record.close()

    assert await _forged_after_a_purge(log_url) is None


VERDICTS = {"verdicts": {"pneumonia": "positive", "tuberculosis": "negative"}}
CANDIDATE = {
    "name": "tiny", "version": "0.0.3", "priority": "urgent", "flags": ["pneumonia"],
    "probabilities": {"normal": 0.1, "pneumonia": 0.8, "tuberculosis": 0.1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body"), [(Kind.ADJUDICATION, VERDICTS), (Kind.CANDIDATE, CANDIDATE)]
)
async def test_the_newest_case_stays_without_the_evidence_that_was_purged(
    log_url: str, kind: Kind, body: dict[str, object]
) -> None:
    entry = evaluated(received_at=OLD)
    record = open_record(log_url)
    await record.append(entry)
    await record.note(Evidence(kind=kind, entry=entry.id, body=body, recorded_at=OLD))
    await record.note(Evidence(kind=Kind.LOOKUP, body={}, recorded_at=NEW))
    await record.close()

    assert await _forged_after_a_purge(log_url) is None


async def test_the_newest_case_keeps_the_evidence_that_is_left(log_url: str) -> None:
    """Early releases kept several verdicts on one radiograph."""
    entry = evaluated(received_at=OLD)
    record = open_record(log_url)
    await record.append(entry)
    await record.close()
    verdicts = [
        Evidence(kind=Kind.ADJUDICATION, entry=entry.id, body=VERDICTS, recorded_at=moment)
        for moment in (OLD, NEW)
    ]
    engine = open_engine(log_url)
    columns = [evidence_columns(verdict) for verdict in verdicts]
    assert sum(append_rows(engine, evidence_log, columns, anchors_beside(log_url))) == 2
    engine.dispose()

    reader = open_reader(log_url)
    with closing(reader), closing(open_case_index(log_url, reader)) as index:
        index.catch_up()
        _purge(log_url)
        index.catch_up()
        with index.reading() as connection:
            told = connection.execute(select(cases.c.adjudicated, cases.c.verdict_pneumonia)).one()

        assert tuple(told) == (1, 1)
        assert first_forged_case(index, reader) is None
