"""`shadow register`: a target that nobody named is told before it is registered."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.record.criteria import DEFAULT_CRITERIA

PAGE = Path(__file__).parents[2] / "docs/review.md"


def test_target_that_is_registered_unnamed_is_told_by_the_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    told = CliRunner().invoke(app, ["shadow", "register", "--help"]).output

    for one in DEFAULT_CRITERIA.findings:
        assert f"{one.finding}={one.sensitivity}" in told
        assert f"{one.finding}={one.specificity}" in told


def test_page_tells_the_targets_that_nobody_named() -> None:
    page = " ".join(PAGE.read_text().split())
    pneumonia, tuberculosis = DEFAULT_CRITERIA.findings

    assert pneumonia.sensitivity == tuberculosis.sensitivity
    assert (
        f"sensitivity {pneumonia.sensitivity}, and specificity {pneumonia.specificity} (pneumonia) "
        f"or {tuberculosis.specificity} (tuberculosis)"
    ) in page
