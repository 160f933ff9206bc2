"""`cxr-triage selfcheck` as an operator types it, and through a real PACS."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.core.artifact import ONNX, Artifact
from service.ops.address import LogAddress
from service.ops.check import Result, Told, Verdict
from service.ops.check_pacs import PacsSite, check_pacs
from service.ops.check_record import check_chains
from service.ops.phantom import draw_phantom
from service.pacs.queue import open_queue
from tests.support.apps import running_service
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.orthanc import PASSWORD, USER, Site, needs_orthanc, running_orthanc


def verdict(told: Told) -> Verdict:
    """Short."""
    return told.verdict


def results_of(output: str) -> dict[str, Result]:
    """Checks by name."""
    told = json.loads(output)["checks"]
    return {check["name"]: Result(**check) for check in told}


def test_sound_installation_is_accepted_and_its_log_is_left_alone(
    environment: dict[str, str], site: LogAddress
) -> None:
    before = check_chains(site).detail

    done = CliRunner(env=environment).invoke(app, ["selfcheck", "--json"])

    results = results_of(done.stdout)
    wrong = {n: r.detail for n, r in results.items() if r.verdict == Verdict.FAIL}
    assert set(wrong) <= {"record on disk", "free space"}, wrong  # of the machine of the tests
    assert done.exit_code == (1 if wrong else 0)
    assert results["round trip"].detail.startswith("recorded; scores are the release's")
    assert results["through the PACS"].verdict == Verdict.NOT_CHECKED
    assert {results[n].verdict for n in results if "PHI" in n} == {Verdict.PASS}
    assert check_chains(site).detail == before


def test_running_service_is_checked_where_it_is(
    environment: dict[str, str], site: LogAddress, tiny_store: Path
) -> None:
    folder = site.key.parent
    with running_service(tiny_store, folder) as service:
        options = ["--url", service.url, "--log-file", str(folder / "service.log")]
        done = CliRunner(env=environment).invoke(app, ["selfcheck", *options])

    assert "round trip" in done.stdout
    assert done.stdout.count("24 marks, none found") == 3, done.stdout
    assert check_chains(site).verdict is Verdict.PASS


def test_failed_check_is_told_by_the_exit_code(
    environment: dict[str, str], site: LogAddress, tmp_path: Path
) -> None:
    store = build_tiny_artifact(tmp_path / "store", TinyChoices(seed=3))
    (store / "tiny/0.0.1" / ONNX).write_bytes(b"another network")

    done = CliRunner(env=environment | {"CXR_MODEL__STORE": str(store)}).invoke(app, ["selfcheck"])

    assert done.exit_code == 1
    assert "NOT accepted" in done.stdout
    assert "service" in done.stdout


def test_settings_that_are_refused_are_a_failed_check() -> None:
    done = CliRunner(env={"CXR_MODE": "loud"}).invoke(app, ["selfcheck", "--json"])

    assert done.exit_code == 1
    assert results_of(done.stdout)["settings"].verdict == Verdict.FAIL


def test_refused_settings_are_told_without_the_password(tmp_path: Path) -> None:
    address = {
        "CXR_RECORD__URL": "postgresql+pg8000://cxr:hunter2@db/cxr",
        "CXR_RECORD__PASSWORD_FILE": str(tmp_path / "another"),
    }

    done = CliRunner(env=address).invoke(app, ["selfcheck", "--json"])

    told = results_of(done.stdout)["settings"].detail
    assert told == "CXR_RECORD__URL Value error, url holds a password, and password_file another"
    assert "hunter2" not in done.output


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "orthanc").mkdir()
    with running_orthanc(tmp_path / "orthanc") as running:
        yield running


def test_without_a_pacs_it_is_said_that_it_was_not_checked(
    artifact: Artifact, site: LogAddress
) -> None:
    assert verdict(check_pacs(None, draw_phantom(artifact), site)) is Verdict.NOT_CHECKED


def test_service_that_never_asked_the_pacs_fails(artifact: Artifact, site: LogAddress) -> None:
    pacs = PacsSite(
        url="http://127.0.0.1:9", auth=None, ca_file=None, queue_file=site.key.with_name("none")
    )

    told = check_pacs(pacs, draw_phantom(artifact), site, wait=0)

    assert told.detail == "the service has not made contact with the PACS"


@needs_orthanc
@pytest.mark.slow
def test_phantom_goes_through_the_hospitals_own_pacs(
    environment: dict[str, str], orthanc: Site
) -> None:
    done = CliRunner(env=environment | orthanc.variables).invoke(app, ["selfcheck", "--json"])

    told = results_of(done.stdout)["through the PACS"]
    with orthanc.client() as client:
        left = client.get("/instances").json()
    assert (told.verdict, left) == (Verdict.PASS, []), told.detail


@needs_orthanc
@pytest.mark.slow
def test_phantom_that_does_not_arrive_fails_and_is_removed(
    artifact: Artifact, site: LogAddress, orthanc: Site, tmp_path: Path
) -> None:
    queue = open_queue(tmp_path / "pacs.db", time.time)
    queue.begin_anew()
    queue.close()
    pacs = PacsSite(
        url=orthanc.url, auth=(USER, PASSWORD), ca_file=None, queue_file=tmp_path / "pacs.db"
    )

    told = check_pacs(pacs, draw_phantom(artifact), site, wait=0)

    with orthanc.client() as client:
        left = client.get("/instances").json()
    assert (told.verdict, left) == (Verdict.FAIL, [])
    assert "not in the log" in told.detail
