"""Limits at their very edge, and parts that others hide: what is one too many, and what is not."""

from __future__ import annotations

import dataclasses

import pytest

from server.errors import ContentError, ProtocolError
from server.http1.buffer import Buffer
from server.http1.head import head_of_start
from server.http1.messages import Response
from server.http1.reader import EMPTY_LINES_MAX
from server.http1.target import target_of
from tests.http1.talk import SMALL, Bound, bound_to, read
from tests.http1.test_writer import DATE, request


@pytest.fixture(params=["sealed", "stock"])
def bound(request: pytest.FixtureRequest) -> Bound:
    return bound_to(request.param)


def test_a_head_that_has_not_come_is_none() -> None:
    buffer = Buffer()
    assert buffer.unsearched_head() is None
    buffer.append(b"GET / HTTP/1.1\r\nHost: a\r\n")
    assert buffer.unsearched_head() is None
    buffer.append(b"\r\nbody")
    assert buffer.unsearched_head() == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert buffer.first(4) == b"GET "


def test_the_bytes_that_were_searched_are_counted() -> None:
    buffer = Buffer()
    buffer.append(b"abc")
    assert buffer.take_line(100) is None
    assert buffer.searched_bytes == 3
    buffer.append(b"d\nrest")
    assert buffer.take_line(100) == b"abcd"
    assert buffer.searched_bytes == 5


def test_an_empty_line_before_a_request_is_passed_over() -> None:
    (told,) = read([b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"]).requests
    assert told.whole


@pytest.mark.parametrize(
    ("lines", "passes"), [(EMPTY_LINES_MAX, True), (EMPTY_LINES_MAX + 1, False)]
)
def test_so_many_empty_lines_and_no_more(lines: int, passes: bool) -> None:
    story = read([b"\r\n" * lines + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert bool(story.requests) is passes
    assert story.status == (None if passes else 400)


def test_a_request_line_that_has_not_ended_is_judged_by_its_own_limit() -> None:
    config = dataclasses.replace(SMALL, field_line_bytes_max=64)
    pieces = [b"GET /" + b"a" * 100, b" HTTP/1.1\r\nHost: a\r\n\r\n"]
    assert read(pieces, config=config).requests[0].whole


def test_what_has_left_the_buffer_is_searched_no_more() -> None:
    buffer = Buffer()
    buffer.append(b"abc")
    assert buffer.take_line(100) is None
    assert buffer.take(2) == b"ab"
    buffer.append(b"\n")
    assert buffer.take_line(100) == b"c"


@pytest.mark.parametrize(("digit", "minor"), [("0", 0), ("1", 1), ("2", 1), ("9", 1)])
def test_a_start_says_no_minor_version_beyond_ours(digit: str, minor: int) -> None:
    head = head_of_start(f"GET /a HTTP/1.{digit}\r\n")
    assert head is not None
    assert (head.method, head.target, head.minor) == ("GET", "/a", minor)


def test_a_start_that_has_not_ended_passes_for_ours() -> None:
    head = head_of_start("GET /a")
    assert head is not None
    assert head.minor == 1


@pytest.mark.parametrize("target", [":443", "a", "a:", ":"])
def test_there_is_nothing_to_connect_to_without_a_host_and_a_port(target: str) -> None:
    story = read([f"CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()])
    assert story.status == 400
    with pytest.raises(ProtocolError, match="target of CONNECT is not host:port"):
        target_of("CONNECT", target)


@pytest.mark.parametrize(
    ("version", "field", "expects"),
    [
        ("1.1", "Content-Length: 1", True),
        ("1.1", "Transfer-Encoding: chunked", True),
        ("1.1", "Content-Length: 0", False),
        ("1.1", "Accept: */*", False),
        ("1.0", "Content-Length: 1", False),
    ],
)
def test_nobody_waits_to_send_nothing(version: str, field: str, expects: bool) -> None:
    head = f"POST / HTTP/{version}\r\nHost: a\r\n{field}\r\nExpect: 100-continue\r\n\r\n"
    (told,) = read([head.encode()]).requests
    assert told.head.expects_continue is expects


def test_chunk_extensions_may_have_as_many_bytes_together_as_a_head() -> None:
    def told(extension_bytes: int) -> list[int]:
        """The statuses that the reader refuses with, for so many bytes of extensions."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks, left = b"", extension_bytes
        while left:
            size = 32 + left % 32
            chunks += b"1;" + b"x" * (size - 1) + b"\r\na\r\n"
            left -= size
        story = read([head + chunks + b"0\r\n\r\n"])
        return [story.status] if story.status else []

    assert SMALL.head_bytes_max == 1024
    assert told(1024) == []
    assert told(1025) == [400]


@pytest.mark.parametrize(("status", "is_said"), [(204, False), (304, False), (205, True)])
def test_who_has_no_content_and_says_so(bound: Bound, status: int, is_said: bool) -> None:
    writer = bound.writer(request())
    wire = writer.head_of(Response(status, content=b""), date=DATE, persists=True)
    assert (b"Content-Length: 0\r\n" in wire) is is_said


@pytest.mark.parametrize("status", [305, 303, 206])
def test_every_other_status_has_its_length(bound: Bound, status: int) -> None:
    wire = bound.writer(request()).head_of(Response(status, content=b"x"), date=DATE, persists=True)
    assert b"Content-Length: 1\r\n" in wire


def test_connect_may_be_answered_with_anything_but_success(bound: Bound) -> None:
    head = request("CONNECT a:443 HTTP/1.1")
    with pytest.raises(ContentError, match="CONNECT cannot be answered with success"):
        bound.writer(head).head_of(Response(299, content=b""), date=DATE, persists=True)
    wire = bound.writer(head).head_of(Response(300, content=b""), date=DATE, persists=True)
    assert wire.startswith(b"HTTP/1.1 300 ")
