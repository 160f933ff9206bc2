"""TLS to PostgreSQL: demanded and checked where the site names an authority."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text
from typer.testing import CliRunner

from service.cli import app
from service.core.errors import RecordUnavailable
from service.database_address import with_authority
from service.record import open_reader, open_record
from service.record.case_index import open_case_index
from service.record.database import open_engine
from service.record.server import SERVING
from tests.support.postgresql import missing_server, server_with
from tests.support.programs import needs

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
"""PostgreSQL, "Message Formats": what a client asks before it says who it is."""


@contextmanager
def _server_without_tls(heard: bytearray) -> Iterator[str]:
    """Says N to the first question, and keeps all that it is told after."""

    def answer(listener: socket.socket) -> None:
        session, _ = listener.accept()
        with session:
            heard.extend(session.recv(8))
            session.sendall(b"N")
            while more := session.recv(4096):
                heard.extend(more)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listening = threading.Thread(target=answer, args=(listener,), daemon=True)
        listening.start()
        yield f"postgresql+pg8000://cxr:secret@127.0.0.1:{listener.getsockname()[1]}/cxr"
        listening.join(10)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure_url(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    issued.private_key_pem.write_to_path(str(folder / "tls.key"))
    with server_with(folder / "tls.crt", folder / "tls.key") as url:
        yield url


def _with(url: str, authority: trustme.CA, folder: Path) -> str:
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return with_authority(url, folder / "ca.pem")


def test_server_without_tls_hears_no_word_of_the_session(
    authority: trustme.CA, tmp_path: Path
) -> None:
    heard = bytearray()

    with _server_without_tls(heard) as url:
        engine = open_engine(_with(url, authority, tmp_path), patience=SERVING)
        with pytest.raises(RecordUnavailable, match="no TLS"):
            engine.connect()

    assert bytes(heard) == SSL_REQUEST


@needs(missing_server())
async def test_log_and_index_are_encrypted_where_the_authority_is_the_servers(
    secure_url: str, authority: trustme.CA, tmp_path: Path
) -> None:
    url = _with(secure_url, authority, tmp_path)
    record = open_record(url)
    reader = open_reader(url)
    index = open_case_index(url, reader)
    asked = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    with reader.reading() as log, index.reading() as cases:
        is_encrypted = log.scalar(asked), cases.scalar(asked)

    index.close()
    reader.close()
    await record.close()
    assert is_encrypted == (True, True)


@needs(missing_server())
def test_server_of_another_authority_is_refused(secure_url: str, tmp_path: Path) -> None:
    url = _with(secure_url, trustme.CA(), tmp_path)

    with pytest.raises(RecordUnavailable, match="certificate is refused"):
        open_record(url)


@needs(missing_server())
def test_server_of_another_name_is_refused(
    secure_url: str, authority: trustme.CA, tmp_path: Path
) -> None:
    url = _with(secure_url.replace("127.0.0.1", "localhost"), authority, tmp_path)

    with pytest.raises(RecordUnavailable, match="certificate is refused"):
        open_record(url)


@needs(missing_server())
def test_command_holds_to_the_authority_too(
    secure_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("CXR_RECORD__URL", secure_url)
    monkeypatch.setenv("CXR_RECORD__CA_FILE", str(tmp_path / "ca.pem"))

    told = CliRunner().invoke(app, ["shadow", "verify"])

    assert isinstance(told.exception, RecordUnavailable)
    assert "certificate is refused" in str(told.exception)


def test_file_without_certificates_is_refused_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing", "utf-8")

    with pytest.raises(ValueError, match="ca_file holds no certificates"):
        with_authority("postgresql+pg8000://cxr@db/cxr", tmp_path / "ca.pem")
