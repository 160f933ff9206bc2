"""Rules, routes and dashboards fit each other, the service and the runbook."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from bench.metrics_page import build_registry
from service.core.drift_scalars import Scalar
from service.disk_metrics import DataFolder
from service.ops.check_site import FREE_BYTES, SCRATCH_BYTES
from service.pacs.failures import GONE, INTERNAL, PACS_CODES
from tests.support.dashboards import (
    DEPLOY,
    RECORDED,
    dashboard_queries,
    dashboards,
    metrics_in,
    rules,
)
from tests.support.monitoring import missing_programs
from tests.support.programs import needs

HEARTBEAT = "CxrWatchdog"
OF_THE_PROCESS = {"CxrServiceDown", "CxrNotReady", "CxrShadowLogLagging", HEARTBEAT}
"""A restart does end them; the heartbeat asks for no series."""
RUNBOOK = DEPLOY.parent / "docs/runbook.md"
SCANNERS = tuple(f"room-{n}" for n in range(32))
MOST_SERIES = 12_000
"""With 32 scanners; Prometheus holds some millions."""


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    """Every instrument, for as many scanners as a site may name."""
    return build_registry((*SCANNERS, "other"), tuple(Scalar))


@pytest.fixture(scope="module")
def catalogue(registry: CollectorRegistry) -> set[str]:
    """Names of our metrics."""
    return {family.name for family in registry.collect() if family.name.startswith("cxr_")}


def ask(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Prometheus or Alertmanager in `deploy`."""
    command = [shutil.which(program) or program, *words]
    return subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)


def expressions() -> list[str]:
    """All that is asked of Prometheus."""
    return [*(expression for _, expression in dashboard_queries()), *(r["expr"] for r in rules())]


def test_every_metric_has_a_panel_or_an_alert(catalogue: set[str]) -> None:
    used = set().union(*map(metrics_in, expressions()))

    assert catalogue - used == set()


def test_no_expression_names_a_metric_that_is_not_there(catalogue: set[str]) -> None:
    texts = [str(rule.get("annotations", "")) for rule in rules()]

    assert set().union(*map(metrics_in, [*expressions(), *texts])) - catalogue == set()


def test_recorded_series_are_used_and_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = set(RECORDED.findall(" ".join(expressions())))

    assert used == recorded


def test_no_panel_shows_an_age_since_1970() -> None:
    asked = " ".join(expression for _, expression in dashboard_queries())

    assert re.findall(r"time\(\) - cxr_\w+", asked) == []


def test_series_are_bounded_for_the_largest_site(registry: CollectorRegistry) -> None:
    assert sum(len(family.samples) for family in registry.collect()) < MOST_SERIES


def test_each_alert_links_to_its_heading() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    alerts = {
        rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules() if "alert" in rule
    }

    assert list(alerts) == headings
    assert all(url == f"docs/runbook.md#{name.lower()}" for name, url in alerts.items())


def test_the_runbook_names_every_code_that_a_silent_pacs_may_have() -> None:
    heading = RUNBOOK.read_text("utf-8").split("\n## CxrPacsDown\n")[1].split("\n## ")[0]

    asked = {*PACS_CODES, INTERNAL} - {GONE}

    assert {code for code in asked if f"`{code}`" not in heading} == set()


def test_each_alert_has_a_firing_and_a_silent_case() -> None:
    files = [DEPLOY / f"prometheus/{name}_test.yml" for name in ("alerts", "days")]
    text = "".join(file.read_text("utf-8") for file in files)
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]

    cases = [
        f"{alert} {what}"
        for alert in alerts
        for what in ("fires", "is never silent" if alert == HEARTBEAT else "is silent")
    ]

    named = re.findall(r"^  - name: (\w+ (?:fires|is silent|is never silent))$", text, re.MULTILINE)
    assert sorted(named) == sorted(cases)


def test_alert_of_what_outlives_the_process_is_not_resolved_by_a_scrape_that_failed() -> None:
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    lasting = {name for name, rule in alerts.items() if not re.search(r"\[|cxr:", rule["expr"])}

    kept = {name for name, rule in alerts.items() if "keep_firing_for" in rule}
    assert lasting - OF_THE_PROCESS - kept == set()


def test_disks_are_low_where_selfcheck_fails_them() -> None:
    (low,) = (rule["expr"] for rule in rules() if rule.get("alert") == "CxrDiskLow")

    assert [float(bound) for bound in re.findall(r"< (\w+)", low)] == [FREE_BYTES, SCRATCH_BYTES]
    named = set("|".join(re.findall(r'folder=~"([^"]+)"', low)).split("|"))
    assert named == set(DataFolder)


def test_shipped_receivers_send_nothing_anywhere() -> None:
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text("utf-8"))

    assert config["receivers"] == [
        {"name": "operations"}, {"name": "physics"}, {"name": "heartbeat"},
    ]  # fmt: skip
    assert "global" not in config


@needs(", ".join(missing_programs()) or None)
def test_receivers_of_the_examples_are_valid(tmp_path: Path) -> None:
    shipped = (DEPLOY / "alertmanager/alertmanager.yml").read_text("utf-8")
    examples = re.findall(r"^# (  .+)$", shipped, re.M)
    head = shipped.partition("\nreceivers:")[0]
    filled = "\n".join([head, "receivers:", *examples, "  - name: physics", ""])
    (tmp_path / "alertmanager.yml").write_text(filled, "utf-8")

    done = ask("amtool", "check-config", str(tmp_path / "alertmanager.yml"))

    assert (done.returncode, len(yaml.safe_load(filled)["receivers"])) == (0, 3), done.stdout


def test_what_watches_the_service_is_watched_itself() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    (notified,) = config["alerting"]["alertmanagers"][0]["static_configs"]

    scraped = {job["job_name"]: job["static_configs"][0] for job in config["scrape_configs"]}

    assert set(scraped) == {"cxr-triage", "prometheus", "alertmanager"}
    assert scraped["alertmanager"] == notified


@needs(", ".join(missing_programs()) or None)
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=CxrWatchdog severity=none", "heartbeat"),
        ("alertname=CxrScannerDrift severity=warning scanner=room-1", "physics"),
        ("alertname=CxrNotificationsFailing severity=critical", "operations"),
        ("alertname=CxrDiskLow severity=warning folder=record", "operations"),
        ("alertname=CxrKeyExpires severity=info", "operations"),
    ],
)
def test_alert_goes_to_its_receiver(labels: str, receiver: str) -> None:
    config = "--config.file=alertmanager/alertmanager.yml"

    done = ask("amtool", "config", "routes", "test", config, *labels.split())

    assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr


def test_dashboards_have_places_and_ids_of_their_own() -> None:
    boards = dashboards()

    assert [board["title"] for board in boards.values()] == [
        "Capacity", "Model and drift", "PACS", "Triage today",
    ]  # fmt: skip
    for board in boards.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in board["panels"])
        assert {p["datasource"]["uid"] for p in board["panels"]} == {"cxr-prometheus"}
    assert "uid: cxr-prometheus" in (
        DEPLOY / "grafana/provisioning/datasources/prometheus.yml"
    ).read_text("utf-8")


@needs(", ".join(missing_programs()) or None)
@pytest.mark.parametrize(
    "command",
    [
        "promtool check config --syntax-only prometheus/prometheus.yml",
        "promtool check rules prometheus/recording.yml prometheus/alerts.yml",
        "promtool test rules prometheus/alerts_test.yml",
        "promtool test rules prometheus/restarts_test.yml",
        "promtool test rules prometheus/days_test.yml",
        "amtool check-config alertmanager/alertmanager.yml",
    ],
)
def test_monitoring_programs_accept_the_files(command: str) -> None:
    done = ask(*command.split())

    assert done.returncode == 0, done.stdout + done.stderr


@needs(", ".join(missing_programs()) or None)
def test_expressions_of_panels_parse(tmp_path: Path) -> None:
    lines = [f"      - record: x:{n}\n        expr: {e!r}" for n, e in enumerate(expressions())]
    path = tmp_path / "panels.yml"
    path.write_text("groups:\n  - name: panels\n    rules:\n" + "\n".join(lines), "utf-8")

    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
