"""Results -> a table for people, with short headings so that eighty columns do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from service.core.findings import FINDINGS, Finding

SHORT = {Finding.NORMAL: "normal", Finding.PNEUMONIA: "pneumonia", Finding.TUBERCULOSIS: "tb"}
"""Headings; answers and records always spell the findings out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One radiograph of a table; `status` is a code where there is no evaluation."""

    file: str
    file_format: str
    status: str
    probabilities: Mapping[str, float] | None
    priority: str | None
    flags: Sequence[str]
    seconds: float


def table_of(lines: Sequence[Line]) -> Table:
    """One row a radiograph, with a probability for each finding."""
    table = Table(box=None, collapse_padding=True, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("format", no_wrap=True)
    table.add_column("status", overflow="fold", min_width=len("evaluated"))
    for finding in FINDINGS:
        table.add_column(f"P({SHORT[finding]})", justify="right", no_wrap=True)
    for heading in ("priority", "flags", "sec"):
        table.add_column(heading, no_wrap=True)
    for line in lines:
        table.add_row(
            Text(line.file),  # a name with square brackets is no markup
            line.file_format,
            line.status,
            *_probabilities(line.probabilities),
            line.priority or "-",
            "\n".join(line.flags) or "-",
            f"{line.seconds:.3f}",
        )
    return table


def _probabilities(probabilities: Mapping[str, float] | None) -> list[str]:
    if probabilities is None:
        return ["-"] * len(FINDINGS)
    return [f"{probabilities[finding.value]:.3f}" for finding in FINDINGS]
