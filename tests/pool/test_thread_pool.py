"""ThreadPool: what `concurrent.futures.Executor` promises, and what this pool says more."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures.thread import BrokenThreadPool

import pytest

from server.thread_pool import ThreadPool
from statemachine import Engine
from statemachine._generated import JobState, PoolState
from statemachine.model import Arrow, Model
from tests.pool.faults import PATIENCE, FaultyThreading, Torn

SECONDS = PATIENCE.seconds_max


class Odd(BaseException):
    pass


@pytest.fixture
def pool(engine: Engine) -> Iterator[ThreadPool]:
    with ThreadPool(2, engine=engine) as pool:
        yield pool


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "x", None])
def test_a_size_that_is_none(size: object) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="whole number of at least 1, not ") as caught:
        ThreadPool(size)  # type: ignore[arg-type]
    assert repr(size) in str(caught.value)
    assert threading.active_count() == before


def test_an_initializer_that_is_none() -> None:
    with pytest.raises(TypeError, match="must be callable"):
        ThreadPool(1, initializer="x")  # type: ignore[arg-type]


def test_it_has_as_many_threads_as_it_was_asked_for(engine: Engine) -> None:
    before = threading.active_count()
    with ThreadPool(3, engine=engine) as pool:
        assert pool.size == 3
        assert threading.active_count() == before + 3
        together = threading.Barrier(3)
        futures = [pool.submit(together.wait, SECONDS) for _ in range(3)]
        assert sorted(future.result(SECONDS) for future in futures) == [0, 1, 2]
    assert threading.active_count() == before


def test_submit(pool: ThreadPool) -> None:
    assert pool.submit(pow, 2, 10).result(SECONDS) == 1024
    assert pool.submit(int, "ff", base=16).result(SECONDS) == 255


def test_jobs_begin_in_the_order_in_which_they_were_submitted(engine: Engine) -> None:
    begun: list[int] = []
    with ThreadPool(1, engine=engine) as pool:
        for number in range(100):
            pool.execute(lambda number=number: begun.append(number))  # type: ignore[misc]
    assert begun == list(range(100))


def test_map_keeps_the_order_and_passes_an_exception_on(pool: ThreadPool) -> None:
    assert list(pool.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    results = pool.map(divmod, [1, 1, 1], [2, 0, 5])
    assert next(results) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_execute_runs_the_job(pool: ThreadPool) -> None:
    ran = threading.Event()
    pool.execute(ran.set)
    assert ran.wait(SECONDS)


def test_execute_refuses_what_cannot_be_called(pool: ThreadPool) -> None:
    with pytest.raises(TypeError, match="a job must be callable, and 3 is not"):
        pool.execute(3)  # type: ignore[arg-type]


def test_execute_logs_what_the_job_raises(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        raise ValueError("from the job")

    with ThreadPool(1, engine=engine) as pool:
        pool.execute(work)
    assert "ValueError: from the job" in caplog.text


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, Odd])
@pytest.mark.parametrize("entrance", ["submit", "execute"])
def test_whatever_a_job_raises_the_pool_stays_whole(
    engine: Engine, error: type[BaseException], entrance: str
) -> None:
    def work() -> None:
        raise error("odd")

    with ThreadPool(1, engine=engine) as pool:
        (threads,) = [pool._pool.workers.copy()]
        if entrance == "submit":
            assert isinstance(pool.submit(work).exception(SECONDS), error)
        else:
            pool.execute(work)
        assert pool.submit(pow, 2, 3).result(SECONDS) == 8
        assert pool._pool.workers == threads


def test_after_shutdown_nothing_is_taken(engine: Engine) -> None:
    pool = ThreadPool(1, engine=engine)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(int)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.execute(int)
    pool.shutdown()


def test_shutdown_runs_what_was_submitted(engine: Engine) -> None:
    gate = threading.Event()
    pool = ThreadPool(1, engine=engine)
    futures = [pool.submit(gate.wait, SECONDS) for _ in range(5)]
    pool.shutdown(wait=False)
    assert not any(future.done() for future in futures)
    gate.set()
    pool.shutdown()
    assert [future.result(0) for future in futures] == [True] * 5


def test_shutdown_may_cancel_what_was_not_begun(engine: Engine) -> None:
    gate, begun = threading.Event(), threading.Event()
    pool = ThreadPool(1, engine=engine)

    def work() -> bool:
        begun.set()
        return gate.wait(SECONDS)

    first = pool.submit(work)
    rest = [pool.submit(pow, 2, 3) for _ in range(5)]
    assert begun.wait(SECONDS)
    assert rest[0].cancel()
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in rest)
    # Whoever waits for them is told; with the standard library's pool they wait for ever.
    assert wait(rest, SECONDS).done == set(rest)
    gate.set()
    pool.shutdown()
    assert first.result(0) is True


def test_a_cancelled_future_does_not_run(engine: Engine) -> None:
    gate = threading.Event()
    ran: list[int] = []
    with ThreadPool(1, engine=engine) as pool:
        pool.submit(gate.wait, SECONDS)
        future = pool.submit(ran.append, 1)
        assert future.cancel()
        gate.set()
        with pytest.raises(CancelledError):
            future.result(SECONDS)
    assert ran == []


def test_a_job_cannot_wait_for_its_own_pool(pool: ThreadPool) -> None:
    future = pool.submit(pool.shutdown)
    with pytest.raises(RuntimeError, match="a job cannot wait for its own pool's end"):
        future.result(SECONDS)
    # It did nothing: the pool takes jobs as before.
    assert pool.submit(pow, 2, 3).result(SECONDS) == 8


def test_a_job_may_shut_its_own_pool_down_without_waiting(engine: Engine) -> None:
    pool = ThreadPool(1, engine=engine)
    assert pool.submit(pool.shutdown, wait=False).exception(SECONDS) is None
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
    pool.shutdown()


def test_a_job_may_wait_for_another_pool(pool: ThreadPool, engine: Engine) -> None:
    other = ThreadPool(1, engine=engine)
    assert pool.submit(other.shutdown).exception(SECONDS) is None


def test_the_initializer_runs_first_on_each_thread(engine: Engine) -> None:
    local = threading.local()

    def initialize(value: str) -> None:
        local.value = value

    together = threading.Barrier(2)

    def work() -> str:
        together.wait(SECONDS)
        return str(local.value)

    with ThreadPool(2, initializer=initialize, initargs=("set",), engine=engine) as pool:
        futures = [pool.submit(work) for _ in range(2)]
        assert [future.result(SECONDS) for future in futures] == ["set", "set"]


def test_threads_are_named(engine: Engine) -> None:
    with ThreadPool(2, thread_name_prefix="Special", engine=engine) as pool:
        names = {thread.name for thread in threading.enumerate()}
        assert {"Special_0", "Special_1"} <= names
        assert (
            pool.submit(lambda: threading.current_thread().name).result(SECONDS)[:8] == "Special_"
        )
    with ThreadPool(1, engine=engine) as pool:
        name = pool.submit(lambda: threading.current_thread().name).result(SECONDS)
        assert name.startswith("ThreadPool-")
        assert name.endswith("_0")


def test_an_initializer_that_raises_breaks_the_pool(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def initialize() -> None:
        assert gate.wait(SECONDS)
        raise ValueError("from the initializer")

    pool = ThreadPool(2, initializer=initialize, engine=engine)
    waiting, cancelled = pool.submit(int), pool.submit(int)
    assert cancelled.cancel()
    last = pool.submit(int)
    gate.set()
    for future in (waiting, last):
        assert isinstance(future.exception(SECONDS), BrokenThreadPool)
    assert wait([cancelled], SECONDS).done == {cancelled}
    with pytest.raises(BrokenThreadPool, match="the pool is broken"):
        pool.submit(int)
    pool.shutdown()
    assert "ValueError: from the initializer" in caplog.text


def test_shutdown_before_the_initializer_raises_still_ends(engine: Engine) -> None:
    gate = threading.Event()

    def initialize() -> None:
        assert gate.wait(SECONDS)
        raise ValueError

    pool = ThreadPool(2, initializer=initialize, engine=engine)
    future = pool.submit(int)
    pool.shutdown(wait=False)
    gate.set()
    assert pool._pool.join(SECONDS)
    assert isinstance(future.exception(0), BrokenThreadPool)


def test_a_system_without_threads(engine: Engine) -> None:
    threads = FaultyThreading()
    threads.threads_left = 1
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="can't start new thread"):
        ThreadPool(2, engine=engine, facade=threads)
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPool-"):
            thread.join(SECONDS)
    assert threading.active_count() == before


@pytest.mark.parametrize("moment", ["before", "while", "after"])
def test_the_future_of_a_job_whose_worker_dies(engine: Engine, moment: str) -> None:
    """Torn out before the call began, with it, or when the result was there already."""
    arrows = {"before": "J3", "while": "", "after": "J5"}
    faults = [Torn()]

    def hook(model: Model, arrow: Arrow) -> None:
        if arrow.id == arrows[moment] and faults:
            raise faults.pop()

    threads = FaultyThreading()
    work: Callable[[], object] = threads.tear_me if moment == "while" else int
    with ThreadPool(1, engine=engine, hook=hook, facade=threads) as pool:
        future = pool.submit(work)
        later = pool.submit(pow, 2, 3)
        assert later.result(SECONDS) == 8
    if moment == "before":
        assert isinstance(future.exception(0), Torn)
    else:
        # The call ended, and whoever waits was told so, before the worker died.
        assert future.exception(0) is None


def test_a_sleeping_worker_keeps_nothing_of_a_job_alive(pool: ThreadPool) -> None:
    class Held:
        def work(self, _: object) -> Held:
            return self

        def fail(self) -> None:
            raise ValueError(self)

    gone = [threading.Event(), threading.Event(), threading.Event()]
    one, two, three = Held(), Held(), Held()
    for held, event in zip((one, two, three), gone, strict=True):
        weakref.finalize(held, event.set)
    pool.submit(one.work, one).result(SECONDS)
    pool.execute(two.fail)
    pool.submit(three.fail)
    del one, two, three, held
    assert gone[0].wait(SECONDS)
    pool.submit(int).result(SECONDS)
    # What a job raised holds its frames, in a cycle. (pytest keeps the log's record of the second.)
    gc.collect()
    assert gone[2].wait(SECONDS)


def test_a_pool_that_nobody_holds_lets_its_threads_go(engine: Engine) -> None:
    pool: ThreadPool | None = ThreadPool(2, thread_name_prefix="Forgotten", engine=engine)
    assert pool is not None
    future = pool.submit(pow, 2, 3)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("Forgotten")]
    assert len(threads) == 2
    inner, pool = pool._pool, None
    gc.collect()
    assert inner.join(SECONDS)
    assert future.result(0) == 8
    assert not any(thread.is_alive() for thread in threads)


def test_a_pool_that_is_collected_by_a_thread_that_holds_its_lock(engine: Engine) -> None:
    """Garbage is collected wherever memory is asked for: under the pool's own lock, too."""
    armed: list[str] = []

    def hook(model: Model, arrow: Arrow) -> None:
        if armed and arrow.id == armed[0]:
            armed.clear()
            gc.collect()

    class Owner:
        def __init__(self) -> None:
            self.myself = self
            self.pool = ThreadPool(1, engine=engine, hook=hook)

    owner: Owner | None = Owner()
    assert owner is not None
    inner, gate = owner.pool._pool, threading.Event()
    gc.disable()
    try:
        owner.pool.submit(gate.wait, SECONDS)
        owner = None
        armed.append("J5")
        gate.set()
        assert inner.join(SECONDS)
    finally:
        gc.enable()
    assert inner.state is PoolState.STOPPED
    assert armed == []


def test_done_callbacks_may_submit_again(pool: ThreadPool) -> None:
    done = threading.Event()

    def again(_: Future[int]) -> None:
        pool.submit(int).add_done_callback(lambda _: done.set())

    pool.submit(int).add_done_callback(again)
    assert done.wait(SECONDS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
# Python 3.12 and later warn of a fork in a process with threads.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_in_a_forked_child_the_pool_is_broken_and_ends(engine: Engine) -> None:
    with ThreadPool(2, engine=engine) as pool:
        pool.submit(int).result(SECONDS)
        child = os.fork()
        if child == 0:
            try:
                pool.submit(int)
            except BrokenThreadPool:
                pool.shutdown()
                os._exit(0 if pool._pool.state is PoolState.STOPPED else 2)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert pool.submit(pow, 2, 3).result(SECONDS) == 8


def test_both_faces_say_how_a_job_ended(engine: Engine) -> None:
    ends: list[str] = []

    def hook(model: Model, arrow: Arrow) -> None:
        if arrow.machine == "job" and arrow.source == JobState.RUNNING.name:
            ends.append(arrow.target)

    def work() -> None:
        raise ValueError

    with ThreadPool(1, engine=engine, hook=hook) as pool:
        pool.execute(int)
        pool.execute(work)
    assert ends == ["RETURNED", "RAISED"]
