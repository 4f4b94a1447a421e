"""A connection: what its owner needs to serve it, and the sending that every owner does alike.

A state is an owner: the spec's table (spec/connection.toml) says which thread may touch this object
in which state, and nothing else does. The reactor's steps are in `reactor`, the worker's in
`exchange`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from server.errors import ContentError
from server.events import Subscription
from server.http1.messages import FileRegion, Request, RequestHead
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter
from server.net.intake import Intake
from server.net.meter import NEVER
from server.net.pipe import Pipe
from server.net.pool import Job
from server.net.timers import NOT_WATCHED
from server.net.transport import Transport
from statemachine._generated import (
    ConnectionMachine,
    RequestState,
    ResponseState,
)

LOG = logging.getLogger("interlock.connection")

BEGUN = frozenset({RequestState.HEAD, RequestState.CONTENT})
PENDING = ResponseState.PENDING

FILE_TURN_BYTES_MAX: Final = 2 * 1024 * 1024
"""Sent of a file in one call, while others wait: the kernel would take it all from a peer that
reads as fast as it is sent. As much as nginx's sendfile_max_chunk."""


class Connection(ConnectionMachine):
    """One accepted connection. `subscription` is what a stream of events is a subscriber by.

    Times are seconds of the monotonic clock: `deadline` is when the present state has lasted too
    long, written by the owner before the hand-over; `progress` are the bytes that have moved since,
    where the state has a rate, and `progress_seen` what they were when time was last asked for.
    `began` is when the request's first bytes were read. `queued_at`, `taken_at` and `answered_at`
    are when it was complete, when a worker had it, and when its handler had answered; the latter
    two are NEVER until then. `outgoing` is what is decided and not yet sent, a few pieces: a list,
    for an empty deque holds 760 bytes. `answer` is what has been promised to the peer for the
    request under way. `serial` counts the server's connections,
    `requests` those that were taken from this one. `give_back` gives back what the bytes in
    `outgoing` have taken from the reservoir, if they have.
    """

    __slots__ = (
        "answer",
        "answered_at",
        "began",
        "content",
        "deadline",
        "give_back",
        "head",
        "job",
        "outgoing",
        "pipe",
        "progress",
        "progress_seen",
        "queued_at",
        "reader",
        "requests",
        "serial",
        "subscription",
        "taken_at",
        "tick",
        "transport",
    )

    def __init__(self, transport: Transport, reader: RequestReader, content: Intake) -> None:
        super().__init__()
        self.transport = transport
        self.reader = reader
        self.deadline = 0.0
        self.progress = 0
        self.progress_seen = 0
        self.tick = NOT_WATCHED
        self.began = 0.0
        self.queued_at = 0.0
        self.taken_at = self.answered_at = NEVER
        self.serial = 0
        self.requests = 0
        self.head: RequestHead | None = None
        self.content = content
        self.pipe: Pipe | None = None
        self.job: Job | None = None
        self.subscription: Subscription | None = None
        self.outgoing: list[bytes | memoryview | FileRegion] = []
        self.give_back: Callable[[], None] | None = None
        self.answer: ResponseWriter | None = None

    @property
    def request_id(self) -> str:
        """What the logs call the request under way: the connection's number and its own in it."""
        return f"{self.serial}-{self.requests}"

    def request_began(self) -> bool:
        return self.reader.state in BEGUN

    def answer_began(self) -> bool:
        answer = self.answer
        return answer is not None and answer.state is not PENDING

    def looks_whole(self) -> bool:
        """Whether an answer that is not would look whole to its peer, where the connection ended
        here as it does after one that is.
        """
        answer = self.answer
        if answer is None or not answer.ends_with_connection:
            return False
        is_made = answer.state is ResponseState.COMPLETE
        return bool(self.outgoing) or self.pipe is not None or not is_made

    def persists(self) -> bool:
        return self.answer is not None and self.answer.persists

    def begin_request(self, now: float) -> None:
        """Forget the request before: the next bytes are another one's, read at `now`."""
        self.began = now
        self.taken_at = self.answered_at = NEVER
        self.head = None
        self.job = None
        self.answer = None

    def rest(self) -> None:
        """Forget the request that was answered, while nothing has come of the next one: an idle
        connection keeps what is its own.
        """
        self.head = None
        self.job = None
        self.answer = None
        self.queued_at = self.taken_at = self.answered_at = NEVER

    def take_request(self) -> Request:
        """The request that is complete now; the connection keeps nothing of it but its head."""
        assert self.head is not None
        self.requests += 1
        return Request(
            self.head,
            self.content.take(),
            self.reader.trailers,
            self.transport.peer,
            self.transport.local,
        )

    def send(self, turn_bytes_max: int) -> bool:
        """Send what the kernel takes, up to about `turn_bytes_max`. True: nothing is left.

        Raises OSError when the peer has failed, ContentError when a file ended too early.
        """
        outgoing, room = self.outgoing, turn_bytes_max
        while outgoing and room > 0:
            piece = outgoing[0]
            if isinstance(piece, FileRegion):
                sent = self._send_region(piece)
            else:
                sent = self.transport.send(piece)
                if sent == len(piece):
                    del outgoing[0]
                elif sent:
                    outgoing[0] = memoryview(piece)[sent:]
            if sent == 0:
                return False
            room -= sent
            self.progress += sent
        if outgoing:
            return False
        if self.give_back is not None:
            self._give_back()
        return True

    def send_more(self, turn_bytes_max: int, kept_bytes_max: int) -> bool:
        """As many turns more as the peer takes whole, while what is left is too much to be kept.
        True: nothing is left. Raises as `send` does.
        """
        while self.unsent_bytes() > kept_bytes_max:
            before = self.progress
            if self.send(turn_bytes_max):
                return True
            if self.progress - before < turn_bytes_max:
                break
        return False

    def unsent_bytes(self) -> int:
        """How many bytes wait in memory to be sent."""
        return sum(len(one) for one in self.outgoing if not isinstance(one, FileRegion))

    def keep_unsent(self, give_back: Callable[[], None]) -> None:
        """Keep the bytes that wait to be sent, and nothing besides them; `give_back` is called when
        they are kept no longer.
        """
        self.give_back = give_back
        for index, piece in enumerate(self.outgoing):
            if isinstance(piece, memoryview):
                # It is all that is left of a response, and holds the whole of it.
                self.outgoing[index] = bytes(piece)

    def _give_back(self) -> None:
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            give_back()

    def _send_region(self, region: FileRegion) -> int:
        size = min(region.size, FILE_TURN_BYTES_MAX)
        sent = self.transport.send_file(region.descriptor, region.offset, size)
        assert self.answer is not None
        writer = self.answer
        if sent is None:
            writer.failed()
            raise ContentError(f"the file ended {region.size} bytes before its response did")
        if self.pipe is None:
            writer.count(sent)  # what has come through a pipe was framed when it was put in
        region.offset += sent
        region.size -= sent
        if not region.size:
            del self.outgoing[0]
            close_file(region)
            # Bytes were framed when they were put in line: the last region ends the message.
            if self.pipe is None and writer.content_is_exact():
                writer.end()
        return sent

    def let_go(self) -> None:
        """Forget what is not sent or not asked for, and close its files."""
        self.content.drop()
        for piece in self.outgoing:
            if isinstance(piece, FileRegion):
                close_file(piece)
        self.outgoing.clear()
        if self.pipe is not None:
            self.pipe.abandon()
        self._give_back()


def close_file(region: FileRegion) -> None:
    """Close a region's file. It is the handler's: its mistakes must not cost us a descriptor."""
    try:
        region.close()
    except Exception:
        LOG.exception("a response's file could not be closed")
