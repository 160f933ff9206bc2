"""A site with a log of its own, as `selfcheck` and the backup find it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.artifact import Artifact, load_current
from service.ops.address import LogAddress
from tests.support.runbook import RECIPIENT, Site
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


@pytest.fixture
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A key to encrypt to; its agent ends with the test."""
    folder = tmp_path_factory.mktemp("gnupg")
    folder.chmod(0o700)
    gpg = ["gpg", "--homedir", str(folder), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-generate-key", RECIPIENT], check=True)
    yield folder
    subprocess.run(["gpgconf", "--homedir", str(folder), "--kill", "all"], check=True)


@pytest.fixture
def whole_site(simulated_log: Path, tmp_path: Path) -> Site:
    """With a file of each kind that a site has, and with the variables of the runbook."""
    copy_log(simulated_log, tmp_path / "site")
    for state in ("keys.json", "pacs.db"):
        (tmp_path / "site" / state).write_bytes(b"what the site has besides")
    return Site(tmp_path)
