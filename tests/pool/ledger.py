"""A pool under watch: every job kept in a ledger, every arrow held against the spec."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from server.net.pool import Census, Job, Pool
from server.net.worker import FREE, Lease
from statemachine import Binder, Engine, load_system
from statemachine._generated import JobState, PoolState, WorkerState
from statemachine.trace import Monitor, Recorder, both, illegal_steps
from tests.clock import ManualClock
from tests.pool.faults import PATIENCE, FaultyThreading, Torn

SYSTEM = load_system()

LATE_SECONDS, JOB_SECONDS = 2.0, 30.0


class Noted(Job):
    """A job that counts what happens to it. `work` is what it does; a `gate` holds it first."""

    __slots__ = (
        "accepted_by_offer",
        "drops",
        "fails_when_told",
        "gate",
        "inside",
        "lease",
        "overlapped",
        "runs",
        "work",
    )

    def __init__(
        self,
        work: Callable[[], object],
        gate: threading.Event | None = None,
        *,
        fails_when_told: type[BaseException] | None = None,
        lease: Lease = FREE,
    ) -> None:
        super().__init__()
        self.fails_when_told = fails_when_told
        self.lease = lease
        self.work = work
        self.gate = gate
        self.accepted_by_offer: bool | None = None
        self.runs = 0
        self.inside = threading.Lock()
        self.overlapped = False
        self.drops: list[BaseException | None] = []

    def run(self) -> None:
        self.runs += 1
        if not self.inside.acquire(blocking=False):
            self.overlapped = True
        try:
            if self.gate is not None:
                assert self.gate.wait(PATIENCE.seconds_max), "nobody opened the gate"
            self.work()
        finally:
            self.inside.release()

    def dropped(self, error: BaseException | None) -> None:
        self.drops.append(error)
        if self.fails_when_told is not None:
            raise self.fails_when_told

    @property
    def is_held(self) -> bool:
        """It runs, as far as its closed gate."""
        return self.state is JobState.RUNNING and self._is_shut

    @property
    def is_stuck(self) -> bool:
        """It was taken from its worker, whose thread is at its closed gate."""
        return self.state is JobState.REVOKED and self._is_shut

    @property
    def _is_shut(self) -> bool:
        return self.gate is not None and not self.gate.is_set()


class Watched:
    """One pool, its faults, and its books. `close` ends it and audits them.

    With `stand_ins_max`, it has a supervisor, whose clock the test moves: `supervise`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        queue_jobs_max: float = float("inf"),
        initializer: Callable[[], object] | None = None,
        stand_ins_max: int | None = None,
        job_seconds_max: float = JOB_SECONDS,
    ) -> None:
        self.clock = ManualClock()
        self.stand_ins_max = stand_ins_max
        self.alive_before = threading.active_count()
        self.recorder = Recorder(threading.Lock())
        self.monitor = Monitor(SYSTEM, threading.Lock())
        binder = Binder(SYSTEM, engine=engine, hook=both(self.recorder, self.monitor))
        self.threads = FaultyThreading()
        self.jobs: list[Noted] = []
        self._job_type = binder.bind(Noted)
        self.pool = binder.bind(Pool)(
            binder,
            queue_jobs_max=queue_jobs_max,
            initializer=initializer,
            # A test that fails must not keep the process from ending.
            daemon=True,
            facade=self.threads,
            stand_ins_max=stand_ins_max or 0,
            late_seconds_max=LATE_SECONDS,
            job_seconds_max=job_seconds_max,
        )

    def offer(
        self,
        work: Callable[[], object],
        gate: threading.Event | None = None,
        *,
        fails_when_told: type[BaseException] | None = None,
        lease: Lease = FREE,
    ) -> Noted:
        job = self._job_type(work, gate, fails_when_told=fails_when_told, lease=lease)
        self.jobs.append(job)
        job.accepted_by_offer = self.pool.offer(job)
        return job

    def supervise(self, after: float = 0.0) -> Census:
        """Let so many seconds pass, and take a sample."""
        self.clock.advance(after)
        return self.pool.supervise(self.clock.monotonic())

    def settle(self) -> None:
        """Wait until nothing moves any more before somebody outside acts.

        It never comes if a wake-up is lost: then a job is queued while a worker sleeps.
        """
        self.threads.until(self._is_still, lost=self.describe)

    def _is_still(self) -> bool:
        pool = self.pool
        held = [worker for worker in pool.workers if worker.job and _is_held(worker.job)]
        asleep = [worker for worker in pool.sleepers if worker.state is WorkerState.IDLE]
        # Only a supervised pool may be without workers for a while, and have something to do.
        if pool.queue and (asleep or not (held or self.stand_ins_max is not None)):
            return False
        stuck = [job for job in self.jobs if job.is_stuck]
        if len(stuck) != len(pool.crew.quarantined):
            return False
        return len(held) + len(asleep) == len(pool.workers)

    def describe(self) -> str:
        pool = self.pool
        workers = ", ".join(f"{worker.name} {worker.state.name}" for worker in pool.workers)
        queued = f"{len(pool.queue)} queued, {len(pool.sleepers)} asleep, {pool.crew.census()}"
        steps = "; ".join(map(str, self.recorder.steps[-12:]))
        return f"pool {pool.state.name}: {queued}; {workers}; {steps}"

    def close(self) -> Counter[JobState]:
        """Drain and audit. Returns how many jobs came to which end."""
        self.pool.drain()
        for job in self.jobs:
            if job.gate is not None:
                job.gate.set()
        if self.stand_ins_max is not None:
            # Who was stuck has left its place by now, and what is still queued finds a worker.
            self.threads.threads_left = 1_000_000
            for _ in range(len(self.jobs) + 1):
                self.settle()
                self.supervise()
        if not self.pool.join(PATIENCE.seconds_max):
            raise PATIENCE.lost(self.describe())
        for thread in self.pool.crew.threads.values():
            thread.join(PATIENCE.seconds_max)
        assert not self.pool.crew.quarantined
        assert self.pool.state is PoolState.STOPPED
        assert not self.pool.workers
        assert not self.pool.queue
        assert threading.active_count() == self.alive_before
        assert self.monitor.violations == []
        assert illegal_steps(SYSTEM, self.recorder.steps) == []
        for job in self.jobs:
            audit(job)
        return Counter(job.state for job in self.jobs)


def _is_held(job: Job) -> bool:
    return isinstance(job, Noted) and job.is_held


def audit(job: Noted) -> None:
    """The job ran once, or was dropped by name, or was refused; and was told which."""
    ran = {JobState.RETURNED, JobState.RAISED, JobState.ABANDONED, JobState.REVOKED}
    dropped = {JobState.WITHDRAWN, JobState.ABANDONED, JobState.REVOKED}
    assert job.state in ran | dropped | {JobState.REFUSED}, f"lost in {job.state}"
    assert job.accepted_by_offer is (job.state is not JobState.REFUSED)
    assert job.runs == (1 if job.state in ran else 0)
    assert not job.overlapped
    assert len(job.drops) == (1 if job.state in dropped else 0)
    if job.state is JobState.ABANDONED:
        # RuntimeError: the supervisor has found its thread dead.
        assert isinstance(job.drops[0], Torn | RuntimeError)
    if job.state is JobState.REVOKED:
        assert isinstance(job.drops[0], TimeoutError)
