"""WSGI applications on real sockets: what the standard library's validator and clients make of us.

Each server's whole trace is held against the spec at the end, as in all tests of this folder.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes
from wsgiref.simple_server import demo_app
from wsgiref.validate import validator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.app.wsgi import wsgi
from tests.wire.client import PATIENCE_SECONDS, Client
from tests.wire.conftest import Serve

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = [("Content-Type", "text/plain")]


# --- the validator, under made-up requests -----------------------------------------------------


def mirror(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    """Answers with what it was told, in the way that the request asks for."""
    stream = environ["wsgi.input"]
    lines = [stream.readline(7), stream.readline(), *stream]
    environ["wsgi.errors"].flush()
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    told = texts | {"content": b"".join(lines).decode("latin-1")}
    text = json.dumps(told).encode()
    way, headers = environ.get("HTTP_X_WAY"), [("Content-Type", "application/json")]
    if environ["REQUEST_METHOD"] == "HEAD":
        start("200 OK", [*headers, ("Content-Length", str(len(text)))])
        return []
    if way == "none":
        start("204 No Content", [])
        return []
    if way == "write":
        start("200 OK", headers)(text[:5])
        return [text[5:]]
    if way == "sized":
        start("200 OK", [*headers, ("Content-Length", str(len(text)))])
        return iter([text[:3], b"", text[3:]])
    start("200 OK", headers)
    return [text] if way == "list" else iter([b"", text[:9], text[9:]])


WAYS = ("list", "sized", "stream", "write", "none")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
HEADER_NAMES = st.sampled_from(["Accept", "accept", "X-One", "X_One", "Cookie", "Content-Type"])


def framed(content: bytes, how: str, minor: int) -> bytes:
    """The fields that announce the content, the empty line, and the content."""
    if how == "chunked" and minor == 1:
        half = len(content) // 2
        pieces = [piece for piece in (content[:half], content[half:]) if piece]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return b"Content-Length: %d\r\n\r\n%b" % (len(content), content)


def expected(lines: list[tuple[str, str]]) -> dict[str, str]:
    """The environ's texts that these field lines become, by PEP 3333 and our own two rules."""
    texts: dict[str, str] = {}
    for name, value in lines:
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else "HTTP_" + key
        joint = "; " if key == "HTTP_COOKIE" else ", "
        texts[key] = texts[key] + joint + value if key in texts else value
    return texts


def ask(connection: socket.socket, data: bytes, method: str) -> HTTPResponse:
    connection.sendall(data)
    response = HTTPResponse(connection, method=method)
    response.begin()
    return response


def test_the_validator_finds_nothing_whatever_is_asked(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(wsgi(validator(mirror)), body_memory_bytes_max=10)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        method=st.sampled_from(METHODS),
        path=st.binary(max_size=20),
        query=VISIBLE.map(lambda text: text.replace("#", "").replace("%", "").replace('"', "")),
        lines=st.lists(st.tuples(HEADER_NAMES, VISIBLE), max_size=4),
        content=st.binary(max_size=40) | st.just(b"line\n" * 5),
        how=st.sampled_from(["length", "chunked"]),
        way=st.sampled_from(WAYS),
        minor=st.sampled_from([0, 1]),
    )
    def holds(
        *,
        method: str,
        path: bytes,
        query: str,
        lines: list[tuple[str, str]],
        content: bytes,
        how: str,
        way: str,
        minor: int,
    ) -> None:
        query = quote_from_bytes(query.encode(), safe="&=+")
        target = f"/{quote_from_bytes(path)}?{query}"
        fields = [("Host", "shop"), ("X-Way", way), *lines]
        head = f"{method} {target} HTTP/1.{minor}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields)
        with socket.create_connection(served.server.address, PATIENCE_SECONDS) as connection:
            data = head.encode("latin-1") + framed(content, how, minor)
            for _ in range(1 + minor):  # HTTP/1.1: and once more, on the same connection
                response = ask(connection, data, method)
                text = response.read()
                assert (response.status, caplog.text) == (
                    204 if way == "none" and method != "HEAD" else 200,
                    "",
                )
                if method == "HEAD" or way == "none":
                    assert text == b""
                    continue
                told = json.loads(text)
                assert {key: told.get(key) for key in expected(fields)} == expected(fields)
                assert told["PATH_INFO"].encode("latin-1") == b"/" + path
                assert (told["REQUEST_METHOD"], told["QUERY_STRING"]) == (method, query)
                assert (told["SERVER_PROTOCOL"], told["REQUEST_URI"]) == (f"HTTP/1.{minor}", target)
                assert told["content"].encode("latin-1") == content
                assert told["CONTENT_LENGTH"] == str(len(content))
                assert told["REMOTE_PORT"] == str(connection.getsockname()[1])

    holds()


def test_the_standard_library_s_own_demo(serve: Serve) -> None:
    served = serve(wsgi(validator(demo_app)))
    with socket.create_connection(served.server.address, PATIENCE_SECONDS) as connection:
        text = ask(connection, GET % b"/x?y=z", "GET").read()
    assert text.startswith(b"Hello world!\n")
    assert b"\nPATH_INFO = '/x'\n" in text
    assert b"\nQUERY_STRING = 'y=z'\n" in text


# --- close(), once -----------------------------------------------------------------------------


class Counting:
    """An application whose iterables count how often they are closed."""

    def __init__(self, size: int | None = None, pieces: int = 3, piece: bytes = b"abc") -> None:
        self.headers = PLAIN + ([("Content-Length", str(size))] if size is not None else [])
        self.pieces = pieces
        self.piece = piece
        self.closed = threading.Semaphore(0)
        self.threads: list[str] = []
        self.fails = False

    def __call__(self, environ: dict[str, Any], start: Any) -> Counting:
        start("200 OK", self.headers)
        return self

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.pieces):
            yield self.piece
        if self.fails:
            raise ValueError("no more")

    def close(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.closed.release()

    def assert_closed_once(self) -> None:
        assert self.closed.acquire(timeout=PATIENCE_SECONDS)
        assert not self.closed.acquire(blocking=False)
        assert self.threads.pop().startswith("worker_")  # the application's own


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("size", [None, 9])
def test_close_is_called_once_for_each_response(
    serve: Serve, method: str, size: int | None
) -> None:
    application = Counting(size)
    served = serve(wsgi(application))
    with socket.create_connection(served.server.address, PATIENCE_SECONDS) as connection:
        for _ in range(3):
            response = ask(connection, f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode(), method)
            assert response.read() == (b"abc" * 3 if method == "GET" else b"")
            length = response.getheader("content-length")
            assert length == (None if size is None else "9")
            application.assert_closed_once()


@pytest.mark.parametrize("size", [None, 10**9])
def test_close_is_called_when_the_client_goes(serve: Serve, size: int | None) -> None:
    application = Counting(size, pieces=10_000, piece=b"x" * 100_000)
    served = serve(wsgi(application), relay_file_bytes_max=1_000_000)
    client = Client(served.server.address, receive_buffer_bytes=4096)
    client.send(GET % b"/")
    client.reset()
    application.assert_closed_once()


def test_close_is_called_when_the_content_fails(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    application = Counting()
    application.fails = True
    data = serve(wsgi(application)).send(GET % b"/" + GET % b"/next").rest()
    assert data.endswith(b"3\r\nabc\r\n" * 3)  # no last chunk: the client knows that it was cut
    application.assert_closed_once()
    assert "ValueError: no more" in caplog.text


@pytest.mark.parametrize("size", [8, 10])
def test_a_length_that_is_not_kept_cuts_the_connection(
    serve: Serve, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    application = Counting(size)
    served = serve(wsgi(application))
    with socket.create_connection(served.server.address, PATIENCE_SECONDS) as connection:
        response = ask(connection, GET % b"/" + GET % b"/next", "GET")
        with pytest.raises(IncompleteRead):
            response.read()
    application.assert_closed_once()
    assert "the response was cut" in caplog.text


def test_an_application_that_fails_is_a_page(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit(3)
        start("200 OK", PLAIN)
        return [b"fine"]

    client = serve(wsgi(application), threads=1).client()
    for _ in range(3):
        client.send(GET % b"/exit")
        assert client.reply().status == 500
        client.send(GET % b"/")  # the worker lives, and the connection persists
        assert client.reply().content == b"fine"
    assert caplog.text.count("the application failed: GET /exit") == 3


def test_a_field_that_the_writer_refuses_is_a_page(serve: Serve) -> None:
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [*PLAIN, ("X", "a\r\nSet-Cookie: b")])
        return [b"never"]

    reply = serve(wsgi(application)).send(GET % b"/").reply()
    assert reply.status == 500
    assert "set-cookie" not in reply.fields


# --- streaming ---------------------------------------------------------------------------------


def test_a_piece_arrives_before_the_next_is_made(serve: Serve) -> None:
    arrived = threading.Semaphore(0)

    def application(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", PLAIN)
        for number in range(3):
            yield b"%d" % number
            assert arrived.acquire(timeout=PATIENCE_SECONDS)

    served = serve(wsgi(application))
    with socket.create_connection(served.server.address, PATIENCE_SECONDS) as connection:
        response = ask(connection, GET % b"/", "GET")
        assert response.getheader("transfer-encoding") == "chunked"
        for number in range(3):
            assert response.read(1) == b"%d" % number
            arrived.release()
        assert response.read() == b""


def test_an_old_client_reads_to_the_end(serve: Serve) -> None:
    data = serve(wsgi(Counting())).send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").rest()
    head, _, content = data.partition(b"\r\n\r\n")
    assert (content, b"chunked" in head, b"Connection: close" in head) == (
        b"abcabcabc",
        False,
        True,
    )


# --- files and large content -------------------------------------------------------------------


@pytest.mark.parametrize("declared", [None, 3_000_000])
def test_a_large_file_goes_to_a_slow_reader(
    serve: Serve, tmp_path: Path, declared: int | None
) -> None:
    text = bytes(range(256)) * 20_000
    path = tmp_path / "large"
    path.write_bytes(text)

    def application(environ: dict[str, Any], start: Any) -> Any:
        size = [] if declared is None else [("Content-Length", str(declared))]
        start("200 OK", PLAIN + size)
        file = path.open("rb")
        file.read(100)
        return environ["wsgi.file_wrapper"](file)

    served = serve(wsgi(application), threads=1)
    slow = Client(served.server.address, receive_buffer_bytes=4096)
    served.clients.append(slow)
    for _ in range(2):
        slow.send(GET % b"/")
    other = served.send(GET % b"/")  # no worker waits for the slow one
    wanted = text[100:] if declared is None else text[100 : 100 + declared]
    assert other.reply().content == wanted
    assert [slow.reply().content for _ in range(2)] == [wanted, wanted]


def test_large_content_is_read_from_a_file(serve: Serve) -> None:
    content = b"0123456789abcde\n" * 20_000

    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        first, rest = stream.readline(), stream.read(1000)
        lines = sum(1 for _ in stream)
        start("200 OK", PLAIN)
        return [first, b"%d %d %s" % (len(rest), lines, environ["CONTENT_LENGTH"].encode())]

    client = serve(wsgi(application), body_memory_bytes_max=1000).client()
    chunk = b"%x\r\n%b\r\n" % (len(content), content)
    for framing in (
        b"Content-Length: %d\r\n\r\n%b" % (len(content), content),
        b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n",
    ):
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        assert client.reply().content == b"0123456789abcde\n1000 19937 320000"


def test_content_that_nobody_reads_harms_nobody(serve: Serve) -> None:
    client = serve(wsgi(Counting(9)), body_memory_bytes_max=10).client()
    for _ in range(2):
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n" + b"x" * 30)
        assert client.reply().content == b"abcabcabc"


def test_applications_run_on_many_threads_at_once(serve: Serve) -> None:
    together = threading.Barrier(4, timeout=PATIENCE_SECONDS)

    def application(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        together.wait()
        start("200 OK", [*PLAIN, ("Content-Length", "2")])
        together.wait()
        yield environ["PATH_INFO"].encode()

    served = serve(wsgi(application), threads=4)
    clients = [served.send(GET % b"/%d" % number) for number in range(4)]
    assert [client.reply().content for client in clients] == [b"/0", b"/1", b"/2", b"/3"]
