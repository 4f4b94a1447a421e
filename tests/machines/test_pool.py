"""The pool, its workers and its jobs under random histories: rules are the spec's own events.

The oracle is the spec: every arrow is recorded and held against its table and its properties, and
in the end each job ran exactly once, or was withdrawn, abandoned or revoked by name. A pool may be
supervised: then time passes, workers are late and stuck, and others stand in for them.
"""

from __future__ import annotations

import contextlib
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

from server.net.resizing import resize
from server.net.worker import FREE
from statemachine import Engine
from statemachine._generated import JobState, PoolState, WorkerState
from tests.pool.ledger import JOB_SECONDS, LATE_SECONDS, Noted, Watched


class Odd(BaseException):
    """Neither an Exception nor one that Python knows."""


ENDS = ("drain", "initializer", "threads")
"""What may bring a pool to its end early. Most histories do without some, and go further."""

RAISED: tuple[type[BaseException], ...] = (ValueError, SystemExit, KeyboardInterrupt, Odd)


def _raise() -> None:
    raise ValueError


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
        queue_jobs_max=st.sampled_from([float("inf"), float("inf"), 3.0, 1.0]),
        threads_left=st.sampled_from(4 * [1_000_000] + [1, 0]),
        early=st.integers(0, 1),
        stand_ins_max=st.sampled_from([1, 0, 2, None]),
        ends=st.sets(st.sampled_from(ENDS)),
    )
    def start(
        self,
        size: int,
        queue_jobs_max: float,
        threads_left: int,
        early: int,
        stand_ins_max: int | None,
        ends: set[str],
    ) -> None:
        self.ends = ends
        self.initializer_raises: type[BaseException] | None = None
        self.lease = threading.Lock()
        self.watched = Watched(
            self.engine,
            queue_jobs_max=queue_jobs_max,
            initializer=self.initialize_worker,
            stand_ins_max=stand_ins_max,
        )
        self.pool = self.watched.pool
        for _ in range(early):
            self.watched.offer(int)
        self.places_most = size
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

    @rule(target=gates, then=st.sampled_from(["returns", "raises", "dies"]), leased=st.booleans())
    def job_is_held(self, then: str, leased: bool) -> threading.Event:
        """It waits at a gate of its own, so that the supervisor finds it there."""
        works: dict[str, Callable[[], object]] = {
            "returns": int,
            "raises": _raise,
            "dies": self.watched.threads.tear_me,
        }
        gate = threading.Event()
        self.watched.offer(works[then], gate, lease=self.lease if leased else FREE)
        return gate

    @rule(target=jobs, settle=st.booleans())
    def job_offers_another(self, settle: bool) -> Noted:
        return self.offer(lambda: self.watched.offer(int), settle=settle)

    @precondition(lambda self: "drain" in self.ends)
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

    @rule(
        seconds=st.sampled_from([LATE_SECONDS, 0.25, LATE_SECONDS, JOB_SECONDS]),
        leased=st.booleans(),
        settle=st.booleans(),
    )
    def time_passes(self, seconds: float, leased: bool, settle: bool) -> None:
        """The supervisor takes a sample; meanwhile jobs may hold their lease, or may not."""
        if self.watched.stand_ins_max is None:
            return
        if settle:
            self.watched.settle()
            self.watched.supervise()
        with self.lease if leased else contextlib.nullcontext():
            self.watched.supervise(seconds)
        if settle:
            self.watched.settle()

    @rule(places=st.integers(1, 4), settle=st.booleans())
    def resize(self, places: int, settle: bool) -> None:
        self.places_most = max(self.places_most, places)
        was_serving = self.pool.state is PoolState.SERVING
        # A worker may break the pool or drain it meanwhile, but nobody opens it again.
        assert resize(self.pool, places) <= was_serving
        if settle:
            self.watched.settle()

    @rule()
    def withdraw_all(self) -> None:
        self.watched.settle()
        queued = len(self.pool.queue)
        assert self.pool.withdraw_all() == queued

    @precondition(lambda self: "drain" in self.ends)
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
        if self.pool.sleepers:
            worker = self.pool.sleepers[-1]
            tear = getattr(worker.wake, "tear")  # noqa: B009 - the protocol knows of no faults
            tear()
            self.watched.offer(int)
            if settle:
                # At rest the job waits only if all others are held: `settle` sees to that.
                self.watched.settle()
                assert worker.state is WorkerState.DEAD

    @precondition(lambda self: "threads" in self.ends)
    @rule(left=st.integers(0, 3))
    def threads_run_out(self, left: int) -> None:
        self.watched.threads.threads_left = left

    @precondition(lambda self: "initializer" in self.ends)
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
            with self.pool.lock:
                census = self.pool.crew.census()
            threads = census.standing + census.late + census.quarantined
            assert threads <= self.places_most + (self.watched.stand_ins_max or 0)
            assert census.standing <= self.places_most

    def teardown(self) -> None:
        if hasattr(self, "watched"):
            self.watched.close()


@pytest.mark.parametrize("engine", ["sealed", "stock"])
def test_random_histories(engine: Engine) -> None:
    history = type(f"PoolHistory_{engine}", (PoolHistory,), {"engine": engine})
    run_state_machine_as_test(history)
