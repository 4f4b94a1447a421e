"""The way down: drained when it can be, cut when it must be, and nothing is left behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from server.config import Config
from server.errors import StartError
from server.http1.messages import Request, Response
from server.server import Server
from statemachine._generated import ServerState
from tests.clock import ManualClock
from tests.wire.conftest import Serve, Served

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


class Held:
    """A handler whose calls wait until the test lets them go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.running = threading.Semaphore(0)

    def __call__(self, request: Request) -> Response:
        if request.head.path == "/held":
            self.running.release()
            assert self.gate.wait(60)
        return Response(200, content=request.head.path.encode())


def until(served: Served, state: ServerState) -> None:
    """Return when the server has come to `state`."""
    while served.server.lifecycle.state is not state:
        served.nudge()


def test_a_drain_answers_what_was_accepted(serve: Serve) -> None:
    held = Held()
    served = serve(held, threads=2, drain_idle_seconds=0.0)
    running = [served.send(GET % b"/held") for _ in range(2)]
    for _ in running:
        assert held.running.acquire(timeout=30)
    queued = [served.send(GET % b"/held") for _ in range(8)]
    served.until_taken("J1", 10)
    served.server.request_stop()
    until(served, ServerState.DRAINING)
    held.gate.set()
    for client in running + queued:
        reply = client.reply()
        assert (reply.status, reply.fields["connection"]) == (200, "close")
    assert served.wait() == 0


def test_a_drain_does_not_wait_for_idle_connections(serve: Serve) -> None:
    served = serve(Held(), idle_seconds_max=3600)
    idle, used = served.client(), served.send(GET % b"/")
    assert used.reply().status == 200
    assert served.stop() == 0
    assert idle.ended()
    assert used.ended()


def test_a_late_request_on_an_idle_connection_is_answered(serve: Serve) -> None:
    served = serve(Held(), clock=ManualClock(), drain_idle_seconds=0.5)
    client = served.send(GET % b"/a")
    assert client.reply().status == 200
    served.server.request_stop()
    until(served, ServerState.DRAINING)
    served.nudge()
    client.send(GET % b"/late")
    reply = client.reply()
    assert (reply.content, reply.fields["connection"]) == (b"/late", "close")
    client.close()
    assert served.wait() == 0


def test_who_waits_in_the_backlog_is_served(serve: Serve) -> None:
    """The kernel has greeted them; the server has not accepted them yet when the stop comes."""
    held = Held()
    served = serve(held, threads=1, connections_max=1, drain_idle_seconds=5)
    first = served.send(GET % b"/held")
    assert held.running.acquire(timeout=30)
    backlog = [served.send(GET % b"/b") for _ in range(5)]
    assert served.taken("L4") == 1
    served.server.request_stop()
    until(served, ServerState.DRAINING)
    held.gate.set()
    assert [client.reply().status for client in (first, *backlog)] == [200] * 6
    for client in (first, *backlog):
        client.close()
    assert served.wait() == 0


def test_a_second_stop_cuts(serve: Serve) -> None:
    held = Held()
    served = serve(held, threads=1, cut_seconds_max=0.0)
    running = served.send(GET % b"/held")
    assert held.running.acquire(timeout=30)
    queued, idle = served.send(GET % b"/held"), served.client()
    served.until_taken("J1", 2)
    served.server.request_stop()
    until(served, ServerState.DRAINING)
    served.server.request_stop()
    assert served.wait() == 1
    assert served.taken("S6") == 1
    for client in (running, queued, idle):
        with pytest.raises((EOFError, ConnectionResetError)):
            client.reply()
    held.gate.set()


def test_a_drain_is_bounded(serve: Serve) -> None:
    held = Held()
    served = serve(held, threads=1, drain_seconds_max=0.0, cut_seconds_max=0.0)
    client = served.send(GET % b"/held")
    assert held.running.acquire(timeout=30)
    assert served.stop() == 1
    assert served.taken("S7") == 1
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply()
    held.gate.set()


@pytest.mark.parametrize("draining", [False, True])
def test_a_dead_reactor_stops_the_server(serve: Serve, draining: bool) -> None:
    held = Held()
    served = serve(held, threads=1, cut_seconds_max=0.0)
    client = served.send(GET % b"/held")
    assert held.running.acquire(timeout=30)
    if draining:
        served.server.request_stop()
        until(served, ServerState.DRAINING)

    def die() -> None:
        raise RuntimeError("struck by lightning")

    served.reactor.ask(die)
    assert served.wait() == 1
    assert served.taken("S8" if draining else "S4") == 1
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply()
    held.gate.set()


def test_nothing_is_left_behind(root: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not list a process's descriptors in /proc/self/fd")
    before, threads = len(os.listdir(folder)), threading.active_count()
    for _ in range(5):
        with Server(Config(port=0, root=root)) as server:
            assert server.url.startswith("http://127.0.0.1:")
        assert server.lifecycle.state is ServerState.STOPPED
    assert len(os.listdir(folder)) == before
    assert threading.active_count() == threads


def test_a_port_that_is_taken(serve: Serve, root: Path) -> None:
    port = serve(root=root).server.address[1]
    other = Server(Config(port=port, root=root))
    with pytest.raises(
        StartError, match=f"cannot listen on 127.0.0.1 port {port}: Address already"
    ):
        other.start()
    assert other.lifecycle.state is ServerState.FAILED
