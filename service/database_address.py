"""The address of the database, with the password from its file and the authority it must be of."""

import ssl
from pathlib import Path
from typing import Final

BACKENDS = ("sqlite", "postgresql")
"""What the shadow log is written for."""

SQLITE_FILE: Final = "sqlite:///"
"""Whatever path follows: it has no user, and no password."""


def with_authority(url: str, ca_file: Path | None) -> str:
    """The address whose server must show a certificate of that authority; a file shows none.

    Raises
    ------
    ValueError
        The certificates cannot be read.
    """
    if ca_file is None or url.startswith(SQLITE_FILE):
        return url
    from sqlalchemy import make_url  # noqa: PLC0415 - a third of a second that SQLite does not need

    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"ca_file holds no certificates: {type(error).__name__}") from error
    address = make_url(url).update_query_dict({"ca_file": str(ca_file)})
    return address.render_as_string(hide_password=False)


def with_password(url: str, password_file: Path | None) -> str:
    """The address that is connected to; one without a user (SQLite) has no use for a password.

    Raises
    ------
    ValueError
        It is no address, there are two passwords, or the file cannot be read; nothing is repeated.
    """
    if url.startswith(SQLITE_FILE):
        return url
    from sqlalchemy import make_url  # noqa: PLC0415 - a third of a second that SQLite does not need
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - likewise

    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: it quotes what should be the port
        raise ValueError("url is not the address of a database") from None
    if address.get_backend_name() not in BACKENDS:
        raise ValueError(f"url is of neither {' nor '.join(BACKENDS)}")
    if password_file is None or address.username is None:
        return url
    if address.password is not None:
        raise ValueError("url holds a password, and password_file another")
    try:
        password = password_file.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"password_file cannot be read: {type(error).__name__}") from error
    return address.set(password=password).render_as_string(hide_password=False)
