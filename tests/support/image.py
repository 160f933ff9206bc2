"""Builds the image without an engine, and runs it in a sandbox: buildah, mmdebstrap, bubblewrap.

There is no registry here, so the base image is made of Debian's own packages and given the name
that the Dockerfile asks for. Its Python is Debian's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.compose import ROOT

DEFAULT_REGISTRY = ".".join(("docker", "io"))
BASE = "python:3.12-slim-bookworm"
PACKAGES = "python3,python3-venv,ca-certificates,netbase,tzdata"
EPOCH = 1_700_000_000
UID = 10001
MINUTES = 60
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_SETTINGS = ("index-url", "extra-index-url", "find-links", "trusted-host", "timeout")


def run(words: Sequence[str | Path], **options: object) -> str:
    """What a program says; all of it, where it fails."""
    done = subprocess.run(  # type: ignore[call-overload]  # options are passed on as they are
        [str(word) for word in words], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return str(done.stdout)


def write_pip_config(folder: Path) -> tuple[Path, list[Path]]:
    """This machine's own way to the packages, for the build; and the folders that it names."""
    listed = run([sys.executable, "-m", "pip", "config", "list"])
    found = dict(re.findall(r"^(?::env:|global)\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    lines = [f"{name} = {found[name]}" for name in OWN_SETTINGS if name in found]
    config = folder / "pip.conf"
    config.write_text("\n".join(["[global]", "cert = /run/ca_bundle.pem", *lines, ""]), "utf-8")
    local = re.findall(r"(?:^|[ =]|file://)(/[\w./-]+)", "\n".join(lines))
    # Beside the index of a local mirror lie its files.
    folders = {Path(name).parent if name.endswith("/simple") else Path(name) for name in local}
    return config, sorted(folder for folder in folders if folder.is_dir())


@dataclass(frozen=True, slots=True)
class Builder:
    """Buildah with a store of its own."""

    folder: Path

    def call(self, *words: str | Path) -> str:
        """Run one of its commands."""
        store: list[str | Path] = [
            "--root",
            self.folder / "store",
            "--runroot",
            self.folder / "run",
        ]
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        return run(["buildah", *store, *words], env=environment, timeout=30 * MINUTES)

    def make_base(self) -> None:
        """Debian, with its Python, under the name that the Dockerfile asks for; kept once made."""
        self.call("rm", "--all")  # containers of a run that was cut off
        if BASE in self.call("images", "--format", "{{.Name}}:{{.Tag}}"):
            return
        tar = self.folder / "base.tar"
        run([
            "mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tar,
        ], timeout=20 * MINUTES)  # fmt: skip
        recipe = self.folder / "base.Dockerfile"
        recipe.write_text('FROM scratch\nADD base.tar /\nCMD ["python3"]\n', "utf-8")
        # Short names are looked up under the default registry, so the base stands under its name.
        name = f"{DEFAULT_REGISTRY}/library/{BASE}"
        self.call("bud", "--pull-never", "-t", name, "-f", recipe, self.folder)

    def build(self, tag: str, context: Path) -> None:
        """Build the default image, with nothing kept of an earlier build."""
        config, local = write_pip_config(self.folder)
        mounts = [word for path in local for word in ("-v", f"{path}:{path}:ro")]
        self.call(
            "bud", "--pull-never", "--no-cache", "--format", "docker", "--timestamp", str(EPOCH),
            "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "--secret", f"id=pip_config,src={config}",
            "--secret", f"id=ca_bundle,src={CA_BUNDLE}", *mounts, "-t", tag, context,
        )  # fmt: skip

    def layers(self, tag: str) -> list[str]:
        """Digest of what is in each layer."""
        found: list[str] = json.loads(self.call("inspect", "--type", "image", tag))["OCIv1"][
            "rootfs"
        ]["diff_ids"]
        return found

    def config(self, tag: str) -> dict[str, object]:
        """What the image says of itself: user, environment, entry point."""
        found: dict[str, object] = json.loads(self.call("inspect", "--type", "image", tag))[
            "Docker"
        ]["config"]
        return found

    def unpack(self, tag: str, target: Path) -> None:
        """Copy the files out, owners and modes as they are."""
        container = self.call("from", "--pull-never", tag).strip()
        mounted = Path(self.call("mount", container).strip())
        run(["cp", "-a", f"{mounted}/.", target])
        self.call("rm", container)
        target.chmod(0o755)


def copy_context(target: Path) -> Path:
    """The files of the build as they are now, so that two builds see the same."""
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    for name in [*allowed, "Dockerfile", ".dockerignore"]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, target / name)
    return target


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The image's root, read-only, without capabilities and with no network but loopback."""

    root: Path
    volumes: dict[str, Path] = field(repr=False)
    environment: dict[str, str] = field(repr=False)

    def words(self, *command: str) -> list[str]:
        """The command line that runs something in it."""
        binds = [w for inside, out in self.volumes.items() for w in ("--bind", str(out), inside)]
        variables = [w for name, text in self.environment.items() for w in ("--setenv", name, text)]
        return [
            "setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--no-new-privs",
            "bwrap", "--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "--new-session",
            "--clearenv", "--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", "--tmpfs", "/run", *binds, *variables,
            "--chdir", "/var/lib/cxr-triage", *command,
        ]  # fmt: skip

    def run(self, *command: str) -> str:
        """What a command in it says."""
        return run(self.words(*command), timeout=5 * MINUTES)

    @contextmanager
    def serving(self, log: Path) -> Iterator["Inside"]:
        """The service in it, once it listens."""
        with (
            log.open("wb") as file,
            subprocess.Popen(self.words("cxr-triage", "serve"), stdout=file, stderr=file) as outer,
        ):
            try:
                with log.open("rb") as lines:
                    while b"server.listening" not in (line := lines.readline()):
                        assert line or outer.poll() is None, log.read_text("utf-8")
                yield Inside(outer, _leaf_of(outer.pid))
            finally:
                outer.kill()


def _leaf_of(pid: int) -> int:
    """The last of a line of only children: what runs in the sandbox."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return _leaf_of(int(children[0])) if children else pid


@dataclass(frozen=True, slots=True)
class Inside:
    """A running service, and a way into its network."""

    outer: subprocess.Popen[bytes]
    pid: int

    def run(self, *command: str) -> str:
        """What a program of this machine says in the network of the sandbox."""
        return run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *command], timeout=2 * MINUTES)

    def counter(self, group: str, name: str) -> int:
        """A counter of the sandbox's own network, snmp(7)."""
        text = Path(f"/proc/{self.pid}/net/snmp").read_text("ascii")
        names, values = (line.split() for line in text.splitlines() if line.startswith(f"{group}:"))
        return int(values[names.index(name)])
