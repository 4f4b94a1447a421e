"""A job, and the worker that runs it: what each owns, and what its machine asks of it.

Their events are fired under the lock of `server.net.pool`. A worker's life runs on its own thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from statemachine import GuardRefused
from statemachine._generated import JobMachine, JobState, PoolState, WorkerMachine, WorkerState

if TYPE_CHECKING:
    from server.net.pool import Pool

LOG = logging.getLogger("interlock.pool")

IDLE, QUARANTINED = WorkerState.IDLE, WorkerState.QUARANTINED
SERVING = PoolState.SERVING


class Lease(Protocol):
    """What a job may hold while it must not be taken from its worker. `threading.Lock` is one."""

    def acquire(self, blocking: bool = True) -> bool: ...
    def release(self) -> None: ...


class _Free:
    """The lease of a job that touches nothing but its own: it may be taken away at any time."""

    def acquire(self, blocking: bool = True) -> bool:  # noqa: ARG002 - nobody ever waits
        return True

    def release(self) -> None:
        pass


FREE: Final[Lease] = _Free()


class Leading(Protocol):
    """What a worker may do between its jobs besides looking for one: see `baton`. `holder` is the
    worker that does, and `runner` the same one where it is quick: then it runs what it reads. What
    ends in `_locked` needs the pool's lock.
    """

    holder: Worker | None
    runner: Worker | None

    def leads_locked(self, worker: Worker) -> bool:
        """Whether the worker, which has found no job, does it."""

    def lead(self) -> None:
        """Do it once, without the lock."""

    def begin_locked(self) -> None:
        """The holder takes a job."""

    def give_back_locked(self, worker: Worker) -> None:
        """The worker leaves, or is dead."""

    def nudge_locked(self) -> None:
        """A job is queued, and the holder may not look."""

    def recall_locked(self) -> None:
        """The workers are let go."""


class Broken(BaseException):
    """A worker that runs a job in a turn of the reactor's has failed beside it, of `cause`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause


class _NeverLent:
    """What a worker does in a pool of jobs alone: it sleeps."""

    def __init__(self) -> None:
        self.holder: Worker | None = None
        self.runner: Worker | None = None

    def leads_locked(self, worker: Worker) -> bool:  # noqa: ARG002 - see Leading
        return False

    def lead(self) -> None:
        raise AssertionError("nobody leads here")

    def give_back_locked(self, worker: Worker) -> None:
        pass

    def begin_locked(self) -> None:
        pass

    def nudge_locked(self) -> None:
        pass

    def recall_locked(self) -> None:
        pass


NEVER_LENT = _NeverLent()


class Job(JobMachine):
    """One piece of work. Subclasses say what `run` does, and may hear of it in `dropped`.

    A job that outlasts the pool's `job_seconds_max` is taken from its worker, but only while nobody
    holds its `lease`. `run` holds it wherever it touches what others would have to take over, and
    when it has it again finds by its state whether it is still its own.

    Threads: `run` is called at most once, by the worker that owns the job. `dropped` is called, at
    most once, by the thread that withdrew the job, took it from its worker or broke the pool, or by
    the one that buries its dead worker. An Exception that it raises is logged.
    """

    __slots__ = ("lease", "pool")
    pool: Pool
    lease: Lease

    def __init__(self, lease: Lease = FREE) -> None:
        JobMachine.__init__(self)
        self.lease = lease

    def run(self) -> None:
        """Do the work. Whatever it raises makes the job RAISED, and is logged."""

    def dropped(self, error: BaseException | None) -> None:
        """The job came to WITHDRAWN or ABANDONED, and no longer runs; or to REVOKED.

        A REVOKED one may still run, and what it does counts for nothing. `error` is what broke the
        pool or killed the worker, or says that the job took too long; None if it was taken back.
        """

    def pool_accepts(self) -> bool:
        pool = self.pool
        return pool.state is SERVING and len(pool.queue) < pool.queue_jobs_max


class Worker(WorkerMachine):
    """One thread and at most one job.

    `wake` is locked while there is nothing to hear. Whoever takes the worker out of the pool's list
    of sleepers releases it, once: a wake-up is never lost, and never spent twice. `ident` is its
    thread's, or None until that thread has begun. `taken` is the number of the last job that it
    took, counted by the pool; `seen` the one that a sample saw it with first at `seen_at`. `estate`
    is the job that it died with, until that is told.
    """

    __slots__ = (
        "estate", "ident", "job", "name", "pool", "seen", "seen_at", "taken", "took_at", "wake",
    )  # fmt: skip

    def __init__(self, pool: Pool, name: str) -> None:
        super().__init__()
        self.pool = pool
        self.name = name
        self.ident: int | None = None
        self.job: Job | None = None
        self.estate: Job | None = None
        self.took_at = 0.0
        # Numbers, and no job: a sample keeps nobody's objects alive.
        self.taken = self.seen = 0
        self.seen_at = 0.0
        self.wake = pool.threading.Lock()
        self.wake.acquire()

    # --- its life, on its own thread --------------------------------------------------------

    def live(self) -> None:
        """The whole life of the worker's thread."""
        try:
            if self._begin() and self._set_up():
                self._loop()
        except BaseException as error:  # noqa: BLE001 - the loop itself failed: it dies by name
            try:
                self.pool.bury(self, error)
            except BaseException as again:  # noqa: BLE001 - torn out of that, too: once more
                self.pool.bury(self, again)

    def _begin(self) -> bool:
        # Whoever started the thread may have been interrupted, and have written the worker off.
        with self.pool.lock:
            if self.state is WorkerState.DEAD:
                return False
            self.ident = self.pool.threading.get_ident()
        return True

    def _set_up(self) -> bool:
        try:
            if self.pool.initializer is not None:
                self.pool.initializer()
        except BaseException as error:
            LOG.critical(
                "%s: the initializer raised: the pool is broken", self.name, exc_info=error
            )
            with self.pool.lock:
                self.initializer_raised()
                jobs = self.pool.break_locked()
                self.pool.leave_locked(self)
            tell_dropped(jobs, error)
            return False
        with self.pool.lock:
            self.started()
        return True

    def _loop(self) -> None:
        job = self._wait_for_job()
        while job is not None:
            # No name here outlives the job: a sleeping worker keeps nobody's objects alive.
            job = self._settle(job, self._run(job))
            if job is None:
                job = self._wait_for_job()

    def _run(self, job: Job) -> BaseException | None:
        """Run it; what it raised is returned."""
        try:
            job.run()
        except BaseException as raised:
            LOG.error("%s: a job raised", self.name, exc_info=raised)
            self.pool.crew.alarm(f"{self.name}: a job raised")
            return raised
        return None

    def run_at_once(self, job: Job) -> bool:
        """Offer a job, and run it here and now: on the worker's own thread, which leads. False: it
        leads no longer. Where others are to have the job it is queued, or it is REFUSED. Raises
        Broken where the worker has failed with the job in its hands, and dies of it.
        """
        pool = self.pool
        job.pool = pool
        try:
            with pool.lock:
                try:  # as in `Pool.offer`
                    job.accepted()
                except GuardRefused:
                    job.refused()
                    return True
                pool.queue.append(job)
                if pool.baton.runner is not self or len(pool.queue) > 1:
                    return True
                self._take_locked()
            self._settle(job, self._run(job), takes=False)
        except BaseException as error:
            if self.state is IDLE:
                raise
            raise Broken(error) from None
        # It is taken from nobody who is in no job: what is true now stays true until the next one.
        return pool.baton.holder is self

    def _settle(self, job: Job, error: BaseException | None, *, takes: bool = True) -> Job | None:
        """End the job that was run; a worker that `takes` one takes the next, if there is one."""
        pool = self.pool
        with pool.lock:
            if self.state is not QUARANTINED:
                if error is None:
                    job.returned()
                else:
                    job.raised()
                self.finished()
                if self.state is IDLE:
                    if not takes or not pool.queue or self._retires_locked():
                        return None
                    return self._take_locked()
                # It was late, and a stand-in has its place.
                pool.leave_locked(self)
                return None
            # Stuck no longer. Nothing that it holds is its own: the job ended without it.
            self.woke()
            pool.leave_locked(self)
            seconds = pool.crew.seconds_stuck(self)
        LOG.warning("%s woke: it was stuck for %.1f seconds, or a little more", self.name, seconds)
        return None

    def _wait_for_job(self) -> Job | None:
        """Sleep until there is a job, and take it. None: none will come, or the worker stopped."""
        pool, baton = self.pool, self.pool.baton
        while True:
            with pool.lock:
                if self.state is not IDLE or self._retires_locked():
                    return None
                leads = baton.leads_locked(self)
                if pool.queue:
                    if leads:
                        baton.begin_locked()
                    return self._take_locked()
                if pool.state is not SERVING:
                    self.dismissed()
                    pool.leave_locked(self)
                    return None
                if not leads:
                    pool.sleepers.lie_down(self)
            if leads:
                baton.lead()
            else:
                self.wake.acquire()

    def _take_locked(self) -> Job | None:
        self.pool.sleepers.note_taken(self)
        self.took_job()
        job = self.job
        assert job is not None
        job.taken()
        return job

    def _retires_locked(self) -> bool:
        """Leave, if the pool has fewer places than workers."""
        pool = self.pool
        if len(pool.workers) <= pool.crew.places or not self.is_surplus():
            return False
        self.retired()
        pool.leave_locked(self)
        # The wake-up that it may have been sent for a job is another's now.
        if pool.queue:
            pool.sleepers.wake()
        return True

    def die_locked(self) -> None:
        """Come to DEAD, torn out anywhere. A job that was begun and not ended is its `estate`.

        It may have been torn out in the middle of a joint step, with a job in its hands that is not
        begun yet or has ended. The first goes back into the queue; the second needs nobody.
        """
        job = self.job
        self.pool.baton.give_back_locked(self)
        if self.state not in (WorkerState.STOPPED, WorkerState.DEAD):
            self.died()
            self.pool.crew.note_death()
        if job is None:
            return
        if job.state is JobState.QUEUED:
            self.pool.queue.appendleft(job)
        elif job.state is JobState.RUNNING:
            job.abandoned()
            self.estate = job

    def tell_estate(self, error: BaseException) -> None:
        """Tell the job that the worker left, if it has not been told."""
        # Whoever tells it may be torn out of that, and another then comes here after it.
        job, self.estate = self.estate, None
        if job is not None:
            tell_dropped([job], error)

    def place_is_taken(self) -> bool:
        return self.pool.crew.standing() >= self.pool.crew.places

    def is_surplus(self) -> bool:
        return self.pool.crew.standing() > self.pool.crew.places

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


def tell_dropped(jobs: Iterable[Job], error: BaseException | None) -> None:
    """Tell each job that it was dropped. One that fails does not keep it from the others."""
    for job in jobs:
        try:
            job.dropped(error)
        except Exception:
            LOG.exception("a job failed when it was told that it was dropped")
