"""What a subscriber is sent at once: some events, joined once for all who are at the same place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from server.events.ring import Event
from server.events.subscription import Loss

PARCEL_EVENTS_MAX = 256
PARCEL_BYTES_MAX = 64 * 1024
"""One event may be larger, and is a parcel of its own then."""


class Parcel:
    """Events in their order, at least one. `data` is all of them; `more` says that there were
    others behind them. `losses` are told by the first of them, if there are any.

    It never changes: many subscribers are sent the same one.
    """

    __slots__ = ("coded", "data", "events", "losses", "more", "size")

    def __init__(
        self, events: Sequence[Event], *, coded: bool, more: bool, losses: tuple[Loss, ...] = ()
    ) -> None:
        self.events = events
        self.coded = coded
        self.more = more
        self.losses = losses
        self.size = sum(event.size for event in events)
        self.data = b"".join([self._bytes_of(event) for event in events])

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.events[-1].number

    def after(self, sent: int) -> tuple[int, memoryview]:
        """Where its bytes end before the last: the index of the event at which `sent` of them have
        come, and what is left of that event: never nothing.
        """
        ends = list(accumulate(len(self._bytes_of(event)) for event in self.events))
        index = bisect_right(ends, sent)
        return index, memoryview(self._bytes_of(self.events[index]))[sent - ends[index] :]

    def _bytes_of(self, event: Event) -> bytes:
        return event.data if self.coded else event.block
