"""The dashboard's feed: what the server is, some times a second, while anybody watches.

A frame is a full one, of counts since the start: so who misses some, or comes back, has lost
nothing. It is made once for all who watch, and published to a channel that keeps nobody waiting.
While nobody watches, nothing is made.

Threads: the main one, for `tick`; the reactor's, for `last`; any for the rest. Of several
processes a look takes until the others have answered: then the frame is published on the thread
that has heard them.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from server.clock import Clock
from server.events import Hub
from server.http1.messages import Events, Request, Response
from statemachine import System

if TYPE_CHECKING:
    # A server starts without them, for most serve nobody who watches.
    from server.ops.frames import Lane, View
    from server.ops.snapshot import Snapshot

LOG = logging.getLogger("interlock.feed")

CHANNEL: Final = "interlock.feed"
"""How the name of the channel begins. The rest nobody can guess: an application may let its clients
name channels, and this one tells what others ask for."""

NAME_BYTES: Final = 8

EVENT: Final = "frame"

FRAME_SECONDS: Final = 0.2
"""From one frame to the next, at least."""

REST: Final = 10.0
REST_SECONDS_MAX: Final = 1.0
"""A frame is followed by so many times the time that it took, up to a second. With ten thousand
connections there are fewer frames, and not less time for requests."""

STILL_SECONDS: Final = 3.0
STILL_FRAME_SECONDS: Final = 1.0
"""Where nothing has changed for STILL_SECONDS, so that on the page every arrow has gone cold, there
is a look as often as before, but a frame only now and then, to show that the server is there. What
changes then is shown at once."""

LOST_SECONDS: Final = 2.0
"""A look that comes to nothing is followed by the next one after so long."""


class Watched(Protocol):
    """The server that is watched. Threads: any."""

    @property
    def system(self) -> System:
        """The spec that it runs."""
        ...

    def view(self, then: View) -> None:
        """Call `then` once, with what it is now and its workers, the oldest first: before this
        returns, or later on another thread, or if that cannot be had, never.
        """
        ...

    def phase(self) -> object:
        """Something that is another after each of its steps up or down the ladder."""
        ...


class Feed:
    """Publishes frames of what `watched` returns to `hub`, in `channel`. `watched` is called when
    somebody watches.
    """

    __slots__ = (
        "_changed",
        "_clock",
        "_due",
        "_hub",
        "_phase",
        "_seen",
        "_told",
        "_watched",
        "channel",
    )

    def __init__(self, watched: Callable[[], Watched], hub: Hub, clock: Clock) -> None:
        self.channel = f"{CHANNEL}-{os.urandom(NAME_BYTES).hex()}"
        self._watched = watched
        self._hub = hub
        self._clock = clock
        self._due = -math.inf
        self._phase: object = None
        # What was to be seen in the last look, since when, and when that was published last.
        self._seen: dict[str, object] = {}
        self._changed = self._told = -math.inf

    def tick(self) -> None:
        """Publish a frame, if anybody watches and it is time for one. Never raises."""
        if not self._hub.subscribers(self.channel):
            return
        watched = self._watched()
        began, phase = self._clock.monotonic(), watched.phase()
        # What everybody waits to see is shown at once.
        if began < self._due and phase == self._phase:
            return
        self._phase, self._due = phase, began + LOST_SECONDS
        self._look(began)

    def last(self) -> None:
        """Look once more, however long ago that was, if anybody watches: their streams are about to
        end. Never raises.
        """
        if self._hub.subscribers(self.channel):
            self._look(self._clock.monotonic())

    def _look(self, began: float) -> None:
        try:
            self._watched().view(lambda now, lanes: self._publish(began, now, lanes))
        except Exception:
            # Who calls this, the supervisor or the reactor, has the server to look after.
            LOG.exception("a frame of the dashboard could not be made")
            self._rest(began)

    def _publish(self, began: float, now: Snapshot, lanes: Iterable[Lane]) -> None:
        from server.ops.frames import encoded, frame  # noqa: PLC0415 - who shows none needs none

        seen = frame(self._watched().system, now, lanes)
        if self._is_wanted(began, seen):
            self._hub.publish(self.channel, encoded(seen), event=EVENT)
        self._rest(began)

    def _is_wanted(self, began: float, frame: dict[str, object]) -> bool:
        if began < self._told:
            return False  # the last look has overtaken this one
        seen = {**frame, "at": None}
        if seen != self._seen:
            self._seen, self._changed = seen, began
        elif began - self._changed > STILL_SECONDS and began - self._told < STILL_FRAME_SECONDS:
            return False
        self._told = began
        return True

    def _rest(self, began: float) -> None:
        now = self._clock.monotonic()
        rest = min(REST * (now - began), REST_SECONDS_MAX)
        self._due = max(began + FRAME_SECONDS, now + rest)

    def page(self, _: Request) -> Response:
        """The response that is the feed: the newest frame, and each that comes after."""
        from server.ops.frames import FIELDS  # noqa: PLC0415 - as above

        return Response(200, FIELDS, Events((self.channel,), "latest"), persists=False)
