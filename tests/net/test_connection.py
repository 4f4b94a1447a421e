"""A connection by itself: what is sent, in which order, and what is given back with it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.errors import ContentError
from server.http1.messages import FileRegion
from server.net.connection import FILE_TURN_BYTES_MAX, Connection, close_file
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import ConnectionState, RequestState, ResponseState
from tests.fakes import Disk, FakeTransport


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return cast("Engine", request.param)


class Content:
    """An intake that knows how often it was told to forget."""

    def __init__(self) -> None:
        self.drops = 0

    def drop(self) -> None:
        self.drops += 1

    def take(self) -> bytes:
        return b"content"


class Writer:
    """A response's writer that counts what a file's region has sent."""

    def __init__(self, promised: int) -> None:
        self.left = promised
        self.persists = True
        self.state = ResponseState.CONTENT
        self.framed_bytes = 0
        self.calls: list[str] = []

    def count(self, size: int) -> None:
        self.left -= size
        self.framed_bytes += size

    def content_is_exact(self) -> bool:
        return self.left == 0

    def end(self) -> bytes:
        self.calls.append("end")
        return b""

    def failed(self) -> None:
        self.calls.append("failed")


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def transport(disk: Disk) -> FakeTransport:
    return FakeTransport(7, disk)


@pytest.fixture
def reader() -> Any:
    return SimpleNamespace(state=RequestState.AWAITED, trailers=())


@pytest.fixture
def connection(engine: Engine, transport: FakeTransport, reader: Any) -> Connection:
    kind = Binder(sound_system(), engine=engine).bind(Connection)
    return kind(transport, reader, cast("Any", Content()))


def promise(connection: Connection, size: int) -> Writer:
    writer = Writer(size)
    connection.answer = cast("Any", writer)
    return writer


def test_a_new_one_owes_nothing(connection: Connection) -> None:
    assert connection.state is ConnectionState.PARKED
    assert (connection.progress, connection.progress_seen, connection.requests) == (0, 0, 0)
    assert (connection.began, connection.deadline, connection.serial) == (0.0, 0.0, 0)
    assert connection.request_id == "0-0"
    assert connection.unsent_bytes() == 0
    assert connection.send(1)
    assert not connection.persists()
    assert not connection.answer_began()


def test_a_request_forgets_the_one_before(connection: Connection) -> None:
    connection.job, connection.head = cast("Any", object()), cast("Any", object())
    connection.begin_request(5.5)
    assert connection.began == 5.5
    assert (connection.job, connection.head) == (None, None)


def test_requests_are_numbered(connection: Connection, transport: FakeTransport) -> None:
    connection.serial, connection.head = 12, cast("Any", object())
    request = connection.take_request()
    assert connection.request_id == "12-1"
    assert (request.head, request.content) == (connection.head, b"content")
    assert (request.peer, request.local) == (transport.peer, transport.local)
    connection.take_request()
    assert connection.request_id == "12-2"


@pytest.mark.parametrize(
    ("state", "began"),
    [
        (RequestState.AWAITED, False),
        (RequestState.HEAD, True),
        (RequestState.CONTENT, True),
        (RequestState.COMPLETE, False),
    ],
)
def test_a_request_has_begun_with_its_head(
    connection: Connection, reader: Any, state: RequestState, began: bool
) -> None:
    reader.state = state
    assert connection.request_began() is began


def test_pieces_are_sent_in_their_order_and_as_far_as_they_go(
    connection: Connection, transport: FakeTransport
) -> None:
    connection.outgoing.extend([b"head", b"content"])
    transport.room = 6
    assert not connection.send(100)
    assert transport.received == b"headco"
    assert list(connection.outgoing) == [b"ntent"]
    assert (connection.unsent_bytes(), connection.progress) == (5, 6)
    transport.room = 0
    assert not connection.send(100)
    transport.room = 5
    assert connection.send(100)
    assert transport.received == b"headcontent"
    assert connection.progress == 11


def test_a_turn_ends_after_so_many_bytes(connection: Connection, transport: FakeTransport) -> None:
    connection.outgoing.extend([b"abc", b"def", b"ghi"])
    assert not connection.send(4)
    assert transport.received == b"abcdef"
    assert not connection.send(0)
    assert transport.received == b"abcdef"
    assert connection.send(3)
    assert transport.received == b"abcdefghi"


def test_all_sent_in_the_last_byte_of_a_turn_is_all(connection: Connection) -> None:
    connection.outgoing.append(b"abc")
    assert connection.send(3)


def test_what_is_kept_is_given_back_when_all_is_sent(
    connection: Connection, transport: FakeTransport
) -> None:
    given: list[str] = []
    whole = b"x" * 100
    connection.outgoing.extend([memoryview(whole)[90:], b"y"])
    connection.keep_unsent(lambda: given.append("back"))
    assert [type(one) for one in connection.outgoing] == [bytes, bytes]
    transport.room = 10
    assert not connection.send(100)
    assert given == []
    transport.room = 1
    assert connection.send(100)
    assert given == ["back"]
    assert connection.send(100)
    connection.let_go()
    assert given == ["back"]
    assert transport.received == b"x" * 10 + b"y"


def test_who_lets_go_gives_everything_back(connection: Connection, disk: Disk) -> None:
    given: list[str] = []
    region = disk.region(b"file")
    connection.outgoing.extend([b"bytes", region])
    connection.pipe = cast("Any", SimpleNamespace(abandon=lambda: given.append("pipe")))
    connection.keep_unsent(lambda: given.append("back"))
    connection.let_go()
    assert sorted(given) == ["back", "pipe"]
    assert disk.closed[region.descriptor] == 1
    assert not connection.outgoing
    assert cast("Any", connection.content).drops == 1


def test_a_region_is_sent_counted_and_closed(
    connection: Connection, transport: FakeTransport, disk: Disk
) -> None:
    writer, region = promise(connection, 8), disk.region(b"contents")
    connection.outgoing.append(region)
    assert connection.unsent_bytes() == 0
    transport.room = 3
    assert not connection.send(100)
    assert (region.offset, region.size, disk.closed[region.descriptor]) == (3, 5, 0)
    assert (writer.left, writer.calls) == (5, [])
    transport.room = 5
    assert connection.send(100)
    assert transport.received == b"contents"
    assert (writer.left, writer.calls) == (0, ["end"])
    assert disk.closed[region.descriptor] == 1


def test_a_large_region_takes_turns(
    connection: Connection, transport: FakeTransport, disk: Disk
) -> None:
    promise(connection, FILE_TURN_BYTES_MAX + 1)
    region = disk.region(bytes(FILE_TURN_BYTES_MAX + 1))
    connection.outgoing.append(region)
    assert not connection.send(100)
    assert (region.offset, region.size) == (FILE_TURN_BYTES_MAX, 1)
    assert len(transport.received) == FILE_TURN_BYTES_MAX
    assert connection.send(100)


def test_a_region_that_is_not_the_last_does_not_end_the_message(
    connection: Connection, disk: Disk
) -> None:
    writer = promise(connection, 8)
    connection.outgoing.append(disk.region(b"half"))
    assert connection.send(100)
    assert (writer.left, writer.calls) == (4, [])


def test_a_pipe_s_region_was_framed_before(connection: Connection, disk: Disk) -> None:
    writer = promise(connection, 4)
    connection.pipe = cast("Any", object())
    connection.outgoing.append(disk.region(b"file"))
    assert connection.send(100)
    assert (writer.left, writer.calls) == (4, [])


def test_a_file_that_ends_too_early_breaks_the_response(
    connection: Connection, transport: FakeTransport, disk: Disk
) -> None:
    writer = promise(connection, 9)
    connection.outgoing.append(disk.region(b"four", claims=9))
    with pytest.raises(ContentError, match="the file ended 5 bytes before its response did"):
        connection.send(100)
    assert writer.calls == ["failed"]
    assert transport.received == b"four"


def test_a_file_that_cannot_be_closed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def close() -> None:
        raise RuntimeError("no")

    with caplog.at_level(logging.ERROR, logger="interlock.connection"):
        close_file(FileRegion(1, 0, 1, close))
    (record,) = caplog.records
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("state", "began"), [(ResponseState.PENDING, False), (ResponseState.CONTENT, True)]
)
def test_an_answer_has_begun_with_its_head(
    connection: Connection, state: ResponseState, began: bool
) -> None:
    writer = promise(connection, 4)
    writer.state = state
    assert connection.answer_began() is began
    assert connection.persists()
    writer.persists = False
    assert not connection.persists()
