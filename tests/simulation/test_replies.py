"""The clients' reader: strict, and the same whatever the pieces."""

from __future__ import annotations

import pytest

from server.simulation.replies import Malformed, Reader

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE
LENGTH = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = OK + b"Connection: close\r\n\r\nall that comes"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n"


def test_replies_in_a_row() -> None:
    reader = Reader(["GET", "GET", "HEAD", "GET", "GET"])
    head = OK + b"Content-Length: 5\r\n\r\n"
    reader.read(bytearray(LENGTH + CONTINUE + CHUNKED + head + NO_CONTENT + CLOSE), is_over=True)
    contents = [reply.content for reply in reader.finals]
    assert contents == [b"hello", b"abc0123456789", b"", b"", b"all that comes"]
    assert reader.interims == 1
    assert reader.rest(bytearray()) is None


@pytest.mark.parametrize("whole", [LENGTH, CHUNKED, NO_CONTENT])
def test_pieces_do_not_matter(whole: bytes) -> None:
    data = bytearray()
    reader = Reader(["GET"])
    for byte in whole:
        assert reader.finals == []
        data.append(byte)
        reader.read(data, is_over=False)
    assert len(reader.finals) == 1


@pytest.mark.parametrize("cut", [1, 4, 20])
def test_a_cut_reply_is_not_whole(cut: int) -> None:
    for whole in (LENGTH, CHUNKED):
        reader, data = Reader(["GET"]), bytearray(whole[:-cut])
        reader.read(data, is_over=True)
        assert reader.finals == []
        rest = reader.rest(data)
        assert rest is None or not rest.is_whole


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.0 200 OK\r\n" + DATE + b"Content-Length: 0\r\n\r\n",
        b"200 OK\r\n\r\n",
        OK + b"Content-Length : 0\r\n\r\n",
        OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 30,
        OK + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n" + DATE + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 0\r\n\r\n",
        b"\x00garbage",
    ],
)
def test_what_is_no_response_is_told(bad: bytes) -> None:
    with pytest.raises(Malformed):
        Reader(["GET"]).read(bytearray(bad), is_over=True)
