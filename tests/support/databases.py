"""Empty databases of each kind that is at hand."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

POSTGRESQL = [
    pytest.param(url, id="postgresql")
    for url in filter(None, [os.environ.get("TEST_POSTGRESQL_URL")])
]
"""A server on which a database may be made for each test; none unless one is named."""

DATABASES = [pytest.param("sqlite", id="sqlite"), *POSTGRESQL]


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """An address of a database of its own: a file in `folder`, or one that is dropped after."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/shadow.db"
        return
    name = f"shadow_{uuid4().hex}"
    server = create_engine(kind, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(kind).set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
