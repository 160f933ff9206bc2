"""A file is the old one or the new one, whatever happens while it is written."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.core.files import PRIVATE, make_private, write_whole


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("mask", "mode", "found"),
    [(0o022, None, 0o644), (0o077, None, 0o600), (0o077, 0o444, 0o444), (0, PRIVATE, 0o600)],
)
def test_a_file_has_the_mode_that_was_asked_for(
    tmp_path: Path, mask: int, mode: int | None, found: int
) -> None:
    file = tmp_path / "file"
    with umask(mask):
        write_whole(file, b"new", mode)

    assert (file.read_bytes(), mode_of(file)) == (b"new", found)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    file = tmp_path / "file"
    left = tmp_path / "file.part"
    left.write_bytes(b"much longer than what comes now")
    left.chmod(0o644)

    write_whole(file, b"new", PRIVATE)

    assert (file.read_bytes(), mode_of(file)) == (b"new", PRIVATE)
    assert not left.exists()


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "file"
    write_whole(file, b"old", PRIVATE)

    def refuse(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(f"service.core.files.os.{step}", refuse)
    with pytest.raises(OSError, match="full"):
        write_whole(file, b"new", PRIVATE)

    assert file.read_bytes() == b"old"


def test_bytes_are_on_the_disk_before_their_name_is_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves an empty file under the name, or none."""
    file = tmp_path / "file"
    synced: list[tuple[str, bool]] = []

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").resolve().name, file.exists()))

    monkeypatch.setattr("service.core.files.os.fsync", note)
    write_whole(file, b"new")

    assert synced == [("file.part", False), (tmp_path.name, True)]


def test_a_private_file_takes_nobodys_place(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with umask(0):
        make_private(file, b"first")
    with pytest.raises(FileExistsError):
        make_private(file, b"second")

    assert (file.read_bytes(), mode_of(file)) == (b"first", PRIVATE)
