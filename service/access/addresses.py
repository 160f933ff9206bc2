"""Which address is only this machine, and under which name an address is counted."""

import ipaddress
from typing import Final

from starlette.types import Scope

UNKNOWN: Final = "unknown"
IPV6_HOUSEHOLD: Final = 64
"""Bits that one holder of IPv6 addresses has in common (RFC 6177)."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def peer_of(request: Scope) -> str:
    """The caller's address, or the network of an IPv6 address; what is neither is `unknown`."""
    client = request.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), IPV6_HOUSEHOLD), strict=False))
