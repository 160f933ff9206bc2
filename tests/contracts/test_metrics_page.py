"""What the service exposes is what the documentation and the golden file say."""

from bench.metrics_page import GOLDEN, PAGE, build_registry, own_families, write_golden, write_page

REWRITE = "run `python -m bench.metrics_page`"


def test_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text("utf-8") == write_page(), REWRITE


def test_exposition_is_the_golden_one() -> None:
    assert GOLDEN.read_text("utf-8") == write_golden(), REWRITE


def test_every_metric_says_in_one_sentence_what_it_is() -> None:
    families = own_families(build_registry(("room-1",), ()))

    assert [f.name for f in families if not f.documentation.endswith(".")] == []
