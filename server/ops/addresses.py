"""What the text of an address says."""

from __future__ import annotations

import functools
import ipaddress


@functools.lru_cache(maxsize=64)
def is_address(host: str) -> bool:
    """Whether it is the literal of an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether it is the literal of an address that only this machine reaches."""
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def host_of(authority: str) -> str:
    """The host of `host:port`, without the brackets of an IPv6 address (RFC 3986 3.2.2)."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]
