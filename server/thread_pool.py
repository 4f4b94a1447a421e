"""`ThreadPool`: the pool as a library, with the contract of `concurrent.futures.Executor`.

    with ThreadPool(4) as pool:
        pool.execute(lambda: print("a job"))
        print(pool.submit(pow, 2, 10).result())

Jobs wait in one unbounded queue and each runs exactly once. At the interpreter's end, what was
submitted is still run.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.thread import BrokenThreadPool
from typing import ParamSpec, TypeVar, cast

from server.net.pool import Job, Pool, Threading
from statemachine import Binder, Engine, Hook, load_system
from statemachine._generated import PoolState

P = ParamSpec("P")
T = TypeVar("T")

BROKEN = "a thread's initializer raised, or threads died and none can be had: the pool is broken"

_system = functools.cache(load_system)
_numbers = itertools.count()
_living: weakref.WeakSet[Pool] = weakref.WeakSet()


class ThreadPool(Executor):
    """`size` threads that run jobs, in the order in which they were submitted.

    `initializer(*initargs)` runs first on each thread; if it raises, the pool is broken and
    `submit` raises BrokenThreadPool. `engine` and `hook` are those of `statemachine.Binder`;
    `facade` replaces `threading`. Raises ValueError for a size that is not a whole number of at
    least 1, and TypeError for an initializer that cannot be called.
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
        _living.add(self._pool)
        # A pool that nobody holds any more lets its threads go, as soon as its jobs are done.
        weakref.finalize(self, self._pool.drain).atexit = False
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

        With `wait`, returns when the last thread has ended.
        """
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
        if error is not None:
            self.future.set_exception(error)
        elif self.pool.state is PoolState.BROKEN:
            self.future.set_exception(BrokenThreadPool(BROKEN))
        elif self.future.cancel():
            self.future.set_running_or_notify_cancel()


def _drain_all() -> None:
    """At the interpreter's end: take no more jobs anywhere, and run what was submitted."""
    pools = list(_living)
    for pool in pools:
        pool.drain()
    for pool in pools:
        pool.join()


# `threading` waits for all threads before `atexit` runs anything, so that threads which wait for
# jobs must be told earlier. `concurrent.futures` uses the same hook for the same reason; where it
# is missing, `atexit` with threads that nobody waits for would be the second best.
getattr(threading, "_register_atexit", atexit.register)(_drain_all)
