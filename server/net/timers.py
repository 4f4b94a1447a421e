"""Deadlines in O(1): a wheel of coarse ticks, checked late rather than moved early.

An object is entered under the tick of its deadline. When its deadline moves further away nothing is
done: the entry comes due, finds that it is too early, and is entered again. Only a deadline that
moves nearer moves the entry with it.

Guarantees: a watched object comes due at most one tick after its deadline, never before it; it has
one entry, and none after `forget`, so that the wheel keeps alive nobody who has gone.
Threads: the reactor's alone.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import Protocol

TICK_SECONDS = 0.05
NOT_WATCHED = -1


class Timed(Protocol):
    """What can be watched. `tick` is the wheel's own note: where the object's entry is."""

    deadline: float
    tick: int


def tick_of(until: float) -> int:
    """The tick under which what comes due at `until` is entered."""
    return math.floor(until / TICK_SECONDS) + 1


class Timers:
    """The wheel. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Timed, None]] = {}
        self._ticks: list[int] = []

    def watch(self, one: Timed, until: float) -> None:
        """Let `one` come due at `until`, or at an earlier time that it is entered for already."""
        tick = tick_of(until)
        if one.tick != NOT_WATCHED:
            if one.tick <= tick:
                return
            self.forget(one)
        one.tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {one: None}
            heapq.heappush(self._ticks, tick)
        else:
            bucket[one] = None

    def forget(self, one: Timed) -> None:
        """Let `one` never come due, if it is watched at all."""
        if one.tick != NOT_WATCHED:
            del self._buckets[one.tick][one]
            one.tick = NOT_WATCHED

    def due(self, now: float) -> Iterable[Timed]:
        """Take out, one by one, the objects whose time has come.

        Meanwhile any may be forgotten, and watched until a time after `now`.
        """
        nothing = not self._ticks or self._ticks[0] * TICK_SECONDS > now
        return () if nothing else self._take_due(now)

    def _take_due(self, now: float) -> Iterator[Timed]:
        while self._ticks and self._ticks[0] * TICK_SECONDS <= now:
            tick = heapq.heappop(self._ticks)
            bucket = self._buckets[tick]
            while bucket:
                one, _ = bucket.popitem()
                one.tick = NOT_WATCHED
                yield one
            del self._buckets[tick]

    def seconds_to_next(self, now: float) -> float | None:
        """How long at least nothing will come due; None while nothing is watched.

        The tick of what was forgotten is still among those that it looks at.
        """
        return max(0.0, self._ticks[0] * TICK_SECONDS - now) if self._ticks else None
