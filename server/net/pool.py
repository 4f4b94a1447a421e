"""The pool: workers, fed from one queue. It knows no HTTP.

How a job goes through: `offer` accepts it into the queue, a worker takes it, runs it and ends it.
Each of these moves is an arrow of spec/job.toml, taken under one lock together with its partner in
spec/worker.toml.

Guarantees:

- a job that was accepted is run by exactly one worker, at most once, or withdrawn by name;
- a worker sleeps only when no job is queued that another wake-up has not been spent on;
- whatever a job raises, `BaseException` included, ends the job and not the worker;
- a worker that dies all the same ends its job with it, hands its wake-up on, and is replaced;
- the pool is STOPPED only when no worker lives and the queue is empty;
- a drain ends in STOPPED, also when the pool breaks during it.

Threads: `offer`, `withdraw`, `drain` and `join` may be called from any thread, but none of them
from a signal handler or a finalizer, which may run on a thread that holds the lock: those have
`let_go`. What ends in `_locked` needs the lock held. Jobs run, and are told of their end, outside
the lock.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable

from server.net.sleepers import Sleepers
from server.net.threads import SystemThreading, Thread, Threading
from server.net.worker import Job, Worker, tell_dropped
from statemachine import Binder
from statemachine._generated import JobState, PoolMachine, PoolState, WorkerState

__all__ = ["Job", "Pool", "Worker"]

LOG = logging.getLogger("interlock.pool")


class Pool(PoolMachine):
    """A fixed number of workers and one queue.

    `queue_jobs_max` bounds the queue. `initializer` runs first on each worker's thread; if it
    raises, the pool breaks. Daemon threads do not keep the process alive.
    """

    __slots__ = (
        "__weakref__", "_daemon", "_ended", "_initializer", "_lock", "_prefix", "_sleepers",
        "_spawned", "_threads", "_worker_type", "queue", "queue_jobs_max", "replaced",
        "threading", "workers",
    )  # fmt: skip

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
        self._sleepers = Sleepers()
        self._threads: list[Thread] = []
        self._lock = self.threading.Lock()
        # Locked until the pool is STOPPED: `join` waits on it. Released at the arrow into STOPPED.
        self._ended = self.threading.Lock()
        self._ended.acquire()

    def start(self, size: int) -> None:
        """Start `size` workers. Raises RuntimeError if the system has no thread to give.

        The workers that were started by then are let go. Also raises RuntimeError after a drain.
        """
        with self._lock:
            if self.state is not PoolState.SERVING:
                raise RuntimeError("a pool that was drained cannot be started")
            # All are counted before the first one runs: the pool is not STOPPED between two starts.
            workers = [self._enlist_locked() for _ in range(size)]
        try:
            for worker in workers:
                self._give_thread(worker)
        except BaseException as error:
            with self._lock:
                jobs = [job for worker in workers for job in self._write_off_locked(worker)]
            tell_dropped(jobs, error)
            self.drain()
            raise

    # --- what the outside asks for ----------------------------------------------------------

    def offer(self, job: Job, *, lazily: bool = False) -> bool:
        """Take the job into the queue. False: refused; the pool is not SERVING, or it is full.

        `lazily`, nobody is woken for it: the caller promises to call `rouse` when it has no more
        jobs at hand, and about every ROUSE_SECONDS as long as the pool is `strained`.
        """
        job.pool = self
        with self._lock:
            if not job.pool_accepts():
                job.refused()
                return False
            job.accepted()
            self.queue.append(job)
            # Woken under the lock, although outside it would do: a KeyboardInterrupt between the
            # two would leave a worker asleep that nobody knows of.
            if not lazily:
                self._sleepers.wake()
        return True

    @property
    def strained(self) -> bool:
        """Whether jobs are queued while workers sleep. Read without the lock: a hint."""
        return bool(self.queue and self._sleepers)

    def rouse(self, now: float, *, idle: bool) -> None:
        """Wake whom the queue needs: the lazy offers' other half. See `Sleepers.wanted`."""
        with self._lock:
            awake = len(self.workers) - len(self._sleepers)
            self._sleepers.wake(self._sleepers.wanted(len(self.queue), awake, now, idle=idle))

    def withdraw(self, job: Job) -> bool:
        """Take a queued job back. False: a worker was faster, and the job is its own."""
        # A deadline and a worker may come together. Whoever moves the job out of QUEUED under the
        # lock owns it; the other finds it moved and does nothing.
        with self._lock:
            if job.state is not JobState.QUEUED:
                return False
            self.queue.remove(job)
            job.withdrawn()
        tell_dropped([job], None)
        return True

    def withdraw_all(self) -> int:
        """Take every queued job back, oldest first; returns how many there were."""
        with self._lock:
            jobs = self._empty_queue_locked()
        tell_dropped(jobs, None)
        return len(jobs)

    def drain(self) -> None:
        """Accept no more; what is queued is still run, then the workers stop.

        May be called again, to no effect.
        """
        with self._lock:
            jobs = self._drain_locked()
        tell_dropped(jobs, RuntimeError("the pool was never started"))

    def let_go(self) -> None:
        """Drain, now or soon, without waiting for the lock: for finalizers and signal handlers.

        Both may interrupt a thread that holds the lock, which would then wait for itself.
        """
        if self._lock.acquire(blocking=False):
            try:
                jobs = self._drain_locked()
            finally:
                self._lock.release()
            tell_dropped(jobs, RuntimeError("the pool was never started"))
            return
        # `threading.Thread` takes a lock of its own, which the same thread may hold. RuntimeError:
        # no thread can be had any more. At the interpreter's end somebody else drains the pool.
        with contextlib.suppress(RuntimeError):
            _thread.start_new_thread(self.drain, ())

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the pool is STOPPED and its threads have ended. False: not within the time.

        Raises RuntimeError on a worker of this pool, which would wait for itself.
        """
        if self.is_own_thread():
            raise RuntimeError("a job cannot wait for the end of the pool that runs it")
        if not self._ended.acquire(timeout=-1 if timeout_seconds is None else timeout_seconds):
            return False
        self._ended.release()
        # The last worker has left its loop; its thread is at its very end.
        for thread in self._threads:
            thread.join()
        return True

    def forked(self) -> None:
        """In a forked child, where no worker runs: the pool is BROKEN, and a drain ends at once.

        The jobs are the parent's: nobody is told of them here.
        """
        # Copies of what other threads may have held at the moment of the fork.
        self._lock, self._ended = self.threading.Lock(), self.threading.Lock()
        for crowd in (self.queue, self.workers, self._sleepers, self._threads):
            crowd.clear()
        if self.state is not PoolState.STOPPED:
            self._ended.acquire()
            self._break_locked()
            self._end_if_deserted_locked()

    def is_own_thread(self) -> bool:
        """Whether the calling thread is one of this pool's workers."""
        me = threading.get_ident()
        with self._lock:
            return any(worker.ident == me for worker in self.workers)

    def no_worker_lives(self) -> bool:
        return not self.workers

    # --- a worker's life, on its own thread -------------------------------------------------

    def _give_thread(self, worker: Worker) -> None:
        """Start the worker's thread. Raises RuntimeError if the system has none to give."""
        thread = self.threading.Thread(
            target=lambda: self._live(worker), name=worker.name, daemon=self._daemon
        )
        thread.start()
        self._threads.append(thread)

    def _live(self, worker: Worker) -> None:
        """The whole life of a worker's thread."""
        try:
            if self._begin(worker) and self._set_up(worker):
                self._loop(worker)
        except BaseException as error:  # noqa: BLE001 - the loop itself failed: it dies by name
            self._bury(worker, error)

    def _begin(self, worker: Worker) -> bool:
        # Whoever started the thread may have been interrupted, and have written the worker off.
        with self._lock:
            if worker.state is WorkerState.DEAD:
                return False
            worker.ident = threading.get_ident()
        return True

    def _set_up(self, worker: Worker) -> bool:
        try:
            if self._initializer is not None:
                self._initializer()
        except BaseException as error:
            LOG.critical(
                "%s: the initializer raised: the pool is broken", worker.name, exc_info=error
            )
            with self._lock:
                worker.initializer_raised()
                jobs = self._break_locked()
                self._leave_locked(worker)
            tell_dropped(jobs, error)
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
            if error is None:
                job.returned()
            else:
                job.raised()
            worker.finished()
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
                self._sleepers.lie_down(worker)
            worker.wake.acquire()

    def _bury(self, worker: Worker, error: BaseException) -> None:
        """The loop around the jobs failed: end the job by name, and put a worker in its place."""
        LOG.critical("%s died", worker.name, exc_info=error)
        with self._lock:
            if worker in self._sleepers:
                self._sleepers.remove(worker)
            abandoned = worker.die_locked()
            wanted = self.state is PoolState.SERVING or bool(self.queue)
        try:
            tell_dropped(abandoned, error)
        finally:
            if wanted:
                self._replace()
            with self._lock:
                jobs = self._leave_locked(worker)
            tell_dropped(jobs, error)

    def _replace(self) -> None:
        """Start a worker in a dead one's place, which is still counted among the living."""
        with self._lock:
            worker = self._enlist_locked()
        try:
            self._give_thread(worker)
        except (RuntimeError, MemoryError) as error:
            LOG.critical("no thread can be started in a dead worker's place", exc_info=error)
            with self._lock:
                self._write_off_locked(worker)
                # The wake-up that the dead one was sent is another's now.
                if self.queue:
                    self._sleepers.wake()
        else:
            with self._lock:
                self.replaced += 1

    # --- under the lock ---------------------------------------------------------------------

    def _enlist_locked(self) -> Worker:
        """A new worker, counted among the living from here on."""
        worker = self._worker_type(self, f"{self._prefix}_{self._spawned}")
        self._spawned += 1
        self.workers.add(worker)
        return worker

    def _write_off_locked(self, worker: Worker) -> list[Job]:
        """Let a worker go whose thread has not begun, and which must not begin any more."""
        if worker.ident is not None or worker.state is not WorkerState.STARTING:
            return []
        worker.died()
        return self._leave_locked(worker)

    def _take_locked(self, worker: Worker) -> Job | None:
        self._sleepers.note_taken(worker)
        worker.took_job()
        job = worker.job
        assert job is not None
        job.taken()
        return job

    def _leave_locked(self, worker: Worker) -> list[Job]:
        """Count the worker out; returns the jobs that nobody is left to run."""
        self.workers.discard(worker)
        return self._end_if_deserted_locked()

    def _end_if_deserted_locked(self) -> list[Job]:
        # A worker is dismissed only when nothing is accepted and the queue is empty. So the last
        # one leaves jobs behind, or a pool that accepts some, only if it died without successor.
        if self.workers:
            return []
        wanted = self.state is PoolState.SERVING or bool(self.queue)
        jobs = self._break_locked() if wanted else []
        if self.state is PoolState.DRAINING:
            self.workers_ended()
            self._ended.release()
        return jobs

    def _empty_queue_locked(self) -> list[Job]:
        jobs = list(self.queue)
        self.queue.clear()
        for job in jobs:
            job.withdrawn()
        return jobs

    def _break_locked(self) -> list[Job]:
        """Move to BROKEN; returns the jobs that were queued. A drain that had begun goes on."""
        draining = self.state is PoolState.DRAINING
        jobs = self._empty_queue_locked()
        self.broke()
        if draining:
            self.drain_began()
        self._sleepers.wake_all(self.workers)
        return jobs

    def _drain_locked(self) -> list[Job]:
        if self.state in (PoolState.SERVING, PoolState.BROKEN):
            self.drain_began()
        self._sleepers.wake_all(self.workers)
        return self._end_if_deserted_locked()
