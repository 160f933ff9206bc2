"""A key: its form, what is kept of it, how it is compared, and the file that holds it."""

import hmac
import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.keyfile import MOST_KEYS, KeyFile, StoredKey, edit_keys, load_keys
from service.access.keyring import KeyRing
from service.access.keys import draw_key, is_same, read_key
from service.access.refusals import (
    AccessRefused,
    CredentialsInvalid,
    KeyExpired,
    KeyRevoked,
    KeysFull,
    KeysUnavailable,
)
from service.access.scopes import Scope
from tests.support.access import NOW, add_key, id_of
from tests.support.clocks import Calendar


def stored(number: int) -> StoredKey:
    return StoredKey(
        id=f"{number:012x}", name="n", digest="0" * 64, scopes=[Scope.PREDICT], created=NOW
    )


def test_keys_are_unlike_and_their_secret_is_not_kept(path: Path) -> None:
    texts = {add_key(path, Scope.PREDICT) for _ in range(50)}

    written = path.read_text("utf-8")
    assert len(texts) == 50
    assert [text for text in texts if text.split("_", 2)[2] in written] == []
    assert all(id_of(text) in written for text in texts)


@given(st.text(min_size=3) | st.from_regex(r"cxr_[0-9a-f]{11}[^0-9a-f]_[A-Za-z0-9_-]{43}"))
def test_what_has_not_the_form_of_a_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(CredentialsInvalid) as refusal:
        read_key(text)

    assert text not in str(refusal.value)


@given(st.from_regex(r"cxr_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", fullmatch=True))
def test_what_has_the_form_of_a_key_is_taken_apart(text: str) -> None:
    assert text.startswith(f"cxr_{read_key(text).id}_")


@pytest.mark.parametrize("is_known", [True, False])
def test_secret_is_compared_in_constant_time_whether_the_id_is_known_or_not(
    monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    compared: list[tuple[int, int]] = []
    really = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return really(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    text, _ = draw_key()

    same = is_same(read_key(text), stored(1).as_known() if is_known else None)

    assert not same
    assert compared == [(32, 32)]


def test_right_key_is_found_with_what_it_may(path: Path, ring: KeyRing) -> None:
    text = add_key(path, Scope.PREDICT, Scope.METRICS, now=NOW, max_body_bytes=5000)

    found = ring.find(text)

    assert found.id == id_of(text)
    assert found.scopes == {Scope.PREDICT, Scope.METRICS}
    assert found.max_body_bytes == 5000


def test_forged_secret_and_unknown_id_are_answered_alike(path: Path, ring: KeyRing) -> None:
    text, other = add_key(path, Scope.PREDICT, now=NOW), draw_key()[0]
    forged = text[: -len("x" * 43)] + other.split("_", 2)[2]

    messages = set()
    for shown in (forged, other):
        with pytest.raises(CredentialsInvalid) as refusal:
            ring.find(shown)
        messages.add(str(refusal.value))

    assert len(messages) == 1


@pytest.mark.parametrize(
    ("field", "error"), [("expires", KeyExpired), ("revoked", KeyRevoked)], ids=str
)
def test_dead_key_is_told_so_only_to_who_holds_its_secret(
    path: Path, ring: KeyRing, clock: Calendar, field: str, error: type[AccessRefused]
) -> None:
    text = add_key(path, Scope.PREDICT, now=NOW, **{field: NOW + timedelta(hours=1)})
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    alive = ring.find(text)

    clock.now = NOW + timedelta(hours=1)

    assert alive.id == id_of(text)
    with pytest.raises(error):
        ring.find(text)
    with pytest.raises(CredentialsInvalid):
        ring.find(forged)


def test_running_service_follows_the_file(path: Path, ring: KeyRing) -> None:
    first = add_key(path, Scope.PREDICT, now=NOW)
    ring.find(first)

    second = add_key(path, Scope.REVIEW, now=NOW)
    found = ring.find(second)
    edit_keys(path, lambda _file: KeyFile(), now=NOW)

    assert found.scopes == {Scope.REVIEW}
    with pytest.raises(CredentialsInvalid):
        ring.find(first)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'{"version": 2, "keys": []}', b'{"keys": [{"id": "x"}]}',
        b'{"version": 1, "keys": [], "more": 1}', b"\xff\xfe", b" " * 1_000_001,
    ],
    ids=["empty", "cut", "null", "list", "version", "half a key", "more", "no text", "huge"],
)  # fmt: skip
def test_damaged_file_lets_nobody_in_until_it_is_mended(
    path: Path, ring: KeyRing, body: bytes
) -> None:
    text = add_key(path, Scope.PREDICT, now=NOW)
    whole = path.read_bytes()
    ring.find(text)

    path.write_bytes(body)

    with pytest.raises(KeysUnavailable):
        ring.find(text)
    assert not ring.is_available
    path.write_bytes(whole)
    assert ring.find(text).id == id_of(text)


def test_file_that_went_away_lets_nobody_in(path: Path, ring: KeyRing) -> None:
    text = add_key(path, Scope.PREDICT, now=NOW)
    ring.find(text)

    path.unlink()

    with pytest.raises(KeysUnavailable):
        ring.find(text)


def test_file_system_that_hangs_holds_nobody_up_and_lets_nobody_in_for_long(
    path: Path, clock: Calendar
) -> None:
    seconds = iter([0.0, 1.0, 6.0])
    ring = KeyRing(path, clock=clock, monotonic=lambda: next(seconds, 7.0))
    text = add_key(path, Scope.PREDICT, now=NOW)
    before = ring.find(text)
    kept = path.rename(path.with_name("kept"))
    os.mkfifo(path)  # whoever opens it waits

    meanwhile = ring.find(text)
    with pytest.raises(KeysUnavailable, match="does not answer"):
        ring.find(text)
    pipe = path.rename(path.with_name("pipe"))
    kept.rename(path)
    os.close(os.open(pipe, os.O_WRONLY))
    while not ring.is_available:
        pass

    assert before.id == meanwhile.id == ring.find(text).id == id_of(text)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_write_is_not_believed(path: Path, mode: int) -> None:
    add_key(path, Scope.PREDICT)

    path.chmod(mode)

    with pytest.raises(KeysUnavailable, match="write"):
        load_keys(path)


def test_two_keys_with_one_id_are_refused(path: Path) -> None:
    add_key(path, Scope.PREDICT)
    told = json.loads(path.read_text("utf-8"))

    told["keys"] *= 2
    path.write_text(json.dumps(told), "utf-8")

    with pytest.raises(KeysUnavailable):
        load_keys(path)


def test_file_is_private_and_nothing_is_left_beside_it(path: Path) -> None:
    add_key(path, Scope.PREDICT)
    add_key(path, Scope.PREDICT)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_change_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    add_key(path, Scope.PREDICT)
    before = path.read_bytes()

    def fail(file: KeyFile) -> KeyFile:
        raise KeysFull("no")

    with pytest.raises(KeysFull):
        edit_keys(path, fail, now=NOW)
    assert path.read_bytes() == before


def test_number_of_keys_is_bounded() -> None:
    full = KeyFile(keys=[stored(number) for number in range(MOST_KEYS)])

    with pytest.raises(KeysFull):
        full.with_key(stored(MOST_KEYS))
    assert len(full.with_key(stored(0)).keys) == MOST_KEYS


def test_keys_that_died_long_ago_are_forgotten() -> None:
    old = stored(1).model_copy(update={"revoked": NOW - timedelta(days=91)})
    young = stored(2).model_copy(update={"expires": NOW - timedelta(days=89)})

    kept = KeyFile(keys=[old, young, stored(3)]).without_dead(NOW)

    assert [key.id for key in kept.keys] == [young.id, stored(3).id]
