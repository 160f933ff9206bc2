"""The server around the application, as it is configured."""

import re
from pathlib import Path

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
