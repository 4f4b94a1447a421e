"""Who is in a state: one page of a list of connections, as values."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

PAGE: Final = 100
"""Connections on one page: what one request for it costs is bounded."""

TCP_STATES: Final = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
    *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
"""By Linux's numbers (tcp_states.h)."""

# struct tcp_info: eight bytes, of which the first is the state, and 24 numbers of 32 bits.
_TCP_INFO: Final = struct.Struct("B7x24I")
_UNACKED, _LOST, _RTT, _RTTVAR, _RETRANSMITS = 4, 6, 15, 16, 23


@dataclass(frozen=True, slots=True)
class Tcp:
    """What the kernel says of a connection. `unacked` and `lost` are segments now, `retransmits`
    those that were sent again so far.
    """

    state: str
    rtt_seconds: float
    rtt_variation_seconds: float
    unacked: int
    lost: int
    retransmits: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One connection. `seconds` is how long it has been in its state, None where that is not known;
    `requests` how many a worker has taken from it; `request` the one under way, without its query.
    """

    serial: int
    state: str
    seconds: float | None
    peer: tuple[str, int]
    local: tuple[str, int]
    requests: int
    request: str | None
    tcp: Tcp | None


@dataclass(frozen=True, slots=True)
class Page:
    """Connections in the order in which they came. `total` is how many there are on all pages."""

    page: int
    pages: int
    total: int
    connections: tuple[Listed, ...]


def tcp_of(data: bytes | None) -> Tcp | None:
    """What `struct tcp_info` says; None for what is too short for it."""
    if data is None or len(data) < _TCP_INFO.size:
        return None
    state, *numbers = _TCP_INFO.unpack_from(data)
    return Tcp(
        state=TCP_STATES[state] if state < len(TCP_STATES) else str(state),
        rtt_seconds=numbers[_RTT] / 1e6,
        rtt_variation_seconds=numbers[_RTTVAR] / 1e6,
        unacked=numbers[_UNACKED],
        lost=numbers[_LOST],
        retransmits=numbers[_RETRANSMITS],
    )
