"""Assemble the root of the image: Python, the service, its libraries, and nothing to work with.

Copies the building stage's own root to a folder and leaves out what a running service never
opens: shells and tools, package managers, documentation, headers, tests, plugins for devices and
formats that are not used. No file keeps a setuid bit, every file carries one date, what is built or
copied can be read by everybody, and byte code is bound to its source by hash: the same inputs give
the same bytes, whatever the umask of the clone.
"""

import argparse
import compileall
import fnmatch
import os
import py_compile
import re
import shutil
import stat
from pathlib import Path

SERVICE_UID = 10001
OWN_FOLDERS = ("var/lib/cxr-triage", "var/cache/cxr-triage")
"""What the service writes: the record, and the model as compiled for this processor."""

VOLUME_FOLDERS = (
    *(f"run/secrets/{name}" for name in ("triage", "prometheus", "grafana", "postgres", "orthanc")),
    "srv/orthanc",
    "srv/proxy",
)
"""An empty volume takes owner and mode from where it is first mounted, and that is here."""

SHARED_FOLDERS = tuple(f"run/secrets/{name}" for name in ("prometheus", "grafana", "postgres"))
"""Each is read by one program under a uid that is not ours; the other folders are the service's."""

BUILT_FOLDER = "opt"
"""What is built or copied has the modes of a clone; all else has those of the base image."""

EMPTY_FOLDERS = ("proc", "sys", "dev", "tmp", "run")

KEPT_PROGRAMS = re.compile(r"^(python[\d.]*|cxr-triage)$")
PROGRAM_FOLDERS = (
    "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "opt/venv/bin", "bin", "sbin",
)  # fmt: skip

LEFT_OUT = (
    # Not of the service.
    "boot", "build", "home", "media", "mnt", "proc", "root", "rootfs", "run", "srv", "sys", "tmp",
    "dev", "usr/games", "usr/include", "usr/local/include", "usr/libexec", "usr/src",
    "usr/local/share", "usr/lib/init", "usr/lib/usrmerge", "usr/lib/valgrind",
    "usr/lib/*/e2fsprogs", "usr/share/libgcrypt20", "etc/update-motd.d",
    "usr/lib/systemd", "usr/lib/udev", "usr/lib/terminfo",
    # Package management and shells; /var/lib/dpkg/status stays, for scanners.
    "etc/apt", "etc/cron*", "etc/dpkg", "etc/init.d", "etc/rc*.d", "etc/pam*", "etc/security",
    "etc/skel", "etc/profile*", "etc/bash*", "etc/alternatives", "etc/systemd", "etc/*-",
    # The engine writes these three.
    "etc/hosts", "etc/hostname", "etc/resolv.conf",
    "usr/lib/apt", "usr/lib/dpkg", "usr/lib/*/perl*", "usr/share/perl*", "etc/perl",
    "usr/lib/python3*/dist-packages",
    "var/backups", "var/cache", "var/lib/apt", "var/lib/dpkg/info", "var/lib/dpkg/*-old",
    "var/lib/dpkg/triggers", "var/lib/dpkg/updates", "var/lib/dpkg/lock*", "var/lib/pam",
    "var/lib/systemd", "var/log", "var/mail", "var/spool", "var/local",
    # Read by people; the licences in usr/share/doc/*/copyright stay.
    "usr/share/doc/*/[!c]*", "usr/share/doc/*/c[!o]*", "usr/share/man", "usr/share/info",
    "usr/share/locale", "usr/share/lintian", "usr/share/bash-completion", "usr/share/menu",
    "usr/share/common-licenses/GFDL*", "usr/share/bug", "usr/share/debconf", "usr/share/pixmaps",
    "usr/share/python*", "usr/share/i18n",
    # Of the standard library: tests, windows on a screen, making environments.
    *(
        f"usr/{root}lib/python3*/{name}"
        for root in ("", "local/")
        for name in (
            "test", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3", "ensurepip", "venv",
            "pydoc_data", "config-*", "site-packages",
        )
    ),
    "usr/lib/libpython*.a", "usr/share/python-wheels", "usr/lib/python3",
    # Of the environment: installers, real radiographs for the demonstration, tests.
    "opt/venv/include", "opt/venv/share", "opt/venv/lib64",
    "*/site-packages/pip", "*/site-packages/pip-*", "*/site-packages/setuptools",
    "*/site-packages/setuptools-*", "*/site-packages/_distutils_hack",
    "*/site-packages/distutils-precedence.pth", "*/site-packages/pkg_resources",
    "*/site-packages/data_store", "*/site-packages/pydicom_data-*",
    "*/site-packages/numpy/*tests", "*/site-packages/scipy/*tests",
    "*/site-packages/*/testing/tests",
    # OpenVINO reads ONNX and its own format, on the CPU.
    "*/openvino/libs/libopenvino_intel_gpu_plugin.so", "*/openvino/libs/cache.json",
    "*/openvino/libs/libopenvino_intel_npu_*", "*/openvino/libs/libopenvino_tensorflow*",
    "*/openvino/libs/libopenvino_pytorch_frontend*", "*/openvino/libs/libopenvino_paddle_frontend*",
    "*/openvino/libs/libopenvino_jax_frontend*", "*/openvino/libs/libopenvino_gguf_frontend*",
    "*/openvino/libs/libopenvino_c.so*",
    # Anywhere.
    "*/__pycache__", "*.pyc", "*.a", "*.pxd", "*.h", "*.hpp",
)  # fmt: skip

KEPT_IN_OPT = ("venv", "cxr-triage")


def is_left_out(name: str) -> bool:
    """Whether a path, relative to the root, has no place in the image."""
    folder, _, file = name.rpartition("/")
    if folder == "opt":
        return file not in KEPT_IN_OPT
    if folder in PROGRAM_FOLDERS:
        return KEPT_PROGRAMS.match(file) is None
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def copy_root(source: Path, target: Path) -> None:
    """Copy a tree, links as links, without what is left out."""

    def ignore(folder: str, names: list[str]) -> list[str]:
        parent = Path(folder).relative_to(source)
        return [name for name in names if is_left_out(str(parent / name))]

    shutil.copytree(source, target, symlinks=True, ignore=ignore, dirs_exist_ok=True)
    for name in EMPTY_FOLDERS:
        (target / name).mkdir(exist_ok=True)
    (target / "tmp").chmod(0o1777)


def add_user(target: Path) -> None:
    """Name the uid of the service, and give it its folders."""
    for file, line in (
        ("passwd", f"cxr:x:{SERVICE_UID}:{SERVICE_UID}::/nonexistent:/nonexistent\n"),
        ("group", f"cxr:x:{SERVICE_UID}:\n"),
    ):
        path = target / "etc" / file
        path.write_text(path.read_text("utf-8") + line, "utf-8")
    for name in (*OWN_FOLDERS, *VOLUME_FOLDERS):
        (target / name).mkdir(parents=True)
        (target / name).chmod(0o755 if name in SHARED_FOLDERS else 0o700)
        os.chown(target / name, SERVICE_UID, SERVICE_UID)


def compile_python(target: Path, jobs: int) -> None:
    """Byte code that no date can make stale, since nobody can write it later."""
    for folder in sorted([*target.glob("usr/**/python3.*"), target / "opt/venv"]):
        if folder.is_dir() and not folder.is_symlink():
            compileall.compile_dir(
                folder,
                quiet=2,
                workers=jobs,
                stripdir=str(target),
                prependdir="/",
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


def settle(target: Path, epoch: int) -> None:
    """Take special bits away, let the service read what was built, and give all one date."""
    for folder, names, files in os.walk(target, topdown=False):
        for name in (*names, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                is_built = path.relative_to(target).parts[0] == BUILT_FOLDER
                settled = settled_mode(stat.S_IMODE(mode), is_built=is_built)
                if settled != stat.S_IMODE(mode):
                    path.chmod(settled)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    os.utime(target, (epoch, epoch))


def settled_mode(mode: int, *, is_built: bool) -> int:
    """Without special bits; of what is built, others read what its owner can, and write nothing."""
    plain = mode & ~(stat.S_ISUID | stat.S_ISGID)
    if not is_built:
        return plain
    owners = plain & stat.S_IRWXU
    readable = stat.S_IRGRP | stat.S_IROTH
    entered = stat.S_IXGRP | stat.S_IXOTH if owners & stat.S_IXUSR else 0
    return owners | readable | entered


def main() -> None:
    """Assemble `target` from this machine's root."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--source", type=Path, default=Path("/"))
    parser.add_argument("--epoch", type=int, required=True)
    options = parser.parse_args()
    copy_root(options.source, options.target)
    add_user(options.target)
    compile_python(options.target, jobs=1)
    settle(options.target, options.epoch)


if __name__ == "__main__":
    main()
