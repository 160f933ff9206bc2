"""`python -m bench.metrics_page`: writes docs/metrics.md and the golden exposition anew.

Both are made from the instruments themselves, and from the rules and dashboards that use them.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from service import codes
from service.access_metrics import AccessMetrics
from service.core.drift_scalars import Scalar
from service.disk import Room
from service.disk_metrics import DataFolder, DiskMetrics
from service.drift_metrics import DriftMetrics
from service.metrics import Metrics
from service.pacs.failures import PACS_CODES
from service.pacs_metrics import PacsMetrics

ROOT = Path(__file__).parents[1]
PAGE, GOLDEN = ROOT / "docs/metrics.md", ROOT / "tests/golden/exposition.txt"
FAMILY = re.compile(r"\b(cxr_[a-z0-9_]+?)(?:_bucket|_sum|_count|_total)?\b(?![a-z_])")
HEAD = """# Metrics

Every instrument of `GET /metrics`. Made from the code by `python -m bench.metrics_page`; a test
keeps it so.

Labels are closed sets that are known at start. `scanner` takes the aliases of `CXR_SCANNERS`, at
most 32, and `other`. In shadow mode priorities, flags, probabilities and the drift of scores and
features stay away, because a caller who reads the metrics before and after an upload would learn
from them what it got. All state is in one process: a second worker is a second service, with its
own target.

| metric | type | labels | what | seen in |
| --- | --- | --- | --- | --- |
"""


def build_registry(scanners: Sequence[str], scalars: Sequence[Scalar]) -> CollectorRegistry:
    """Every instrument, as it is before the first upload."""
    registry = CollectorRegistry()
    metrics = Metrics(
        registry,
        scanners=scanners,
        codes=codes.PROBLEMS,
        reasons=codes.REASONS,
        warnings=codes.WARNINGS,
    )
    metrics.show_model("cxr-triage", "1.2.3", "sha256:0")
    metrics.show_engine("openvino", "cpu")
    AccessMetrics(registry)
    DiskMetrics(registry, dict.fromkeys(DataFolder, ROOT), measure=lambda _: Room(0, 0))
    DriftMetrics(registry, scanners=scanners, tells_results=True).use_scalars(scalars, 0.0)
    PacsMetrics(registry, codes=(*codes.PROBLEMS, *PACS_CODES))
    return registry


def write_page() -> str:
    """The text of docs/metrics.md."""
    registry = build_registry(("room-1",), tuple(Scalar))
    uses = dict(find_uses())
    lines = [
        f"| `{_name(family)}` | {family.type} | {_labels(family)} | {family.documentation} "
        f"| {', '.join(sorted(uses.get(family.name, ())))} |"
        for family in own_families(registry)
    ]
    return HEAD + "\n".join(lines) + "\n"


def write_golden() -> str:
    """The exposition of one scanner and two scalars before the first upload."""
    registry = build_registry(("room-1", "other"), (Scalar.RAW_MEAN, Scalar.SCORE_PNEUMONIA))
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if "cxr_" in line) + "\n"


def own_families(registry: CollectorRegistry) -> list[Metric]:
    """Ours, by name."""
    families = [family for family in registry.collect() if family.name.startswith("cxr_")]
    return sorted(families, key=lambda family: family.name)


def find_uses() -> Iterator[tuple[str, set[str]]]:
    """Metric -> dashboards and alerts that ask for it."""
    uses: dict[str, set[str]] = {}
    for place, text in _askers():
        for name in FAMILY.findall(text):
            uses.setdefault(name, set()).add(place)
    yield from uses.items()


def _askers() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        board = yaml.safe_load(path.read_text("utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"*{board['title']}*", target["expr"]
    for name in ("recording.yml", "alerts.yml"):
        for group in yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert", f"`{rule.get('record')}`"), str(rule)


def _name(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def _labels(family: Metric) -> str:
    names = {name: None for sample in family.samples for name in sample.labels if name != "le"}
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
    GOLDEN.write_text(write_golden(), encoding="utf-8")
