"""Who must go when newcomers wait and no more connections may be open."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from server.net.connection import Connection
from statemachine._generated import ConnectionState, RequestState

ROOM_BATCH = 16
"""Idle connections that are closed at once when newcomers wait and no more may be open."""

ROOM_SECONDS = 1.0
"""Whoever has been idle for less is not closed for a newcomer. While nobody has been idle for so
long, it is looked again after as much time."""


def longest_idle(connections: Iterable[Connection], until: float) -> list[Connection]:
    """A batch of those that have been idle for longest: whose deadline is `until` or before, in
    seconds of the monotonic clock, the earliest first.
    """
    idle = (
        one
        for one in connections
        if one.state is ConnectionState.PARKED
        and one.reader.state is RequestState.AWAITED
        and one.deadline <= until
    )
    return heapq.nsmallest(ROOM_BATCH, idle, key=lambda one: one.deadline)
