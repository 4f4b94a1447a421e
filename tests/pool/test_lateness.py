"""Workers that are late, and their stand-ins; jobs that are taken away, and threads that wake."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from server.net.crew import RESPAWNS_MAX
from server.net.pool import Census, Pool, Worker
from server.net.sleepers import BRISK_JOBS, ROUSE_SECONDS, Sleepers
from statemachine import Binder, Engine
from statemachine._generated import JobState, PoolState, WorkerState
from statemachine.model import Arrow, Model
from tests.pool import ledger
from tests.pool.faults import PATIENCE, FaultyThreading, Torn
from tests.pool.ledger import JOB_SECONDS, LATE_SECONDS, SYSTEM, Noted, Watched

Open = Callable[..., Watched]


@pytest.fixture
def open_pool(engine: Engine) -> Iterator[Open]:
    """Opens supervised pools, at rest; audited in the end."""
    pools: list[Watched] = []

    def open_one(places: int = 1, *, stand_ins_max: int = 1, **settings: float) -> Watched:
        pools.append(Watched(engine, stand_ins_max=stand_ins_max, **settings))  # type: ignore[arg-type]
        pools[-1].pool.start(places)
        pools[-1].settle()
        pools[-1].supervise()
        return pools[-1]

    yield open_one
    for pool in pools:
        pool.close()


def hold(watched: Watched, work: Callable[[], object] = int) -> tuple[Noted, threading.Event]:
    """A worker runs a job, and is held in it; a sample has seen it there."""
    gate = threading.Event()
    job = watched.offer(work, gate)
    watched.settle()
    assert job.is_held
    watched.supervise()
    return job, gate


def worker_of(watched: Watched, job: Noted) -> Worker:
    (worker,) = [one for one in watched.pool.workers if one.job is job]
    return worker


def hold_late(
    watched: Watched, work: Callable[[], object] = int
) -> tuple[Noted, threading.Event, Worker]:
    """The same, for so long that the worker is late."""
    job, gate = hold(watched, work)
    worker = worker_of(watched, job)
    watched.supervise(LATE_SECONDS)
    watched.settle()
    assert worker.state is WorkerState.LATE
    return job, gate, worker


def hold_stuck(
    watched: Watched, work: Callable[[], object] = int
) -> tuple[Noted, threading.Event, Worker]:
    """The same, for so long that the job is taken from it."""
    job, gate, worker = hold_late(watched, work)
    watched.supervise(JOB_SECONDS - LATE_SECONDS)
    watched.settle()
    assert (worker.state, job.state) == (WorkerState.QUARANTINED, JobState.REVOKED)
    return job, gate, worker


def state_of(job: Noted) -> JobState:
    """Now: a type checker that has seen an earlier answer does not know that it may change."""
    return job.state


def release(watched: Watched, gate: threading.Event) -> None:
    gate.set()
    watched.settle()


def taken(watched: Watched, *arrows: str) -> list[int]:
    coverage = watched.recorder.coverage()
    return [coverage[arrow] for arrow in arrows]


# --- late -------------------------------------------------------------------------------------


@pytest.mark.arrow("W9")
def test_who_is_at_one_job_for_long_is_late_and_has_a_stand_in(open_pool: Open) -> None:
    watched = open_pool()
    job, gate = hold(watched)
    worker = worker_of(watched, job)
    waiting = watched.offer(int)
    watched.supervise(LATE_SECONDS - 0.25)
    assert (worker.state, waiting.state) == (WorkerState.BUSY, JobState.QUEUED)
    census = watched.supervise(0.25)
    assert worker.state is WorkerState.LATE
    assert census == Census(
        places=1, standing=1, late=1, quarantined=0, stand_ins=1, replaced=0, at_cap=True
    )
    watched.settle()
    assert (job.state, waiting.state) == (JobState.RUNNING, JobState.RETURNED)
    release(watched, gate)


def test_a_worker_with_many_short_jobs_is_never_late(open_pool: Open) -> None:
    watched = open_pool()
    for _ in range(5):
        _, gate = hold(watched)
        watched.supervise(LATE_SECONDS - 0.25)
        release(watched, gate)
    assert taken(watched, "W7", "W9") == [5, 0]


def test_no_worker_is_late_before_a_sample_has_seen_its_job_for_long_enough(
    open_pool: Open,
) -> None:
    """It took the job somewhere between two samples: the later one counts."""
    watched = open_pool()
    gate = threading.Event()
    watched.offer(int, gate)
    watched.settle()
    watched.supervise(LATE_SECONDS)
    watched.supervise(LATE_SECONDS - 0.25)
    assert taken(watched, "W9") == [0]
    watched.supervise(0.25)
    assert taken(watched, "W9") == [1]
    gate.set()


def test_one_line_says_who_is_late_with_what_and_where(
    open_pool: Open, caplog: pytest.LogCaptureFixture
) -> None:
    watched = open_pool()
    job, gate, worker = hold_late(watched)
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    said = record.getMessage()
    assert said.startswith(f"{worker.name} is late: {job} has run for 2.0 seconds, and is at ")
    assert "threading.py:" in said
    assert "\n" not in said
    release(watched, gate)


def test_where_a_worker_is_is_its_innermost_line(open_pool: Open) -> None:
    watched = open_pool()
    job, gate = hold(watched)
    watched.clock.advance(LATE_SECONDS)
    with watched.pool.lock:
        (one,), revoked = watched.pool.crew.sample(watched.clock.monotonic())
    assert (one.job, revoked) == (job, [])
    assert one.where == f"{threading.__file__}:{one.stack[-1].lineno}"
    assert [frame.name for frame in one.stack if frame.filename == ledger.__file__] == ["run"]
    assert one.stack[-1].name == "wait"
    release(watched, gate)


def test_a_thread_without_a_frame_is_at_an_unknown_line(
    open_pool: Open, caplog: pytest.LogCaptureFixture
) -> None:
    watched = open_pool()
    watched.pool.crew.frames = dict
    _, gate, _ = hold_late(watched)
    assert "and is at an unknown line" in caplog.text
    release(watched, gate)


def test_a_sample_keeps_no_job_alive(engine: Engine) -> None:
    class Thing:
        pass

    watched = Watched(engine, stand_ins_max=1)
    watched.pool.start(1)
    thing = Thing()
    seen = weakref.ref(thing)
    gate = threading.Event()
    job = watched.offer(lambda thing=thing: thing, gate)  # type: ignore[misc]
    watched.settle()
    watched.supervise()
    watched.supervise(LATE_SECONDS)
    release(watched, gate)
    watched.close()
    del thing, job.work
    assert seen() is None


# --- back in time, or not ---------------------------------------------------------------------


@pytest.mark.arrow("W10")
def test_a_late_worker_without_stand_in_keeps_its_place(open_pool: Open) -> None:
    watched = open_pool(stand_ins_max=0)
    job, gate, worker = hold_late(watched)
    after = watched.offer(int)
    release(watched, gate)
    assert (job.state, after.state) == (JobState.RETURNED, JobState.RETURNED)
    assert worker.state is WorkerState.IDLE
    assert set(watched.pool.workers) == {worker}
    assert taken(watched, "W10", "W11") == [1, 0]


@pytest.mark.arrow("W11")
def test_a_late_worker_whose_place_is_taken_retires(open_pool: Open) -> None:
    watched = open_pool()
    job, gate, worker = hold_late(watched)
    thread = watched.pool.crew.threads[worker]
    release(watched, gate)
    thread.join(PATIENCE.seconds_max)
    assert not thread.is_alive()
    assert (job.state, job.drops) == (JobState.RETURNED, [])
    assert worker.state is WorkerState.STOPPED
    assert len(watched.pool.workers) == 1
    assert watched.supervise() == Census(1, 1, 0, 0, 0, 0, at_cap=False)


def test_what_a_late_job_raises_is_its_end_too(open_pool: Open) -> None:
    def work() -> None:
        raise ValueError("late and wrong")

    watched = open_pool(2, stand_ins_max=1)
    (first, one, _), (second, other, _) = hold_late(watched, work), hold_late(watched, work)
    for gate in (one, other):
        release(watched, gate)
    assert (first.state, second.state) == (JobState.RAISED, JobState.RAISED)
    # Two were late, and one stand-in could be had: who came first found a place free.
    assert taken(watched, "W10", "W11") == [1, 1]


def test_a_worker_that_kept_its_place_can_be_late_again(open_pool: Open) -> None:
    watched = open_pool(stand_ins_max=0)
    _, gate, worker = hold_late(watched)
    release(watched, gate)
    _, gate, again = hold_late(watched)
    assert again is worker
    release(watched, gate)


@pytest.mark.parametrize("cap", [0, 1, 3])
def test_so_many_stand_ins_and_no_more(open_pool: Open, cap: int) -> None:
    watched = open_pool(2, stand_ins_max=cap)
    gates = []
    for number in range(2 + cap):
        _, gate = hold(watched)
        gates.append(gate)
        census = watched.supervise(LATE_SECONDS)
        watched.settle()
        late = number + 1
        assert (census.late, census.stand_ins) == (late, min(late, cap))
        assert census.standing == min(2, 2 + cap - late)
        assert census.at_cap is (late >= cap)
        assert len(watched.pool.workers) == 2 + min(late, cap)
    waiting = watched.offer(int)
    watched.supervise(LATE_SECONDS)
    watched.settle()
    assert state_of(waiting) is JobState.QUEUED
    release(watched, gates.pop())
    assert state_of(waiting) is JobState.RETURNED
    for gate in gates:
        release(watched, gate)
    assert watched.supervise() == Census(2, 2, 0, 0, 0, 0, at_cap=False)


def test_a_thousand_stand_ins_leave_nothing_behind(engine: Engine) -> None:
    before = threading.active_count()
    watched = Watched(engine, stand_ins_max=2, job_seconds_max=0.0)
    watched.pool.start(1)
    for _ in range(1000):
        job, gate = hold(watched)
        watched.supervise(LATE_SECONDS)
        release(watched, gate)
        assert job.state is JobState.RETURNED
    pool = watched.pool
    assert len(pool.workers) == 1
    assert len(pool.crew.threads) <= 3
    assert len(pool.sleepers) == 1
    watched.close()
    assert taken(watched, "W11") == [1000]
    assert threading.active_count() == before


# --- stuck ------------------------------------------------------------------------------------


@pytest.mark.arrow("W13", "J8")
def test_a_job_that_outlasts_every_patience_is_taken_from_its_worker(
    open_pool: Open, caplog: pytest.LogCaptureFixture
) -> None:
    watched = open_pool()
    job, gate, worker = hold_late(watched)
    watched.supervise(JOB_SECONDS - LATE_SECONDS - 0.25)
    assert job.state is JobState.RUNNING
    caplog.clear()
    census = watched.supervise(0.25)
    assert (job.state, job.runs) == (JobState.REVOKED, 1)
    assert [str(error) for error in job.drops] == ["the job has run for 30.0 seconds"]
    assert worker.state is WorkerState.QUARANTINED
    assert worker.job is None
    assert census == Census(1, 1, 0, 1, 1, 0, at_cap=True)
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    said = record.getMessage()
    assert said.startswith(f"{worker.name} is stuck: {job} was taken from it after 30.0 seconds")
    # The stack, outermost first, with the line at which the job is held.
    frames = ["_bootstrap", "job.run()", "self.gate.wait("]
    assert sorted(frames, key=said.index) == frames
    release(watched, gate)


def test_with_no_limit_a_job_may_run_for_ever(open_pool: Open) -> None:
    watched = open_pool(job_seconds_max=0.0)
    job, gate, _ = hold_late(watched)
    watched.supervise(1e9)
    assert job.state is JobState.RUNNING
    release(watched, gate)


def test_a_supervisor_that_was_held_up_moves_everybody_all_the_way(open_pool: Open) -> None:
    watched = open_pool()
    job, gate = hold(watched)
    watched.supervise(JOB_SECONDS)
    assert job.state is JobState.REVOKED
    release(watched, gate)


def test_a_job_is_not_taken_while_its_lease_is_held(open_pool: Open) -> None:
    watched = open_pool()
    lease, gate = threading.Lock(), threading.Event()
    job = watched.offer(int, gate, lease=lease)
    watched.settle()
    watched.supervise()
    with lease:
        watched.supervise(JOB_SECONDS)
        watched.supervise(JOB_SECONDS)
        assert state_of(job) is JobState.RUNNING
    watched.supervise(0.25)
    assert state_of(job) is JobState.REVOKED
    assert not lease.locked()
    release(watched, gate)


def test_a_job_that_ends_just_before_it_would_be_taken(open_pool: Open) -> None:
    watched = open_pool()
    job, gate, _ = hold_late(watched)
    release(watched, gate)
    watched.supervise(JOB_SECONDS)
    assert (job.state, job.drops) == (JobState.RETURNED, [])
    assert taken(watched, "W13", "J8") == [0, 0]


class Meeting:
    """A lease that is free; while it is asked for, under the pool's lock, its job comes to its end.

    The worker can only be on its way to the lock by then.
    """

    def __init__(self) -> None:
        self.job: Noted | None = None

    def acquire(self, blocking: bool = True) -> bool:
        assert not blocking
        job = self.job
        assert job is not None
        assert job.gate is not None
        job.gate.set()
        assert job.inside.acquire(timeout=PATIENCE.seconds_max)
        job.inside.release()
        return True

    def release(self) -> None:
        pass


def test_a_job_that_ends_while_it_is_being_taken(open_pool: Open) -> None:
    watched = open_pool()
    lease, gate = Meeting(), threading.Event()
    job = lease.job = watched.offer(int, gate, lease=lease)
    watched.settle()
    watched.supervise()
    worker = worker_of(watched, job)
    watched.supervise(JOB_SECONDS)
    watched.settle()
    assert (job.state, len(job.drops)) == (JobState.REVOKED, 1)
    assert worker.state is WorkerState.STOPPED
    assert taken(watched, "J5", "J8", "W14") == [0, 1, 1]


@pytest.mark.arrow("W14")
@pytest.mark.parametrize("error", [None, ValueError, SystemExit, KeyboardInterrupt])
def test_whoever_wakes_from_what_it_was_stuck_in_touches_nothing(
    open_pool: Open, error: type[BaseException] | None, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        if error is not None:
            raise error

    watched = open_pool()
    job, gate, worker = hold_stuck(watched, work)
    thread = watched.pool.crew.threads[worker]
    watched.supervise(10)
    caplog.clear()
    release(watched, gate)
    thread.join(PATIENCE.seconds_max)
    assert not thread.is_alive()
    assert (worker.state, job.state) == (WorkerState.STOPPED, JobState.REVOKED)
    assert len(job.drops) == 1
    assert f"{worker.name} woke: it was stuck for 40.0 seconds" in caplog.text
    assert watched.supervise() == Census(1, 1, 0, 0, 0, 0, at_cap=False)


@pytest.mark.arrow("W15")
def test_a_thread_that_is_torn_out_of_what_it_was_stuck_in(open_pool: Open) -> None:
    watched = open_pool()
    job, gate, worker = hold_stuck(watched, watched.threads.tear_me)
    release(watched, gate)
    assert (worker.state, job.state) == (WorkerState.DEAD, JobState.REVOKED)
    assert watched.supervise() == Census(1, 1, 0, 0, 0, 0, at_cap=False)
    assert watched.offer(int).accepted_by_offer


def test_who_is_stuck_has_no_stand_in_beyond_the_cap(open_pool: Open) -> None:
    """Its thread is one that the process has. When it ends, its place is filled."""
    watched = open_pool(stand_ins_max=0)
    _, gate, _ = hold_stuck(watched)
    waiting = watched.offer(int)
    assert watched.supervise(0.25) == Census(1, 0, 0, 1, 0, 0, at_cap=True)
    watched.settle()
    assert (watched.pool.state, waiting.state) == (PoolState.SERVING, JobState.QUEUED)
    release(watched, gate)
    assert state_of(waiting) is JobState.QUEUED
    watched.supervise(0.25)
    watched.settle()
    assert state_of(waiting) is JobState.RETURNED


def test_a_job_that_is_stuck_cannot_wait_for_its_pool_either(open_pool: Open) -> None:
    watched = open_pool()
    said: list[str] = []

    def work() -> None:
        with pytest.raises(RuntimeError, match="cannot wait for the end of the pool") as caught:
            watched.pool.join()
        said.append(str(caught.value))

    _, gate, _ = hold_stuck(watched, work)
    release(watched, gate)
    assert len(said) == 1


def test_a_job_that_fails_when_it_is_told_is_taken_all_the_same(open_pool: Open) -> None:
    watched = open_pool()
    gate = threading.Event()
    job = watched.offer(int, gate, fails_when_told=ValueError)
    watched.settle()
    watched.supervise()
    assert watched.supervise(JOB_SECONDS).standing == 1
    assert job.state is JobState.REVOKED
    release(watched, gate)


# --- drains -----------------------------------------------------------------------------------


def test_a_drain_waits_for_who_is_late(open_pool: Open) -> None:
    watched = open_pool()
    job, gate, _ = hold_late(watched)
    watched.pool.drain()
    watched.settle()
    assert not watched.pool.join(0)
    assert watched.pool.state is PoolState.DRAINING
    gate.set()
    assert watched.pool.join(PATIENCE.seconds_max)
    assert job.state is JobState.RETURNED


def test_a_drain_does_not_wait_for_who_is_stuck(open_pool: Open) -> None:
    watched = open_pool()
    _, gate, worker = hold_stuck(watched)
    thread = watched.pool.crew.threads[worker]
    watched.pool.drain()
    assert watched.pool.join(PATIENCE.seconds_max)
    assert watched.pool.state is PoolState.STOPPED
    assert thread.is_alive()
    assert watched.supervise(0.25).quarantined == 1
    gate.set()
    thread.join(PATIENCE.seconds_max)
    assert worker.state is WorkerState.STOPPED


def test_a_job_that_is_taken_ends_the_drain_that_waited_for_it(open_pool: Open) -> None:
    watched = open_pool(stand_ins_max=0)
    job, gate, _ = hold_late(watched)
    watched.pool.drain()
    watched.supervise(JOB_SECONDS)
    assert watched.pool.join(PATIENCE.seconds_max)
    assert job.state is JobState.REVOKED
    gate.set()


def test_in_a_drain_stand_ins_run_what_is_queued_behind_the_stuck(open_pool: Open) -> None:
    watched = open_pool()
    job, gate = hold(watched)
    waiting = [watched.offer(int) for _ in range(3)]
    watched.pool.drain()
    watched.supervise(LATE_SECONDS)
    watched.settle()
    assert [one.state for one in waiting] == [JobState.RETURNED] * 3
    assert watched.pool.state is PoolState.DRAINING
    # Nothing is queued any more, so that nobody is started for nothing.
    assert watched.supervise(0.25).standing == 0
    watched.supervise(JOB_SECONDS)
    assert watched.pool.join(PATIENCE.seconds_max)
    assert job.state is JobState.REVOKED
    gate.set()


def test_a_drain_without_a_stand_in_goes_on_when_a_thread_wakes(open_pool: Open) -> None:
    watched = open_pool(stand_ins_max=0)
    _, gate, _ = hold_stuck(watched)
    waiting = watched.offer(int)
    watched.pool.drain()
    watched.supervise(0.25)
    assert (watched.pool.state, waiting.state) == (PoolState.DRAINING, JobState.QUEUED)
    release(watched, gate)
    watched.supervise(0.25)
    assert watched.pool.join(PATIENCE.seconds_max)
    assert waiting.state is JobState.RETURNED


@pytest.mark.parametrize("all_at_once", [False, True])
def test_a_drain_without_a_stand_in_ends_when_what_is_queued_is_withdrawn(
    open_pool: Open, all_at_once: bool
) -> None:
    watched = open_pool(stand_ins_max=0)
    _, gate, _ = hold_stuck(watched)
    waiting = watched.offer(int)
    watched.pool.drain()
    assert not watched.pool.join(0)
    if all_at_once:
        assert watched.pool.withdraw_all() == 1
    else:
        assert watched.pool.withdraw(waiting)
    assert watched.pool.join(PATIENCE.seconds_max)
    gate.set()


def test_a_withdrawal_before_the_start_ends_nothing(engine: Engine) -> None:
    watched = Watched(engine, stand_ins_max=0)
    watched.supervise()
    assert watched.pool.withdraw(watched.offer(int))
    assert watched.pool.state is PoolState.SERVING
    never = watched.offer(int)
    watched.close()
    assert never.state is JobState.WITHDRAWN


# --- deaths -----------------------------------------------------------------------------------


@pytest.mark.arrow("W12")
def test_a_late_worker_that_dies_in_a_place_that_is_taken_is_not_replaced(open_pool: Open) -> None:
    watched = open_pool()
    job, gate, worker = hold_late(watched, watched.threads.tear_me)
    release(watched, gate)
    assert (worker.state, job.state) == (WorkerState.DEAD, JobState.ABANDONED)
    assert watched.supervise() == Census(1, 1, 0, 0, 0, 0, at_cap=False)


def test_a_late_worker_that_dies_in_its_place_is_replaced(open_pool: Open) -> None:
    watched = open_pool(stand_ins_max=0)
    job, gate, _ = hold_late(watched, watched.threads.tear_me)
    release(watched, gate)
    assert job.state is JobState.ABANDONED
    assert watched.supervise() == Census(1, 1, 0, 0, 0, 1, at_cap=False)


def test_a_stand_in_that_dies_is_replaced(open_pool: Open) -> None:
    watched = open_pool()
    _, gate, _ = hold_late(watched)
    torn, after = watched.offer(watched.threads.tear_me), watched.offer(int)
    watched.settle()
    assert (torn.state, after.state) == (JobState.ABANDONED, JobState.RETURNED)
    assert watched.supervise() == Census(1, 1, 1, 0, 1, 1, at_cap=True)
    release(watched, gate)


def test_a_stand_in_for_which_there_is_no_thread_comes_later(
    open_pool: Open, caplog: pytest.LogCaptureFixture
) -> None:
    watched = open_pool()
    _, gate = hold(watched)
    waiting = watched.offer(int)
    watched.threads.threads_left = 0
    for _ in range(3):
        census = watched.supervise(LATE_SECONDS)
    assert (census.late, census.standing, census.at_cap) == (1, 0, False)
    assert state_of(waiting) is JobState.QUEUED
    assert caplog.text.count("no thread can be started") == 1
    watched.threads.threads_left = 1
    watched.supervise(0.25)
    watched.settle()
    assert state_of(waiting) is JobState.RETURNED
    release(watched, gate)
    # That it could be had is news, and that it cannot, is news again.
    watched.threads.threads_left = 0
    _, gate = hold(watched)
    watched.supervise(LATE_SECONDS)
    assert caplog.text.count("no thread can be started") == 2
    release(watched, gate)


def test_a_supervised_pool_whose_last_worker_dies_waits_for_a_thread(open_pool: Open) -> None:
    watched = open_pool()
    watched.threads.threads_left = 0
    torn, after = watched.offer(watched.threads.tear_me), watched.offer(int)
    watched.settle()
    assert watched.supervise(0.25) == Census(1, 0, 0, 0, 0, 0, at_cap=False)
    assert watched.pool.state is PoolState.SERVING
    assert (torn.state, after.state) == (JobState.ABANDONED, JobState.QUEUED)
    watched.threads.threads_left = 1
    assert watched.supervise(0.25) == Census(1, 1, 0, 0, 0, 1, at_cap=False)
    watched.settle()
    assert after.state is JobState.RETURNED


def test_a_late_worker_retires_while_its_stand_in_gets_no_thread(open_pool: Open) -> None:
    """It finds its place taken, and a moment later it is not: the next sample fills it."""
    watched = open_pool()
    _, gate = hold(watched)
    make = watched.threads.Thread

    class Refused(threading.Thread):
        def start(self) -> None:
            gate.set()
            watched.threads.until(lambda: len(watched.pool.workers) == 1, lost=watched.describe)
            raise RuntimeError("can't start new thread")

    watched.threads.Thread = Refused  # type: ignore[method-assign]
    assert watched.supervise(LATE_SECONDS) == Census(1, 0, 0, 0, 0, 0, at_cap=False)
    watched.threads.Thread = make  # type: ignore[method-assign]
    assert watched.pool.state is PoolState.SERVING
    assert watched.supervise(0.25).standing == 1
    assert taken(watched, "W3", "W11") == [1, 1]


def test_a_dead_workers_place_that_a_late_one_came_back_to_is_nobody_elses(open_pool: Open) -> None:
    """The stand-in dies, and no thread is to be had; the late one keeps the place after all."""
    watched = open_pool()
    _, gate, worker = hold_late(watched)
    watched.threads.threads_left = 0
    watched.offer(watched.threads.tear_me)
    watched.settle()
    release(watched, gate)
    assert worker.state is WorkerState.IDLE
    watched.threads.threads_left = 1
    _, gate, _ = hold_late(watched)
    # A stand-in, and not the dead one's successor.
    assert watched.supervise() == Census(1, 1, 1, 0, 1, 0, at_cap=True)
    release(watched, gate)


@pytest.mark.parametrize("arrow", ["W10", "W11", "W14"])
def test_a_late_worker_torn_out_in_the_middle_of_its_step(engine: Engine, arrow: str) -> None:
    faults = [Torn()]

    def hook(model: Model, taken: Arrow) -> None:
        if taken.id == arrow and faults:
            raise faults.pop()

    threads = FaultyThreading()
    binder = Binder(SYSTEM, engine=engine, hook=hook)
    pool = binder.bind(Pool)(
        binder,
        daemon=True,
        facade=threads,
        stand_ins_max=0 if arrow == "W10" else 1,
        late_seconds_max=LATE_SECONDS,
        job_seconds_max=JOB_SECONDS if arrow == "W14" else 0.0,
    )
    pool.start(1)
    gate = threading.Event()
    job = binder.bind(Noted)(int, gate)
    assert pool.offer(job)
    threads.until(lambda: job.runs == 1, lost=lambda: str(job.state))
    for now in (0.0, LATE_SECONDS, JOB_SECONDS):
        pool.supervise(now)
    (worker,) = [one for one in pool.crew.threads if one.seen]
    thread = pool.crew.threads[worker]
    gate.set()
    thread.join(PATIENCE.seconds_max)
    assert faults == []
    pool.drain()
    assert pool.join(PATIENCE.seconds_max)
    assert job.state is (JobState.REVOKED if arrow == "W14" else JobState.RETURNED)
    assert not pool.crew.quarantined


def test_a_worker_that_is_torn_out_of_its_own_burial_is_buried(watched: Watched) -> None:
    watched.pool.start(1)
    torn = watched.offer(lambda: watched.threads.tear_me(times=2))
    after = watched.offer(int)
    watched.settle()
    assert (torn.state, after.state) == (JobState.ABANDONED, JobState.RETURNED)
    assert len(torn.drops) == 1
    assert watched.pool.crew.replaced == 1


# Nothing is left on that thread to catch the third: Python shows it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_without_a_word_is_found_by_the_supervisor(open_pool: Open) -> None:
    watched = open_pool()
    job, gate = hold(watched, lambda: watched.threads.tear_me(times=3))
    worker = worker_of(watched, job)
    after = watched.offer(int)
    thread = watched.pool.crew.threads[worker]
    gate.set()
    thread.join(PATIENCE.seconds_max)
    assert (worker.state, job.state) == (WorkerState.BUSY, JobState.RUNNING)
    assert watched.supervise(0.25).replaced == 1
    watched.settle()
    assert (worker.state, job.state) == (WorkerState.DEAD, JobState.ABANDONED)
    assert after.state is JobState.RETURNED


# --- a fault that does not go away ------------------------------------------------------------


def _break_the_loop(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on every worker dies as soon as it finds nothing to do."""
    deaths: list[str] = []

    def lie_down(self: Sleepers, worker: Worker) -> None:
        deaths.append(worker.name)
        raise MemoryError

    monkeypatch.setattr(Sleepers, "lie_down", lie_down)
    return deaths


def test_a_loop_that_fails_for_good_does_not_start_threads_for_ever(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths = _break_the_loop(monkeypatch)
    watched.pool.start(2)
    watched.settle()
    assert watched.pool.state is PoolState.BROKEN
    assert len(deaths) == 2 + RESPAWNS_MAX
    assert watched.pool.crew.replaced == RESPAWNS_MAX


def test_with_a_supervisor_it_is_tried_again_once_a_sample(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = open_pool(2)
    deaths = _break_the_loop(monkeypatch)
    for _ in range(2):
        watched.offer(int)
    watched.settle()
    assert len(deaths) <= 2 + RESPAWNS_MAX
    for _ in range(3):
        before = len(deaths)
        watched.supervise(0.25)
        watched.settle()
        assert len(deaths) == before + 2
    assert watched.pool.state is PoolState.SERVING
    monkeypatch.undo()
    watched.supervise(0.25)
    watched.settle()
    assert watched.supervise().standing == 2


def test_deaths_between_which_jobs_end_are_replaced_at_once(watched: Watched) -> None:
    watched.pool.start(1)
    for _ in range(3 * RESPAWNS_MAX):
        jobs = [watched.offer(int), watched.offer(int), watched.offer(watched.threads.tear_me)]
        watched.settle()
        assert jobs[-1].state is JobState.ABANDONED
    assert watched.pool.crew.replaced == 3 * RESPAWNS_MAX


# --- who may be expected to take a job --------------------------------------------------------


def test_who_is_late_is_not_expected_to_take_a_job(open_pool: Open) -> None:
    """One of three is late, one brisk, one asleep: the brisk one needs no help."""
    watched = open_pool(3, stand_ins_max=0)
    _, gate, _ = hold_late(watched)
    asleep = Sleepers()
    asleep.extend(one for one in watched.pool.workers if one.state is WorkerState.IDLE)
    runner = asleep.pop()
    asleep.wanted(1, watched.pool.workers, 1.0, idle=False)
    for _ in range(BRISK_JOBS):
        asleep.note_taken(runner)
    now = 1.0 + 1.5 * ROUSE_SECONDS
    assert asleep.wanted(5, watched.pool.workers, now, idle=False) == 0
    release(watched, gate)
