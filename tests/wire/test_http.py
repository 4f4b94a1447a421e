"""HTTP/1.1 on the wire: persistence, framing, refusals, and what becomes of a peer that errs."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from server.http1.messages import Request, Response
from tests.wire.conftest import Serve, whole

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


BOTH = (
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n0\r\n\r\n"
)


def echo(request: Request) -> Response:
    """Answers with the request's path and content."""
    fields = (("Content-Type", "text/plain"),)
    return Response(200, fields, request.head.path.encode() + b" " + whole(request.content))


@pytest.mark.rfc("9112-9.3")
def test_a_connection_persists(serve: Serve) -> None:
    served = serve(echo)
    client = served.client()
    for number in range(10):
        client.send(GET % b"/%d" % number)
        assert client.reply().content == b"/%d " % number
    served.until_taken("C11", 10)


@pytest.mark.rfc("9112-9.3.2")
def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    client = serve(echo, threads=4).client()
    client.send(b"".join(GET % b"/%d" % number for number in range(200)))
    assert [client.reply().content for _ in range(200)] == [b"/%d " % n for n in range(200)]


@pytest.mark.rfc("9112-9.6")
def test_close_is_told_and_kept(serve: Serve) -> None:
    client = serve(echo).send(
        b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % b"/b"
    )
    reply = client.reply()
    assert (reply.content, reply.fields["connection"]) == (b"/a ", "close")
    assert client.ended()


@pytest.mark.rfc("9112-9.3")
def test_http_1_0_ends_unless_it_asks_not_to(serve: Serve) -> None:
    served = serve(echo)
    client = served.send(b"GET /a HTTP/1.0\r\n\r\n")
    reply = client.reply()
    assert (reply.version, reply.fields["connection"]) == ("HTTP/1.1", "close")
    assert client.ended()
    client = served.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert client.reply().fields["connection"] == "keep-alive"
    client.send(GET % b"/b")
    assert client.reply().content == b"/b "


@pytest.mark.rfc("9112-6.3")
def test_content_by_length_and_by_chunks(serve: Serve) -> None:
    client = serve(echo).client()
    client.send(b"POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    assert client.reply().content == b"/l hello"
    client.send(b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b"3\r\nhel", b"\r\n2;x=y\r\nlo\r\n", b"0\r\nTrailer: t\r\n", b"\r\n"):
        client.send(piece)
    assert client.reply().content == b"/c hello"


@pytest.mark.rfc("9110-10.1.1")
def test_content_is_asked_for_when_the_client_waits(serve: Serve) -> None:
    client = serve(echo).client()
    head = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    client.send(head)
    assert client.interim() == "HTTP/1.1 100 Continue"
    client.send(b"ok")
    assert client.reply().content == b"/e ok"
    client.send(head + b"at once")  # no interim response: the content was not waited for
    assert client.reply().content == b"/e at"
    assert client.reply().status == 400  # " once" begins no request


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
        (BOTH, 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000000\r\n\r\n", 413),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, 400),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(
    serve: Serve, request_bytes: bytes, status: int
) -> None:
    client = serve(echo).send(request_bytes + GET % b"/never")
    reply = client.reply()
    assert (reply.status, reply.fields["connection"]) == (status, "close")
    assert b"/never" not in client.rest()


@pytest.mark.rfc("9112-9.6")
def test_a_refusal_can_be_read_while_the_client_still_sends(serve: Serve) -> None:
    """Without lingering, the reset for unread bytes would wipe the answer on the client's side."""
    client = serve(echo).send(b"GET / HTTP/3.7\r\n\r\n" + b"x" * 500_000)
    assert client.reply().status == 505
    assert client.ended()


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError(), GeneratorExit()]
)
def test_a_handler_may_raise_anything(serve: Serve, error: BaseException) -> None:
    def handler(request: Request) -> Response:
        if request.head.path == "/raise":
            raise error
        return Response(200)

    client = serve(handler, threads=1).client()
    for _ in range(3):
        client.send(GET % b"/raise")
        assert client.reply().status == 500
        client.send(GET % b"/")
        assert client.reply().status == 200


@pytest.mark.parametrize(
    "response",
    [
        Response(200, (("X", "a\r\nSet-Cookie: b"),)),
        Response(200, (("Content-Length", "3"),), b"four"),
        Response(204, (), b"content"),
        Response(99),
    ],
)
def test_a_response_that_cannot_be_framed_is_a_500(serve: Serve, response: Response) -> None:
    client = serve(lambda _: response).send(GET % b"/")
    reply = client.reply()
    assert reply.status == 500
    assert "set-cookie" not in reply.fields


def test_a_peer_that_goes_harms_nobody(serve: Serve) -> None:
    served = serve(echo, threads=2)
    request = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    for end in range(len(request) + 1):
        served.send(request[:end]).reset()
        client = served.send(request[:end])
        client.end()
        client.rest()
    assert served.send(GET % b"/").reply().content == b"/ "


def test_a_half_closed_peer_is_still_answered(serve: Serve) -> None:
    client = serve(echo).send(GET % b"/a" + GET % b"/b")
    client.end()
    assert [client.reply().content for _ in range(2)] == [b"/a ", b"/b "]
    assert client.ended()


@pytest.mark.parametrize(
    ("request_bytes", "events_max"),
    [
        (GET % b"/", 16),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 16),
    ],
)
def test_a_request_takes_few_events(serve: Serve, request_bytes: bytes, events_max: int) -> None:
    """Over all machines: it is what the sealed engine's nanoseconds are multiplied by. The baton's
    events are left out, for the watcher counts its ticks and no requests.
    """
    served = serve(echo)
    client = served.client()
    counts = []
    for number in range(4):
        client.send(request_bytes)
        assert client.reply().status == 200
        served.until_taken("W7", number + 1)
        taken = served.witness.recorder.coverage()
        counts.append(sum(many for arrow, many in taken.items() if arrow[0] != "B"))
    events = [after - before for before, after in itertools.pairwise(counts[1:])]
    assert events == [events[0]] * 2
    assert events[0] <= events_max


def test_a_failure_is_found_by_its_request_s_id(
    serve: Serve, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """The error log's name for a request is the access log's %L."""

    def handler(request: Request) -> Response:
        if request.head.path == "/raise":
            raise ValueError("no")
        return Response(200)

    log = tmp_path / "access.log"
    served = serve(handler, access_log=str(log), access_log_format="%L %U %s")
    for _ in range(2):
        client = served.client()
        for path in (b"/", b"/raise", b"/"):
            client.send(GET % path)
            client.reply()
    served.until_taken("C11", 6)
    wanted = [(n, *one) for n in (1, 2) for one in ((1, "/ 200"), (2, "/raise 500"), (3, "/ 200"))]
    served.stop()
    # A worker puts its line when the client has its answer already, and may ask elsewhere.
    assert sorted(log.read_text().splitlines()) == [f"{n}-{k} {text}" for n, k, text in wanted]
    said = [one.getMessage() for one in caplog.records if "raised" in one.getMessage()]
    assert said == [f"request {n}-2: GET /raise: the handler raised" for n in (1, 2)]
