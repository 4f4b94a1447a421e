"""What is served, over real sockets."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.wire.conftest import Serve

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


def test_index_has_exact_headers(serve: Serve, root: Path) -> None:
    client = serve(root=root).send(GET % b"/")
    reply = client.reply()
    assert (reply.version, reply.status, reply.reason) == ("HTTP/1.1", 200, "OK")
    assert reply.content == b"<title>home</title>\n"
    assert reply.fields["content-type"] == "text/html; charset=utf-8"
    assert reply.fields["content-length"] == str(len(reply.content))
    assert reply.fields["date"].endswith(" GMT")
    assert "connection" not in reply.fields


@pytest.mark.parametrize(
    ("path", "kind"),
    [(b"/style.css", "text/css; charset=utf-8"), (b"/404.html", "text/html; charset=utf-8")],
)
def test_files_have_their_media_type(serve: Serve, root: Path, path: bytes, kind: str) -> None:
    reply = serve(root=root).send(GET % path).reply()
    assert (reply.status, reply.fields["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    "path", [b"/nope", b"/../secret", b"/%2e%2e/secret", b"/..%2fsecret", b"//etc/passwd", b"/.git"]
)
def test_anything_else_is_the_404_page(serve: Serve, root: Path, path: bytes) -> None:
    (root.parent / "secret").write_text("secret")
    reply = serve(root=root).send(GET % path).reply()
    assert (reply.status, reply.content) == (404, b"<title>not here</title>\n")


def test_head_is_get_without_content(serve: Serve, root: Path) -> None:
    client = serve(root=root).client()
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % b"/")
    head, get = client.reply(to="HEAD"), client.reply()
    assert head.fields == get.fields
    assert len(get.content) == int(head.fields["content-length"])


def test_other_methods_are_told_which_are_allowed(serve: Serve, root: Path) -> None:
    reply = serve(root=root).send(b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").reply()
    assert (reply.status, reply.fields["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_slow_page_holds_one_worker_and_no_other(serve: Serve) -> None:
    """Three workers are held by slow handlers; the fourth goes on serving."""
    held, gate = threading.Semaphore(0), threading.Event()

    def handler(request):  # type: ignore[no-untyped-def]
        from server.http1.messages import Response

        if request.head.path == "/slow":
            held.release()
            assert gate.wait(30)
        return Response(200, content=request.head.path.encode())

    served = serve(handler, threads=4)
    slow = [served.send(GET % b"/slow") for _ in range(3)]
    for _ in slow:
        assert held.acquire(timeout=30)
    for _ in range(5):
        assert served.send(GET % b"/quick").reply().content == b"/quick"
    gate.set()
    assert [client.reply().content for client in slow] == [b"/slow"] * 3


def test_a_large_file_reaches_a_slow_reader_whole(serve: Serve, root: Path) -> None:
    data = bytes(range(256)) * 40_000
    (root / "large.bin").write_bytes(data)
    served = serve(root=root)
    from tests.wire.client import Client

    client = Client(served.server.address, receive_buffer_bytes=4096)
    served.clients.append(client)
    client.send(GET % b"/large.bin" + GET % b"/")
    reply = client.reply()
    assert reply.content == data
    assert client.reply().content == b"<title>home</title>\n"
    served.until_taken("C13")
    served.until_taken("C16")


def test_sleep_takes_its_seconds_from_the_clock(serve: Serve, root: Path) -> None:
    from tests.clock import ManualClock

    clock = ManualClock()
    served = serve(root=root, clock=clock)
    for query in (b"", b"?seconds=0.5", b"?seconds=0"):
        assert served.send(GET % (b"/sleep" + query)).reply().content == b"<title>home</title>\n"
    assert sorted(clock.slept) == [0.0, 0.5, 5.0]
    assert served.send(GET % b"/sleep?seconds=61").reply().status == 400
