"""A short soak: after a first part, nothing that a server holds is more for the requests since."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from benchmarks.soak import RSS_BYTES_MAX, Sample, chart, growth, soak


def test_nothing_grows_with_the_number_of_requests() -> None:
    # In a process of its own: what other tests have left in this one is most of its memory.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        samples, missing = alone.submit(soak, 900, slices=3).result()
    assert missing == 0
    assert [one.answered for one in samples] == [300, 600, 900]
    # What the first slice fills (the flight recorder's ring, caches) is full after it.
    assert growth(samples[1:]) == []


def test_what_grows_is_told() -> None:
    first = Sample(1, 2**24, 5, 9, Counter(list=100, dict=50))
    last = Sample(2, 2**24, 5, 9, Counter(list=110, dict=50))
    assert growth([first, last]) == []
    assert growth([first, replace(last, objects=Counter(list=200, dict=10))]) == [
        "list: 100 → 200 objects"
    ]
    worse = replace(last, threads=6, descriptors=10, resident_bytes=2**24 + RSS_BYTES_MAX + 1)
    assert len(growth([first, worse])) == 3
    assert "16.00" in chart([first, last])
