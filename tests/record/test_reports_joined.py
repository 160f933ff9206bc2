"""The newest report of a case stands, by whichever of its two pseudonyms it was told."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, select

from service.record import Evidence, Kind, Pseudonyms, open_reader
from service.record.bulk import append_rows
from service.record.case_index import CaseIndex, open_case_index
from service.record.case_rows import LABEL_NUMBER
from service.record.case_tables import cases
from service.record.database import open_engine
from service.record.evidence import evidence_columns
from service.record.index_check import first_forged_case
from service.record.rows import columns_of
from service.record.schema import migrate
from service.record.tables import evidence_log, shadow_log
from tests.support.record_entries import evaluated

STUDIES, ACCESSIONS = ("1" * 64, "2" * 64), ("3" * 64, "4" * 64)


@dataclass(frozen=True, slots=True)
class Image:
    """A radiograph arrives."""

    study: str | None
    accession: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """A report arrives, which names one pseudonym or both."""

    study: str | None
    accession: str | None
    pneumonia: str


@dataclass(frozen=True, slots=True)
class CatchUp:
    """The service brings its index up to date."""


Event = Image | Report | CatchUp

by_study = st.sampled_from((*STUDIES, None))
by_accession = st.sampled_from((*ACCESSIONS, None))
reports = st.builds(Report, by_study, by_accession, st.sampled_from(list(LABEL_NUMBER)))
EVENTS = st.lists(
    st.one_of(
        st.builds(Image, by_study, by_accession),
        reports.filter(lambda report: report.study or report.accession),
        st.just(CatchUp()),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def empty_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "shadow.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


def _open_unsynced(url: str) -> Engine:
    """Many small commits to a log that no power cut has to spare."""
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def relax(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    return engine


def _write(engine: Engine, happened: Image | Report) -> None:
    if isinstance(happened, Image):
        named = Pseudonyms(study_instance=happened.study, accession=happened.accession)
        row, table = columns_of(evaluated(pseudonyms=named)), shadow_log
    else:
        outcomes = {"pneumonia": happened.pneumonia, "tuberculosis": "negative"}
        told = Evidence(
            kind=Kind.REPORT, study_instance=happened.study, accession=happened.accession,
            body={"outcomes": outcomes, "read_at": None, "source": "csv"},
        )  # fmt: skip
        row, table = evidence_columns(told), evidence_log
    assert list(append_rows(engine, table, [row], {})) == [1]


def _by_hand(events: list[Event]) -> Iterator[int | None]:
    told = [one for one in events if isinstance(one, Report)]
    for image in (one for one in events if isinstance(one, Image)):
        of_image = [
            LABEL_NUMBER[report.pneumonia]
            for report in told
            if (image.study and report.study == image.study)
            or (image.accession and report.accession == image.accession)
        ]
        yield of_image[-1] if of_image else None


def _told(index: CaseIndex) -> list[int | None]:
    with index.reading() as connection:
        found = select(cases.c.report_pneumonia).order_by(cases.c.sequence)
        return list(connection.scalars(found))


def _check(empty_log: Path, events: list[Event]) -> None:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{shutil.copy(empty_log, folder)}"
        engine = _open_unsynced(url)
        with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
            for happened in events:
                if isinstance(happened, CatchUp):
                    index.catch_up()
                else:
                    _write(engine, happened)
            index.catch_up()

            assert _told(index) == list(_by_hand(events))
            assert first_forged_case(index, reader) is None
        engine.dispose()


@pytest.mark.parametrize("between", [[CatchUp()], []], ids=["caught up", "at once"])
@pytest.mark.parametrize("is_early", [False, True], ids=["late", "early"])
def test_a_correction_by_study_stands_above_a_report_by_accession(
    empty_log: Path, is_early: bool, between: list[Event]
) -> None:
    image = Image(STUDIES[0], ACCESSIONS[0])
    told = [Report(None, ACCESSIONS[0], "positive"), *between, Report(STUDIES[0], None, "negative")]
    events = [*told, *between, image] if is_early else [image, *between, *told]

    _check(empty_log, events)


@settings(max_examples=25, deadline=None)
@given(events=EVENTS)
def test_any_order_of_reports_by_either_key_gives_one_index(
    empty_log: Path, events: list[Event]
) -> None:
    _check(empty_log, events)
