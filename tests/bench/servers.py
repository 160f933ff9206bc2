"""Servers of a few lines that the benchmark can start, load and stop."""

import sys
from pathlib import Path

from bench.contenders import Contender

SCRIPT = """
import http.server, json, os, subprocess, sys

good, other = int(sys.argv[2]), int(sys.argv[4])
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
open(sys.argv[3], "w").write(json.dumps([child.pid, dict(os.environ)]))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global good
        self.rfile.read(int(self.headers["Content-Length"]))
        good -= 1
        self.send_response(200 if good >= 0 else other)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ALWAYS = 10**9


def answering(
    folder: Path, *, good: int = ALWAYS, status: int = 503, **environment: str
) -> Contender:
    """Answers 200 so many times, and another status ever after.

    It writes its child's id and its environment.
    """
    script = folder / "server.py"
    script.write_text(SCRIPT, encoding="utf-8")
    told = str(folder / "told.json")
    command = (sys.executable, str(script), "{port}", str(good), told, str(status))
    return Contender("answering", command, environment)


def broken() -> Contender:
    """Ends before it answers, with a word."""
    return Contender("broken", (sys.executable, "-c", "raise SystemExit('no model here')"))


def one_body(folder: Path) -> Path:
    """A folder with one upload."""
    bodies = folder / "bodies"
    bodies.mkdir()
    (bodies / "000").write_bytes(b"a picture")
    return bodies
