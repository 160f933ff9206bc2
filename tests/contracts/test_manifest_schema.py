"""The published JSON Schema of the manifest is the one that the loader enforces."""

from pathlib import Path

from training.cli import manifest_schema

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


def test_published_schema_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == manifest_schema(), (
        "write it again: cxr-train schema --output docs/manifest.schema.json"
    )
