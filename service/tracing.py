"""Whether uploads are traced, and to where; the SDK is imported only if they are."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.case import Case
from service.core.errors import CxrError

Tell = Callable[[Case], None]
"""Told of each upload once it is over."""


class TracingMissing(CxrError):
    """A collector is named, and the extra `tracing` is not installed."""

    code = "TRACING_MISSING"


class TracingDisabled(CxrError):
    """A collector is named, and a variable of OpenTelemetry's own says that nothing is traced."""

    code = "TRACING_DISABLED"


@asynccontextmanager
async def open_tracing(url: str | None, sample_ratio: float) -> AsyncIterator[Tell]:
    """Give what is to be told of each upload; without an address it does nothing.

    Raises
    ------
    TracingMissing, TracingDisabled
        Better no service than one whose traces are missing when they are looked for.
    """
    if url is None:
        yield _tell_nobody
        return
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":  # as the SDK reads it
        raise TracingDisabled(
            "CXR_TRACING__URL is set, and so is OTEL_SDK_DISABLED, with which nothing is traced: "
            "take one of them away"
        )
    try:
        from service.spans import open_tracer  # noqa: PLC0415 - optional, and not cheap
    except ImportError as error:
        raise TracingMissing(
            "CXR_TRACING__URL is set, and OpenTelemetry is not installed: "
            "pip install 'cxr-triage[tracing]'"
        ) from error
    tracer = open_tracer(url, sample_ratio)
    try:
        yield tracer.tell
    finally:
        await asyncio.to_thread(tracer.close)


def _tell_nobody(_case: Case) -> None:
    """Tracing is off."""
