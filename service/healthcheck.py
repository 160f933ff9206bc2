"""`python -m service.healthcheck`: does the service on this machine answer? For a container.

Of the standard library alone, since it starts a new interpreter every few seconds, and beside the
settings, since a misspelt one is for the service itself to report.
"""

import http.client
import os
import sys
from collections.abc import Mapping
from typing import Final

DEFAULT_PORT: Final = 8000
PATIENCE_SECONDS: Final = 4
HEALTHY: Final = 200


def is_alive(port: int) -> bool:
    """Whether `GET /healthz` on loopback is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HEALTHY
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(environment: Mapping[str, str]) -> int:
    """Exit status for the engine: 0 alive, 1 not."""
    return 0 if is_alive(int(environment.get("CXR_SERVER__PORT", DEFAULT_PORT))) else 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
