"""The image itself: built twice, unpacked, and run as a hospital would. `make image-test`."""

import json
import os
import re
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.support.compose import ROOT
from tests.support.image import UID, Builder, Inside, Sandbox, copy_context, run

MOST_BYTES = 900_000_000
TAG = "localhost/cxr-triage:image-test"
AGAIN = "localhost/cxr-triage:image-test-again"
STORE = Path(os.environ.get("IMAGE_TEST_STORE", "/var/tmp/cxr-triage-image-test"))
"""Keeps the base image between runs."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_context(tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def builder(context: Path) -> Builder:
    """With the image built."""
    STORE.mkdir(parents=True, exist_ok=True)
    builder = Builder(STORE)
    builder.make_base()
    builder.build(TAG, context)
    return builder


@pytest.fixture(scope="module")
def root(builder: Builder) -> Iterator[Path]:
    """The files of the image; under a folder that every user may enter."""
    target = STORE / "root"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    builder.unpack(TAG, target)
    yield target
    shutil.rmtree(target)


@pytest.fixture
def sandbox(root: Path, builder: Builder, tmp_path: Path) -> Sandbox:
    """The image under the settings that Compose adds, with empty volumes."""
    outside = STORE / "volumes" / tmp_path.name
    shutil.rmtree(outside, ignore_errors=True)
    volumes = {
        inside: outside / inside.strip("/").replace("/", "-")
        for inside in ("/var/lib/cxr-triage", "/var/cache/cxr-triage", "/run/secrets")
    }
    for path in volumes.values():
        path.mkdir(parents=True)
        os.chown(path, UID, UID)
    words = builder.config(TAG)["Env"]
    assert isinstance(words, list)
    environment = dict(word.split("=", 1) for word in words) | {
        "CXR_ACCESS__MODE": "on",
        "CXR_ACCESS__KEYS_FILE": "/run/secrets/triage/keys.json",
    }
    return Sandbox(root, volumes, environment)


@pytest.fixture
def key(sandbox: Sandbox) -> str:
    """Of somebody who may predict, made as a site makes it."""
    sandbox.run("cxr-triage", "init", "/run/secrets")
    place = "/run/secrets/triage/viewer.key"
    sandbox.run("cxr-triage", "keys", "create", "viewer", "--scope", "predict", "--out", place)
    return (sandbox.volumes["/run/secrets"] / "triage/viewer.key").read_text("utf-8").strip()


@pytest.fixture
def service(sandbox: Sandbox, key: str, tmp_path: Path) -> Iterator[Inside]:
    with sandbox.serving(tmp_path / "service.log") as inside:
        yield inside


def predict(service: Inside, key: str | None) -> tuple[int, dict[str, object]]:
    film = get_testdata_file("RG1_UNCR.dcm", download=False)
    shown = ["-H", f"Authorization: Bearer {key}"] if key else []
    said = service.run(
        "curl", "-s", "-m", "60", "-w", "\n%{http_code}", *shown,
        "-F", f"file=@{film}", "http://127.0.0.1:8000/predict",
    )  # fmt: skip
    body, status = said.rsplit("\n", 1)
    return int(status), json.loads(body)


def test_size_is_within_the_budget(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
    with capsys.disabled():
        print(f"\nCPU image, unpacked, with the model: {total / 1e6:.0f} MB")  # noqa: T201 - asked for

    assert total < MOST_BYTES


def test_no_tools_are_left(root: Path) -> None:
    folders = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "opt/venv/bin")
    programs = {path.name for name in folders for path in (root / name).glob("*")}

    assert {name for name in programs if not name.startswith("python")} == {"cxr-triage"}
    assert not list(root.rglob("*busybox*"))


def test_nothing_can_gain_privileges(root: Path) -> None:
    special = stat.S_ISUID | stat.S_ISGID
    states = {path: path.lstat() for path in root.rglob("*")}

    assert not [p for p, s in states.items() if stat.S_ISREG(s.st_mode) and s.st_mode & special]
    assert not [p for p in states if b"security.capability" in b"".join(
        name.encode() for name in os.listxattr(p, follow_symlinks=False)
    )]  # fmt: skip


def test_service_owns_its_folders_and_no_code(root: Path) -> None:
    owned = {str(p.relative_to(root)) for p in root.rglob("*") if p.lstat().st_uid == UID}

    assert owned >= {"var/lib/cxr-triage", "var/cache/cxr-triage"}
    assert not {name for name in owned if name.startswith(("opt", "usr", "etc"))}


def test_sandbox_is_what_it_says(sandbox: Sandbox) -> None:
    said = sandbox.run(
        "python3", "-c",
        "import os; print(os.getuid(), os.access('/etc', os.W_OK), "
        "[l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapBnd'))], "
        "os.listdir('/sys/class/net') if os.path.exists('/sys/class/net') else "
        "[l.split(':')[0].strip() for l in open('/proc/net/dev') if ':' in l])",
    )  # fmt: skip

    assert said.split(maxsplit=2)[:2] == [str(UID), "False"]
    assert said.rstrip().endswith("['lo']")
    assert "'0000000000000000'" in said


def test_real_radiograph_is_answered_in_shadow_mode(service: Inside, key: str) -> None:
    status, body = predict(service, key)

    assert status == 202
    assert (body["mode"], set(body)) == ("shadow", {"id", "mode", "notice"})


def test_whoever_shows_no_key_is_refused(service: Inside) -> None:
    status, body = predict(service, None)

    assert (status, body["code"]) == (401, "CREDENTIALS_MISSING")


def test_service_sends_nothing_out(service: Inside, key: str) -> None:
    predict(service, key)

    # Any attempt to leave a network that is loopback alone ends here; name lookups are UDP.
    assert service.counter("Ip", "OutNoRoutes") == 0
    assert service.counter("Udp", "OutDatagrams") == 0
    assert service.counter("Tcp", "AttemptFails") == 0


def test_service_listens_where_the_documentation_says(service: Inside) -> None:
    page = (ROOT / "docs/deployment.md").read_text("utf-8")
    (port,) = re.findall(r"^\| `cxr-triage` \| (\d+)/tcp \|", page, re.MULTILINE)

    sockets = [line.split() for line in service.run("ss", "-H", "-tuln").splitlines()]

    assert [(words[0], words[4]) for words in sockets] == [("tcp", f"0.0.0.0:{port}")]


def test_container_tells_its_health(service: Inside, sandbox: Sandbox, builder: Builder) -> None:
    config = builder.config(TAG)["Healthcheck"]
    assert isinstance(config, dict)

    assert config["Test"] == ["CMD", "python3", "-I", "-m", "service.healthcheck"]
    service.run(sys.executable, "-m", "service.healthcheck")
    sandbox.run("python3", "-I", "-c", "import service.healthcheck")


def test_sigterm_ends_the_service_in_order(service: Inside, tmp_path: Path) -> None:
    os.kill(service.pid, signal.SIGTERM)

    assert service.outer.wait(timeout=60) == 0
    assert "service.stopped" in (tmp_path / "service.log").read_text("utf-8")


def test_same_inputs_give_the_same_layers(
    builder: Builder, root: Path, tmp_path: Path, context: Path
) -> None:
    # As a clone under `umask 077` has it: for its owner alone.
    clone = tmp_path / "clone"
    shutil.copytree(context, clone)
    run(["chmod", "-R", "go-rwx", clone])

    builder.build(AGAIN, clone)

    assert builder.layers(AGAIN) == builder.layers(TAG)
