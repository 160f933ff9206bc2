"""Tables of what was measured, as Markdown."""

from collections.abc import Iterable, Sequence

Cells = Sequence[str]


def table(header: Cells, rows: Iterable[Cells]) -> str:
    """One line a row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
