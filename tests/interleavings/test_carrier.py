"""The carrier itself: the contract of `threading` and of a clock, and how its runs end."""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Callable

import pytest

from server.net.threads import Threading
from server.simulation import (
    Alarm,
    Carrier,
    CarrierError,
    Deadlock,
    Endless,
    Task,
    TaskDied,
    bearers,
)
from server.simulation.bearers import greenlets


def first(runnable: list[Task], current: Task | None) -> Task:
    """Go on with who has just run, else with the oldest."""
    return current if current in runnable and current is not None else runnable[0]


def other(runnable: list[Task], current: Task | None) -> Task:
    """Let them take turns."""
    return next(one for one in runnable if one is not current)


def play(*targets: Callable[[Carrier], object], choose: Callable[..., Task] = first) -> Carrier:
    with Carrier(choose) as carrier:
        for number, target in enumerate(targets):
            carrier.spawn(f"task_{number}", lambda target=target: target(carrier))  # type: ignore[misc] # a default binds it
        carrier.run()
    return carrier


# --- the facade -------------------------------------------------------------------------------


def test_it_is_what_the_pool_takes() -> None:
    facade: Threading = Carrier(first)
    assert facade.Lock().acquire()


def test_a_lock_is_held_by_one_and_released_by_anybody() -> None:
    said: list[str] = []
    carrier = Carrier(first)
    lock = carrier.Lock()
    lock.acquire()

    def wait() -> None:
        with lock:
            said.append("got it")

    def release() -> None:
        said.append("release")
        lock.release()

    carrier.spawn("waiter", wait)
    carrier.spawn("releaser", release)
    carrier.run()
    assert said == ["release", "got it"]
    assert not lock.locked()
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        lock.release()


def test_who_does_not_wait_for_a_lock_does_not_get_it() -> None:
    carrier = Carrier(first)
    lock = carrier.Lock()
    got = [lock.acquire()]
    carrier.spawn("hasty", lambda: got.append(lock.acquire(blocking=False)))
    carrier.spawn("patient", lambda: got.append(lock.acquire(timeout=2.5)))
    carrier.run()
    assert got == [True, False, False]
    assert carrier.monotonic() == 2.5


def test_a_lock_that_comes_in_time_is_got_in_time() -> None:
    carrier = Carrier(first)
    lock = carrier.Lock()
    got = [lock.acquire()]

    def release() -> None:
        carrier.sleep(1)
        lock.release()

    carrier.spawn("patient", lambda: got.append(lock.acquire(timeout=2.5)))
    carrier.spawn("releaser", release)
    carrier.run()
    assert got == [True, True]
    assert carrier.monotonic() == 1


def test_threads_are_started_once_joined_and_known_by_their_ident() -> None:
    idents: list[int] = []

    def main(carrier: Carrier) -> None:
        thread = carrier.Thread(
            target=lambda: idents.append(carrier.get_ident()), name="other", daemon=False
        )
        with pytest.raises(RuntimeError, match="before it is started"):
            thread.join()
        assert not thread.is_alive()
        thread.start()
        assert thread.is_alive()
        with pytest.raises(RuntimeError, match="once"):
            thread.start()
        thread.join()
        assert not thread.is_alive()
        idents.append(carrier.get_ident())
        assert carrier.current is not None
        with pytest.raises(RuntimeError, match="current"):
            carrier.current.join()

    play(main)
    assert len({*idents, Carrier(first).get_ident()}) == 3


def test_no_more_threads_than_can_be_had() -> None:
    def main(carrier: Carrier) -> None:
        carrier.threads_left = 1
        carrier.Thread(target=lambda: None, name="one", daemon=False).start()
        with pytest.raises(RuntimeError, match="can't start new thread"):
            carrier.Thread(target=lambda: None, name="two", daemon=False).start()

    play(main)


def test_time_passes_only_when_nobody_can_go_on() -> None:
    said: list[tuple[float, str]] = []

    def sleep(carrier: Carrier) -> None:
        carrier.sleep(10)
        said.append((carrier.monotonic(), "slept"))

    def work(carrier: Carrier) -> None:
        for _ in range(5):
            carrier.pause()
        said.append((carrier.monotonic(), "worked"))

    carrier = play(sleep, work)
    assert said == [(0, "worked"), (10, "slept")]
    assert carrier.wall() - Carrier(first).wall() == 10
    with pytest.raises(ValueError, match="back"):
        carrier.sleep(-1)


def test_a_pause_ends_when_its_condition_holds_or_its_time_is_over() -> None:
    box: list[object] = []

    def wait(carrier: Carrier) -> None:
        box.append(carrier.pause(lambda: bool(box)))
        box.append(carrier.pause(lambda: False, 3))

    play(wait, lambda _: box.append("something"))
    assert box == ["something", True, False]


# --- who goes on ------------------------------------------------------------------------------


def log_of(seed: int) -> list[int]:
    said: list[int] = []

    def talk(carrier: Carrier, number: int) -> None:
        for _ in range(4):
            said.append(number)
            carrier.pause()

    choose = random.Random(seed).choice
    play(
        *(lambda carrier, number=number: talk(carrier, number) for number in range(3)),
        choose=lambda runnable, _: choose(runnable),
    )
    return said


def test_a_run_is_a_function_of_its_choices() -> None:
    assert log_of(1) == log_of(1)
    assert len({tuple(log_of(seed)) for seed in range(10)}) > 5


def test_the_chooser_is_told_who_ran_and_asked_only_where_there_is_a_choice() -> None:
    asked: list[tuple[list[str], str]] = []

    def choose(runnable: list[Task], current: Task | None) -> Task:
        asked.append(([one.name for one in runnable], current.name if current else "nobody"))
        return runnable[-1]

    play(lambda carrier: carrier.pause(), lambda carrier: carrier.pause(), choose=choose)
    both = ["task_0", "task_1"]
    assert asked == [(both, "nobody"), (both, "task_1")]


def test_a_watcher_sees_each_turn_and_where_it_begins() -> None:
    turns: list[str] = []
    carrier = Carrier(first, watch=lambda task: turns.append(task.name))
    carrier.spawn("one", carrier.pause)
    carrier.run()
    assert turns == ["one", "one"]


# --- how a run ends ---------------------------------------------------------------------------


def test_a_deadlock_is_told_with_every_stack() -> None:
    def take_left_first() -> None:
        with left:
            carrier.pause()
            right.acquire()  # here the first one waits

    def take_right_first() -> None:
        with right:
            left.acquire()  # and here the second

    with Carrier(other) as carrier:
        left, right = carrier.Lock(), carrier.Lock()
        carrier.spawn("lefty", take_left_first)
        carrier.spawn("righty", take_right_first)
        with pytest.raises(Deadlock) as raised:
            carrier.run()
    text = str(raised.value)
    assert re.search(r"lefty waits for a lock that was acquired by <righty>", text)
    assert re.search(r"righty waits for a lock that was acquired by <lefty>", text)
    assert "# here the first one waits" in text
    assert "# and here the second" in text
    assert "primitives.py" not in text


def test_outside_any_task_nobody_can_wait() -> None:
    lock = Carrier(first).Lock()
    lock.acquire()
    with pytest.raises(Deadlock, match="nobody but a task"):
        lock.acquire()
    assert not lock.acquire(timeout=1)


def test_a_run_without_end_is_ended() -> None:
    def spin(carrier: Carrier) -> None:
        while True:
            carrier.pause()

    with Carrier(first, steps_max=50) as carrier:
        carrier.spawn("spinner", lambda: spin(carrier))
        with pytest.raises(Endless, match=r"(?s)no end after 50 points.*spinner.*carrier\.pause"):
            carrier.run()


def test_an_alarm_ends_a_loop_without_a_point() -> None:
    def spin() -> None:
        while True:
            try:
                while True:
                    pass
            except BaseException:  # noqa: BLE001 - as a worker's loop does
                carrier.pause()

    with Alarm(0.02), Carrier(first) as carrier:
        carrier.spawn("spinner", spin)
        with pytest.raises(Endless, match=r"(?s)spinner goes on without a point.*in spin"):
            carrier.run()


def test_an_error_that_a_task_lets_out_ends_the_run() -> None:
    def fail(_: Carrier) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(TaskDied, match="task_1 died") as raised:
        play(lambda carrier: carrier.sleep(5), fail)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_task_can_be_struck_where_it_waits() -> None:
    said: list[str] = []

    def wait() -> None:
        try:
            carrier.pause(lambda: False)
        except MemoryError:
            said.append("struck")

    with Carrier(first) as carrier:
        task = carrier.spawn("victim", wait)
        carrier.settle()
        assert said == []
        task.strike(MemoryError())
        carrier.run()
    assert said == ["struck"]


def test_daemons_are_not_waited_for_and_nothing_is_left() -> None:
    left: list[str] = []

    def serve() -> None:
        try:
            while True:
                with lock:
                    carrier.pause()
        finally:
            left.append("the daemon")

    with Carrier(other) as carrier:
        lock = carrier.Lock()
        carrier.spawn("daemon", serve, daemon=True)
        carrier.spawn("main", carrier.pause)
        carrier.spawn("daemon that never ran", serve, daemon=True)
        carrier.run()
        assert left == []
    assert left == ["the daemon"]
    assert all(task.has_ended for task in carrier.tasks)
    assert lock.acquire(), "after the end, a primitive moves and nobody waits"


def test_who_catches_everything_is_ended_all_the_same() -> None:
    def cling(carrier: Carrier) -> None:
        lock = carrier.Lock()
        lock.acquire()
        try:
            lock.acquire()
        except BaseException:  # noqa: BLE001 - as a worker's loop does
            lock.acquire()

    with Carrier(first) as carrier:
        carrier.spawn("clinger", lambda: cling(carrier))
        carrier.settle()
    assert carrier.tasks[0].has_ended


def test_settling_lets_no_time_pass() -> None:
    with Carrier(first) as carrier:
        task = carrier.spawn("sleeper", lambda: carrier.sleep(1))
        carrier.settle()
        assert not task.has_ended
        carrier.advance(1)
        carrier.settle()
        assert task.has_ended


def test_without_greenlet_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "greenlet", None)
    greenlets.cache_clear()
    try:
        with pytest.raises(CarrierError, match=r"^greenlet is not .*'interlock\[simulate\]'$"):
            Carrier(first)
    finally:
        monkeypatch.undo()
        greenlets.cache_clear()
        importlib.import_module("greenlet")


def test_who_ends_hands_over_to_a_greenlet_that_has_never_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bearers, "_IDLE", bearers._Idle())
    done: list[str] = []
    with Carrier(lambda runnable, _: runnable[0]) as carrier:
        carrier.spawn("first", lambda: done.append("first"))
        carrier.spawn("second", lambda: done.append("second"))
        carrier.run()
    assert done == ["first", "second"]
