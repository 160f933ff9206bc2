"""Real Orthanc, real storescu: what is pushed is in the record, once."""

import sys
import time
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from service.record import Outcome
from tests.support.inlet import Way, open_way
from tests.support.orthanc import Site, needs_orthanc, phantom, store
from tests.support.radiographs import write_dicom

pytestmark = [pytest.mark.slow, needs_orthanc]


async def test_pushed_radiograph_is_in_the_record_within_seconds(
    site: Site, tiny_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()

        stored = store(site, [phantom(1)])
        await way.settled(answered=1)
        seconds = time.monotonic() - stored

    with capsys.disabled():
        sys.stdout.write(f"\nfrom the end of storescu to the row: {seconds:.2f} s\n")
    assert [entry.outcome for entry in way.entries()] == [Outcome.EVALUATED]


async def test_other_modalities_are_counted_and_never_pulled(site: Site, tiny_store: Path) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()

        with site.client() as client:
            client.post("/instances", content=structured_report()).raise_for_status()
        store(site, [phantom(1, Modality="CT"), phantom(2, Modality="CR")])
        await way.settled(answered=1, ignored=2)

    assert len(way.entries()) == 1
    assert 'cxr_pacs_instances_total{state="ignored"} 2.0' in way.metrics


async def test_contours_of_a_plan_are_ignored_however_long_their_tags_are(
    site: Site, tiny_store: Path
) -> None:
    async with open_way(site, tiny_store, max_tries=1) as way:
        await way.contact()

        with site.client() as client:
            client.post("/instances", content=structure_set()).raise_for_status()
        await way.settled(ignored=1)

    assert way.entries() == []


async def test_what_was_there_before_the_first_contact_is_left_alone(
    site: Site, tiny_store: Path
) -> None:
    store(site, [phantom(1)])

    async with open_way(site, tiny_store) as way:
        await way.contact()
        store(site, [phantom(2)])
        await way.settled(answered=1)

    assert len(way.entries()) == 1


async def test_archive_is_read_where_the_site_wants_it(site: Site, tiny_store: Path) -> None:
    store(site, [phantom(1), phantom(2)])

    async with open_way(site, tiny_store, start="beginning") as way:
        await way.settled(answered=2)

    assert len(way.entries()) == 2


async def test_radiographs_of_the_downtime_are_answered_once(site: Site, tiny_store: Path) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()

    store(site, [phantom(1), phantom(2), phantom(3)])
    async with open_way(site, tiny_store) as way:
        await way.settled(answered=3)

    assert [entry.outcome for entry in way.entries()] == [Outcome.EVALUATED] * 3


async def test_orthanc_may_go_away_and_come_back(site: Site, tiny_store: Path) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()
        store(site, [phantom(1)])
        await way.settled(answered=1)

        site.stop()
        await way.event("pacs.contact_lost")
        site.start()
        store(site, [phantom(2)])
        await way.settled(answered=2)

    assert len(way.entries()) == 2
    assert way.queue.depth().dead == 0


async def test_orthanc_with_a_new_database_is_read_from_its_first_change(
    site: Site, tiny_store: Path
) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()
        store(site, [phantom(1), phantom(2)])
        await way.settled(answered=2)

        site.stop()
        site.forget()
        site.start()
        store(site, [phantom(2), phantom(3)])
        await way.settled(answered=3)

    assert len(way.entries()) == 3
    assert way.queue.resets() == 1


async def test_instance_that_is_deleted_before_the_pull_is_let_go(
    site: Site, tiny_store: Path
) -> None:
    async with open_way(site, tiny_store) as way:
        await way.contact()
    store(site, [phantom(1)])
    with site.client() as client:
        (instance,) = client.get("/instances").json()
    async with open_way(site, tiny_store, poll=False) as way:
        with site.client() as client:
            client.delete(f"/instances/{instance}").raise_for_status()

        assert (await way.client.post("/notify", content=instance)).status_code == 202
        await way.settled(gone=1)

    assert way.entries() == []


async def test_instance_that_is_stored_again_with_other_pixels_is_a_conflict(
    site: Site, tiny_store: Path
) -> None:
    async with open_way(site, tiny_store) as way:
        await answer_and_delete(site, way)

        store(site, [phantom(1, grey=99)])
        await way.settled(dead=1)

    assert [entry.outcome for entry in way.entries()] == [Outcome.EVALUATED, Outcome.CONFLICT]
    assert [letter.code for letter in way.queue.dead_letters()] == ["SOP_INSTANCE_CONFLICT"]


async def test_instance_that_is_stored_again_unchanged_makes_no_second_row(
    site: Site, tiny_store: Path
) -> None:
    async with open_way(site, tiny_store) as way:
        await answer_and_delete(site, way)

        store(site, [phantom(1), phantom(2)])
        await way.settled(answered=2)

    assert len(way.entries()) == 2


async def answer_and_delete(site: Site, way: Way) -> None:
    """One instance comes, is answered, and is gone from the PACS."""
    await way.contact()
    store(site, [phantom(1)])
    await way.settled(answered=1)
    with site.client() as client:
        (instance,) = client.get("/instances").json()
        client.delete(f"/instances/{instance}").raise_for_status()


def structured_report() -> bytes:
    """An object without pixels."""
    return write_dicom(object_of("SR", "1.2.840.10008.5.1.4.1.1.88.11"))


def structure_set() -> bytes:
    """Contours of a radiotherapy plan: more than four megabytes of tags, as Orthanc tells them."""
    plan = object_of("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3")
    contour = Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 80
    contour.ContourData = ["1.25"] * 40
    region = Dataset()
    region.ContourSequence = [contour] * 20_000
    plan.ROIContourSequence = [region]
    return write_dicom(plan)


def object_of(modality: str, sop_class: str) -> Dataset:
    """What every object has."""
    described = Dataset()
    described.SOPClassUID = sop_class
    described.SOPInstanceUID = "1.2.826.0.1.3680043.9.7777.9.1.1"
    described.SeriesInstanceUID = "1.2.826.0.1.3680043.9.7777.9.1"
    described.StudyInstanceUID = "1.2.826.0.1.3680043.9.7777.9"
    described.PatientID, described.Modality = "PHANTOM-9", modality
    return described
