"""deploy/k8s: against the schemas of Kubernetes, and against what the service needs."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from service import codes
from service.metrics import STAGES, Metrics
from tests.support.compose import ROOT, program

K8S = ROOT / "deploy/k8s"
VERSION = "1.32"
"""The oldest minor version whose schemas the files are held to: `preStop.sleep` is in it."""

Manifest = Mapping[str, Any]


def manifests_in(text: str) -> list[Manifest]:
    return list(yaml.safe_load_all(text))


def base() -> dict[str, Manifest]:
    names = yaml.safe_load((K8S / "base/kustomization.yaml").read_text("utf-8"))["resources"]
    loaded = [manifests_in((K8S / "base" / name).read_text("utf-8"))[0] for name in names]
    return {manifest["kind"]: manifest for manifest in loaded}


def rendered(overlay: str) -> dict[str, Manifest]:
    text = subprocess.run(
        [program("kubectl"), "kustomize", str(K8S / "overlays" / overlay)],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    return {manifest["kind"]: manifest for manifest in manifests_in(text)}


def container_of(deployment: Manifest) -> Manifest:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: Manifest = container
    return found


@pytest.mark.parametrize("kind", base())
def test_base_fits_the_schema(kind: str) -> None:
    kubernetes_validate.validate(base()[kind], VERSION, strict=True)


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_overlay_fits_the_schema(overlay: str) -> None:
    for manifest in rendered(overlay).values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize(("overlay", "gpus"), [("cpu", None), ("gpu", "1")])
def test_overlay_runs_its_image(overlay: str, gpus: str | None) -> None:
    container = container_of(rendered(overlay)["Deployment"])

    assert container["image"].endswith(f"-{overlay}")
    assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
    assert {"name": "CXR_RECORD__URL"}.items() <= container["env"][-1].items()


def test_schema_refuses_what_is_misspelt() -> None:
    broken = dict(base()["PodDisruptionBudget"])
    broken["spec"] = {**broken["spec"], "minAvailible": 1}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


def test_every_file_of_the_base_is_used() -> None:
    names = yaml.safe_load((K8S / "base/kustomization.yaml").read_text("utf-8"))["resources"]

    assert {*names, "kustomization.yaml"} == {path.name for path in (K8S / "base").iterdir()}


def test_pods_fit_the_restricted_profile() -> None:
    namespace, deployment = base()["Namespace"], base()["Deployment"]
    pod, container = deployment["spec"]["template"]["spec"], container_of(deployment)

    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


def test_nothing_goes_out_but_names_and_rows() -> None:
    policy = base()["NetworkPolicy"]["spec"]

    ports = {
        (port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]
    }
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert ports == {("UDP", 53), ("TCP", 53), ("TCP", 5432)}
    assert all(rule["to"] for rule in policy["egress"])


def test_cluster_waits_longer_than_the_service_drains() -> None:
    deployment = base()["Deployment"]["spec"]["template"]["spec"]
    pause = container_of(base()["Deployment"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(base()["ConfigMap"]["data"]["CXR_SERVER__DRAIN_SECONDS"])

    assert deployment["terminationGracePeriodSeconds"] > pause + drain


def test_selectors_find_the_pods() -> None:
    kinds = base()
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert kinds["Service"]["spec"]["selector"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert kinds[kind]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "cxr-triage"


def test_replicas_follow_a_metric_that_is_there() -> None:
    (metric,) = base()["HorizontalPodAutoscaler"]["spec"]["metrics"]
    (rule,) = yaml.safe_load(Path(K8S / "prometheus-adapter.yaml").read_text("utf-8"))["rules"][
        "custom"
    ]
    registry = CollectorRegistry()
    Metrics(
        registry, scanners=("other",), codes=codes.PROBLEMS, reasons=codes.REASONS,
        warnings=codes.WARNINGS,
    )  # fmt: skip

    series = {sample.name for family in registry.collect() for sample in family.samples}

    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]
    assert {"cxr_stage_seconds_sum", "cxr_stage_seconds_count"} <= series
    assert rule["seriesQuery"].startswith('cxr_stage_seconds_sum{stage="queue"')
    assert "queue" in STAGES


def test_probes_ask_for_pages_that_need_no_key() -> None:
    container = container_of(base()["Deployment"])

    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in (
        "startup", "liveness", "readiness",
    )}  # fmt: skip

    assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_every_secret_that_is_named_is_laid_down() -> None:
    kinds = base()
    settings = kinds["ConfigMap"]["data"]
    (volume,) = (
        volume for volume in kinds["Deployment"]["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "secrets"
    )  # fmt: skip

    folder = "/run/secrets/triage/"
    laid_down = {folder + item["path"] for item in volume["secret"]["items"]}
    assert {path for path in settings.values() if path.startswith(folder)} <= laid_down


def test_way_to_the_database_is_encrypted_and_checked() -> None:
    settings = base()["ConfigMap"]["data"]

    assert settings["CXR_RECORD__CA_FILE"] == "/run/secrets/triage/database_ca.pem"
