"""Workers in lockstep: hypothesis says who takes the next step, who is torn out, and when.

The pool, its workers and its supervisor are the server's own; before and after each hold of the
pool's lock is a moment at which anybody else may come in between. Jobs are like exchanges: they
hold their lease but while they are in somebody else's code, and what it guards is theirs alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.net.pool import Job, Pool
from server.net.resizing import resize
from statemachine import Binder, Engine
from statemachine._generated import JobState, PoolState
from statemachine.trace import Monitor, Recorder, both, illegal_steps
from tests.clock import ManualClock
from tests.pool.ledger import JOB_SECONDS, LATE_SECONDS, SYSTEM
from tests.stage import Actor, ActorDied, Stage, StageLock

RAN = frozenset({JobState.RETURNED, JobState.RAISED, JobState.ABANDONED, JobState.REVOKED})
TOLD = frozenset({JobState.WITHDRAWN, JobState.ABANDONED, JobState.REVOKED})

STRIKES_MAX = 2
"""What a thread survives: it is torn out of its loop, and then out of its burial."""


class Torn(BaseException):
    """What kills a worker."""


def _raise() -> None:
    raise ValueError


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # Jobs raise and workers die by the thousand here, and each of them is logged.
    log = logging.getLogger("interlock.pool")
    before, log.disabled = log.disabled, True
    yield
    log.disabled = before


class PoolLock(StageLock):
    """Whoever wants it stops first: it may be torn out there, with what it has done untold."""

    def __enter__(self) -> bool:
        self._stage.pause()
        return super().__enter__()


class PoolStage(Stage):
    """The first lock that is made on it is the pool's own."""

    def __init__(self) -> None:
        super().__init__()
        self.has_pool = False

    def Lock(self) -> StageLock:
        if self.has_pool:
            return StageLock(self)
        self.has_pool = True
        return PoolLock(self)


class Staged(Job):
    """A job that is in its own code, in somebody else's, and in its own again."""

    __slots__ = ("at_end", "drops", "guarded", "is_open", "lease", "mistakes", "runs", "stage")

    def __init__(self, stage: Stage, at_end: Callable[[], object]) -> None:
        super().__init__()
        self.stage = stage
        self.lease = StageLock(stage)
        self.at_end = at_end
        self.is_open = False
        self.guarded = False
        self.runs = 0
        self.drops: list[BaseException | None] = []
        self.mistakes: list[str] = []

    def run(self) -> None:
        self.runs += 1
        self.lease.acquire()
        self._touch()
        self.lease.release()
        self.stage.pause(lambda: self.is_open)
        self.lease.acquire()
        if self.state is JobState.REVOKED:
            self.lease.release()
        else:
            # Held from here on: there is nothing to take away any more.
            self._touch()
        self.at_end()

    def _touch(self) -> None:
        """What the lease guards. Nobody else is at it, and it is still this job's."""
        if self.state is not JobState.RUNNING:
            self.mistakes.append(f"touched in {self.state}")
        self.guarded = True
        try:
            self.stage.pause()
        finally:
            self.guarded = False

    def dropped(self, error: BaseException | None) -> None:
        if self.guarded:
            self.mistakes.append("dropped while its worker was at it")
        self.drops.append(error)
        self.stage.pause()


class CrewHistory(RuleBasedStateMachine):
    """One supervised pool from start to STOPPED."""

    engine: Engine
    jobs = Bundle("jobs")

    @initialize(
        places=st.integers(1, 3),
        stand_ins_max=st.integers(0, 2),
        job_seconds_max=st.sampled_from([JOB_SECONDS, JOB_SECONDS, 0.0]),
        ends=st.sets(st.sampled_from(["drain", "strikes", "threads"])),
    )
    def start(
        self, places: int, stand_ins_max: int, job_seconds_max: float, ends: set[str]
    ) -> None:
        self.ends = ends
        self.stage, self.clock = PoolStage(), ManualClock()
        self.recorder = Recorder(threading.Lock())
        self.monitor = Monitor(SYSTEM, threading.Lock())
        binder = Binder(SYSTEM, engine=self.engine, hook=both(self.recorder, self.monitor))
        self.job_type = binder.bind(Staged)
        self.all_jobs: list[Staged] = []
        self.strikes: dict[Actor, int] = {}
        self.pool = binder.bind(Pool)(
            binder,
            facade=self.stage,
            stand_ins_max=stand_ins_max,
            late_seconds_max=LATE_SECONDS,
            job_seconds_max=job_seconds_max,
        )
        self.supervisor: Actor | None = None
        self.places_most = places
        self.pool.start(places)

    # --- jobs -------------------------------------------------------------------------------

    @rule(target=jobs, then=st.sampled_from(["returns", "raises", "dies"]))
    def offer(self, then: str) -> Staged:
        at_ends: dict[str, Callable[[], object]] = {
            "returns": int,
            "raises": _raise,
            "dies": self.tear_me if "strikes" in self.ends else int,
        }
        job = self.job_type(self.stage, at_ends[then])
        self.all_jobs.append(job)
        self.pool.offer(job)
        return job

    @rule(job=jobs)
    def lets_go(self, job: Staged) -> None:
        """What it was in returns."""
        job.is_open = True

    @rule(job=jobs)
    def withdraw(self, job: Staged) -> None:
        was_queued = job.state is JobState.QUEUED
        assert self.pool.withdraw(job) is was_queued

    # --- who runs ---------------------------------------------------------------------------

    def step(self, actor: Actor) -> None:
        try:
            actor.step()
        except ActorDied:
            # Torn out of everything that would have caught it.
            assert self.strikes.get(actor), actor.name

    @rule(who=st.integers(0, 7), steps=st.integers(1, 4))
    def somebody_runs(self, who: int, steps: int) -> None:
        runnable = self.stage.runnable()
        if not runnable:
            return
        actor = runnable[who % len(runnable)]
        for _ in range(steps):
            if not actor.ended and actor.may_go():
                self.step(actor)

    @rule()
    def everybody_runs(self) -> None:
        turn = 0
        while runnable := self.stage.runnable():
            turn += 1
            assert turn < 5000, "no end of it"
            self.step(runnable[turn % len(runnable)])

    @rule(seconds=st.sampled_from([LATE_SECONDS, 0.25, LATE_SECONDS, JOB_SECONDS]))
    def sample(self, seconds: float) -> None:
        """The supervisor begins to take a sample, unless it is at one."""
        if self.supervisor is not None and not self.supervisor.ended:
            return
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        self.supervisor = Actor("supervisor", lambda: self.pool.supervise(now))
        self.stage.actors.append(self.supervisor)
        self.supervisor.start()

    # --- the environment --------------------------------------------------------------------

    def tear_me(self) -> None:
        """A job's end: its worker is torn out before it can say that the job has ended."""
        me = threading.current_thread()
        assert isinstance(me, Actor)
        if self.strikes.get(me, 0) < STRIKES_MAX:
            self.strikes[me] = self.strikes.get(me, 0) + 1
            me.strike(Torn())

    @precondition(lambda self: "strikes" in self.ends)
    @rule(who=st.integers(0, 7))
    def strike(self, who: int) -> None:
        workers = [
            one
            for one in self.stage.actors
            if one is not self.supervisor
            and not one.ended
            and self.strikes.get(one, 0) < STRIKES_MAX
        ]
        if workers:
            struck = workers[who % len(workers)]
            self.strikes[struck] = self.strikes.get(struck, 0) + 1
            struck.strike(Torn())

    @precondition(lambda self: "threads" in self.ends)
    @rule(left=st.integers(0, 2))
    def threads_run_out(self, left: int) -> None:
        self.stage.threads_left = left

    @rule(places=st.integers(1, 4))
    def resize(self, places: int) -> None:
        self.places_most = max(self.places_most, places)
        resize(self.pool, places)

    @precondition(lambda self: "drain" in self.ends)
    @rule()
    def drain(self) -> None:
        self.pool.drain()

    # --- always -----------------------------------------------------------------------------

    @invariant()
    def nothing_is_violated(self) -> None:
        # `start` has not run before the first check.
        if not hasattr(self, "pool"):
            return
        assert self.monitor.violations == []
        assert [one for job in self.all_jobs for one in job.mistakes] == []
        census = self.pool.crew.census()
        threads = census.standing + census.late + census.quarantined
        assert threads <= self.places_most + self.pool.crew.stand_ins_max
        assert census.standing <= self.places_most
        assert census.late + census.quarantined > 0 or not census.at_cap

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        try:
            self._end()
        finally:
            self.stage.fall()

    def _end(self) -> None:
        """Everybody is let go, the pool drains, and the books are closed."""
        self.stage.threads_left = 1_000_000
        self.pool.drain()
        for job in self.all_jobs:
            job.is_open = True
        for _ in range(len(self.all_jobs) + 3):
            self.everybody_runs()
            self.sample(0.25)
        self.everybody_runs()
        assert self.pool.state is PoolState.STOPPED
        assert self.pool.join()
        assert [one.name for one in self.stage.actors if not one.ended] == []
        assert not self.pool.crew.quarantined
        self.nothing_is_violated()
        assert illegal_steps(SYSTEM, self.recorder.steps) == []
        for job in self.all_jobs:
            assert job.state in RAN | TOLD | {JobState.REFUSED}, f"lost in {job.state}"
            # Who was torn out before it began has left its job behind, and it is told.
            assert job.runs == 1 or job.state not in RAN or job.state is JobState.ABANDONED
            assert job.runs == 0 or job.state in RAN
            assert len(job.drops) == (job.state in TOLD)


@pytest.mark.parametrize("engine", ["sealed", "stock"])
def test_random_histories(engine: Engine) -> None:
    history = type(f"CrewHistory_{engine}", (CrewHistory,), {"engine": engine})
    run_state_machine_as_test(history)
