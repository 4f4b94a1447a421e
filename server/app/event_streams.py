"""`environ["interlock.events"]`: how a WSGI application publishes events, and answers with them.

    def application(environ, start_response):
        return environ["interlock.events"].subscribe("news")

What `subscribe` returns is given back to the server instead of content. The worker is free then:
the hub sends what is published.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Literal, Self

from server.events import Hub
from server.http1.messages import Events, Field, Request, Response

CONTENT_TYPE: Final = "text/event-stream"

DEFAULTS: Final[tuple[Field, ...]] = (
    ("Content-Type", CONTENT_TYPE),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),
)
"""Fields of a stream, where the application has not said otherwise. The last tells nginx not to
keep events until it has a buffer of them.
"""

TICKET_BYTES: Final = 16


def event_response(events: Events, fields: tuple[Field, ...] = ()) -> Response:
    """The response that is a stream of events."""
    named = {name.lower() for name, _ in fields}
    defaults = tuple(field for field in DEFAULTS if field[0].lower() not in named)
    return Response(200, fields + defaults, events, persists=False)


class TicketSpoilt(AssertionError):
    """Something between the application and the server has changed what a stream is known by."""


class EventStream:
    """What an application returns as its content: these channels' events.

    The server recognises it as it is, and inside of a wrapper by its one piece, a ticket: whatever
    passes that on as it is (Django, werkzeug, most middleware) need not know of it. What changes
    the piece, like a middleware that compresses, cannot stand before a stream: iterating on raises
    TicketSpoilt, and the client gets an error. `close` of a wrapper is called when the stream
    begins, for nothing of the application's is needed any more.
    """

    def __init__(self, source: EventSource, events: Events, *, given_id: bool) -> None:
        self._source = source
        self._events = events
        self._given_id = given_id
        self._ticket: bytes | None = None

    def events_for(self, request: Request) -> Events:
        """What is to be sent to this client: the rest of what it has begun, if it says so."""
        came_with = request.head.fields.get("last-event-id")
        if self._given_id or not came_with:
            return self._events
        return Events(self._events.channels, self._events.policy, came_with)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._ticket is not None:
            raise TicketSpoilt(
                "a stream of events was iterated: what stands between the application and the "
                "server must return it, or pass on its piece, as it is"
            )
        self._ticket = self._source.issue_ticket(self)
        return self._ticket


class EventSource:
    """The hub, as an application sees it. Threads: any."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._secret = b"interlock-events:" + os.urandom(TICKET_BYTES)
        self._issued: weakref.WeakValueDictionary[bytes, EventStream] = (
            weakref.WeakValueDictionary()
        )

    def publish(self, channel: str, data: object, *, event: str | None = None) -> str:
        """Publish one event, and return its id. As `server.events.Hub.publish`."""
        return self._hub.publish(channel, data, event=event)

    @property
    def last_id(self) -> str:
        """The id of the present moment: for a page that shows what is, and then subscribes to what
        comes after.
        """
        return self._hub.last_id

    def subscribe(
        self,
        *channels: str,
        policy: Literal["lossless", "latest"] = "lossless",
        last_event_id: str | None = None,
    ) -> EventStream:
        """Let the response be these channels' events.

        They begin after the client's Last-Event-ID, or after `last_event_id` where that is given;
        else now, or for `latest` with the newest of each channel. `start_response` need not be
        called; if it is, with status 200 and the type text/event-stream. Raises ValueError or
        TypeError for what is no channel, or another policy.
        """
        if last_event_id is not None:
            return EventStream(self, Events(channels, policy, last_event_id), given_id=True)
        # From this moment, not from the one at which the worker is free: the application may read
        # what it shows first in between.
        after = self._hub.last_id if policy == "lossless" else ""
        return EventStream(self, Events(channels, policy, after), given_id=False)

    def issue_ticket(self, stream: EventStream) -> bytes:
        """What a stream is recognised by when it is iterated. It is good as long as the stream is
        there, and none can be made without the secret.
        """
        ticket = self._secret + os.urandom(TICKET_BYTES)
        self._issued[ticket] = stream
        return ticket

    def redeem(self, piece: bytes) -> EventStream | None:
        """The stream that a piece of content is the ticket of, if it is one."""
        return self._issued.pop(piece, None) if piece.startswith(self._secret) else None
