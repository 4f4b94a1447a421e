"""A pool is given more places, or fewer, while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from server.net.resizing import resize
from statemachine import Engine
from statemachine._generated import JobState, PoolState
from tests.pool.ledger import LATE_SECONDS, Noted, Watched


@pytest.fixture
def watched(engine: Engine) -> Iterator[Watched]:
    """A supervised pool of two, at rest; audited in the end."""
    one = Watched(engine, stand_ins_max=1)
    one.pool.start(2)
    one.settle()
    one.supervise()
    yield one
    one.close()


def hold(watched: Watched, count: int) -> tuple[list[Noted], list[threading.Event]]:
    gates = [threading.Event() for _ in range(count)]
    jobs = [watched.offer(int, gate) for gate in gates]
    watched.settle()
    return jobs, gates


def taken(watched: Watched, arrow: str) -> int:
    return watched.recorder.coverage()[arrow]


@pytest.mark.arrow("P7")
def test_more_places_have_workers_at_once(watched: Watched) -> None:
    assert resize(watched.pool, 4)
    jobs, gates = hold(watched, 4)
    assert all(job.is_held for job in jobs)
    census = watched.supervise()
    assert (census.places, census.standing, census.stand_ins, census.replaced) == (4, 4, 0, 0)
    assert taken(watched, "P7") == 1
    for gate in gates:
        gate.set()


@pytest.mark.arrow("W16")
def test_whoever_sleeps_and_has_no_place_is_woken_and_retires(watched: Watched) -> None:
    assert resize(watched.pool, 1)
    watched.settle()
    assert len(watched.pool.workers) == len(watched.pool.sleepers) == 1
    assert taken(watched, "W16") == 1
    job = watched.offer(int)
    watched.settle()
    assert job.state is JobState.RETURNED


def test_whoever_is_at_work_ends_that_first_whatever_is_queued(watched: Watched) -> None:
    held, gates = hold(watched, 2)
    queued = [watched.offer(int) for _ in range(3)]
    assert resize(watched.pool, 1)
    watched.settle()
    assert (len(watched.pool.workers), taken(watched, "W16")) == (2, 0)
    gates[0].set()
    watched.settle()
    # It left three jobs to the other, which is held: who has no place takes none.
    assert (len(watched.pool.workers), len(watched.pool.queue)) == (1, 3)
    gates[1].set()
    watched.settle()
    assert {job.state for job in (*held, *queued)} == {JobState.RETURNED}


def test_a_late_worker_does_not_come_back_to_a_place_that_is_gone(watched: Watched) -> None:
    held, gates = hold(watched, 2)
    watched.supervise()
    watched.supervise(LATE_SECONDS)
    assert resize(watched.pool, 1)
    gates[0].set()
    watched.settle()
    gates[1].set()
    watched.settle()
    census = watched.supervise()
    assert (census.places, census.standing, census.late) == (1, 1, 0)
    assert {job.state for job in held} == {JobState.RETURNED}


def test_who_dies_without_a_place_has_no_successor(watched: Watched) -> None:
    gate = threading.Event()
    watched.offer(watched.threads.tear_me, gate)
    _, others = hold(watched, 1)
    assert resize(watched.pool, 1)
    watched.supervise()
    gate.set()
    watched.settle()
    census = watched.supervise()
    assert (census.standing, census.replaced) == (1, 0)
    others[0].set()
    watched.settle()
    assert resize(watched.pool, 2)
    # It is a new place's first worker, and nobody's successor.
    assert watched.supervise().replaced == 0


def test_a_place_without_a_thread_is_filled_later(watched: Watched) -> None:
    watched.threads.threads_left = 1
    assert resize(watched.pool, 4)
    assert len(watched.pool.workers) == 3
    watched.threads.threads_left = 1_000_000
    assert watched.supervise().standing == 4
    watched.settle()


def test_a_pool_that_takes_nothing_in_is_not_resized(watched: Watched) -> None:
    _, (gate,) = hold(watched, 1)
    watched.pool.drain()
    assert watched.pool.state is PoolState.DRAINING
    assert not resize(watched.pool, 3)
    assert watched.pool.crew.places == 2
    gate.set()


def test_a_pool_has_a_place(watched: Watched) -> None:
    with pytest.raises(ValueError, match="0 places, expected at least 1"):
        resize(watched.pool, 0)
