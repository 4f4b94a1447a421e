"""Deadlines in O(1): a wheel of coarse ticks, checked late rather than moved early.

An object is entered under the tick of its deadline. When its deadline moves further away nothing is
done: the entry comes due, finds that it is too early, and is entered again. Only a deadline that
moves nearer makes a new entry, and the old one is passed over when it comes.

Guarantee: a watched object comes due at most one tick after its deadline, never before it.
Threads: the reactor's alone.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Protocol

TICK_SECONDS = 0.05
NOT_WATCHED = -1


class Timed(Protocol):
    """What can be watched. `tick` is the wheel's own note: where the object's valid entry is."""

    deadline: float
    tick: int


class Timers:
    """The wheel. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[Timed]] = {}
        self._ticks: list[int] = []

    def watch(self, one: Timed, until: float) -> None:
        """Let `one` come due at `until`, or at an earlier time that it is entered for already."""
        tick = math.floor(until / TICK_SECONDS) + 1
        if one.tick != NOT_WATCHED and one.tick <= tick:
            return
        one.tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [one]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append(one)

    def due(self, now: float) -> Iterator[Timed]:
        """Take out, one by one, the objects whose time has come. Watch again what was too early."""
        while self._ticks and self._ticks[0] * TICK_SECONDS <= now:
            tick = heapq.heappop(self._ticks)
            for one in self._buckets.pop(tick):
                if one.tick == tick:
                    one.tick = NOT_WATCHED
                    yield one

    def seconds_to_next(self, now: float) -> float | None:
        """How long nothing will come due; None while nothing is watched."""
        return max(0.0, self._ticks[0] * TICK_SECONDS - now) if self._ticks else None
