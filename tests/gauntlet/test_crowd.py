"""Clients of the crowd against a scripted server: the kernel's queue, and what the test sends."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from benchmarks.gauntlet import crowd as crowds
from benchmarks.gauntlet.crowd import Client, Crowd, Phase, get, post

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SECONDS_MAX = 10.0


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd looks at its clock after each turn: the passing one passes quickly."""
    monkeypatch.setattr(crowds, "TURN_SECONDS_MAX", 0.001)


class Passing:
    """A clock that passes 10 ms whenever somebody looks at it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 0.01
        return self.seconds


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        one.settimeout(SECONDS_MAX)
        yield one


@pytest.fixture
def crowd(listening: socket.socket) -> Iterator[Crowd]:
    with contextlib.closing(Crowd(listening.getsockname()[1])) as one:
        yield one


@pytest.fixture
def hasty(listening: socket.socket) -> Iterator[Crowd]:
    """A crowd whose time passes with each look at the clock."""
    with contextlib.closing(Crowd(listening.getsockname()[1], now=Passing())) as one:
        yield one


def until(crowd: Crowd, phase: Phase, *clients: Client) -> None:
    assert crowd.run(SECONDS_MAX, until=lambda: all(one.phase is phase for one in clients))


def welcome(listening: socket.socket) -> socket.socket:
    peer, _ = listening.accept()
    peer.settimeout(SECONDS_MAX)
    return peer


def test_a_client_asks_and_is_answered(listening: socket.socket, crowd: Crowd) -> None:
    client = crowd.ask(get("/"))
    until(crowd, Phase.WAITING, client)
    with welcome(listening) as peer:
        assert peer.recv(1000) == b"GET / HTTP/1.1\r\nHost: gauntlet\r\n\r\n"
        peer.sendall(HELLO)
        until(crowd, Phase.ANSWERED, client)
        assert (client.status, client.answer.content, client.open) == (200, b"hello", True)
        client.ask_again(post("/", b"more"))
        assert client.status == 0
        assert peer.recv(1000).endswith(b"Content-Length: 4\r\n\r\nmore")
        peer.sendall(HELLO)
        until(crowd, Phase.ANSWERED, client)


def test_an_answer_that_is_cut_short_is_none(listening: socket.socket, crowd: Crowd) -> None:
    client = crowd.ask(get("/"))
    until(crowd, Phase.WAITING, client)
    with welcome(listening) as peer:
        peer.recv(1000)
        peer.sendall(HELLO[:-1])
    until(crowd, Phase.CUT, client)
    assert (client.status, client.open) == (0, False)


def test_a_reset_is_a_cut(listening: socket.socket, crowd: Crowd) -> None:
    client = crowd.ask(get("/"))
    until(crowd, Phase.WAITING, client)
    with welcome(listening) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(crowd, Phase.CUT, client)


def test_a_port_that_nobody_has_is_a_cut(listening: socket.socket, crowd: Crowd) -> None:
    listening.close()
    client = crowd.ask(get("/"))
    until(crowd, Phase.CUT, client)
    assert client.sent_at is None


def test_an_end_of_the_connection_ends_content_without_length(
    listening: socket.socket, crowd: Crowd
) -> None:
    client = crowd.ask(get("/"))
    until(crowd, Phase.WAITING, client)
    with welcome(listening) as peer:
        peer.recv(1000)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
    until(crowd, Phase.ANSWERED, client)
    assert client.answer.content == b"hello"


def test_a_trickle_is_a_byte_at_a_time_after_its_prompt_part(
    listening: socket.socket, hasty: Crowd
) -> None:
    client = hasty.ask(b"0123456789", prompt=4, rate=1)
    hasty.run(1.0, until=lambda: client.phase is Phase.SENDING)
    with welcome(listening) as peer:
        assert peer.recv(100) == b"0123"
        for byte in b"456789":
            assert client.phase is Phase.SENDING
            assert not hasty.run(1.1)
            assert peer.recv(100) == bytes([byte])
        until(hasty, Phase.WAITING, client)


def test_a_trickle_ends_when_it_is_answered(listening: socket.socket, hasty: Crowd) -> None:
    client = hasty.ask(b"0123456789", rate=1)
    with welcome(listening) as peer:
        hasty.run(1.0, until=lambda: client.phase is Phase.SENDING)
        peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        until(hasty, Phase.ANSWERED, client)
        peer.recv(100)
        hasty.run(5.0)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(100)
    assert client.status == 408


def test_who_does_not_read_leaves_the_answer_in_the_kernel(
    listening: socket.socket, crowd: Crowd
) -> None:
    client = crowd.ask(get("/"), reads=False)
    until(crowd, Phase.WAITING, client)
    with welcome(listening) as peer:
        peer.sendall(HELLO)
        crowd.run(0.1)
    assert (client.phase, client.answer.head) == (Phase.WAITING, b"")


def test_who_sips_takes_a_byte_a_second(listening: socket.socket, hasty: Crowd) -> None:
    client = hasty.ask(get("/"), read_rate=1)
    until(hasty, Phase.WAITING, client)
    with welcome(listening) as peer:
        peer.sendall(HELLO)
        hasty.run(3.5)
    assert client.answer.head == b"HTT"


@pytest.mark.parametrize("reset", [False, True])
def test_who_leaves_is_seen_to_leave(
    listening: socket.socket, crowd: Crowd, *, reset: bool
) -> None:
    client = crowd.ask(get("/"))
    until(crowd, Phase.WAITING, client)
    with welcome(listening) as peer:
        peer.recv(1000)
        client.leave(reset=reset)
        if reset:
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
        else:
            assert peer.recv(1) == b""
    assert client.phase is Phase.LEFT


def test_time_passes_even_if_nothing_happens(crowd: Crowd) -> None:
    assert not crowd.run(0.0)
    assert crowd.run(0.0, until=lambda: True)
