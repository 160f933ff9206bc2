import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.record import Identifier, Pseudonymiser, Pseudonyms, SiteKeyInvalid, load_or_create_key

KEY = bytes(range(32))


def test_pseudonym_is_the_hmac_of_kind_and_value() -> None:
    expected = hmac.new(KEY, b"accession\0A123", hashlib.sha256).hexdigest()

    assert Pseudonymiser(KEY).pseudonymise(Identifier.ACCESSION, "A123") == expected


@settings(deadline=None)
@given(st.text(min_size=1).map(lambda text: f"x{text}x"))
def test_kinds_and_keys_do_not_share_pseudonyms(value: str) -> None:
    here, elsewhere = Pseudonymiser(KEY), Pseudonymiser(KEY[::-1])

    made = {site.pseudonymise(kind, value) for site in (here, elsewhere) for kind in Identifier}

    assert len(made) == 2 * len(Identifier)


@pytest.mark.parametrize("padded", ["A123\0", " A123", "A123  ", "A123\r\n"])
def test_padding_of_a_tag_does_not_change_the_pseudonym(padded: str) -> None:
    site = Pseudonymiser(KEY)

    assert site.pseudonymise(Identifier.ACCESSION, padded) == site.pseudonymise(
        Identifier.ACCESSION, "A123"
    )


@pytest.mark.parametrize("empty", ["", " ", "\0"])
def test_uploads_without_an_identifier_do_not_look_alike(empty: str) -> None:
    assert Pseudonymiser(KEY).pseudonymise(Identifier.PATIENT, empty) is None


def test_an_upload_without_tags_has_no_pseudonyms() -> None:
    assert Pseudonymiser(KEY).pseudonyms_of(None) == Pseudonyms(None, None, None, None)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SiteKeyInvalid, match="site key of 31 bytes; expected 32 or more"):
        Pseudonymiser(KEY[:31])


def test_the_key_is_not_in_the_repr() -> None:
    assert KEY.hex() not in repr(Pseudonymiser(KEY))


def test_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "site.key"

    made = load_or_create_key(path)

    assert len(made) == 32
    assert load_or_create_key(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["site.key"]


def test_key_of_a_race_is_the_same_for_all(tmp_path: Path) -> None:
    paths = [tmp_path / str(race) / "site.key" for race in range(20) for _ in range(8)]

    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(load_or_create_key, paths))

    assert len(set(keys)) == 20
    assert len(set(zip(paths, keys, strict=True))) == 20


@pytest.mark.parametrize("content", ["not hexadecimal", "", "abc\x00"])
def test_a_damaged_key_file_is_refused_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "site.key"
    path.write_text(content)

    with pytest.raises(SiteKeyInvalid, match="site key"):
        Pseudonymiser(load_or_create_key(path))
    assert path.read_text() == content
