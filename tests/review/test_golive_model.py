"""The Go-live decision is about the model that serves, whoever read the reported radiographs."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.core.findings import Finding
from service.record import (
    Evidence,
    Kind,
    ModelStamp,
    Pseudonyms,
    load_or_create_key,
    open_reader,
)
from service.record.bulk import append_rows
from service.record.case_index import open_case_index
from service.record.criteria import Criteria, FindingCriteria
from service.record.database import open_engine
from service.record.evidence import evidence_columns
from service.record.rows import columns_of
from service.record.schema import migrate
from service.record.tables import evidence_log, shadow_log
from service.review.desk import ReviewDesk
from service.review.golive import Criterion, Decision, GoLive
from service.review.statistics import still_needed
from tests.support.record_entries import MODEL, evaluated
from tests.support.simulated import open_pages

STUDIES = 40
ASKED = Criteria(
    findings=(FindingCriteria(finding=Finding.PNEUMONIA, sensitivity=0.5, specificity=0.5),),
    evaluated=0.5,
)
OTHER_MODEL = replace(MODEL, version="0.0.2", digest=f"sha256:{'3' * 64}")
OTHER_THRESHOLDS = replace(MODEL, threshold_digest=f"sha256:{'4' * 64}")


def _evidence() -> Iterator[Evidence]:
    at = evaluated().received_at
    yield Evidence(kind=Kind.CRITERIA, body=ASKED.as_body(), recorded_at=at)
    for number in range(STUDIES):
        outcomes = {"pneumonia": _label(number), "tuberculosis": "negative"}
        body = {"outcomes": outcomes, "read_at": at.isoformat(), "source": "csv"}
        yield Evidence(kind=Kind.REPORT, study_instance=f"{number:064}", body=body)


def _label(number: int) -> str:
    return "positive" if number % 2 else "negative"


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose model never erred."""
    folder = tmp_path_factory.mktemp("proven")
    load_or_create_key(folder / "site.key")
    engine = open_engine(f"sqlite:///{folder}/shadow.db")
    migrate(engine)
    flags = {"positive": evaluated().flags, "negative": ()}
    entries = (
        evaluated(
            pseudonyms=Pseudonyms(study_instance=f"{number:064}"), flags=flags[_label(number)]
        )
        for number in range(STUDIES)
    )
    for table, rows in (
        (shadow_log, map(columns_of, entries)),
        (evidence_log, map(evidence_columns, _evidence())),
    ):
        assert list(append_rows(engine, table, rows, {}))
    engine.dispose()
    return folder


def _decided(folder: Path, serving: ModelStamp) -> GoLive:
    url = f"sqlite:///{folder}/shadow.db"
    with closing(open_reader(url)) as reader, closing(open_case_index(url, reader)) as index:
        index.catch_up()
        decided = ReviewDesk(index=index, reader=reader).go_live(serving)
    assert decided is not None
    return decided


def test_a_model_that_serves_and_is_proven_may_go(proven: Path) -> None:
    told = _decided(proven, MODEL)

    assert (told.decision, told.is_serving, told.others) == ("GO", True, ())
    assert (told.model, told.reported) == ("tiny/0.0.1", STUDIES)


@pytest.mark.parametrize("serving", [OTHER_MODEL, OTHER_THRESHOLDS], ids=["model", "thresholds"])
def test_what_another_model_proved_counts_for_nothing(proven: Path, serving: ModelStamp) -> None:
    told = _decided(proven, serving)

    assert (told.decision, told.is_serving) == ("EXTEND", True)
    assert (told.model_digest, told.threshold_digest) == (serving.digest, serving.threshold_digest)
    assert (told.radiographs, told.reported) == (0, 0)
    (other,) = told.others
    assert (other.model, other.reported) == ("tiny/0.0.1", STUDIES)
    assert (other.model_digest, other.threshold_digest) == (MODEL.digest, MODEL.threshold_digest)


async def test_the_page_says_whose_reported_studies_do_not_count(
    tiny_store: Path, proven: Path
) -> None:
    async with open_pages(tiny_store, proven) as (service, client):
        page = (await client.get("/review/golive")).text
        told = (await client.get("/review/api/golive")).json()
        stamp = service.runtime.model.stamp

    assert (told["decision"], told["model_digest"]) == ("EXTEND", stamp.digest)
    assert f"<b>{STUDIES}</b> studies by tiny/0.0.1, manifest <code>{MODEL.digest[:19]}" in page
    assert "Signature" in page


async def test_what_was_drawn_is_not_to_be_signed(tiny_store: Path, simulated_log: Path) -> None:
    async with open_pages(tiny_store, simulated_log) as (_, client):
        page = (await client.get("/review/golive")).text
        told = (await client.get("/review/api/golive")).json()

    assert (told["model"], told["is_serving"]) == ("simulated/1.0.0", False)
    assert "nothing to sign" in page
    assert "Signature" not in page


def test_the_command_judges_what_current_names(
    tiny_store: Path, proven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_RECORD__URL", f"sqlite:///{proven}/shadow.db")
    monkeypatch.setenv("CXR_MODEL__STORE", str(tiny_store))

    result = CliRunner().invoke(app, ["shadow", "report"])

    told = json.loads(result.output.split("Research use only")[0])
    named = (tiny_store / "CURRENT").read_text("utf-8")
    assert f"{told['model']} {told['model_digest']}" == named.strip()
    assert (told["decision"], told["others"][0]["reported"]) == ("EXTEND", STUDIES)


@pytest.mark.parametrize(
    ("right", "total", "words"),
    [
        (0, 0, "no positives yet"),
        (5, 5, "too few positives to say how many more"),
        (19, 21, "too few positives to say how many more"),
        (9, 10, "the share seen does not exceed the target"),
        (44, 44, "39 more positives at this rate"),
    ],
)
def test_what_it_takes_is_said_of_the_share_that_is_shown(
    right: int, total: int, words: str
) -> None:
    target = 0.95 if total == 5 else 0.9
    told = Criterion(
        name="sensitivity", finding="pneumonia", target=target, successes=right, total=total,
        value=right / total if total else None, low=0, high=1, decision=Decision.EXTEND,
        needed=still_needed(right, total, target, 0.95), unit="positives",
    )  # fmt: skip

    assert told.outlook == words


async def test_criteria_before_the_first_radiograph_are_shown_undecided(
    tiny_store: Path, tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/shadow.db")
    migrate(engine)
    criteria = evidence_columns(Evidence(kind=Kind.CRITERIA, body=ASKED.as_body()))
    assert list(append_rows(engine, evidence_log, [criteria], {}))
    engine.dispose()
    async with open_pages(tiny_store, tmp_path) as (_, client):
        page = await client.get("/review/golive")
        told = await client.get("/review/api/golive")

    assert "No criteria are registered" not in page.text
    assert ("no positives yet" in page.text, "share seen" in page.text) == (True, False)
    assert (told.status_code, told.json()["decision"]) == (200, "EXTEND")
    assert (told.json()["radiographs"], told.json()["others"]) == (0, [])
