"""A job, and the worker that runs it: what each owns, and what its machine asks of it.

Their events are fired under the lock of `server.net.pool`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from statemachine._generated import JobMachine, JobState, PoolState, WorkerMachine, WorkerState

if TYPE_CHECKING:
    from server.net.pool import Pool

LOG = logging.getLogger("interlock.pool")


class Job(JobMachine):
    """One piece of work. Subclasses say what `run` does, and may hear of it in `dropped`.

    Threads: `run` is called at most once, by the worker that owns the job. `dropped` is called, at
    most once, by the thread that withdrew the job or broke the pool, or by the one that buries its
    dead worker. An Exception that it raises is logged.
    """

    __slots__ = ("pool",)
    pool: Pool

    def run(self) -> None:
        """Do the work. Whatever it raises makes the job RAISED, and is logged."""

    def dropped(self, error: BaseException | None) -> None:
        """The job came to WITHDRAWN, or to ABANDONED, and no longer runs.

        `error` is what broke the pool or killed the worker; None if the job was taken back.
        """

    def pool_accepts(self) -> bool:
        pool = self.pool
        return pool.state is PoolState.SERVING and len(pool.queue) < pool.queue_jobs_max


class Worker(WorkerMachine):
    """One thread and at most one job.

    `wake` is locked while there is nothing to hear. Whoever takes the worker out of the pool's list
    of sleepers releases it, once: a wake-up is never lost, and never spent twice. `ident` is its
    thread's, or None until that thread has begun.
    """

    __slots__ = ("ident", "job", "name", "pool", "took_at", "wake")

    def __init__(self, pool: Pool, name: str) -> None:
        super().__init__()
        self.pool = pool
        self.name = name
        self.ident: int | None = None
        self.job: Job | None = None
        self.took_at = 0.0
        self.wake = pool.threading.Lock()
        self.wake.acquire()

    def die_locked(self) -> list[Job]:
        """Come to DEAD, torn out anywhere; returns the job that was begun and not ended, if any.

        It may have been torn out in the middle of a joint step, with a job in its hands that is not
        begun yet or has ended. The first goes back into the queue; the second needs nobody.
        """
        job = self.job
        if self.state not in (WorkerState.STOPPED, WorkerState.DEAD):
            self.died()
        if job is not None and job.state is JobState.QUEUED:
            self.pool.queue.appendleft(job)
        if job is None or job.state is not JobState.RUNNING:
            return []
        job.abandoned()
        return [job]

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
