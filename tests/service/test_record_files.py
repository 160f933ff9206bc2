import stat
from pathlib import Path

import pytest

from service.core.errors import RecordUnavailable
from service.core.radiograph import DicomContext, View
from service.record import (
    Break,
    Fault,
    Pseudonymiser,
    load_or_create_key,
    open_reader,
    open_record,
)
from tests.support.record_entries import evaluated
from tests.support.record_log import tamper, write_rows


async def test_rows_lost_from_the_end_are_noticed_at_the_next_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.sqlite"
    await write_rows(url, 3)
    tamper(url, "DROP TRIGGER shadow_log_no_delete", "DELETE FROM shadow_log WHERE sequence = 3")

    with pytest.raises(RecordUnavailable, match="does not hold row 3"):
        open_record(url)
    assert open_reader(url).verify().broken == Break(3, Fault.TAIL_MISSING)


async def test_a_copy_without_its_anchor_is_still_checked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.sqlite"
    await write_rows(url, 3)
    (tmp_path / "shadow.sqlite.head").unlink()
    tamper(url, "DROP TRIGGER shadow_log_no_delete", "DELETE FROM shadow_log WHERE sequence = 2")

    assert open_reader(url).verify().broken == Break(2, Fault.ROW_MISSING)


@pytest.mark.parametrize("content", [b"", b"\xff" * 200, b"7 sha256:12"])
async def test_an_anchor_torn_by_a_power_cut_is_written_anew(
    tmp_path: Path, content: bytes
) -> None:
    url, anchor = f"sqlite:///{tmp_path}/shadow.sqlite", tmp_path / "shadow.sqlite.head"
    await write_rows(url, 1)
    anchor.write_bytes(content)

    await write_rows(url, 1)

    assert anchor.read_text() == f"{2:018} {open_reader(url).head().digest}\n"


async def test_an_anchor_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    record = open_record(f"sqlite:///{tmp_path}/shadow.sqlite")
    _block(tmp_path / "shadow.sqlite.head")

    assert await record.append(evaluated()) == 1

    await record.close()


async def test_an_anchor_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shadow.sqlite"
    await write_rows(url, 1)
    (tmp_path / "shadow.sqlite.head").unlink()
    _block(tmp_path / "shadow.sqlite.head")

    with pytest.raises(RecordUnavailable, match=r"shadow\.sqlite\.head: Is a directory"):
        open_record(url)
    with pytest.raises(RecordUnavailable, match=r"shadow\.sqlite\.head: Is a directory"):
        open_reader(url).verify()


async def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    record = open_record(f"sqlite:///{tmp_path}/data/shadow.sqlite")
    await record.append(evaluated())

    modes = _modes(tmp_path / "data")
    await record.close()

    assert modes == {0o600}


async def test_no_identifier_is_in_any_file(tmp_path: Path) -> None:
    sentinels = [f"SENTINEL{index}" for index in range(4)]
    site = Pseudonymiser(load_or_create_key(tmp_path / "shadow.sqlite.key"))
    entry = evaluated(pseudonyms=site.pseudonyms_of(_context(*sentinels)))
    record = open_record(f"sqlite:///{tmp_path}/shadow.sqlite")

    await record.append(entry)
    written = _all_bytes(tmp_path)
    await record.close()

    assert str(entry.pseudonyms.patient).encode() in written
    for sentinel in sentinels:
        assert sentinel.encode() not in written
        assert sentinel.encode("utf-16-le") not in written


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_log_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs a file"):
        open_record(url)


def test_a_reader_does_not_create_a_log(tmp_path: Path) -> None:
    with pytest.raises(RecordUnavailable, match="no shadow log"):
        open_reader(f"sqlite:///{tmp_path}/shadow.sqlite")

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shadow.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(RecordUnavailable, match=r"cannot be opened \(DatabaseError\)"):
        open_record(f"sqlite:///{tmp_path}/shadow.sqlite")


def test_a_reader_of_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "shadow.sqlite").write_bytes(b"no database at all" * 100)
    reader = open_reader(f"sqlite:///{tmp_path}/shadow.sqlite")

    with pytest.raises(RecordUnavailable, match="cannot be read"):
        reader.verify()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RecordUnavailable, match="cannot be created"):
        open_record(f"sqlite:///{tmp_path}/file/shadow.sqlite")


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def _block(path: Path) -> None:
    """Put a folder where a file should go."""
    path.mkdir()


def _context(sop: str, study: str, accession: str, patient: str) -> DicomContext:
    return DicomContext(
        modality="DX",
        view=View.PA,
        body_part="CHEST",
        age_years=50.0,
        presentation_intent="FOR PRESENTATION",
        image_type=("ORIGINAL", "PRIMARY"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        polarity_source="photometric",
        window_source="none",
        sop_instance_uid=sop,
        study_instance_uid=study,
        accession_number=accession,
        patient_id=patient,
    )
