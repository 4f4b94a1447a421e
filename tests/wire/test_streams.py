"""Content that is made while it is sent, and content that is larger than the memory for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from server.http1.messages import Request, Response, Stream
from tests.clock import ManualClock
from tests.wire.client import Client
from tests.wire.conftest import Serve, Served

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET %s HTTP/1.0\r\n\r\n"


class Making:
    """A handler whose streams count how often they were closed."""

    def __init__(self, make: Callable[[], Iterator[bytes]], size: int | None = None) -> None:
        self.make = make
        self.size = size
        self.closed = threading.Semaphore(0)

    def __call__(self, request: Request) -> Response:
        if request.head.path == "/plain":
            return Response(200, content=b"plain")
        return Response(200, content=Stream(self.make(), self.size, self.closed.release))

    def assert_closed_once(self) -> None:
        assert self.closed.acquire(timeout=30)
        assert not self.closed.acquire(blocking=False)


def three() -> Iterator[bytes]:
    yield b"one "
    yield b""
    yield b"two "
    yield b"three"


def slow_reader(served: Served) -> Client:
    client = Client(served.server.address, receive_buffer_bytes=4096)
    served.clients.append(client)
    return client


@pytest.mark.rfc("9112-7.1")
def test_content_of_unknown_size_is_chunked(serve: Serve) -> None:
    making = Making(three)
    client = serve(making).send(GET % b"/" + GET % b"/plain")
    head, _, rest = read_until(client, b"plain").partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert rest.startswith(b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")
    making.assert_closed_once()


@pytest.mark.rfc("9112-6.3")
def test_an_old_client_reads_to_the_end_of_the_connection(serve: Serve) -> None:
    making = Making(three)
    data = serve(making).send(OLD % b"/").rest()
    head, _, content = data.partition(b"\r\n\r\n")
    assert content == b"one two three"
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    making.assert_closed_once()


def test_a_cut_is_a_reset_where_an_end_would_look_like_the_contents(serve: Serve) -> None:
    """HTTP/1.0 has nothing but the end of the connection to say where content ends."""

    def two_of_three() -> Iterator[bytes]:
        yield b"one "
        yield b"two "
        raise ValueError("enough")

    making = Making(two_of_three)
    served = serve(making)
    client = served.send(OLD % b"/")
    with pytest.raises(ConnectionResetError):
        client.rest()
    making.assert_closed_once()
    assert served.taken("C14") == 1


def test_content_of_known_size_is_not_chunked(serve: Serve) -> None:
    making = Making(three, 13)
    client = serve(making).client()
    for _ in range(2):
        client.send(GET % b"/")
        assert client.reply().content == b"one two three"
        making.assert_closed_once()


@pytest.mark.parametrize("size", [12, 14])
def test_a_broken_promise_cuts_the_connection(serve: Serve, size: int) -> None:
    making = Making(three, size)
    data = serve(making).send(GET % b"/" + GET % b"/plain").rest()
    assert b"plain" not in data
    assert data.count(b"HTTP/1.1") <= 1
    making.assert_closed_once()


def test_a_failing_stream_cuts_the_connection(serve: Serve) -> None:
    def failing() -> Iterator[bytes]:
        yield b"some"
        raise SystemExit("enough")

    making = Making(failing)
    data = serve(making).send(GET % b"/" + GET % b"/plain").rest()
    assert data.endswith(b"4\r\nsome\r\n")
    making.assert_closed_once()


def test_head_makes_nothing(serve: Serve) -> None:
    making = Making(three)
    client = serve(making).send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % b"/plain")
    assert client.reply(to="HEAD").fields["transfer-encoding"] == "chunked"
    assert client.reply().content == b"plain"
    making.assert_closed_once()


def test_pieces_are_sent_as_they_are_made(serve: Serve) -> None:
    gate = threading.Semaphore(0)

    def held() -> Iterator[bytes]:
        for number in range(3):
            yield b"%d;" % number
            assert gate.acquire(timeout=30)

    client = serve(Making(held, 6)).send(GET % b"/")
    for number in range(3):
        assert read_until(client, b"%d;" % number)
        gate.release()


@pytest.mark.parametrize("memory", [1, 10_000_000])
def test_a_slow_reader_holds_no_worker(serve: Serve, memory: int) -> None:
    """The worker has made all of it, and serves others, while the peer has read next to nothing."""
    piece = bytes(range(256)) * 256
    making = Making(lambda: (piece for _ in range(120)), 120 * len(piece))
    served = serve(making, threads=1, relay_memory_bytes_max=memory)
    client = slow_reader(served)
    client.send(GET % b"/" + GET % b"/plain")
    making.assert_closed_once()
    assert served.send(GET % b"/plain").reply().content == b"plain"
    assert served.taken("C26") == 1
    assert client.reply().content == piece * 120
    assert client.reply().content == b"plain"
    served.until_taken("C27")
    assert served.taken("E4") == 1


def test_a_full_pipe_holds_the_worker_and_goes_on(serve: Serve) -> None:
    piece = b"x" * 65_536
    making = Making(lambda: (piece for _ in range(200)), 200 * len(piece))
    served = serve(making, relay_memory_bytes_max=65_536, relay_file_bytes_max=100_000)
    client = slow_reader(served)
    client.send(GET % b"/")
    assert client.reply().content == piece * 200
    making.assert_closed_once()


def test_a_peer_that_goes_ends_the_making(serve: Serve) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    making = Making(endless)
    served = serve(making, threads=1, relay_memory_bytes_max=1, relay_file_bytes_max=1_000_000)
    client = slow_reader(served)
    client.send(GET % b"/")
    served.until_taken("C26")
    client.reset()
    making.assert_closed_once()
    assert served.taken("C30") == 1
    assert served.send(GET % b"/plain").reply().content == b"plain"


def test_a_stream_that_fails_while_it_is_relayed_is_cut(serve: Serve) -> None:
    reached = threading.Semaphore(0)

    def failing() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536
        reached.release()
        raise ValueError("enough")

    making = Making(failing, 200 * 65_536)
    served = serve(making)
    client = slow_reader(served)
    client.send(GET % b"/")
    assert reached.acquire(timeout=30)
    assert client.rest().count(b"x") == 100 * 65_536
    served.until_taken("C28")
    making.assert_closed_once()


def test_a_reader_that_stops_reading_a_stream_is_cut(serve: Serve) -> None:
    """The deadline runs while bytes wait for the peer, and not while the peer waits for bytes."""
    gate = threading.Semaphore(0)

    def bursts() -> Iterator[bytes]:
        for _ in range(2):
            for _ in range(100):
                yield b"x" * 65_536
            assert gate.acquire(timeout=30)

    making = Making(bursts, 200 * 65_536)
    served = serve(making, clock=ManualClock(), write_seconds_max=60)
    client = slow_reader(served)
    client.send(GET % b"/")
    served.until_taken("C26")
    assert len(client._exactly(100 * 65_536)) == 100 * 65_536
    served.nudge()
    served.advance(1000)  # the handler may take its time
    gate.release()
    gate.release()
    making.assert_closed_once()
    # What the kernel has taken for it counts as read, and buys it time once: when that is seen
    # depends on the machine.
    for _ in range(4):
        served.nudge()
        served.advance(61)
    served.until_taken("C29")
    assert client.rest().count(b"x") < 100 * 65_536


def test_a_forced_stop_cuts_a_stream(serve: Serve) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    making = Making(endless)
    served = serve(making, relay_memory_bytes_max=1, relay_file_bytes_max=1_000_000)
    client = slow_reader(served)
    client.send(GET % b"/")
    served.until_taken("C26")
    served.server.request_stop()
    served.nudge()
    served.server.request_stop()
    assert served.wait() == 1
    assert served.taken("C31") == 1
    making.assert_closed_once()


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_content_reaches_the_handler_whole(serve: Serve, size: int) -> None:
    seen: list[object] = []

    def handler(request: Request) -> Response:
        content = request.content
        seen.append(content)
        return Response(200, content=content if isinstance(content, bytes) else content.read())

    served = serve(handler, body_memory_bytes_max=1000)
    client = served.client()
    content = bytes(range(256)) * (size // 256 + 1)
    for _ in range(2):
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content))
        client.send(content)
        assert client.reply().content == content
    served.until_taken("W7", 2)
    assert all(isinstance(one, bytes) or getattr(one, "closed") for one in seen)  # noqa: B009


def read_until(client: Client, mark: bytes) -> bytes:
    """Everything up to and with `mark`."""
    return client._until(mark) + mark
