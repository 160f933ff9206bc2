"""What the shipped dashboards and rules ask Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
METRIC = re.compile(r"\b(cxr_[a-z0-9_]+)")
RECORDED = re.compile(r"\bcxr:[a-z0-9_:]+")
SUFFIXES = ("_bucket", "_sum", "_count", "_total")


def dashboards() -> dict[str, dict[str, Any]]:
    """By file name."""
    paths = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
    return {path.name: json.loads(path.read_text("utf-8")) for path in paths}


def dashboard_queries() -> list[tuple[str, str]]:
    """Panel, or annotation, and expression, for every scanner."""
    asked = [
        (f"{board['title']}: {place}", expression)
        for board in dashboards().values()
        for place, expression in _asked_by(board)
    ]
    return [(place, expression.replace("$scanner", ".*")) for place, expression in asked]


def _asked_by(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        # Drawn over the whole time that is shown, not at its end alone.
        drawn = f"max_over_time(({annotation['expr']})[1h:5s])"
        yield f"annotation {annotation['name']}", drawn


def rules() -> Iterator[dict[str, Any]]:
    """Recording and alerting rules."""
    for name in ("recording.yml", "alerts.yml"):
        text = (DEPLOY / "prometheus" / name).read_text("utf-8")
        for group in yaml.safe_load(text)["groups"]:
            yield from group["rules"]


def metrics_in(expression: str) -> set[str]:
    """Our metrics that an expression names, without the suffixes of a type."""
    return {_family(name) for name in METRIC.findall(expression)}


def _family(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name
