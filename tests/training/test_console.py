"""What a manifest names is printed as it stands, whatever brackets mean to a terminal."""

import pytest
from rich.table import Table

from training.acts.steps import progress_bar
from training.cli_options import wide_console

SOURCE = "Site [DX] :x: [/north]"


def test_source_in_brackets_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    console, table = wide_console(), Table(title=SOURCE)
    table.add_column(SOURCE)
    table.add_row(SOURCE)

    console.print(table, SOURCE)
    with progress_bar(console) as progress:
        progress.add_task(SOURCE, total=1)

    assert capsys.readouterr().out.count(SOURCE) >= 4
