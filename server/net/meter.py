"""The meter: what was answered, and how long that took. It counts, and tells nobody.

To note an answer is to extend a list, and so one step of the interpreter: no count is lost, and
nobody waits for a lock. What is noted are moments, as they were at hand. Once there are
FOLD_NOTES of them, whoever has run a turn of the reactor sorts them into the histograms: that is
cheaper for many at once than for each. Whoever reads does so first, so that a reading has every
answer which was noted before it. In the compiled core it is cheaper to sort each at once, by
`enter`: no other thread runs meanwhile there.

Threads: any, for everything.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from operator import sub
from typing import Final, cast

from server.net.threads import Threading

LEAST: Final = 0.0005
"""The first of BOUNDS: most durations of a quick server are no longer."""

BOUNDS: Final = (
    *(LEAST, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the histograms' buckets, in seconds; behind the last is a bucket without one."""

NEVER: Final = -math.inf
"""The moment of what has not happened."""

METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
OTHER: Final = "other"
"""In place of every other method, and of one that never came: a client must not choose how much is
remembered."""

FOLD_NOTES: Final = 256
NOTE_ITEMS: Final = 7
FOLD_ITEMS: Final = FOLD_NOTES * NOTE_ITEMS

Note = tuple[str, int, float, float, float, float, float]
"""An answer that has ended, well or not: the request's method, the answer's status, and moments of
the monotonic clock: the request's first bytes were read, it was complete, a worker had it, its
handler had answered, the answer has ended. The third and the fourth are NEVER where that did not
happen, and then the second may be anything."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations there were: `counts` by bucket, each without those of the others, and
    `seconds` all together.
    """

    counts: tuple[int, ...]
    seconds: float

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was metered by one moment.

    `answers` are by method and status. `latency` is from a request's first byte to its answer's
    last, `queueing` from its last byte to a worker, `application` the time in the handler until it
    has answered: what it makes while it is sent comes after that. The latter two are those of
    requests that a worker took.
    """

    answers: dict[tuple[str, int], int]
    latency: Histogram
    queueing: Histogram
    application: Histogram


class _Buckets:
    """A histogram that grows."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, row: list[float]) -> None:
        if not row:
            return
        self.seconds += sum(row)
        # Of a server that is quick, all lie in the first one; and to look is cheaper than to sort.
        if max(row) <= LEAST:
            self.counts[0] += len(row)
            return
        row.sort()
        below = 0
        for bucket, bound in enumerate(BOUNDS):
            there = bisect_right(row, bound, below)
            self.counts[bucket] += there - below
            below = there
            if below == len(row):
                return
        self.counts[-1] += len(row) - below

    def add_one(self, seconds: float) -> None:
        self.seconds += seconds
        if seconds <= LEAST:
            self.counts[0] += 1
        else:
            self.counts[bisect_left(BOUNDS, seconds)] += 1

    def told(self) -> Histogram:
        return Histogram(tuple(self.counts), self.seconds)


class Meter:
    """Counts answers. `note` takes a Note: a list's own `extend`, for this is done for each. Of one
    server, all are noted or all are entered.
    """

    __slots__ = (
        "_answers", "_kind_count", "_latency", "_lock", "_method", "_noted", "_queueing", "_status",
        "_working", "note",
    )  # fmt: skip

    def __init__(self, threading: Threading) -> None:
        self._lock = threading.Lock()
        # One after the other, not as tuples: what does not live until it is folded is made of
        # memory that is at hand still, and each column is one slice.
        self._noted: list[object] = []
        self.note: Callable[[Note], None] = self._noted.extend
        self._answers: dict[tuple[str, int], int] = {}
        self._method, self._status, self._kind_count = "", 0, 0
        self._latency, self._queueing, self._working = _Buckets(), _Buckets(), _Buckets()

    def enter(self, note: Note) -> None:
        """Note an answer, and sort it at once. For the compiled core: there nobody comes between,
        for nothing here runs bytecode; and where a new kind makes what may let garbage be
        collected, and so others run, all that is this answer's has been done.
        """
        method, status, began, queued, had, answered, ended = note
        self._latency.add_one(ended - began)
        if had != NEVER:
            self._queueing.add_one(had - queued)
        if answered != NEVER:
            self._working.add_one(answered - had)
        if method == self._method and status == self._status:
            # Where answers are of one kind, for long, no key is made for each.
            self._kind_count += 1
        else:
            self._begin_kind(method, status, 1)

    def fold(self) -> None:
        """Fold what was noted, if that is much, and nobody else is at it."""
        if len(self._noted) >= FOLD_ITEMS and self._lock.acquire(blocking=False):
            try:
                self._fold_locked()
            finally:
                self._lock.release()

    def read(self) -> Reading:
        """All that was noted so far."""
        with self._lock:
            self._fold_locked()
            self._begin_kind(self._method, self._status, 0)
            return Reading(
                dict(self._answers),
                self._latency.told(),
                self._queueing.told(),
                self._working.told(),
            )

    def _fold_locked(self) -> None:
        # One step of the interpreter each: what others note meanwhile stays for the next time.
        noted = self._noted[:]
        del self._noted[: len(noted)]
        if not noted:
            return
        self._count(
            cast("list[str]", noted[0::NOTE_ITEMS]), cast("list[int]", noted[1::NOTE_ITEMS])
        )
        moments = cast("list[float]", noted)
        began, queued, had = moments[2::NOTE_ITEMS], moments[3::NOTE_ITEMS], moments[4::NOTE_ITEMS]
        answered, ended = moments[5::NOTE_ITEMS], moments[6::NOTE_ITEMS]
        self._latency.add(list(map(sub, ended, began)))
        self._queueing.add(_between(queued, had))
        self._working.add(_between(had, answered))

    def _count(self, methods: list[str], statuses: list[int]) -> None:
        method, status = methods[0], statuses[0]
        if methods.count(method) == statuses.count(status) == len(methods):
            self._add(method, status, len(methods))
            return
        for (method, status), count in Counter(zip(methods, statuses, strict=True)).items():
            self._add(method, status, count)

    def _begin_kind(self, method: str, status: int, count: int) -> None:
        """From now on answers of this kind are counted aside; those before it are added."""
        before, its_status, its_count = self._method, self._status, self._kind_count
        self._method, self._status, self._kind_count = method, status, count
        if its_count:
            self._add(before, its_status, its_count)

    def _add(self, method: str, status: int, count: int) -> None:
        key = method if method in METHODS else OTHER, status
        self._answers[key] = self._answers.get(key, 0) + count


def _between(since: list[float], until: list[float]) -> list[float]:
    """How long each took, of those that ended."""
    if min(until) != NEVER:
        return list(map(sub, until, since))
    # Two moments that never were are no number apart.
    return [end - begin for begin, end in zip(since, until, strict=True) if end != NEVER]
