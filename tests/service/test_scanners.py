"""Only scanners that the site named have a name."""

from dataclasses import replace

import pytest

from service.core.intake import read_radiograph
from service.core.radiograph import DicomContext
from service.scanners import OTHER, Scanners
from tests.support.radiographs import dicom_bytes


@pytest.fixture
def context() -> DicomContext:
    dicom = read_radiograph(dicom_bytes()).dicom
    assert dicom is not None
    return replace(dicom, station_name="ROOM 1", manufacturer="Acme", model_name="Ray 9")


def test_station_goes_before_product(context: DicomContext) -> None:
    scanners = Scanners({"room 1": "er", "acme|ray 9": "acme"})

    assert scanners.alias_of(context) == "er"
    assert scanners.alias_of(replace(context, station_name="ROOM 2")) == "acme"


def test_alias_of_several_names_or_of_a_product_may_be_several_machines() -> None:
    scanners = Scanners({"room 1": "er", "room 2": "er", "acme|ray 9": "acme", "ward": "ward"})

    assert scanners.shared == {"er", "acme"}


def test_scanner_that_nobody_named_is_other(context: DicomContext) -> None:
    scanners = Scanners({"room 7": "er"})

    assert scanners.alias_of(context) == OTHER
    assert scanners.alias_of(None) == OTHER
    assert scanners.names == ("er", OTHER)
