"""A site with a log of its own, as `selfcheck` and the backup find it."""

from pathlib import Path

import pytest

from service.core.artifact import Artifact, load_current
from service.ops.address import LogAddress
from tests.support.simulated import copy_log


@pytest.fixture(scope="session")
def artifact(tiny_store: Path) -> Artifact:
    return load_current(tiny_store)


@pytest.fixture
def site(simulated_log: Path, tmp_path: Path) -> LogAddress:
    copy_log(simulated_log, tmp_path / "site")
    folder = tmp_path / "site"
    folder.chmod(0o700)
    for path in folder.iterdir():
        path.chmod(0o600)
    return LogAddress(f"sqlite:///{folder}/shadow.db", folder / "site.key")


@pytest.fixture
def environment(
    tiny_store: Path, site: LogAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return {
        "CXR_MODEL__STORE": str(tiny_store),
        "CXR_RECORD__URL": site.url,
        "CXR_RECORD__SITE_KEY_FILE": str(site.key),
        "CXR_ACCESS__KEYS_FILE": str(site.key.with_name("keys.json")),
        "CXR_PACS__QUEUE_FILE": str(site.key.with_name("pacs.db")),
        "CXR_ENGINE__THREADS": "1",
    }
