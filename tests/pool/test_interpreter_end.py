"""What becomes of pools and their jobs when the interpreter ends: each test is a process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from statemachine import Engine

SECONDS = 60


def run(engine: Engine, script: str) -> subprocess.CompletedProcess[str]:
    """Run the script, with `make(size)` and an event `gate`, until its own end."""
    opening = f"""
        import threading
        from server.thread_pool import ThreadPool
        def make(size, **settings):
            return ThreadPool(size, engine={engine!r}, **settings)
        gate = threading.Event()
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(opening) + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ended_well(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_jobs_that_wait_are_still_run(engine: Engine) -> None:
    result = run(
        engine,
        """
        pool = make(1)
        pool.submit(gate.wait)
        for number in range(5):
            pool.execute(lambda number=number: print(number))
        threading._register_atexit(gate.set)
        """,
    )
    assert ended_well(result).split() == ["0", "1", "2", "3", "4"]


def test_a_pool_at_rest_does_not_keep_the_process(engine: Engine) -> None:
    result = run(engine, "pool = make(3); print(pool.submit(pow, 2, 3).result())")
    assert ended_well(result) == "8\n"


def test_a_shutdown_that_did_not_wait_is_waited_for(engine: Engine) -> None:
    result = run(
        engine,
        """
        pool = make(1)
        pool.submit(gate.wait)
        pool.submit(print, "ran")
        pool.shutdown(wait=False)
        gate.set()
        """,
    )
    assert ended_well(result) == "ran\n"


def test_a_broken_pool_does_not_keep_the_process(engine: Engine) -> None:
    result = run(engine, "pool = make(2, initializer=lambda: 1 / 0)")
    assert result.returncode == 0
    assert "ZeroDivisionError" in result.stderr


def test_nothing_is_submitted_at_the_end(engine: Engine) -> None:
    result = run(
        engine,
        """
        import atexit
        def late():
            for step in (lambda: pool.submit(print, "late"), lambda: make(1)):
                try:
                    step()
                except RuntimeError as error:
                    print(error)
        pool = make(1)
        atexit.register(late)
        """,
    )
    assert ended_well(result).splitlines() == [
        "cannot schedule new futures after shutdown",
        "cannot start a thread pool after interpreter shutdown",
    ]


def test_a_job_that_makes_a_pool_at_the_end_is_told(engine: Engine) -> None:
    """Such a pool would never be drained, and the process would never end."""
    result = run(
        engine,
        """
        kept = []
        def work():
            gate.wait()
            try:
                kept.append(make(1))
            except RuntimeError as error:
                print(error)
        pool = make(1)
        pool.submit(work)
        # The register drains what it has closed: the gate opens only then.
        drain = pool._pool.drain
        pool._pool.__class__.drain = lambda self: (drain(), gate.set())
        """,
    )
    assert ended_well(result) == "cannot start a thread pool after interpreter shutdown\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_ends_without_its_parents_pools(engine: Engine) -> None:
    result = run(
        engine,
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with make(2) as pool:
            pool.submit(int).result()
            child = os.fork()
            if child == 0:
                sys.exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    assert ended_well(result) == "7\n"
