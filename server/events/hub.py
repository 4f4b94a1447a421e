"""The hub: what is published, and who has not seen it yet. It knows no sockets.

```
 publish ──▶ ring of the channel ──▶ Parcel ──▶ the reactor sends it
   any thread    shared by all          joined once for all subscribers at the same place
```
To publish is to put one encoded event into its channel's ring, and to wake the reactor if it does
not know yet that there are news. No subscriber has a queue: it has a place in the rings. So nobody
who publishes waits for one who reads slowly, and memory is bounded by what the rings may hold,
however many subscribe.

All events of a hub are numbered in one row, whatever their channels. The id of an event is the
hub's stamp and that number: a moment, which says for any set of channels what a client has seen.
The stamp is another one after each start, so that an id from before a restart is recognised.

Threads: `publish`, `last_id`, `held`, `subscribers` and `subscription` from any; all else from the
reactor's.
"""

from __future__ import annotations

import heapq
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Final

from server.config import Config
from server.events.encoding import check_channel, lines_of
from server.events.parcel import PARCEL_BYTES_MAX, PARCEL_EVENTS_MAX, Parcel
from server.events.ring import EVENT_BYTES_BESIDES, Channel, Event, History
from server.events.subscription import (
    FOREIGN_CHARACTERS_MAX,
    FRESH,
    Loss,
    Subscription,
    gap_lines,
)

ID_BYTES: Final = 64
"""More than the lines of an id and the coding of one event take."""

PARCELS_MAX: Final = 64
"""Parcels that are kept while the subscribers have their turn. Those at places of their own make
their own."""

_NUMBER = attrgetter("number")


class Hub:
    """The channels of one server.

    `frame` makes of an event what is sent in the chunked coding. `wake` (see `open`) is called when
    there are news for somebody, and once until `news` has been asked for them.
    """

    def __init__(
        self,
        config: Config,
        *,
        frame: Callable[[bytes], bytes] = bytes,
        stamp: str | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._config = config
        self._frame = frame
        self._stamp = os.urandom(5).hex() if stamp is None else stamp
        self._lock = threading.Lock() if lock is None else lock
        self._wake: Callable[[], None] = _nobody
        self._channels: OrderedDict[str, Channel] = OrderedDict()  # who published last is last
        self._news: dict[Channel, None] = {}
        self._history = History()
        self._last = 0
        # Of the channels that are forgotten, the number of their newest event.
        self._forgotten = 0
        self._memory_bytes = 0
        # The reactor's alone.
        self._parcels: dict[object, Parcel] = {}

    # --- from any thread --------------------------------------------------------------------

    def publish(self, channel: str, data: object, *, event: str | None = None) -> str:
        """Publish one event, and return its id.

        `data` is text, or bytes of UTF-8; anything else is sent as JSON. `event` is its name, which
        a client listens to; without one it is a `message`. Raises ValueError for a name with a line
        end in it, for data that is neither UTF-8 nor JSON, and for an event that is larger than a
        ring (`event_ring_bytes_max`); TypeError for what JSON cannot say.
        """
        check_channel(channel)
        return self.put(channel, lines_of(data, event))

    def put(self, channel: str, lines: bytes) -> str:
        """The same for lines that have been made already. Raises ValueError for too many."""
        size = len(lines) + ID_BYTES + EVENT_BYTES_BESIDES
        if size > self._config.event_ring_bytes_max:
            raise ValueError(
                f"an event of {len(lines)} bytes does not fit a ring of "
                f"{self._config.event_ring_bytes_max} (event_ring_bytes_max)"
            )
        with self._lock:
            self._last = number = self._last + 1
            event = self._encoded(number, lines)
            ring = self._channel_locked(channel)
            self._channels.move_to_end(channel)
            self._history.add(number, channel)
            ring.add(event)
            self._memory_bytes += event.memory_bytes
            self._drop_locked(ring)
            # Whoever adds the first of the news wakes the reactor; it takes all that there are.
            wake = bool(ring.subscriptions) and not self._news
            if ring.subscriptions:
                self._news[ring] = None
        if wake:
            self._wake()
        return self._id_of(number)

    @property
    def last_id(self) -> str:
        """The id of the present moment: who subscribes after it misses nothing that comes later."""
        return self._id_of(self._last)

    @property
    def held(self) -> tuple[int, int]:
        """How many channels are remembered, and how many bytes their events take."""
        return (len(self._channels), self._memory_bytes)

    def subscribers(self, channel: str) -> int:
        """How many listen to this channel, those left out that are only about to."""
        ring = self._channels.get(channel)
        return 0 if ring is None else len(ring.subscriptions)

    # --- the reactor's: who subscribes ------------------------------------------------------

    def open(self, wake: Callable[[], None]) -> None:
        """The server runs: `wake` is called from any thread when there are news."""
        self._wake = wake
        with _running_lock:
            _running.add(self)

    def close(self) -> None:
        """It does not any more: nobody is woken, and `server.events.publish` passes it by."""
        with _running_lock:
            _running.discard(self)
        self._wake = _nobody

    def subscribe(self, one: Subscription) -> None:
        """Give it its place: after the id that it came with, or at the present moment."""
        with self._lock:
            channels = []
            for name in sorted(set(one.names)):
                channel = self._channel_locked(name)
                channel.subscriptions[one] = None  # at once: making the next may forget idle ones
                channels.append(channel)
            one.channels = tuple(channels)
            number = self._number_of(one.after)
            fresh = number is None
            one.place = self._last if number is None else number
            if fresh and one.policy == "latest":
                one.place = FRESH
            elif fresh and one.after:
                one.place, one.foreign = 0, one.after[:FOREIGN_CHARACTERS_MAX]

    def unsubscribe(self, one: Subscription) -> None:
        """It listens no longer."""
        with self._lock:
            for channel in one.channels:
                del channel.subscriptions[one]
                if not channel.subscriptions and not len(channel):
                    self._forget_locked(channel)
        one.channels = ()

    # --- the reactor's: what there is for them ----------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether `news` would give somebody."""
        return bool(self._news)

    def news(self) -> Iterable[Subscription]:
        """Those for whom something has been published since this was asked last."""
        self._parcels.clear()
        with self._lock:
            news, self._news = self._news, {}
            return dict.fromkeys(one for channel in news for one in channel.subscriptions)

    def next_for(self, one: Subscription, *, coded: bool) -> Parcel | None:
        """What comes next for a subscriber; None when it has had all. A gap is a parcel with
        `losses`, and its place has moved behind it; behind events it moves when they are sent.
        """
        key = (one.channels, one.place, one.policy, coded)
        # Of two at one place, one may have been told that some of what comes next is lost.
        shared = not one.told and one.foreign is None
        if shared and (parcel := self._parcels.get(key)) is not None:
            return parcel
        with self._lock:
            losses = self._losses_locked(one)
            if losses:
                gap = self._encoded(self._pass_locked(one), gap_lines(losses))
            else:
                events, more = self._gathered_locked(one)
                if not events and one.place == FRESH:
                    one.place = self._last
        # Joined without the lock: nobody who publishes waits for that.
        if losses:
            return Parcel((gap,), coded=coded, more=True, losses=losses)
        if not events:
            return None
        parcel = Parcel(events, coded=coded, more=more)
        if shared and len(self._parcels) < PARCELS_MAX:
            self._parcels[key] = parcel
        return parcel

    def opening(self, one: Subscription, retry_milliseconds: int) -> Event:
        """The first lines of a stream: how long to wait before coming back, and where it begins.

        With the id there before the first event, a client that is cut off early misses nothing.
        """
        lines = b"retry: %d\n" % retry_milliseconds
        if one.place == FRESH or one.foreign is not None:
            return self._framed(0, lines + b"\n")
        return self._encoded(one.place, lines + b"\n")

    def heartbeat(self, one: Subscription) -> Event:
        """A comment; and where the subscriber has had all there is, the id of this moment. So one
        whose channels are quiet comes back from here, and not from where the hub has forgotten.
        """
        with self._lock:
            number = self._last
            current = all(one.place_in(channel) >= channel.last for channel in one.channels)
        if current and one.place != FRESH:
            return self._encoded(number, b": hb\n\n")
        return self._framed(0, b": hb\n\n")

    # --- under the lock ---------------------------------------------------------------------

    def _channel_locked(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            self._make_room_locked()
            # It may have been there before: what it had then is told to be lost, if it had any.
            self._channels[name] = channel = Channel(name, dropped=self._forgotten)
        return channel

    def _make_room_locked(self) -> None:
        """Forget an eighth of the channels, if there are too many: those without subscribers that
        nobody has published to for the longest.
        """
        most = self._config.event_channels_max
        if len(self._channels) < most:
            return
        idle = [one for one in self._channels.values() if not one.subscriptions]
        for channel in idle[: max(1, most // 8)]:
            self._forget_locked(channel)

    def _forget_locked(self, channel: Channel) -> None:
        del self._channels[channel.name]
        self._memory_bytes -= channel.memory_bytes
        self._forgotten = max(self._forgotten, channel.last)

    def _drop_locked(self, ring: Channel) -> None:
        """Drop what is too much, in this ring or in all of them."""
        config = self._config
        while (
            len(ring) > config.event_ring_events_max
            or ring.memory_bytes > config.event_ring_bytes_max
        ):
            self._memory_bytes -= ring.drop_oldest()
        if self._memory_bytes <= config.event_memory_bytes_max:
            return
        # More than must go, so that not every event has to look for the oldest again. The newest
        # stays: it has not been seen by anybody.
        enough = config.event_memory_bytes_max * 7 // 8
        heap = [(one.oldest_number, one) for one in self._channels.values() if len(one)]
        heapq.heapify(heap)
        while self._memory_bytes > enough and heap[0][0] != self._last:
            oldest = heap[0][1]
            self._memory_bytes -= oldest.drop_oldest()
            if len(oldest):
                heapq.heapreplace(heap, (oldest.oldest_number, oldest))
            else:
                heapq.heappop(heap)

    def _losses_locked(self, one: Subscription) -> tuple[Loss, ...]:
        """What its channels have dropped before it came to it, and it has not been told of."""
        losses = []
        for channel in one.channels:
            dropped = channel.dropped
            if one.foreign is not None:
                last = self._id_of(dropped) if dropped else None
                losses.append(Loss(channel.name, one.foreign, last, None))
            elif one.place < dropped and self._is_wanted(one, channel):
                after = one.place_in(channel)
                count = self._history.count(channel.name, after, dropped)
                if count != 0:
                    losses.append(
                        Loss(channel.name, self._id_of(after), self._id_of(dropped), count)
                    )
        return tuple(losses)

    def _is_wanted(self, one: Subscription, channel: Channel) -> bool:
        """Whether a subscriber misses what a channel has dropped. Who wants the newest only does
        not, as long as there is a newer one.
        """
        return one.policy == "lossless" or (one.place != FRESH and not len(channel))

    def _pass_locked(self, one: Subscription) -> int:
        """Move a subscriber behind what it is told to have lost; returns its place: all up to there
        it has had, or been told of, whatever the channel.
        """
        one.foreign = None
        for channel in one.channels:
            one.told[channel] = max(channel.dropped, one.place_in(channel))
        kept = [
            first[0].number
            for channel in one.channels
            if (first := channel.after(one.place_in(channel), 1))
        ]
        one.move(min(kept) - 1 if kept else self._last)
        return one.place

    def _gathered_locked(self, one: Subscription) -> tuple[Sequence[Event], bool]:
        """The events that come next, and whether there are others behind them."""
        if one.policy == "latest":
            newest = [channel.newest for channel in one.channels]
            found = sorted(
                (e for e in newest if e is not None and e.number > one.place), key=_NUMBER
            )
        elif len(one.channels) == 1:
            found = list(one.channels[0].after(one.place, PARCEL_EVENTS_MAX + 1))
        else:
            # As many of each: whatever is left out comes after these, in the order of all.
            found = sorted(
                (e for c in one.channels for e in c.after(one.place, PARCEL_EVENTS_MAX + 1)),
                key=_NUMBER,
            )
        size = count = 0
        for event in found[:PARCEL_EVENTS_MAX]:
            size += len(event.data)
            if count and size > PARCEL_BYTES_MAX:
                break
            count += 1
        return found[:count], count < len(found)

    # --- encoding ---------------------------------------------------------------------------

    def _id_of(self, number: int) -> str:
        return f"{self._stamp}-{number}"

    def _number_of(self, event_id: str) -> int | None:
        """The number of an id of ours; None for every other text."""
        stamp, _, digits = event_id.rpartition("-")
        if stamp != self._stamp or not digits.isdecimal() or not digits.isascii():
            return None
        number = int(digits) if len(digits) <= len(str(self._last)) else -1
        return number if 0 <= number <= self._last else None

    def _encoded(self, number: int, lines: bytes) -> Event:
        return self._framed(number, b"id: %b-%d\n%b" % (self._stamp.encode(), number, lines))

    def _framed(self, number: int, block: bytes) -> Event:
        return Event(number, self._frame(block), block)


def _nobody() -> None:
    pass


_running: weakref.WeakSet[Hub] = weakref.WeakSet()
_running_lock = threading.Lock()


def publish(channel: str, data: object, *, event: str | None = None) -> int:
    """Publish one event to every server that runs in this process; returns how many those are.

    As `Hub.publish`, and from any thread too.
    """
    check_channel(channel)
    lines = lines_of(data, event)
    with _running_lock:
        hubs = list(_running)
    for hub in hubs:
        hub.put(channel, lines)
    return len(hubs)
