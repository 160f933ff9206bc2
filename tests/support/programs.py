"""Programs of the machine that some tests cannot do without."""

import pytest


def needs(missing: str | None) -> pytest.MarkDecorator:
    """Mark tests that need what a fresh machine may lack.

    Where it lacks they are skipped, with `missing` as the reason; in the checks (`CI` is set) they
    fail, so that nothing is left out there without a word.
    """
    return pytest.mark.needs(missing)
