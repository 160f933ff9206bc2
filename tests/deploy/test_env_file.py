"""A mistake in .env keeps the containers from starting, and what stands there goes nowhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__
from tests.support.compose import (
    OF_COMPOSE,
    OF_THE_IMAGE,
    PROFILES,
    ROOT,
    Rendered,
    render,
    uncommented_example,
)

SECRET = "hunter2"
IMAGE = dict(re.findall(r"(CXR_\w+)=(\S+)", (ROOT / "Dockerfile").read_text("utf-8")))


def site_with(folder: Path, *lines: str) -> Rendered:
    """All containers of a site whose .env has these lines."""
    (folder / ".env").write_text("\n".join([*lines, ""]), "utf-8")
    containers: Rendered = render(*PROFILES, folder=folder)["services"]
    return containers


def start(containers: Rendered) -> subprocess.CompletedProcess[str]:
    """Run what the container `settings` runs, in the environment that it has."""
    settings = containers["settings"]
    given = {name: value or "" for name, value in settings.get("environment", {}).items()}
    return subprocess.run(
        [sys.executable, "-m", "service", *settings["command"]],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **IMAGE, **given},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_misspelt_variable_is_refused_by_name_alone(tmp_path: Path) -> None:
    containers = site_with(tmp_path, f"CXR_INTAKE__MAX_REQUEST={SECRET}", "CXR_LOG_LEVEL=info")

    done = start(containers)

    told = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert "UNKNOWN_SETTING CXR_INTAKE__MAX_REQUEST is not a setting" in told
    assert "did you mean CXR_INTAKE__MAX_REQUESTS?" in told
    assert SECRET not in done.stdout + done.stderr


def test_name_in_small_letters_is_refused_since_no_container_gets_it(tmp_path: Path) -> None:
    containers = site_with(tmp_path, "cxr_mode=live")

    done = start(containers)

    assert containers["cxr-triage"]["environment"]["CXR_MODE"] == "shadow"
    assert done.returncode == 2
    assert "cxr_mode is not a setting; did you mean CXR_MODE?" in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", sorted(OF_COMPOSE | OF_THE_IMAGE))
def test_variable_without_effect_is_refused_by_name_alone(tmp_path: Path, name: str) -> None:
    done = start(site_with(tmp_path, f"{name}={SECRET}"))

    assert done.returncode == 2
    assert f"SETTING_FIXED {name}: decided by the installation" in " ".join(done.stderr.split())
    assert SECRET not in done.stderr


def test_all_that_the_example_shows_is_accepted(tmp_path: Path) -> None:
    lines = uncommented_example(tmp_path / "example").read_text("utf-8").splitlines()

    done = start(site_with(tmp_path, *lines))

    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_starts_from_an_image_of_another_release(tmp_path: Path) -> None:
    """`up` builds only what is missing: after an upgrade the former image may have the tag."""
    containers = site_with(tmp_path)
    settings = containers["settings"]
    settings["command"] = [
        word.replace(f"--release={__version__}", "--release=9.9.9") for word in settings["command"]
    ]

    done = start(containers)

    told = f"RELEASE_DIFFERS the image is of release {__version__}, its configuration of 9.9.9"
    assert (done.returncode, " ".join(done.stderr.split())) == (2, told)


def test_site_without_the_file_starts(tmp_path: Path) -> None:
    containers = render(folder=tmp_path)["services"]

    assert (start(containers).returncode, start(containers).stderr) == (0, "")


def test_nothing_starts_before_the_names_are_known(tmp_path: Path) -> None:
    containers = site_with(tmp_path)

    def waits_for(name: str) -> set[str]:
        needed = containers[name].get("depends_on", {})
        return set(needed) | {n for first in needed for n in waits_for(first)}

    done = "service_completed_successfully"
    assert all("settings" in waits_for(name) for name in containers if name != "settings")
    assert containers["init"]["depends_on"]["settings"]["condition"] == done


def test_file_is_seen_by_one_container_that_can_tell_nobody(tmp_path: Path) -> None:
    containers = site_with(tmp_path, f"SITE_OWN={SECRET}")

    seen = {name for name, container in containers.items() if SECRET in str(container)}

    assert seen == {"settings"}
    assert containers["settings"]["network_mode"] == "none"
    assert "volumes" not in containers["settings"]


def test_value_of_any_signs_arrives_whole_as_the_example_says(tmp_path: Path) -> None:
    """Bare, Compose takes `$B` for a variable and what follows ` #` for a comment."""
    scanners = '{"ROOM #2|A$B": "room2"}'
    told = " ".join((ROOT / ".env.example").read_text("utf-8").replace("\n# ", " ").split())

    bare = site_with(tmp_path, f"CXR_SCANNERS={scanners}")["cxr-triage"]["environment"]
    quoted = site_with(tmp_path, f"CXR_SCANNERS='{scanners}'")["cxr-triage"]["environment"]

    assert bare["CXR_SCANNERS"] == '{"ROOM'
    # What is printed escapes the sign once more.
    assert quoted["CXR_SCANNERS"].replace("$$", "$") == scanners
    assert "A value in single quotes is taken as it stands." in told
