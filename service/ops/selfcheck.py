"""All checks of an installation, in the order in which a failure explains the next ones."""

import io
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
from fastapi import FastAPI

from service.core.artifact import Artifact, load_current
from service.demo import serving
from service.logs import set_up_logs
from service.ops.address import LogAddress
from service.ops.check import Check, Result, Told, Verdict, passed, run_checks
from service.ops.check_model import check_digests, check_golden, check_signed
from service.ops.check_pacs import PacsSite, check_pacs
from service.ops.check_record import check_chains
from service.ops.check_service import Trial
from service.ops.check_site import (
    MOUNTS,
    check_clock,
    check_disk,
    check_filesystem,
    check_permissions,
    check_server,
    clock_status,
    needs_of,
    newest_row,
)
from service.ops.phantom import draw_phantom
from service.signature import Trust

ANSWER_SECONDS = 120.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteUnderTest:
    """An installation, in plain values.

    Attributes
    ----------
    secrets
        Files with passwords that the site laid down.
    prove
        Opens the engine that would serve and names it; raises what keeps it from serving.
    build_app
        The application over another shadow log, for a trial that leaves the site's own alone.
    """

    log: LogAddress
    store: Path
    trust: Trust
    secrets: Sequence[Path]
    prove: Callable[[Artifact], str]
    build_app: Callable[[LogAddress], FastAPI]
    pacs: PacsSite | None
    mounts: Path = MOUNTS


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that runs already: its rows of this trial stay in the site's own log."""

    url: str
    key: str | None = None
    log_file: Path | None = None
    ca_file: Path | None = None
    """PEM of whoever signed its certificate; None trusts the public authorities."""


def check_site(site: SiteUnderTest, running: RunningService | None) -> Iterator[Result]:
    """Make every check; results come as they are made."""
    yield from run_checks(_at_rest(site))
    try:
        with ExitStack() as stack:
            yield from run_checks(_in_motion(*stack.enter_context(_open_trial(site, running))))
    except Exception as error:  # noqa: BLE001 - task boundary: why there is no service to check
        yield from run_checks([("service", partial(_raise, error))])


def check_account() -> Told:
    """A service that is broken into can do what its account can."""
    if os.geteuid() == 0:
        return Told(Verdict.WARN, "this is root; the service needs a user of its own")
    return passed("not root")


def _at_rest(site: SiteUnderTest) -> list[tuple[str, Check]]:
    log, database = site.log, site.log.database
    return [
        ("account", check_account),
        ("permissions", lambda: check_permissions(log, site.store, site.secrets)),
        (
            "record on disk",
            lambda: (
                check_server(log.url)
                if database is None
                else check_filesystem(database.parent, site.mounts)
            ),
        ),
        ("free space", lambda: check_disk(needs_of(log))),
        ("clock", lambda: check_clock(newest_row(log), datetime.now(UTC), clock_status())),
        ("model digests", lambda: check_digests(site.store)),
        ("model signature", lambda: check_signed(site.store, site.trust)),
        ("golden scores", lambda: check_golden(site.store, site.prove)),
        ("record chain", lambda: check_chains(log)),
    ]


def _in_motion(trial: Trial, pacs: PacsSite | None) -> list[tuple[str, Check]]:
    """The searches for marks come last, when all has been sent."""
    return [
        ("service ready", trial.check_model),
        ("round trip", trial.check_round_trip),
        ("other requests", trial.check_pages),
        ("through the PACS", lambda: check_pacs(pacs, trial.second, trial.log)),
        ("no PHI in answers", trial.check_answers),
        ("no PHI in the log", trial.check_log),
        ("no PHI in the record", trial.check_rows),
        ("no PHI in files", trial.check_files),
    ]


@contextmanager
def _open_trial(
    site: SiteUnderTest, running: RunningService | None
) -> Iterator[tuple[Trial, PacsSite | None]]:
    artifact = load_current(site.store)
    if running is None:
        with _own_service(site, artifact) as opened:
            yield opened
        return
    headers = {} if running.key is None else {"Authorization": f"Bearer {running.key}"}
    file = running.log_file
    with _client(running.url, headers, running.ca_file) as client:
        trial = Trial(
            client=client, artifact=artifact, log=site.log,
            phantom=draw_phantom(artifact), second=draw_phantom(artifact),
            read_log=lambda: None if file is None else file.read_bytes(),
            folders=_folders(site.log),
        )  # fmt: skip
        yield trial, site.pacs


@contextmanager
def _own_service(
    site: SiteUnderTest, artifact: Artifact
) -> Iterator[tuple[Trial, PacsSite | None]]:
    """A service on the loopback address with a log of its own, which goes when it ends."""
    lines = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="selfcheck-") as name:
        folder = Path(name)
        log = LogAddress(
            f"sqlite:///{folder}/shadow.db", folder / "site.key",
            {key: folder / key for key in site.log.state},
        )  # fmt: skip
        pacs = site.pacs and replace(site.pacs, queue_file=folder / site.pacs.queue_file.name)
        set_up_logs("debug", lines)
        with serving(site.build_app(log), LOOPBACK, 0) as at, _client(at.url, {}) as client:
            trial = Trial(
                client=client, artifact=artifact, log=log,
                phantom=draw_phantom(artifact), second=draw_phantom(artifact),
                read_log=lambda: lines.getvalue().encode(), folders=_folders(log),
            )  # fmt: skip
            yield trial, pacs


def _client(url: str, headers: dict[str, str], ca_file: Path | None = None) -> httpx.Client:
    verify = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
    return httpx.Client(
        base_url=url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False, verify=verify
    )


def _folders(log: LogAddress) -> list[Path]:
    return [log.key.parent, Path(tempfile.gettempdir())]


def _raise(error: Exception) -> Told:
    raise error
