"""HTTP/1.1 to the letter, on real sockets: what the RFCs ask of an origin server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.http1.messages import Request, Response
from tests.wire.client import Client, Reply
from tests.wire.conftest import Serve, Served, whole

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)


def echo(request: Request) -> Response:
    """Tells what it was asked: `/status/N` is answered with status N and no content."""
    head = request.head
    if head.path.startswith("/status/"):
        return Response(int(head.path[8:]))
    told = f"{head.method} {head.authority} {head.path}?{head.query} ".encode()
    trailers = ",".join(f"{name}={value}" for name, value in request.trailers).encode()
    content = told + whole(request.content) + trailers
    return Response(200, (("Content-Type", "text/plain"),), content)


def ask(served: Served, wire: bytes, *, to: str = "GET") -> tuple[Client, Reply]:
    client = served.send(wire)
    return client, client.reply(to=to)


def assert_nothing_follows(client: Client) -> None:
    """The response was just as long as its head said: another one follows at once, and the end."""
    client.send(LAST)
    assert client.reply().content == b"GET a /last? "
    assert client.ended()


# --- where a response ends (RFC 9112 section 6.3) -------------------------------------------


@pytest.mark.rfc("9110-9.3.2")
@pytest.mark.rfc("9112-6.3-response-head")
def test_head_has_the_fields_of_get_and_no_content(serve: Serve) -> None:
    served = serve(echo)
    client, head = ask(served, b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", to="HEAD")
    assert head.content == b""
    assert_nothing_follows(client)
    _, get = ask(served, GET % b"/xx")  # one byte more makes up for GET's shorter name
    assert head.fields.keys() == get.fields.keys()
    assert head.fields["content-length"] == get.fields["content-length"]


@pytest.mark.rfc("9110-8.6-no-length")
@pytest.mark.rfc("9112-6.1-no-coding")
@pytest.mark.parametrize(("status", "length"), [(204, None), (304, None), (205, "0"), (200, "0")])
def test_a_response_without_content_ends_with_its_head(
    serve: Serve, status: int, length: str | None
) -> None:
    client, reply = ask(serve(echo), GET % b"/status/%d" % status)
    assert reply.status == status
    assert reply.fields.get("content-length") == length
    assert "transfer-encoding" not in reply.fields
    assert_nothing_follows(client)


@pytest.mark.rfc("9110-15.2")
def test_an_interim_response_is_a_head_and_nothing_else(serve: Serve) -> None:
    client = serve(echo).send(
        b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert client.interim() == "HTTP/1.1 100 Continue"
    client.send(b"ok")
    assert client.reply().content == b"PUT a /x? ok"
    assert_nothing_follows(client)


@pytest.mark.rfc("9112-6.1-http-1-0")
@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.9"])
def test_a_response_says_our_version_and_how_long_it_is(serve: Serve, version: bytes) -> None:
    wire = b"GET /x HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version
    client, reply = ask(serve(echo, body_bytes_max=MIB), wire)
    assert (reply.version, reply.reason) == ("HTTP/1.1", "OK")
    assert "transfer-encoding" not in reply.fields
    assert reply.content == b"GET a /x? "
    assert client.ended()


# --- fields of every response -----------------------------------------------------------------

MIB = 1 << 20
REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000000\r\n\r\n", 413),
    (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/3.0\r\n\r\n", 505),
]


@pytest.mark.rfc("9110-5.3-sent")
@pytest.mark.rfc("9110-6.6.1")
@pytest.mark.rfc("9110-10.2.4")
@pytest.mark.parametrize(
    "wire",
    [
        *(GET % path for path in (b"/status/204", b"/status/304", b"/status/205", b"/x")),
        *(GET % path for path in (b"/status/404", b"/status/500", b"/status/bad")),
        *(wire for wire, _ in REFUSED),
    ],
)
def test_every_response_has_a_date_and_names_the_server_shortly(serve: Serve, wire: bytes) -> None:
    _, reply = ask(serve(echo, body_bytes_max=MIB), wire)
    assert IMF_FIXDATE.fullmatch(reply.fields["date"])
    assert reply.fields["server"] == "interlock"


@pytest.mark.rfc("9110-8.3")
@pytest.mark.parametrize("wire", [wire for wire, _ in REFUSED])
def test_an_error_says_what_its_content_is(serve: Serve, wire: bytes) -> None:
    _, reply = ask(serve(echo, body_bytes_max=MIB), wire)
    assert reply.content.startswith(b"<!doctype html>")
    assert reply.fields["content-type"] == "text/html; charset=utf-8"


@pytest.mark.rfc("9112-2.2-bare-cr")
def test_the_heads_of_responses_have_no_bare_cr_or_lf(serve: Serve) -> None:
    client = serve(echo).send(GET % b"/x" + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + b"\r\n\r\nbad")
    data = client.rest()
    heads = b"".join(re.findall(rb"HTTP/1\.1 .*?\r\n\r\n", data, re.DOTALL))
    assert heads.count(b"HTTP/1.1") == 3
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", heads)


# --- methods ----------------------------------------------------------------------------------


@pytest.mark.rfc("9110-15.5.6")
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"TRACE"])
def test_a_known_method_that_is_not_allowed(serve: Serve, root: Path, method: bytes) -> None:
    served = serve(root=root)
    _, reply = ask(served, method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert (reply.status, reply.fields["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.rfc("9110-9.3.8")
def test_trace_reflects_nothing(serve: Serve, root: Path) -> None:
    wire = b"TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: 0\r\n\r\n"
    _, reply = ask(serve(root=root), wire)
    assert reply.status == 405
    assert b"secret" not in reply.content


@pytest.mark.rfc("9110-9.1")
@pytest.mark.rfc("9110-15.6.2")
@pytest.mark.parametrize("method", [b"BREW", b"get", b"M" * 32, b"M" * 33, b"PROPFIND"])
def test_a_method_that_nobody_here_knows(serve: Serve, root: Path, method: bytes) -> None:
    _, reply = ask(serve(root=root), method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 501


@pytest.mark.rfc("9110-9.3.7")
@pytest.mark.rfc("9112-3.2.4")
@pytest.mark.parametrize("target", [b"*", b"/", b"/nope", b"http://b"])
def test_options(serve: Serve, root: Path, target: bytes) -> None:
    _, reply = ask(serve(root=root), b"OPTIONS %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert (reply.status, reply.fields["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.rfc("9112-3.2.4")
def test_the_asterisk_is_for_options_alone(serve: Serve, root: Path) -> None:
    _, reply = ask(serve(root=root), b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 400


@pytest.mark.rfc("9110-9.3.6")
@pytest.mark.rfc("9112-3.2.3")
@pytest.mark.parametrize(
    ("target", "status"),
    [(b"a:443", 501), (b"[::1]:1", 501), (b"a", 400), (b"a:", 400), (b"a:65536", 400), (b"/", 400)],
)
def test_connect_opens_no_tunnel(serve: Serve, root: Path, target: bytes, status: int) -> None:
    wire = b"CONNECT %b HTTP/1.1\r\nHost: a\r\n\r\n" % target
    client, reply = ask(serve(root=root), wire + GET % b"/tunnelled")
    assert (reply.status, reply.fields["connection"]) == (status, "close")
    assert client.ended()


@pytest.mark.rfc("9110-9.3.6")
def test_a_handler_cannot_accept_connect(serve: Serve) -> None:
    _, reply = ask(serve(echo), b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 500


# --- whom a request is for (RFC 9112 section 3.2) -----------------------------------------------


@pytest.mark.rfc("9112-3.2.2")
@pytest.mark.parametrize(
    ("target", "told"),
    [
        (b"http://b/x?y", b"GET b /x?y "),
        (b"HTTP://b:80", b"GET b:80 /? "),
        (b"http://[::1]:1/", b"GET [::1]:1 /? "),
        (b"/x", b"GET a /x? "),
    ],
)
def test_an_authority_in_the_target_wins_over_host(
    serve: Serve, target: bytes, told: bytes
) -> None:
    _, reply = ask(serve(echo), GET % target)
    assert (reply.status, reply.content) == (200, told)


@pytest.mark.rfc("9112-3.2")
@pytest.mark.parametrize(
    "hosts", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n", b"Host: #\r\n"]
)
@pytest.mark.parametrize("target", [b"/", b"http://b/"])
def test_host_is_there_once_and_sound(serve: Serve, target: bytes, hosts: bytes) -> None:
    _, reply = ask(serve(echo), b"GET %b HTTP/1.1\r\n%b\r\n" % (target, hosts))
    assert (reply.status, reply.fields["connection"]) == (400, "close")


@pytest.mark.rfc("9110-7.4")
@pytest.mark.rfc("9110-15.5.20")
def test_https_is_not_pretended(serve: Serve) -> None:
    client, reply = ask(serve(echo), GET % b"https://b/" + GET % b"/never")
    assert (reply.status, reply.fields["connection"]) == (421, "close")
    assert client.ended()


@pytest.mark.rfc("9112-3-length")
def test_a_request_line_of_8000_bytes_is_read(serve: Serve) -> None:
    path = b"/" + b"a" * (8000 - len(b"GET / HTTP/1.1"))
    _, reply = ask(serve(echo), GET % path)
    assert (reply.status, reply.content) == (200, b"GET a %b? " % path)


# --- refusals (RFC 9112 sections 2.2, 9.6) ------------------------------------------------------


@pytest.mark.rfc("9110-9.3.2")
@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", 400),
        (b"HEAD /" + b"a" * 9000, 414),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000, 431),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ],
)
def test_a_refused_head_is_answered_without_content(serve: Serve, wire: bytes, status: int) -> None:
    client, reply = ask(serve(echo), wire, to="HEAD")
    assert (reply.status, reply.fields["connection"]) == (status, "close")
    assert int(reply.fields["content-length"]) > 0
    assert client.ended()


@pytest.mark.rfc("9112-9.6-lingering")
@pytest.mark.parametrize(("wire", "status"), REFUSED)
def test_a_refusal_reaches_a_client_that_has_sent_megabytes_more(
    serve: Serve, wire: bytes, status: int
) -> None:
    served = serve(echo, body_bytes_max=MIB, linger_seconds_max=20.0)
    client = served.send(wire)
    client.send(b"x" * 4_000_000)
    reply = client.reply()
    assert (reply.status, reply.fields["connection"]) == (status, "close")
    client.end()
    assert client.ended()
    served.until_taken("C22")


@pytest.mark.rfc("9112-9.6-nothing-more")
@pytest.mark.parametrize(("wire", "status"), REFUSED)
def test_nothing_after_a_refusal_is_processed(serve: Serve, wire: bytes, status: int) -> None:
    asked = []

    def handler(request: Request) -> Response:
        asked.append(request.head.path)
        return Response(200)

    served = serve(handler, body_bytes_max=MIB)
    client = served.send(GET % b"/1" + wire + GET % b"/2")
    assert (client.reply().status, client.reply().status) == (200, status)
    client.send(GET % b"/3")
    assert client.ended()
    assert served.send(GET % b"/other").reply().status == 200
    assert asked == ["/1", "/other"]


@pytest.mark.rfc("9112-6.3-both")
@pytest.mark.parametrize("coding", [b"chunked", b"identity", b"\x0bchunked", b"gzip, chunked"])
def test_what_could_be_framed_in_two_ways_is_refused_whole(serve: Serve, coding: bytes) -> None:
    wire = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: %b\r\n\r\n"
    client, reply = ask(serve(echo), wire % coding + b"0\r\n\r\n" + GET % b"/smuggled")
    assert (reply.status, reply.fields["connection"]) == (400, "close")
    assert client.ended()


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, 400),
        (b"\x16", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 400),
        (b"HTTP/1.1 200 OK\r\n\r\n", 400),
        (b"GET /\r\n", 400),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", 400),
    ],
)
@pytest.mark.rfc("9112-2.2-not-http")
def test_other_protocols_are_told_that_this_is_http(serve: Serve, wire: bytes, status: int) -> None:
    client, reply = ask(serve(echo), wire)
    assert (reply.version, reply.status) == ("HTTP/1.1", status)
    assert client.ended()


@pytest.mark.rfc("9112-2.2-empty-line")
def test_one_empty_line_may_come_first(serve: Serve) -> None:
    client = serve(echo).send(b"\r\n" + GET % b"/1" + b"\r\n" + GET % b"/2")
    assert [client.reply().content for _ in range(2)] == [b"GET a /1? ", b"GET a /2? "]
    client.send(b"\r\n\r\n")
    assert client.reply().status == 400


# --- expectations (RFC 9110 section 10.1.1) -----------------------------------------------------

EXPECT = b"PUT /x HTTP/%b\r\nHost: a\r\nExpect: %b\r\n%b\r\n"


@pytest.mark.rfc("9110-10.1.1-final")
@pytest.mark.parametrize(
    ("expect", "framing", "status"),
    [
        (b"100-continue", b"Content-Length: 2000000000\r\n", 413),
        (b"100-continue, x", b"Content-Length: 2\r\n", 417),
        (b"x", b"Content-Length: 2\r\n", 417),
        (b"100-continue", b"Transfer-Encoding: x\r\n", 501),
        (b"100-continue", b"Content-Length: 2\r\nContent-Length: 3\r\n", 400),
    ],
)
def test_what_is_refused_anyway_is_not_asked_for(
    serve: Serve, expect: bytes, framing: bytes, status: int
) -> None:
    client = serve(echo, body_bytes_max=MIB).send(EXPECT % (b"1.1", expect, framing))
    assert client.rest().startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.rfc("9110-10.1.1-http-1-0")
def test_an_expectation_in_http_1_0_is_ignored(serve: Serve) -> None:
    client = serve(echo).send(EXPECT % (b"1.0", b"100-continue", b"Content-Length: 2\r\n"))
    client.send(b"ok")
    assert client.rest().startswith(b"HTTP/1.1 200 ")


@pytest.mark.rfc("9110-10.1.1-no-content")
def test_an_expectation_without_content_is_answered_at_once(serve: Serve) -> None:
    client = serve(echo).send(EXPECT % (b"1.1", b"100-continue", b""))
    client.end()
    assert client.rest().startswith(b"HTTP/1.1 200 ")


@pytest.mark.rfc("9110-10.1.1-asked")
@pytest.mark.parametrize(
    ("framing", "content"),
    [
        (b"Content-Length: 2\r\n", b"ok"),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\nT: u\r\n\r\n"),
    ],
)
def test_content_is_asked_for_once(serve: Serve, framing: bytes, content: bytes) -> None:
    client = serve(echo).send(EXPECT % (b"1.1", b"100-CONTINUE", framing))
    assert client.interim() == "HTTP/1.1 100 Continue"
    for at in range(len(content)):
        client.send(content[at : at + 1])
    client.send(LAST)
    answers = client.rest()
    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"PUT a /x? ok" in answers
    assert b"100 Continue" not in answers


@pytest.mark.rfc("9110-7.8")
def test_an_upgrade_is_ignored(serve: Serve) -> None:
    wire = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    client, reply = ask(serve(echo), wire)
    assert (reply.status, "upgrade" in reply.fields) == (200, False)
    assert_nothing_follows(client)


# --- one after the other (RFC 9112 section 9) ---------------------------------------------------


@pytest.mark.rfc("9112-9.3.2")
def test_pipelined_requests_with_content_and_trailers(serve: Serve) -> None:
    one = b"POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    two = (
        b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nde\r\n0\r\nT: u\r\nV: w\r\n\r\n"
    )
    client = serve(echo).send((one + two + GET % b"/g") * 20 + LAST)
    for _ in range(20):
        told = [client.reply().content for _ in range(3)]
        assert told == [b"POST a /l? abc", b"POST a /c? deT=u,V=w", b"GET a /g? "]
    assert client.reply().content == b"GET a /last? "
    assert client.ended()


@pytest.mark.rfc("9110-6.5.1")
def test_a_trailer_that_would_frame_is_refused(serve: Serve) -> None:
    wire = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%b\r\n\r\n"
    _, reply = ask(serve(echo), wire % b"Content-Length: 30" + GET % b"/smuggled")
    assert (reply.status, reply.fields["connection"]) == (400, "close")


@pytest.mark.rfc("9112-9.3")
@pytest.mark.rfc("9112-9.6-close-said")
@pytest.mark.parametrize(
    ("version", "lines", "told"),
    [
        (b"1.1", b"", None),
        (b"1.1", b"Connection: x\r\n", None),
        (b"1.1", b"Connection: keep-alive\r\n", None),
        (b"1.1", b"Connection: close\r\n", "close"),
        (b"1.1", b"Connection: close, x\r\n", "close"),
        (b"1.1", b"Connection: x ,\tCLOSE\r\n", "close"),
        (b"1.1", b"Connection: x\r\nX: y\r\nconnection: close\r\n", "close"),
        (b"1.1", b"Connection: keep-alive, close\r\n", "close"),
        (b"1.1", b"Connection: closed\r\n", None),
        (b"1.0", b"", "close"),
        (b"1.0", b"Connection: keep-alive\r\n", "keep-alive"),
        (b"1.0", b"Connection: x, Keep-Alive\r\n", "keep-alive"),
        (b"1.0", b"Connection: keep-alive, close\r\n", "close"),
        (b"1.9", b"", None),
    ],
)
def test_connection_options(serve: Serve, version: bytes, lines: bytes, told: str | None) -> None:
    wire = b"GET /x HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, lines)
    client, reply = ask(serve(echo), wire)
    assert reply.fields.get("connection") == told
    if told == "close":
        assert client.ended()
    else:
        assert_nothing_follows(client)


@pytest.mark.rfc("9112-9.6-nothing-more")
def test_nothing_after_close_is_processed(serve: Serve) -> None:
    client = serve(echo).send(LAST + GET % b"/never")
    assert client.reply().fields["connection"] == "close"
    client.send(GET % b"/never")
    assert client.ended()


@pytest.mark.rfc("9112-8")
@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n",
    ],
)
def test_an_incomplete_request_is_not_processed(serve: Serve, wire: bytes) -> None:
    asked = []

    def handler(request: Request) -> Response:
        asked.append(request.head.path)
        return Response(200)

    client = serve(handler).send(wire)
    client.end()
    assert client.ended()
    assert asked == []


# --- conditions and dates, as served (RFC 9110 sections 8.8, 13) --------------------------------


@pytest.mark.rfc("9110-15.4.5")
def test_304_says_what_the_200_would_have_said_of_it(serve: Serve, root: Path) -> None:
    served = serve(root=root)
    _, whole = ask(served, GET % b"/")
    wire = b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: %b\r\n\r\n"
    client, reply = ask(served, wire % whole.fields["etag"].encode())
    assert (reply.status, reply.content) == (304, b"")
    kept = {"date", "cache-control", "etag", "expires", "content-location", "vary"}
    assert kept & whole.fields.keys() <= reply.fields.keys()
    assert reply.fields["etag"] == whole.fields["etag"]
    client.send(GET % b"/")
    assert client.reply().content == whole.content
