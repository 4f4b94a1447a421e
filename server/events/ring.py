"""What a channel keeps: the newest of its events, encoded once, for all who have not seen them.

Threads: whoever holds the hub's lock. An `Event` never changes and may be read from any.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from server.events.subscription import Subscription

EVENT_BYTES_BESIDES: Final = 160
"""What an event costs in memory besides its bytes."""

COMPACT_AT: Final = 256
"""So many places of dropped events may stay at the front of a ring; more do only while they are the
smaller half, so that clearing them away costs each event the same, however long the ring is.
"""

HISTORY_EVENTS: Final = 65_536
"""Of so many events, of all channels together, is known to which channel each belonged."""


class Event:
    """One event, encoded. `number` is its place among all of its hub; `data` is how it is sent in
    the chunked coding, `block` without it. `size` is the content, in bytes, without the coding.
    """

    __slots__ = ("_begin", "data", "number", "size")

    def __init__(self, number: int, data: bytes, block: bytes) -> None:
        self.number = number
        self.data = data
        self.size = len(block)
        self._begin = data.index(block)

    @property
    def block(self) -> bytes:
        return self.data[self._begin : self._begin + self.size]

    @property
    def memory_bytes(self) -> int:
        """What keeping it costs."""
        return len(self.data) + EVENT_BYTES_BESIDES


class Channel:
    """The newest events of one name. `dropped` is the number of the newest that is kept no longer:
    whatever the channel had up to it has gone. `memory_bytes` is what the kept ones cost.
    """

    __slots__ = ("_events", "_head", "_numbers", "dropped", "memory_bytes", "name", "subscriptions")

    def __init__(self, name: str, *, dropped: int) -> None:
        self.name = name
        self.dropped = dropped
        self.memory_bytes = 0
        self.subscriptions: dict[Subscription, None] = {}
        self._numbers: list[int] = []
        self._events: list[Event] = []
        self._head = 0

    def __len__(self) -> int:
        return len(self._numbers) - self._head

    @property
    def newest(self) -> Event | None:
        return self._events[-1] if len(self) else None

    @property
    def last(self) -> int:
        """The number of its newest event, kept or not; or one before it had any."""
        return self._numbers[-1] if len(self) else self.dropped

    @property
    def oldest_number(self) -> int:
        """Of the oldest event that is kept. There must be one."""
        return self._numbers[self._head]

    def add(self, event: Event) -> None:
        self._numbers.append(event.number)
        self._events.append(event)
        self.memory_bytes += event.memory_bytes

    def drop_oldest(self) -> int:
        """Keep the oldest no longer; returns the bytes that it had cost."""
        size = self._events[self._head].memory_bytes
        self.dropped = self._numbers[self._head]
        self.memory_bytes -= size
        self._head += 1
        if self._head == len(self._numbers) or self._head >= max(COMPACT_AT, len(self)):
            del self._numbers[: self._head], self._events[: self._head]
            self._head = 0
        else:
            self._events[self._head - 1] = _GONE  # its place stays, its bytes do not
        return size

    def after(self, number: int, limit: int) -> Sequence[Event]:
        """The events after `number`, the oldest first, at most `limit` of them."""
        first = bisect_right(self._numbers, number, lo=self._head)
        return self._events[first : first + limit]


_GONE: Final = Event(0, b"", b"")


class History:
    """Which channel each of the last events belonged to: so a gap can say how many it lost."""

    def __init__(self, size: int = HISTORY_EVENTS) -> None:
        # It grows to its size: numbers begin with 1, so that there is a place 0 from the beginning.
        self._keys = array("Q", (0,))
        self._size = size
        self._last = 0

    def add(self, number: int, name: str) -> None:
        """The event of this number, which is the next, belongs to the channel of this name."""
        at = number % self._size
        if at < len(self._keys):
            self._keys[at] = _key(name)
        else:
            self._keys.append(_key(name))
        self._last = number

    def count(self, name: str, after: int, last: int) -> int | None:
        """How many of a channel's events have a number above `after`, up to `last`; None where that
        is too long ago.
        """
        if last <= after:
            return 0
        if after < self._last - self._size:
            return None
        first, end, key = (after + 1) % self._size, last % self._size + 1, _key(name)
        if last - after >= self._size:
            return self._keys.count(key)
        if first < end:
            return self._keys[first:end].count(key)
        return self._keys[first:].count(key) + self._keys[:end].count(key)


def _key(name: str) -> int:
    """Two names of one hub have the same one time in 2**64."""
    return hash(name) & 0xFFFF_FFFF_FFFF_FFFF
