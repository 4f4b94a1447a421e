"""`ThreadPool`: the pool as a library, with the contract of `concurrent.futures.Executor`.

    with ThreadPool(4) as pool:
        pool.execute(lambda: print("a job"))
        print(pool.submit(pow, 2, 10).result())

Jobs wait in one unbounded queue and each runs exactly once. At the interpreter's end, what was
submitted is still run.

A pool does not outlive a fork: in the child none of its threads runs, so that it is broken there,
and what was submitted is the parent's to run. Make the pool after the fork.

A signal handler must not call a pool: it may interrupt a thread that holds the pool's lock.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.thread import BrokenThreadPool
from typing import ParamSpec, TypeVar, cast

from server.net.pool import Job, Pool
from server.net.threads import Threading
from statemachine import Binder, Engine, Hook, System, tables
from statemachine._generated import JobState, PoolState

P = ParamSpec("P")
T = TypeVar("T")

BROKEN = "a thread's initializer raised, or threads died and none can be had: the pool is broken"


@functools.cache
def _system() -> System:
    system = tables()
    if system is None:
        from statemachine.loader import load_system  # noqa: PLC0415 - seldom needed, and large

        system = load_system()
    return system


_numbers = itertools.count()


class _Register:
    """The pools whose end the interpreter's own end waits for. Threads: any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # None once the interpreter has begun to end: nobody would drain a pool that came later.
        self._pools: weakref.WeakSet[Pool] | None = weakref.WeakSet()

    def add(self, pool: Pool) -> None:
        """Raises RuntimeError at the interpreter's end."""
        with self._lock:
            if self._pools is None:
                raise RuntimeError("cannot start a thread pool after interpreter shutdown")
            self._pools.add(pool)

    def close(self) -> None:
        """At the interpreter's end: take no more jobs anywhere, and run what was submitted."""
        with self._lock:
            pools, self._pools = list(self._pools or ()), None
        for pool in pools:
            pool.drain()
        for pool in pools:
            pool.join()

    def forget(self) -> None:
        """In a forked child: the threads are its parent's, and the lock may be held by one."""
        pools = list(self._pools or ())
        self._lock, self._pools = threading.Lock(), weakref.WeakSet()
        for pool in pools:
            pool.forked()


_register = _Register()


class ThreadPool(Executor):
    """`size` threads that begin jobs in the order in which they were submitted.

    `initializer(*initargs)` runs first on each thread; if it raises, the pool is broken and
    `submit` raises BrokenThreadPool. `engine` and `hook` are those of `statemachine.Binder`;
    `facade` replaces `threading`. Raises ValueError for a size that is not a whole number of at
    least 1, TypeError for an initializer that cannot be called, and RuntimeError if the system has
    no thread to give.
    """

    def __init__(  # noqa: PLR0913 - the Executor's settings and our own, by keyword
        self,
        size: int,
        *,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[object, ...] = (),
        engine: Engine = "sealed",
        hook: Hook | None = None,
        facade: Threading | None = None,
    ) -> None:
        if not _is_size(size):
            raise ValueError(f"a thread pool's size is a whole number of at least 1, not {size!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, and {initializer!r} is not")
        binder = Binder(_system(), engine=engine, hook=hook)
        self._call_type, self._plain_type = binder.bind(_Call), binder.bind(_Plain)
        self._pool = binder.bind(Pool)(
            binder,
            prefix=thread_name_prefix or f"ThreadPool-{next(_numbers)}",
            initializer=None if initializer is None else lambda: initializer(*initargs),
            facade=facade,
        )
        self._size = size
        _register.add(self._pool)
        # A pool that nobody holds any more lets its threads go, as soon as its jobs are done.
        weakref.finalize(self, self._pool.let_go).atexit = False
        self._pool.start(size)

    @property
    def size(self) -> int:
        """How many threads the pool was asked to have."""
        return self._size

    def execute(self, job: Callable[[], object]) -> None:
        """Run `job` on one of the threads. What it raises is logged; its result is dropped.

        Raises TypeError if it cannot be called, RuntimeError after `shutdown`.
        """
        if not callable(job):
            raise TypeError(f"a job must be callable, and {job!r} is not")
        self._offer(self._plain_type(job))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(*args, **kwargs)` on one of the threads; returns its future.

        Raises RuntimeError after `shutdown`, BrokenThreadPool if an initializer raised.
        """
        future: Future[object] = Future()
        self._offer(self._call_type(future, lambda: fn(*args, **kwargs)))
        return cast("Future[T]", future)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more jobs; what was submitted still runs, unless `cancel_futures`.

        With `wait`, returns when the last thread has ended. Raises RuntimeError, and does nothing,
        if one of the pool's own jobs would wait for that.
        """
        if wait and self._pool.is_own_thread():
            raise RuntimeError("a job cannot wait for its own pool's end: shutdown(wait=False) can")
        self._pool.drain()
        if cancel_futures:
            self._pool.withdraw_all()
        if wait:
            self._pool.join()

    def _offer(self, job: Job) -> None:
        if not self._pool.offer(job):
            if self._pool.state is PoolState.BROKEN:
                raise BrokenThreadPool(BROKEN)
            raise RuntimeError("cannot schedule new futures after shutdown")


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size >= 1


class _Plain(Job):
    """A function to call. What it raises is the pool's to log."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__()
        self.function = function

    def run(self) -> None:
        self.function()


class _Call(Job):
    """A function to call, and the future that waits for its result."""

    __slots__ = ("function", "future")

    def __init__(self, future: Future[object], function: Callable[[], object]) -> None:
        super().__init__()
        self.future = future
        self.function = function

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 - the future's owner is told, whatever it is
            self.future.set_exception(error)
            # The exception holds this frame and this frame the future, which holds the exception.
            del self
        else:
            self.future.set_result(result)

    def dropped(self, error: BaseException | None) -> None:
        future = self.future
        if error is None:
            if future.cancel():
                future.set_running_or_notify_cancel()
            return
        if self.state is not JobState.ABANDONED:
            error = BrokenThreadPool(BROKEN)
        # Its owner may have cancelled it; and a worker may die when the result is there already.
        if future.running() or (_waits(future) and future.set_running_or_notify_cancel()):
            future.set_exception(error)


def _waits(future: Future[object]) -> bool:
    return future.cancelled() or not future.done()


# `threading` waits for all threads before `atexit` runs anything, so that threads which wait for
# jobs must be told earlier. `concurrent.futures` uses the same hook for the same reason; where it
# is missing, `atexit` with threads that nobody waits for would be the second best.
getattr(threading, "_register_atexit", atexit.register)(_register.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_register.forget)
