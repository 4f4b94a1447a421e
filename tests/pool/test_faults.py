"""What the pool promises when threads die, cannot be had, or are interrupted: one fault a test."""

from __future__ import annotations

import ctypes
import threading

import pytest

from server.net.pool import Pool
from statemachine import Binder, Engine
from statemachine._generated import JobState, PoolState, WorkerState
from statemachine.model import Arrow, Model
from tests.pool.faults import PATIENCE, FaultyLock, FaultyThreading, Torn
from tests.pool.ledger import SYSTEM, Noted, Watched


def wake_of(pool: Pool, index: int) -> FaultyLock:
    """The wake lock of one of the sleepers."""
    wake = pool.sleepers[index].wake
    assert isinstance(wake, FaultyLock)
    return wake


def test_the_wake_up_of_a_dead_worker_is_handed_on(watched: Watched) -> None:
    watched.pool.start(2)
    watched.settle()
    watched.threads.threads_left = 0
    wake_of(watched.pool, -1).tear()
    job = watched.offer(int)
    watched.settle()
    assert job.state is JobState.RETURNED
    assert watched.pool.state is PoolState.SERVING
    assert len(watched.pool.workers) == 1


def test_a_dead_idle_worker_is_replaced(watched: Watched) -> None:
    watched.pool.start(1)
    watched.settle()
    wake_of(watched.pool, 0).tear()
    job = watched.offer(int)
    watched.settle()
    assert job.state is JobState.RETURNED
    assert watched.pool.crew.replaced == 1


def test_a_job_whose_worker_dies_is_abandoned_and_not_run_again(watched: Watched) -> None:
    watched.pool.start(1)
    torn = watched.offer(watched.threads.tear_me)
    after = watched.offer(int)
    watched.settle()
    assert (torn.state, torn.runs) == (JobState.ABANDONED, 1)
    assert after.state is JobState.RETURNED


def test_the_last_worker_without_successor_breaks_the_pool(watched: Watched) -> None:
    watched.pool.start(2)
    watched.settle()
    watched.threads.threads_left = 0
    gates = [threading.Event(), threading.Event()]
    for gate in gates:
        watched.offer(watched.threads.tear_me, gate)
    queued = watched.offer(int)
    for gate in gates:
        gate.set()
    watched.settle()
    assert watched.pool.state is PoolState.BROKEN
    assert queued.state is JobState.WITHDRAWN
    assert isinstance(queued.drops[0], Torn)
    assert watched.offer(int).state is JobState.REFUSED


def test_a_dead_worker_that_lingers_does_not_hide_that_no_other_is_left(engine: Engine) -> None:
    """The first dies, is replaced, and is slow to go; the replacement dies without successor."""
    watched = Watched(engine)
    slow = threading.Event()

    class Slow(threading.Thread):
        def start(self) -> None:
            super().start()
            assert slow.wait(PATIENCE.seconds_max)

    watched.pool.start(1)
    watched.settle()
    make = watched.threads.Thread
    watched.threads.Thread = Slow  # type: ignore[method-assign]
    gate = threading.Event()
    watched.offer(watched.threads.tear_me)
    second = watched.offer(watched.threads.tear_me, gate)
    watched.threads.until(lambda: second.is_held, lost=watched.describe)
    watched.threads.Thread = make  # type: ignore[method-assign]
    watched.threads.threads_left = 0
    queued = watched.offer(int)
    gate.set()
    watched.threads.until(lambda: len(watched.pool.workers) == 1, lost=watched.describe)
    slow.set()
    watched.settle()
    assert watched.pool.state is PoolState.BROKEN
    assert queued.state is JobState.WITHDRAWN
    watched.close()


@pytest.mark.parametrize("size", [1, 3])
def test_a_drain_goes_on_when_the_pool_breaks_during_it(engine: Engine, size: int) -> None:
    gate = threading.Event()

    def initializer() -> None:
        assert gate.wait(PATIENCE.seconds_max)
        raise ValueError

    watched = Watched(engine, initializer=initializer)
    watched.pool.start(size)
    job = watched.offer(int)
    watched.pool.drain()
    gate.set()
    watched.close()
    assert job.state is JobState.WITHDRAWN
    assert isinstance(job.drops[0], ValueError)


def test_a_drain_goes_on_when_the_last_worker_has_no_successor(watched: Watched) -> None:
    watched.pool.start(1)
    gate = threading.Event()
    watched.offer(watched.threads.tear_me, gate)
    queued = watched.offer(int)
    watched.threads.threads_left = 0
    watched.pool.drain()
    gate.set()
    assert watched.pool.join(PATIENCE.seconds_max)
    assert queued.state is JobState.WITHDRAWN


def test_threads_that_cannot_be_had_at_the_start(watched: Watched) -> None:
    early = watched.offer(int)
    watched.threads.threads_left = 2
    with pytest.raises(RuntimeError, match="can't start new thread"):
        watched.pool.start(3)
    assert watched.pool.join(PATIENCE.seconds_max)
    assert early.state in (JobState.RETURNED, JobState.WITHDRAWN)


def test_a_start_that_is_interrupted_when_the_thread_runs_already(watched: Watched) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            super().start()
            raise KeyboardInterrupt

    watched.threads.Thread = Interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        watched.pool.start(2)
    assert watched.pool.join(PATIENCE.seconds_max)
    for thread in threading.enumerate():
        if isinstance(thread, Interrupted):
            thread.join(PATIENCE.seconds_max)


def test_a_pool_that_never_started_gives_its_jobs_back(watched: Watched) -> None:
    job = watched.offer(int)
    watched.pool.drain()
    assert watched.pool.state is PoolState.STOPPED
    assert job.state is JobState.WITHDRAWN
    with pytest.raises(RuntimeError, match="drained"):
        watched.pool.start(1)


def test_an_offer_that_is_interrupted_leaves_nobody_asleep_for_ever(watched: Watched) -> None:
    watched.pool.start(1)
    watched.settle()
    wake_of(watched.pool, 0).release_raises = KeyboardInterrupt()
    job = watched._job_type(int)
    with pytest.raises(KeyboardInterrupt):
        watched.pool.offer(job)
    watched.pool.drain()
    assert watched.pool.join(PATIENCE.seconds_max)
    assert job.state is JobState.RETURNED


def test_a_job_that_fails_when_it_is_told_does_not_keep_it_from_the_others(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    watched.pool.start(1)
    watched.offer(int, gate)
    watched.settle()
    bad = watched.offer(int, fails_when_told=ValueError)
    good = watched.offer(int)
    assert watched.pool.withdraw_all() == 2
    assert good.drops == [None]
    assert bad.drops == [None]
    assert "when it was told" in caplog.text


# What is no Exception ends the dying thread as it would any other: Python shows it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_job_fails_when_it_is_told_is_replaced_all_the_same(
    watched: Watched,
) -> None:
    watched.pool.start(1)
    watched.offer(watched.threads.tear_me, fails_when_told=SystemExit)
    after = watched.offer(int)
    watched.settle()
    assert after.state is JobState.RETURNED


@pytest.mark.parametrize("arrow", ["W1", "W4", "J3", "J5", "W7", "W5"])
def test_a_worker_torn_out_in_the_middle_of_a_joint_step(engine: Engine, arrow: str) -> None:
    """Whichever half it was, each job still runs at most once, and the pool still ends."""
    faults = [Torn()]

    def hook(model: Model, taken: Arrow) -> None:
        if taken.id == arrow and faults:
            raise faults.pop()

    binder = Binder(SYSTEM, engine=engine, hook=hook)
    pool = binder.bind(Pool)(binder, daemon=True, facade=FaultyThreading())
    pool.start(1)
    jobs = [binder.bind(Noted)(int) for _ in range(3)]
    for job in jobs:
        assert pool.offer(job)
    pool.drain()
    assert pool.join(PATIENCE.seconds_max)
    assert faults == []
    for job in jobs:
        assert job.runs == 1 or job.drops
        assert job.state in (JobState.RETURNED, JobState.ABANDONED)


@pytest.mark.skipif(not hasattr(ctypes, "pythonapi"), reason="no C API to raise into a thread")
def test_an_exception_raised_into_a_sleeping_worker(watched: Watched) -> None:
    watched.pool.start(1)
    watched.settle()
    (worker,) = watched.pool.workers
    assert worker.ident is not None
    raise_into = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert raise_into(ctypes.c_ulong(worker.ident), ctypes.py_object(Torn)) == 1
    jobs = [watched.offer(int) for _ in range(3)]
    watched.settle()
    assert worker.state is WorkerState.DEAD
    assert [job.runs for job in jobs if job.state is JobState.RETURNED] == [1] * (
        3 - sum(job.state is JobState.ABANDONED for job in jobs)
    )
    assert watched.pool.crew.replaced == 1


def test_a_job_cannot_wait_for_its_own_pool(watched: Watched) -> None:
    watched.pool.start(1)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            watched.pool.join()
        except RuntimeError as error:
            errors.append(error)

    watched.offer(work)
    watched.settle()
    assert [str(error) for error in errors] == [
        "a job cannot wait for the end of the pool that runs it"
    ]


def test_a_full_queue_refuses(engine: Engine) -> None:
    watched = Watched(engine, queue_jobs_max=1)
    watched.pool.start(1)
    gate = threading.Event()
    watched.offer(int, gate)
    watched.settle()
    states = [watched.offer(int).state for _ in range(3)]
    assert states == [JobState.QUEUED, JobState.REFUSED, JobState.REFUSED]
    assert watched.close()[JobState.RETURNED] == 2
