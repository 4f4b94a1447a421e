"""The listening socket: where the kernel's backlog becomes connections.

Threads: the reactor's alone, once the server has started.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from server.errors import StartError
from server.net.timers import NOT_WATCHED
from server.net.transport import Address, SocketTransport, Transport, address_of
from statemachine._generated import ListenerMachine

OUT_OF_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accept says when the process or the machine has nothing left to give (accept(2))."""

GONE_MAX = 64
"""Newcomers in a row that may be gone when they are accepted. More are not a row: the socket itself
has failed, and trying again at once would spin."""


MakeTransport = Callable[[socket.socket, Address], Transport]
"""Makes of what was accepted, and its name, what a connection is served on."""


class OutOfRoom(Exception):
    """Nobody can be accepted for the time being; the newcomers stay in the backlog."""


class Listener(ListenerMachine):
    """A bound socket that listens. `deadline` is when a pause ends; `transport` makes of what it
    accepts what a connection is served on.
    """

    __slots__ = ("_make_transport", "_socket", "address", "deadline", "descriptor", "tick")

    def __init__(
        self, listening: socket.socket, transport: MakeTransport = SocketTransport
    ) -> None:
        super().__init__()
        self._make_transport = transport
        listening.setblocking(False)
        self._socket = listening
        self.descriptor = listening.fileno()
        self.address: Address = address_of(listening.getsockname())
        self.deadline = 0.0
        self.tick = NOT_WATCHED

    def accept(self) -> Transport | None:
        """The next newcomer, or None when nobody waits. Raises OutOfRoom."""
        gone = ""
        for _ in range(GONE_MAX):
            try:
                connected, name = self._socket.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in OUT_OF_ROOM:
                    raise OutOfRoom(str(error)) from None
                # The newcomer has gone again, or the network has failed under it (accept(2) lists
                # a dozen such errors): the next one in the backlog is none the worse for it.
                gone = str(error)
                continue
            return self._make_transport(connected, address_of(name))
        raise OutOfRoom(gone)

    def close(self) -> None:
        """Give the descriptor back; who is still in the backlog is refused by the kernel."""
        self._socket.close()


def bind(host: str, port: int, backlog: int) -> socket.socket:
    """A TCP socket that listens on `host` and `port`; port 0 lets the system choose.

    Raises StartError with one line that says what stands in the way.
    """
    listening = None
    try:
        asked = host.encode() if _is_spelt_as_address(host) else host
        infos = socket.getaddrinfo(asked, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, name = infos[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it on Linux: one call here in place of one a connection.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(name)
        listening.listen(backlog)
    except (OSError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StartError(f"cannot listen on {host} port {port}: {reason}") from None
    return listening


def _is_spelt_as_address(host: str) -> bool:
    """Whether it can be no name. As a text it would be encoded like one (RFC 3490), for which
    Python loads Unicode's tables.
    """
    return host.isascii() and (":" in host or host.replace(".", "").isdigit())
