"""A session by pg8000, an extra that a log in a file does without: imported with the first one."""

import inspect
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pg8000
from pg8000.core import CoreConnection

from service.core.errors import RecordUnavailable

CA_FILE = "ca_file"
"""What an address adds to the driver's own words: the file of the authority."""

NO_TLS = "Server refuses SSL"
"""The driver's words for it."""


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
    """Connect and sign in; with `CA_FILE` nothing is said before the server's name is proven.

    Parameters
    ----------
    named
        What the address of the database says, in the driver's words and `CA_FILE`.
    timeout_seconds
        Longest wait for the server's next word.
    tcp_options
        They are of the file of the socket, and so outlive the handshake of TLS.

    Raises
    ------
    RecordUnavailable
        No TLS where it is asked for, or with another than the server that was meant.
    TypeError
        The driver does not know one of the words.
    """
    words = {name: value for name, value in named.items() if name != CA_FILE}
    # A word that the driver does not know is told whether the server is there or not.
    inspect.signature(CoreConnection).bind(**words)
    with _told_as_the_drivers():
        if CA_FILE in named:
            words["ssl_context"] = ssl.create_default_context(cafile=named[CA_FILE])
        if "unix_sock" in words:
            return Session(timeout=timeout_seconds, **words)
        place = words.get("host", "localhost"), words.get("port", 5432)
        reached = socket.create_connection(place, timeout_seconds)
        try:
            reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in tcp_options.items():
                reached.setsockopt(socket.IPPROTO_TCP, option, value)
            return Session(sock=reached, **words)
        except BaseException:
            reached.close()
            raise


@contextmanager
def _told_as_the_drivers() -> Iterator[None]:
    """What is wrong with TLS is told as it is: no new try mends it."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        cause = error.verify_message
        raise RecordUnavailable(f"the database server's certificate is refused: {cause}") from error
    except ssl.SSLError as error:
        cause = error.reason
        raise RecordUnavailable(f"no TLS with the database server: {cause}") from error
    except OSError as error:
        raise pg8000.InterfaceError("network error") from error
    except pg8000.InterfaceError as error:
        if str(error) != NO_TLS:
            raise
        raise RecordUnavailable(
            "the database server offers no TLS, which CXR_RECORD__CA_FILE asks for"
        ) from error
