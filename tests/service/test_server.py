"""The server around the application, as it is configured."""

import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI

from service.server import DrainingServer, build_server

CADDYFILE = Path(__file__).parents[2] / "deploy" / "caddy" / "Caddyfile"


def server_of(app: FastAPI) -> DrainingServer:
    return build_server(
        app, host="127.0.0.1", port=0, drain_seconds=30, on_started=lambda _port: None
    )


def test_proxy_gives_an_idle_connection_up_before_the_service_does() -> None:
    (proxy_seconds,) = re.findall(r"^\s*keepalive (\d+)s$", CADDYFILE.read_text("utf-8"), re.M)

    assert server_of(FastAPI()).config.timeout_keep_alive > int(proxy_seconds)


async def test_signal_during_the_start_lets_go_in_order_of_what_was_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.server.set_started_aside", lambda: None)
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        server.handle_exit(signal.SIGTERM, None)
        yield
        told.append("closed")

    server = build_server(
        FastAPI(lifespan=lifespan), host="127.0.0.1", port=0, drain_seconds=30,
        on_started=lambda _port: told.append("listens"),
    )  # fmt: skip
    await server.serve()

    assert told == ["closed"]


async def test_second_signal_during_the_start_waits_for_no_order() -> None:
    server = server_of(FastAPI())

    exits = []
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        server.handle_exit(signal_number, None)
        exits.append((server.should_exit, server.force_exit))

    assert exits == [(True, False), (True, True)]
