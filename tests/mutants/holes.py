"""Tests with a hole on purpose: what test_campaign.py runs against mutants. pytest does not collect
this file unless it is named.
"""

from __future__ import annotations

from server.http1.lines import without_cr
from server.net import sleepers
from server.net.sleepers import Sleepers


def test_lines() -> None:
    assert without_cr(b"text\r", what="a line") == "text"


def test_a_hole() -> None:
    Sleepers().wake_all([])


def test_constant() -> None:
    assert sleepers.BRISK_JOBS == 4
    assert Sleepers().wanted(0, [], 0.0, idle=False) == 0


def test_that_is_not_fit() -> None:
    assert Sleepers().taken == 1
