"""Where a PACS tells of an instance: shut, or open to a queue."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from service.core.errors import CxrError
from service.pacs.desk import Desk
from service.pacs.options import PacsOptions
from service.pacs_metrics import PacsMetrics


class PacsOff(CxrError):
    """No PACS is configured."""

    code = "NOT_FOUND"


class Inlet(Protocol):
    """Where a PACS tells of an instance."""

    async def notify(self, body: bytes) -> None:
        """Enqueue the instance that the body names; it is pulled later."""


class Shut:
    """Without a PACS."""

    async def notify(self, body: bytes) -> None:
        """Refuse.

        Raises
        ------
        PacsOff
            Always.
        """
        raise PacsOff("no PACS is configured (CXR_PACS__URL)")


@asynccontextmanager
async def open_inlet(
    options: PacsOptions | None,
    desk: Desk,
    metrics: PacsMetrics,
    *,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Inlet]:
    """Open the queue and work on it; shut without options.

    Raises
    ------
    PacsMisconfigured
        The queue, or a file of the settings, cannot be opened.
    """
    if options is None:
        yield Shut()
        return
    from service.pacs.at_work import open_work  # noqa: PLC0415 - httpx and Alembic take a tenth of a start

    async with open_work(options, desk, metrics, clock) as inlet:
        yield inlet
