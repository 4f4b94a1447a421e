"""No request costs more than it is pinned at, counted and not timed."""

from __future__ import annotations

import pytest

from tests.cost import pins
from tests.cost.measure import SCENES, version

IDLE_BYTES_MAX = 1536
"""Of ours. With its socket, and rounded up by Python's allocator, below 3 KiB resident."""


@pytest.mark.parametrize("name", SCENES)
def test_no_request_costs_more_than_its_pin(name: str) -> None:
    known = pins.read().get(version())
    if known is None:
        pytest.skip(f"nothing is pinned for Python {version()}: {pins.COMMAND}")
    moved = pins.moved(SCENES[name](), known[name])
    assert not moved, f"{name}: {'; '.join(moved)}. If that is meant: {pins.COMMAND}"


def test_an_idle_connection_is_small() -> None:
    for scenes in pins.read().values():
        assert scenes["idle"]["idle_bytes"] <= IDLE_BYTES_MAX


def test_a_cost_that_rises_is_told_and_one_that_falls_far() -> None:
    pinned = {"calls": 100.0, "locks": 8.0}
    assert pins.moved({"calls": 100.0, "locks": 7.5}, pinned) == []
    assert pins.moved({"calls": 100.5, "locks": 4.0}, pinned) == [
        "calls: 100.5, pinned at most 100",
        "locks: 4, far below its pin of 8",
    ]
    assert pins.moved({"new": 1.0}, pinned) == ["new: 1, pinned at most 0"]
