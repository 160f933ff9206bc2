"""The hospital's own way in: a phantom sent to the PACS must be in the shadow log soon after."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from service.ops.address import LogAddress
from service.ops.check import Told, failed, not_checked, passed
from service.ops.check_service import pseudonym_of
from service.ops.phantom import Phantom
from service.pacs.queue import open_queue
from service.record import Identifier, open_reader
from service.record.queries import find_by_pseudonym

ARRIVAL_SECONDS = 60.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsSite:
    """One Orthanc, and where the service keeps how far it has read."""

    url: str
    auth: tuple[str, str] | None
    ca_file: Path | None
    queue_file: Path


def check_pacs(
    pacs: PacsSite | None, phantom: Phantom, log: LogAddress, *, wait: float = ARRIVAL_SECONDS
) -> Told:
    """Store the phantom in the PACS, wait for its row, and take it out of the PACS again."""
    if pacs is None:
        return not_checked("no PACS is configured (CXR_PACS__URL); POST /predict was checked alone")
    verify: str | bool = True if pacs.ca_file is None else str(pacs.ca_file)
    with httpx.Client(
        base_url=pacs.url, auth=pacs.auth, verify=verify, timeout=30, trust_env=False
    ) as client:
        if not _comes_true(lambda: _has_begun(pacs.queue_file), wait):
            return failed("the service has not made contact with the PACS")
        started = time.monotonic()
        stored = client.post("/instances", content=phantom.body)
        if not stored.is_success:
            return failed(f"the PACS refused the phantom: {stored.status_code}")
        try:
            arrived = _comes_true(lambda: _is_recorded(phantom, log), wait)
        finally:
            removed = client.delete(f"/instances/{stored.json()['ID']}")
    seconds = time.monotonic() - started
    if not arrived:
        return failed(f"stored in the PACS, and not in the log after {seconds:.0f} s")
    if not removed.is_success:
        return failed(f"recorded; the phantom could not be removed ({removed.status_code})")
    return passed(f"in the log {seconds:.1f} s after the PACS had it, and removed from the PACS")


def _has_begun(queue_file: Path) -> bool:
    if not queue_file.exists():
        return False
    with closing(open_queue(queue_file, time.time)) as queue:
        return queue.position() is not None


def _is_recorded(phantom: Phantom, log: LogAddress) -> bool:
    pseudonym = pseudonym_of(phantom, log.key)
    with closing(open_reader(log.url)) as reader, reader.reading() as connection:
        return bool(find_by_pseudonym(connection, Identifier.SOP_INSTANCE, pseudonym))


def _comes_true(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
