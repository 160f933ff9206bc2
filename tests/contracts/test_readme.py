"""What the README says is what the project does."""

import re
from pathlib import Path

import pytest

from service import __version__
from service.core.artifact import MetricInterval, load_current
from service.settings import find_model_store

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBERS = {
    "auc kermany: pneumonia vs normal": "within Kermany",
    "auc nih: pneumonia vs normal": "within NIH",
    "auc shenzhen128: tuberculosis vs normal": "within Shenzhen",
    "auc macro": "macro, pooled",
}


def _as_written(metric: MetricInterval) -> str:
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


@pytest.mark.parametrize(("metric", "row"), NUMBERS.items())
def test_each_number_is_the_one_of_the_served_model(metric: str, row: str) -> None:
    (line,) = [line for line in README.splitlines() if row in line]

    expected = _as_written(load_current(find_model_store(None)).manifest.metrics[metric])

    assert line.split("|")[2].strip() == expected


def test_baseline_of_the_pooled_number_is_the_manifests() -> None:
    (line,) = [line for line in README.splitlines() if "macro, pooled" in line]
    metrics = load_current(find_model_store(None)).manifest.metrics

    assert line.split("|")[3].strip() == _as_written(metrics["auc macro, trivial baseline"])


def test_banner_shows_the_served_model_and_version() -> None:
    artifact = load_current(find_model_store(None))

    assert f"{artifact.reference}  {artifact.digest[:19]}" in README
    assert f"cxr-triage {__version__}" in README


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_each_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_each_make_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
