"""For pytest: `-p tests.compiled.plugin` runs the tests on the compiled core, which must be there.

Left out is what a compiled class has not: the stock engine, and methods that a test may replace.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import pytest

from server.compiled import CORE, CompiledError, install

PATCHING: Final = frozenset(
    {
        "test_a_selector_that_takes_nothing_ends_the_server",
        "test_a_step_that_raises",
        "test_a_job_that_raises",
        "test_a_worker_that_dies",
        "test_a_worker_that_fails_beside_a_job_dies_and_the_loop_goes_on",
        "test_a_descriptor_is_given_back_whatever_its_connection_meets",
        "test_an_error_after_the_job_was_given_away_leaves_it_to_its_worker",
        "test_an_error_before_the_job_was_given_away_closes_the_connection",
        "test_a_job_fails_before_it_has_taken_its_connection",
        "test_who_reads_holds_the_lock",
        "test_a_worker_comes_in_time_while_the_reactor_gives_up",
    }
)
"""Tests that put a method of their own in place of a compiled one, or a number that acts."""

# Servers in processes of their own have it as well, but for those on the stock engine.
os.environ[CORE] = ""
if not install():
    raise CompiledError("there is no compiled core: python -m server compile")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be run."""
    left_out = [item for item in items if _is_not_ours(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_not_ours(item: pytest.Item) -> bool:
    name, _, parameters = item.name.partition("[")
    is_stock = "stock" in parameters.removesuffix("]").split("-") or "::TestStock" in item.nodeid
    # From 3.12 on the fuzzer is guided by the lines that run, and a compiled reader has none.
    is_guided = item.path.name == "test_fuzz.py" and sys.version_info >= (3, 12)
    return is_stock or is_guided or name in PATCHING or "searches_all_again" in parameters
