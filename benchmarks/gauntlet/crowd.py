"""Clients by the thousand in one thread: non-blocking sockets, a selector, and a heap of times."""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import struct
import time
from collections.abc import Callable
from enum import Enum

from benchmarks.gauntlet.answer import Answer

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: close() becomes a reset."""
TURN_SECONDS_MAX = 0.05


class Phase(Enum):
    """Where a client is; the last three are ends."""

    CONNECTING = "connecting"
    SENDING = "sending"
    WAITING = "waiting"
    ANSWERED = "answered"
    CUT = "cut"
    LEFT = "left"


OVER = {Phase.ANSWERED, Phase.CUT, Phase.LEFT}


class Client:
    """One connection, and one request at a time on it. Made by Crowd.ask.

    `began`, `sent_at` and `ended_at` are the crowd's seconds. `rate` is the bytes of the request
    that are sent in a second, None for all at once. A client that does not `read` leaves the
    response where it is; `read_rate` reads so many bytes a second.
    """

    def __init__(self, crowd: Crowd, request: bytes, rate: float | None) -> None:
        self.crowd = crowd
        self.phase = Phase.CONNECTING
        self.answer = Answer()
        self.rate = rate
        self.prompt = 0
        self.reads = True
        self.read_rate: float | None = None
        self.began = crowd.now()
        self.sent_at: float | None = None
        self.ended_at: float | None = None
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = memoryview(request)

    @property
    def over(self) -> bool:
        """Nothing more will come of its present request."""
        return self.phase in OVER

    @property
    def took(self) -> float:
        """Seconds from its beginning to its end, or until now."""
        return (self.crowd.now() if self.ended_at is None else self.ended_at) - self.began

    @property
    def status(self) -> int:
        """The status of a whole answer; 0 if there is none."""
        return self.answer.status if self.phase is Phase.ANSWERED else 0

    def ask_again(self, request: bytes) -> None:
        """Another request on the same connection. Its last one must have been answered."""
        assert self.phase is Phase.ANSWERED
        self.answer = Answer()
        self._rest = memoryview(request)
        self.began, self.sent_at, self.ended_at = self.crowd.now(), None, None
        self.phase = Phase.SENDING
        self._send()

    def leave(self, *, reset: bool = False) -> None:
        """Closes the connection, as a client that has lost its patience does."""
        if reset and self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._end(self.phase if self.over else Phase.LEFT)
        self._close()

    def connect(self, port: int) -> None:
        """Begins to connect; the crowd goes on from there."""
        self.socket.connect_ex(("127.0.0.1", port))
        self.crowd.watch(self, WRITE)

    def ready(self, mask: int) -> None:
        """The selector has something for it."""
        if self.phase is Phase.CONNECTING:
            self._connected()
        elif mask & WRITE:
            self._send()
        if mask & READ and self.open:
            self._receive()

    def _connected(self) -> None:
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._cut()
        else:
            self.phase = Phase.SENDING
            self._send()

    def _send(self) -> None:
        try:
            taken = self.socket.send(self._rest[: (self.prompt or 1) if self.rate else None])
            self.prompt = 0
        except BlockingIOError:
            taken = 0
        except OSError:
            # The server may have answered before it closed: that is still to be read.
            self._rest = self._rest[:0]
            self._listen()
            return
        self._rest = self._rest[taken:]
        if not self._rest:
            self.sent_at = self.crowd.now()
            self.phase = Phase.WAITING
            self._listen()
        elif self.rate:
            self._listen()
            self.crowd.later(1 / self.rate, self._trickle)
        else:
            self.crowd.watch(self, READ | WRITE)

    def _trickle(self) -> None:
        if self.phase is Phase.SENDING and self._rest:
            self._send()

    def _listen(self) -> None:
        if self.reads:
            self.crowd.watch(self, READ)
            return
        self.crowd.unwatch(self)
        if self.read_rate:
            self.crowd.later(1 / self.read_rate, self._sip)

    def _sip(self) -> None:
        if not self.over and self.read_rate:
            self.crowd.later(1 / self.read_rate, self._sip)
            self._receive(1)

    def _receive(self, bytes_max: int = 262_144) -> None:
        try:
            data = self.socket.recv(bytes_max)
        except BlockingIOError:
            return
        except OSError:
            self._cut()
            return
        if not data:
            whole = self.phase is Phase.ANSWERED or self.answer.ends_with_connection
            self._cut(Phase.ANSWERED if whole else Phase.CUT)
            return
        try:
            self.answer.receive(data)
        except ValueError:
            self._cut()
            return
        if self.answer.whole:
            self._end(Phase.ANSWERED)

    def _end(self, phase: Phase) -> None:
        if not self.over:
            self.phase = phase
            self.ended_at = self.crowd.now()

    def _cut(self, phase: Phase = Phase.CUT) -> None:
        self._end(phase)
        self._close()

    def _close(self) -> None:
        self.crowd.unwatch(self)
        self.socket.close()

    @property
    def open(self) -> bool:
        """Our end is open, and the server's as far as we have been told."""
        return self.socket.fileno() >= 0


class Crowd:
    """All clients of one server. `run` lets time pass for them; nothing happens outside of it."""

    def __init__(self, port: int, now: Callable[[], float] = time.monotonic) -> None:
        self.port = port
        self.now = now
        self.clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        self._times: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def ask(
        self,
        request: bytes,
        *,
        rate: float | None = None,
        prompt: int = 0,
        reads: bool = True,
        read_rate: float | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> Client:
        """A new client, which connects and asks. `prompt` bytes are sent before `rate` counts."""
        client = Client(self, request, rate)
        client.prompt = prompt
        client.reads, client.read_rate = reads and read_rate is None, read_rate
        if receive_buffer_bytes is not None:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.clients.append(client)
        client.connect(self.port)
        return client

    def gather(self, count: int, make: Callable[[], Client]) -> list[Client]:
        """So many clients, a millisecond apart: a listener's short backlog is not what is asked."""
        clients = []
        for _ in range(count):
            clients.append(make())
            self.run(0.001)
        return clients

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets so much time pass, or less: whether `until` came true."""
        end = self.now() + seconds
        while not until():
            left = end - self.now()
            if left <= 0:
                return False
            if self._times:
                left = min(left, self._times[0][0] - self.now())
            for key, mask in self._selector.select(max(0.0, min(left, TURN_SECONDS_MAX))):
                if key.fileobj is key.data.socket and key.data.open:
                    key.data.ready(mask)
            while self._times and self._times[0][0] <= self.now():
                heapq.heappop(self._times)[2]()
        return True

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls it after so much time, within `run`."""
        heapq.heappush(self._times, (self.now() + seconds, next(self._numbers), call))

    def watch(self, client: Client, mask: int) -> None:
        """Wakes the client for these events, and no others."""
        if client.socket.fileno() in self._selector.get_map():
            self._selector.modify(client.socket, mask, client)
        else:
            self._selector.register(client.socket, mask, client)

    def unwatch(self, client: Client) -> None:
        """Wakes the client for nothing."""
        if client.open and client.socket.fileno() in self._selector.get_map():
            self._selector.unregister(client.socket)

    def leave(self, *, reset: bool = False) -> None:
        """All clients close their connections."""
        for client in self.clients:
            client.leave(reset=reset)

    def close(self) -> None:
        """The end of the crowd, and of its selector."""
        self.leave()
        self._selector.close()


def get(path: str, *fields: str) -> bytes:
    """A GET request, whole."""
    lines = [f"GET {path} HTTP/1.1", "Host: gauntlet", *fields, "", ""]
    return "\r\n".join(lines).encode("ascii")


def post(path: str, content: bytes) -> bytes:
    """A POST request, whole."""
    lines = [f"POST {path} HTTP/1.1", "Host: gauntlet", f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("ascii") + content
