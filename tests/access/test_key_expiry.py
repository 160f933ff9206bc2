"""When keys end: what an alert is told before, and after."""

from datetime import timedelta
from pathlib import Path

from service.access.keyfile import KeyFile, edit_keys
from service.access.keyring import KeyRing
from service.access.scopes import Scope
from tests.support.access import NOW, add_key, id_of
from tests.support.clocks import Calendar


def test_next_expiry_is_the_first_of_those_without_a_successor(
    path: Path, ring: KeyRing, clock: Calendar
) -> None:
    soon, later = NOW + timedelta(days=3), NOW + timedelta(days=30)
    add_key(path, Scope.PREDICT, now=NOW, expires=NOW + timedelta(days=1), replaced_by="0" * 12)
    add_key(path, Scope.PREDICT, now=NOW, expires=soon)
    add_key(path, Scope.PREDICT, now=NOW, expires=later)

    before = ring.next_expiry
    clock.now = NOW + timedelta(days=4)

    assert before == soon.timestamp()
    assert ring.next_expiry == later.timestamp()


def test_key_that_ended_is_told_until_it_is_revoked(
    path: Path, ring: KeyRing, clock: Calendar
) -> None:
    before, end = NOW - timedelta(days=9), NOW + timedelta(days=3)
    add_key(path, Scope.PREDICT, now=NOW, expires=before)
    add_key(path, Scope.PREDICT, now=NOW, expires=end - timedelta(hours=1), replaced_by="0" * 12)
    key_id = id_of(add_key(path, Scope.PREDICT, now=NOW, expires=end))
    clock.now = end

    ended = ring.next_expiry, ring.last_expiry
    edit_keys(path, lambda file: without_right(file, key_id), now=end)

    assert ended == (float("inf"), end.timestamp())
    assert ring.last_expiry == before.timestamp()


def without_right(file: KeyFile, key_id: str) -> KeyFile:
    """The file as `keys revoke` leaves it."""
    return file.with_key(file.find(key_id).model_copy(update={"revoked": NOW}))
