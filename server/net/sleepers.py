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
from collections.abc import Iterable

from server.net.worker import Worker

ROUSE_SECONDS = 0.001
"""How long a queued job may wait, while workers sleep, until it is seen whether the queue moves."""

BRISK_JOBS = 4
"""Jobs that each waking worker takes in ROUSE_SECONDS, at least, if they are short."""

BRISK_SECONDS = 0.002
"""A job that runs for longer than this is not short, and the next one wakes another worker."""


class Sleepers(list[Worker]):
    """The workers that sleep, the one that lay down last at the end; and the pace of the others."""

    __slots__ = ("_measured_at", "_now", "_runner", "_taken", "_taken_before")

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._measured_at = 0.0
        self._taken = 0
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
        self._taken += 1
        self._runner = worker
        worker.took_at = self._now

    def wanted(self, queued: int, awake: int, now: float, *, idle: bool) -> int:
        """How many to wake, with so many jobs queued and workers awake.

        `now` are seconds of a clock that does not go back, `idle` says that a whole ROUSE_SECONDS
        has passed without anything else to do, whatever the clock says.
        """
        self._now = now
        if not queued or not self:
            return 0
        if idle or now - self._measured_at >= ROUSE_SECONDS:
            taken, self._taken_before = self._taken - self._taken_before, self._taken
            self._measured_at = now
            if taken < BRISK_JOBS * awake:
                return queued
        runner = self._runner
        return 0 if runner is not None and now - runner.took_at < BRISK_SECONDS else 1
