"""Content of several pieces on its way out: framed once, counted byte by byte, closed once."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.app.errors import error_response
from server.config import Config
from server.errors import ContentError
from server.http1.chunked import ChunkedReader
from server.http1.messages import Fields, FileRegion, Parts, RequestHead, Response
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter
from server.lifecycle import Lifecycle
from server.net.connection import Connection
from server.net.intake import Intake
from server.net.responder import JOINED_BYTES_MAX, Responder
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import ResponseState
from tests.clock import ManualClock
from tests.fakes import Disk, FakeTransport, endless_reservoir

TURN = 1 << 30


class Room:
    """One connection whose response is being sent to a peer that takes what it is allowed to."""

    def __init__(self, engine: Engine = "sealed", *, method: str = "GET") -> None:
        bind = Binder(sound_system(), engine=engine).bind
        lifecycle = bind(Lifecycle)(lambda: True)
        lifecycle.started()
        self.responder = Responder(
            bind(ResponseWriter),
            clock=ManualClock(),
            lifecycle=lifecycle,
            error_page=error_response,
            access_log=None,
        )
        self.disk = Disk()
        self.transport = FakeTransport(5, self.disk)
        reader = bind(RequestReader)(Config(), bind(ChunkedReader))
        self.connection = bind(Connection)(
            self.transport, reader, Intake(1024, endless_reservoir())
        )
        self.connection.head = RequestHead(method, "/", "/", "", "a", 1, Fields())

    def frame(self, *pieces: bytes | FileRegion, status: int = 206) -> None:
        self.responder.frame(self.connection, Response(status, content=Parts(pieces)))

    def drip(self, room: int) -> Iterator[bool]:
        """Let the peer take `room` bytes a time; yields whether all is sent."""
        done = False
        while not done:
            self.transport.room = room
            done = self.connection.send(TURN)
            yield done

    def state(self) -> ResponseState:
        assert self.connection.answer is not None
        return self.connection.answer.state

    def content(self) -> bytes:
        return bytes(self.transport.received).partition(b"\r\n\r\n")[2]


def sharing(disk: Disk, content: bytes, *ranges: tuple[int, int]) -> list[FileRegion]:
    """Regions of one file, given as (offset, size): the last one's close is the file's."""
    whole = disk.region(content)
    regions = [FileRegion(whole.descriptor, at, size, lambda: None) for at, size in ranges]
    regions[-1].close = whole.close
    return regions


@pytest.mark.parametrize("engine", ["sealed", "stock"])
def test_pieces_are_sent_in_their_order(engine: Engine) -> None:
    room = Room(engine)
    one, two = sharing(room.disk, b"0123456789", (8, 2), (0, 3))
    room.frame(b"[", one, b"|", two, b"]")
    assert room.state() is ResponseState.CONTENT
    assert room.connection.send(TURN)
    assert room.content() == b"[89|012]"
    assert room.state() is ResponseState.COMPLETE
    assert list(room.disk.closed.values()) == [1]
    assert b"Content-Length: 8\r\n" in room.transport.received
    assert room.connection.answer is not None
    assert room.connection.answer.size == 8


@given(
    pieces=st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=30)), max_size=6),
    room_bytes=st.integers(1, 40),
)
def test_any_pieces_arrive_whole_however_slowly_they_are_read(
    pieces: list[tuple[bool, bytes]], room_bytes: int
) -> None:
    room = Room()
    room.frame(*(room.disk.region(data) if in_file else data for in_file, data in pieces))
    for done in room.drip(room_bytes):
        left = [one for one in room.connection.outgoing if isinstance(one, FileRegion)]
        # The message is whole when the last file is: the bytes after it cannot fail any more.
        assert (room.state() is ResponseState.COMPLETE) == (not left)
        assert done == (not room.connection.outgoing)
    assert room.content() == b"".join(data for _, data in pieces)
    assert room.state() is ResponseState.COMPLETE
    assert set(room.disk.closed.values()) <= {1}


def test_bytes_alone_are_whole_when_they_are_framed() -> None:
    room = Room()
    room.frame(b"one ", b"two")
    assert room.state() is ResponseState.COMPLETE
    assert len(room.connection.outgoing) == 1


def test_large_bytes_are_not_copied_to_join_them() -> None:
    room = Room()
    large = bytes(JOINED_BYTES_MAX + 1)
    room.frame(b"before", large, b"after")
    assert room.connection.outgoing[1] is large
    assert room.connection.outgoing[2] == b"after"
    assert room.connection.send(TURN)
    assert room.content() == b"before" + large + b"after"


def test_a_file_that_ends_too_early_breaks_the_message_and_the_others_are_closed() -> None:
    room = Room()
    short, other = room.disk.region(b"123", claims=4), room.disk.region(b"456")
    room.frame(b"[", short, b"|", other, b"]")
    with pytest.raises(ContentError, match="1 bytes before"):
        room.connection.send(TURN)
    assert room.state() is ResponseState.BROKEN
    room.connection.let_go()
    assert list(room.disk.closed.values()) == [1, 1]


def test_regions_of_one_file_are_dropped_in_their_order() -> None:
    room = Room()
    regions = sharing(room.disk, b"0123456789", (0, 2), (3, 2), (6, 2))
    closed: list[int] = []
    for number, region in enumerate(regions):
        region.close = functools.partial(closed.append, number)
    room.frame(b"[", *regions, b"]")
    room.connection.let_go()
    assert closed == [0, 1, 2]


def test_pieces_that_are_not_sent_are_closed() -> None:
    head = Room(method="HEAD")
    head.frame(b"[", head.disk.region(b"123"), head.disk.region(b"456"))
    assert list(head.disk.closed.values()) == [1, 1]
    assert head.state() is ResponseState.COMPLETE
    assert head.connection.send(TURN)
    assert head.content() == b""
    assert b"Content-Length: 7\r\n" in head.transport.received

    refused = Room()
    with pytest.raises(ContentError):
        refused.frame(b"[", refused.disk.region(b"123"), status=304)
    assert list(refused.disk.closed.values()) == [1]


def test_a_piece_has_bytes() -> None:
    with pytest.raises(ValueError, match="no bytes"):
        Parts((b"x", b""))
    with pytest.raises(ValueError, match="no bytes"):
        Parts((Disk().region(b""),))
