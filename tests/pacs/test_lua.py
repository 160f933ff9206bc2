"""The Lua script in real Orthanc tells the id, and gives way to a service that does not answer."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.access.scopes import Scope
from tests.support.access import SITE, add_key
from tests.support.apps import running_service
from tests.support.http_servers import Asked, Told, listening
from tests.support.inlet import answered
from tests.support.monitoring import free_port, wait_for
from tests.support.orthanc import Site, needs_orthanc, phantom, store

pytestmark = [pytest.mark.slow, needs_orthanc]


Notice = tuple[str, str | None, str]
"""Body, key and content type."""

ANSWERS = {202: b'{"accepted":true}', 503: b'{"code":"QUEUE_FULL"}'}


@dataclass(slots=True)
class Listener:
    """Stands where the service would, and keeps what it is told."""

    url: str
    told: list[Notice] = field(default_factory=list)


@contextmanager
def standing_in(status: int) -> Iterator[Listener]:
    """Answer each notice so."""
    told: list[Notice] = []

    def keep(asked: Asked) -> Told:
        told.append(
            (asked.body.decode(), asked.headers["X-API-Key"], asked.headers["Content-Type"])
        )
        return Told(status, ANSWERS[status])

    with listening(keep) as address:
        yield Listener(f"{address}/notify", told)


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Site]:
    """An Orthanc that the test starts."""
    site = Site(tmp_path, free_port(), free_port())
    yield site
    site.stop()


def instances(site: Site) -> list[str]:
    """All that Orthanc holds."""
    with site.client() as client:
        found: list[str] = client.get("/instances").json()
    return found


def test_each_radiograph_is_told_by_its_id_and_the_key(stopped: Site, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret\n", encoding="utf-8")
    with standing_in(202) as listener:
        stopped.start(listener.url, key)

        store(stopped, [phantom(1), phantom(2, Modality="CT"), phantom(3, Modality="CR")])
        wait_for(lambda: len(listener.told) == 2, "two notices")

    assert {told[0] for told in listener.told} < set(instances(stopped))
    assert {told[1:] for told in listener.told} == {("a secret", "text/plain")}


def test_service_that_refuses_is_left_in_peace(stopped: Site) -> None:
    with standing_in(503) as listener:
        stopped.start(listener.url)

        store(stopped, map(phantom, range(10)))

        assert len(instances(stopped)) == 10
        wait_for(lambda: listener.told, "a notice")
        assert len(listener.told) == 1


def test_service_that_never_answers_holds_up_one_notice(stopped: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        stopped.start(f"http://127.0.0.1:{deaf.getsockname()[1]}/notify")

        store(stopped, map(phantom, range(10)))

        assert len(instances(stopped)) == 10
        log = stopped.folder / "orthanc.log"
        wait_for(lambda: "HttpPost" in log.read_text("utf-8"), "the refused notice")
        assert log.read_text("utf-8").count("Error in HttpPost") == 1


def test_key_that_cannot_be_read_stops_the_notices_and_not_orthanc(
    stopped: Site, tmp_path: Path
) -> None:
    with standing_in(202) as listener:
        stopped.start(listener.url, tmp_path / "missing")

        store(stopped, [phantom(1)])

        assert len(instances(stopped)) == 1
        assert "cannot be read" in (tmp_path / "orthanc.log").read_text("utf-8")
        assert listener.told == []


def test_service_that_asks_for_a_key_is_told_and_pulls(
    stopped: Site, tiny_store: Path, tmp_path: Path
) -> None:
    keys, key = tmp_path / "keys.json", tmp_path / "key"
    key.write_text(add_key(keys, Scope.PREDICT), encoding="utf-8")
    stopped.start()
    told_only = {
        **stopped.variables, "CXR_PACS__POLL_SECONDS": "3600", "CXR_ACCESS__MODE": "on",
        "CXR_ACCESS__KEYS_FILE": str(keys), "CXR_ACCESS__PUBLIC_URL": SITE,
    }  # fmt: skip
    with running_service(tiny_store, tmp_path, **told_only) as service:
        stopped.stop()
        stopped.start(f"{service.url}/notify", key)

        store(stopped, [phantom(1), phantom(2)])

        wait_for(lambda: answered(tmp_path) == 2, "two rows")
