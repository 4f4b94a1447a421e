"""The control socket: a Unix socket, on which the operator of this machine gives orders.

A client sends one line, `resize 8`, and is sent the exit status that the order deserves, a line
end, and a text. Only the user who runs the server, and root, are heard: by the mode of the file,
and by what the kernel says of the peer.

Threads: one of its own serves one client after the other; each is waited for CLIENT_SECONDS_MAX at
most. `open` and `close` belong to the one that starts and stops the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from typing import Final

from server.errors import StartError

LOG = logging.getLogger("interlock.ops")

CLIENT_SECONDS_MAX: Final = 2.0
ORDER_BYTES_MAX: Final = 1024

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))


class NotDone(Exception):
    """An order that is not carried out: its text is told to whoever gave it."""


Order = Callable[[str], str]
"""Carries out an order with this argument, and returns what there is to say. Raises NotDone."""


class Control:
    """Listens at `path` and carries out `orders`, by their first words."""

    def __init__(self, path: str, orders: Mapping[str, Order]) -> None:
        self._path = path
        self._orders = orders
        self._socket: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        self._bell, self._ear = socket.socketpair()

    def open(self) -> None:
        """Listen. A socket that nobody listens at any more is replaced. Raises StartError."""
        try:
            self._socket = self._bound()
        except OSError as error:
            raise StartError(f"--ctl-socket {self._path}: {error.strerror or error}") from None

    def _bound(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # On Linux the file gets the mode of its socket: at no moment it has more.
            os.fchmod(listening.fileno(), stat.S_IRUSR | stat.S_IWUSR)
            if os.path.lexists(self._path):
                self._make_way()
            listening.bind(self._path)
            os.chmod(self._path, stat.S_IRUSR | stat.S_IWUSR)
            listening.listen(8)
            self._inode = _inode_of(self._path)
        except BaseException:
            listening.close()
            raise
        return listening

    def _make_way(self) -> None:
        """Remove a socket that a server has left behind. Raises StartError, OSError."""
        if not stat.S_ISSOCK(os.lstat(self._path).st_mode):
            raise StartError(f"--ctl-socket {self._path}: there is a file that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            one.settimeout(CLIENT_SECONDS_MAX)
            try:
                one.connect(self._path)
            except ConnectionRefusedError:
                os.unlink(self._path)
            else:
                raise StartError(f"--ctl-socket {self._path}: another server listens there")

    def serve(self) -> None:
        """On a thread of its own: serve until it is closed."""
        listening = self._socket
        assert listening is not None
        while True:
            ready, _, _ = select.select([listening, self._ear], [], [])
            if self._ear in ready:
                return
            with contextlib.suppress(OSError):  # a client that has gone is none
                client, _ = listening.accept()
                with client:
                    client.settimeout(CLIENT_SECONDS_MAX)
                    self._serve(client)

    def ring(self) -> None:
        """Have `serve` return."""
        self._bell.send(b".")

    def close(self) -> None:
        """When `serve` has returned, or never began: give back what is open, and the file."""
        for one in (self._bell, self._ear, self._socket):
            if one is not None:
                one.close()
        with contextlib.suppress(OSError):
            # Another server may have put its own there since ours was removed.
            if self._inode is not None and self._inode == _inode_of(self._path):
                os.unlink(self._path)

    def _serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as stream:
            line = stream.readline(ORDER_BYTES_MAX)
        if not line.endswith(b"\n"):
            return
        status, text = 1, "only the user who runs the server is heard"
        if _is_ours(client):
            status, text = self.obey(line.decode("utf-8", "replace").strip())
        client.sendall(f"{status}\n{text}\n".encode())

    def obey(self, line: str) -> tuple[int, str]:
        """Carry out one order; the exit status that it deserves, and what there is to say."""
        word, _, argument = line.partition(" ")
        order = self._orders.get(word)
        if order is None:
            return 2, f"{word!r} is no order, expected one of {', '.join(self._orders)}"
        try:
            return 0, order(argument.strip())
        except NotDone as error:
            return 1, str(error)
        except Exception:
            LOG.exception("the order %r failed", line)
            return 1, "the order failed, and the log says why"


def _is_ours(client: socket.socket) -> bool:
    """Whether the peer is the user who runs this process, or root."""
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # the mode of the file says it, where the system says no more
    said = client.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(said)
    return user in (0, os.geteuid())


def _inode_of(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
