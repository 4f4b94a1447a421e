"""Who runs what it reads: a holder of the baton that is quick. And what it may lose over a job."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from server.net.baton import KEPT, LENT, QUICK_JOBS, RECALLED, REST_TICKS, TRUSTED
from server.net.pool import Job, Worker
from statemachine import Binder, Engine
from statemachine._generated import JobState, WorkerState
from tests.machines.test_baton import Rig, Torn


class Task(Job):
    """A job of the test's: `does` is what it does, and `told` whether it was told of an end."""

    __slots__ = ("does", "told")

    def __init__(self, does: Callable[[], object]) -> None:
        super().__init__()
        self.does = does
        self.told: list[BaseException | None] = []

    def run(self) -> None:
        self.does()

    def dropped(self, error: BaseException | None) -> None:
        self.told.append(error)


class Quick(Rig):
    """The first worker has the baton, has looked up, and may run what it reads."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.baton._quick_jobs = 0
        self.holder = self.lend()
        self.pool.withdraw_all()
        self.engine = engine

    def task(self, does: Callable[[], object] = lambda: None) -> Task:
        return Binder(self.witness.system, engine=self.engine, hook=self._hook).bind(Task)(does)


@pytest.fixture
def quick(engine: Engine) -> Quick:
    return Quick(engine)


@pytest.fixture
def rig(engine: Engine) -> Rig:
    return Rig(engine)


def quick_ones(rig: Rig) -> list[Worker]:
    """Who may run what it reads."""
    runner = rig.baton.runner
    return [] if runner is None else [runner]


# --- who is quick ----------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [QUICK_JOBS - 1, QUICK_JOBS])
def test_who_takes_enough_jobs_in_a_tick_is_quick(rig: Rig, jobs: int) -> None:
    holder = rig.lend()
    assert rig.baton.runner is None, "it has shown nothing yet"
    rig.take(holder)
    for _ in range(jobs - 1):
        rig.next_job(holder)
    rig.baton.turn()
    assert rig.baton.runner is (holder if jobs >= QUICK_JOBS else None)


def test_who_was_quick_and_takes_fewer_is_not(rig: Rig) -> None:
    holder = rig.lend()
    rig.take(holder)
    for _ in range(QUICK_JOBS):
        rig.next_job(holder)
    rig.baton.turn()
    assert quick_ones(rig) == [holder]
    rig.next_job(holder)
    rig.baton.turn()
    assert rig.state is LENT
    assert quick_ones(rig) == []


def test_who_loses_the_baton_is_not(quick: Quick) -> None:
    assert quick_ones(quick) == [quick.holder]
    quick.offer()
    quick.take(quick.holder)
    quick.baton.turn()
    quick.baton.turn()
    assert quick.state is KEPT
    assert quick_ones(quick) == []


def test_who_is_not_watched_is_not(quick: Quick) -> None:
    for _ in range(REST_TICKS):
        quick.baton.turn()
    assert quick.state is TRUSTED
    assert quick_ones(quick) == []


def test_who_is_recalled_is_not(quick: Quick) -> None:
    """Nobody would take the baton from it, however long its job takes."""
    with quick.pool.lock:
        quick.baton.recall_locked()
    task = quick.task()
    assert quick.holder.run_at_once(task)
    assert (quick.state, task.state) == (RECALLED, JobState.QUEUED)
    assert quick_ones(quick) == []


# --- the job ---------------------------------------------------------------------------------


def test_a_job_is_run_here_and_now(quick: Quick) -> None:
    seen = []
    task = quick.task(lambda: seen.append((task.state, quick.holder.state, quick.holder.job)))
    taken = quick.holder.taken
    assert quick.holder.run_at_once(task)
    assert seen == [(JobState.RUNNING, WorkerState.BUSY, task)]
    assert (task.state, quick.holder.state) == (JobState.RETURNED, WorkerState.IDLE)
    assert (quick.holder.job, quick.holder.taken) == (None, taken + 1)
    assert not quick.pool.queue


def test_what_it_raises_ends_the_job_and_not_the_worker(
    quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise Torn("by the job")

    task = quick.task(fail)
    assert quick.holder.run_at_once(task)
    assert (task.state, quick.holder.state) == (JobState.RAISED, WorkerState.IDLE)
    assert [one.getMessage() for one in caplog.records] == ["worker_0: a job raised"]


def test_a_full_queue_refuses_it(quick: Quick) -> None:
    quick.pool.queue_jobs_max = 0
    task = quick.task()
    assert quick.holder.run_at_once(task)
    assert (task.state, quick.holder.state) == (JobState.REFUSED, WorkerState.IDLE)


def test_it_waits_behind_those_who_came_before(quick: Quick) -> None:
    quick.offer()
    task = quick.task()
    assert quick.holder.run_at_once(task)
    assert (task.state, quick.pool.queue[-1]) == (JobState.QUEUED, task)


def test_it_is_queued_where_the_worker_is_quick_no_longer(quick: Quick) -> None:
    quick.baton.runner = None
    task = quick.task()
    assert quick.holder.run_at_once(task)
    assert (task.state, list(quick.pool.queue)) == (JobState.QUEUED, [task])


# --- what may come meanwhile -------------------------------------------------------------------


def test_who_loses_the_baton_over_a_job_is_told(quick: Quick) -> None:
    def hang() -> None:
        quick.baton.turn()
        quick.baton.turn()

    task = quick.task(hang)
    assert not quick.holder.run_at_once(task)
    assert (task.state, quick.holder.state, quick.state) == (
        *(JobState.RETURNED, WorkerState.IDLE, KEPT),
    )


def test_who_is_late_and_has_no_place_any_more_leaves(quick: Quick) -> None:
    def hang() -> None:
        with quick.pool.lock:
            quick.holder.became_late()
            quick.pool._enlist_locked()

    assert not quick.holder.run_at_once(quick.task(hang))
    assert quick.holder.state is WorkerState.STOPPED
    assert quick.holder not in quick.pool.workers
    assert (quick.state, quick.trail[-1]) == (KEPT, "B5")


def test_who_is_late_and_keeps_its_place_goes_on(quick: Quick) -> None:
    def hang() -> None:
        with quick.pool.lock:
            quick.holder.became_late()

    assert quick.holder.run_at_once(quick.task(hang))
    assert quick.holder.state is WorkerState.IDLE


def test_who_wakes_in_quarantine_leaves(quick: Quick) -> None:
    def hang() -> None:
        with quick.pool.lock:
            quick.holder.became_late()
            assert quick.pool.crew._revoke(quick.holder, task)

    task = quick.task(hang)
    assert not quick.holder.run_at_once(task)
    assert (task.state, quick.holder.state) == (JobState.REVOKED, WorkerState.STOPPED)
    assert quick.holder not in quick.pool.crew.quarantined


# --- what fails beside it ------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Torn("torn out"), MemoryError()])
def test_a_worker_that_fails_beside_a_job_dies_and_the_loop_goes_on(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def finished(_: Worker) -> None:
        raise error

    monkeypatch.setattr(type(quick.holder), "finished", finished)
    task = quick.task()
    monkeypatch.setattr(quick.turns, "turn", lambda _: quick.holder.run_at_once(task))
    with pytest.raises(type(error)) as raised:
        quick.baton.lead()
    assert raised.value is error
    assert (quick.baton.error, quick.state) == (None, LENT)
    quick.pool.crew.places = 1  # nobody is wanted in its place
    quick.pool.bury(quick.holder, error)
    assert (quick.holder.state, quick.state) == (WorkerState.DEAD, KEPT)


def test_a_mistake_before_it_is_taken_is_the_readers(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = quick.task()

    def accepted(_: Job) -> None:
        raise MemoryError

    monkeypatch.setattr(type(task), "accepted", accepted)
    with pytest.raises(MemoryError):
        quick.holder.run_at_once(task)
    assert quick.holder.state is WorkerState.IDLE


def test_who_has_lost_the_baton_ends_no_turn(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = quick.marks
    monkeypatch.setattr(quick.turns, "turn", lambda _: False)
    quick.baton.lead()
    assert quick.marks == marks
