"""The recipe of the image, as far as it can be checked without building it."""

import os
import re
import runpy
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import ROOT, program

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def assemble() -> dict[str, Any]:
    """The names of the script that makes the root of the image."""
    return runpy.run_path(str(ROOT / "deploy/image/assemble.py"))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root with a little of everything."""
    root = tmp_path / "machine"
    for name in (
        "usr/bin/python3.12", "usr/bin/dash", "usr/local/bin/pip", "opt/venv/bin/cxr-triage",
        "opt/venv/bin/pip", "etc/passwd", "etc/group", "etc/hosts", "var/lib/dpkg/status",
        "var/lib/dpkg/info/bash.list", "usr/share/doc/zlib1g/copyright", "opt/other/file",
        "usr/share/doc/zlib1g/changelog.gz", "proc/1/environ",
        "opt/venv/lib/python3.12/site-packages/service/cli.py",
        "opt/venv/lib/python3.12/site-packages/pip/__init__.py",
        "opt/venv/lib/python3.12/site-packages/data_store/data/RG1_UNCR.dcm",
    ):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", "utf-8")
    (root / "usr/bin/python3.12").chmod(0o4755)
    (root / "usr/bin/python3").symlink_to("python3.12")
    (root / "bin").symlink_to("usr/bin")
    return root


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_root_keeps_the_service_and_no_tools(
    machine: Path, tmp_path: Path, assemble: dict[str, Any]
) -> None:
    assemble["copy_root"](machine, tmp_path / "rootfs")

    assert files_below(tmp_path / "rootfs") == {
        "usr/bin/python3.12", "usr/bin/python3", "opt/venv/bin/cxr-triage", "etc/passwd",
        "etc/group", "var/lib/dpkg/status", "usr/share/doc/zlib1g/copyright",
        "opt/venv/lib/python3.12/site-packages/service/cli.py",
    }  # fmt: skip
    assert (tmp_path / "rootfs/bin").is_symlink()


def test_settled_root_has_one_date_and_no_special_bits(
    machine: Path, assemble: dict[str, Any]
) -> None:
    assemble["settle"](machine, EPOCH)

    states = [path.lstat() for path in (machine, *machine.rglob("*"))]
    assert {state.st_mtime for state in states} == {EPOCH}
    assert not any(
        s.st_mode & (stat.S_ISUID | stat.S_ISGID) for s in states if not stat.S_ISLNK(s.st_mode)
    )


def make_below(root: Path, modes: dict[str, int], files: set[str]) -> None:
    """Folders, and the files that are named, with their modes."""
    for name, mode in modes.items():
        path = root / name
        if path.name in files:
            path.touch()
        else:
            path.mkdir()
        path.chmod(mode)


def modes_below(root: Path) -> dict[str, int]:
    """Of all that is no link, by its place."""
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode)
        for path in root.rglob("*")
        if not path.is_symlink()
    }


@pytest.mark.parametrize(("plain", "program"), [(0o600, 0o700), (0o664, 0o775), (0o666, 0o777)])
def test_service_reads_what_a_clone_of_any_umask_gave(
    plain: int, program: int, tmp_path: Path, assemble: dict[str, Any]
) -> None:
    """The model is copied with the modes that it has there, and the service is not its owner."""
    names = {
        "opt": program, "opt/model_store": program, "opt/model_store/CURRENT": plain,
        "opt/model_store/1.0.0": program, "opt/model_store/1.0.0/model.onnx": plain,
    }  # fmt: skip
    make_below(tmp_path, names, files={"CURRENT", "model.onnx"})

    assemble["settle"](tmp_path, EPOCH)

    settled = {program: 0o755, plain: 0o644}
    assert modes_below(tmp_path) == {name: settled[mode] for name, mode in names.items()}


def test_modes_that_the_system_chose_stay(tmp_path: Path, assemble: dict[str, Any]) -> None:
    """What is for one user alone, and what the service or everybody may write."""
    modes = {"etc": 0o755, "tmp": 0o1777, "srv": 0o755, "srv/proxy": 0o700, "etc/shadow": 0o640}
    make_below(tmp_path, modes, files={"shadow"})

    assemble["settle"](tmp_path, EPOCH)

    assert modes_below(tmp_path) == modes


def test_byte_code_is_never_checked_against_a_date(machine: Path, assemble: dict[str, Any]) -> None:
    assemble["compile_python"](machine, 1)

    (compiled,) = machine.glob("opt/venv/lib/*/site-packages/service/__pycache__/*.pyc")
    # PEP 552: bit 0, bound by hash; bit 1, compared with the source at each start.
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01


def test_linter_finds_nothing() -> None:
    done = subprocess.run(
        [program("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_packages_are_installed_by_hash() -> None:
    installs = re.findall(r"pip install (.+)$", DOCKERFILE, re.MULTILINE)

    assert len(installs) == 4
    assert all("--require-hashes --no-deps -r" in line or "--no-index" in line for line in installs)


def test_images_run_as_the_user_that_owns_the_folders(assemble: dict[str, Any]) -> None:
    uid = assemble["SERVICE_UID"]
    (volumes,) = re.findall(r"^VOLUME \[(.+)\]$", DOCKERFILE, re.MULTILINE)

    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == [f"{uid}:{uid}"]
    assert volumes.replace('"', "").replace("/", "", 1).split(", /") == list(
        assemble["OWN_FOLDERS"]
    )


def test_folders_of_the_service_are_its_own(
    assemble: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).touch()

    assemble["add_user"](tmp_path)

    for name in ("var/lib/cxr-triage", "run/secrets/triage", "run/secrets/orthanc", "srv/proxy"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "run/secrets/prometheus").stat().st_mode) == 0o755


def test_default_image_is_the_one_without_torch() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)

    assert stages[-1] == "cpu"


def test_both_images_are_made_alike() -> None:
    def root_of(kind: str) -> str:
        return re.sub(r"^.*AS root-\w+\n", "", DOCKERFILE[DOCKERFILE.index(f"AS root-{kind}") :])

    cpu, gpu = (re.split(r"\nFROM |\n# -", root_of(kind))[0].strip() for kind in ("cpu", "gpu"))

    assert cpu.replace("root-cpu", "") == gpu.replace("root-gpu", "")


def test_only_what_is_copied_enters_the_build() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert set(copied) == set(allowed)
    assert all(os.path.lexists(ROOT / name) for name in allowed)
