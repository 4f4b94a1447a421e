"""Arrows of the listener and the server that need a fault, or a moment that no other test makes."""

from __future__ import annotations

import errno
import functools
import socket
import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

import server.server
from server.config import Config
from server.errors import StartError
from server.ground import Ground
from server.http1.messages import Request, Response
from server.net.poller import EpollPoller, Poller, SelectorPoller
from server.server import Server, sound_system
from statemachine._generated import ListenerState, ServerState
from tests.clock import ManualClock
from tests.wire.conftest import Serve
from tests.witness import Witness

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def handler(request: Request) -> Response:
    return Response(200, content=request.head.path.encode())


class Accept:
    """`socket.socket.accept`, which says `error` as long as there is one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = socket.socket.accept
        self.error: OSError | None = None

        def accept(listening: socket.socket) -> tuple[socket.socket, object]:
            if self.error is not None:
                raise self.error
            return original(listening)

        monkeypatch.setattr(socket.socket, "accept", accept)


@pytest.fixture
def accept(monkeypatch: pytest.MonkeyPatch) -> Accept:
    return Accept(monkeypatch)


@pytest.mark.arrow("L3")
@pytest.mark.arrow("L6")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_out_of_descriptors_pauses_and_goes_on(serve: Serve, accept: Accept, number: int) -> None:
    served = serve(handler, clock=ManualClock(), accept_pause_seconds=0.5)
    accept.error = OSError(number, "out of something")
    newcomer = served.send(GET % b"/a")
    served.until_taken("L3")
    served.advance(0.4)
    assert served.taken("L6") == 0
    accept.error = None
    served.advance(0.2)
    served.until_taken("L6")
    assert newcomer.reply().content == b"/a"


@pytest.mark.arrow("L7")
def test_a_drain_ends_a_pause(serve: Serve, accept: Accept) -> None:
    served = serve(handler, clock=ManualClock())
    accept.error = OSError(errno.EMFILE, "Too many open files")
    served.client()
    served.until_taken("L3")
    assert served.stop() == 0
    assert served.taken("L7") == 1


@pytest.mark.arrow("L7")
def test_who_came_during_a_pause_is_served_by_the_drain(serve: Serve, accept: Accept) -> None:
    served = serve(handler, clock=ManualClock(), drain_idle_seconds=5)
    accept.error = OSError(errno.EMFILE, "Too many open files")
    newcomer = served.send(GET % b"/a")
    served.until_taken("L3")
    accept.error = None
    served.server.request_stop()
    assert newcomer.reply().content == b"/a"
    newcomer.close()
    assert served.wait() == 0
    assert served.taken("L7") == 1


@pytest.mark.arrow("L4")
@pytest.mark.arrow("L8")
def test_room_is_made_by_who_leaves(serve: Serve) -> None:
    served = serve(handler, connections_max=1)
    first, second = served.send(GET % b"/1"), served.send(LAST % b"/2")
    assert first.reply().content == b"/1"
    served.until_taken("L4")
    first.close()
    assert second.reply().content == b"/2"
    served.until_taken("L8")


@pytest.mark.arrow("L9")
def test_a_full_server_drains(serve: Serve) -> None:
    served = serve(handler, connections_max=1)
    client = served.send(GET % b"/1")
    assert client.reply().content == b"/1"
    served.until_taken("L4")
    assert served.stop() == 0
    assert served.taken("L9") == 1


@pytest.mark.arrow("L1")
@pytest.mark.arrow("L5")
def test_an_idle_server_drains(serve: Serve) -> None:
    served = serve(handler)
    served.until_taken("L1")
    assert served.stop() == 0
    assert served.taken("L5") == 1


@pytest.mark.arrow("L2")
@pytest.mark.arrow("S4")
@pytest.mark.parametrize("make", [EpollPoller, SelectorPoller])
def test_a_selector_that_takes_nothing_ends_the_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Poller]
) -> None:
    poller = make()

    def refuse(_: int) -> NoReturn:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(poller, "add", refuse)
    monkeypatch.setattr(server.server, "Ground", functools.partial(Ground, poller=lambda: poller))
    served = serve(handler)
    assert served.wait() == 1
    assert served.taken("L2") == 1
    assert served.taken("S4") == 1
    assert served.reactor._listener.state is ListenerState.CLOSED


@pytest.fixture
def few_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The system has a thread for nobody whose name is in this list."""
    refused: list[str] = []
    start = threading.Thread.start

    def reluctant(thread: threading.Thread) -> None:
        if thread.name in refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", reluctant)
    return refused


@pytest.mark.arrow("S2")
@pytest.mark.parametrize("name", ["reactor", "worker_0", "worker_1"])
def test_a_thread_that_cannot_be_had_fails_the_start(few_threads: list[str], name: str) -> None:
    few_threads.append(name)
    before = threading.active_count()
    witness = Witness(sound_system())
    one = Server(Config(port=0, threads=2), handler, hook=witness)
    with pytest.raises(StartError, match="cannot start a thread"):
        one.start()
    assert one.lifecycle.state is ServerState.FAILED
    assert witness.recorder.coverage()["S2"] == 1
    assert witness.faults() == []
    for thread in threading.enumerate():
        if thread.name.startswith("worker_"):
            thread.join(30)
    assert threading.active_count() == before
