"""The meter: no answer is lost, whoever notes it, and each lies in its bucket."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.net.meter import BOUNDS, FOLD_NOTES, NEVER, NOTE_ITEMS, OTHER, Meter, Note, Reading
from server.net.threads import SystemThreading

THREADS = 4
ROUNDS = 5_000


@pytest.fixture
def meter() -> Meter:
    return Meter(SystemThreading())


def _notes(meter: Meter) -> int:
    """How many wait to be folded."""
    notes, part = divmod(len(meter._noted), NOTE_ITEMS)
    assert not part
    return notes


def test_no_answer_is_lost_between_threads(meter: Meter) -> None:
    together = threading.Barrier(THREADS + 1)

    def note(status: int) -> None:
        together.wait()
        for _ in range(ROUNDS):
            meter.note(("GET", status, 1.0, 1.0, 1.0, 1.125, 1.25))
            meter.fold()

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


AT_ONCE = ("GET", 200, 1.0, 1.0, 1.0, 1.0, 1.0)
"""An answer that took no time."""


def test_what_nobody_reads_is_folded_all_the_same(meter: Meter) -> None:
    for _ in range(10 * FOLD_NOTES):
        meter.note(AT_ONCE)
        meter.fold()
    assert _notes(meter) < FOLD_NOTES
    assert meter.read().answers == {("GET", 200): 10 * FOLD_NOTES}


def test_they_are_folded_once_there_are_many(meter: Meter) -> None:
    for _ in range(FOLD_NOTES - 1):
        meter.note(AT_ONCE)
    meter.fold()
    assert _notes(meter) == FOLD_NOTES - 1
    meter.note(AT_ONCE)
    meter.fold()
    assert not _notes(meter)


def test_nobody_waits_for_who_folds(meter: Meter) -> None:
    for _ in range(FOLD_NOTES):
        meter.note(AT_ONCE)
    with meter._lock:
        meter.fold()
        assert _notes(meter) == FOLD_NOTES
    meter.fold()
    assert not _notes(meter)


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
        meter.note(("GET", 200, 0.0, 0.0, NEVER, NEVER, seconds))
    assert meter.read().latency.counts == (2, *[1] * len(BOUNDS))


def test_durations_that_are_all_short_lie_in_the_first_bucket(meter: Meter) -> None:
    for seconds in (0.0, BOUNDS[0]):
        meter.note(("GET", 200, 0.0, 0.0, NEVER, NEVER, seconds))
    latency = meter.read().latency
    assert (latency.counts, latency.seconds) == ((2, *[0] * len(BOUNDS)), BOUNDS[0])


def test_what_did_not_happen_has_no_duration(meter: Meter) -> None:
    meter.note(("GET", 408, 1.0, 0.5, NEVER, NEVER, 2.0))
    # An idle connection has forgotten when its last request was complete.
    meter.note(("other", 400, 1.0, NEVER, NEVER, NEVER, 2.0))
    # Clocks that are read apart may say that it ended before it began.
    meter.note(("GET", 500, 1.0, 1.0, 1.0 - 2**-52, NEVER, 2.0))
    reading = meter.read()
    counts = [one.count for one in (reading.latency, reading.queueing, reading.application)]
    assert counts == [3, 1, 0]
    assert reading.latency.seconds == 3.0
    assert reading.queueing.seconds == -(2**-52)


def test_answers_of_several_kinds_are_told_apart_in_one_fold(meter: Meter) -> None:
    for method, status in (("GET", 200), ("PUT", 200), ("GET", 404), ("GET", 200)):
        meter.note((method, status, *AT_ONCE[2:]))
    found = {("GET", 200): 2, ("PUT", 200): 1, ("GET", 404): 1}
    assert meter.read().answers == found
    assert meter.read().answers == found


def test_a_client_does_not_choose_how_much_is_remembered(meter: Meter) -> None:
    for number in range(100):
        meter.note((f"M{number}", 501, *AT_ONCE[2:]))
    assert meter.read().answers == {(OTHER, 501): 100}


MOMENTS = st.floats(0.0, 100.0)
NOTES = st.lists(
    st.tuples(
        st.sampled_from(("GET", "PUT", "BREW")),
        st.sampled_from((200, 404)),
        *(MOMENTS, MOMENTS),
        *(MOMENTS | st.just(NEVER), MOMENTS | st.just(NEVER), MOMENTS),
    )
)


@given(notes=NOTES, read_at=st.integers(0, 20))
def test_to_enter_is_to_note_and_to_fold(notes: list[Note], read_at: int) -> None:
    """As the compiled core does it and as it is done else: the same is read, at any moment."""
    noted, entered = Meter(SystemThreading()), Meter(SystemThreading())
    for number, one in enumerate(notes):
        method, status, began, queued, had, answered, ended = one
        if had == NEVER:
            answered = NEVER
        note = method, status, began, queued, had, answered, ended
        noted.note(note)
        entered.enter(note)
        if number == read_at:
            _assert_same(noted.read(), entered.read())
    _assert_same(noted.read(), entered.read())


def _assert_same(one: Reading, other: Reading) -> None:
    assert one.answers == other.answers
    for name in ("latency", "queueing", "application"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.counts == b.counts, name
        assert a.seconds == pytest.approx(b.seconds), name


def test_nothing_metered_reads_as_nothing(meter: Meter) -> None:
    reading = meter.read()
    assert reading.answers == {}
    assert reading.latency.counts == (0,) * (len(BOUNDS) + 1)
    assert reading.latency.seconds == 0
