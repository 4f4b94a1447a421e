"""The kernel, in memory: sockets, the selector and files, as far as the net room can tell.

The fakes are strict where the kernel is lenient: a descriptor is given back once, a file is closed
once, nobody touches a socket that is closed. What they are asked to do they do as the kernel would:
tests/net/test_transport.py holds them and real sockets to one contract.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from server.clock import Clock
from server.http1.messages import FileRegion
from server.net.listener import Listener, OutOfRoom
from server.net.poller import READ, WRITE
from server.net.transport import Address, Transport

ENDLESS = 1 << 40


class Pausing(Protocol):
    """Where a fake lets the test decide who goes on: `tests.stage.Stage`."""

    def pause(self, may_go: Callable[[], bool] = ...) -> None: ...


class Disk:
    """Files by descriptor, and how often each was closed."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1_000_000)
        self.files: dict[int, bytes] = {}
        self.closed: dict[int, int] = {}

    def region(self, content: bytes, *, claims: int | None = None) -> FileRegion:
        """An open file, all of it; or one that claims to be longer than it is."""
        number = next(self._numbers)
        self.files[number], self.closed[number] = content, 0

        def close() -> None:
            self.closed[number] += 1

        return FileRegion(number, 0, len(content) if claims is None else claims, close)


class FakeTransport:
    """One end of a TCP connection whose other end is the test's.

    `room` is what the kernel's send buffer still takes. `received` is all that the peer has got.
    """

    def __init__(self, descriptor: int, disk: Disk) -> None:
        self.descriptor = descriptor
        self.peer: Address = ("192.0.2.7", 50_000 + descriptor)
        self._disk = disk
        self._incoming = bytearray()
        self._peer_has_ended = False
        self._error: OSError | None = None
        self.abort_raises: OSError | None = None
        self.received = bytearray()
        self.room = ENDLESS
        self.has_ended = False
        self.aborted = False
        self.closed = 0
        self.unread_at_close = 0

    # --- the peer, played by the test -------------------------------------------------------

    def peer_sends(self, data: bytes) -> None:
        self._incoming += data

    def peer_ends(self) -> None:
        self._peer_has_ended = True

    def peer_resets(self) -> None:
        self._error = ConnectionResetError(104, "Connection reset by peer")
        self._incoming.clear()

    # --- what the selector sees -------------------------------------------------------------

    def readiness(self) -> int:
        broken = self._error is not None or self.aborted
        readable = broken or self._peer_has_ended or bool(self._incoming)
        writable = broken or self.room > 0
        return (READ if readable else 0) | (WRITE if writable else 0)

    # --- server.net.transport.Transport -----------------------------------------------------

    @property
    def local(self) -> Address:
        return ("192.0.2.1", 80)

    def receive(self, size: int) -> bytes | None:
        self._use()
        if self._incoming:
            data = bytes(self._incoming[:size])
            del self._incoming[:size]
            return data
        return b"" if self._peer_has_ended or self.aborted else None

    def send(self, data: bytes | memoryview) -> int:
        self._use(sending=True)
        taken = bytes(data[: self.room])
        self.received += taken
        self.room -= len(taken)
        return len(taken)

    def send_file(self, descriptor: int, offset: int, size: int) -> int | None:
        assert not self._disk.closed[descriptor], "a closed file is sent"
        content = self._disk.files[descriptor][offset : offset + size]
        self._use(sending=True)
        return self.send(content) if content else None

    def end(self) -> None:
        self._use()
        self.has_ended = True

    def abort(self) -> None:
        assert not self.closed, "a socket is aborted that nobody owns"
        if self.abort_raises is not None:
            raise self.abort_raises
        self.aborted = True

    def close(self) -> None:
        self.closed += 1
        assert self.closed == 1, "a descriptor is given back twice"
        self.unread_at_close = len(self._incoming)

    def _use(self, *, sending: bool = False) -> None:
        assert not self.closed, "a closed socket is used"
        if self._error is not None:
            raise self._error
        if sending and (self.has_ended or self.aborted):
            raise BrokenPipeError(32, "Broken pipe")


class FakePoller:
    """The selector over fake transports: one event per arming.

    `poll` waits in the stage's pause. `nudges` are descriptors that the test makes ready for no
    reason, as kernels may.
    """

    def __init__(self, clock: Clock, pausing: Pausing) -> None:
        self._clock = clock
        self._pausing = pausing
        self._readiness: dict[int, Callable[[], int]] = {}
        self.armed: dict[int, int] = {}
        self.nudges: set[int] = set()
        self.late_armings = 0
        self.polls = 0
        self._rung = False

    def expect(self, descriptor: int, readiness: Callable[[], int]) -> None:
        """The test's own: how to find out what a descriptor is ready for."""
        self._readiness[descriptor] = readiness

    def ready(self) -> list[int]:
        return [
            one
            for one, what in self.armed.items()
            if self._readiness[one]() & what or one in self.nudges
        ]

    def add(self, descriptor: int) -> None:
        assert descriptor not in self.armed, "a descriptor is added twice"
        self.armed[descriptor] = READ

    def arm(self, descriptor: int, what: int) -> None:
        self._pause_worker()
        if descriptor in self.armed:
            self.armed[descriptor] = what
        else:
            self.late_armings += 1

    def disarm(self, descriptor: int) -> None:
        del self.armed[descriptor]

    def poll(self, timeout_seconds: float | None) -> list[int]:
        until = float("inf")
        if timeout_seconds is not None:
            until = self._clock.monotonic() + timeout_seconds
        self._pausing.pause(
            lambda: self._rung or bool(self.ready()) or self._clock.monotonic() >= until
        )
        self.polls += 1
        ready = self.ready()
        self._rung = False
        self.nudges.clear()
        for one in ready:
            self.armed[one] = 0
        return ready

    def wake(self) -> None:
        self._pause_worker()
        self._rung = True
        self._pause_worker()

    def close(self) -> None:
        assert not any(self.armed.values()), "the selector is closed before its descriptors"

    def _pause_worker(self) -> None:
        # Between the arrow that hands a connection over and the call that tells of it.
        if threading.current_thread().name.startswith("worker"):
            self._pausing.pause()


class Porch(Listener):
    """A listener whose newcomers are the test's."""

    __slots__ = ("errors", "refused", "waiting")

    def __init__(self, listening: Named) -> None:
        super().__init__(listening)  # type: ignore[arg-type] # what it needs of a socket
        self.waiting: list[FakeTransport] = []
        self.errors: list[OSError] = []

    def accept(self) -> Transport | None:
        if self.errors:
            raise OutOfRoom(str(self.errors.pop(0)))
        return self.waiting.pop(0) if self.waiting else None

    def readiness(self) -> int:
        return READ if self.waiting or self.errors else 0


class Named:
    """As much of a listening socket as a listener needs to be made."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.closed = 0

    def setblocking(self, flag: bool) -> None:
        assert flag is False

    def fileno(self) -> int:
        return self._descriptor

    def getsockname(self) -> Address:
        return ("192.0.2.1", 80)

    def close(self) -> None:
        self.closed += 1


def lowest_free(taken: Callable[[int], bool]) -> Iterator[int]:
    """Descriptors as the kernel gives them: the lowest that is free."""
    while True:
        yield next(number for number in itertools.count(5) if not taken(number))
