"""The pool: workers, fed from one queue. It knows no HTTP.

How a job goes through: `offer` accepts it into the queue, a worker takes it, runs it and ends it.
Each of these moves is an arrow of spec/job.toml, taken under one lock with its partner in
spec/worker.toml. Guarantees:

- a job that was accepted is run by exactly one worker, at most once, or withdrawn by name;
- a worker sleeps only when no job is queued that another wake-up has not been spent on;
- whatever a job raises, `BaseException` included, ends the job and not the worker;
- a worker that dies all the same ends its job with it, hands its wake-up on, and is replaced;
- the pool is STOPPED only when no worker lives but those in quarantine, and the queue is empty;
- a drain ends in STOPPED, also when the pool breaks during it, as long as jobs end.

Supervised, by calls of `supervise` from start to end, late workers get stand-ins, and stuck ones
lose their jobs (see `server.net.crew`); a place for which no thread can be had is filled later.

Threads: `offer`, `withdraw`, `drain` and `join` may be called from any thread, but none of them
from a signal handler or a finalizer, which may run on a thread that holds the lock: those have
`let_go`. `supervise` may be called from any thread, by one at a time. What ends in `_locked` needs
the lock held. Jobs run, and are told of their end, outside the lock.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from server.net.crew import RESPAWNS_MAX, Census, Crew, report
from server.net.sleepers import Sleepers
from server.net.threads import SystemThreading, Threading
from server.net.worker import NEVER_LENT, Job, Leading, Worker, tell_dropped
from statemachine import Binder, GuardRefused
from statemachine._generated import JobState, PoolMachine, PoolState, WorkerState

__all__ = ["Census", "Job", "Pool", "Worker"]
LOG = logging.getLogger("interlock.pool")


class Pool(PoolMachine):
    """A fixed number of places for workers, and one queue.

    `queue_jobs_max` bounds the queue. `initializer` runs first on each worker's thread; if it
    raises, the pool breaks. Daemon threads do not keep the process alive. `stand_ins_max`,
    `late_seconds_max` and `job_seconds_max` are those of Config, for a pool that is supervised.
    """

    __slots__ = (
        "__weakref__", "_daemon", "_ended", "_prefix", "_spawned", "_worker_type", "baton", "crew",
        "initializer", "lock", "queue", "queue_jobs_max", "sleepers", "threading", "workers",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - a pool's settings, by keyword
        self,
        binder: Binder,
        *,
        queue_jobs_max: float = float("inf"),
        prefix: str = "worker",
        initializer: Callable[[], object] | None = None,
        daemon: bool = False,
        facade: Threading | None = None,
        stand_ins_max: int = 0,
        late_seconds_max: float = float("inf"),
        job_seconds_max: float = 0.0,
    ) -> None:
        super().__init__()
        self.queue_jobs_max = queue_jobs_max
        self.queue: deque[Job] = deque()
        self.crew = Crew(
            stand_ins_max=stand_ins_max,
            late_seconds_max=late_seconds_max,
            job_seconds_max=job_seconds_max,
        )
        self.workers = self.crew.workers
        self.threading: Threading = facade or SystemThreading()
        self._worker_type = binder.bind(Worker)
        self._prefix = prefix
        self.initializer = initializer
        self._daemon = daemon
        self._spawned = 0
        self.sleepers = Sleepers()
        self.baton: Leading = NEVER_LENT
        self.lock = self.threading.Lock()
        # Locked until the pool is STOPPED: `join` waits on it. Released at the arrow into STOPPED.
        self._ended = self.threading.Lock()
        self._ended.acquire()

    def start(self, size: int) -> None:
        """Start `size` workers. Raises RuntimeError if the system has no thread to give.

        The workers that were started by then are let go. Also raises RuntimeError after a drain.
        """
        try:
            with self._starting() as workers:
                with self.lock:
                    if self.state is not PoolState.SERVING:
                        raise RuntimeError("a pool that was drained cannot be started")
                    self.crew.places = size
                    # All are counted before the first one runs: the pool is not STOPPED between.
                    workers.extend(self._enlist_locked() for _ in range(size))
                for worker in workers:
                    self._give_thread(worker)
        except BaseException:
            self.drain()
            raise

    def offer(self, job: Job, *, lazily: bool = False) -> bool:
        """Take the job into the queue. False: refused; the pool is not SERVING, or it is full.

        `lazily`, nobody is woken for it: the caller promises to call `rouse` when it has no more
        jobs at hand, and about every ROUSE_SECONDS as long as the pool is `strained`.
        """
        job.pool = self
        with self.lock:
            try:
                job.accepted()
            except GuardRefused:
                job.refused()
                return False
            self.queue.append(job)
            # Woken under the lock, although outside it would do: a KeyboardInterrupt between the
            # two would leave a worker asleep that nobody knows of.
            if not lazily:
                self.sleepers.wake()
        return True

    @property
    def strained(self) -> bool:
        """Whether jobs are queued while workers sleep. Read without the lock: a hint."""
        return bool(self.queue and self.sleepers)

    def rouse(self, now: float, *, idle: bool) -> None:
        """Wake whom the queue needs: the lazy offers' other half. See `Sleepers.wanted`."""
        with self.lock:
            self.sleepers.rouse(len(self.queue), self.workers, now, idle=idle)

    def withdraw(self, job: Job) -> bool:
        """Take a queued job back. False: a worker was faster, and the job is its own."""
        # A deadline and a worker may come together. Whoever moves the job out of QUEUED under the
        # lock owns it; the other finds it moved and does nothing.
        with self.lock:
            if job.state is not JobState.QUEUED:
                return False
            self.queue.remove(job)
            job.withdrawn()
            self._end_if_idle_locked()
        tell_dropped([job], None)
        return True

    def withdraw_all(self) -> int:
        """Take every queued job back, oldest first; returns how many there were."""
        with self.lock:
            jobs = self._empty_queue_locked()
            self._end_if_idle_locked()
        tell_dropped(jobs, None)
        return len(jobs)

    def drain(self) -> None:
        """Accept no more; what is queued is still run, then the workers stop.

        May be called again, to no effect.
        """
        with self.lock:
            jobs = self._drain_locked()
        tell_dropped(jobs, RuntimeError("the pool was never started"))

    def let_go(self) -> None:
        """Drain, now or soon, without waiting for the lock: for finalizers and signal handlers.

        Both may interrupt a thread that holds the lock, which would then wait for itself.
        """
        if self.lock.acquire(blocking=False):
            try:
                jobs = self._drain_locked()
            finally:
                self.lock.release()
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
        with self.lock:
            ending = self.crew.ending()
        # The last worker has left its loop; its thread is at its very end.
        for thread in ending:
            thread.join()
        return True

    def forked(self) -> None:
        """In a forked child, where no worker runs: the pool is BROKEN, and a drain ends at once.

        The jobs are the parent's: nobody is told of them here.
        """
        # Copies of what other threads may have held at the moment of the fork.
        self.lock, self._ended = self.threading.Lock(), self.threading.Lock()
        self.crew.clear()
        self.queue.clear()
        self.sleepers.clear()
        if self.state is not PoolState.STOPPED:
            self._ended.acquire()
            self.break_locked()
            self._end_if_deserted_locked()

    def is_own_thread(self) -> bool:
        """Whether the calling thread is one of this pool's workers, in quarantine or not."""
        me = self.threading.get_ident()
        with self.lock:
            return any(one.ident == me for one in self.workers | self.crew.quarantined)

    def change_places(self) -> None:
        self.crew.places = self.crew.wanted

    def no_worker_lives(self) -> bool:
        return not self.workers

    def supervise(self, now: float) -> Census:
        """See who is late or stuck, fill the places that are empty, and return the numbers.

        `now` are seconds of a clock that does not go back. Whoever calls this once promises to go
        on, about every quarter of a second, until the pool is STOPPED.
        """
        with self.lock:
            late, revoked = self.crew.sample(now)
            lost = self.crew.lost()
            self._end_if_idle_locked()
        for one in revoked:
            tell_dropped([one.job], one.error)
        for worker in lost:
            self.bury(worker, RuntimeError("its thread has ended"))
        self.fill(self.crew.places)
        # Only now: what is logged may have to wait for whoever reads it.
        report(late, revoked)
        with self.lock:
            return self.crew.census()

    # --- workers come and go ----------------------------------------------------------------

    @contextlib.contextmanager
    def _starting(self) -> Iterator[list[Worker]]:
        """Write off who was enlisted, and had not begun when the block failed."""
        workers: list[Worker] = []
        try:
            yield workers
        except BaseException as error:
            try:
                self._write_off(workers, error)
            except BaseException:  # torn out of that, too: once more
                self._write_off(workers, error)
                raise
            raise

    def _write_off(self, workers: Iterable[Worker], error: BaseException) -> None:
        with self.lock:
            jobs = [job for worker in workers for job in self._write_off_locked(worker)]
        tell_dropped(jobs, error)

    def _give_thread(self, worker: Worker) -> None:
        """Start the worker's thread. Raises RuntimeError if the system has none to give."""
        thread = self.threading.Thread(target=worker.live, name=worker.name, daemon=self._daemon)
        thread.start()
        with self.lock:
            self.crew.threads[worker] = thread

    def fill(self, most: int) -> None:
        """Start workers in at most so many empty places, as far as they are wanted and allowed."""
        for _ in range(most):
            replaces = False
            try:
                with self._starting() as workers:
                    replaces = self._enlist_wanted(workers)
                    if not workers:
                        return
                    self._give_thread(workers[0])
            except (RuntimeError, MemoryError) as error:
                with self.lock:
                    first = self.crew.note_refused(replaces=replaces)
                if first:  # and not at every sample until one can be had
                    LOG.critical("no thread can be started in an empty place", exc_info=error)
                return
            with self.lock:
                self.crew.note_started(replaces=replaces)

    def _enlist_wanted(self, workers: list[Worker]) -> bool:
        """Add one for an empty place to `workers`, if any. True: it replaces a dead one."""
        with self.lock:
            if self._wants_workers_locked() and self.crew.has_room():
                self.crew.forget_ended()
                workers.append(self._enlist_locked())
                return self.crew.note_enlisted()
            return False

    def bury(self, worker: Worker, error: BaseException) -> None:
        """The loop around the jobs failed: end the job by name, and put a worker in its place."""
        LOG.critical("%s died", worker.name, exc_info=error)
        with self.lock:
            if worker in self.sleepers:
                self.sleepers.remove(worker)
            worker.die_locked()
            at_once = self.crew.may_respawn(self.sleepers.taken)
        try:
            worker.tell_estate(error)
        finally:
            # It is counted among the living until its successor is.
            if at_once:
                self.fill(1)
            else:
                LOG.critical("%s is not replaced: %d died in a row", worker.name, RESPAWNS_MAX)
            with self.lock:
                jobs = self.leave_locked(worker)
                # The wake-up that the dead one was sent is another's now.
                if self.queue:
                    self.sleepers.wake()
                    self.baton.nudge_locked()
            tell_dropped(jobs, error)
            self.crew.alarm(f"{worker.name} died")

    # --- under the lock ---------------------------------------------------------------------

    def _enlist_locked(self) -> Worker:
        """A new worker, counted among the living from here on."""
        worker = self._worker_type(self, f"{self._prefix}_{self._spawned}")
        self._spawned += 1
        self.workers[worker] = None
        return worker

    def _write_off_locked(self, worker: Worker) -> list[Job]:
        """Let a worker go whose thread has not begun, and which must not begin any more."""
        if worker.ident is not None or worker.state is not WorkerState.STARTING:
            return []
        worker.died()
        return self.leave_locked(worker)

    def _wants_workers_locked(self) -> bool:
        """Whether there is, or may come, something to do."""
        return self.state is PoolState.SERVING or bool(self.queue)

    def leave_locked(self, worker: Worker) -> list[Job]:
        """Count the worker out; returns the jobs that nobody is left to run."""
        self.baton.give_back_locked(worker)
        self.workers.pop(worker, None)
        self.crew.quarantined.pop(worker, None)
        return self._end_if_deserted_locked()

    def _end_if_idle_locked(self) -> None:
        """What was queued is gone, or stuck: nobody may be left who would end the drain."""
        if self.state is PoolState.DRAINING and not self.queue:
            self._end_if_deserted_locked()

    def _end_if_deserted_locked(self) -> list[Job]:
        # A worker is dismissed only when nothing is accepted and the queue is empty. So the last
        # one leaves jobs behind, or a pool that accepts some, only if it died without successor.
        if self.workers:
            return []
        wanted = self._wants_workers_locked()
        if wanted and self.crew.places and self.crew.sampled_at is not None:
            return []  # whoever supervises the pool fills its places as soon as that can be done
        jobs = self.break_locked() if wanted else []
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

    def break_locked(self) -> list[Job]:
        """Move to BROKEN; returns the jobs that were queued. A drain that had begun goes on."""
        draining = self.state is PoolState.DRAINING
        jobs = self._empty_queue_locked()
        self.broke()
        if draining:
            self.drain_began()
        self.sleepers.wake_all(self.workers)
        self.baton.recall_locked()
        return jobs

    def _drain_locked(self) -> list[Job]:
        if self.state in (PoolState.SERVING, PoolState.BROKEN):
            self.drain_began()
        self.sleepers.wake_all(self.workers)
        self.baton.recall_locked()
        return self._end_if_deserted_locked()
