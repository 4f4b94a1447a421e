"""A connection's socket, and nothing else of the connection. No call here ever waits.

Threads: one at a time, the owner of the connection; `abort` alone may come from the reactor while a
worker owns it.
"""

from __future__ import annotations

import os
import socket
from typing import Protocol

Address = tuple[str, int]


class Transport(Protocol):
    """Bytes in, bytes out. Every method raises OSError when the peer or the system has failed."""

    descriptor: int
    peer: Address

    @property
    def local(self) -> Address: ...
    def receive(self, size: int) -> bytes | None:
        """Up to `size` bytes; b"" when the peer has ended; None when there are none yet."""

    def send(self, data: bytes | memoryview) -> int:
        """How many bytes the kernel took; 0 when its buffer is full."""

    def send_file(self, descriptor: int, offset: int, size: int) -> int | None:
        """The same from an open file; None when the file has ended before `size` bytes."""

    def end(self) -> None:
        """End our side: the peer reads to the end of what we sent."""

    def abort(self) -> None:
        """Break both directions at once, without giving the descriptor back."""

    def close(self) -> None:
        """Give the descriptor back."""


class SocketTransport:
    """A TCP socket that does not block."""

    __slots__ = ("_local", "_socket", "descriptor", "peer")

    def __init__(self, connected: socket.socket, peer: Address) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._local: Address | None = None
        self.descriptor = connected.fileno()
        self.peer = peer

    @property
    def local(self) -> Address:
        if self._local is None:
            self._local = address_of(self._socket.getsockname())
        return self._local

    def receive(self, size: int) -> bytes | None:
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            return None

    def send(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def send_file(self, descriptor: int, offset: int, size: int) -> int | None:
        try:
            sent = os.sendfile(self.descriptor, descriptor, offset, size)
        except BlockingIOError:
            return 0
        return sent or None

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


def address_of(name: object) -> Address:
    """Host and port of a socket's name, IPv4 or IPv6."""
    assert isinstance(name, tuple)
    return (str(name[0]), int(name[1]))
