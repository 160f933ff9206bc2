"""Room on the disks that are written to: seen before the record has none left."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.disk import Room, measure_room
from service.disk_metrics import STEP_BYTES, DataFolder, DiskMetrics
from service.settings import ModelSettings, PacsSettings, RecordSettings, Settings
from service.workshop import data_folders
from tests.support.apps import open_app, tiny_settings

NAMES = ("cxr_filesystem_avail_bytes", "cxr_filesystem_size_bytes")


def expose(
    measure: Callable[[Path], Room], *folders: DataFolder
) -> Callable[[str, DataFolder], float | None]:
    """A registry with these folders; asks it for one value."""
    registry = CollectorRegistry()
    DiskMetrics(registry, dict.fromkeys(folders, Path("anywhere")), measure)
    return lambda name, folder: registry.get_sample_value(name, {"folder": folder.value})


def test_room_is_read_anew_at_each_scrape() -> None:
    rooms = iter([Room(9 * STEP_BYTES, 10), Room(4 * STEP_BYTES, 10)])
    ask = expose(lambda _: next(rooms), DataFolder.RECORD)

    told = [ask(NAMES[0], DataFolder.RECORD) for _ in range(2)]
    assert told == [9 * STEP_BYTES, 4 * STEP_BYTES]


def test_room_does_not_tell_how_long_a_row_is() -> None:
    free = 5 * STEP_BYTES - 1
    rooms = iter(Room(free - row, 10 * STEP_BYTES) for row in (0, 86_016, 102_400))
    ask = expose(lambda _: next(rooms), DataFolder.RECORD)

    assert [ask(NAMES[0], DataFolder.RECORD) for _ in range(3)] == [4 * STEP_BYTES] * 3


def test_folder_that_the_site_has_not_got_has_no_series() -> None:
    ask = expose(lambda _: Room(1, 2), DataFolder.RECORD)

    assert (ask(NAMES[1], DataFolder.RECORD), ask(NAMES[1], DataFolder.CACHE)) == (2, None)


def test_file_system_without_an_answer_costs_its_own_series_alone() -> None:
    def fails(_: Path) -> Room:
        raise OSError("stale handle")

    ask = expose(fails, DataFolder.STATE)

    assert [str(ask(name, DataFolder.STATE)) for name in NAMES] == ["nan", "nan"]


def test_file_system_that_hangs_is_asked_once_and_holds_up_no_scrape() -> None:
    back, asked = Event(), []

    def hangs(folder: Path) -> Room:
        asked.append(folder)
        assert back.wait(60)
        return Room(STEP_BYTES, STEP_BYTES)

    ask = expose(hangs, DataFolder.RECORD)
    while_away = [str(ask(name, DataFolder.RECORD)) for name in (*NAMES, *NAMES)]
    asked_while_away = len(asked)
    back.set()
    (hanging,) = (thread for thread in enumerate_threads() if thread.name == "disk")
    hanging.join(60)

    assert while_away == ["nan"] * 4
    assert asked_while_away == 1
    assert ask(NAMES[0], DataFolder.RECORD) == STEP_BYTES


def test_room_of_a_folder_that_is_not_made_yet_is_that_of_its_disk(tmp_path: Path) -> None:
    room = measure_room(tmp_path / "not/yet")

    assert 0 <= room.available <= room.size
    assert room.size == measure_room(tmp_path).size > 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////srv/record/shadow.db", "/srv/record"),
        ("postgresql+pg8000://cxr@postgres/cxr", None),
    ],
)
def test_each_folder_of_the_site_is_named(url: str, expected: str | None) -> None:
    settings = Settings(
        record=RecordSettings(url=url, site_key_file=Path("/srv/key/site.key")),
        model=ModelSettings(cache_dir=Path("/srv/cache")),
        pacs=PacsSettings(url="http://orthanc:8042", queue_file=Path("/srv/queue/pacs.db")),
    )

    named = {name.value: str(folder) for name, folder in data_folders(settings).items()}

    assert named.pop("scratch")
    assert named.pop("record", None) == expected
    assert named == {"state": "/srv/key", "pacs": "/srv/queue", "cache": "/srv/cache"}


async def test_service_tells_the_room_of_its_record(tiny_store: Path, tmp_path: Path) -> None:
    async with open_app(tiny_settings(tiny_store, tmp_path)) as service:
        exposition = (await service.client.get("/metrics")).text

    families = {family.name: family for family in text_string_to_metric_families(exposition)}
    told = {
        name: {sample.labels["folder"]: sample.value for sample in families[name].samples}
        for name in NAMES
    }
    assert set(told[NAMES[0]]) == set(told[NAMES[1]]) == {"record", "state", "scratch"}
    assert told[NAMES[1]]["record"] == measure_room(tmp_path).size
