"""What is shown to the operator is what a client did, on a real server."""

from __future__ import annotations

import errno
import json
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from server.config import Config, html_folder
from server.errors import InterlockError
from server.http1.messages import Request, Response
from server.server import Server
from tests.clock import ManualClock
from tests.wire.client import Client
from tests.wire.conftest import Serve, Served

TOKEN = b"Authorization: Bearer open-sesame\r\n"


def get(client: Client, path: str, host: str = "localhost", method: str = "GET") -> None:
    client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def seen(served: Served, path: str, **how: str) -> tuple[int, bytes]:
    """Status and content of an operator's page."""
    client = served.client()
    get(client, path, **how)
    response = client.reply()
    return response.status, response.content


def answer(request: Request) -> Response:
    return Response(404 if request.head.path == "/none" else 200, (), b"here")


def test_answers_are_counted_by_method_and_status(serve: Serve) -> None:
    served = serve(answer)
    client = served.client()
    sent = [("GET", "/")] * 3 + [("GET", "/none")] * 2 + [("POST", "/"), ("BREW", "/")]
    for method, path in sent:
        get(client, path, method=method)
        client.reply()
    served.send(b"GET / HTTP/9.9\r\n\r\n").rest()
    served.until_taken("C11", len(sent))
    now = served.server.snapshot()
    assert now.answers == {
        ("GET", 200): 3,
        ("GET", 404): 2,
        ("POST", 200): 1,
        ("other", 200): 1,
        ("other", 505): 1,
    }
    assert now.answered()["GET", "2xx"] == 3
    assert now.answered()["other", "5xx"] == 1
    assert (now.ledger.accepted, now.ledger.answered, now.ledger.imbalance) == (7, 7, 0)
    assert [sum(one.counts) for one in (now.latency, now.queueing, now.application)] == [8, 7, 7]
    assert now.accepted == 2
    assert now.arrows["C1"] == now.arrows["J3"] == 7
    assert now.faults == ()


@pytest.mark.parametrize(
    "path", ["/", "/-", "/-?/-/", "/-.", "/-0", "/-0/", "/.", "/,/", "/a/-/", "//-/", "/~", "/%2D/"]
)
def test_what_only_looks_like_the_operator_s_is_the_handler_s(serve: Serve, path: str) -> None:
    assert seen(serve(answer), path) == (200, b"here")


@pytest.mark.parametrize("path", ["/-/", "/-/live", "/-/\x7f", "/-/~", "/-/?a", "/-//", "/-/%FF"])
def test_what_is_below_the_prefix_is_never_the_handler_s(serve: Serve, path: str) -> None:
    status, content = seen(serve(answer), path)
    assert status
    assert content != b"here"
    assert seen(serve(answer, ops_bind="off"), "/-/") == (200, b"here")


def test_pages_that_cannot_be_read_yet_are_told_so_and_read_later(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who first asks for one while there are no descriptors is told when to come again."""
    served = serve(answer)
    errors = [OSError(errno.EMFILE, "Too many open files"), ModuleNotFoundError("no module")]

    def folder() -> Path:
        if errors:
            raise errors.pop()
        return html_folder()

    monkeypatch.setattr("server.operating.html_folder", folder)
    client = served.client()
    for _ in range(2):
        get(client, "/-/live")
        reply = client.reply()
        assert (reply.status, reply.fields["retry-after"]) == (503, "1")
        assert reply.content == b"these pages cannot be read now: the error log says why\n"
    failed = [one for one in caplog.records if one.levelname == "ERROR"]
    assert [(one.getMessage(), one.exc_info) for one in failed] == [
        ("the operator's pages cannot be read: no module", None),
        ("the operator's pages cannot be read: [Errno 24] Too many open files", None),
    ]
    get(client, "/-/live")
    assert client.reply().status == 200


def test_durations_are_those_that_passed(serve: Serve) -> None:
    clock, began, go = ManualClock(), threading.Event(), threading.Event()

    def handler(request: Request) -> Response:
        began.set()
        go.wait(10)
        return Response(200)

    served = serve(handler, clock=clock, threads=1)
    first = served.client()
    get(first, "/")
    began.wait(10)
    began.clear()
    second = served.client()
    get(second, "/")
    served.until_taken("C1", 2)
    now = served.server.snapshot()
    assert (now.queued, now.in_flight, now.connections) == (1, 1, 2)
    assert now.occupancy["connection"]["QUEUED"] == now.occupancy["worker"]["BUSY"] == 1
    assert now.occupancy["job"] == {"NEW": 0, "QUEUED": 1, "RUNNING": 1}
    clock.advance(0.75)
    go.set()
    for client in (first, second):
        assert client.reply().status == 200
    served.until_taken("C11", 2)
    now = served.server.snapshot()
    assert now.queueing.seconds == 0.75
    assert now.application.seconds == 0.75
    assert now.latency.seconds == 1.5
    assert now.occupancy["connection"]["PARKED"] == now.connections == 2


def test_the_pages_are_before_the_application_on_the_loopback(serve: Serve) -> None:
    served = serve(answer)
    assert seen(served, "/-/live") == (200, b"live\n")
    assert seen(served, "/-/ready") == (200, b"ready\n")
    assert seen(served, "/-/nothing")[0] == 404
    assert seen(served, "/-")[1] == b"here"
    assert seen(served, "/-/live", host="evil.example")[0] == 421
    assert seen(served, "/-/live", method="POST")[0] == 405
    assert b"worker_0" in seen(served, "/-/threads")[1]
    served.until_taken("C11", 7)
    told: dict[str, Any] = json.loads(seen(served, "/-/ledger")[1])
    assert told["accepted"] == told["answered"] + 1 == 8
    assert told["open"] == 1
    spec = json.loads(seen(served, "/-/spec")[1])
    assert spec["machines"]["connection"]["initial"] == "PARKED"


def test_off_gives_the_path_back_and_counts_nothing(serve: Serve) -> None:
    served = serve(answer, ops_bind="off", trace="")
    assert seen(served, "/-/live") == (200, b"here")
    now = served.server.snapshot()
    assert now.answers == {}
    assert now.ledger.accepted == 1


def test_an_address_that_others_reach_has_no_pages(serve: Serve) -> None:
    served = serve(answer, host="0.0.0.0")
    client = Client(("127.0.0.1", served.server.address[1]))
    served.clients.append(client)
    get(client, "/-/live")
    assert client.reply().content == b"here"


def test_a_lame_duck_is_not_ready(serve: Serve) -> None:
    clock = ManualClock()
    served = serve(answer, clock=clock, lame_duck_seconds=5.0)
    served.server.request_stop()
    served.until_taken("S3")
    assert seen(served, "/-/ready") == (503, b"not ready: WITHDRAWN\n")
    assert seen(served, "/-/live")[0] == 200


def test_connections_are_listed_by_their_state(serve: Serve) -> None:
    clock = ManualClock()
    served = serve(answer, clock=clock)
    idle = served.client()
    get(idle, "/here?secret=1")
    idle.reply()
    served.until_taken("C11")
    served.send(b"GET / HTTP/1.1\r\n")
    served.nudge()
    served.advance(3.5)
    told = json.loads(seen(served, "/-/connections?state=PARKED")[1])
    assert (told["page"], told["pages"], told["total"]) == (0, 1, 2)
    first, second = told["connections"]
    assert (first["serial"], first["state"], first["requests"]) == (1, "PARKED", 1)
    assert (first["peer"], first["local"]) == ([*idle.local], [*idle.peer])
    assert first["request"] is None  # nothing of a request is kept where the next one is awaited
    assert [one["seconds"] for one in (first, second)] == [3.5, 3.5]
    if sys.platform == "linux":
        assert first["tcp"]["state"] == "ESTABLISHED"
        assert 0 < first["tcp"]["rtt_seconds"] < 5
        assert first["tcp"]["retransmits"] == 0
    served.until_taken("C11", 2)
    asking = json.loads(seen(served, "/-/connections?state=EXCHANGING")[1])["connections"]
    assert [one["request"] for one in asking] == ["GET /-/connections"]
    assert json.loads(seen(served, "/-/connections?page=1")[1])["connections"] == []
    for query in ("state=NOWHERE", "page=-1", "page=x", "page=1234567"):
        assert seen(served, f"/-/connections?{query}")[0] == 400


def test_a_listener_of_their_own(serve: Serve, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    stuck, go = threading.Event(), threading.Event()

    def handler(request: Request) -> Response:
        stuck.set()
        go.wait(10)
        return Response(200, (), b"here")

    served = serve(handler, threads=1, ops_bind="127.0.0.1:0", ops_token_file=str(token))
    client = served.client()
    get(client, "/-/live")
    stuck.wait(10)
    assert served.server.ops_url is not None
    where = urlsplit(served.server.ops_url)
    aside = Client((where.hostname or "", where.port or 0))
    served.clients.append(aside)
    try:
        get(aside, "/-/ready")
        assert aside.reply().status == 401
        aside.send(b"GET /-/ready HTTP/1.1\r\nHost: x.test\r\n\r\n")
        assert aside.reply().status == 421
        aside.send(b"GET /-/ledger HTTP/1.1\r\nHost: localhost\r\n" + TOKEN + b"\r\n")
        assert json.loads(aside.reply().content)["open"] == 1
        for path, leads in ((b"/", (301, "/-/")), (b"/-", (301, "/-/")), (b"/x", (404, None))):
            aside.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + TOKEN + b"\r\n")
            reply = aside.reply()
            assert (reply.status, reply.fields.get("location")) == leads
    finally:
        go.set()
    assert client.reply().content == b"here"
    served.until_taken("C11")
    assert served.server.snapshot().answers == {("GET", 200): 1}


def test_a_browser_signs_in_and_watches_the_feed(serve: Serve, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    served = serve(answer, ops_token_file=str(token))
    client = served.client()
    browser = b"Host: localhost\r\nAccept: text/html\r\n"
    client.send(b"GET /-/ HTTP/1.1\r\n" + browser + b"\r\n")
    form = client.reply()
    assert (form.status, form.fields["content-type"]) == (401, "text/html; charset=utf-8")
    content = b"token=open-sesame"
    posted = browser + b"Content-Length: %d\r\n\r\n" % len(content) + content
    client.send(b"POST /-/login HTTP/1.1\r\n" + posted)
    welcome = client.reply()
    assert (welcome.status, welcome.fields["location"]) == (303, "/-/")
    cookie = b"Cookie: " + welcome.fields["set-cookie"].partition(";")[0].encode() + b"\r\n"
    client.send(b"GET /-/ready HTTP/1.1\r\n" + browser + cookie + b"\r\n")
    assert client.reply().content == b"ready\n"
    feed = served.client()
    feed.send(b"GET /-/feed HTTP/1.1\r\n" + browser + cookie + b"\r\n")
    assert "text/event-stream" in feed.interim()
    client.send(b"POST /-/logout HTTP/1.1\r\n" + browser + cookie + b"Content-Length: 0\r\n\r\n")
    assert client.reply().status == 303
    client.send(b"GET /-/ready HTTP/1.1\r\n" + browser + cookie + b"\r\n")
    assert client.reply().status == 401


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ops_bind": "0.0.0.0:0"}, "can be reached from other machines, and needs"),
        ({"ops_bind": "[::]:0"}, "can be reached from other machines, and needs"),
        ({"ops_bind": "7878"}, "expected HOST:PORT"),
        ({"ops_bind": "127.0.0.1:70000"}, "expected HOST:PORT"),
        ({"ops_bind": "127.0.0.1:0", "ops_token_file": "missing"}, "cannot be read"),
        ({"ops_token_file": __file__}, "expected one token"),
    ],
)
def test_a_start_that_is_not_safe_fails_in_one_line(settings: dict[str, Any], says: str) -> None:
    before = threading.active_count()
    server = Server(Config.of({"port": 0, **settings}), answer)
    with pytest.raises(InterlockError, match=says) as caught:
        server.start()
    assert "\n" not in str(caught.value)
    assert threading.active_count() == before


def test_where_the_server_cannot_start_nothing_listens_for_its_operator() -> None:
    before = threading.active_count()
    with Server(Config(port=0), answer) as other:
        at = other.address[1]
        server = Server(Config(port=at, ops_bind="127.0.0.1:0"), answer)
        with pytest.raises(InterlockError, match="cannot listen"):
            server.start()
    assert threading.active_count() == before
