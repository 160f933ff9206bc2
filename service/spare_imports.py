"""Packages that a library would use if they were there, and nothing that serves does.

structlog colours stack traces for a terminal with rich, pydicom fetches its test files with
requests, FastAPI would check the address of an API's contact, and ours has none: together they take
a tenth of a start.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SPARE: Final = ("rich", "requests", "email_validator")


@contextmanager
def spared(*names: str) -> Iterator[None]:
    """Let an import of these fail meanwhile, as if they were not installed.

    What is imported already stays; afterwards each can be imported as ever.
    """
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # None: an import fails
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
