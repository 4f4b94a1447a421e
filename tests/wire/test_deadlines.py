"""Total deadlines, on a clock that the test moves: a trickle of bytes never moves them."""

from __future__ import annotations

import threading
from pathlib import Path

from server.http1.messages import Request, Response
from tests.clock import ManualClock
from tests.wire.conftest import Serve

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


def test_an_idle_connection_is_closed_in_silence(serve: Serve, root: Path) -> None:
    served = serve(root=root, clock=ManualClock(), idle_seconds_max=15)
    fresh, used = served.client(), served.send(GET % b"/")
    assert used.reply().status == 200
    served.until_taken("C11")
    served.advance(16)
    assert fresh.ended()
    assert used.ended()


def test_a_head_that_trickles_is_answered_408(serve: Serve, root: Path) -> None:
    served = serve(root=root, clock=ManualClock(), head_seconds_max=10, idle_seconds_max=60)
    client = served.client()
    for byte in b"GET / HTTP/1.1":
        client.send(bytes([byte]))
        served.nudge()
        served.advance(0.7)
    served.advance(0.7)
    reply = client.reply()
    assert (reply.status, reply.fields["connection"]) == (408, "close")
    assert client.ended()


def test_content_that_trickles_is_answered_408(serve: Serve, root: Path) -> None:
    served = serve(root=root, clock=ManualClock(), body_seconds_max=10)
    client = served.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    for _ in range(12):
        client.send(b"x")
        served.nudge()
        served.advance(1)
    assert client.reply().status == 408


def test_a_request_that_no_worker_takes_is_told_so(serve: Serve) -> None:
    gate, held = threading.Event(), threading.Semaphore(0)

    def handler(request: Request) -> Response:
        held.release()
        assert gate.wait(30)
        return Response(200)

    served = serve(handler, threads=1, clock=ManualClock(), queue_seconds_max=3)
    first = served.send(GET % b"/")
    assert held.acquire(timeout=30)
    second = served.send(GET % b"/")
    served.until_taken("J1", 2)
    served.advance(3.1)
    reply = second.reply()
    assert (reply.status, reply.fields["retry-after"]) == (503, "1")
    gate.set()
    assert first.reply().status == 200
    second.send(GET % b"/")
    assert second.reply().status == 200
    assert served.taken("J4") == 1


def test_a_full_queue_is_told_at_once(serve: Serve) -> None:
    gate, held = threading.Event(), threading.Semaphore(0)

    def handler(request: Request) -> Response:
        held.release()
        assert gate.wait(30)
        return Response(200, content=request.head.path.encode())

    # Nobody stands in for the late one, and nobody leaves the queue: a slow machine must not make
    # room in it.
    served = serve(handler, threads=1, queue_jobs_max=2, stand_ins_max=0, queue_seconds_max=600)
    first = served.send(GET % b"/0")
    assert held.acquire(timeout=30)
    waiting = []
    for number in (1, 2):
        waiting.append(served.send(GET % b"/%d" % number))
        served.until_taken("J1", number + 1)
    # Thousands at once, on one connection: each is refused, none nests within the other.
    crowd = served.send(GET % b"/x" * 3000)
    assert [crowd.reply().status for _ in range(3000)] == [503] * 3000
    gate.set()
    assert [client.reply().content for client in (first, *waiting)] == [b"/0", b"/1", b"/2"]


def test_a_reader_that_does_not_read_is_cut(serve: Serve, root: Path) -> None:
    (root / "large.bin").write_bytes(b"x" * 30_000_000)
    served = serve(root=root, clock=ManualClock(), write_seconds_max=60)
    client = served.send(GET % b"/large.bin")
    served.until_taken("C13", 1)
    for _ in range(4):  # the kernel may take some more of it meanwhile, which buys time once
        served.nudge()
        served.advance(61)
    assert len(client.rest()) < 30_000_000
    served.until_taken("C19")


def test_a_peer_that_lingers_is_not_waited_for(serve: Serve, root: Path) -> None:
    served = serve(root=root, clock=ManualClock(), linger_seconds_max=2)
    client = served.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert client.reply().status == 200
    assert client.ended()
    served.until_taken("C12", 1)
    served.nudge()
    served.advance(2.1)
    served.until_taken("C24")
