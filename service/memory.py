"""What is alive after the start is left out of garbage collection.

By then there are some hundred thousand objects that stay to the end. Python's collector walks over
all of them now and then and holds every thread meanwhile: a tenth of a second of one core, and the
tail of the latency.
"""

import gc
from typing import Final

COLLECTED_AFTER: Final = (10_000, 20, 20)
"""Objects, and younger collections, after which the collector looks: a request makes some
thousand, nearly all of which are gone by reference count before it does."""


def set_started_aside() -> None:
    """Collect once, and leave all that is alive now out of later collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
