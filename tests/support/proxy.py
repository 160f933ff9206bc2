"""Caddy, as deploy/caddy configures it, in front of a service of the test's own."""

import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.support.compose import ROOT, program

NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Authority:
    """A hospital's certificates."""

    folder: Path
    clients: trustme.CA = field(repr=False)

    @property
    def root(self) -> str:
        """What a caller has to trust."""
        return str(self.folder / "root.pem")

    def trusted_with_certificate(self) -> ssl.SSLContext:
        """What a modality with a certificate of its own speaks."""
        context = ssl.create_default_context(cafile=self.root)
        self.clients.issue_cert("modality.example").configure_cert(context)
        return context


def make_authority(folder: Path) -> Authority:
    """Certificates as `PROXY_CERTIFICATE=own` expects them."""
    servers, clients = trustme.CA(), trustme.CA()
    issued = servers.issue_cert(NAME)
    servers.cert_pem.write_to_path(str(folder / "root.pem"))
    clients.cert_pem.write_to_path(str(folder / "clients.pem"))
    issued.private_key_pem.write_to_path(str(folder / "tls.key"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(folder / "tls.crt"), append=True)
    return Authority(folder, clients)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy."""

    process: subprocess.Popen[bytes] = field(repr=False)
    port: int
    data: Path
    log: Path = field(repr=False)

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"https://{NAME}:{self.port}"

    @property
    def own_root(self) -> str:
        """Of the authority that it makes itself."""
        return str(self.data / "caddy/pki/authorities/local/root.crt")

    def requests(self) -> list[dict[str, object]]:
        """The lines of its access log so far."""
        lines = map(json.loads, self.log.read_text("utf-8").splitlines())
        return [line for line in lines if line.get("logger", "").startswith("http.log.access")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shakes_hands(port: int) -> bool:
    """Whether it listens, and has a certificate: of its own authority, a moment after the start."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
            anyone.wrap_socket(connection, server_hostname=NAME),
        ):
            return True
    except OSError:
        return False


@contextmanager
def running_proxy(folder: Path, *, upstream: str, **variables: str) -> Iterator[Proxy]:
    """Start it on free ports, and wait until it shakes hands."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"), "PROXY_LISTEN": str(port),
        "PROXY_HEALTH": str(free_port()), "PROXY_UPSTREAM": upstream, "PROXY_WAIT": "100ms",
        "PROXY_CERTIFICATES": str(folder),
    } | variables  # fmt: skip
    log = folder / "proxy.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [program("caddy"), "run", "--config", "deploy/caddy/Caddyfile"],
            cwd=ROOT, env=environment, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        while not shakes_hands(port):
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.02)
        yield Proxy(process, port, folder / "data", log)
    finally:
        process.kill()
        process.wait()
