"""The clock's contract, which the machine's and the tests' own both pass, and HTTP's dates."""

from __future__ import annotations

import calendar
import email.utils
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.clock import Clock, DateCache, SystemClock, imf_fixdate
from tests.clock import ManualClock

EITHER = pytest.mark.parametrize("make", [SystemClock, ManualClock])


@EITHER
def test_sleep_lasts_at_least_as_long_as_asked(make: Callable[[], Clock]) -> None:
    clock = make()
    monotonic, wall = clock.monotonic(), clock.wall()
    clock.sleep(0.002)
    assert clock.monotonic() - monotonic >= 0.002 - 1e-9
    assert clock.wall() != wall


@EITHER
def test_monotonic_never_goes_back(make: Callable[[], Clock]) -> None:
    clock = make()
    moments = []
    for _ in range(20):
        moments.append(clock.monotonic())
        clock.sleep(0)
    assert moments == sorted(moments)


@EITHER
def test_no_negative_sleep(make: Callable[[], Clock]) -> None:
    with pytest.raises(ValueError, match=r"negative|back"):
        make().sleep(-1)


def test_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(wall=100.0)
    assert (clock.monotonic(), clock.wall()) == (0.0, 100.0)
    clock.advance(2.5)
    clock.sleep(1)
    assert (clock.monotonic(), clock.wall(), clock.slept) == (3.5, 103.5, [1])


@pytest.mark.rfc("9110 5.6.7")
def test_the_example_of_the_rfc() -> None:
    assert imf_fixdate(784_111_777.9) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.integers(calendar.timegm((1, 1, 1, 0, 0, 0)), calendar.timegm((9999, 12, 31, 0, 0, 0))))
def test_every_date_reads_back(second: int) -> None:
    text = imf_fixdate(second).decode("ascii")
    assert len(text) == 29
    if second >= calendar.timegm((1000, 1, 1, 0, 0, 0)):  # the library's reader mends short years
        assert int(email.utils.parsedate_to_datetime(text).timestamp()) == second


@pytest.mark.parametrize(
    "wall", [253_402_300_800.0, 1e18, 1e300, -1e15, float("inf"), float("nan")]
)
def test_a_year_beyond_four_digits_is_refused(wall: float) -> None:
    with pytest.raises(ValueError, match=r"seconds|NaN|nan"):
        imf_fixdate(wall)


def test_date_cache_follows_the_second() -> None:
    clock = ManualClock()
    dates = DateCache(clock)
    first = dates.now()
    clock.advance(0.9)
    assert dates.now() is first
    clock.advance(0.1)
    assert dates.now() == b"Sun, 06 Nov 1994 08:49:38 GMT"


class ClockOfEachThread(ManualClock):
    """Tells each thread another second, the worst that a cache shared by threads can meet."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = threading.local()

    def wall(self) -> float:
        return float(getattr(self.mine, "second", 0))


def test_no_thread_reads_the_text_of_another_second() -> None:
    clock = ClockOfEachThread()
    dates = DateCache(clock)
    texts: list[set[bytes]] = [set() for _ in range(4)]

    def read(second: int) -> None:
        clock.mine.second = second
        texts[second] = {dates.now() for _ in range(5000)}

    threads = [threading.Thread(target=read, args=(second,)) for second in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [{imf_fixdate(second)} for second in range(4)]
