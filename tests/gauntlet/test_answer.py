"""A response is whole when it says so, however its bytes come."""

from __future__ import annotations

import pytest

from benchmarks.gauntlet.answer import KEPT_BYTES_MAX, Answer

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
NONE = b"HTTP/1.1 304 Not Modified\r\n\r\n"


def received(data: bytes, step: int) -> Answer:
    answer = Answer()
    for begin in range(0, len(data), step):
        answer.receive(data[begin : begin + step])
    return answer


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize("data", [LENGTH, CHUNKED, EMPTY, NONE])
def test_an_answer_is_whole_at_its_last_byte_and_no_earlier(data: bytes, step: int) -> None:
    assert received(data, step).whole
    assert not received(data[:-1], step).whole


def test_fields_are_found_whatever_their_case() -> None:
    answer = received(EMPTY, 3)
    assert (answer.status, answer.fields["retry-after"], answer.content) == (503, "1", b"")


def test_content_without_length_ends_with_its_connection() -> None:
    answer = received(b"HTTP/1.1 200 OK\r\n\r\nhello", 100)
    assert answer.ends_with_connection
    assert not answer.whole
    assert not received(LENGTH, 100).ends_with_connection


def test_content_is_counted_whole_and_kept_in_part() -> None:
    answer = Answer()
    answer.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(10):
        answer.receive(bytes(100_000))
    assert (answer.whole, answer.content_bytes) == (True, 1_000_000)
    assert len(answer.content) == KEPT_BYTES_MAX


def test_connection_close_is_seen() -> None:
    assert received(LENGTH, 100).persists
    assert not received(b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", 100).persists


def test_what_is_no_response_is_refused() -> None:
    with pytest.raises(ValueError, match="no response"):
        received(b"SSH-2.0-x y\r\n\r\n", 100)
