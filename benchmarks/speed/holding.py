"""Connections that the harness holds: idle ones, and subscribers of events."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

BATCH = 100
PATIENCE_SECONDS = 3.0
REQUEST = b"GET %s HTTP/1.1\r\nHost: bench\r\n\r\n"
EVENT = re.compile(rb"data: (\d+)\n")


@contextmanager
def held(port: int, path: bytes, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, each of which has asked once and been answered 200; fewer, where a
    server answers no more.
    """
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            batch = _batch(port, path, min(BATCH, count - len(sockets)))
            sockets += batch
            if len(batch) < min(BATCH, count):
                break
        yield sockets
    finally:
        for one in sockets:
            one.close()


def _batch(port: int, path: bytes, size: int) -> list[socket.socket]:
    """Those of a batch that were answered 200."""
    asked = []
    for _ in range(size):
        try:
            one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
            one.sendall(REQUEST % path)
        except OSError:
            break
        asked.append(one)
    answered = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    for one in asked:
        one.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            answer = one.recv(65_536)
        except OSError:
            answer = b""
        if answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            one.setblocking(False)
            answered.append(one)
        else:
            one.close()
    return answered


def still_open(sockets: list[socket.socket]) -> int:
    """How many of them their server has not closed. What it has sent meanwhile is read."""
    return sum(1 for one in sockets if _is_open(one))


def _is_open(one: socket.socket) -> bool:
    try:
        while one.recv(65_536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def deliveries(sockets: list[socket.socket], seconds: float) -> list[float]:
    """Reads events for so long; seconds from the publication of each to its receipt."""
    poll = select.epoll()
    known = {one.fileno(): one for one in sockets}
    for descriptor in known:
        poll.register(descriptor, select.EPOLLIN)
    taken: list[float] = []
    began = time.monotonic()
    try:
        while (left := began + seconds - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left):
                data = known[descriptor].recv(65_536)
                if not data:
                    poll.unregister(descriptor)
                now = time.monotonic()
                published = (int(one[1]) / 1e9 for one in EVENT.finditer(data))
                taken += [now - then for then in published if then >= began]
    finally:
        poll.close()
    return taken
