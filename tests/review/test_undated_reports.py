"""A report need not say when it was read, and when it was read decides nothing on the pages."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from service.record import Entry, Evidence, Kind, Pseudonyms, open_reader, open_record
from service.record.case_index import open_case_index
from service.review.desk import ReviewDesk
from tests.support.record_entries import MODEL, evaluated

RETIRED = replace(MODEL, version="0.0.0", digest="sha256:" + "9" * 64)
START = evaluated().received_at


def _entry(hour: int, **changes: object) -> Entry:
    study = Pseudonyms(study_instance=f"{hour:064x}", accession=None, patient=None)
    received = START + timedelta(hours=hour)
    return evaluated(received_at=received, pseudonyms=study, **changes)


def _report(entry: Entry, pneumonia: str, read_hours: int | None = None) -> Evidence:
    read = None if read_hours is None else (START + timedelta(hours=read_hours)).isoformat()
    return Evidence(
        kind=Kind.REPORT,
        study_instance=entry.pseudonyms.study_instance,
        body={"outcomes": {"pneumonia": pneumonia, "tuberculosis": "negative"}, "read_at": read},
    )


async def _write(url: str, *rows: Entry | Evidence) -> None:
    record = open_record(url)
    for row in rows:
        await (record.note(row) if isinstance(row, Evidence) else record.append(row))
    await record.close()


@contextmanager
def _desk(url: str) -> Iterator[ReviewDesk]:
    with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
        index.catch_up()
        yield ReviewDesk(index=index, reader=reader)


async def test_agreements_are_mixed_in_where_no_report_tells_its_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.db"
    entries = [_entry(hour) for hour in range(12)]
    reports = [
        _report(entry, "negative" if place % 4 == 0 else "positive")
        for place, entry in enumerate(entries)
    ]
    await _write(url, *entries, *reports)

    with _desk(url) as desk:
        listed = desk.to_adjudicate(lambda entry_id: entry_id)

    assert sorted(row.disagrees for row in listed) == [False] * 3 + [True] * 3


async def test_an_unread_upload_of_another_model_empties_no_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.db"
    read, tried = _entry(0), _entry(1, model=RETIRED)
    await _write(url, read, tried, _report(read, "positive"))

    with _desk(url) as desk:
        assert desk.newest_model() == ("tiny/0.0.1", MODEL.digest, MODEL.threshold_digest)


async def test_a_late_reading_does_not_bring_a_retired_model_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.db"
    old, new = _entry(0, model=RETIRED), _entry(1)
    await _write(url, old, new, _report(new, "positive", 2), _report(old, "positive", 900))

    with _desk(url) as desk:
        assert desk.newest_model() == ("tiny/0.0.1", MODEL.digest, MODEL.threshold_digest)
