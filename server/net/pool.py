"""The pool: workers, fed from one queue. It knows no HTTP.

How a job goes through: `offer` accepts it into the queue, a worker takes it, runs it and ends it.
Each of these moves is an arrow of spec/job.toml, taken under one lock together with its partner in
spec/worker.toml.

Guarantees:

- a job that was accepted is run by exactly one worker, at most once, or withdrawn by name;
- a worker sleeps only when no job is queued that another wake-up has not been spent on;
- whatever a job raises, `BaseException` included, ends the job and not the worker;
- a worker that dies all the same ends its job with it and is replaced;
- the pool is STOPPED only when no worker lives and the queue is empty.

Threads: `offer`, `withdraw`, `drain` and `join` may be called from any thread. What ends in
`_locked` needs the lock held. Jobs run, and are told of their end, outside the lock.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from statemachine import Binder
from statemachine._generated import JobMachine, JobState, PoolMachine, PoolState, WorkerMachine

LOG = logging.getLogger("interlock.pool")


class Lock(AbstractContextManager[object], Protocol):
    """A lock that any thread may release, like `threading.Lock`."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class Thread(Protocol):
    """A thread, like `threading.Thread`."""

    def start(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


class Threading(Protocol):
    """What the pool takes from `threading`, so that a scheduler under test can slip beneath it."""

    def Lock(self) -> Lock: ...  # noqa: N802 - the name that `threading` gives it
    def Thread(  # noqa: N802 - the name that `threading` gives it
        self, *, target: Callable[[], object], name: str, daemon: bool
    ) -> Thread: ...


class SystemThreading:
    """The operating system's threads."""

    def Lock(self) -> Lock:  # noqa: N802 - see Threading
        return threading.Lock()

    def Thread(  # noqa: N802 - see Threading
        self, *, target: Callable[[], object], name: str, daemon: bool
    ) -> Thread:
        return threading.Thread(target=target, name=name, daemon=daemon)


class Job(JobMachine):
    """One piece of work. Subclasses say what `run` does, and may hear of it in `dropped`.

    Threads: `run` is called at most once, by the worker that owns the job. `dropped` is called, at
    most once, by the thread that withdrew the job, or by the one that buries its dead worker.
    """

    __slots__ = ("pool",)
    pool: Pool

    def run(self) -> None:
        """Do the work. Whatever it raises makes the job RAISED, and is logged."""

    def dropped(self, error: BaseException | None) -> None:
        """The job came to WITHDRAWN, or with `error`, which killed its worker, to ABANDONED."""

    def pool_accepts(self) -> bool:
        pool = self.pool
        return pool.state is PoolState.SERVING and len(pool.queue) < pool.queue_jobs_max


class Worker(WorkerMachine):
    """One thread and at most one job.

    `wake` is locked while there is nothing to hear. Whoever takes the worker out of the pool's list
    of sleepers releases it, once: a wake-up is never lost, and never spent twice.
    """

    __slots__ = ("job", "name", "pool", "wake")

    def __init__(self, pool: Pool, name: str) -> None:
        super().__init__()
        self.pool = pool
        self.name = name
        self.job: Job | None = None
        self.wake = pool.threading.Lock()
        self.wake.acquire()

    def queue_has_job(self) -> bool:
        return len(self.pool.queue) > 0

    def no_job_will_come(self) -> bool:
        return self.pool.state is not PoolState.SERVING and not self.pool.queue

    def owns_job(self) -> bool:
        return self.job is not None

    def take_job(self) -> None:
        self.job = self.pool.queue.popleft()

    def drop_job(self) -> None:
        self.job = None


class Pool(PoolMachine):
    """A fixed number of workers and one queue.

    `queue_jobs_max` bounds the queue. `initializer` runs first on each worker's thread; if it
    raises, the pool breaks. Daemon threads do not keep the process alive.
    """

    __slots__ = (
        "__weakref__",
        "_daemon",
        "_ended",
        "_initializer",
        "_lock",
        "_prefix",
        "_sleepers",
        "_spawned",
        "_threads",
        "_worker_type",
        "queue",
        "queue_jobs_max",
        "replaced",
        "threading",
        "workers",
    )

    def __init__(
        self,
        binder: Binder,
        *,
        queue_jobs_max: float = float("inf"),
        prefix: str = "worker",
        initializer: Callable[[], object] | None = None,
        daemon: bool = False,
        facade: Threading | None = None,
    ) -> None:
        super().__init__()
        self.queue_jobs_max = queue_jobs_max
        self.queue: deque[Job] = deque()
        self.workers: set[Worker] = set()
        self.replaced = 0
        self.threading: Threading = facade or SystemThreading()
        self._worker_type = binder.bind(Worker)
        self._prefix = prefix
        self._initializer = initializer
        self._daemon = daemon
        self._spawned = 0
        self._sleepers: list[Worker] = []
        self._threads: list[Thread] = []
        self._lock = self.threading.Lock()
        # Locked until the pool is STOPPED: `join` waits on it. Released at the arrow into STOPPED.
        self._ended = self.threading.Lock()
        self._ended.acquire()

    def start(self, size: int) -> None:
        """Start `size` workers. Raises RuntimeError if the system has no thread to give.

        The workers that were started by then are let go.
        """
        try:
            for _ in range(size):
                self._spawn()
        except RuntimeError:
            self.drain()
            raise

    # --- what the outside asks for ----------------------------------------------------------

    def offer(self, job: Job) -> bool:
        """Take the job into the queue.

        False: refused, because the pool is not SERVING or the queue is full.
        """
        job.pool = self
        with self._lock:
            if not job.pool_accepts():
                job.refused()
                return False
            job.accepted()
            self.queue.append(job)
            sleeper = self._sleepers.pop() if self._sleepers else None
        if sleeper is not None:
            sleeper.wake.release()
        return True

    def withdraw(self, job: Job) -> bool:
        """Take a queued job back. False: a worker was faster, and the job is its own."""
        # A deadline and a worker may come together. Whoever moves the job out of QUEUED under the
        # lock owns it; the other finds it moved and does nothing.
        with self._lock:
            if job.state is not JobState.QUEUED:
                return False
            self.queue.remove(job)
            job.withdrawn()
        job.dropped(None)
        return True

    def withdraw_all(self) -> int:
        """Take every queued job back, oldest first; returns how many there were."""
        with self._lock:
            jobs = self._empty_queue_locked()
        for job in jobs:
            job.dropped(None)
        return len(jobs)

    def drain(self) -> None:
        """Accept no more; what is queued is still run, then the workers stop.

        May be called again, to no effect.
        """
        with self._lock:
            if self.state in (PoolState.SERVING, PoolState.BROKEN):
                self.drain_began()
            self._rouse_all_locked()
            self._stop_if_empty_locked()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the pool is STOPPED and its threads have ended. False: not within the time."""
        if not self._ended.acquire(timeout=-1 if timeout_seconds is None else timeout_seconds):
            return False
        self._ended.release()
        # The last worker has left its loop; its thread is at its very end.
        for thread in self._threads:
            thread.join()
        return True

    def no_worker_lives(self) -> bool:
        return not self.workers

    # --- a worker's life, on its own thread -------------------------------------------------

    def _spawn(self) -> None:
        """Start one worker. Raises RuntimeError if the system has no thread to give."""
        with self._lock:
            worker = self._worker_type(self, f"{self._prefix}_{self._spawned}")
            self._spawned += 1
            self.workers.add(worker)
        thread = self.threading.Thread(
            target=lambda: self._live(worker), name=worker.name, daemon=self._daemon
        )
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                worker.died()
                self._leave_locked(worker)
            raise
        self._threads.append(thread)

    def _live(self, worker: Worker) -> None:
        """The whole life of a worker's thread."""
        if not self._set_up(worker):
            return
        try:
            self._loop(worker)
        except BaseException as error:  # noqa: BLE001 - the loop itself failed: it dies by name
            self._bury(worker, error)

    def _set_up(self, worker: Worker) -> bool:
        try:
            if self._initializer is not None:
                self._initializer()
        except BaseException:
            LOG.critical(
                "%s: the initializer raised: the pool is broken", worker.name, exc_info=True
            )
            with self._lock:
                jobs = self._empty_queue_locked()
                worker.initializer_raised()
                self.broke()
                self._leave_locked(worker)
                self._rouse_all_locked()
            for job in jobs:
                job.dropped(None)
            return False
        with self._lock:
            worker.started()
        return True

    def _loop(self, worker: Worker) -> None:
        job = self._wait_for_job(worker)
        while job is not None:
            error: BaseException | None = None
            try:
                job.run()
            except BaseException as raised:
                error = raised
                LOG.error("%s: a job raised", worker.name, exc_info=raised)
            # No name here outlives the job: a sleeping worker keeps nobody's objects alive.
            job, error = self._settle(worker, job, error), None
            if job is None:
                job = self._wait_for_job(worker)

    def _settle(self, worker: Worker, job: Job, error: BaseException | None) -> Job | None:
        """End the job that was run, and take the next one if there is one."""
        with self._lock:
            worker.finished()
            if error is None:
                job.returned()
            else:
                job.raised()
            return self._take_locked(worker) if self.queue else None

    def _wait_for_job(self, worker: Worker) -> Job | None:
        """Sleep until there is a job, and take it. None: none will come, and the worker stopped."""
        while True:
            with self._lock:
                if self.queue:
                    return self._take_locked(worker)
                if self.state is not PoolState.SERVING:
                    worker.dismissed()
                    self._leave_locked(worker)
                    return None
                self._sleepers.append(worker)
            worker.wake.acquire()

    def _bury(self, worker: Worker, error: BaseException) -> None:
        """The loop around the jobs failed: end the job by name, and put a worker in its place."""
        LOG.critical("%s died", worker.name, exc_info=error)
        with self._lock:
            job = worker.job
            if worker in self._sleepers:
                self._sleepers.remove(worker)
            worker.died()
            if job is not None:
                job.abandoned()
            wanted = self.state is PoolState.SERVING or bool(self.queue)
        if job is not None:
            job.dropped(error)
        if wanted:
            self._replace()
        with self._lock:
            self._leave_locked(worker)

    def _replace(self) -> None:
        """Start a worker in a dead one's place, which is still counted among the living."""
        try:
            self._spawn()
            self.replaced += 1
        except RuntimeError:
            LOG.critical("no thread can be started in a dead worker's place", exc_info=True)
            with self._lock:
                last = len(self.workers) == 1 and self.state is not PoolState.BROKEN
                jobs = self._empty_queue_locked() if last else []
                if last:
                    self.broke()
            for job in jobs:
                job.dropped(None)

    # --- under the lock ---------------------------------------------------------------------

    def _take_locked(self, worker: Worker) -> Job | None:
        worker.took_job()
        job = worker.job
        assert job is not None
        job.taken()
        return job

    def _leave_locked(self, worker: Worker) -> None:
        self.workers.discard(worker)
        self._stop_if_empty_locked()

    def _stop_if_empty_locked(self) -> None:
        # In DRAINING nothing is accepted, and a worker leaves only when the queue is empty: so the
        # queue is empty when the last one goes.
        if self.state is PoolState.DRAINING and not self.workers:
            self.workers_ended()
            self._ended.release()

    def _empty_queue_locked(self) -> list[Job]:
        jobs = list(self.queue)
        self.queue.clear()
        for job in jobs:
            job.withdrawn()
        return jobs

    def _rouse_all_locked(self) -> None:
        # Once the pool is not SERVING no worker goes to sleep any more. All are woken, even while
        # jobs are queued: whoever slept on would sleep for ever.
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            sleeper.wake.release()
