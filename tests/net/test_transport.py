"""One contract for a connection's socket, held by real ones and by the simulation's."""

from __future__ import annotations

import os
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

from server.net.listener import Listener, bind
from server.net.poller import READ, EpollPoller, Poller
from server.net.transport import SocketTransport, Transport, address_of
from server.server import sound_system
from server.simulation.disk import Disk
from server.simulation.kernel import Descriptors, End
from statemachine import Binder

SECONDS_MAX = 10.0
PLENTY = 1 << 22


class Line(ABC):
    """A connection: `ours` is the end under test, the rest is its peer's."""

    ours: Transport

    @abstractmethod
    def say(self, data: bytes) -> None: ...
    @abstractmethod
    def end(self) -> None: ...
    @abstractmethod
    def reset(self) -> None: ...
    @abstractmethod
    def hear(self) -> bytes: ...
    @abstractmethod
    def region(self, content: bytes) -> int: ...
    @abstractmethod
    def settle(self) -> None: ...


class RealLine(Line):
    def __init__(self) -> None:
        listening = bind("127.0.0.1", 0, 1)
        self.theirs = socket.create_connection(listening.getsockname()[:2], timeout=SECONDS_MAX)
        connected, name = listening.accept()
        listening.close()
        self.ours = SocketTransport(connected, address_of(name))
        self.files: list[int] = []

    def say(self, data: bytes) -> None:
        self.theirs.sendall(data)
        self.settle()

    def end(self) -> None:
        self.theirs.shutdown(socket.SHUT_WR)
        self.settle()

    def reset(self) -> None:
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.theirs.close()
        self.settle()

    def hear(self) -> bytes:
        return self.theirs.recv(PLENTY)

    def region(self, content: bytes) -> int:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            number = os.dup(file.fileno())
        self.files.append(number)
        return number

    def settle(self) -> None:
        poller: Poller = EpollPoller()
        poller.add(self.ours.descriptor)
        poller.poll(SECONDS_MAX)
        poller.close()

    def put_away(self) -> None:
        self.theirs.close()
        for number in self.files:
            os.close(number)


class SimulatedLine(Line):
    def __init__(self) -> None:
        table = Descriptors()
        self.disk = Disk(table)
        self.ours = self.their = End(table.take(), self.disk)
        self.heard = 0

    def say(self, data: bytes) -> None:
        self.their.peer_sends(data)

    def end(self) -> None:
        self.their.peer_ends()

    def reset(self) -> None:
        self.their.peer_resets()

    def hear(self) -> bytes:
        data = bytes(self.their.received[self.heard :])
        self.heard += len(data)
        return data

    def region(self, content: bytes) -> int:
        return self.disk.region(content).descriptor

    def settle(self) -> None:
        assert self.their.readiness() & READ

    def put_away(self) -> None:
        pass


@pytest.fixture(params=[RealLine, SimulatedLine])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    one = request.param()
    yield one
    one.put_away()
    if isinstance(one, RealLine) or not one.their.closed:
        one.ours.close()


def test_nothing_has_come_yet(line: Line) -> None:
    assert line.ours.receive(10) is None
    assert not line.ours.peek()


def test_bytes_come_in_their_order_as_many_as_are_asked_for(line: Line) -> None:
    line.say(b"abcdef")
    assert line.ours.receive(4) == b"abcd"
    assert line.ours.receive(4) == b"ef"
    assert line.ours.receive(4) is None


def test_bytes_come_to_where_they_are_wanted(line: Line) -> None:
    space = bytearray(b"......")
    assert line.ours.receive_into(memoryview(space)) is None
    line.say(b"abcde")
    assert line.ours.receive_into(memoryview(space)[1:4]) == 3
    assert line.ours.receive_into(memoryview(space)) == 2
    assert space == b"debc.."
    line.end()
    assert line.ours.receive_into(memoryview(space)) == 0


def test_a_reset_is_told_to_who_receives_into_a_space(line: Line) -> None:
    line.reset()
    with pytest.raises(OSError, match="reset"):
        line.ours.receive_into(memoryview(bytearray(3)))


def test_an_end_comes_after_the_bytes_before_it(line: Line) -> None:
    line.say(b"ab")
    line.end()
    assert line.ours.receive(10) == b"ab"
    assert line.ours.receive(10) == b""
    assert line.ours.receive(10) == b""


def test_peek_sees_an_end_behind_unread_bytes(line: Line) -> None:
    line.say(b"ab")
    assert not line.ours.peek()
    line.end()
    assert line.ours.peek()
    assert line.ours.receive(10) == b"ab"


def test_a_reset_is_told_once_behind_what_came_before_it(line: Line) -> None:
    line.say(b"ab")
    line.reset()
    with pytest.raises(OSError, match="reset"):
        line.ours.peek()
    assert line.ours.receive(10) == b"ab"
    with pytest.raises(OSError, match="reset"):
        line.ours.receive(10)
    assert line.ours.receive(10) == b""
    with pytest.raises(OSError, match="Broken pipe"):
        line.ours.send(b"ab")
    with pytest.raises(OSError, match="reset"):
        line.ours.peek()


@pytest.mark.parametrize("call", ["end", "abort"])
def test_what_was_reset_cannot_be_ended(line: Line, call: str) -> None:
    line.reset()
    with pytest.raises(OSError, match="not connected"):
        getattr(line.ours, call)()


def test_whoever_sends_after_a_reset_is_told(line: Line) -> None:
    line.reset()
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        line.ours.send(b"ab")


def test_what_is_sent_is_heard(line: Line) -> None:
    assert line.ours.send(b"abc") == 3
    assert line.ours.send(memoryview(b"def")) == 3
    heard = line.hear()
    while len(heard) < 6:
        heard += line.hear()
    assert heard == b"abcdef"


def test_a_file_is_sent_from_where_it_is_wanted(line: Line) -> None:
    number = line.region(b"0123456789")
    assert line.ours.send_file(number, 2, 5) == 5
    assert line.hear() == b"23456"


def test_a_file_that_has_ended_says_so(line: Line) -> None:
    number = line.region(b"0123")
    assert line.ours.send_file(number, 2, 9) == 2
    assert line.ours.send_file(number, 4, 7) is None


def test_a_side_that_was_ended_sends_no_more_and_hears_on(line: Line) -> None:
    line.ours.end()
    assert line.hear() == b""
    with pytest.raises(BrokenPipeError):
        line.ours.send(b"ab")
    line.say(b"cd")
    assert line.ours.receive(10) == b"cd"


def test_a_broken_connection_hears_no_more_and_sends_no_more(line: Line) -> None:
    line.ours.abort()
    line.settle()
    assert line.ours.receive(10) == b""
    with pytest.raises(BrokenPipeError):
        line.ours.send(b"ab")
    with pytest.raises(ConnectionResetError):
        line.ours.peek()


def test_a_reader_that_is_full_takes_nothing(line: Line) -> None:
    """The simulated one has as much room as it is told to have."""
    if isinstance(line, SimulatedLine):
        line.their.room = 100_000
    sent = 0
    while taken := line.ours.send(b"x" * PLENTY):
        sent += taken
    assert sent > 0
    assert line.ours.send(b"y") == 0
    number = line.region(b"0123")
    assert line.ours.send_file(number, 0, 4) == 0


def test_a_peer_sees_a_reset_as_a_reset(line: Line) -> None:
    line.ours.reset()
    if isinstance(line, SimulatedLine):
        assert line.their.was_reset
        return
    with pytest.raises(ConnectionResetError):
        line.hear()


@pytest.mark.parametrize("unread", [False, True])
def test_what_is_left_unread_makes_a_close_a_reset(line: Line, unread: bool) -> None:
    if unread:
        line.say(b"ab")
    line.ours.close()
    if isinstance(line, SimulatedLine):
        assert line.their.was_reset is unread
        return
    if not unread:
        assert line.hear() == b""
        return
    with pytest.raises(ConnectionResetError):
        line.hear()


def test_both_ends_have_names(line: Line) -> None:
    for host, port in (line.ours.peer, line.ours.local):
        assert isinstance(host, str)
        assert 0 < port < 65_536


def test_a_listener_takes_what_it_accepts_to_whatever_it_is_told() -> None:
    with bind("127.0.0.1", 0, 1) as listening:
        made: list[object] = []

        def make(connected: socket.socket, name: tuple[str, int]) -> Transport:
            made.append(name)
            return SocketTransport(connected, name)

        listener = Binder(sound_system()).bind(Listener)(listening, make)
        with socket.create_connection(listener.address, timeout=SECONDS_MAX) as theirs:
            transport = listener.accept()
            while transport is None:
                transport = listener.accept()
            transport.close()
            assert made == [theirs.getsockname()]
