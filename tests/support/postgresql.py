"""A PostgreSQL server of the tests' own, started at the first test that asks for one."""

import atexit
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sqlalchemy import URL

USER = "tests"
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""
ATTEMPTS = 5
"""A port that was free may be taken before the server listens on it."""


def find_programs() -> Path | None:
    """Folder of Debian's newest server; None where it is not installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def missing_server() -> str | None:
    """What to install; None where it is there."""
    return None if find_programs() else "PostgreSQL (Debian's postgresql)"


@cache
def server_url() -> str:
    """Address of the server, which ends with this process."""
    programs = find_programs()
    assert programs is not None
    server = _Server(programs)
    atexit.register(server.stop)
    server.start()
    return server.url


@contextmanager
def server_with(certificate: Path, key: Path) -> Iterator[str]:
    """Address of a server of the test's own that offers TLS, until the end of the block."""
    programs = find_programs()
    assert programs is not None
    server = _Server(programs, tls=(certificate, key))
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@dataclass(slots=True)
class _Server:
    programs: Path
    tls: tuple[Path, Path] | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cxr-postgresql-")))
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        address = URL.create(
            "postgresql+pg8000", USER, self.password, "127.0.0.1", self.port, "postgres"
        )
        return address.render_as_string(hide_password=False)

    def start(self) -> None:
        (self.folder / "password").write_text(self.password)
        for name, source in zip(("tls.crt", "tls.key"), self.tls or (), strict=False):
            shutil.copy(source, self.folder / name)
            (self.folder / name).chmod(0o600)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        made = [
            *self._command("initdb"), "--username", USER, "--auth", "scram-sha-256",
            "--pwfile", str(self.folder / "password"), "--encoding", "UTF8", "--no-sync",
        ]  # fmt: skip
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        for _ in range(ATTEMPTS):
            if self._listen():
                return
        raise AssertionError(f"PostgreSQL did not start: {self.folder}/server.log")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listen(self) -> bool:
        """Start the server; False where it could not have its port."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port,
            "unix_socket_directories": self.folder, "fsync": "off",
        }  # fmt: skip
        if self.tls is not None:
            files = {"ssl_cert_file": "tls.crt", "ssl_key_file": "tls.key"}
            settings |= {"ssl": "on"} | {key: self.folder / name for key, name in files.items()}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [*self._command("postgres"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=os.environ | {"LC_ALL": "C"},
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "ready to accept connections" in line:
                # A full pipe would stop the server.
                threading.Thread(target=deque, args=(self.process.stderr, 0), daemon=True).start()
                return True
        self.process.wait()
        return False

    def _command(self, program: str) -> list[str]:
        """The program as a user that it accepts, and no longer than this process lives."""
        words = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            words += [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        return [*words, str(self.programs / program), "-D", str(self.folder / "data")]
