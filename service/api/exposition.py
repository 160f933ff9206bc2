"""The instruments as text, one after the other: other requests have their turn between two.

With thirty scanners there are ten thousand lines, a tenth of a second of one core, and nobody else
would be served meanwhile.
"""

import asyncio
from collections.abc import Iterable

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector


async def expose(registry: Collector) -> bytes:
    """Text format for `GET /metrics`, as `generate_latest` gives it for all of them."""
    parts: list[bytes] = []
    for family in registry.collect():
        parts.append(generate_latest(_Family(family)))
        await asyncio.sleep(0)
    return b"".join(parts)


class _Family(Collector):
    """One instrument with all its labels."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """It alone."""
        return [self._family]
