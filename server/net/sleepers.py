"""Who sleeps, and how many should be awake: the judgement behind `Pool.rouse`.

Under load, one worker that is quick does more than four that pass the interpreter's lock to each
other, and to the reactor, at every system call: on one core a request cost 41 microseconds and
three switches with all awake, and 24.5 and a fifth of a switch with one. So jobs are offered
lazily, and woken for at the end of the reactor's turn: one worker, if none is at it; all that the
queue can use, if those who are awake are held by their jobs.

Threads: whoever holds the pool's lock. The pool's safety does not depend on anything here: a wrong
judgement costs a millisecond, or some switches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable

from server.net.worker import Worker
from statemachine._generated import WorkerState

IDLE, BUSY, LATE = WorkerState.IDLE, WorkerState.BUSY, WorkerState.LATE

ROUSE_SECONDS = 0.001
"""How long a queued job may wait, while workers sleep, until it is seen whether the queue moves."""

BRISK_JOBS = 4
"""Jobs that each waking worker takes in ROUSE_SECONDS, at least, if they are short."""

BRISK_SECONDS = 0.002
"""A job that runs for longer than this is not short, and the next one wakes another worker."""


class Sleepers(list[Worker]):
    """The workers that sleep, the one that lay down last at the end; and the pace of the others.

    `taken` is how many jobs have been taken since the start.
    """

    __slots__ = ("_measured_at", "_now", "_runner", "_taken_before", "taken")

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._measured_at = 0.0
        self.taken = 0
        self._taken_before = 0
        self._runner: Worker | None = None

    def lie_down(self, worker: Worker) -> None:
        """The worker goes to sleep, as soon as it has let go of the lock."""
        self.append(worker)
        if self._runner is worker:
            self._runner = None

    def wake(self, count: int = 1) -> None:
        """Wake so many, as far as so many sleep."""
        for _ in range(min(count, len(self))):
            self.pop().wake.release()

    def wake_all(self, workers: Iterable[Worker]) -> None:
        """Wake everybody, for good: once the pool is not SERVING nobody lies down any more.

        All are woken, even while jobs are queued: whoever slept on would sleep for ever. And all
        means all, not only who is in this list: whoever took one out of it may have been
        interrupted before the wake-up.
        """
        self.clear()
        for worker in workers:
            with contextlib.suppress(RuntimeError):  # unlocked: it was woken already
                worker.wake.release()

    def note_taken(self, worker: Worker) -> None:
        """The worker takes a job."""
        self.taken = worker.taken = self.taken + 1
        self._runner = worker
        worker.took_at = self._now

    def brisk(self, workers: Iterable[Worker], now: float) -> Worker | None:
        """A worker that is awake and looks for a job soon, if there is one."""
        self._now = now
        for one in workers:
            if one.state is IDLE and one not in self:
                return one
        runner = self._runner
        if runner is not None and runner.state is BUSY and now - runner.took_at < BRISK_SECONDS:
            return runner
        return None

    def rouse(self, queued: int, workers: Collection[Worker], now: float, *, idle: bool) -> None:
        """Wake as many as are `wanted`."""
        self.wake(self.wanted(queued, workers, now, idle=idle))

    def wanted(self, queued: int, workers: Collection[Worker], now: float, *, idle: bool) -> int:
        """How many to wake, with so many jobs queued, of these workers.

        `now` are seconds of a clock that does not go back, `idle` says that a whole ROUSE_SECONDS
        has passed without anything else to do, whatever the clock says.
        """
        self._now = now
        if not queued or not self:
            return 0
        if idle or now - self._measured_at >= ROUSE_SECONDS:
            taken, self._taken_before = self.taken - self._taken_before, self.taken
            self._measured_at = now
            if taken < BRISK_JOBS * self._awake(workers):
                return queued
        runner = self._runner
        return 0 if runner is not None and now - runner.took_at < BRISK_SECONDS else 1

    def _awake(self, workers: Collection[Worker]) -> int:
        """How many may be expected to take a job soon: who is late is awake, and will not."""
        return sum(one.state is not LATE for one in workers) - len(self)
