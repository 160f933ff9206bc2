"""The page holds every number of its record, and needs nothing from outside."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from training.measures.results import EVALUATION, Evaluation, Tuning, dump_record, load_record
from training.report.html import write_html_report
from training.report.tables import Section, Table
from training.report.terminal import text_of

FETCHING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would fetch, the text of each table row, and whether tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h2":
            self.headings.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        for name, value in attrs:
            if name in FETCHING:
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "h2" in self.open:
            self.headings[-1] += data
        if self.open and self.open[-1] in {"td", "th"}:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def text(evaluation: Evaluation, tuning: Tuning) -> str:
    return write_html_report(evaluation, tuning, title="Evaluation of tiny")


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def row_of(page: Page, *start: str) -> list[str]:
    return next(row for row in page.rows if tuple(row[: len(start)]) == start)


def test_page_fetches_nothing(text: str) -> None:
    page = read(text)

    assert all(reference.startswith("#") for reference in page.references)
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert not re.search(r"https?:|url\((?!#)|@import", text)


def test_every_reference_has_its_target_and_no_name_is_used_twice(text: str) -> None:
    page = read(text)
    wanted = {reference[1:] for reference in page.references}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", text))

    assert len(page.ids) == len(set(page.ids))
    assert wanted <= set(page.ids)


def test_page_has_every_section(text: str) -> None:
    assert read(text).headings == [
        "Data",
        "Bars and published claims",
        "Beside cxr-tiny/0.0.1",
        "Discrimination",
        "Operating points",
        "Guarantee, by simulation",
        "Calibration",
        "Age, sex and view",
        "Decision curves",
        "Scores",
        "Prevalence",
        "Engines that serve",
        "Provenance",
    ]


def test_areas_are_those_of_the_record(text: str, evaluation: Evaluation) -> None:
    page = read(text)

    assert evaluation.discrimination
    for name, found in evaluation.discrimination.items():
        row = row_of(page, name, f"{found.positives} / {found.negatives}", str(found.patients))
        assert row[3:7] == [
            text_of(found.network),
            text_of(found.delong),
            text_of(found.baseline),
            text_of(found.difference),
        ]


def test_rates_and_counts_are_those_of_the_record(text: str, evaluation: Evaluation) -> None:
    page, evidence = read(text), evaluation.evidence
    assert evidence is not None

    for rates in evaluation.points:
        name = f"{rates.point.finding} {rates.point.purpose} {rates.point.label}"
        for source, at in rates.sources.items():
            row = row_of(page, name, source, f"{at.positives} / {at.negatives}")
            assert row[3:5] == [text_of(at.sensitivity), text_of(at.specificity)]
    for point in evidence.confusions:
        name = f"{point.finding} {point.purpose} at {point.threshold:.4f}"
        for group, counts in point.groups.items():
            row = row_of(page, name, group)
            assert row[2:4] == [str(counts.found), str(counts.missed)]


def test_bars_and_source_points_are_those_of_the_record(text: str, evaluation: Evaluation) -> None:
    page, evidence = read(text), evaluation.evidence
    assert evidence is not None
    assert evidence.bars

    for bar in evidence.bars:
        bound = f"{'<=' if bar.is_ceiling else '>='} {bar.bound:g}"
        row = row_of(page, bar.name, bar.data, text_of(bar.measured), bound)
        assert row[4].endswith("met")
        assert row[4].startswith("not") == (not bar.is_met)
        assert row[4].startswith("surely") == bar.is_certain
    for point in evidence.source_points:
        row = row_of(page, f"{point.source}: {point.finding}", point.choice)
        assert row[4:7] == [
            text_of(point.sensitivity),
            text_of(point.specificity),
            text_of(point.accuracy),
        ]


def test_errors_of_each_source_are_those_of_the_record(text: str, evaluation: Evaluation) -> None:
    page, evidence = read(text), evaluation.evidence
    assert evidence is not None

    assert row_of(page, "all")[2] == text_of(evaluation.calibration_error)
    for source, found in evidence.sources.items():
        assert row_of(page, source, str(found.images))[2] == text_of(found.calibration_error)


def test_comparison_is_that_of_the_record(text: str, evaluation: Evaluation) -> None:
    page, comparison = read(text), evaluation.comparison
    assert comparison is not None

    for name, found in comparison.questions.items():
        row = row_of(page, name, f"{found.positives} / {found.negatives}")
        assert row[2:6] == [
            text_of(found.current),
            text_of(found.previous),
            text_of(found.resampled),
            text_of(found.delong.difference),
        ]
    for point in comparison.points:
        row = row_of(page, point.finding, point.group, f"{point.positives} / {point.negatives}")
        assert row[3] == text_of(point.sensitivity_change)
        assert row[6] == text_of(point.specificity_change)


def test_simulations_are_those_of_the_record(text: str, tuning: Tuning) -> None:
    page = read(text)
    assert tuning.simulations

    for found in tuning.simulations:
        assert row_of(page, found.name, found.population)[5] == text_of(found.certified_missed)


def test_strata_are_those_of_the_record(text: str, evaluation: Evaluation) -> None:
    page = read(text)
    assert evaluation.strata
    assert evaluation.source_strata

    for stratum in (*evaluation.strata, *evaluation.source_strata):
        assert row_of(page, stratum.name, f"{stratum.finding} vs normal")[3] == text_of(stratum.auc)


def test_every_curve_is_drawn(text: str, evaluation: Evaluation) -> None:
    evidence = evaluation.evidence
    assert evidence is not None
    drawn = re.findall(r'<svg role="img" aria-label="([^"]*)"', text)

    assert drawn.count("ROC curve") == len(evidence.curves)
    assert drawn.count("precision-recall curve") == len(evidence.curves)
    assert drawn.count("decision curve") == len(evidence.decision_curves)
    assert drawn.count("score histogram") == 2 * (1 + len(evidence.sources))
    assert drawn.count("reliability diagram") == 3 + 2 * len(evidence.sources)


def test_drawings_take_the_colours_of_the_page(text: str) -> None:
    drawings = " ".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))

    assert "currentColor" in drawings
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) <= {"#ffffff"}


def test_caveats_and_the_data_are_said(text: str, evaluation: Evaluation) -> None:
    assert "Research software, not a medical device" in text
    assert "Kermany holds children aged 1 to 5 only" in text
    assert "Priorities are those of scores and thresholds alone" in text
    assert "Every number is of the test split (240 images of 120 patients)" in text
    assert evaluation.split_digest in text


def test_passed_sections_are_shown_and_their_text_is_escaped(
    evaluation: Evaluation, tuning: Tuning
) -> None:
    table = Table("Verdicts", "", ("check", "verdict"), (("lungs <hidden>", "pass & go"),))
    section = Section("Confounding audit", "Of <b>frozen</b> features.", (table,))

    page_text = write_html_report(evaluation, tuning, [section])

    page = read(page_text)
    assert page.headings[-2:] == ["Confounding audit", "Provenance"]
    assert row_of(page, "lungs <hidden>") == ["lungs <hidden>", "pass & go"]
    assert "<b>frozen</b>" not in page_text


def test_same_record_gives_the_same_page(text: str, evaluation: Evaluation, tuning: Tuning) -> None:
    assert write_html_report(evaluation, tuning, title="Evaluation of tiny") == text


def test_record_of_an_older_version_still_has_a_page(
    evaluation: Evaluation, tuning: Tuning, tmp_path: Path
) -> None:
    record = json.loads(dump_record(evaluation))
    for name in ("evidence", "comparison", "source_strata"):
        del record[name]
    (tmp_path / EVALUATION).write_text(json.dumps(record))

    older = load_record(tmp_path, EVALUATION, Evaluation, "evaluate")
    page = read(write_html_report(older, tuning))

    assert "Decision curves" not in page.headings
    assert row_of(page, "macro, one vs rest")[3] == text_of(evaluation.macro_auc.network)


def test_record_is_read_back_as_it_was_written(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / EVALUATION).write_bytes(dump_record(evaluation))

    assert load_record(tmp_path, EVALUATION, Evaluation, "evaluate") == evaluation
