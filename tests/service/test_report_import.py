"""Reports come in by pseudonym, their text stays outside, and doubt stays doubt."""

import csv
import io

import pytest

from service.core.findings import Finding
from service.labeller import label_report
from service.record import Evidence, Identifier, Label, Pseudonymiser
from service.report_import import ReportsUnreadable, is_unclear, read_reports

KEY = Pseudonymiser(b"k" * 32)
ROW = {"accession": "ZQACC1", "study_instance_uid": "", "read_at": "2026-03-01T07:30:00+01:00"}
CLEAR = {"pneumonia": "Positive", "tuberculosis": " negative "}


def _csv(*rows: dict[str, str | None]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read(*rows: dict[str, str | None]) -> list[Evidence]:
    return list(read_reports(io.StringIO(_csv(*rows), newline=""), KEY, "ris"))


def test_identifiers_become_the_pseudonyms_of_the_log() -> None:
    (told,) = _read({**ROW, **CLEAR, "study_instance_uid": "1.2.3"})

    assert told.accession == KEY.pseudonymise(Identifier.ACCESSION, "ZQACC1")
    assert told.study_instance == KEY.pseudonymise(Identifier.STUDY_INSTANCE, "1.2.3")
    assert "ZQACC1" not in repr(told)


def test_outcomes_and_time_are_kept_in_one_form() -> None:
    (told,) = _read({**ROW, **CLEAR})

    assert told.body == {
        "outcomes": {"pneumonia": "positive", "tuberculosis": "negative"},
        "read_at": "2026-03-01T06:30:00+00:00",
        "source": "csv",
    }


def test_text_is_labelled_and_not_kept() -> None:
    (told,) = _read({**ROW, "report": "ZQNAME: possible left lower lobe pneumonia."})

    assert told.body["outcomes"] == {"pneumonia": "unclear", "tuberculosis": "negative"}
    assert told.body["source"] == "labeller"
    assert is_unclear(told)
    assert "ZQNAME" not in repr(told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accession": " "}, "line 3: expected accession or study_instance_uid"),
        ({"pneumonia": "ZQ yes"}, "line 3: pneumonia: expected negative, positive, unclear"),
        ({"tuberculosis": None}, "line 3: tuberculosis: expected"),
        ({"read_at": "2026-03-01 07:30"}, "line 3: read_at: expected a time zone"),
        ({"read_at": "ZQ yesterday"}, "line 3: a column is missing or malformed"),
        ({"read_at": "0001-01-01T00:00:00+14:00"}, "line 3: a column is missing or malformed"),
        ({"accession": "\ud8e4"}, "line 3: expected UTF-8"),
        ({"report": "ZQ" * 100_000}, "line 3: expected CSV"),
    ],
)
def test_a_line_that_does_not_fit_is_named_and_not_quoted(
    change: dict[str, str | None], message: str
) -> None:
    with pytest.raises(ReportsUnreadable, match=message) as refused:
        _read({**ROW, **CLEAR}, {**ROW, **CLEAR, **change})

    assert "ZQ" not in str(refused.value)


def test_lines_are_counted_as_in_the_file() -> None:
    told: dict[str, str | None] = {**ROW, **CLEAR, "report": "Clear\nlungs."}
    lines = _csv(told, told, {**ROW, **CLEAR, "report": "", "pneumonia": "yes"}).splitlines(True)

    with pytest.raises(ReportsUnreadable, match="line 7: pneumonia"):
        list(read_reports([lines[0], "\r\n", *lines[1:]], KEY, "ris"))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Right lower lobe pneumonia.", Label.POSITIVE),
        ("Patchy airspace disease in the left base.", Label.POSITIVE),
        ("No focal consolidation, effusion or pneumothorax.", Label.NEGATIVE),
        ("Lungs are clear. Heart size normal.", Label.NEGATIVE),
        ("No pneumothorax. There is a new consolidation.", Label.POSITIVE),
        ("No effusion but right middle lobe consolidation is seen.", Label.POSITIVE),
        ("Findings suspicious for pneumonia.", Label.UNCLEAR),
        ("Atelectasis versus infiltrate.", Label.UNCLEAR),
        ("Bibasilar airspace opacities.", Label.UNCLEAR),
        ("Pneumonia cannot be excluded.", Label.UNCLEAR),
        ("The pneumonia has resolved.", Label.NEGATIVE),
        ("History of pneumonia. Clear lungs.", Label.NEGATIVE),
        ("INDICATION: rule out pneumonia. FINDINGS: Clear lungs.", Label.NEGATIVE),
        ("Consolidation, no change.", Label.POSITIVE),
        ("", Label.NEGATIVE),
    ],
)
def test_pneumonia_is_labelled_as_a_reader_would(text: str, label: Label) -> None:
    assert label_report(text)[Finding.PNEUMONIA] is label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Apical cavity, active tuberculosis.", Label.POSITIVE),
        ("No evidence of active TB.", Label.NEGATIVE),
        ("Prior tuberculosis with calcified nodes.", Label.NEGATIVE),
        ("Possible tuberculosis.", Label.UNCLEAR),
        ("Positive PPD. Lungs are clear.", Label.NEGATIVE),
    ],
)
def test_tuberculosis_is_labelled_as_a_reader_would(text: str, label: Label) -> None:
    assert label_report(text)[Finding.TUBERCULOSIS] is label
