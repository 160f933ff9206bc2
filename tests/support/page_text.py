"""What a page shows, as a reader sees it: the words of its tables, tiles and lists of facts."""

import re
from html.parser import HTMLParser

CELLS = ("td", "th", "dt", "dd", "h2", "p")


class _Reader(HTMLParser):
    """Gathers the text of each cell, and the cells of each row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.cells: list[str] = []
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in CELLS:
            self.cells.append("")
            self._is_inside = True

    def handle_data(self, data: str) -> None:
        if self._is_inside:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in CELLS:
            self.cells[-1] = re.sub(r"\s+", " ", self.cells[-1]).strip()
            self._is_inside = False
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append(self.cells[-1])


def rows_of(page: str) -> list[list[str]]:
    """Rows of all tables, head and body."""
    reader = _Reader()
    reader.feed(page)
    return reader.rows


def row_of(page: str, name: str, number: int = 0) -> list[str]:
    """The row that begins with a name, or the next one that does."""
    return [row for row in rows_of(page) if row and row[0].startswith(name)][number]


def tiles_of(page: str) -> dict[str, str]:
    """Heading to text of each tile."""
    found = re.findall(r'<div class="tile"><h2>(.*?)</h2>(.*?)</div>', page, re.DOTALL)
    return {name: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)) for name, text in found}


def fact_of(page: str, name: str, number: int = 0) -> str:
    """What stands beside a term in a list of facts."""
    reader = _Reader()
    reader.feed(page)
    places = [place for place, cell in enumerate(reader.cells) if cell == name]
    return reader.cells[places[number] + 1]


def percent(share: float) -> str:
    """As the pages write a share."""
    return f"{100 * share:.1f} %"


def shown_rate(share: float, low: float, high: float) -> str:
    """As the pages write a share with its interval."""
    return f"{percent(share)} {100 * low:.1f}\N{EN DASH}{100 * high:.1f}"
