"""Event streams on real sockets: published from any thread, sent by the hub, no worker held."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from server import Server
from statemachine._generated import ConnectionState
from tests.wire.client import Client

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/events":
        stream: Iterable[bytes] = environ["interlock.events"].subscribe("news")
        return stream
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def until(client: Client, mark: bytes) -> bytes:
    """What comes, up to a mark."""
    data = b""
    while not data.endswith(mark):
        data += client._exactly(1)
    return data


@pytest.fixture
def one_worker() -> Iterable[Server]:
    server = Server(application, port=0, threads=1, drain_idle_seconds=0.0, linger_seconds_max=0.2)
    server.start()
    yield server
    server.stop()


def subscriber(server: Server, count: int) -> Client:
    """One more subscriber; returns when `count` connections are streaming."""
    client = Client(server.address)
    client.send(GET % b"/events")
    assert b"Content-Type: text/event-stream\r\n" in until(client, b"\r\n\r\n")
    house = server._house
    assert house is not None
    while streaming(server) < count:
        turned = threading.Event()
        house.reactor.ask(turned.set)
        assert turned.wait(30)
    return client


def streaming(server: Server) -> int:
    assert server._house is not None
    connections = list(server._house.reactor.connections.values())
    return sum(one.state is ConnectionState.STREAMING for one in connections)


@pytest.mark.arrow("C39")
def test_many_streams_hold_no_worker(one_worker: Server) -> None:
    clients = [subscriber(one_worker, number) for number in range(1, 21)]
    other = Client(one_worker.address)
    other.send(GET % b"/")
    assert other.reply().content == b"hello"
    one_worker.events.publish("news", "lift-off")
    for client in clients:
        assert until(client, b"data: lift-off\n\n").count(b"data: lift-off\n") == 1
    assert streaming(one_worker) == 20
    for client in (*clients, other):
        client.close()


@pytest.mark.arrow("C41")
def test_a_subscriber_that_leaves_is_forgotten(one_worker: Server) -> None:
    client = subscriber(one_worker, 1)
    client.close()
    while streaming(one_worker):
        turned = threading.Event()
        assert one_worker._house is not None
        one_worker._house.reactor.ask(turned.set)
        assert turned.wait(30)
    assert one_worker.account.answered == 1


@pytest.mark.arrow("C40")
def test_a_drain_ends_each_stream_as_it_should() -> None:
    server = Server(application, port=0, threads=1, drain_idle_seconds=0.0, linger_seconds_max=0.2)
    server.start()
    client = subscriber(server, 1)
    server.request_stop()
    ended = threading.Thread(target=server.run)
    ended.start()
    assert until(client, b"0\r\n\r\n").endswith(b"\r\n0\r\n\r\n")
    client.close()
    ended.join(30)
    assert str(server.account) == (
        "ledger: accepted 1 = answered 1 + shed 0 + client-gone 0 + forced 0"
    )
