"""The candidate learns of an upload after its answer, costs none, and tells nobody."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import structlog.testing
from sqlalchemy import text

from service.candidate import MAX_WAITING, CandidateScorer
from service.case import serve_model
from service.core.artifact import Artifact, load_artifact, write_current
from service.core.intake import IntakeLimits
from service.core.scope import IntendedUse
from service.core.store import CANDIDATE, name_candidate
from service.engine.base import Engine, EngineUnavailable
from service.metrics import CandidateEnding
from service.record import Evidence, Mode
from service.settings import Settings
from service.verified_engine import open_verified_engine
from tests.support.apps import OpenApp, SlowUpload, open_app, tiny_settings
from tests.support.detectors import TinyDetector
from tests.support.engines import NamelessEngine
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.radiographs import dicom_bytes, png_bytes
from tests.support.simulated import LOCAL


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Version 1 serves, version 2 with other weights is the candidate."""
    folder = tmp_path / "store"
    build_tiny_artifact(folder)
    build_tiny_artifact(folder, TinyChoices(seed=5, version="0.0.2"))
    write_current(folder, load_artifact(folder / "tiny/0.0.1"))
    name_candidate(folder, "tiny/0.0.2")
    return folder


def _candidate(service: OpenApp) -> CandidateScorer:
    scorer = service.runtime.shadow.current
    assert scorer is not None
    return scorer


def _counted(service: OpenApp, outcome: str) -> float | None:
    registry = service.runtime.metrics.registry
    return registry.get_sample_value("cxr_candidate_radiographs_total", {"outcome": outcome})


def _noted(service: OpenApp) -> list[tuple[str, dict[str, object]]]:
    with service.runtime.record.reader.reading() as connection:
        rows = connection.execute(text("SELECT entry, body FROM evidence_log ORDER BY sequence"))
        return [(row[0], json.loads(row[1])) for row in rows]


async def test_scores_of_the_candidate_become_evidence_of_the_entry(
    store: Path, tmp_path: Path
) -> None:
    async with open_app(tiny_settings(store, tmp_path)) as service:
        answer = await service.client.post("/predict", content=png_bytes())
        await _candidate(service).wait_drained()
        ((entry, body),) = _noted(service)

    told = answer.json()
    assert entry == told["id"]
    assert (body["name"], body["version"]) == ("tiny", "0.0.2")
    assert body["probabilities"] != told["probabilities"]
    assert told["model"]["version"] == "0.0.1"


async def test_only_what_was_evaluated_is_offered(store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(store, tmp_path)) as service:
        film = dicom_bytes()
        for body in (dicom_bytes(view="LATERAL"), b"text", film, film):
            await service.client.post("/predict", content=body)
        await _candidate(service).wait_drained()

        assert len(_noted(service)) == 1


async def test_nothing_is_scored_while_an_upload_is_in_progress(
    store: Path, tmp_path: Path
) -> None:
    slow = SlowUpload(png_bytes())
    async with open_app(tiny_settings(store, tmp_path)) as service:
        upload = asyncio.create_task(service.client.post("/predict", content=slow))
        await slow.started.wait()
        await service.client.post("/predict", content=dicom_bytes())
        candidate = _candidate(service)
        waiting = candidate.waiting
        slow.finish.set()
        await upload
        await candidate.wait_drained()
        scored = _counted(service, "scored")

    assert (waiting, scored) == (1, 2)


async def test_what_there_is_no_room_for_is_dropped_and_counted(
    store: Path, tmp_path: Path
) -> None:
    slow = SlowUpload(png_bytes())
    async with open_app(tiny_settings(store, tmp_path)) as service:
        upload = asyncio.create_task(service.client.post("/predict", content=slow))
        await slow.started.wait()
        candidate = _candidate(service)
        for number in range(MAX_WAITING + 3):
            candidate.offer(f"entry-{number}", b"text")
        slow.finish.set()
        await upload
        await candidate.wait_drained()
        ended = [_counted(service, outcome) for outcome in ("dropped", "failed", "scored")]

    # The slow upload itself finds no room either, or the first place that was freed.
    assert ended[0] in (3, 4)
    assert ended[1:] == [MAX_WAITING, 4 - ended[0]]


async def test_shadow_mode_answers_the_same_with_a_candidate(store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(store, tmp_path, mode=Mode.SHADOW.value)) as service:
        answer = await service.client.post("/predict", content=png_bytes())
        await _candidate(service).wait_drained()

    assert (answer.status_code, set(answer.json())) == (202, {"id", "mode", "notice"})


async def test_a_candidate_that_is_damaged_costs_nothing_but_itself(
    store: Path, tmp_path: Path
) -> None:
    (store / "tiny/0.0.2/model.onnx").write_bytes(b"")
    async with open_app(tiny_settings(store, tmp_path)) as service:
        answer = await service.client.post("/predict", content=png_bytes())

        assert service.runtime.shadow.current is None
    assert answer.status_code == 200


FAILURES = pytest.mark.parametrize(
    "failure",
    [EngineUnavailable("cuda:0 cannot hold another engine"), RuntimeError("out of memory")],
    ids=["refused by the device", "not foreseen"],
)


def fail_to_open(monkeypatch: pytest.MonkeyPatch, version: str, failure: Exception) -> list[str]:
    """Have its engine fail; returns the versions whose engine is asked for."""
    asked: list[str] = []

    def open_or_fail(settings: Settings, artifact: Artifact, threads: int | None = None) -> Engine:
        asked.append(artifact.manifest.version)
        if artifact.manifest.version == version:
            raise failure
        return open_verified_engine(settings, artifact, threads)

    monkeypatch.setattr("service.workshop.open_verified_engine", open_or_fail)
    return asked


@FAILURES
async def test_a_candidate_that_has_no_room_keeps_no_service_from_starting(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    fail_to_open(monkeypatch, "0.0.2", failure)
    with structlog.testing.capture_logs() as events:
        async with open_app(tiny_settings(store, tmp_path)) as service:
            answer = await service.client.post("/predict", content=png_bytes())
            scorer = service.runtime.shadow.current

    (refused,) = [event for event in events if event["event"] == "candidate.refused"]
    assert (answer.status_code, scorer) == (200, None)
    assert refused["code"] == getattr(failure, "code", None)
    assert refused["error_type"] == type(failure).__name__


@FAILURES
async def test_a_candidate_that_has_no_room_is_no_refusal_of_the_promotion_beside_it(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    asked = fail_to_open(monkeypatch, "0.0.3", failure)
    _name_candidate(store, TinyChoices(seed=6, version="0.0.3"))
    (store / CANDIDATE).rename(tmp_path / CANDIDATE)
    async with open_app(tiny_settings(store, tmp_path)) as service:
        await service.runtime.watch.close()  # else it may look at the same time
        (tmp_path / CANDIDATE).rename(store / CANDIDATE)
        write_current(store, load_artifact(store / "tiny/0.0.2"))
        with structlog.testing.capture_logs() as events:
            looks = [await service.runtime.watch.look() for _ in range(3)]
        serves = service.runtime.model.stamp.version

    told = [event["event"] for event in events if event["log_level"] in ("warning", "error")]
    assert (looks, serves) == ([True, False, False], "0.0.2")
    assert told == ["candidate.refused"]
    assert asked == ["0.0.1", "0.0.2", "0.0.3"]


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (TinyChoices(detector=TinyDetector(0.0, 0.0)), "NOT_A_CHEST"),
        (TinyChoices(intended_use=IntendedUse(min_age_years=70)), "AGE_OUT_OF_SCOPE"),
    ],
    ids=["out of distribution", "outside its intended use"],
)
async def test_the_candidate_refuses_what_it_would_refuse_when_it_serves(
    store: Path, tmp_path: Path, choices: TinyChoices, reason: str
) -> None:
    _name_candidate(store, replace(choices, seed=5, version="0.0.3"))

    async with open_app(tiny_settings(store, tmp_path)) as service:
        answer = await service.client.post("/predict", content=dicom_bytes())
        await _candidate(service).wait_drained()
        ((_, body),) = _noted(service)
        scored = _counted(service, "scored")

    assert answer.json()["status"] == "evaluated"
    assert (body["reason"], "probabilities" in body, scored) == (reason, False, 1)


async def test_the_candidate_says_what_it_finds_unusual(store: Path, tmp_path: Path) -> None:
    wary = TinyDetector(review_threshold=0.0, refuse_threshold=1.0)
    _name_candidate(store, TinyChoices(seed=5, version="0.0.3", detector=wary))

    async with open_app(tiny_settings(store, tmp_path)) as service:
        await service.client.post("/predict", content=dicom_bytes())
        await _candidate(service).wait_drained()
        ((_, body),) = _noted(service)

    assert "OUT_OF_DISTRIBUTION" in str(body["cautions"])
    assert isinstance(body["out_of_distribution"], float)


async def test_the_comparison_counts_apart_what_the_candidate_would_not_evaluate(
    store: Path, tmp_path: Path
) -> None:
    refusing = TinyChoices(seed=5, version="0.0.3", detector=TinyDetector(0.0, 0.0))
    _name_candidate(store, refusing)

    async with open_app(tiny_settings(store, tmp_path)) as service:
        answer = await service.client.post("/predict", content=dicom_bytes())
        await _candidate(service).wait_drained()
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            told = (await client.get("/review/api/comparison")).json()
            pages = [
                await client.get(path)
                for path in ("/review/comparison", f"/review/cases/{answer.json()['id']}")
            ]

    assert (told["candidate"], told["cases"], told["not_evaluated"]) == ("tiny/0.0.3", 0, 1)
    assert "would not have evaluated" in pages[0].text
    assert "NOT_A_CHEST" in pages[1].text


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
async def test_scores_that_are_not_numbers_become_no_evidence(store: Path) -> None:
    noted: list[Evidence] = []
    ended: list[CandidateEnding] = []

    async def note(evidence: Evidence) -> int:
        noted.append(evidence)
        return len(noted)

    async def wait_quiet(_seconds: float) -> None:
        """Nobody else is there."""

    scorer = CandidateScorer(
        model=serve_model(load_artifact(store / "tiny/0.0.2")), open_engine=NamelessEngine,
        limits=IntakeLimits(), wait_quiet=wait_quiet, note=note, count=ended.append,
    )  # fmt: skip
    await scorer.start()
    scorer.offer("entry", png_bytes())
    with structlog.testing.capture_logs() as events:
        await scorer.wait_drained()
    await scorer.close()

    assert (noted, ended) == ([], [CandidateEnding.FAILED])
    assert [event["error_type"] for event in events] == ["EngineFailed"]


async def test_a_gap_between_two_uploads_is_no_invitation(store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(store, tmp_path)) as service:
        admission = service.runtime.admission
        quiet = asyncio.create_task(admission.wait_quiet(0.0))
        with admission.enter():
            await asyncio.wait({quiet}, timeout=0)
            was_done = quiet.done()
        await quiet

    assert not was_done


def _name_candidate(store: Path, choices: TinyChoices) -> None:
    build_tiny_artifact(store, choices)
    write_current(store, load_artifact(store / "tiny/0.0.1"))
    name_candidate(store, f"tiny/{choices.version}")
