"""Grafana's own schema knows every field of the dashboards; a server to render them cannot be had.

The package is what Grafana generates from the schemas of its panels: what it reads and does not
write again is a field that Grafana would ignore.
"""

import json
from collections.abc import Iterator

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from tests.support.dashboards import dashboards

OF_PROMETHEUS = {"step", "tagKeys", "textFormat", "titleFormat", "useValueForTime", "expr"}
"""Fields of an annotation that its datasource reads; the schema leaves them open."""

BOARDS = dashboards()


@pytest.fixture(autouse=True, scope="module")
def plugins() -> None:
    """Panels and queries of Grafana itself."""
    register_default_plugins()


def lost(before: object, after: object, path: str = "") -> Iterator[str]:
    """Places whose value did not come back."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}.{key}"
            else:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from lost(left, right, f"{path}[{place}]")
    elif before != after:
        yield path


def of_datasource(place: str) -> bool:
    return place.startswith(".annotations.") and place.rpartition(".")[2] in OF_PROMETHEUS


@pytest.mark.parametrize("name", BOARDS)
def test_schema_knows_every_field(name: str) -> None:
    read = Dashboard.from_json(BOARDS[name])

    written = json.loads(JSONEncoder(sort_keys=True).encode(read))

    assert [place for place in lost(BOARDS[name], written) if not of_datasource(place)] == []


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_is_one_of_grafanas(name: str) -> None:
    panels = Dashboard.from_json(BOARDS[name]).panels or []

    unknown = [p.title for p in panels if isinstance(p, Panel) and isinstance(p.options, dict)]
    assert unknown == []
    assert len(panels) == len(BOARDS[name]["panels"])
    assert all(isinstance(panel, Panel) for panel in panels)


def test_misspelt_option_would_be_noticed() -> None:
    board = json.loads(json.dumps(next(iter(BOARDS.values()))))
    board["panels"][0]["options"]["legned"] = {}
    board["tittle"] = "x"

    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board)))

    assert set(lost(board, written)) == {".panels[0].options.legned", ".tittle"}
