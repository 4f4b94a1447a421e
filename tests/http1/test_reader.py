"""The request reader's own promises: when it tells what, what it keeps, and how much it works."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.config import Config
from server.errors import ProtocolError
from server.http1.buffer import Buffer
from server.http1.events import (
    END_OF_REQUEST,
    ENDED_BETWEEN,
    ENDED_WITHIN,
    NEED_DATA,
    ContentPiece,
)
from server.http1.messages import Fields, RequestHead
from server.http1.reader import RequestReader
from statemachine import IllegalEvent
from statemachine._generated import RequestState
from tests.http1.talk import ENGINES_HERE, SMALL, Bound, bound_to, read, split_at

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

TCHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# --- when it tells what ---------------------------------------------------------------------


def test_a_whole_get_is_told_at_once(bound: Bound) -> None:
    reader = bound.make_reader()
    assert reader.next_event() is NEED_DATA
    reader.receive(GET)
    head = reader.next_event()
    assert isinstance(head, RequestHead)
    assert reader.head is head
    assert reader.next_event() is END_OF_REQUEST
    assert reader.state is RequestState.COMPLETE
    assert not reader.has_leftover


def test_the_end_is_told_until_renewed(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(GET + b"GET /2")
    reader.next_event()
    assert [reader.next_event() for _ in range(3)] == [END_OF_REQUEST] * 3
    assert reader.buffered == len(b"GET /2")
    reader.renew()
    assert reader.head is None
    assert reader.next_event() is NEED_DATA
    assert reader.state is RequestState.HEAD
    reader.receive(b" HTTP/1.1\r\nHost: b\r\n\r\n")
    head = reader.next_event()
    assert isinstance(head, RequestHead)
    assert (head.target, head.authority) == ("/2", "b")


def test_a_request_that_is_not_whole_cannot_be_renewed(bound: Bound) -> None:
    reader = bound.make_reader()
    for piece in (b"", b"GET /", b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"):
        if piece:
            reader.receive(piece)
            reader.next_event()
        with pytest.raises(IllegalEvent):
            reader.renew()
    reader.receive(b"x")
    assert reader.next_event() == ContentPiece(b"x")
    reader.renew()


def test_content_is_told_as_it_comes(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(POST + b"he")
    assert isinstance(reader.next_event(), RequestHead)
    assert reader.next_event() == ContentPiece(b"he")
    assert reader.next_event() is NEED_DATA
    reader.receive(b"lloGET")
    assert reader.next_event() == ContentPiece(b"llo")
    assert reader.next_event() is END_OF_REQUEST
    assert reader.buffered == 3


def test_content_may_pass_the_reader_by(bound: Bound) -> None:
    reader = bound.make_reader()
    assert reader.awaited_bytes == 0
    reader.receive(POST + b"h")
    assert reader.awaited_bytes == 0
    assert isinstance(reader.next_event(), RequestHead)
    assert reader.awaited_bytes == 0  # what has come of it comes first
    assert reader.next_event() == ContentPiece(b"h")
    assert reader.awaited_bytes == 4
    for much in (5, 100):
        with pytest.raises(ValueError, match="4 were awaited"):
            reader.pass_by(much)
    reader.pass_by(3)
    assert (reader.awaited_bytes, reader.next_event()) == (1, NEED_DATA)
    reader.pass_by(1)
    assert (reader.awaited_bytes, reader.next_event()) == (0, END_OF_REQUEST)
    with pytest.raises(ValueError, match="0 were awaited"):
        reader.pass_by(1)
    reader.receive(GET)
    reader.renew()
    assert isinstance(reader.next_event(), RequestHead)


def test_nothing_passes_the_reader_by_behind_the_peers_end(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(POST)
    reader.next_event()
    reader.receive(b"")
    assert reader.awaited_bytes == 0
    assert reader.next_event() == ENDED_WITHIN


def test_chunks_do_not_pass_the_reader_by(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(CHUNKED + b"5\r\nhe")
    assert isinstance(reader.next_event(), RequestHead)
    assert reader.next_event() == ContentPiece(b"he")
    assert (reader.next_event(), reader.awaited_bytes) == (NEED_DATA, 0)


def test_chunk_data_is_told_as_it_comes(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(CHUNKED + b"5\r\nhe")
    assert isinstance(reader.next_event(), RequestHead)
    assert reader.next_event() == ContentPiece(b"he")
    reader.receive(b"llo\r\n0\r\nSum: 1\r\n")
    assert reader.next_event() == ContentPiece(b"llo")
    assert reader.next_event() is NEED_DATA
    assert reader.trailers == Fields()
    reader.receive(b"\r\n")
    assert reader.next_event() is END_OF_REQUEST
    assert reader.trailers == Fields((("Sum", "1"),))
    reader.renew()
    assert reader.trailers == Fields()


@pytest.mark.rfc("9110-15.5.14")
def test_413_comes_before_the_content(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n")
    with pytest.raises(ProtocolError) as caught:
        reader.next_event()
    assert caught.value.status == 413


def test_a_refusal_is_told_again_and_drops_what_comes(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(b"\0" + GET)
    with pytest.raises(ProtocolError) as first:
        reader.next_event()
    assert (reader.state, reader.buffered) == (RequestState.REFUSED, 0)
    reader.receive(GET)
    with pytest.raises(ProtocolError) as second:
        reader.next_event()
    assert second.value is first.value
    assert reader.buffered == 0


@pytest.mark.rfc("9110-9.3.2")
@pytest.mark.parametrize(
    ("wire", "known"),
    [
        (b"HEAD /p HTTP/1.1\r\n\r\n", ("HEAD", "/p", 1)),  # no Host: refused by what its head says
        (b"HEAD /p HTTP/1.0\r\nbad line\r\n\r\n", ("HEAD", "/p", 0)),
        (b"HEAD /p%zz HTTP/1.1\r\n\r\n", ("HEAD", "/p%zz", 1)),
        (b"HEAD /p HTTP/1.9\r\nX: " + b"a" * 300, ("HEAD", "/p", 1)),
        (b"HEAD /" + b"p" * 300, ("HEAD", "/" + "p" * 251, 1)),  # 414, as far as it was read
        (b"HEAD /" + b"p" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n", ("HEAD", "/" + "p" * 251, 1)),
        (b"HEAD  /p HTTP/1.1\r\n", None),
        (b"HEAD /p HTTP/2.0\r\n", None),
        (b"HEAD /p HTTP/1.1\nHost: a\r\n\r\n", None),
        (b"GET\nHEAD /p HTTP/1.1\r\nHost: a\r\n\r\n", None),
        (b"\x16\x03\x01", None),
    ],
)
def test_a_refused_request_keeps_what_its_request_line_says(
    wire: bytes, known: tuple[str, str, int] | None, bound: Bound
) -> None:
    for pieces in ([wire], split_at(wire, range(1, len(wire)))):
        reader = bound.make_reader()
        with pytest.raises(ProtocolError):
            drink(reader, pieces)
        assert told_so_far(reader) == known
        reader.receive(b"GET /other HTTP/1.1\r\n")
        assert told_so_far(reader) == known


def drink(reader: RequestReader, pieces: list[bytes]) -> None:
    for piece in pieces:
        reader.receive(piece)
        while reader.next_event() is not NEED_DATA:
            pass


def told_so_far(reader: RequestReader) -> tuple[str, str, int] | None:
    head = reader.head_so_far()
    if head is None:
        return None
    assert not head.persists
    assert not head.fields
    return head.method, head.target, head.minor


@pytest.mark.rfc("9110-9.3.2")
def test_a_head_under_way_tells_what_has_come_of_it(bound: Bound) -> None:
    """For the 408 that may come at any moment."""
    reader = bound.make_reader()
    known = []
    for byte in b"HEAD /p HTTP/1.0\r\nX: y":
        reader.receive(bytes([byte]))
        assert reader.next_event() is NEED_DATA
        known.append(told_so_far(reader))
    assert known == [
        *[None] * 5,
        ("HEAD", "/", 1),
        *[("HEAD", "/p", 1)] * 11,
        *[("HEAD", "/p", 0)] * 5,
    ]
    reader.receive(b"\r\n\r\n")
    assert isinstance(reader.next_event(), RequestHead)
    assert reader.head_so_far() is reader.head


@pytest.mark.rfc("9112-8")
@pytest.mark.parametrize("begun", [b"G", GET[:-2], POST, POST + b"hell", CHUNKED, CHUNKED + b"1"])
def test_the_peer_ends_within_a_request(begun: bytes, bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(begun)
    reader.receive(b"")
    while (event := reader.next_event()) is not ENDED_WITHIN:
        assert isinstance(event, RequestHead | ContentPiece)
    assert reader.next_event() is ENDED_WITHIN
    assert reader.state is RequestState.INCOMPLETE


def test_the_peer_ends_after_a_request(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(GET)
    reader.receive(b"")
    reader.next_event()
    assert reader.next_event() is END_OF_REQUEST
    reader.renew()
    assert reader.next_event() is ENDED_BETWEEN
    assert reader.next_event() is ENDED_BETWEEN


def test_nothing_comes_after_the_peers_end(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(b"")
    with pytest.raises(ValueError, match="after the peer's end"):
        reader.receive(b"x")


@pytest.mark.rfc("9112-2.2")
def test_an_empty_line_does_not_begin_a_request(bound: Bound) -> None:
    reader = bound.make_reader()
    reader.receive(b"\r\n")
    assert reader.next_event() is NEED_DATA
    assert reader.state is RequestState.AWAITED
    reader.receive(GET)
    assert isinstance(reader.next_event(), RequestHead)


# --- what survives --------------------------------------------------------------------------

tokens = st.text(TCHARS, min_size=1, max_size=20)
paths = st.text("/" + TCHARS.replace("%", "").replace("#", "").replace("`", ""), max_size=40)
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40
).map(lambda value: value.strip(" \t"))
framing_names = {
    *("host", "content-length", "transfer-encoding", "connection", "expect"),
}
field_lines = st.lists(
    st.tuples(tokens.filter(lambda name: name.lower() not in framing_names), values), max_size=8
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, list[tuple[str, str]], bytes]]:
    """The wire form of one request, and what it means."""
    method = draw(tokens.filter(lambda name: name not in ("CONNECT", "OPTIONS")))
    target = "/" + draw(paths)
    lines = [*draw(field_lines), ("Host", "a")]
    content = draw(st.binary(max_size=60))
    if draw(st.booleans()):
        lines.append(("Transfer-Encoding", "chunked"))
        cuts = draw(st.lists(st.integers(0, len(content)), max_size=4))
        pieces = [piece for piece in split_at(content, cuts) if piece]
        body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
    else:
        lines.append(("Content-Length", str(len(content))))
        body = content
    ows = st.text(" \t", max_size=2)
    section = "".join(f"{name}:{draw(ows)}{value}{draw(ows)}\r\n" for name, value in lines)
    head = f"{method} {target} HTTP/1.1\r\n{section}\r\n".encode("latin-1")
    return head + body, (method, target, lines, content)


@given(st.lists(requests(), min_size=1, max_size=3), st.data())
def test_any_request_survives(
    drawn: list[tuple[bytes, tuple[str, str, list[tuple[str, str]], bytes]]], data: st.DataObject
) -> None:
    config = Config(body_bytes_max=60)
    wire = b"".join(one for one, _ in drawn)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    bound = bound_to(data.draw(st.sampled_from(ENGINES_HERE)))
    outcome = read(split_at(wire, cuts), bound=bound, config=config)
    assert outcome.message == ""
    came = [
        (one.head.method, one.head.target, list(one.head.fields), one.content)
        for one in outcome.requests
    ]
    assert came == [meant for _, meant in drawn]


@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(ENGINES_HERE))
def test_arbitrary_bytes_raise_nothing_but_protocol_errors(
    pieces: list[bytes], engine: str
) -> None:
    outcome = read(pieces, bound=bound_to("stock" if engine == "stock" else "sealed"))
    final = {RequestState.REFUSED, RequestState.ENDED, RequestState.INCOMPLETE}
    assert outcome.state in final
    assert (outcome.status is not None) == (outcome.state is RequestState.REFUSED)


# Bytes drawn blindly stop at the first; these are made of a request's own parts.
FRAGMENTS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"CONNECT ", b"OPTIONS ", b"/", b"*", b"http://a", b"a:1", b"?", b"#"),
        *(b" ", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\0"),
        *(b"Host: a\r\n", b"Host", b":", b",", b"Content-Length: ", b"5", b"-", b"0", b"Expect: x"),
        *(b"Transfer-Encoding: chunked\r\n", b"chunked", b"5\r\nhello\r\n", b"0\r\n\r\n", b";a=b"),
        *(GET, POST, CHUNKED, b"\xff", b"\t", b'"', b"Connection: close\r\n", b"X" * 50),
    ]
)


@given(st.lists(FRAGMENTS, max_size=30), st.data())
def test_fragments_raise_nothing_but_protocol_errors(
    fragments: list[bytes], data: st.DataObject
) -> None:
    wire = b"".join(fragments)
    whole = read([wire]).without_message()
    cuts = data.draw(st.lists(st.integers(0, len(wire))))
    assert read(split_at(wire, cuts)).without_message() == whole
    assert read(fragments).without_message() == whole


# --- what it keeps, and how much it works ---------------------------------------------------


@pytest.mark.parametrize(
    "endless",
    [b"G", b"GET /", b"GET / HTTP/1.1\r\nX: ", GET[:-2] + b"X" * 200, CHUNKED, CHUNKED + b"1;a=",
     CHUNKED + b"0\r\nX: "],
)  # fmt: skip
def test_what_is_kept_is_less_than_one_line(endless: bytes, bound: Bound) -> None:
    """After NEED_DATA no more is buffered than the longest line may have, with one byte over."""
    longest = max(SMALL.request_line_bytes_max, SMALL.field_line_bytes_max) + 1
    assert 0 < most_kept(bound, endless + b"b" * 2000) <= longest


def most_kept(bound: Bound, wire: bytes) -> int:
    """The most that was buffered at any NEED_DATA until the wire was refused, byte by byte."""
    reader, most = bound.make_reader(), 0
    try:
        for byte in wire:
            reader.receive(bytes([byte]))
            while reader.next_event() is not NEED_DATA:
                pass
            most = max(most, reader.buffered)
    except ProtocolError:
        return most
    raise AssertionError("nothing was refused")


LARGE_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(
    b"X%d: %s\r\n" % (i, b"b" * 600) for i in range(98)
)
LONG_LINES = b"GET /%s HTTP/1.1\r\nHost: a\r\n" % (b"b" * 8000) + b"".join(
    b"X%d: %s\r\n" % (i, b"b" * 8000) for i in range(6)
)


@pytest.mark.parametrize("section", [LARGE_HEAD, LONG_LINES])
@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_the_work_is_linear_however_the_bytes_come(section: bytes, size: int) -> None:
    """Counted, not timed: a search looks at each byte once, or twice where it came whole."""
    wire = section + b"\r\n"
    assert len(wire) > 50_000
    reader = bound_to("sealed").make_reader(Config())
    for start in range(0, len(wire), size):
        reader.receive(wire[start : start + size])
        event = reader.next_event()
    assert isinstance(event, RequestHead)
    assert reader._buffer.searched_bytes <= 2 * len(wire)


def test_a_stream_of_tiny_chunks_is_linear() -> None:
    count = 20_000
    wire = CHUNKED + b"1\r\nx\r\n" * count + b"0\r\n\r\n"
    reader = bound_to("sealed").make_reader(Config())
    reader.receive(wire)
    events = 0
    while reader.next_event() is not END_OF_REQUEST:
        events += 1
    assert events == count + 1
    assert reader._buffer.searched_bytes <= 2 * len(wire)


@given(st.lists(st.binary(max_size=20) | st.just(b"\r\n") | st.integers(0, 30), max_size=30))
@example([b"abc", 2, 1, b"\n", 2])  # what is taken has been searched
def test_the_buffer_is_a_queue(steps: list[bytes | int]) -> None:
    """Model: a bytes object, cut and searched from its start each time."""
    buffer, model = Buffer(), b""
    for step in steps:
        if isinstance(step, bytes):
            if step:
                buffer.append(step)
                model += step
            continue
        if step % 2:
            assert buffer.take(step) == model[:step]
            model = model[step:]
            continue
        line, found, rest = model.partition(b"\n")
        assert buffer.take_line(1000) == (line if found else None)
        model = rest if found else model
        assert buffer.first(2) == model[:2]
    assert len(buffer) == len(model)
