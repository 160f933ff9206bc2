"""Empty databases of each kind that is at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.support.postgresql import missing_server, server_url
from tests.support.programs import needs

SQLITE, POSTGRESQL = "sqlite", "postgresql"
DATABASES = [
    pytest.param(SQLITE, id=SQLITE),
    pytest.param(
        POSTGRESQL,
        id=POSTGRESQL,
        marks=needs(missing_server()),
    ),
]


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """An address of a database of its own: a file in `folder`, or one that is dropped after."""
    if kind == SQLITE:
        yield f"sqlite:///{folder}/shadow.db"
        return
    address = server_url()
    name = f"shadow_{uuid4().hex}"
    server = create_engine(address, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(address).set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
