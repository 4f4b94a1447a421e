"""What the pool's lock guards is touched by nobody who does not hold it: every arrow, the queue,
the sleepers, the crew and its books. Whatever the pool does, in any of its lives.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from server.net.crew import Crew
from server.net.pool import Pool
from server.net.sleepers import Sleepers
from server.net.worker import Worker
from statemachine import Binder, Engine
from statemachine._generated import JobState, PoolState
from tests.pool.faults import FaultyLock
from tests.pool.ledger import JOB_SECONDS, LATE_SECONDS, SYSTEM, Watched

OF_QUEUE = ("append", "appendleft", "popleft", "remove", "clear", "__iter__")
OF_SLEEPERS = ("lie_down", "wake", "wake_all", "note_taken", "wanted", "remove", "__contains__")
OF_WORKERS = ("__setitem__", "__delitem__", "pop", "__iter__", "__or__")
OF_THREADS = ("__setitem__", "__delitem__", "items")
OF_CREW = (
    *("standing", "census", "has_room", "sample", "seconds_stuck", "forget_ended", "lost"),
    *("ending", "note_death", "may_respawn", "note_enlisted", "note_started", "note_refused"),
)


class OwnedLock:
    """The pool's lock, which knows its holder; and an arrow's moment, at which it must have one."""

    def __init__(self, real: FaultyLock) -> None:
        self._real = real
        self._holder: int | None = None
        self.trespasses: list[str] = []
        self._arrow = threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        got = self._real.acquire(blocking, timeout)
        if got:
            self._holder = threading.get_ident()
        return got

    def release(self) -> None:
        self._holder = None
        self._real.release()

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def must_be_held(self, what: str) -> None:
        if self._holder != threading.get_ident():
            self.trespasses.append(f"{what} on thread {threading.current_thread().name}")


class Moments:
    """What `Monitor` enters at each arrow, on the thread that fires it."""

    def __init__(self, lock: OwnedLock) -> None:
        self._lock = lock
        self._mine = threading.Lock()

    def __enter__(self) -> object:
        self._lock.must_be_held("an arrow")
        return self._mine.acquire()

    def __exit__(self, *_: object) -> None:
        self._mine.release()


def guarded(kind: type[Any], names: Iterable[str], lock: OwnedLock) -> type[Any]:
    """A subclass whose methods, where the pool's own code calls them, note who lacks the lock."""

    def checked(name: str) -> Callable[..., object]:
        sound = getattr(kind, name)

        def method(*given: object, **named: object) -> object:
            if "/server/net/" in sys._getframe(1).f_code.co_filename:
                lock.must_be_held(f"{kind.__name__}.{name}")
            return sound(*given, **named)

        return method

    return type(kind.__name__, (kind,), {name: checked(name) for name in names})


class Guarded(Watched):
    """A watched pool whose every part notes trespasses; `close` audits them, too."""

    def __init__(self, engine: Engine, **settings: Any) -> None:
        super().__init__(engine, **settings)
        pool: Any = self.pool
        self.lock = OwnedLock(self.threads.locks[0])
        pool.lock = self.lock
        self.monitor._lock = Moments(self.lock)
        pool.queue = guarded(deque, OF_QUEUE, self.lock)()
        pool.sleepers = guarded(Sleepers, OF_SLEEPERS, self.lock)()
        crew = guarded(Crew, OF_CREW, self.lock)(
            stand_ins_max=pool.crew.stand_ins_max,
            late_seconds_max=LATE_SECONDS,
            job_seconds_max=JOB_SECONDS,
        )
        crew.workers = pool.workers = guarded(dict, OF_WORKERS, self.lock)()
        crew.quarantined = guarded(dict, OF_WORKERS, self.lock)()
        crew.threads = guarded(dict, OF_THREADS, self.lock)()
        pool.crew = crew
        pool._worker_type = Binder(SYSTEM, engine=engine, hook=self._hook()).bind(self._worker())

    def _hook(self) -> Any:
        def hook(model: Any, arrow: Any) -> None:
            self.recorder(model, arrow)
            self.monitor(model, arrow)

        return hook

    def _worker(self) -> type[Worker]:
        """Its `ident` is what tells whoever started it that it has begun."""
        lock = self.lock

        class Begun(Worker):
            __slots__ = ("begun",)

            @property
            def ident(self) -> int | None:
                return self.begun

            @ident.setter
            def ident(self, ident: int | None) -> None:
                if ident is not None:
                    lock.must_be_held("Worker.ident")
                self.begun = ident

        return Begun

    def audit(self) -> None:
        self.close()
        assert self.lock.trespasses == []


@pytest.fixture
def open_pool(engine: Engine) -> Callable[..., Guarded]:
    return lambda **settings: Guarded(engine, **settings)


Open = Callable[..., Guarded]


def test_a_whole_life(open_pool: Open) -> None:
    watched = open_pool(queue_jobs_max=3)
    pool, gate = watched.pool, threading.Event()
    pool.start(2)
    watched.settle()
    asked: list[bool] = []
    watched.offer(lambda: asked.append(pool.is_own_thread()))
    watched.settle()
    held = [watched.offer(int, gate) for _ in range(2)]
    watched.settle()
    queued = [watched.offer(int) for _ in range(4)]
    assert [job.state for job in queued] == [JobState.QUEUED] * 3 + [JobState.REFUSED]
    assert pool.withdraw(queued[1])
    assert not pool.withdraw(held[0])
    assert pool.withdraw_all() == 2
    gate.set()
    watched.settle()
    assert not pool.is_own_thread()
    assert asked == [True]
    watched.audit()


def test_lazy_offers(open_pool: Open) -> None:
    watched = open_pool()
    watched.pool.start(2)
    watched.settle()
    job = watched._job_type(int)
    watched.jobs.append(job)
    job.accepted_by_offer = watched.pool.offer(job, lazily=True)
    assert watched.pool.strained
    watched.pool.rouse(1.0, idle=True)
    watched.settle()
    assert job.state is JobState.RETURNED
    watched.audit()


def test_a_drain_with_jobs_in_the_queue(open_pool: Open) -> None:
    watched = open_pool()
    gate = threading.Event()
    watched.pool.start(1)
    watched.offer(int, gate)
    watched.offer(int)
    watched.audit()


def test_an_initializer_that_raises(open_pool: Open) -> None:
    def initializer() -> None:
        raise OSError

    watched = open_pool(initializer=initializer)
    watched.pool.start(1)
    watched.threads.until(lambda: watched.pool.state is PoolState.BROKEN, lost=watched.describe)
    watched.audit()


def test_workers_that_are_torn_out(open_pool: Open) -> None:
    watched = open_pool()
    watched.pool.start(2)
    watched.settle()
    watched.offer(watched.threads.tear_me)
    watched.settle()
    watched.threads.threads_left = 0
    watched.offer(watched.threads.tear_me)
    watched.settle()
    watched.audit()


def test_no_thread_to_begin_with(open_pool: Open) -> None:
    watched = open_pool()
    watched.threads.threads_left = 1
    with pytest.raises(RuntimeError, match="can't start new thread"):
        watched.pool.start(3)
    watched.audit()


def test_late_and_stuck_workers(open_pool: Open) -> None:
    watched = open_pool(stand_ins_max=1)
    gates = [threading.Event() for _ in range(2)]
    watched.pool.start(2)
    watched.settle()
    for gate in gates:
        watched.offer(int, gate)
    watched.settle()
    watched.supervise()
    watched.threads.threads_left = 0
    watched.supervise(LATE_SECONDS)
    watched.threads.threads_left = 10
    watched.supervise(LATE_SECONDS)
    gates[0].set()
    watched.settle()
    watched.supervise(JOB_SECONDS)
    gates[1].set()
    watched.settle()
    watched.audit()


def test_let_go(open_pool: Open) -> None:
    watched = open_pool()
    watched.pool.start(1)
    watched.settle()
    watched.pool.let_go()
    watched.audit()


def test_a_trespass_is_noticed(open_pool: Open) -> None:
    watched = open_pool()
    watched.pool.start(1)
    watched.settle()
    Pool._empty_queue_locked(watched.pool)
    watched.pool.drain_began()
    with watched.pool.lock:
        watched.pool.sleepers.wake_all(watched.pool.workers)
    watched.close()
    assert watched.lock.trespasses == [
        "deque.__iter__ on thread MainThread",
        "deque.clear on thread MainThread",
        "an arrow on thread MainThread",
    ]
