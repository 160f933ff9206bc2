"""A relay before a TCP server that falls silent when told: nothing is closed, nothing passes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Relay:
    """As a firewall does that forgot its connections, while `flows` is clear."""

    port: int
    flows: threading.Event = field(repr=False)

    def fall_silent(self) -> None:
        """Take what comes, also new connections, and hand nothing on."""
        self.flows.clear()

    def resume(self) -> None:
        """Hand on what waits and what comes."""
        self.flows.set()


@contextmanager
def relaying_to(port: int) -> Iterator[Relay]:
    """Listen before that port of this machine until the end of the block."""
    flows = threading.Event()
    flows.set()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taking = threading.Thread(target=_take, args=(listener, port, flows), daemon=True)
        taking.start()
        yield Relay(listener.getsockname()[1], flows)
        flows.set()
        listener.shutdown(socket.SHUT_RDWR)
        taking.join()


def _take(listener: socket.socket, port: int, flows: threading.Event) -> None:
    with suppress(OSError):  # the listener is closed
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_join, args=(near, port, flows), daemon=True).start()


def _join(near: socket.socket, port: int, flows: threading.Event) -> None:
    flows.wait()
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        back = threading.Thread(target=_pump, args=(far, near, flows), daemon=True)
        back.start()
        _pump(near, far, flows)
        back.join()


def _pump(source: socket.socket, target: socket.socket, flows: threading.Event) -> None:
    """Copy until one side ends, and tell the other."""
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            flows.wait()
            target.sendall(chunk)
    flows.wait()
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        source.shutdown(socket.SHUT_RDWR)
