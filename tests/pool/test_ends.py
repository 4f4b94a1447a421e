"""How a pool ends that never began, or that lives on in a forked child."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from server.net.pool import Job, Pool, Worker
from server.net.sleepers import ROUSE_SECONDS, Sleepers
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import JobState, PoolState, WorkerState
from tests.pool.faults import PATIENCE


class Told(Job):
    """A job that keeps what it is told."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        super().__init__()
        self.told: list[BaseException | None] = []

    def dropped(self, error: BaseException | None) -> None:
        self.told.append(error)


@pytest.fixture
def pool(engine: Engine) -> Pool:
    binder = Binder(sound_system(), engine=engine)
    return binder.bind(Pool)(binder)


@pytest.fixture
def job(engine: Engine) -> Told:
    return Binder(sound_system(), engine=engine).bind(Told)()


@pytest.mark.parametrize("end", ["drain", "let_go"])
def test_a_pool_that_never_began_tells_its_jobs(pool: Pool, job: Told, end: str) -> None:
    assert pool.offer(job)
    getattr(pool, end)()
    assert job.state is JobState.WITHDRAWN
    (error,) = job.told
    assert str(error) == "the pool was never started"
    assert pool.join(PATIENCE.seconds_max)


def test_a_lock_that_is_free_is_free_after_let_go(pool: Pool) -> None:
    pool.let_go()
    assert pool.lock.acquire(blocking=False)
    pool.lock.release()
    assert pool.state is PoolState.STOPPED


def test_let_go_waits_for_nobody_and_drains_all_the_same(pool: Pool, job: Told) -> None:
    assert pool.offer(job)
    with pool.lock:
        pool.let_go()
        assert pool.state is PoolState.SERVING
    assert pool.join(PATIENCE.seconds_max)


def test_in_a_forked_child_the_parent_s_jobs_are_left_alone(pool: Pool, job: Told) -> None:
    """`forked` is called as a child would: it has the same objects, and none of the threads."""
    assert pool.offer(job)
    pool._enlist_locked()  # a worker, whose thread is the parent's
    pool.lock.acquire()  # as another thread of the parent's may have held it
    pool.forked()
    assert (job.state, job.told) == (JobState.QUEUED, [])
    assert not pool.queue
    assert not pool.sleepers
    assert pool.state is PoolState.BROKEN
    assert not pool.join(0.0)
    pool.drain()
    assert pool.join(PATIENCE.seconds_max)


def test_in_a_forked_child_a_pool_that_had_begun_to_drain_ends(pool: Pool, job: Told) -> None:
    assert pool.offer(job)
    pool.drain_began()
    pool.forked()
    assert pool.state is PoolState.STOPPED
    assert pool.join(PATIENCE.seconds_max)


def test_in_a_forked_child_a_pool_that_has_ended_stays_so(pool: Pool) -> None:
    pool.drain()
    pool.forked()
    assert pool.state is PoolState.STOPPED
    assert pool.join(PATIENCE.seconds_max)


def test_a_worker_that_was_written_off_before_it_began_does_nothing(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    with pool.lock:
        worker = pool._enlist_locked()
        assert pool._write_off_locked(worker) == []
    worker.live()
    assert worker.state is WorkerState.DEAD
    assert worker.ident is None
    assert caplog.records == []


@pytest.mark.arrow("W2")
def test_a_worker_whose_initializer_raises_is_dead(engine: Engine) -> None:
    def initializer() -> None:
        raise OSError

    binder = Binder(sound_system(), engine=engine)
    pool = binder.bind(Pool)(binder, initializer=initializer)
    with pool.lock:
        worker = pool._enlist_locked()
    worker.live()
    assert worker.state is WorkerState.DEAD
    assert worker not in pool.workers
    assert pool.state is PoolState.BROKEN
    pool.drain()
    assert pool.join(PATIENCE.seconds_max)


def test_a_worker_that_has_begun_is_not_written_off(pool: Pool) -> None:
    with pool.lock:
        worker = pool._enlist_locked()
        worker.ident = 1
        assert pool._write_off_locked(worker) == []
        assert worker.state is WorkerState.STARTING
        assert worker in pool.workers


def test_the_pace_is_measured_once_in_a_while() -> None:
    sleepers = Sleepers()
    sleepers.append(cast("Worker", object()))
    workers = [cast("Worker", SimpleNamespace(state=WorkerState.BUSY))] * 2
    at = 10.0
    assert sleepers.wanted(3, workers, at, idle=False) == 3
    assert sleepers.wanted(3, workers, at + ROUSE_SECONDS / 2, idle=False) == 1
    assert sleepers.wanted(3, workers, at + ROUSE_SECONDS / 2, idle=True) == 3
    assert sleepers.wanted(3, workers, at + ROUSE_SECONDS * 2, idle=False) == 3


def test_a_pool_s_threads_are_no_daemons_unless_it_is_asked(engine: Engine) -> None:
    binder = Binder(sound_system(), engine=engine)
    for daemon in (False, True):
        kind = binder.bind(Pool)
        pool = kind(binder, daemon=True) if daemon else kind(binder)
        pool.start(1)
        (thread,) = pool.crew.threads.values()
        assert getattr(thread, "daemon") is daemon  # noqa: B009 - the facade does not promise it
        pool.drain()
        assert pool.join(PATIENCE.seconds_max)
