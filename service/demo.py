"""`cxr-triage demo`: a real chest radiograph through the real service, in three formats."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import httpx
from fastapi import FastAPI
from pydicom.data import get_testdata_file
from rich.console import Console

from service.core.errors import ArtifactMissing
from service.core.intake import read_radiograph
from service.server import DrainingServer, build_server
from service.tables import Line, table_of

FILMS: Final = {"DICOM": "RG1_UNCR.dcm", "J2K": "RG1_J2KR.dcm"}
"""One exposure (chest PA, computed radiography), uncompressed and in lossless JPEG 2000."""

START_SECONDS: Final = 120
ANSWER_SECONDS: Final = 60
AGREEMENT: Final = 0.01
"""Largest difference of a probability between encodings of one exposure."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Film:
    """One upload of the demo, and where it lies on disk."""

    name: str
    file_format: str
    path: Path
    body: bytes = field(repr=False)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder of its own, gone with its log and site key when the demo ends."""
    with tempfile.TemporaryDirectory(prefix="cxr-triage-demo-") as folder:
        yield Path(folder)


@contextmanager
def serving(app: FastAPI, host: str, port: int) -> Iterator[Address]:
    """Run the service in a thread; leave by draining it.

    Raises
    ------
    Whatever kept the service from starting.
    """
    ready = threading.Event()
    ports: list[int] = []
    failures: list[BaseException] = []

    def note_port(bound_port: int) -> None:
        ports.append(bound_port)
        ready.set()

    def run(server: DrainingServer) -> None:
        try:
            server.run_to_end()
        except BaseException as error:  # noqa: BLE001 - SystemExit too: told to the waiting thread
            failures.append(error)
        finally:
            ready.set()

    server = build_server(app, host=host, port=port, drain_seconds=10, on_started=note_port)
    thread = threading.Thread(target=run, args=(server,), name="server")
    thread.start()
    ready.wait(START_SECONDS)
    try:
        if not ports:
            raise failures[0] if failures else TimeoutError("the service did not start")
        yield Address(host, ports[0])
    finally:
        server.should_exit = True
        thread.join()


def show(console: Console, at: Address, folder: Path) -> bool:
    """Send the films, print what came out, and say where to go next.

    Returns
    -------
    Whether all of them were evaluated and agree.
    """
    films = load_films(folder)
    # A proxy of the environment would be asked for this machine.
    with httpx.Client(base_url=at.url, timeout=ANSWER_SECONDS, trust_env=False) as client:
        answers = [client.post("/predict", content=film.body) for film in films]
        bodies = [answer.json() for answer in answers]
        seconds = [answer.elapsed.total_seconds() for answer in answers]
        console.print(table_of(list(map(_line, films, bodies, seconds))))
        overlay = client.post("/explain", content=films[0].body)
    is_good = _report(console, bodies) and overlay.is_success
    if overlay.is_success:
        picture = folder / f"attention_{overlay.headers['X-Finding']}.png"
        picture.write_bytes(overlay.content)
        told = f"attention overlay  {picture} (gone when the demo ends)"
        console.print(told, soft_wrap=True, markup=False, emoji=False)
    _say_next(console, at, films[0])
    return is_good


def wait_for_interrupt(console: Console) -> None:
    """Keep serving until Ctrl-C."""
    console.print("serving until Ctrl-C")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("stopping")


def load_films(folder: Path) -> list[Film]:
    """The radiograph in its encodings; the PNG is made from it by the service's own reader.

    Raises
    ------
    ArtifactMissing
        The package that holds it is not installed.
    """
    films = [_load_film(file_format, name) for file_format, name in FILMS.items()]
    grey = read_radiograph(films[0].body).grey
    path = folder / "RG1.png"
    body = cv2.imencode(".png", grey)[1].tobytes()
    path.write_bytes(body)
    return [*films, Film(path.name, "PNG16", path, body)]


def _load_film(file_format: str, name: str) -> Film:
    found = get_testdata_file(name, download=False)
    if found is None:
        raise ArtifactMissing(f"{name} is not there: pip install pydicom-data")
    path = Path(str(found))
    return Film(name, file_format, path, path.read_bytes())


def _line(film: Film, body: dict[str, Any], seconds: float) -> Line:
    triaged = body.get("triage") or {}
    return Line(
        film.name,
        film.file_format,
        str(body.get("reason") or body.get("code") or body.get("status")),
        body.get("probabilities"),
        triaged.get("priority"),
        [flag["finding"] for flag in triaged.get("flags", [])],
        seconds,
    )


def _report(console: Console, bodies: list[dict[str, Any]]) -> bool:
    if any(body.get("status") != "evaluated" for body in bodies):
        console.print("[red]not every film was evaluated[/red]")
        return False
    columns = zip(*(body["probabilities"].values() for body in bodies), strict=True)
    difference = float(max(max(column) - min(column) for column in columns))
    console.print(f"the encodings of this exposure agree to {difference:.4f}")
    return difference <= AGREEMENT


def _say_next(console: Console, at: Address, film: Film) -> None:
    for line in (
        f"try it yourself    {at.url}/",
        f"review the log     {at.url}/review",
        f"the API            {at.url}/docs",
        f"your own file      curl -F file=@{film.path} {at.url}/predict",
        f"attention map      curl -F file=@{film.path} -o attention.png {at.url}/explain",
        f"metrics            {at.url}/metrics",
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)
