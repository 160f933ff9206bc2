"""The table of steps shows ours beside the plain way, where there is one."""

from bench.steps import Step, page_of


def test_plain_way_stands_beside_ours_and_else_nothing() -> None:
    page = page_of([Step("PNG; libpng", 0.0056, 0.0064), Step("digest", 0.00125, None)])

    assert "| PNG; libpng | 5.60 | 6.40 |" in page
    assert "| digest | 1.25 |  |" in page
