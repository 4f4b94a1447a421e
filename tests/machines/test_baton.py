"""spec/baton.toml: each arrow, taken by the real baton between a real pool and a reactor that is
played. The threads are the test's own: it says who does what, and what the watcher's sleep ends by.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from server.net.baton import (
    GOOD_JOBS,
    KEPT,
    LENT,
    PAUSE_SECONDS,
    PAUSE_SECONDS_MAX,
    RECALLED,
    REST_TICKS,
    TICK_SECONDS,
    TRUSTED,
    Baton,
)
from server.net.pool import Job, Pool, Worker
from server.net.sleepers import BRISK_SECONDS
from server.server import sound_system
from statemachine import Arrow, Binder, Engine, Model
from statemachine._generated import BatonState, WorkerState
from tests.clock import ManualClock
from tests.witness import Witness


class Torn(BaseException):
    """What kills a thread wherever it is."""


class Turns:
    """A reactor that writes down what is asked of it, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: dict[str, BaseException] = {}

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise self.fails[call]

    def poll_once(self) -> None:
        self._note("poll_once")

    def wait(self) -> list[int]:
        self._note("wait")
        return [7]

    def turn(self, ready: list[int]) -> bool:
        assert ready == [7]
        self._note("turn")
        return True

    def wake(self) -> None:
        self._note("wake")


class Bell:
    """The watcher's sleep. Who sleeps is woken at once: by the time, or where somebody has rung."""

    def __init__(self) -> None:
        self.rung = False
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def acquire(self, timeout: float = -1) -> bool:
        self.slept.append(timeout)
        self.meanwhile()
        rung, self.rung = self.rung, False
        return rung

    def release(self) -> None:
        if self.rung:
            raise RuntimeError("release unlocked lock")
        self.rung = True


class Rig:
    """Two workers that are awake, and the baton in the hands of the reactor's thread."""

    def __init__(self, engine: Engine) -> None:
        self.witness = Witness(sound_system())
        binder = Binder(sound_system(), engine=engine, hook=self._hook)
        self.clock, self.turns, self.bell = ManualClock(), Turns(), Bell()
        self.pool = binder.bind(Pool)(binder)
        self.pool.crew.places = 2
        self.marks = 0
        self.baton = binder.bind(Baton)(
            self.pool, self.turns, now=self.clock.monotonic, after_turn=self._mark
        )
        self.baton._bell = self.bell  # type: ignore[assignment] # as much of one as is needed
        self.pool.baton = self.baton
        self._job_type = binder.bind(Job)
        self.workers = [self.pool._enlist_locked() for _ in range(2)]
        for worker in self.workers:
            worker.started()

    def _mark(self) -> None:
        self.marks += 1

    def _hook(self, model: Model, arrow: Arrow) -> None:
        self.witness(model, arrow)
        if arrow.machine == "baton":
            assert not self.pool.lock.acquire(blocking=False), f"{arrow} without the pool's lock"

    def offer(self) -> None:
        assert self.pool.offer(self._job_type(), lazily=True)

    def take(self, worker: Worker) -> Job:
        with self.pool.lock:
            if worker.state is WorkerState.IDLE and self.baton.leads_locked(worker):
                self.baton.begin_locked()  # as in `Worker._wait_for_job`
            job = worker._take_locked()
        assert job is not None
        return job

    def next_job(self, worker: Worker) -> None:
        """The worker ends its job, and takes another."""
        self.offer()
        assert worker.job is not None
        assert worker._settle(worker.job, None) is not None

    def lend(self) -> Worker:
        """The first worker is lent the baton, with a job in the queue."""
        self.offer()
        self.baton.turn()
        holder = self.baton.holder
        assert holder is self.workers[0]
        return holder

    def trust(self) -> Worker:
        """The same, and the watcher sleeps."""
        holder = self.lend()
        self.pool.withdraw_all()
        for _ in range(REST_TICKS):
            self.baton.turn()
        assert self.state is TRUSTED
        return holder

    @property
    def state(self) -> BatonState:
        return self.baton.state

    @property
    def trail(self) -> list[str]:
        """The baton's arrows so far."""
        steps = self.witness.recorder.steps
        return [one.arrow.id for one in steps if one.arrow.machine == "baton"]

    def leads(self, worker: Worker) -> bool:
        with self.pool.lock:
            return self.baton.leads_locked(worker)


@pytest.fixture
def rig(engine: Engine) -> Rig:
    return Rig(engine)


# --- who is lent it --------------------------------------------------------------------------


def test_a_worker_that_is_awake_is_lent_it(rig: Rig) -> None:
    holder = rig.lend()
    assert (rig.trail, rig.turns.calls, rig.marks) == (["B1"], ["poll_once"], 1)
    assert [rig.leads(one) for one in rig.workers] == [one is holder for one in rig.workers]


def test_nobody_is_lent_it_while_nothing_waits(rig: Rig) -> None:
    rig.baton.turn()
    assert rig.trail == []


def test_a_worker_that_sleeps_is_not(rig: Rig) -> None:
    for worker in rig.workers:
        rig.pool.sleepers.lie_down(worker)
    rig.offer()
    rig.baton.turn()
    assert rig.trail == []


@pytest.mark.parametrize("held", [False, True])
def test_a_worker_in_a_job_is_lent_it_as_long_as_that_is_short(rig: Rig, held: bool) -> None:
    rig.pool.sleepers.lie_down(rig.workers[1])
    rig.offer()
    rig.take(rig.workers[0])
    rig.clock.advance(BRISK_SECONDS if held else 0.0)
    rig.offer()
    rig.baton.turn()
    assert rig.trail == ([] if held else ["B1"])


def test_nobody_is_lent_it_in_a_drain(rig: Rig) -> None:
    rig.offer()
    rig.pool.drain()
    rig.baton.turn()
    assert rig.trail == []


# --- the watcher -------------------------------------------------------------------------------


def test_it_is_taken_back_from_who_is_held_by_a_job_for_a_tick(rig: Rig) -> None:
    holder = rig.lend()
    rig.take(holder)
    rig.baton.turn()
    assert rig.state is LENT, "it has taken that job since the last tick"
    rig.baton.turn()
    assert (rig.trail, rig.bell.slept) == (["B1", "B4"], [TICK_SECONDS] * 2)
    assert (rig.baton.holder, rig.leads(holder)) == (None, False)


def test_it_is_left_with_who_is_at_another_job_each_time(rig: Rig) -> None:
    holder = rig.lend()
    rig.take(holder)
    for _ in range(5):
        rig.baton.turn()
        rig.next_job(holder)
    assert rig.trail == ["B1"]


def test_a_ring_is_no_tick(rig: Rig) -> None:
    holder = rig.lend()
    rig.take(holder)
    rig.baton.turn()
    rig.bell.release()
    rig.baton.turn()
    assert rig.trail == ["B1"]


def test_who_is_late_loses_it_too(rig: Rig) -> None:
    holder = rig.lend()
    rig.take(holder)
    rig.baton.turn()
    holder.became_late()
    rig.baton.turn()
    assert rig.trail == ["B1", "B4"]


def test_the_watcher_sleeps_while_the_holder_waits_and_is_rung_for_a_job(rig: Rig) -> None:
    holder = rig.trust()
    rig.offer()
    rig.bell.meanwhile = lambda: rig.take(holder)
    rig.baton.turn()
    assert rig.bell.slept[-1] == -1
    assert rig.trail == ["B1", "B2", "B3"]
    rig.bell.meanwhile = lambda: None
    rig.baton.turn()
    rig.baton.turn()
    assert rig.state is KEPT, "a lost ring would leave nobody to take it back"


@pytest.mark.parametrize("after_a_job", [False, True])
def test_the_watcher_sleeps_after_so_many_ticks_without_a_job(rig: Rig, after_a_job: bool) -> None:
    holder = rig.lend()
    rig.pool.withdraw_all()
    if after_a_job:
        for _ in range(REST_TICKS - 1):
            rig.baton.turn()
        rig.offer()
        holder._settle(rig.take(holder), None)
        rig.baton.turn()
    for _ in range(REST_TICKS - 1):
        rig.baton.turn()
        assert rig.state is LENT
    rig.baton.turn()
    assert rig.trail == ["B1", "B2"]


def test_another_holder_has_its_own_ticks(rig: Rig) -> None:
    first = rig.lend()
    rig.pool.withdraw_all()
    for _ in range(REST_TICKS - 1):
        rig.baton.turn()
    with rig.pool.lock:
        rig.pool.leave_locked(first)
    rig.bell.rung = False
    rig.offer()
    rig.baton.turn()
    assert rig.baton.holder is rig.workers[1]
    rig.pool.withdraw_all()
    for _ in range(REST_TICKS - 1):
        rig.baton.turn()
        assert rig.state is LENT


def test_who_takes_a_job_rings_and_may_ring_again_before_it_is_heard(rig: Rig) -> None:
    holder = rig.trust()
    rig.offer()
    rig.take(holder)
    assert rig.bell.rung
    rig.pool.drain()
    assert (rig.trail, rig.bell.rung) == (["B1", "B2", "B3", "B4"], True)


def test_there_is_nothing_to_hear_at_first(engine: Engine) -> None:
    binder = Binder(sound_system(), engine=engine)
    pool = binder.bind(Pool)(binder)
    baton = binder.bind(Baton)(pool, Turns(), now=ManualClock().monotonic, after_turn=lambda: None)
    assert not baton._bell.acquire(blocking=False)


def test_the_watcher_wakes_others_for_a_queue_that_does_not_move(rig: Rig) -> None:
    rig.pool.sleepers.lie_down(rig.workers[1])
    holder = rig.lend()
    rig.take(holder)
    rig.offer()
    rig.clock.advance(TICK_SECONDS)
    rig.baton.turn()
    assert not rig.pool.sleepers


def test_after_a_loan_that_did_not_pay_the_next_is_later_each_time(rig: Rig) -> None:
    pauses = []
    for _ in range(9):
        job = rig.take(rig.lend())
        rig.baton.turn()
        rig.baton.turn()
        assert rig.state is KEPT
        rig.workers[0]._settle(job, None)
        rig.pool.withdraw_all()
        pauses.append(rig.baton._lend_at - rig.clock.monotonic())
        rig.offer()
        rig.baton.turn()
        assert rig.state is KEPT, "not before the pause is over"
        rig.pool.withdraw_all()
        rig.clock.advance(pauses[-1] + 0.001)
    first = [PAUSE_SECONDS * 2**n for n in range(1, 10)]
    assert pauses == pytest.approx([min(one, PAUSE_SECONDS_MAX) for one in first])


def test_after_one_that_did_it_is_at_once(rig: Rig) -> None:
    holder = rig.lend()
    rig.take(holder)
    for _ in range(GOOD_JOBS - 1):
        rig.next_job(holder)
    rig.baton.turn()
    rig.baton.turn()
    assert rig.state is KEPT
    rig.offer()
    rig.baton.turn()
    assert rig.state is LENT
    other = rig.workers[1]
    assert rig.baton.holder is other
    rig.take(other)
    rig.baton.turn()
    rig.baton.turn()
    assert rig.state is KEPT
    rig.offer()
    rig.baton.turn()
    assert rig.state is KEPT, "jobs of the loan before do not make the next one pay"


# --- the holder ----------------------------------------------------------------------------------


def test_the_holder_runs_turns(rig: Rig) -> None:
    rig.lend()
    rig.baton.lead()
    assert rig.turns.calls[1:] == ["wait", "turn"]
    assert rig.marks == 2


@pytest.mark.parametrize("trusted", [False, True])
def test_who_is_dismissed_gives_it_back(rig: Rig, trusted: bool) -> None:
    holder = rig.trust() if trusted else rig.lend()
    with rig.pool.lock:
        rig.pool.leave_locked(holder)
    assert rig.trail[-1] == ("B6" if trusted else "B5")
    assert rig.bell.rung, "the watcher may sleep"


def test_who_dies_gives_it_back(rig: Rig) -> None:
    holder = rig.lend()
    rig.pool.drain()
    rig.pool.bury(holder, Torn())
    assert rig.trail == ["B1", "B7", "B9"]
    assert holder.state is WorkerState.DEAD


@pytest.mark.parametrize("trusted", [False, True])
def test_a_drain_recalls_it_from_who_waits(rig: Rig, trusted: bool) -> None:
    holder = rig.trust() if trusted else rig.lend()
    rig.pool.drain()
    assert rig.trail[-1] == ("B8" if trusted else "B7")
    assert rig.turns.calls[-1] == "wake"
    rig.pool.drain()
    assert rig.state is RECALLED, "once is enough"
    assert not rig.leads(holder)
    assert (rig.trail[-1], rig.bell.rung) == ("B9", True)


def test_a_drain_takes_it_from_who_is_in_a_job(rig: Rig) -> None:
    rig.take(rig.lend())
    rig.pool.drain()
    assert (rig.trail, rig.bell.rung) == (["B1", "B4"], True)


def test_who_is_recalled_takes_no_job_with_it(rig: Rig) -> None:
    holder = rig.lend()
    with rig.pool.lock:
        rig.baton.recall_locked()
    assert holder._wait_for_job() is not None
    assert (rig.trail, holder.state) == (["B1", "B7", "B9"], WorkerState.BUSY)


def test_a_job_that_a_dead_worker_leaves_is_told_to_who_waits(rig: Rig) -> None:
    rig.lend()
    with rig.pool.lock:
        rig.baton.nudge_locked()
    assert rig.turns.calls[-1] == "wake"


# --- the end of the reactor's loop --------------------------------------------------------------


@pytest.mark.parametrize("where", ["wait", "turn"])
@pytest.mark.parametrize("state", [LENT, TRUSTED, RECALLED])
def test_a_turn_that_fails_ends_the_loop_on_the_reactors_thread(
    rig: Rig, where: str, state: BatonState
) -> None:
    rig.lend() if state is LENT else rig.trust()
    if state is RECALLED:
        with rig.pool.lock:
            rig.baton.recall_locked()
    rig.turns.fails[where] = error = OSError("no more")
    rig.baton.lead()
    assert rig.trail[-1] == {LENT: "B11", TRUSTED: "B12", RECALLED: "B13"}[state]
    assert rig.bell.rung
    with pytest.raises(OSError, match="no more") as raised:
        rig.baton.turn()
    assert raised.value is error
    rig.baton.drop()
    assert rig.state is BatonState.DROPPED


def test_a_holder_that_is_torn_out_of_a_turn_dies_and_the_loop_with_it(rig: Rig) -> None:
    rig.lend()
    rig.turns.fails["turn"] = Torn()
    with pytest.raises(Torn):
        rig.baton.lead()
    assert rig.trail[-1] == "B11"


def test_a_holder_that_is_torn_out_of_its_wait_dies_alone(rig: Rig) -> None:
    rig.lend()
    rig.turns.fails["wait"] = Torn()
    with pytest.raises(Torn):
        rig.baton.lead()
    assert rig.state is LENT


def test_the_reactors_thread_dies_with_it(rig: Rig) -> None:
    rig.baton.drop()
    assert rig.trail == ["B10"]


def test_the_reactors_thread_dies_when_nobody_polls_any_more(rig: Rig) -> None:
    holder = rig.trust()
    rig.bell.meanwhile = lambda: rig.leads(holder)
    rig.baton.drop()
    assert rig.trail == ["B1", "B2", "B8", "B9", "B10"]
