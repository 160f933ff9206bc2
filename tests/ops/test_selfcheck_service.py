"""Checks of a service by a marked phantom: each leak is found where it is."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from pydicom import dcmread

from service.core.artifact import Artifact
from service.ops.address import LogAddress
from service.ops.check import Told, Verdict, is_accepted, passed, run_checks
from service.ops.check_service import Trial, changed_since, compare_row
from service.ops.phantom import draw_phantom, find_marks, find_marks_in_file
from tests.support.record_entries import conflict, evaluated, not_evaluated
from tests.support.record_log import tamper

NOBODY = 65534


def verdict(told: Told) -> Verdict:
    """Short."""
    return told.verdict


def test_phantom_bears_its_marks_and_no_two_are_alike(artifact: Artifact) -> None:
    first, second = draw_phantom(artifact), draw_phantom(artifact)

    dataset = dcmread(io.BytesIO(first.body))

    assert all(str(dataset[keyword].value) == mark for keyword, mark in first.marks.items())
    assert set(first.marks.values()).isdisjoint(second.marks.values())
    assert sorted(find_marks(first, first.body)) == sorted(first.marks)
    assert find_marks(first, second.body) == []


@pytest.mark.parametrize("coding", ["ascii", "utf-16-le", "utf-16-be"])
def test_mark_is_found_in_a_file_whatever_its_coding(
    artifact: Artifact, tmp_path: Path, coding: str
) -> None:
    phantom = draw_phantom(artifact)
    path = tmp_path / "trace"
    path.write_bytes(b"..." + phantom.marks["PatientName"].encode(coding) + b"...")

    assert find_marks_in_file(phantom, path) == ["PatientName"]
    assert find_marks_in_file(phantom, tmp_path / "gone") == []


def test_row_is_compared_with_the_release(artifact: Artifact) -> None:
    phantom = draw_phantom(artifact)
    findings = artifact.manifest.findings
    same = dict(zip(findings, phantom.probabilities, strict=True))
    other = {finding: 1 - value for finding, value in same.items()}

    def said(**changes: object) -> Verdict:
        return verdict(compare_row(evaluated(**changes), phantom, artifact))

    assert said(probabilities=same) is Verdict.PASS
    assert said(probabilities=other) is Verdict.FAIL
    assert verdict(compare_row(not_evaluated(), phantom, artifact)) is Verdict.PASS
    assert verdict(compare_row(conflict(), phantom, artifact)) is Verdict.FAIL


REFUSALS: dict[tuple[str, str], tuple[int, dict[str, object]]] = {
    ("unready", "/readyz"): (503, {"reasons": ["QUEUE_FULL"]}),
    ("failing", "/explain"): (500, {}),
    ("shadow", "/explain"): (403, {"code": "SHADOW_MODE"}),
    ("proxied", "/metrics"): (404, {}),
}


class Leaky:
    """A service that answers as it should, and tells more than it should."""

    def __init__(self, model_digest: str, leaks: frozenset[str]) -> None:
        self._model_digest = model_digest
        self._leaks = leaks
        self.log = b'{"event": "triage.completed"}\n'

    def __call__(self, request: httpx.Request) -> httpx.Response:
        heard = request.content
        date = {"date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if "log" in self._leaks:
            self.log += heard[:4000]
        if request.url.path == "/model":
            return httpx.Response(200, json={"digest": self._model_digest}, headers=date)
        for leak in self._leaks:
            if (leak, request.url.path) in REFUSALS:
                status, body = REFUSALS[leak, request.url.path]
                return httpx.Response(status, json=body, headers=date)
        if "locked" in self._leaks and request.method == "POST":
            return httpx.Response(401, headers=date)
        told = heard[:4000] if "answer" in self._leaks else b"{}"
        return httpx.Response(200, content=told, headers=date)


@contextmanager
def trial_of(
    artifact: Artifact, address: LogAddress, *leaks: str, digest: str | None = None
) -> Iterator[Trial]:
    """A trial of a service that leaks in so many ways."""
    service = Leaky(digest or artifact.digest, frozenset(leaks))
    transport = httpx.MockTransport(service)
    with httpx.Client(transport=transport, base_url="http://cxr") as client:
        yield Trial(
            client=client, artifact=artifact, log=address, phantom=draw_phantom(artifact),
            second=draw_phantom(artifact), read_log=lambda: service.log,
            folders=[address.key.parent],
        )  # fmt: skip


@pytest.mark.parametrize("leak", ["answer", "log"])
def test_leak_is_found_where_it_is(artifact: Artifact, site: LogAddress, leak: str) -> None:
    with trial_of(artifact, site, leak) as trial:
        trial.check_pages()
        found = {"answer": trial.check_answers(), "log": trial.check_log()}

    assert {place for place, told in found.items() if told.verdict is Verdict.FAIL} == {leak}
    assert "PatientName" in found[leak].detail


def test_shadow_mode_is_no_missing_scope(artifact: Artifact, site: LogAddress) -> None:
    with trial_of(artifact, site, "shadow") as trial:
        assert verdict(trial.check_pages()) is Verdict.PASS


@pytest.mark.parametrize(
    ("leaks", "expected"), [((), Verdict.NOT_CHECKED), (("answer",), Verdict.FAIL)]
)
def test_metrics_that_the_proxy_keeps_are_not_checked(
    artifact: Artifact, site: LogAddress, leaks: tuple[str, ...], expected: Verdict
) -> None:
    with trial_of(artifact, site, "proxied", *leaks) as trial:
        trial.check_pages()

        assert verdict(trial.check_answers()) is expected


def test_leak_into_a_file_is_found(artifact: Artifact, site: LogAddress) -> None:
    with trial_of(artifact, site) as trial:
        before = trial.check_files()
        (site.key.parent / "core.dump").write_bytes(trial.phantom.body)
        after = trial.check_files()

    assert (before.verdict, after.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert "in the file core.dump" in after.detail


@contextmanager
def readable_to_nobody(path: Path) -> Iterator[None]:
    """As a file of another user; root reads everything, so root is nobody meanwhile."""
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_file_of_another_user_is_counted_and_fails_nothing(
    artifact: Artifact, site: LogAddress
) -> None:
    with trial_of(artifact, site) as trial, TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        (folder / "ours").write_bytes(b"nothing")
        (folder / "theirs").write_bytes(trial.phantom.body)
        with readable_to_nobody(folder / "theirs"):
            told = replace(trial, folders=[folder]).check_files()

    assert verdict(told) is Verdict.PASS
    assert told.detail == "1 files written since, none holds a mark; 1 not readable by this user"


def test_leak_into_the_record_is_found(artifact: Artifact, site: LogAddress) -> None:
    with trial_of(artifact, site) as trial:
        empty = trial.check_rows()
        moment = datetime.now(UTC).isoformat()
        tamper(
            site.url,
            "INSERT INTO evidence_log (sequence, id, recorded_at, kind, actor, body, "
            f"previous_digest, row_digest) VALUES (99999, 'x', '{moment}', 'lookup', "
            f"'{trial.second.marks['PatientID']}', '', '', '')",
        )
        after = trial.check_rows()

    assert (empty.verdict, empty.detail) == (Verdict.FAIL, "no row was written")
    assert (after.verdict, "PatientID in a row" in after.detail) == (Verdict.FAIL, True)


def test_service_that_is_not_ready_or_serves_another_model_fails(
    artifact: Artifact, site: LogAddress
) -> None:
    with (
        trial_of(artifact, site) as good,
        trial_of(artifact, site, "unready") as unready,
        trial_of(artifact, site, digest="sha256:" + "0" * 64) as other,
    ):
        told = [trial.check_model() for trial in (good, unready, other)]

    assert [verdict(t) for t in told] == [Verdict.PASS, Verdict.FAIL, Verdict.FAIL]
    assert "QUEUE_FULL" in told[1].detail


@pytest.mark.parametrize(("leak", "words"), [("failing", "500"), ("locked", "needs scope predict")])
def test_refused_and_failing_requests_fail(
    artifact: Artifact, site: LogAddress, leak: str, words: str
) -> None:
    with trial_of(artifact, site, leak) as trial:
        told = trial.check_pages()

    assert (told.verdict, words in told.detail) == (Verdict.FAIL, True)


def test_answer_without_a_row_fails(artifact: Artifact, site: LogAddress) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": "no-such-row"})

    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://cxr") as client:
        trial = Trial(
            client=client, artifact=artifact, log=site, phantom=draw_phantom(artifact),
            second=draw_phantom(artifact), read_log=lambda: None, folders=[],
        )  # fmt: skip
        told = trial.check_round_trip()

    assert told.detail == "answered, and there is no such row in the shadow log"
    assert verdict(trial.check_log()) is Verdict.NOT_CHECKED


def test_empty_log_is_no_proof(artifact: Artifact, site: LogAddress) -> None:
    with trial_of(artifact, site) as trial:
        told = replace(trial, read_log=lambda: b"").check_log()

    assert verdict(told) is Verdict.FAIL


def test_file_that_was_there_before_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"x")
    os.utime(path, (1, 1))

    assert not changed_since(path, 2)
    assert changed_since(path, 1)
    assert not changed_since(tmp_path / "gone", 0)


def test_a_check_that_raises_has_failed_and_the_next_is_made() -> None:
    def raises() -> Told:
        raise ValueError("out of reach")

    first, second = run_checks([("first", raises), ("second", lambda: passed("well"))])

    assert (first.verdict, first.detail) == (Verdict.FAIL, "ValueError: out of reach")
    assert not is_accepted([first, second])
    assert is_accepted([second])
