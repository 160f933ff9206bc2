"""Files in and out of a container that has no folder of the machine: through pipes, in one line."""

import csv
import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq
import pytest

from service.cli import main
from tests.support.models import build_tiny_artifact
from tests.support.simulated import copy_log, read_log

EVIDENCE = "SELECT kind, actor, body FROM evidence_log ORDER BY sequence DESC LIMIT 1"
HEADER = b"\xef\xbb\xbfaccession,read_at,pneumonia,tuberculosis\r\n"


@pytest.fixture
def log(simulated_log: Path, tmp_path: Path) -> str:
    return copy_log(simulated_log, tmp_path / "log")


def pipe(
    log: str, *words: str, given: bytes = b"", to: IO[bytes] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """The program between two pipes, as `docker compose exec -T` has it."""
    key = Path(log.removeprefix("sqlite:///")).with_name("site.key")
    environment = {"CXR_RECORD__URL": log, "CXR_RECORD__SITE_KEY_FILE": str(key)}
    return subprocess.run(
        [sys.executable, "-m", "service", "shadow", *words],
        env=os.environ | environment, input=given, stdout=to, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip


def test_reports_come_in_by_the_pipe(log: str) -> None:
    done = pipe(log, "import-reports", "-", given=HEADER + b"A1,,positive,negative\r\n")

    kind, _, body = read_log(log, EVIDENCE)[0]
    assert (done.returncode, done.stdout.split()[:2]) == (0, [b"1", b"reports,"])
    assert kind == "report"
    assert json.loads(str(body))["outcomes"]["pneumonia"] == "positive"


def test_a_line_of_the_pipe_that_does_not_fit_is_named(log: str) -> None:
    before = read_log(log, "SELECT COUNT(*) FROM evidence_log")

    done = pipe(log, "import-reports", "-", given=HEADER + b"A1,,\xc4,negative\r\n")

    assert (done.returncode, b"line 2: expected UTF-8" in done.stderr) == (2, True)
    assert read_log(log, "SELECT COUNT(*) FROM evidence_log") == before


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_an_export_goes_out_by_the_pipe_and_nothing_else_does(log: str, file_format: str) -> None:
    done = pipe(log, "export", "-", "--format", file_format, "--by", "me")

    if file_format == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    else:
        rows = pq.read_table(io.BytesIO(done.stdout)).to_pylist()
    kind, actor, body = read_log(log, EVIDENCE)[0]
    assert (kind, actor, json.loads(str(body))["rows"]) == ("export", "me", len(rows))
    assert [int(row["sequence"]) for row in rows] == list(range(1, len(rows) + 1))
    assert done.stderr.decode().split() == [str(len(rows)), "rows"]


def test_an_export_whose_reader_leaves_is_recorded(log: str) -> None:
    (read_end, write_end), (rows,) = os.pipe(), read_log(log, "SELECT COUNT(*) FROM shadow_log")[0]
    os.close(read_end)

    with os.fdopen(write_end, "wb") as nobody_reads:
        pipe(log, "export", "-", "--by", "me", to=nobody_reads)

    kind, actor, body = read_log(log, EVIDENCE)[0]
    assert (kind, actor, json.loads(str(body))["rows"]) == ("export", "me", rows)


def test_an_export_that_finds_no_place_is_not_recorded(log: str, tmp_path: Path) -> None:
    before = read_log(log, EVIDENCE)

    done = pipe(log, "export", str(tmp_path / "nowhere/rows.csv"))

    assert (done.returncode, read_log(log, EVIDENCE)) == (2, before)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/dev/full", "FILE_UNWRITABLE a file: No space left on device"),
        ("CANDIDATE.part", "FILE_UNREADABLE {part}: Too many levels of symbolic links"),
    ],
    ids=["full", "loop"],
)
def test_a_store_that_cannot_be_written_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
    told: str,
) -> None:
    part = build_tiny_artifact(tmp_path / "store") / "CANDIDATE.part"
    part.symlink_to(target)

    refused = name_candidate(part.parent, monkeypatch, capsys)

    assert refused == f"{told.format(part=part)}\n"


def test_a_store_that_is_read_only_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_tiny_artifact(tmp_path / "store")

    def refuse(path: Path, *_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(
        "service.core.files.os.open", refuse
    )  # only a mount makes one, and root alone mounts

    refused = name_candidate(store, monkeypatch, capsys)

    assert refused == f"FILE_UNWRITABLE {store}/CANDIDATE.part: Read-only file system\n"


def name_candidate(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Ask for it, and return what the refusal says."""
    monkeypatch.setenv("CXR_MODEL__STORE", str(store))
    monkeypatch.setattr(sys, "argv", ["cxr-triage", "model", "candidate", "tiny/0.0.1"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    return capsys.readouterr().err
