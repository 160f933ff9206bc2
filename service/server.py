"""The process around the application: one worker, one port, and an orderly end."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

from service.admission import Admission
from service.core.errors import CxrError
from service.linger import Lingering
from service.logs import describe_error
from service.memory import set_started_aside
from service.parting import Parting
from service.wire import protocol_with

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BODY_GRACE_SECONDS = 30.0
"""A route that gives a body up, and answers so, comes first; then the connection is closed."""

KEEP_ALIVE_SECONDS: Final = 75
"""Of an idle connection, which costs a descriptor and some kilobytes. Longer than a proxy keeps it
(60 s: ours, and nginx): an upload that is sent at the moment of the close is lost, for no proxy may
send it twice. No longer than a body may take, and the end waits for none."""

LAST_SECONDS = 3
"""After a drain that left none of its time, for answers that are on their way to the caller; longer
than a refusal lingers."""


class StartFailed(CxrError):
    """Nothing here foresaw what the application failed of; its place in the code is told."""

    code = "START_FAILED"


class PortUnavailable(CxrError):
    """The address is taken, not of this machine, or not for this user."""

    code = "PORT_UNAVAILABLE"


class DrainingServer(uvicorn.Server):
    """Answers all that it accepted before it stops; a second signal stops at once.

    Parameters
    ----------
    drain_seconds
        Longest time for that, but for `LAST_SECONDS`.
    on_started
        Called with the port once requests are accepted.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        app: FastAPI,
        drain_seconds: float,
        on_started: Callable[[int], None],
    ) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Task[None] | None = None

    def run_to_end(self) -> None:
        """Run until a signal ends it.

        Raises
        ------
        CxrError
            Why the application refused to start: the model or the shadow log is not as it must be,
            the port cannot be had, or what failed and where.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signal.SIGHUP, self.handle_exit)
        try:
            self.run()
        except SystemExit:
            cause: Exception | None = getattr(self._app.state, "refusal", None)
            if cause is None and self.started:
                raise
            refusal = self._refusal_of(cause)
            told = {} if cause is None else describe_error(cause)
            log.error("service.refused", code=refusal.code, **told)
            raise refusal from None

    def _refusal_of(self, cause: Exception | None) -> CxrError:
        if cause is None:
            at = f"{self.config.host}:{self.config.port}"
            return PortUnavailable(f"{at} cannot be listened on: is another program there?")
        if isinstance(cause, CxrError):
            return cause
        told = describe_error(cause)
        return StartFailed(f"{told['error_type']} at {told['error_at']}")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then tell which it is."""
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        if self.started and not self.should_exit:
            set_started_aside()
            self._on_started(int(self.servers[0].sockets[0].getsockname()[1]))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain, or end the start once it has got that far. Second: stop."""
        if self._loop is None or self._drain is not None:
            self.force_exit = self.should_exit or self._drain is not None
            self.should_exit = True
            return
        self._loop.call_soon_threadsafe(self.begin_drain, signal.Signals(sig).name)

    def begin_drain(self, signal_name: str) -> None:
        """Refuse new radiographs and stop as soon as the accepted ones have their answers."""
        admission: Admission = self._app.state.runtime.admission
        log.info("service.draining", signal=signal_name, in_flight=admission.requests)
        admission.begin_drain()
        self._drain = asyncio.create_task(self._stop_when_idle(admission))

    async def _stop_when_idle(self, admission: Admission) -> None:
        ends = asyncio.get_running_loop().time() + self._drain_seconds
        try:
            async with asyncio.timeout(self._drain_seconds):
                await admission.wait_idle()
        except TimeoutError:
            log.error("service.drain_timed_out", in_flight=admission.requests)
        # Pages and downloads that are under way have what is left, not all of it once more.
        left = ends - asyncio.get_running_loop().time()
        self.config.timeout_graceful_shutdown = max(LAST_SECONDS, round(left))
        self.should_exit = True


def build_server(
    app: FastAPI,
    *,
    host: str,
    port: int,
    drain_seconds: float,
    on_started: Callable[[int], None],
    body_seconds: float = 60,
    trusted_proxies: Sequence[str] = (),
) -> DrainingServer:
    """A server for one process; the application's own log replaces the access log.

    Parameters
    ----------
    body_seconds
        Longest time that a route takes to read a body.
    trusted_proxies
        Addresses and networks whose `X-Forwarded-For` and `-Proto` are believed; no others' are,
        whatever the environment says.
    """

    def is_ending() -> bool:
        runtime = getattr(app.state, "runtime", None)
        return runtime is not None and bool(runtime.admission.is_draining)

    config = uvicorn.Config(
        Lingering(Parting(app, is_ending)),
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        server_header=False,
        loop="uvloop",
        http=protocol_with(body_seconds + BODY_GRACE_SECONDS),
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        workers=1,  # without it, WEB_CONCURRENCY is read, and a word there is a stack trace
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    return DrainingServer(
        config,
        app=app,
        drain_seconds=drain_seconds,
        on_started=on_started,
    )
