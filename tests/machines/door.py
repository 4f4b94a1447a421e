"""A house whose listener is the real one, on a listening socket that is the test's."""

from __future__ import annotations

from collections import deque

from server.http1.messages import Request, Response
from server.net.poller import READ
from server.net.transport import Address
from statemachine import Engine
from statemachine._generated import ListenerState, ServerState
from tests.machines.house import House


class Caller:
    """A client, as the server's end of its socket; ends when `hang_up` says so."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.has_ended = False
        self.closed = 0

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        assert flag is False

    def recv(self, size: int) -> bytes:
        assert size > 0
        assert not self.closed
        if self.has_ended:
            return b""
        raise BlockingIOError

    def getsockname(self) -> Address:
        return ("192.0.2.1", 80)

    def shutdown(self, how: int) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed += 1

    def readiness(self) -> int:
        return READ if self.has_ended else 0


class ListeningSocket:
    """A listening socket whose backlog is the test's: callers, and errors in between."""

    def __init__(self) -> None:
        self.backlog: deque[Caller | int] = deque()
        self.system_error: int | None = None
        self.accepts = 0
        self.closed = 0

    def setblocking(self, flag: bool) -> None:
        assert flag is False

    def fileno(self) -> int:
        return 4

    def getsockname(self) -> Address:
        return ("192.0.2.1", 80)

    def accept(self) -> tuple[Caller, Address]:
        assert not self.closed, "a closed listener accepts"
        self.accepts += 1
        if self.system_error is not None:
            raise OSError(self.system_error, "")
        if not self.backlog:
            raise BlockingIOError
        first = self.backlog.popleft()
        if isinstance(first, int):
            raise OSError(first, "")
        return first, ("192.0.2.7", 50_000 + first.fileno())

    def close(self) -> None:
        self.closed += 1

    def readiness(self) -> int:
        return READ if self.backlog or self.system_error is not None else 0


def nobody_asks(request: Request) -> Response:
    raise AssertionError(f"nobody sends a request here: {request}")


class Door:
    """A house whose listener is the real one, and its callers."""

    def __init__(self, engine: Engine, **settings: object) -> None:
        self.socket = ListeningSocket()
        self.house = House(
            engine,
            nobody_asks,
            {"connections_max": 3, **settings},
            listening=self.socket,
        )
        self.house.pausing_arrows = False
        self.house.poller.expect(4, self.socket.readiness)
        self.callers: list[Caller] = []

    @property
    def state(self) -> ListenerState:
        return self.house.listener.state

    def call(self) -> Caller:
        taken = {one.fileno() for one in self.callers if not one.closed}
        caller = Caller(next(n for n in range(5, 1000) if n not in taken))
        self.callers.append(caller)
        self.house.poller.expect(caller.fileno(), caller.readiness)
        self.socket.backlog.append(caller)
        return caller

    def settle(self) -> None:
        self.house.settle()

    def inside(self) -> int:
        return len(self.house.reactor.connections)

    def end(self) -> None:
        """Drain; everybody who was let in is closed once, and the socket too."""
        self.socket.system_error = None
        if self.house.lifecycle.state is ServerState.SERVING:
            self.house.stop()
        for _ in range(3):
            self.settle()
            self.house.advance(1)
        self.settle()
        assert self.house.emptied
        assert self.socket.closed == 1
        assert [one.closed for one in self.callers] == [
            0 if one in self.socket.backlog else 1 for one in self.callers
        ]
        assert self.house.witness.faults() == []
        assert self.house.diary.lines == []
