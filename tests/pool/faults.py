"""A `Threading` whose locks and threads fail on request, and which tells when the pool moved.

Nothing here sleeps: `until` waits on a condition that every release of the pool's lock notifies.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from server.net.threads import Lock, Thread


class Patience:
    """How long anything may take before a test calls it lost. Nothing that is well comes near it.

    The first loss uses it up, so that hypothesis can shrink a history that hangs.
    """

    def __init__(self) -> None:
        self.seconds_max = 20.0

    def lost(self, what: str) -> AssertionError:
        self.seconds_max = 1.0
        return AssertionError(f"lost: {what}")


PATIENCE = Patience()


class Torn(BaseException):
    """What kills a worker: no job raised it."""


class FaultyLock:
    """A real lock. An `acquire` raises Torn once for each fault that was laid into it.

    A thread that was told `tear_me` is torn before it gets the lock; a lock that was told `tear`
    tears whoever gets it next, after the fact, as an asynchronous exception would.
    """

    def __init__(self, threads: FaultyThreading, *, announces: bool) -> None:
        self._real = threading.Lock()
        self._threads = threads
        self._announces = announces
        self._tears = 0
        self.release_raises: BaseException | None = None

    def tear(self) -> None:
        self._tears += 1

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if blocking:
            self._threads.tear_if_told()
        got = self._real.acquire(blocking, timeout)
        if got and blocking and self._tears:
            self._tears -= 1
            self._real.release()
            raise Torn
        return got

    def release(self) -> None:
        error, self.release_raises = self.release_raises, None
        if error is not None:
            raise error
        self._real.release()
        if self._announces:
            self._threads.announce()

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class FaultyThreading:
    """The system's threads, of which only so many can be had. The first lock is the pool's own."""

    def __init__(self) -> None:
        self.threads_left = 1_000_000
        self.locks: list[FaultyLock] = []
        self._moved = threading.Condition()
        self._told: Counter[int] = Counter()

    def Lock(self) -> Lock:
        # The other locks are released with the pool's lock held, and `until` takes that one.
        lock = FaultyLock(self, announces=not self.locks)
        self.locks.append(lock)
        return lock

    def Thread(self, *, target: Callable[[], object], name: str, daemon: bool) -> Thread:
        return _Thread(self, threading.Thread(target=target, name=name, daemon=daemon))

    def get_ident(self) -> int:
        return threading.get_ident()

    def tear_me(self, times: int = 1) -> None:
        """So many of the calling thread's next calls of `acquire` raise Torn."""
        self._told[threading.get_ident()] += times

    def tear_if_told(self) -> None:
        me = threading.get_ident()
        if self._told[me] > 0:
            self._told[me] -= 1
            raise Torn

    def announce(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def until(self, happened: Callable[[], bool], *, lost: Callable[[], str]) -> None:
        """Wait until `happened()`, which is asked without the pool's lock. `lost` says what is."""

        def under_lock() -> bool:
            with self.locks[0]._real:
                return happened()

        with self._moved:
            if not self._moved.wait_for(under_lock, PATIENCE.seconds_max):
                raise PATIENCE.lost(lost())


class _Thread:
    def __init__(self, threads: FaultyThreading, real: threading.Thread) -> None:
        self._threads = threads
        self._real = real

    def start(self) -> None:
        if self._threads.threads_left < 1:
            raise RuntimeError("can't start new thread")
        self._threads.threads_left -= 1
        self._real.start()

    def join(self, timeout: float | None = None) -> None:
        self._real.join(timeout)

    def is_alive(self) -> bool:
        return self._real.is_alive()
