"""A connection: what its owner needs to serve it, and the sending that every owner does alike.

A state is an owner: the spec's table (spec/connection.toml) says which thread may touch this object
in which state, and nothing else does. The reactor's steps are in `reactor`, the worker's in
`exchange`.
"""

from __future__ import annotations

import logging
from collections import deque

from server.errors import ContentError
from server.http1.messages import FileRegion, Request, RequestHead
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter
from server.net.intake import Intake
from server.net.pipe import Pipe
from server.net.pool import Job
from server.net.timers import NOT_WATCHED
from server.net.transport import Transport
from statemachine._generated import ConnectionMachine, ConnectionState, RequestState

LOG = logging.getLogger("interlock.connection")


class Connection(ConnectionMachine):
    """One accepted connection.

    Times are seconds of the monotonic clock: `deadline` is when the present state has lasted too
    long, written by the owner before the hand-over; `began` is when the request's first bytes were
    read. `outgoing` is what is decided and not yet sent. `answer` is what has been promised to the
    peer for the request under way. `serial` counts the server's connections, `requests` those that
    were taken from this one.
    """

    __slots__ = (
        "answer",
        "began",
        "content",
        "deadline",
        "head",
        "job",
        "outgoing",
        "pipe",
        "reader",
        "requests",
        "serial",
        "tick",
        "transport",
    )

    def __init__(self, transport: Transport, reader: RequestReader, content: Intake) -> None:
        self.state = ConnectionState.PARKED
        self.transport = transport
        self.reader = reader
        self.deadline = 0.0
        self.tick = NOT_WATCHED
        self.began = 0.0
        self.serial = 0
        self.requests = 0
        self.head: RequestHead | None = None
        self.content = content
        self.pipe: Pipe | None = None
        self.job: Job | None = None
        self.outgoing: deque[bytes | memoryview | FileRegion] = deque()
        self.answer: Answer | None = None

    @property
    def request_id(self) -> str:
        """What the logs call the request under way: the connection's number and its own in it."""
        return f"{self.serial}-{self.requests}"

    def request_began(self) -> bool:
        return self.reader.state in (RequestState.HEAD, RequestState.CONTENT)

    def persists(self) -> bool:
        return self.answer is not None and self.answer.writer.persists

    def begin_request(self, now: float) -> None:
        """Forget the request before: the next bytes are another one's, read at `now`."""
        self.began = now
        self.head = None
        self.job = None
        self.content.drop()

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
            sent = self._send_region(piece) if isinstance(piece, FileRegion) else self._send(piece)
            if sent == 0:
                return False
            room -= sent
        return not outgoing

    def _send(self, piece: bytes | memoryview) -> int:
        sent = self.transport.send(piece)
        if sent == len(piece):
            self.outgoing.popleft()
        elif sent:
            self.outgoing[0] = memoryview(piece)[sent:]
        return sent

    def _send_region(self, region: FileRegion) -> int:
        sent = self.transport.send_file(region.descriptor, region.offset, region.size)
        assert self.answer is not None
        writer = self.answer.writer
        if sent is None:
            writer.failed()
            raise ContentError(f"the file ended {region.size} bytes before its response did")
        if self.pipe is None:
            writer.count(sent)  # what has come through a pipe was framed when it was put in
        region.offset += sent
        region.size -= sent
        if not region.size:
            self.outgoing.popleft()
            close_file(region)
            # Bytes were framed when they were put in line: the last region ends the message.
            if self.pipe is None and writer.content_is_exact():
                writer.end()
        return sent

    def let_go(self) -> None:
        """Forget what is not sent or not asked for, and close its files."""
        self.content.drop()
        if self.pipe is not None:
            self.pipe.abandon()
        for piece in self.outgoing:
            if isinstance(piece, FileRegion):
                close_file(piece)
        self.outgoing.clear()


def close_file(region: FileRegion) -> None:
    """Close a region's file. It is the handler's: its mistakes must not cost us a descriptor."""
    try:
        region.close()
    except Exception:
        LOG.exception("a response's file could not be closed")


class Answer:
    """What has been promised to the peer: `writer` framed it, and holds us to it.

    `size` is that of the content in bytes; of a stream, as far as it has been made.
    """

    __slots__ = ("_size", "status", "writer")

    def __init__(self, writer: ResponseWriter, *, status: int, size: int | None) -> None:
        self.writer = writer
        self.status = status
        self._size = size

    @property
    def size(self) -> int:
        return self.writer.framed_bytes if self._size is None else self._size
