"""The health check of the container, against a real socket."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from service.healthcheck import main
from tests.support.proxy import free_port


@pytest.fixture(params=[200, 503])
def answering(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A server that gives one answer to everything: its port, and the answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Nobody reads it."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, request.param
        server.shutdown()


def test_answer_decides(answering: tuple[int, int]) -> None:
    port, status = answering

    assert main({"CXR_SERVER__PORT": str(port)}) == (0 if status == 200 else 1)


def test_silence_is_no_health() -> None:
    assert main({"CXR_SERVER__PORT": str(free_port())}) == 1
