"""The crew: who is at a place of the pool, who is late, who is stuck, and who may stand in.

The pool has a number of places. A worker whose job has run for `late_seconds_max` is LATE, and its
place counts as empty: another worker may be started there, a stand-in. If the late one ends its job
first, it keeps its place; else it retires when it does. One whose job has run for `job_seconds_max`
loses it and is put in quarantine. At most `stand_ins_max` threads more than there are places live
at any moment, so that a handler that hangs costs a bounded number of them.

No clock is read where jobs are run: a worker numbers what it takes, and a sample, taken from
outside, remembers when it first saw that number. So nobody is late too early, and everybody at most
one sample too late.

Threads: whoever holds the pool's lock, for all of this; to format a stack, nobody needs it.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import NamedTuple

from server.net.threads import Thread
from server.net.worker import Job, Worker
from statemachine._generated import WorkerState

LOG = logging.getLogger("interlock.pool")

STARTING, IDLE, BUSY = WorkerState.STARTING, WorkerState.IDLE, WorkerState.BUSY
LATE, QUARANTINED = WorkerState.LATE, WorkerState.QUARANTINED

RESPAWNS_MAX = 16
"""Workers that may die one after the other, without one job that ended among their deaths, and be
replaced at once. From then on it is the loop that is at fault, and a thread for each of its turns
would be all that the process does."""

Frames = Callable[[], Mapping[int, FrameType]]
"""The frame that each thread is at, by the thread's ident: `sys._current_frames`."""


class Census(NamedTuple):
    """Numbers of workers at one moment.

    Of the `places`, `standing` have a worker that is not late. `stand_ins` are the threads beyond
    the places, those in quarantine among them. `replaced` dead workers have had a successor since
    the start. `at_cap`: somebody is late or in quarantine, and no stand-in is left for the next.
    """

    places: int
    standing: int
    late: int
    quarantined: int
    stand_ins: int
    replaced: int
    at_cap: bool


class Overdue(NamedTuple):
    """A worker that has been at a job for `seconds`, and where its thread was, innermost last."""

    worker: Worker
    job: Job
    seconds: float
    stack: tuple[traceback.FrameSummary, ...]

    @property
    def where(self) -> str:
        """The innermost line, as FILE:LINE."""
        if not self.stack:
            return "an unknown line"
        return f"{self.stack[-1].filename}:{self.stack[-1].lineno}"

    @property
    def error(self) -> TimeoutError:
        """What the job is told when it is taken from its worker."""
        return TimeoutError(f"the job has run for {self.seconds:.1f} seconds")


def report(late: Iterable[Overdue], revoked: Iterable[Overdue]) -> None:
    """Log who is late, a line each, and from whom a job was taken, with the stack of its thread."""
    for one in late:
        said = one.worker.name, one.job, one.seconds, one.where
        LOG.warning("%s is late: %s has run for %.1f seconds, and is at %s", *said)
    for one in revoked:
        stack = "".join(traceback.format_list(list(one.stack)))
        said = one.worker.name, one.job, one.seconds, stack
        LOG.error("%s is stuck: %s was taken from it after %.1f seconds, at\n%s", *said)


class Crew:
    """The workers of one pool: `workers` live, those in `quarantined` are waited for by nobody.

    `late_seconds_max` and `job_seconds_max` are those of Config; with 0, a job may run for ever.
    """

    __slots__ = (
        "_job_seconds_max", "_late_seconds_max", "_refused", "_respawns_left", "_taken_before",
        "_vacated", "alarm", "frames", "places", "quarantined", "replaced", "sampled_at",
        "stand_ins_max", "threads", "wanted", "workers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        stand_ins_max: int,
        late_seconds_max: float,
        job_seconds_max: float,
        frames: Frames = sys._current_frames,
    ) -> None:
        self.places = 0
        # How many places there are to be, for `resized`.
        self.wanted = 0
        # Sets that keep their order: who is looked at first must not be a matter of addresses, or
        # no history could be repeated.
        self.workers: dict[Worker, None] = {}
        self.quarantined: dict[Worker, None] = {}
        # Of all that have been started, and of some that have ended since.
        self.threads: dict[Worker, Thread] = {}
        self.replaced = 0
        # The time of the last sample; None until somebody takes one, and goes on taking them.
        self.sampled_at: float | None = None
        self.stand_ins_max = stand_ins_max
        self._late_seconds_max = late_seconds_max
        self._job_seconds_max = job_seconds_max
        self.frames = frames
        # Told, in a few words, of what must not happen and did: a worker died, a job raised.
        self.alarm: Callable[[str], object] = str
        # Places that dead workers left and nobody has taken since.
        self._vacated = 0
        self._respawns_left = RESPAWNS_MAX
        self._taken_before = 0
        # How often in a row the system has refused a thread.
        self._refused = 0

    # --- how many -----------------------------------------------------------------------------

    def standing(self) -> int:
        """How many workers are at their places: alive, and not late."""
        return sum(one.state in (STARTING, IDLE, BUSY) for one in self.workers)

    def census(self) -> Census:
        """The numbers now."""
        standing, quarantined = self.standing(), len(self.quarantined)
        late = sum(one.state is LATE for one in self.workers)
        stand_ins = max(0, standing + late + quarantined - self.places)
        return Census(
            places=self.places,
            standing=standing,
            late=late,
            quarantined=quarantined,
            stand_ins=stand_ins,
            replaced=self.replaced,
            at_cap=late + quarantined > 0 and stand_ins >= self.stand_ins_max,
        )

    def has_room(self) -> bool:
        """Whether one more worker may be started: a place is empty, and the cap allows it."""
        now = self.census()
        threads = now.standing + now.late + now.quarantined
        return now.standing < now.places and threads < now.places + self.stand_ins_max

    # --- the sample ---------------------------------------------------------------------------

    def sample(self, now: float) -> tuple[list[Overdue], list[Overdue]]:
        """Move who is overdue to LATE, and who is by far to QUARANTINED; returns both."""
        self.sampled_at = now
        # A late worker may have come back to a place that a dead one had left.
        self._vacated = min(self._vacated, max(0, self.places - self.standing()))
        late, revoked = [], []
        for worker in list(self.workers):
            job = worker.job
            if job is None or worker.state not in (BUSY, LATE):
                continue
            if worker.seen != worker.taken:
                worker.seen, worker.seen_at = worker.taken, now
            seconds = now - worker.seen_at
            if worker.state is BUSY and seconds >= self._late_seconds_max:
                worker.became_late()
                late.append(Overdue(worker, job, seconds, self._stack_of(worker)))
            if worker.state is LATE and seconds >= self._job_seconds_max > 0:
                stack = self._stack_of(worker)
                if self._revoke(worker, job):
                    revoked.append(Overdue(worker, job, seconds, stack))
        return late, revoked

    def _revoke(self, worker: Worker, job: Job) -> bool:
        """Take the job from its worker. False: not now, it holds the lease."""
        # Without waiting: whoever holds the lease may be about to wait for the pool's lock.
        if not job.lease.acquire(blocking=False):
            return False
        try:
            worker.quarantined()
            job.revoked()
            del self.workers[worker]
            self.quarantined[worker] = None
        finally:
            job.lease.release()
        return True

    def _stack_of(self, worker: Worker) -> tuple[traceback.FrameSummary, ...]:
        """Where the worker's thread is. It cannot end its job meanwhile, for want of the lock."""
        frame = self.frames().get(worker.ident or 0)
        stack = []
        while frame is not None:
            code = frame.f_code
            # The lines themselves are read from their files later, without the lock.
            stack.append(
                traceback.FrameSummary(
                    code.co_filename, frame.f_lineno, code.co_name, lookup_line=False
                )
            )
            frame = frame.f_back
        return tuple(reversed(stack))

    def seconds_stuck(self, worker: Worker) -> float:
        """For how long the worker has been at its last job, by the last sample."""
        return (self.sampled_at or 0.0) - worker.seen_at

    # --- threads ------------------------------------------------------------------------------

    def forget_ended(self) -> None:
        """Keep no thread that has ended, nor its worker."""
        for worker in [one for one, thread in self.threads.items() if not thread.is_alive()]:
            del self.threads[worker]

    def lost(self) -> list[Worker]:
        """Workers whose threads have ended without a word: torn out of their own burial, too."""
        mine = self.workers | self.quarantined
        return [one for one, t in self.threads.items() if one in mine and not t.is_alive()]

    def ending(self) -> list[Thread]:
        """The threads that end by themselves: all but those in quarantine."""
        return [thread for one, thread in self.threads.items() if one.state is not QUARANTINED]

    def clear(self) -> None:
        """In a forked child: none of the threads runs."""
        self.workers.clear()
        self.quarantined.clear()
        self.threads.clear()

    # --- deaths -------------------------------------------------------------------------------

    def note_death(self) -> None:
        """A worker has died."""
        self._vacated += self._vacated < self.places - self.standing()

    def may_respawn(self, taken: int) -> bool:
        """Whether a dead worker may be replaced at once, when so many jobs have been taken."""
        # Each worker has at most one job that has not ended: of more jobs than workers, one has.
        if taken - self._taken_before > len(self.workers):
            self._respawns_left = RESPAWNS_MAX
        self._taken_before = taken
        if self._respawns_left == 0:
            return False
        self._respawns_left -= 1
        return True

    def note_enlisted(self) -> bool:
        """A worker is about to be started. Whether it comes in a dead one's place."""
        if self._vacated == 0:
            return False
        self._vacated -= 1
        return True

    def note_started(self, *, replaces: bool) -> None:
        """Its thread has been started."""
        self.replaced += replaces
        self._refused = 0

    def note_refused(self, *, replaces: bool) -> bool:
        """No thread could be had for it. Whether that is news: the last one could be."""
        self._vacated += replaces
        self._refused += 1
        return self._refused == 1
