"""Tables and figures of a report, whatever they are about; records of JSON as tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, ValidationError

from service.core.artifact import MetricInterval
from training.measures.results import RunIncomplete
from training.report.terminal import text_of

LONGEST_LIST = 12
"""Numbers of one cell; a longer list is told by its length."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are texts; the note says on what data."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing as SVG text."""

    title: str
    note: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of a report."""

    title: str
    note: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


def load_section(path: Path, title: str, note: str) -> Section | None:
    """A JSON file of another act as a section; None where it is not there.

    Raises
    ------
    RunIncomplete
        It is not a JSON object.
    """
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunIncomplete(f"{path} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise RunIncomplete(f"{path} is not a JSON object")
    return Section(title, note, tables_of(title, record))


def tables_of(title: str, record: Mapping[str, JsonValue]) -> tuple[Table, ...]:
    """Its plain values as one table, then one table for each list or mapping of objects."""
    plain = {key: cell_of(value) for key, value in record.items() if _is_plain(value)}
    tables = [Table(title, "", ("what", "value"), tuple(_pairs(plain)))] if plain else []
    for key, value in record.items():
        if not _is_plain(value):
            tables += _nested(_words(key), value)
    return tuple(tables)


def cell_of(value: JsonValue) -> str:
    """One value as a reader wants it."""
    interval = _interval(value)
    if interval is not None:
        return text_of(interval)
    match value:
        case list():
            is_long = len(value) > LONGEST_LIST
            cells = [f"{len(value)} values"] if is_long else [cell_of(part) for part in value]
            return ", ".join(cells) or "-"
        case dict():
            return "; ".join(f"{_words(key)}: {cell_of(part)}" for key, part in value.items())
        case _:
            return _scalar(value)


def _scalar(value: str | bool | int | float | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def _nested(title: str, value: JsonValue) -> list[Table]:
    """A list of objects has a row each, and so has a mapping of objects, its key in front."""
    given = _as_table(value)
    if given is not None:
        return [given]
    if isinstance(value, list):
        tables = [_as_table(part) for part in value]
        if tables and all(table is not None for table in tables):
            return [table for table in tables if table is not None]
        return _rows(title, [part for part in value if isinstance(part, dict)])
    if isinstance(value, dict):
        objects = [
            {"": key, **part} if isinstance(part, dict) and _interval(part) is None
            else {"": key, "value": part}
            for key, part in value.items()
        ]  # fmt: skip
        return _rows(title, objects)
    return []


def _as_table(value: JsonValue) -> Table | None:
    """What has a header and rows is a table already."""
    if not isinstance(value, dict) or not {"header", "rows"} <= value.keys():
        return None
    header, rows = value["header"], value["rows"]
    if not isinstance(header, list) or not isinstance(rows, list):
        return None
    return Table(
        cell_of(value.get("title", "")),
        cell_of(value.get("note", "")),
        tuple(cell_of(cell) for cell in header),
        tuple(
            tuple(cell_of(cell) for cell in row) if isinstance(row, list) else (cell_of(row),)
            for row in rows
        ),
    )


def _rows(title: str, objects: Sequence[Mapping[str, JsonValue]]) -> list[Table]:
    """A row each; what is a list of objects itself follows as a table of its own."""
    keys = dict.fromkeys(key for record in objects for key in record)
    inner = {key for key in keys if any(_is_list_of_objects(record.get(key)) for record in objects)}
    outer = [key for key in keys if key not in inner]
    rows = tuple(tuple(cell_of(record.get(key)) for key in outer) for record in objects)
    tables = [Table(title, "", tuple(_words(key) for key in outer), rows)]
    for record, row in zip(objects, rows, strict=True):
        for key in record:
            if key in inner:
                name = f"{row[0]}, {_words(key)}" if row else _words(key)
                tables += _nested(name, record[key])
    return tables


def _is_list_of_objects(value: JsonValue) -> bool:
    return isinstance(value, list) and any(
        isinstance(part, dict) and _interval(part) is None for part in value
    )


def _pairs(cells: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((_words(key), cell) for key, cell in cells.items())


def _is_plain(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return _interval(value) is not None
    return not isinstance(value, list) or not any(isinstance(part, dict | list) for part in value)


def _interval(value: JsonValue) -> MetricInterval | None:
    if not isinstance(value, dict) or value.keys() != MetricInterval.model_fields.keys():
        return None
    try:
        return MetricInterval.model_validate(value)
    except ValidationError:
        return None


def _words(key: str) -> str:
    return key.replace("_", " ")
