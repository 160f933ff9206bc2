"""What /metrics says is well formed, named by the rules, and bounded."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.metrics_page import build_registry, own_families
from service.core.drift_scalars import Scalar
from tests.support.apps import open_app, tiny_settings
from tests.support.radiographs import dicom_bytes, png_bytes

UNITS = ("seconds", "bytes", "ratio", "info", "images", "requests", "rows", "timestamp_seconds")
COUNTED = (
    "radiographs", "problems", "uploads", "priorities", "flags", "not_evaluated", "warnings",
    "device_changes", "image_checks", "instances", "failures", "resets",
)  # fmt: skip
STATES = ("ready", "shadow_mode", "drift_kind", "drift_cause", "drift_psi", "last_sequence")
NAME = re.compile(rf"cxr_([a-z_]+_)?({'|'.join(UNITS + COUNTED + STATES)})")
MOST_SERIES = 3000


@pytest.fixture
async def exposition(tiny_store: Path, tmp_path: Path) -> str:
    scanners = {f"room {n}": f"room-{n}" for n in range(8)}
    async with open_app(tiny_settings(tiny_store, tmp_path, scanners=scanners)) as service:
        for body in (png_bytes(), dicom_bytes(), b"text"):
            await service.client.post("/predict", content=body)
        await service.client.post("/explain", content=png_bytes())
        service.runtime.drift.settle()
        return (await service.client.get("/metrics")).text


async def test_exposition_is_well_formed_named_and_bounded(exposition: str) -> None:
    families = list(text_string_to_metric_families(exposition))

    own = [family for family in families if family.name.startswith("cxr_")]
    assert [family.name for family in own if not NAME.fullmatch(family.name)] == []
    assert all(family.documentation.endswith(".") for family in own)
    assert sum(len(family.samples) for family in families) < MOST_SERIES


async def test_catalogue_holds_all_that_the_service_exposes(exposition: str) -> None:
    listed = {family.name for family in own_families(build_registry(("room-1",), tuple(Scalar)))}

    own = {f.name for f in text_string_to_metric_families(exposition) if f.name.startswith("cxr_")}
    assert own == listed


async def test_traffic_moves_the_counters(exposition: str) -> None:
    assert 'cxr_radiographs_total{outcome="evaluated"} 2.0' in exposition
    assert 'cxr_radiographs_total{outcome="refused"} 1.0' in exposition
    assert 'cxr_problems_total{code="UNKNOWN_FORMAT"} 1.0' in exposition
    assert "cxr_batch_images_count 3.0" in exposition
    assert "cxr_ready 1.0" in exposition


async def test_explained_radiograph_is_not_watched_twice(exposition: str) -> None:
    other = 'scanner="other",statistic="mean"'

    assert f"cxr_raw_pixel_intensity_ratio_count{{{other}}} 2.0" in exposition
    assert f"cxr_model_input_intensity_ratio_count{{{other}}} 2.0" in exposition
