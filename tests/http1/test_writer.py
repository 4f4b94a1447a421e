"""The response writer: what it frames, any client reads back; what it cannot frame, it refuses."""

from __future__ import annotations

import http.client
import io
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ContentError
from server.http1.fields import WRITER_OWNED
from server.http1.messages import Field, FileRegion, RequestHead, Response
from server.http1.writer import RENAMED, ResponseWriter
from statemachine import IllegalEvent
from statemachine._generated import ResponseState
from tests.http1.talk import ENGINES_HERE, Bound, bound_to, read
from tests.http1.test_reader import TCHARS

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


class OneResponse:
    """What http.client takes for a socket: the bytes of one response."""

    def __init__(self, wire: bytes) -> None:
        self.wire = wire

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.wire)


def request(line: str = "GET / HTTP/1.1", *lines: str) -> RequestHead:
    wire = "\r\n".join([line, "Host: a", *lines]) + "\r\n\r\n"
    (told,) = read([wire.encode("latin-1")]).requests
    return told.head


def framed(writer: ResponseWriter, response: Response, *, persists: bool = True) -> bytes:
    wire = writer.head_of(response, date=DATE, persists=persists)
    if writer.state is ResponseState.CONTENT:
        assert isinstance(response.content, bytes)
        wire += writer.content(response.content)
        writer.end()
    assert writer.state is ResponseState.COMPLETE
    return wire


def at_once(writer: ResponseWriter, response: Response, *, persists: bool = True) -> bytes:
    assert isinstance(response.content, bytes)
    return writer.message_of(response, response.content, date=DATE, persists=persists)


def parsed(wire: bytes, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    response = http.client.HTTPResponse(OneResponse(wire), method=method)  # type: ignore[arg-type]
    response.begin()
    return response, response.read()


tokens = st.text(TCHARS, min_size=1, max_size=15)
own_names = WRITER_OWNED | {"date", "server"}
names = tokens.filter(lambda name: name.lower() not in own_names)
# NEL and other C1 controls are obs-text to HTTP and line ends to the email parser that
# http.client reads fields with; so only here they are left out.
values = st.text(
    st.characters(
        min_codepoint=0x20,
        max_codepoint=0xFF,
        exclude_characters=[chr(i) for i in range(0x7F, 0xA1)],
    ),
    max_size=30,
).map(lambda value: value.strip(" \t"))
statuses = st.integers(200, 599)


@given(
    status=statuses,
    fields=st.lists(st.tuples(names, values), max_size=6),
    content=st.binary(max_size=100),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    minor=st.sampled_from([0, 1]),
    ends=st.booleans(),
    engine=st.sampled_from(ENGINES_HERE),
)
def test_any_response_reads_back(
    *,
    status: int,
    fields: list[Field],
    content: bytes,
    method: str,
    minor: int,
    ends: bool,
    engine: str,
) -> None:
    if status in {204, 205, 304}:
        content = b""
    lines = ["Content-Length: 0"] if method == "POST" else []
    head = request(f"{method} / HTTP/1.{minor}", *lines, *(["Connection: close"] if ends else []))
    writer = bound_to("stock" if engine == "stock" else "sealed").writer(head)
    wire = framed(writer, Response(status, tuple(fields), content))
    again = bound_to("stock" if engine == "stock" else "sealed").writer(head)
    assert at_once(again, Response(status, tuple(fields), content)) == wire
    for one in writer, again:
        assert one.state is ResponseState.COMPLETE
        assert (one.status, one.size) == (status, 0 if method == "HEAD" else len(content))
    response, came = parsed(wire, method)
    known = {one.value: one.phrase for one in HTTPStatus} | RENAMED
    assert (response.status, response.reason) == (status, known.get(status, ""))
    assert came == (b"" if method == "HEAD" else content)
    added = {"Date", "Server", "Content-Length", "Connection"}
    own = response.getheaders()
    assert [one for one in own if one[0] not in added] == [
        one for one in fields if one[0] not in added
    ]
    assert response.will_close == (not writer.persists) == (ends or minor == 0)
    assert response.getheader("Content-Length") == (
        None if status in {204, 304} else str(len(content))
    )


def test_the_head_of_an_ordinary_response(bound: Bound) -> None:
    response = Response(200, (("Content-Type", "text/plain"),), b"hi")
    assert framed(bound.writer(request()), response) == (
        b"HTTP/1.1 200 OK\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Server: interlock\r\n"
        b"Content-Type: text/plain\r\n"
        b"Content-Length: 2\r\n"
        b"\r\n"
        b"hi"
    )


@pytest.mark.rfc("9110-9.3.2")
def test_head_keeps_the_length_of_get(bound: Bound) -> None:
    writer = bound.writer(request("HEAD / HTTP/1.1"))
    wire = framed(writer, Response(200, (), b"hello"))
    assert b"\r\nContent-Length: 5\r\n" in wire
    assert wire.endswith(b"\r\n\r\n")
    with pytest.raises(IllegalEvent):
        writer.content(b"hello")


@pytest.mark.rfc("9110-8.6")
@pytest.mark.parametrize(("status", "length"), [(204, None), (304, None), (205, "0"), (200, "0")])
def test_length_of_no_content(status: int, length: str | None, bound: Bound) -> None:
    response, content = parsed(framed(bound.writer(request()), Response(status)))
    assert (response.getheader("Content-Length"), content) == (length, b"")


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_content_refuses_it(status: int, bound: Bound) -> None:
    writer = bound.writer(request())
    with pytest.raises(ContentError, match=str(status)):
        writer.head_of(Response(status, (), b"x"), date=DATE, persists=True)
    assert writer.state is ResponseState.PENDING


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 101, 199, 600, 1000])
def test_a_final_status_has_its_range(status: int, bound: Bound) -> None:
    writer = bound.writer(request())
    with pytest.raises(ContentError, match="final"):
        writer.head_of(Response(status), date=DATE, persists=True)


@pytest.mark.rfc("9110-9.3.6")
def test_connect_is_not_answered_with_success(bound: Bound) -> None:
    writer = bound.writer(request("CONNECT a:1 HTTP/1.1"))
    with pytest.raises(ContentError, match="CONNECT"):
        writer.head_of(Response(200), date=DATE, persists=True)
    assert framed(writer, Response(501, (), b"no")).endswith(b"\r\n\r\nno")


@pytest.mark.rfc("9112-11.1")
@pytest.mark.parametrize(
    "field",
    [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\n\nb"),
        ("X", "\0"),
        ("X\r\nY", "a"),
        ("X: a\r\nY", "b"),
        ("X Y", "a"),
        ("", "a"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("CONNECTION", "close"),
        ("Upgrade", "h2c"),
    ],
)
def test_a_field_that_breaks_the_message_is_refused(field: Field, bound: Bound) -> None:
    writer = bound.writer(request())
    with pytest.raises(ContentError):
        writer.head_of(Response(200, (("Ok", "1"), field)), date=DATE, persists=True)
    # Nothing is on the wire yet: the error can still be answered.
    assert framed(writer, Response(500, (), b"sorry")).startswith(b"HTTP/1.1 500 ")


def test_a_handler_may_set_its_own_date_and_server(bound: Bound) -> None:
    fields = (("date", "then"), ("SERVER", "other"))
    wire = framed(bound.writer(request()), Response(200, fields))
    assert wire == b"HTTP/1.1 200 OK\r\ndate: then\r\nSERVER: other\r\nContent-Length: 0\r\n\r\n"


def test_a_server_without_a_name_sends_none(bound: Bound) -> None:
    wire = framed(bound.writer(request(), server_name=""), Response(200))
    assert b"Server" not in wire


def test_an_unknown_status_has_an_empty_phrase(bound: Bound) -> None:
    assert framed(bound.writer(request()), Response(299)).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.rfc("9112-9.3")
@pytest.mark.parametrize(
    ("line", "option", "allowed", "expected"),
    [
        ("GET / HTTP/1.1", None, True, None),
        ("GET / HTTP/1.1", None, False, "close"),
        ("GET / HTTP/1.1", "close", True, "close"),
        ("GET / HTTP/1.0", None, True, "close"),
        ("GET / HTTP/1.0", "keep-alive", True, "keep-alive"),
        ("GET / HTTP/1.0", "keep-alive", False, "close"),
    ],
)
def test_connection_says_what_will_be_done(
    line: str, option: str | None, allowed: bool, expected: str | None, bound: Bound
) -> None:
    head = request(line, *([f"Connection: {option}"] if option else []))
    for response, server_allows in (
        (Response(200), allowed),
        (Response(200, persists=allowed), True),
    ):
        writer = bound.writer(head)
        came, _ = parsed(framed(writer, response, persists=server_allows))
        assert came.getheader("Connection") == expected
        assert writer.persists is (expected != "close")


def test_an_unreadable_request_ends_the_connection(bound: Bound) -> None:
    writer = bound.writer(None)
    wire = framed(writer, Response(400, (), b"what?"))
    assert b"\r\nConnection: close\r\n" in wire
    assert not writer.persists


@pytest.mark.rfc("9110-10.1.1")
def test_interim(bound: Bound) -> None:
    writer = bound.writer(request())
    assert writer.interim() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert writer.interim(103) == b"HTTP/1.1 103 Early Hints\r\n\r\n"
    framed(writer, Response(200))
    with pytest.raises(IllegalEvent):
        writer.interim()


@pytest.mark.rfc("9110-15.2")
@pytest.mark.parametrize("status", [99, 101, 200])
def test_what_is_no_interim_response(status: int, bound: Bound) -> None:
    with pytest.raises(ContentError, match=str(status)):
        bound.writer(request()).interim(status)
    for head in (None, request("GET / HTTP/1.0")):
        with pytest.raises(ContentError, match=r"HTTP/1\.1"):
            bound.writer(head).interim()


def test_the_size_is_what_was_said_or_else_what_has_been_framed(bound: Bound) -> None:
    writer = bound.writer(request())
    assert (writer.status, writer.size) == (0, 0)
    writer.head_of(Response(203, (), b"hello"), date=DATE, persists=True)
    writer.count(3)
    assert (writer.status, writer.size) == (203, 3)
    writer.told_bytes = 5
    assert writer.size == 5


def test_a_file_is_counted_piece_by_piece(bound: Bound) -> None:
    writer = bound.writer(request())
    region = FileRegion(descriptor=-1, offset=0, size=10, close=lambda: None)
    wire = writer.head_of(Response(200, (), region), date=DATE, persists=True)
    assert b"\r\nContent-Length: 10\r\n" in wire
    for size in (4, 0, 6):
        writer.count(size)
    writer.end()
    assert writer.state is ResponseState.COMPLETE


@given(promised=st.integers(1, 20), sizes=st.lists(st.integers(0, 8), max_size=8))
def test_the_writer_holds_the_content_to_its_word(promised: int, sizes: list[int]) -> None:
    writer = bound_to("sealed").writer(request())
    writer.head_of(Response(200, (), b"x" * promised), date=DATE, persists=True)
    sent = 0
    for size in sizes:
        if sent + size > promised:
            with pytest.raises(ContentError, match=f"over the {promised} bytes"):
                writer.content(b"x" * size)
            assert writer.state is ResponseState.BROKEN
            return
        assert writer.content(b"x" * size) == b"x" * size
        sent += size
    if sent < promised:
        with pytest.raises(ContentError, match=f"{sent} bytes, {promised} were promised"):
            writer.end()
        assert writer.state is ResponseState.BROKEN
    else:
        writer.end()
        assert writer.state is ResponseState.COMPLETE


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
        (599, ""),
    ],
)
def test_reason_phrases_are_those_of_rfc_9110_on_every_python(status: int, phrase: str) -> None:
    wire = framed(bound_to("sealed").writer(request("GET / HTTP/1.1")), Response(status, (), b""))
    assert wire.startswith(f"HTTP/1.1 {status} {phrase}\r\n".encode())
