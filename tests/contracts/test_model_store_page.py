"""The page of the model store and its notice say what the store holds and the commands do."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.main import get_group

from service.core.artifact import CURRENT, MANIFEST, Manifest, load_artifact, load_current
from service.core.store import CANDIDATE, HISTORY
from service.model_cli import app
from service.signature import SIGNATURE
from training.acts.release import SHIPPED

STORE = Path(__file__).parents[2] / "model_store"
PAGE = (STORE / "README.md").read_text("utf-8")
NAMED = set(re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", PAGE, re.M))))
"""Whatever stands in the first column of a table."""

VERSIONS = sorted(path.parent for path in STORE.glob(f"*/*/{MANIFEST}"))


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_every_file_of_a_version_is_named(folder: Path) -> None:
    files = {MANIFEST, *load_artifact(folder).files}

    assert {file for file in files if not any(fnmatch(file, name) for name in NAMED)} == set()


def test_every_file_that_a_version_or_the_store_may_hold_is_named() -> None:
    assert {CURRENT, CANDIDATE, HISTORY, SIGNATURE, *SHIPPED} - NAMED == set()


def test_every_field_of_the_manifest_is_named() -> None:
    assert set(Manifest.model_fields) - NAMED == set()


def test_every_command_of_the_store_is_named_and_exists() -> None:
    told = set(re.findall(r"cxr-triage model ([a-z]+)", PAGE))

    assert told == set(get_group(app).commands)


def test_example_is_the_version_that_serves() -> None:
    assert f"\n{load_current(STORE).reference} sha256:" in PAGE


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_notice_names_every_version_its_collections_and_their_licences(folder: Path) -> None:
    notice = " ".join((STORE / "NOTICE").read_text("utf-8").split())
    artifact = load_artifact(folder)

    assert f" {artifact.reference} " in notice
    for source in artifact.manifest.provenance.data_sources:
        assert source.name.partition(" (")[0] in notice
        assert source.licence in notice
