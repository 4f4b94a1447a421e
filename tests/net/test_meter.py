"""The meter: no answer is lost, whoever notes it, and each lies in its bucket."""

from __future__ import annotations

import threading

import pytest

from server.net.meter import BOUNDS, FOLD_NOTES, NEVER, OTHER, Meter
from server.net.threads import SystemThreading

THREADS = 4
ROUNDS = 5_000


@pytest.fixture
def meter() -> Meter:
    return Meter(SystemThreading())


def test_no_answer_is_lost_between_threads(meter: Meter) -> None:
    together = threading.Barrier(THREADS + 1)

    def note(status: int) -> None:
        together.wait()
        for _ in range(ROUNDS):
            meter.note("GET", status, 0.25, 0.0, 0.125)

    threads = [threading.Thread(target=note, args=(200 + n % 2,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    together.wait()
    while any(thread.is_alive() for thread in threads):
        reading = meter.read()
        assert reading.latency.count == sum(reading.answers.values())
    for thread in threads:
        thread.join()
    reading = meter.read()
    assert reading.answers == {("GET", 200): 2 * ROUNDS, ("GET", 201): 2 * ROUNDS}
    seconds = {reading.latency: 0.25, reading.queueing: 0.0, reading.application: 0.125}
    for one, each in seconds.items():
        assert (one.count, one.seconds) == (THREADS * ROUNDS, THREADS * ROUNDS * each)


def test_what_nobody_reads_is_folded_all_the_same(meter: Meter) -> None:
    for _ in range(10 * FOLD_NOTES):
        meter.note("GET", 200, 0.0, 0.0, 0.0)
    assert len(meter._notes) < FOLD_NOTES
    assert meter.read().answers == {("GET", 200): 10 * FOLD_NOTES}


def test_who_notes_the_last_of_them_folds_them_all(meter: Meter) -> None:
    for _ in range(FOLD_NOTES - 1):
        meter.note("GET", 200, 0.0, 0.0, 0.0)
    assert len(meter._notes) == FOLD_NOTES - 1
    meter.note("GET", 200, 0.0, 0.0, 0.0)
    assert not meter._notes


def test_nobody_waits_for_who_folds(meter: Meter) -> None:
    with meter._lock:
        for _ in range(FOLD_NOTES + 1):
            meter.note("GET", 200, 0.0, 0.0, 0.0)
        assert len(meter._notes) == FOLD_NOTES + 1
    meter.note("GET", 200, 0.0, 0.0, 0.0)
    assert not meter._notes


def test_who_reads_holds_the_lock(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    fold = meter._fold_locked

    class Watched(Meter):
        __slots__ = ()

        def _fold_locked(self) -> None:
            held.append(not self._lock.acquire(blocking=False))
            fold()

    monkeypatch.setattr(meter, "__class__", Watched)
    meter.read()
    assert held == [True]


def test_a_duration_lies_in_the_first_bucket_that_is_no_less(meter: Meter) -> None:
    for seconds in (61.0, *BOUNDS, 0.0):
        meter.note("GET", 200, seconds, NEVER, NEVER)
    assert meter.read().latency.counts == (2, *[1] * len(BOUNDS))


def test_what_did_not_happen_has_no_duration(meter: Meter) -> None:
    meter.note("GET", 408, 1.0, NEVER - 5.0, NEVER)
    meter.note("GET", 500, 1.0, -1e-16, NEVER)
    reading = meter.read()
    counts = [one.count for one in (reading.latency, reading.queueing, reading.application)]
    assert counts == [2, 1, 0]
    assert reading.queueing.seconds == -1e-16


def test_a_client_does_not_choose_how_much_is_remembered(meter: Meter) -> None:
    for number in range(100):
        meter.note(f"M{number}", 501, 0.0, 0.0, 0.0)
    assert meter.read().answers == {(OTHER, 501): 100}


def test_nothing_metered_reads_as_nothing(meter: Meter) -> None:
    reading = meter.read()
    assert reading.answers == {}
    assert reading.latency.counts == (0,) * (len(BOUNDS) + 1)
    assert reading.latency.seconds == 0
