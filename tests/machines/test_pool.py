"""The pool, its workers and its jobs under random histories: rules are the spec's own events.

The oracle is the spec: every arrow is recorded and held against its table and its properties, and
in the end each job ran exactly once, or was withdrawn or abandoned by name.
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
    rule,
    run_state_machine_as_test,
)

from statemachine import Engine
from statemachine._generated import JobState, PoolState, WorkerState
from tests.pool.ledger import Noted, Watched


class Odd(BaseException):
    """Neither an Exception nor one that Python knows."""


RAISED: tuple[type[BaseException], ...] = (ValueError, SystemExit, KeyboardInterrupt, Odd)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # Jobs raise and workers die by the thousand here, and each of them is logged.
    log = logging.getLogger("interlock.pool")
    before, log.disabled = log.disabled, True
    yield
    log.disabled = before


class PoolHistory(RuleBasedStateMachine):
    """One pool from start to STOPPED. After a rule the pool may settle first, or may not."""

    engine: Engine
    jobs = Bundle("jobs")
    gates = Bundle("gates")

    @initialize(
        size=st.integers(1, 3),
        queue_jobs_max=st.sampled_from([1.0, 3.0, float("inf")]),
        threads_left=st.sampled_from([0, 1, 1_000_000]),
        early=st.integers(0, 1),
    )
    def start(self, size: int, queue_jobs_max: float, threads_left: int, early: int) -> None:
        self.initializer_raises: type[BaseException] | None = None
        self.watched = Watched(
            self.engine, queue_jobs_max=queue_jobs_max, initializer=self.initialize_worker
        )
        self.pool = self.watched.pool
        for _ in range(early):
            self.watched.offer(int)
        self.watched.threads.threads_left = size if threads_left else 0
        if threads_left:
            self.pool.start(size)
        else:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                self.pool.start(size)
        self.watched.threads.threads_left = threads_left
        self.watched.settle()

    def initialize_worker(self) -> None:
        if self.initializer_raises is not None:
            raise self.initializer_raises

    def offer(self, work: Callable[[], object], *, settle: bool) -> Noted:
        job = self.watched.offer(work)
        if settle:
            self.watched.settle()
        return job

    # --- jobs -------------------------------------------------------------------------------

    @rule(target=jobs, settle=st.booleans())
    def job_returns(self, settle: bool) -> Noted:
        return self.offer(int, settle=settle)

    @rule(target=jobs, error=st.sampled_from(RAISED), settle=st.booleans())
    def job_raises(self, error: type[BaseException], settle: bool) -> Noted:
        def work() -> None:
            raise error

        return self.offer(work, settle=settle)

    @rule(target=gates)
    def make_gate(self) -> threading.Event:
        return threading.Event()

    @rule(target=jobs, gate=gates, settle=st.booleans())
    def job_waits(self, gate: threading.Event, settle: bool) -> Noted:
        job = self.watched.offer(int, gate)
        if settle:
            self.watched.settle()
        return job

    @rule(target=jobs, settle=st.booleans())
    def job_offers_another(self, settle: bool) -> Noted:
        return self.offer(lambda: self.watched.offer(int), settle=settle)

    @rule(target=jobs, settle=st.booleans())
    def job_drains(self, settle: bool) -> Noted:
        return self.offer(self.pool.drain, settle=settle)

    @rule(target=jobs, settle=st.booleans())
    def job_withdraws_all(self, settle: bool) -> Noted:
        return self.offer(self.pool.withdraw_all, settle=settle)

    @rule(target=jobs, settle=st.booleans())
    def job_joins(self, settle: bool) -> Noted:
        def work() -> None:
            with pytest.raises(RuntimeError, match="the pool that runs it"):
                self.pool.join()

        return self.offer(work, settle=settle)

    # --- the outside ------------------------------------------------------------------------

    @rule(gate=gates, settle=st.booleans())
    def open_gate(self, gate: threading.Event, settle: bool) -> None:
        gate.set()
        if settle:
            self.watched.settle()

    @rule(job=jobs)
    def withdraw(self, job: Noted) -> None:
        was_queued = self.pool.withdraw(job)
        if was_queued:
            assert job.state is JobState.WITHDRAWN
        else:
            assert job.state is not JobState.QUEUED

    @rule()
    def withdraw_all(self) -> None:
        self.watched.settle()
        queued = len(self.pool.queue)
        assert self.pool.withdraw_all() == queued

    @rule(settle=st.booleans())
    def drain(self, settle: bool) -> None:
        self.pool.drain()
        assert self.pool.state in (PoolState.DRAINING, PoolState.STOPPED)
        if settle:
            self.watched.settle()

    @rule(target=jobs)
    def offer_at_rest(self) -> Noted:
        """At rest the answer is known: accepted if the pool is SERVING and the queue has room."""
        self.watched.settle()
        has_room = len(self.pool.queue) < self.pool.queue_jobs_max
        expected = self.pool.state is PoolState.SERVING and has_room
        job = self.watched.offer(int)
        assert job.accepted_by_offer is expected
        return job

    # --- the environment --------------------------------------------------------------------

    @rule(target=jobs, settle=st.booleans())
    def busy_worker_dies(self, settle: bool) -> Noted:
        return self.offer(self.watched.threads.tear_me, settle=settle)

    @rule(settle=st.booleans())
    def idle_worker_dies(self, settle: bool) -> None:
        """The next worker to be woken is torn out of its sleep; its wake-up is spent on nothing."""
        self.watched.settle()
        if self.pool._sleepers:
            worker = self.pool._sleepers[-1]
            tear = getattr(worker.wake, "tear")  # noqa: B009 - the protocol knows of no faults
            tear()
            self.watched.offer(int)
            if settle:
                # At rest the job waits only if all others are held: `settle` sees to that.
                self.watched.settle()
                assert worker.state is WorkerState.DEAD

    @rule(left=st.integers(0, 3))
    def threads_run_out(self, left: int) -> None:
        self.watched.threads.threads_left = left

    @rule(error=st.sampled_from([None, ValueError, SystemExit]))
    def initializer_changes(self, error: type[BaseException] | None) -> None:
        self.initializer_raises = error

    # --- always -----------------------------------------------------------------------------

    @invariant()
    def nothing_is_violated(self) -> None:
        # `start` has not run before the first check.
        if hasattr(self, "watched"):
            assert self.watched.monitor.violations == []
            assert not any(job.overlapped for job in self.watched.jobs)

    def teardown(self) -> None:
        if hasattr(self, "watched"):
            self.watched.close()


@pytest.mark.parametrize("engine", ["sealed", "stock"])
def test_random_histories(engine: Engine) -> None:
    history = type(f"PoolHistory_{engine}", (PoolHistory,), {"engine": engine})
    run_state_machine_as_test(history)
