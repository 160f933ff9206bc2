"""`cxr-triage shadow ...` and `model ...`, as an operator types them."""

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.core.artifact import load_artifact, load_current, write_current
from service.record import Identifier, Pseudonymiser, SiteKeyMissing, load_or_create_key
from service.record.gaps import RetentionTooShort
from service.report_import import ReportsUnreadable
from service.shadow_checks import UNANCHORED
from service.simulate import LogNotEmpty
from tests.support.models import TinyChoices, build_tiny_artifact
from tests.support.record_log import tamper
from tests.support.simulated import copy_log, read_log

NEWEST = "SELECT kind, actor, body FROM evidence_log ORDER BY sequence DESC LIMIT 1"


@pytest.fixture
def log(
    simulated_log: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    url = copy_log(simulated_log, tmp_path / "log")
    monkeypatch.setenv("CXR_RECORD__URL", url)
    monkeypatch.setenv("CXR_RECORD__SITE_KEY_FILE", str(tmp_path / "log/site.key"))
    monkeypatch.setenv("CXR_MODEL__STORE", str(tiny_store))
    return url


def _run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_both_chains_are_verified(log: str) -> None:
    code, told = _run("shadow", "verify")

    assert code == 0
    assert "rows hold" in told
    assert "rows of evidence hold" in told


def test_a_head_that_was_noted_is_checked(log: str) -> None:
    _, told = _run("shadow", "verify")
    shadow, evidence = (line for line in told.splitlines() if "hold, up to" in line)
    forged = re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", evidence)

    whole, _ = _run("shadow", "verify", "--head", shadow, "--head", evidence)
    broken, why = _run("shadow", "verify", "--head", forged)
    unread, _ = _run("shadow", "verify", "--head", "row 7")

    assert (whole, broken, unread) == (0, 1, 2)
    assert "evidence row" in why
    assert "anchor_differs" in why


def test_an_early_head_does_not_stand_for_the_one_beside_the_database(log: str) -> None:
    early = read_log(log, "SELECT row_digest FROM shadow_log WHERE sequence = 100")[0][0]
    tamper(log, "DROP TRIGGER shadow_log_no_delete", "DELETE FROM shadow_log WHERE sequence > 200")

    code, told = _run("shadow", "verify", "--head", f"100 rows hold, up to {early}")

    assert (code, "row 201: tail_missing" in told) == (1, True)


def test_without_any_noted_head_verify_says_that_a_cut_end_would_pass(log: str) -> None:
    whole = _run("shadow", "verify")[1].splitlines()
    Path(f"{log.removeprefix('sqlite:///')}.head").unlink()

    code, told = _run("shadow", "verify")
    noted = _run("shadow", "verify", "--head", whole[0])[1]

    assert (code, told.splitlines()) == (0, [whole[0], UNANCHORED, whole[1]])
    assert noted.splitlines() == whole


def test_of_two_noted_heads_of_one_table_the_false_one_is_found(log: str) -> None:
    true = _run("shadow", "verify")[1].splitlines()[0]
    forged = f"100 rows hold, up to sha256:{'a' * 64}"

    codes = [
        _run("shadow", "verify", "--head", first, "--head", second)[0]
        for first, second in ((true, true), (true, forged), (forged, true))
    ]

    assert codes == [0, 1, 1]


@pytest.mark.parametrize(
    ("forgery", "named"),
    [
        (
            "UPDATE cases SET flag_pneumonia = 7 WHERE sequence = 200",
            200,
        ),
        ("DELETE FROM cases WHERE sequence = 300", 300),
        (
            "UPDATE cases SET report_pneumonia = 7 WHERE sequence = 100",
            100,
        ),
        ("UPDATE case_columns SET data = data || x'00' WHERE block = 2 AND name = 'rank'", 128),
    ],
    ids=["edited", "deleted", "report", "column"],
)
def test_an_index_that_was_forged_is_named(log: str, forgery: str, named: int) -> None:
    before = _run("shadow", "verify", "--index")
    tamper(f"{log}.cases", forgery)

    code, told = _run("shadow", "verify", "--index")

    assert before[0] == 0
    assert (code, f"index, case {named}:" in told) == (1, True)


def test_whoever_acts_may_write_their_name_in_any_script(log: str) -> None:
    code, _ = _run("shadow", "register", "--by", "山田\u3000太郎")
    refused, why = _run("shadow", "register", "--by", "a\x1b[2Jb")

    assert (code, read_log(log, NEWEST)[0][1]) == (0, "山田\u3000太郎")
    assert (refused, "control characters" in why) == (2, True)


def test_simulated_rows_never_stand_among_real_ones(log: str) -> None:
    with pytest.raises(LogNotEmpty):
        _run("shadow", "simulate", "--months", "0.1")


def test_a_simulated_log_is_whole_and_has_everything_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/new/shadow.db"
    monkeypatch.setenv("CXR_RECORD__URL", url)
    monkeypatch.setenv("CXR_RECORD__SITE_KEY_FILE", str(tmp_path / "new/site.key"))

    code, told = _run("shadow", "simulate", "--months", "0.4", "--per-day", "15")

    kinds = {row[0] for row in read_log(url, "SELECT DISTINCT kind FROM evidence_log")}
    outcomes = {row[0] for row in read_log(url, "SELECT DISTINCT outcome FROM shadow_log")}
    assert (code, "12 days" in told) == (0, True)
    assert (tmp_path / "new/site.key").exists()
    assert kinds >= {"criteria", "candidate", "report", "adjudication"}
    assert outcomes >= {"evaluated", "not_evaluated"}
    assert _run("shadow", "verify")[0] == 0


def test_reports_are_joined_from_a_file(log: str, tmp_path: Path) -> None:
    rows = [
        {"accession": "A1", "read_at": "2026-03-01T07:30:00Z", "pneumonia": "positive",
         "tuberculosis": "negative", "report": ""},
        {"accession": "A2", "read_at": "", "pneumonia": "", "tuberculosis": "",
         "report": "Possible pneumonia."},
    ]  # fmt: skip
    path = tmp_path / "reports.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    code, told = _run("shadow", "import-reports", str(path), "--by", "ris")

    assert (code, told.strip()) == (0, "2 reports, 1 of them unclear about a finding")
    kind, actor, body = read_log(log, NEWEST)[0]
    assert (kind, actor) == ("report", "ris")
    assert json.loads(str(body))["outcomes"]["pneumonia"] == "unclear"
    assert _run("shadow", "verify")[0] == 0


@pytest.mark.parametrize("since", ["2026-01-20T12:00:00", "2026-01-20T14:00:00+0200"])
def test_an_export_begins_when_it_was_told_to(log: str, tmp_path: Path, since: str) -> None:
    asked = "SELECT COUNT(*) FROM shadow_log WHERE received_at >= '2026-01-20T12:00:00'"
    ((expected,),) = read_log(log, asked)

    code, told = _run("shadow", "export", str(tmp_path / "log.csv"), "--since", since)

    assert (code, told.strip()) == (0, f"{expected} rows")


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (b"A21,,maybe,negative\n", "line 22: pneumonia: expected"),
        (b"\xc4,,positive,negative\n", "line 22: expected UTF-8"),
        (b'A21,,"positive,negative\n', "line 22: expected CSV"),
    ],
    ids=["value", "latin-1", "csv"],
)
def test_a_file_of_reports_is_in_as_a_whole_or_not_at_all(
    log: str, tmp_path: Path, last: bytes, message: str
) -> None:
    good = b"".join(b"A%d,,positive,negative\n" % number for number in range(20))
    path = tmp_path / "reports.csv"
    path.write_bytes(b"accession,read_at,pneumonia,tuberculosis\n" + good + last)
    before = read_log(log, "SELECT COUNT(*) FROM evidence_log")

    with pytest.raises(ReportsUnreadable, match=message):
        _run("shadow", "import-reports", str(path))

    assert read_log(log, "SELECT COUNT(*) FROM evidence_log") == before


def test_a_file_of_reports_that_is_not_there_is_a_coded_refusal(log: str, tmp_path: Path) -> None:
    with pytest.raises(ReportsUnreadable, match="the file cannot be read"):
        _run("shadow", "import-reports", str(tmp_path / "absent.csv"))


def test_a_look_up_is_recorded_with_its_reason_and_without_the_identifier(
    log: str, tmp_path: Path
) -> None:
    answers = "recall of a patient\nZQACCESSION\n"

    code, _ = _run("shadow", "lookup", "--by", "dr-a", answer=answers)

    kind, actor, body = read_log(log, NEWEST)[0]
    told = json.loads(str(body))
    key = Pseudonymiser(load_or_create_key(tmp_path / "log/site.key"))
    assert (code, kind, actor, told["matches"]) == (0, "lookup", "dr-a", 0)
    assert told["reason"] == "recall of a patient"
    assert told["pseudonym"] == key.pseudonymise(Identifier.ACCESSION, "ZQACCESSION")
    assert "ZQACCESSION" not in str(body)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_an_export_is_recorded(log: str, tmp_path: Path, file_format: str) -> None:
    out = tmp_path / "out"

    code, told = _run("shadow", "export", str(out), "--format", file_format, "--by", "me")

    kind, actor, body = read_log(log, NEWEST)[0]
    assert (code, kind, actor) == (0, "export", "me")
    assert told.strip().endswith(f"{json.loads(str(body))['rows']} rows")
    assert out.stat().st_size > 10_000


def test_criteria_count_only_what_comes_after_them(log: str) -> None:
    before = json.loads(_run("shadow", "report")[1].split("Research use only")[0])

    code, _ = _run("shadow", "register", "--sensitivity", "pneumonia=0.95", "--by", "board")
    after = json.loads(_run("shadow", "report")[1].split("Research use only")[0])

    assert code == 0
    assert before["radiographs"] > 500
    assert (after["registered_by"], after["radiographs"]) == ("board", 0)
    assert after["criteria"][0]["target"] == 0.95
    assert after["decision"] == "EXTEND"


def test_rows_younger_than_six_months_are_not_purged(log: str) -> None:
    with pytest.raises(RetentionTooShort):
        _run("shadow", "purge", "--keep-days", "30", "--yes")

    assert _run("shadow", "verify")[0] == 0


@pytest.mark.parametrize(
    "command",
    [
        ("lookup", "--reason", "recall"),
        ("import-reports", "reports.csv"),
        ("purge", "--keep-days", "400", "--yes"),
    ],
    ids=lambda command: command[0],
)
def test_a_command_in_the_wrong_folder_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    header = "accession,read_at,pneumonia,tuberculosis\n"
    (tmp_path / "reports.csv").write_text(header + "A1,,positive,negative\n", "utf-8")
    (tmp_path / "record").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SiteKeyMissing):
        _run("shadow", *command, answer="ZQACCESSION\n")

    assert list((tmp_path / "record").iterdir()) == []


def test_versions_are_listed_with_their_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build_tiny_artifact(tmp_path / "store")
    build_tiny_artifact(store, TinyChoices(seed=2, version="0.0.2"))
    write_current(store, load_artifact(store / "tiny/0.0.1"))
    monkeypatch.setenv("CXR_MODEL__STORE", str(store))

    named = _run("model", "candidate", "tiny/0.0.2")
    listed = _run("model", "list")

    assert (named[0], listed[0]) == (0, 0)
    assert "CURRENT" in listed[1]
    assert "CANDIDATE" in listed[1]
    assert load_current(store).reference == "tiny/0.0.1"
