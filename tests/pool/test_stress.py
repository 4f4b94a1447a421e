"""Many threads at once, a drain among them: the books balance whatever the order was."""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from statemachine import Engine
from statemachine._generated import JobState, PoolState
from tests.pool.faults import PATIENCE
from tests.pool.ledger import LATE_SECONDS, Noted, Watched

SUBMITTERS, JOBS_EACH = 8, 200


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads are switched as often as Python can; what jobs raise is not printed."""
    monkeypatch.setattr(logging.getLogger("interlock.pool"), "disabled", True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _raise() -> None:
    raise ValueError


class Crowd:
    """Submitters that all begin at once. One of them drains when half its jobs are offered."""

    def __init__(self, watched: Watched, seed: int) -> None:
        self.watched = watched
        self.begin = threading.Barrier(SUBMITTERS + 1)
        self.threads = [
            threading.Thread(target=self.submit, args=(number, random.Random(seed + number)))
            for number in range(SUBMITTERS)
        ]

    def submit(self, number: int, dice: random.Random) -> None:
        watched = self.watched
        works: list[Callable[[], object]] = [int, int, int, _raise, watched.threads.tear_me]
        mine: list[Noted] = []
        self.begin.wait(PATIENCE.seconds_max)
        for count in range(JOBS_EACH):
            mine.append(watched.offer(dice.choice(works)))
            if dice.random() < 0.1:
                watched.pool.withdraw(dice.choice(mine))
            if number == 0 and count == JOBS_EACH // 2:
                watched.pool.drain()

    def run(self) -> None:
        for thread in self.threads:
            thread.start()
        self.begin.wait(PATIENCE.seconds_max)
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("seed", [1, 22, 333])
@pytest.mark.parametrize("queue_jobs_max", [50.0, float("inf")])
def test_no_job_is_lost(engine: Engine, seed: int, queue_jobs_max: float) -> None:
    watched = Watched(engine, queue_jobs_max=queue_jobs_max)
    watched.pool.start(4)
    Crowd(watched, seed * 100).run()
    ends = watched.close()
    refused = ends.pop(JobState.REFUSED, 0)
    accepted = sum(job.accepted_by_offer is True for job in watched.jobs)
    assert accepted + refused == SUBMITTERS * JOBS_EACH
    assert accepted == sum(
        ends[end]
        for end in (JobState.RETURNED, JobState.RAISED, JobState.WITHDRAWN, JobState.ABANDONED)
    )
    # The drain came in the middle: something was accepted, and something came too late.
    assert accepted > 0
    assert refused > 0
    arrows: Counter[str] = watched.recorder.coverage()
    assert arrows["J1"] == accepted
    assert arrows["J2"] == refused


@pytest.mark.parametrize("seed", [4, 55])
@pytest.mark.parametrize("stand_ins_max", [0, 3])
def test_no_job_is_lost_to_a_supervisor_without_rest(
    engine: Engine, seed: int, stand_ins_max: int
) -> None:
    """It samples as fast as it can, on a clock on which whoever is seen twice is late or stuck."""
    watched = Watched(engine, stand_ins_max=stand_ins_max, job_seconds_max=2 * LATE_SECONDS)
    watched.pool.start(4)
    crowd = Crowd(watched, seed * 100)
    threads_max = 4 + stand_ins_max

    def supervise() -> None:
        while watched.pool.state is not PoolState.STOPPED:
            census = watched.supervise(LATE_SECONDS)
            assert census.standing + census.late + census.quarantined <= threads_max

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    crowd.run()
    watched.pool.drain()
    supervisor.join(PATIENCE.seconds_max)
    assert not supervisor.is_alive(), watched.describe()
    ends = watched.close()
    ends.pop(JobState.REFUSED, 0)
    assert watched.recorder.coverage()["J1"] == sum(ends.values()) > 0
