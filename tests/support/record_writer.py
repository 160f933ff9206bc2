"""A process that appends to a shadow log and tells each id once it is acknowledged."""

import asyncio
import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

from service.record import Evidence, Kind, open_record
from tests.support.record_entries import evaluated


class WriterProcess:
    """So many clients at once, each appending so many rows to the shadow log.

    Writers are forked from a server that has imported everything, so each starts at once.
    """

    def __init__(self, url: str, *, clients: int, rows: int) -> None:
        context = _context()
        self._ids, sender = context.Pipe(duplex=False)
        self._process: ForkServerProcess = context.Process(
            target=_run, args=(url, clients, rows, sender)
        )
        self._process.start()
        sender.close()

    def next_id(self, timeout_seconds: float) -> str | None:
        """Wait for an acknowledged id; None when there is none in time."""
        return self._ids.recv() if self._ids.poll(timeout_seconds) else None

    def kill(self) -> list[str]:
        """End it by SIGKILL; tells what it had acknowledged besides."""
        self._process.kill()
        return self.join()

    def join(self) -> list[str]:
        """Wait for its end; tells what it had acknowledged besides."""
        ids: list[str] = []
        with suppress(EOFError, OSError):  # its end of the pipe is closed, maybe amid an id
            while True:
                ids.append(self._ids.recv())
        self._process.join()
        return ids

    @property
    def exit_code(self) -> int | None:
        """0 for a good end, -9 for a kill."""
        return self._process.exitcode


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _run(url: str, clients: int, rows: int, sender: Connection) -> None:
    asyncio.run(_write(url, clients, rows, sender))


async def _write(url: str, clients: int, rows: int, sender: Connection) -> None:
    record = open_record(url)

    async def append() -> None:
        for _ in range(rows):
            entry = evaluated()
            await record.append(entry)
            sender.send(entry.id)
            await record.note(Evidence(kind=Kind.CANDIDATE, entry=entry.id, body={}))

    await asyncio.gather(*(append() for _ in range(clients)))
    await record.close()
