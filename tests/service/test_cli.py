"""The command line, in this process and as it is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service import __version__
from service.cli import app, main
from service.core.store import HISTORY
from tests.support.collectors import running_collector
from tests.support.models import build_tiny_artifact
from tests.support.radiographs import dicom_bytes, png_bytes

PROVIDER = {
    "CXR_ACCESS__MODE": "on",
    "CXR_ACCESS__PUBLIC_URL": "https://cxr.example",
    "CXR_ACCESS__OIDC_ISSUER": "https://sign-in.example",
    "CXR_ACCESS__OIDC_CLIENT_ID": "cxr-triage",
    "CXR_ACCESS__OIDC_GROUPS": '{"radiology": "review"}',
}

WITHOUT_TORCH = """
import sys
import service.cli, service.runtime, service.engine.loading
assert not {"torch", "torchvision"} & set(sys.modules), "torch was imported"
"""

ONLY_SERVING = """
import sys
import service.serve_cli
others = {"alembic", "httpx", "service.cli", "service.demo", "service.shadow_cli"}
print(sorted(others & set(sys.modules)))
"""

WITHOUT_SCIPY = """
import sys
import service.serve_cli
from service.core.artifact import load_current
from service.drift_sighting import open_comparison
from service.settings import find_model_store
assert open_comparison(load_current(find_model_store(None)).files).detector is not None
print([name for name in sys.modules if name.startswith(("scipy.special", "scipy.stats"))])
"""

ONLY_THE_ENGINE = """
import sys
import service.verified_engine
print(sorted({"fastapi", "pydicom", "scipy", "sqlalchemy", "typer"} & set(sys.modules)))
"""


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.png").write_bytes(png_bytes())
    (folder / "deep/b.dcm").write_bytes(dicom_bytes())
    (folder / "lateral.dcm").write_bytes(dicom_bytes(view="LATERAL"))
    return folder


@pytest.fixture
def runner(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("CXR_MODEL__STORE", str(tiny_store))
    monkeypatch.setenv("CXR_RECORD__URL", f"sqlite:///{tmp_path}/shadow.db")
    return CliRunner()


def test_version_is_told(runner: CliRunner) -> None:
    assert runner.invoke(app, ["--version"]).stdout == f"cxr-triage {__version__}\n"


def test_folder_is_read_to_its_depth(runner: CliRunner, films: Path) -> None:
    result = runner.invoke(app, ["predict", "--json", str(films)])

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [Path(line["file"]).name for line in lines] == ["a.png", "b.dcm", "lateral.dcm"]
    assert [line["status"] for line in lines] == ["evaluated", "evaluated", "not_evaluated"]
    assert lines[2]["code"] == "VIEW_LATERAL"


def test_unreadable_file_is_told_by_the_exit_code(runner: CliRunner, films: Path) -> None:
    (films / "notes.txt").write_text("hello")

    result = runner.invoke(app, ["predict", f"{films}/*", "--out", str(films / "out.jsonl")])

    lines = [json.loads(line) for line in (films / "out.jsonl").read_text().splitlines()]
    assert result.exit_code == 1
    assert [line["code"] for line in lines] == [None, "VIEW_LATERAL", "UNKNOWN_FORMAT"]


def test_table_names_every_finding(runner: CliRunner, films: Path) -> None:
    result = runner.invoke(app, ["predict", str(films / "a.png")])

    assert all(word in result.stdout for word in ("P(normal)", "P(pneumonia)", "P(tb)"))
    assert "Not a medical device" in result.stdout


def test_file_with_square_brackets_is_named_as_it_is(
    runner: CliRunner, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (films / "a.png").rename(films / "[i]:x:.png")
    monkeypatch.chdir(films)

    result = runner.invoke(app, ["predict", "."])

    assert "[i]:x:.png" in result.stdout


def test_version_with_square_brackets_is_named_as_it_is(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build_tiny_artifact(tmp_path / "store")
    (store / "tiny").rename(store / "tiny[red]:x:")
    monkeypatch.setenv("CXR_MODEL__STORE", str(store))

    assert "tiny[red]:x:/0.0.1" in runner.invoke(app, ["model", "list"]).stdout


def test_model_is_verified_to_its_golden_scores(runner: CliRunner) -> None:
    result = runner.invoke(app, ["model", "verify"])

    assert result.exit_code == 0
    assert "golden scores reproduced on openvino" in result.stdout


def test_version_without_a_sound_audit_is_promoted_for_a_reason_only(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build_tiny_artifact(tmp_path / "store")
    monkeypatch.setenv("CXR_MODEL__STORE", str(store))
    words = ["model", "promote", "tiny/0.0.1"]

    refused = runner.invoke(app, words)
    accepted = runner.invoke(app, [*words, "--accept-audit", "phantoms have no source"])

    assert "--accept-audit" in str(refused.exception)
    assert accepted.exit_code == 0
    assert (store / HISTORY).read_text().count("\n") == 1
    assert "because phantoms have no source" in (store / HISTORY).read_text()


def test_service_that_refuses_to_start_says_why(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_store: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "shadow.db").write_bytes(b"not a database " * 100)
    monkeypatch.setenv("CXR_MODEL__STORE", str(tiny_store))
    monkeypatch.setenv("CXR_RECORD__URL", f"sqlite:///{tmp_path}/shadow.db")
    monkeypatch.setattr(sys, "argv", ["cxr-triage", "serve", "--port", "0"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "RECORD_UNAVAILABLE the shadow log" in capsys.readouterr().err


def test_who_only_serves_does_not_wait_for_the_other_commands() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", ONLY_SERVING], capture_output=True, text=True, check=True
    )

    assert finished.stdout == "[]\n"


def test_start_with_a_drift_reference_does_not_wait_for_scipy() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_SCIPY], capture_output=True, text=True, check=True
    )

    assert finished.stdout == "[]\n"


def test_network_compiles_before_what_it_does_not_need_is_imported() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", ONLY_THE_ENGINE], capture_output=True, text=True, check=True
    )

    assert finished.stdout == "[]\n"


@pytest.mark.parametrize(
    ("word", "variables", "told"),
    [
        ("serve", {"CXR_SERVER__PORT": "x"}, "CXR_SERVER__PORT Input should be a valid integer"),
        ("serve", {"CXR_SCANNERS": "{"}, "CXR_SCANNERS is not JSON"),
        ("serve", {"CXR_RECORD__URL": "log"}, "CXR_RECORD__URL Value error, url is not the addr"),
        ("serve", {"CXR_RECORD__URL": "mysql://h/d"}, "CXR_RECORD__URL Value error, url is of nei"),
        ("serve", {"CXR_NO_SUCH": "1"}, "UNKNOWN_SETTING CXR_NO_SUCH"),
        ("serve", {"CXR_MODEL__STORE": "/nowhere"}, "ARTIFACT_MISSING"),
        ("serve", {"CXR_SERVER__HOST": "0.0.0.0"}, "ACCESS_OPEN_TO_OTHERS"),
        ("init", {}, "Missing argument"),
    ],
)
def test_the_program_refuses_in_a_line(word: str, variables: dict[str, str], told: str) -> None:
    command = [sys.executable, "-m", "service", word]
    environment = {**os.environ, **variables, "COLUMNS": "200"}

    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert finished.returncode == 2
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        (["shadow", "restore", "/[no]/a.tar"], {}, "FILE_UNREADABLE /[no]/a.tar: No such"),
        (["serve"], PROVIDER | {"CXR_ACCESS__OIDC_CA_FILE": "/no/ca.pem"}, "oidc_ca_file cannot"),
    ],
    ids=["archive", "authority"],
)
def test_what_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    variables: dict[str, str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["cxr-triage", *words])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_mistake_of_the_operator_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CXR_MODEL__STORE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["cxr-triage", "model", "verify"])

    with pytest.raises(SystemExit) as ended:
        main()

    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith("ARTIFACT_MISSING CURRENT")
    assert "Traceback" not in told


def test_number_out_of_bounds_is_not_told_as_a_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["shadow", "register", "--sensitivity", "pneumonia=1.5"]
    monkeypatch.setattr(sys, "argv", ["cxr-triage", *asked])

    with pytest.raises(SystemExit) as ended:
        main()

    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told == "VALUE_REFUSED sensitivity: Input should be less than 1\n"


def test_demo_reads_a_real_radiograph_in_three_encodings(runner: CliRunner) -> None:
    result = runner.invoke(app, ["demo", "--once", "--port", "0"])

    assert result.exit_code == 0, result.stdout
    assert result.stdout.count("evaluated") == 3
    assert "agree to 0.0000" in result.stdout
    assert "attention overlay" in result.stdout


def test_demo_leaves_queue_collector_and_proxy_of_the_site_alone(
    runner: CliRunner, tmp_path: Path
) -> None:
    queue_file = tmp_path / "pacs.db"
    with running_collector() as collector:
        site = {
            "CXR_PACS__URL": collector.url,
            "CXR_PACS__QUEUE_FILE": str(queue_file),
            "CXR_TRACING__URL": collector.url,
            "HTTP_PROXY": collector.url,
        }

        result = runner.invoke(app, ["demo", "--once", "--port", "0"], env=site)

        assert result.exit_code == 0, result.output
        assert not queue_file.exists()
        assert collector.bodies == []


def test_demo_leaves_no_log_and_no_key_behind(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    result = runner.invoke(app, ["demo", "--once", "--port", "0"])

    assert result.exit_code == 0, result.output
    assert list(scratch.glob("cxr-triage-demo-*")) == []


def test_service_runs_without_torch() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")
