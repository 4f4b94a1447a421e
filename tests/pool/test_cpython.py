"""CPython's own tests of executors, imported and run with ThreadPool for ThreadPoolExecutor.

They come with the interpreter where it was installed with its package `test`, in one module or in
several; where it was not, they are skipped. What tests the standard library's implementation and
not the Executor's contract is left out, by name and with its reason, and shows as skipped.
"""

from __future__ import annotations

import contextlib
import importlib
import types
import unittest
from collections.abc import Callable, Iterator

import pytest

from server.thread_pool import ThreadPool
from statemachine._generated import PoolState

THREADS = "reads the private `_threads`"
ITS_OWN = "makes a concurrent.futures.ThreadPoolExecutor, whatever executor is under test"
BY_NAME = "runs a script that imports the executor from concurrent.futures by its name"

LEFT_OUT = {
    "test_default_workers": "ThreadPool has no default size, and no private `_max_workers`",
    "test_saturation": "reads the private `_max_workers` and `_threads`",
    "test_idle_thread_reuse": f"{THREADS}; ThreadPool starts all its threads at once",
    "test_max_workers_negative": "tests a message's text; see test_a_size_that_is_none",
    "test_cancel_futures": "expects that jobs have begun when `submit` returns, which no contract"
    " says; see test_shutdown_may_cancel_what_was_not_begun",
    "test_hang_global_shutdown_lock": ITS_OWN,
    "test_threads_terminate": THREADS,
    "test_context_manager_shutdown": f"{ITS_OWN}; {THREADS}",
    "test_del_shutdown": f"{ITS_OWN}; {THREADS}",
    "test_shutdown_no_wait": f"{ITS_OWN}; {THREADS}",
    "test_thread_names_assigned": f"{ITS_OWN}; {THREADS}",
    "test_thread_names_default": f"{ITS_OWN}; {THREADS}",
    "test_interpreter_shutdown": f"{BY_NAME}; see test_interpreter_end",
    "test_submit_after_interpreter_shutdown": f"{BY_NAME}; see test_interpreter_end",
    "test_hang_gh83386": f"{BY_NAME}; see test_interpreter_end",
    "test_hang_issue39205": f"{BY_NAME}; see test_interpreter_end",
    "test_cancel_futures_wait_false": f"{BY_NAME}; see test_interpreter_end",
}

CASES = (
    "ThreadPoolExecutorTest",
    "ThreadPoolShutdownTest",
    "ThreadPoolWaitTests",
    "ThreadPoolAsCompletedTest",
    "ThreadPoolInitializerTest",
    "ThreadPoolFailingInitializerTest",
)


class UnderTest(ThreadPool):
    """ThreadPool, made as the tests make an executor, and broken where they look for it."""

    def __init__(
        self,
        max_workers: int,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[object, ...] = (),
    ) -> None:
        super().__init__(max_workers, initializer=initializer, initargs=initargs)

    @property
    def _broken(self) -> bool:
        return self._pool.state is PoolState.BROKEN


@contextlib.contextmanager
def _assert_logged(self: unittest.TestCase, message: str) -> Iterator[None]:
    """The original looks at the logger `concurrent.futures`."""
    with self.assertLogs("interlock.pool", "CRITICAL") as logged:
        yield
    assert message in "\n".join(logged.output)


def _modules() -> Iterator[types.ModuleType]:
    for name in (
        "",
        ".test_thread_pool",
        ".test_shutdown",
        ".test_wait",
        ".test_as_completed",
        ".test_init",
    ):
        with contextlib.suppress(ImportError):
            yield importlib.import_module(f"test.test_concurrent_futures{name}")


def _found() -> dict[str, type[unittest.TestCase]]:
    """CPython's cases by name, each once, although its modules import from one another."""
    return {
        name: vars(module)[name] for module in _modules() for name in CASES if name in vars(module)
    }


def _ours(name: str, case: type[unittest.TestCase]) -> type[unittest.TestCase]:
    namespace: dict[str, object] = {"executor_type": UnderTest, "__module__": __name__}
    if hasattr(case, "_assert_logged"):
        namespace["_assert_logged"] = _assert_logged
    for test in filter(LEFT_OUT.__contains__, dir(case)):
        namespace[test] = unittest.skip(f"left out: {LEFT_OUT[test]}")(getattr(case, test))
    return type(name, (case,), namespace)


FOUND = _found()
# pytest collects what it finds here by name.
globals().update({name: _ours(name, case) for name, case in FOUND.items()})


def test_all_cases_were_found() -> None:
    if not FOUND:
        pytest.skip("this interpreter was installed without test.test_concurrent_futures")
    assert FOUND.keys() == set(CASES)
