"""The shipped Orthanc keeps whole DICOM files, names and all: within a bound, not for ever."""

from pathlib import Path

import pytest

from tests.support.orthanc import Site, needs_orthanc, phantom, shipped_configuration

ROOT = Path(__file__).parents[2]
BOUNDS = ("MaximumStorageSize", "MaximumPatientCount")


@pytest.mark.parametrize("bound", BOUNDS)
def test_shipped_orthanc_keeps_a_bounded_number_of_radiographs(bound: str) -> None:
    kept = shipped_configuration().get(bound, 0)

    assert isinstance(kept, int)
    assert kept > 0  # Orthanc reads 0 as no bound


def test_pages_tell_the_bound_that_is_shipped() -> None:
    size_mb, patients = (int(str(shipped_configuration()[bound])) for bound in BOUNDS)
    pages = {
        name: (ROOT / f"docs/{name}.md").read_text("utf-8") for name in ("security", "runbook")
    }

    assert f"{size_mb // 1024} GB or {patients:,} patients" in pages["security"]
    assert f"up to {size_mb // 1024} GB of DICOM files" in pages["runbook"]


@pytest.mark.slow
@needs_orthanc
@pytest.mark.parametrize("bound", [("MaximumStorageSize", 1), ("MaximumPatientCount", 5)])
def test_the_patient_longest_without_a_new_instance_goes_first(
    site: Site, bound: tuple[str, int]
) -> None:
    site.stop()
    site.changed = dict([bound])
    site.start()

    with site.client() as client:  # `storescu` sends a folder in no certain order
        for number in range(12):
            client.post("/instances", content=phantom(number)).raise_for_status()
        patients = client.get("/patients?expand").raise_for_status().json()
    kept = {patient["MainDicomTags"]["PatientID"] for patient in patients}
    assert 2 < len(kept) < 12
    assert kept == {f"PHANTOM-{number}" for number in range(12 - len(kept), 12)}
