"""Nothing that identifies a patient is kept on the way in, and Orthanc's ids stay in the queue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fake_pacs import FakePacs, Reply, always, name_of, open_fake_pacs
from tests.support.inlet import open_way
from tests.support.radiographs import sentinel_dicom_bytes

GOOD, DAMAGED, BROKEN, LATER = map(name_of, range(1, 5))


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


def written(folder: Path) -> bytes:
    """Every file of a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.filterwarnings("ignore")
async def test_no_identifying_value_is_kept_or_told(
    pacs: FakePacs, tiny_store: Path, tmp_path: Path
) -> None:
    body, sentinels = sentinel_dicom_bytes()
    damaged, _ = sentinel_dicom_bytes({"Rows": 9999})
    pacs.store(GOOD, body)
    pacs.store(DAMAGED, damaged)
    pacs.store(BROKEN, body)
    tags = b'{"PatientName": "' + sentinels[0].encode() + b'", "Modality": ["DX"]}'
    pacs.rules.append(always(f"{BROKEN}/simplified-tags", Reply(tags)))

    async with open_way(pacs, tiny_store, start="beginning", max_tries=2) as way:
        await way.event("pacs.instance_postponed")
        pacs.store(LATER, body)  # nothing is held against one while no file is given
        await way.settled(answered=2, dead=2)

    told = way.log.getvalue() + way.metrics
    kept = written(tmp_path)
    assert [one for one in sentinels if one in told or one.encode() in kept] == []
    assert [one for one in (GOOD, DAMAGED, BROKEN, LATER) if one in told] == []
    assert "pacs.radiograph_completed" in way.events()
