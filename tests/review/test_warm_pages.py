"""Templates are compiled once the service is up, and hold up no end of it."""

import asyncio

import pytest
import structlog
from jinja2 import DictLoader

from service.review.rendering import ENVIRONMENT
from service.review.site import warm_pages


@pytest.fixture(autouse=True)
def _nothing_compiled() -> None:
    assert ENVIRONMENT.cache is not None
    ENVIRONMENT.cache.clear()


def _compiled() -> int:
    assert ENVIRONMENT.cache is not None
    return len(ENVIRONMENT.cache)


async def test_all_are_compiled_a_while_after_the_start() -> None:
    async with warm_pages(after_seconds=0.05):
        assert _compiled() == 0
        (warming,) = (task for task in asyncio.all_tasks() if task.get_name() == "warm-pages")
        await asyncio.wait_for(warming, 30)

        assert _compiled() == len(ENVIRONMENT.list_templates())


async def test_template_that_cannot_be_compiled_is_told_at_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ENVIRONMENT, "loader", DictLoader({"broken.html": "{% if %}"}))

    with structlog.testing.capture_logs() as logs:
        async with warm_pages(after_seconds=0.0):
            (warming,) = (task for task in asyncio.all_tasks() if task.get_name() == "warm-pages")
            await asyncio.wait({warming}, timeout=30)
            told = [(line["event"], line["error_type"]) for line in logs]

    assert told == [("pages.not_compiled", "TemplateSyntaxError")]


async def test_end_before_it_compiles_nothing_and_waits_for_nothing() -> None:
    async with asyncio.timeout(30), warm_pages(after_seconds=3600):
        pass

    assert _compiled() == 0
