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
