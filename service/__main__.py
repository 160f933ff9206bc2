"""`cxr-triage`, and `python -m service`, which is the same."""

import gc
import sys
from collections.abc import Callable
from functools import partial

from service.spare_imports import SPARE, spared


def main() -> None:
    """Import the command line with the collector at rest, and run it.

    What is imported stays to the end: looking through it while it grows takes a fifth of the time
    that it takes to import.
    """
    gc.disable()
    if sys.argv[1:2] == ["serve"] and "--help" not in sys.argv:
        run = _import_serving()
    else:
        from service.cli import main as run  # noqa: PLC0415 - after the collector is at rest
    gc.freeze()
    gc.enable()
    run()


def _import_serving() -> Callable[[], None]:
    """What serves, and nothing else; its engine opens meanwhile."""
    with spared(*SPARE):
        from service.verified_engine import HeadStart  # noqa: PLC0415 - before all that is slower

        head_start = HeadStart()
        from service.serve_cli import main as run  # noqa: PLC0415 - while the engine opens

    return partial(run, head_start)


if __name__ == "__main__":
    main()
