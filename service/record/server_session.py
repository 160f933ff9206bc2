"""A session by pg8000, an extra that a log in a file does without: imported with the first one."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pg8000


class Session(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """Tells of a silent server, or one that is gone, by the error that SQLAlchemy knows for it.

    Where the first byte of an answer does not come, the driver hands on what its socket raises.
    """

    def handle_messages(self, context: object) -> None:
        """Read all that the server answers."""
        with _told_as_the_drivers():
            super().handle_messages(context)


def open_session(
    named: Mapping[str, Any], *, timeout_seconds: float | None, tcp_options: Mapping[int, int]
) -> Session:
    """Connect and sign in.

    Parameters
    ----------
    named
        What the address of the database says, in the driver's words.
    timeout_seconds
        Longest wait for the server's next word.
    tcp_options
        They are of the file of the socket, and so outlive the handshake of TLS.
    """
    with _told_as_the_drivers():
        if "unix_sock" in named:
            return Session(timeout=timeout_seconds, **named)
        place = named.get("host", "localhost"), named.get("port", 5432)
        reached = socket.create_connection(place, timeout_seconds)
        try:
            reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in tcp_options.items():
                reached.setsockopt(socket.IPPROTO_TCP, option, value)
            return Session(sock=reached, **named)
        except BaseException:
            reached.close()
            raise


@contextmanager
def _told_as_the_drivers() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise pg8000.InterfaceError("network error") from error
