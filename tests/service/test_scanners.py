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


@pytest.mark.parametrize("name", ["Acme | Ray 9", " acme|RAY 9 ", "acme |Ray 9"])
def test_blanks_around_a_name_make_no_other_scanner(context: DicomContext, name: str) -> None:
    assert Scanners({name: "acme"}).alias_of(context) == "acme"
    assert Scanners({name: "acme"}).shared == {"acme"}


def test_a_station_is_known_in_half_and_full_width(context: DicomContext) -> None:
    station = replace(context, station_name="ﾚﾝﾄｹﾞﾝ1")

    assert Scanners({"レントゲン１": "er"}).alias_of(station) == "er"


def test_alias_of_several_names_or_of_a_product_may_be_several_machines() -> None:
    scanners = Scanners({"room 1": "er", "room 2": "er", "acme|ray 9": "acme", "ward": "ward"})

    assert scanners.shared == {"er", "acme"}


def test_scanner_that_nobody_named_is_other(context: DicomContext) -> None:
    scanners = Scanners({"room 7": "er"})

    assert scanners.alias_of(context) == OTHER
    assert scanners.alias_of(None) == OTHER
    assert scanners.names == ("er", OTHER)
