"""A log is held to the key that it began with."""

import asyncio
import secrets
import sqlite3
import sys
from pathlib import Path

import pytest

from service.record import (
    Evidence,
    Kind,
    SiteKeyDiffers,
    SiteKeyMissing,
    load_signer,
    new_id,
    open_record,
    open_site_key,
)
from tests.support.old_logs import write_old_log
from tests.support.record_entries import evaluated

LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT COUNT(*) FROM shadow_log").fetchone()
connection.close()
"""


async def _begin(folder: Path) -> tuple[str, Path]:
    """A log with one row, and its key."""
    url, key = f"sqlite:///{folder}/shadow.db", folder / "site.key"
    open_site_key(url, key)
    record = open_record(url)
    await record.append(evaluated())
    await record.close()
    return url, key


async def test_the_lost_key_of_a_log_with_rows_is_not_replaced(tmp_path: Path) -> None:
    url, key = await _begin(tmp_path)
    key.unlink()

    with pytest.raises(SiteKeyMissing, match="has rows"):
        open_site_key(url, key)

    assert not key.exists()


async def test_a_log_that_is_open_is_not_taken_for_closed_by_another_process(
    tmp_path: Path,
) -> None:
    url, key = await _begin(tmp_path)
    record = open_record(url)
    await record.append(evaluated(id=new_id()))
    open_site_key(url, key)
    look = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOK, str(tmp_path / "shadow.db")
    )
    assert await look.wait() == 0
    await record.append(evaluated(id=new_id()))
    with sqlite3.connect(tmp_path / "shadow.db") as other:
        (rows,) = other.execute("SELECT COUNT(*) FROM shadow_log").fetchone()
    await record.close()

    assert rows == 3


@pytest.mark.parametrize("open_key", [open_site_key, load_signer])
async def test_the_key_of_another_site_is_refused(tmp_path: Path, open_key: object) -> None:
    url, key = await _begin(tmp_path)
    key.write_text(secrets.token_hex(32), "ascii")

    with pytest.raises(SiteKeyDiffers):
        open_key(url, key)  # type: ignore[operator]  # one of two functions


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_an_older_log_learns_its_key_at_first_start(tmp_path: Path, revision: str) -> None:
    write_old_log(tmp_path / "shadow.db", revision)
    url, key = f"sqlite:///{tmp_path}/shadow.db", tmp_path / "site.key"
    key.write_text(secrets.token_hex(32), "ascii")

    first = open_site_key(url, key)

    key.write_text(secrets.token_hex(32), "ascii")
    with pytest.raises(SiteKeyDiffers):
        open_site_key(url, key)
    assert first.sign("anything")


async def test_criteria_may_be_registered_before_there_is_a_key(tmp_path: Path) -> None:
    url, key = f"sqlite:///{tmp_path}/shadow.db", tmp_path / "site.key"
    record = open_record(url)
    await record.note(Evidence(kind=Kind.CRITERIA, body={}))
    await record.close()

    open_site_key(url, key)

    assert key.exists()


def test_a_log_without_rows_takes_the_key_that_it_is_given(tmp_path: Path) -> None:
    url, key = f"sqlite:///{tmp_path}/shadow.db", tmp_path / "site.key"
    open_site_key(url, key)
    key.write_text(secrets.token_hex(32), "ascii")

    signer = open_site_key(url, key)

    assert load_signer(url, key).sign("same") == signer.sign("same")
