"""A connection's socket, and nothing else of the connection. No call here ever waits.

Threads: one at a time, the owner of the connection; `abort` alone may come from the reactor while a
worker owns it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import sys
from typing import Protocol

ENDED: int | None = getattr(select, "POLLRDHUP", None)
"""What poll(2) says of a peer that has ended its side, even behind bytes that nobody has read yet;
None where the system has no word for it.
"""

FAILED = select.POLLERR | select.POLLHUP
"""What it says, asked or not, of a connection that was reset, or that we have broken."""

TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
TCP_INFO_BYTES = 104

NO_LINGER = struct.pack("ii", 1, 0)

Address = tuple[str, int]


class Transport(Protocol):
    """Bytes in, bytes out. Every method raises OSError when the peer or the system has failed."""

    descriptor: int
    peer: Address

    @property
    def local(self) -> Address: ...
    def receive(self, size: int) -> bytes | None:
        """Up to `size` bytes; b"" when the peer has ended; None when there are none yet."""

    def receive_into(self, space: memoryview) -> int | None:
        """The same to where they are wanted, which is not empty: how many; 0 for an end."""

    def peek(self) -> bool:
        """Whether the peer has ended its side, as far as that can be told without reading."""

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

    def reset(self) -> None:
        """The same, so that the peer sees a connection that broke, and no end."""


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

    def receive_into(self, space: memoryview) -> int | None:
        try:
            return self._socket.recv_into(space)
        except BlockingIOError:
            return None

    def peek(self) -> bool:
        if ENDED is None:
            return self._peek_at_bytes()
        poll = select.poll()
        poll.register(self.descriptor, ENDED)
        found = poll.poll(0)
        if found and found[0][1] & FAILED:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return bool(found)

    def _peek_at_bytes(self) -> bool:
        # Bytes that were sent before the end, or before a reset, hide it from this.
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False

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

    def tcp_info(self) -> bytes | None:
        """What the kernel says of the connection, as tcp(7) lays it out; None where it does not.
        Any thread may ask: nothing is moved by that.
        """
        if TCP_INFO is None:
            return None
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, TCP_INFO, TCP_INFO_BYTES)
        except OSError:
            return None

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        # socket(7): with SO_LINGER on and no time, close sends a reset in place of an end.
        with contextlib.suppress(OSError):  # it is over already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._socket.close()


def address_of(name: object) -> Address:
    """Host and port of a socket's name, IPv4 or IPv6."""
    assert isinstance(name, tuple)
    return (str(name[0]), int(name[1]))
