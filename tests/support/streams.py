"""Streams that logs are written to."""

import errno
import io


class FullDisk(io.StringIO):
    """Refuses every line."""

    def write(self, _text: str) -> int:
        """Refuse."""
        raise OSError(errno.ENOSPC, "no space left on device")

    def flush(self) -> None:
        """Refuse."""
        raise OSError(errno.ENOSPC, "no space left on device")
