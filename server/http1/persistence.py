"""Whether another request may follow on the connection (RFC 9112 section 9.3)."""

from __future__ import annotations

from functools import lru_cache

from server.http1.messages import Fields


def asks_to_persist(fields: Fields, *, minor: int) -> bool:
    """What the request asks for: the steps of section 9.3 in their order."""
    if fields.get("connection") is None:
        return minor >= 1
    options = _options_in(",".join(fields.all("connection")))
    # 1. The close option wins, whatever stands beside it.
    if "close" in options:
        return False
    # 2. HTTP/1.1 persists. 3. HTTP/1.0 does if it says keep-alive. 4. Else it does not.
    return minor >= 1 or "keep-alive" in options


@lru_cache(maxsize=64)  # clients send one of two or three
def _options_in(values: str) -> frozenset[str]:
    """The connection options of a list (RFC 9110 7.6.1), in lower case."""
    return frozenset(one.strip(" \t").lower() for one in values.split(","))
