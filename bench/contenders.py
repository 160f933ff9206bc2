"""Who is compared: our service, and the same network behind other servers."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import psutil

ROOT = Path(__file__).parents[1]
PEERS = ("naive", "litserve", "mosec", "mlserver", "bentoml", "ray")
FIELDS = {"naive": "file", "litserve": "file", "bentoml": "images"}
"""Those that take a multipart form, and the name of its field; the others take the bytes."""

START_SECONDS = 300.0
PATIENCE_SECONDS = 60
"""Of ours, as of each peer (`bench/peers/network.py`)."""

OURS = "cxr-triage"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that can be started."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    field_name: str | None = None
    path: str = "/predict"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    contender: Contender
    url: str
    process: psutil.Process
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """Of the server and all its children so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._family())

    def resident_bytes(self) -> int:
        """Memory of all its processes now; what they share is counted once (PSS)."""
        held = 0
        for one in self._family():
            with suppress(psutil.NoSuchProcess):
                held += int(one.memory_full_info().pss)
        return held

    def pause(self) -> None:
        """Stop all its processes where they are: some servers are busy while they have nothing."""
        for one in self._family():
            _signal(one, "suspend")

    def go_on(self) -> None:
        """Let them run again."""
        for one in self._family():
            _signal(one, "resume")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let them run for as long as this lasts."""
        self.go_on()
        try:
            yield
        finally:
            self.pause()

    def _family(self) -> list[psutil.Process]:
        family = []
        for one in [self.process, *self.process.children(recursive=True)]:
            try:
                one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            family.append(one)
        return family


def ours(
    store: Path, folder: Path, *, python: str | None = None, name: str = OURS, **settings: str
) -> Contender:
    """Our service over a model store, with its record in a folder of its own.

    It has as many places, and waits as long for an answer, as the peers do, and as they do it
    stands in an environment that has what serves and nothing else, if `make` has made it.
    """
    environment = {
        "CXR_MODEL__STORE": str(store.absolute()),
        "CXR_MODEL__CACHE_DIR": str((folder / "compiled").absolute()),
        "CXR_RECORD__URL": f"sqlite:///{(folder / 'shadow.db').absolute()}",
        "CXR_RECORD__SITE_KEY_FILE": str((folder / "site.key").absolute()),
        "CXR_INTAKE__MAX_REQUESTS": "256",
        "CXR_BATCH__MAX_QUEUED": "256",
        "CXR_SERVER__DEADLINE_SECONDS": str(PATIENCE_SECONDS),
        **settings,
    }
    command = (python or _serving_python(), "-m", "service", "serve", "--port", "{port}")
    return Contender(name, command, environment)


def _serving_python() -> str:
    python = ROOT / ".venv-cpu" / "bin" / "python"
    return str(python) if python.exists() else sys.executable


def peer(name: str, engine: str, onnx: Path) -> Contender:
    """A peer with our network, or with PyTorch's own."""
    python = ROOT / f".bench-{name}" / "bin" / "python"
    script = ROOT / "bench" / "peers" / f"serve_{name}.py"
    environment = {"PEER_ENGINE": engine, "PEER_ONNX": str(onnx.absolute()), "PEER_PORT": "{port}"}
    label = f"{name} ({engine})"
    return Contender(label, (str(python), str(script)), environment, FIELDS.get(name))


def is_installed(name: str) -> bool:
    """Whether the environment of a peer is there (`make bench` makes it)."""
    return (ROOT / f".bench-{name}" / "bin" / "python").exists()


@contextmanager
def running(contender: Contender, probe: bytes) -> Iterator[Running]:
    """Start a server, wait until it has answered an upload, and stop it."""
    port = _free_port()
    words = [word.format(port=port) for word in contender.command]
    given = {name: value.format(port=port) for name, value in contender.environment.items()}
    started = time.perf_counter()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    process = subprocess.Popen(
        words, cwd=ROOT, env={**_quiet_environment(), **given}, stdout=subprocess.DEVNULL,
        stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}{contender.path}"
        _wait_until_answered(process, url, contender, probe, log)
        ready_seconds = time.perf_counter() - started
        yield Running(contender, url, psutil.Process(process.pid), ready_seconds)
    finally:
        _stop(process)
        log.close()


def _wait_until_answered(
    process: "subprocess.Popen[bytes]", url: str, contender: Contender, probe: bytes,
    log: IO[bytes],
) -> None:  # fmt: skip
    ends = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=30) as client:
        while time.monotonic() < ends and process.poll() is None:
            try:
                if contender.field_name is None:
                    answer = client.post(url, content=probe)
                else:
                    answer = client.post(url, files={contender.field_name: ("chest.png", probe)})
                if answer.status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    log.seek(0)
    last = log.read().decode(errors="replace")[-600:]
    raise RuntimeError(f"{contender.name} does not answer: {last}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """The server and every process that it started, each by its id."""
    family = [psutil.Process(process.pid)] if process.poll() is None else []
    family += family[0].children(recursive=True) if family else []
    for one in family:
        _signal(one, "terminate")
    _, alive = psutil.wait_procs(family, timeout=10)
    for one in alive:
        _signal(one, "kill")
    process.wait()
    with suppress(ProcessLookupError):  # what a server that ended by itself has left behind
        os.killpg(process.pid, signal.SIGKILL)


def _signal(process: psutil.Process, how: str) -> None:
    with suppress(psutil.NoSuchProcess):
        getattr(process, how)()


def _quiet_environment() -> dict[str, str]:
    dropped = ("CXR_", "OMP_NUM_THREADS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {n: v for n, v in os.environ.items() if not n.startswith(dropped)}


def _free_port() -> int:
    """One of which the next two are likely to be free too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
