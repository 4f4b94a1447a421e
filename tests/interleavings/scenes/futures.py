"""`ThreadPool`: futures, cancelled and waited for, while the pool is shut down.

A scene's text is the number of threads, then a script for each client:

    2 sws scw

| letter | act |
|---|---|
| s r e | submit a call that returns, one that raises; execute one that nobody hears of |
| c | cancel its last future |
| w | wait until its futures are done |
| d D | shut down, cancelling what has not begun; and wait for the end |
| q Q | shut down; and wait for the end |

When all have played, somebody shuts the pool down and waits.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import cast

import server.thread_pool as thread_pool_module
from server.net.pool import Pool
from server.simulation import CarriedLock, Carrier, Task
from server.thread_pool import ThreadPool
from statemachine import Arrow, Binder, Model
from statemachine._generated import PoolState
from tests.interleavings.scene import BoundOnce, Watch

TEXT = re.compile(r"(?P<size>[1-9])(?P<scripts>( [srecwdDqQ]+)+)")
BINDER = BoundOnce()


class _Nowhere:
    """In place of the register of pools that the interpreter's end waits for."""

    def add(self, _: Pool) -> None:
        pass


class _Weakly:
    """In place of `weakref`: a pool that is forgotten is let go by nobody, least of all in the
    middle of another run.
    """

    @staticmethod
    def finalize(*_: object) -> SimpleNamespace:
        return SimpleNamespace()


def _binder(*_: object, **__: object) -> Binder:
    return BINDER


thread_pool_module.__dict__.update(Binder=_binder, _register=_Nowhere(), weakref=_Weakly)


class Mine(ValueError):
    """What a call raises."""


class Done:
    """The gate of who waits for futures."""

    def __init__(self, futures: list[Future[int]]) -> None:
        self._futures = futures

    @property
    def is_open(self) -> bool:
        return all(future.done() for future in self._futures)


class FuturesScene:
    """One thread pool and its clients."""

    def __init__(self, carrier: Carrier, text: str) -> None:
        found = TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"a scene of futures is THREADS SCRIPT..., not {text!r}")
        self.carrier = carrier
        self.futures: list[tuple[Future[int], int]] = []
        self.runs: list[int] = []
        self.executed = 0
        self._is_cancelled = bool(set("dD") & set(text))
        self._numbers = itertools.count(1)
        BINDER.hook_now = self._note
        self.threads = ThreadPool(int(found["size"]), facade=carrier)
        pool = cast("Pool", vars(self.threads)["_pool"])
        assert isinstance(pool.lock, CarriedLock)
        self.pool = pool
        self.watch = Watch(carrier, pool.lock)
        self._actors: list[Task] = [
            carrier.spawn(f"client_{number}", functools.partial(self._act, script))
            for number, script in enumerate(found["scripts"].split())
        ]
        carrier.spawn("end", self._end)

    def _note(self, model: Model, arrow: Arrow) -> None:
        self.watch(model, arrow)

    def _call(self, number: int) -> int:
        self.runs.append(number)
        self.carrier.point()
        return number

    def _fail(self, number: int) -> int:
        self.runs.append(number)
        self.carrier.point()
        raise Mine

    def _act(self, script: str) -> None:
        mine: list[Future[int]] = []
        for letter in script:
            self.carrier.point()
            if letter in "sr":
                number = next(self._numbers) * (1 if letter == "s" else -1)
                call = self._call if letter == "s" else self._fail
                try:
                    future = self.threads.submit(call, number)
                except RuntimeError:
                    return
                mine.append(future)
                self.futures.append((future, number))
            elif letter == "e":
                try:
                    self.threads.execute(functools.partial(self._call, next(self._numbers)))
                except RuntimeError:
                    return
                self.executed += 1
            elif letter == "c" and mine:
                mine[-1].cancel()
            elif letter == "w":
                self.carrier.point(Done(mine))
            elif letter in "dDqQ":
                self._shut_down(letter)

    def _shut_down(self, letter: str) -> None:
        self.threads.shutdown(wait=letter in "DQ", cancel_futures=letter in "dD")
        # Whoever else cancels what is queued tells the futures so a moment later, without the lock.
        if letter in "DQ" and not self._is_cancelled:
            assert all(future.done() for future, _ in self.futures), "not all is done after the end"

    def _end(self) -> None:
        for actor in self._actors:
            actor.join()
        self.threads.shutdown()

    def judge(self) -> None:
        fault = self.watch.fault()
        assert fault is None, fault
        assert self.pool.state is PoolState.STOPPED
        assert len(set(self.runs)) == len(self.runs), "a call ran twice"
        deaths = [str(arrow) for _, arrow in self.watch.steps if arrow.event == "died"]
        assert not deaths, f"a worker died that nobody killed: {deaths[0]}"
        raised = [str(arrow) for _, arrow in self.watch.steps if arrow.event == "raised"]
        assert not raised, f"a future's call raised into the pool: {raised[0]}"
        for future, number in self.futures:
            assert future.done(), "a future is not done in the end"
            if future.cancelled():
                assert number not in self.runs, "a future was cancelled, and its call ran"
            elif number > 0:
                assert future.result() == number
            else:
                assert isinstance(future.exception(), Mine)


class FuturesScenes:
    """The kind."""

    kind = "futures"
    samples = ("1 sw", "2 sw rw", "1 scw sw", "2 ss sd", "1 sscw Q", "2 sesc D", "2 sw scw q")

    def open(self, carrier: Carrier, text: str) -> FuturesScene:
        return FuturesScene(carrier, text)

    def draw(self, dice: Callable[[int], int]) -> str:
        scripts = (
            "".join("ssrecwcwdDqQ"[dice(12)] for _ in range(1 + dice(5)))
            for _ in range(1 + dice(3))
        )
        return " ".join([str(1 + dice(3)), *scripts])


SCENE = FuturesScenes()
