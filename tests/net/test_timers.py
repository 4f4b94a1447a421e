"""The wheel against a sorted list, and what it costs."""

from __future__ import annotations

import gc
import math
import weakref

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from server.net import timers
from server.net.timers import NOT_WATCHED, TICK_SECONDS, Timers

LATE_SECONDS_MAX = TICK_SECONDS * (1 + 1e-9)
"""One tick, and what the numbers themselves lose."""


class One:
    """Something with a deadline."""

    def __init__(self) -> None:
        self.deadline = math.inf
        self.tick = NOT_WATCHED


times = st.one_of(
    st.floats(0.0, 5.0),
    st.integers(0, 100).map(lambda tick: tick * TICK_SECONDS),
    st.integers(0, 100).map(lambda tick: math.nextafter(tick * TICK_SECONDS, math.inf)),
)


class WheelHistory(RuleBasedStateMachine):
    """Objects are watched, moved and forgotten while time passes. The model is a dictionary."""

    @initialize(began=st.sampled_from([0.0, 1e-3, 12345.678, 1e7]))
    def begin(self, began: float) -> None:
        self.wheel = Timers()
        self.now = self.checked = began
        self.ones = [One() for _ in range(4)]
        self.deadlines: dict[One, float] = {}

    @rule(index=st.integers(0, 3), seconds=times)
    def watch(self, index: int, seconds: float) -> None:
        """Nearer or further than before: the caller only says what holds now."""
        one = self.ones[index]
        one.deadline = self.deadlines[one] = self.now + seconds
        self.wheel.watch(one, one.deadline)

    @rule(index=st.integers(0, 3))
    def forget(self, index: int) -> None:
        self.wheel.forget(self.ones[index])
        self.deadlines.pop(self.ones[index], None)

    @rule(seconds=times)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(forgotten=st.integers(0, 7))
    def look(self, forgotten: int) -> None:
        """As the reactor does: act on what is due, watch the rest again, maybe end another one."""
        due = []
        for one in self.wheel.due(self.now):
            assert isinstance(one, One)
            if one.deadline > self.now:
                self.wheel.watch(one, one.deadline)
                continue
            due.append(one)
            assert self.deadlines.pop(one) <= self.now
            if forgotten < len(self.ones):
                self.forget(forgotten)
        late = [d for d in self.deadlines.values() if d + LATE_SECONDS_MAX <= self.now]
        assert not late, f"still not due at {self.now}: {late}"
        self.checked = self.now

    @invariant()
    def the_next_time_is_not_too_late(self) -> None:
        if self.deadlines:
            seconds = self.wheel.seconds_to_next(self.now)
            assert seconds is not None
            assert self.now + seconds <= max(self.now, min(self.deadlines.values())) + (
                LATE_SECONDS_MAX
            )


TestWheel = WheelHistory.TestCase


@given(times, st.sampled_from([0.0, 1.0, 12345.678]))
def test_nothing_comes_due_before_its_deadline(seconds: float, began: float) -> None:
    wheel, one = Timers(), One()
    until = began + seconds
    wheel.watch(one, until)
    assert list(wheel.due(math.nextafter(until, -math.inf))) == []
    assert list(wheel.due(until + LATE_SECONDS_MAX)) == [one]
    assert list(wheel.due(math.inf)) == []
    assert wheel.seconds_to_next(0.0) is None


def test_a_deadline_that_moves_away_costs_nothing() -> None:
    wheel, one = Timers(), One()
    wheel.watch(one, 1.0)
    for step in range(1000):
        wheel.watch(one, 2.0 + step)
    assert count_entries(wheel) == 1
    assert wheel.seconds_to_next(0.0) == 21 * TICK_SECONDS


def test_a_deadline_that_moves_nearer_takes_its_entry_with_it() -> None:
    wheel, one = Timers(), One()
    for step in range(1000, 0, -1):
        wheel.watch(one, float(step))
    assert count_entries(wheel) == 1
    assert list(wheel.due(1.0 + TICK_SECONDS)) == [one]


def test_the_cost_does_not_grow_with_the_crowd() -> None:
    """What is looked at is what is due; what is pushed is one number a tick."""
    wheel, crowd = Timers(), [One() for _ in range(10_000)]
    for one in crowd:
        wheel.watch(one, 15.0)
    assert len(wheel._ticks) == 1
    early = One()
    wheel.watch(early, 1.0)
    wheel._buckets = {tick: Counted(bucket) for tick, bucket in wheel._buckets.items()}
    Counted.touched = 0
    assert list(wheel.due(1.1)) == [early]
    assert Counted.touched == 1
    assert count_entries(wheel) == len(crowd)


class Counted(dict[timers.Timed, None]):
    """A bucket that counts the entries that are looked at."""

    touched = 0

    def popitem(self) -> tuple[timers.Timed, None]:
        Counted.touched += 1
        return super().popitem()


def test_what_is_forgotten_is_let_go() -> None:
    wheel, one = Timers(), One()
    wheel.watch(one, 1000.0)
    wheel.watch(one, 10.0)
    wheel.forget(one)
    wheel.forget(one)
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None
    assert list(wheel.due(math.inf)) == []


def count_entries(wheel: Timers) -> int:
    return sum(len(bucket) for bucket in wheel._buckets.values())
