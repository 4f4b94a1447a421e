"""The simulation's kernel (`server.simulation.kernel`), as tests use it who say themselves who goes
on, and when.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from server.clock import Clock
from server.http1.messages import FileRegion
from server.net.listener import Listener, OutOfRoom
from server.net.poller import READ
from server.net.reservoir import Reservoir
from server.net.threads import SystemThreading
from server.net.transport import Address, Transport
from server.simulation.disk import Disk as SimulatedDisk
from server.simulation.kernel import ENDLESS, Descriptors, End, Selector


class Pausing(Protocol):
    """Where a fake lets the test decide who goes on: `tests.stage.Stage`."""

    def pause(self, may_go: Callable[[], bool] = ...) -> object: ...


class Disk(SimulatedDisk):
    """Files by descriptor, and how often each was closed. A pipe's files are real."""

    def __init__(self) -> None:
        super().__init__(Descriptors(first=1_000_000))
        self._numbers = itertools.count(1_000_000)
        self.closed: dict[int, int] = {}

    def region(self, content: bytes, *, claims: int | None = None) -> FileRegion:
        number = next(self._numbers)
        self.files[number], self.closed[number] = bytearray(content), 0

        def close() -> None:
            self.closed[number] += 1

        return FileRegion(number, 0, len(content) if claims is None else claims, close)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        if descriptor not in self.files:
            return os.pread(descriptor, size, offset)
        assert not self.closed[descriptor], "a closed file is sent"
        return super().pread(descriptor, size, offset)


FakeTransport = End
"""One end of a TCP connection whose other end is the test's."""


class FakePoller(Selector):
    """The selector over fake transports.

    `poll` waits in the stage's pause. `nudges` are descriptors that the test makes ready for no
    reason, as kernels may.
    """

    def __init__(self, clock: Clock, pausing: Pausing) -> None:
        super().__init__()
        self._clock = clock
        self._pausing = pausing
        self.nudges: set[int] = set()
        self._rung = False

    def is_ready(self, descriptor: int) -> bool:
        return descriptor in self.nudges or super().is_ready(descriptor)

    def control(self, descriptor: int, what: int) -> bool:
        self._pause_worker()
        return super().control(descriptor, what)

    def poll(self, timeout_seconds: float | None) -> list[int]:
        until = float("inf")
        if timeout_seconds is not None:
            until = self._clock.monotonic() + timeout_seconds
        self._pausing.pause(
            lambda: self._rung or bool(self.ready()) or self._clock.monotonic() >= until
        )
        ready = self.collect()
        self._rung = False
        self.nudges.clear()
        return ready

    def wake(self) -> None:
        self._pause_worker()
        self._rung = True
        self._pause_worker()

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


def endless_reservoir() -> Reservoir:
    """Room for everything that a test keeps."""
    return Reservoir(SystemThreading(), memory_bytes_max=ENDLESS, file_bytes_max=ENDLESS)


def lowest_free(taken: Callable[[int], bool]) -> Iterator[int]:
    """Descriptors as the kernel gives them: the lowest that is free."""
    while True:
        yield next(number for number in itertools.count(5) if not taken(number))
