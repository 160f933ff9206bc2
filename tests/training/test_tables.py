"""Records of other acts as tables, whatever their shape."""

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from training.measures.results import RunIncomplete
from training.report.tables import Table, load_section, tables_of


def test_plain_values_are_one_table_and_lists_of_objects_another() -> None:
    record: dict[str, JsonValue] = {
        "verdict": "warn",
        "images_measured": 623,
        "is_certain": False,
        "checks": [
            {"name": "lungs hidden", "auc": {"value": 0.61, "low": 0.5, "high": 0.7}},
            {"name": "corners", "reason": None},
        ],
    }

    plain, checks = tables_of("Audit", record)

    assert plain.rows == (("verdict", "warn"), ("images measured", "623"), ("is certain", "no"))
    assert checks.title == "checks"
    assert checks.header == ("name", "auc", "reason")
    assert checks.rows == (("lungs hidden", "0.610 (0.500 to 0.700)", "-"), ("corners", "-", "-"))


def test_mapping_of_objects_has_its_keys_in_front() -> None:
    (table,) = tables_of("", {"sources": {"nih": {"auc": 0.5}, "kermany": {"auc": 0.25}}})

    assert table.header == ("", "auc")
    assert table.rows == (("nih", "0.5"), ("kermany", "0.25"))


def test_mapping_of_intervals_is_one_column() -> None:
    interval: JsonValue = {"value": 0.5, "low": 0.4, "high": 0.6}

    (table,) = tables_of("", {"areas": {"nih": interval}})

    assert table.rows == (("nih", "0.500 (0.400 to 0.600)"),)


def test_lists_within_objects_are_tables_of_their_own() -> None:
    tests: JsonValue = [
        {"name": "lungs hidden", "verdict": "warn", "measured": [{"where": "nih", "images": 56}]},
        {"name": "corners", "verdict": "pass", "measured": []},
    ]

    summary, measured, nothing = tables_of("", {"tests": tests})

    assert summary.header == ("name", "verdict")
    assert summary.rows == (("lungs hidden", "warn"), ("corners", "pass"))
    assert (measured.title, measured.rows) == ("lungs hidden, measured", (("nih", "56"),))
    assert (nothing.title, nothing.rows) == ("corners, measured", ())


def test_interval_alone_is_a_plain_value() -> None:
    (table,) = tables_of("", {"auc": {"value": 0.5, "low": 0.4, "high": 0.6}})

    assert table.rows == (("auc", "0.500 (0.400 to 0.600)"),)


def test_ready_tables_are_shown_as_they_are() -> None:
    ready: JsonValue = {
        "title": "Candidates",
        "note": "Three seeds.",
        "header": ["name", "AUC"],
        "rows": [["a", "0.9"]],
    }

    found = tables_of("Search", {"tables": [ready, ready], "one": ready})

    expected = Table("Candidates", "Three seeds.", ("name", "AUC"), (("a", "0.9"),))
    assert found == (expected, expected, expected)


def test_long_lists_are_told_by_their_length() -> None:
    (table,) = tables_of("", {"many": list(range(100)), "few": [1, 2]})

    assert table.rows == (("many", "100 values"), ("few", "1, 2"))


def test_absent_file_is_no_section(tmp_path: Path) -> None:
    assert load_section(tmp_path / "audit.json", "Audit", "") is None


def test_file_is_a_section(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(json.dumps({"verdict": "pass"}))

    section = load_section(tmp_path / "audit.json", "Audit", "of the test split")

    assert section is not None
    assert (section.title, section.note) == ("Audit", "of the test split")
    assert section.tables[0].rows == (("verdict", "pass"),)


@pytest.mark.parametrize("text", ["[1, 2]", "half a rec"])
def test_file_that_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(text)

    with pytest.raises(RunIncomplete, match=r"audit\.json"):
        load_section(tmp_path / "audit.json", "Audit", "")
