"""The baton: which thread is the reactor.

A thread that hands each request to another pays for the switch, which costs more than the request
does. So a worker may run the reactor's turns itself, between its jobs: then one thread polls,
parses, answers and polls again, and nobody is woken. What is lost is that somebody always polls: a
handler may hold its worker for long. So the reactor's own thread watches. It looks every
TICK_SECONDS, and takes the baton back from a holder that is in the same job as a tick ago.

```
 reactor's thread ──lent──▶ a worker that is awake        ──▶ jobs, a turn, jobs, a turn …
 the same job for a tick ──reclaimed──▶ the reactor's thread polls, as if nothing had been lent
 no job for REST_TICKS ──rested──▶ the reactor's thread sleeps; the next job rings it
```
What is judged here is only when to lend. A wrong judgement costs a tick, in which nobody polls, and
the next loan is later for it. That one thread polls at a time does not depend on it: the holder
polls between its jobs alone, and the baton is taken from no worker that is not in one.

Threads: what ends in `_locked` needs the pool's lock. `turn` and `withdraw` are the reactor's
thread's, `lead` the holder's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from server.net.worker import Broken, Worker
from statemachine._generated import BatonMachine, BatonState, PoolState, WorkerState

if TYPE_CHECKING:
    from server.net.pool import Pool

TICK_SECONDS: Final = 0.002
"""How often the watcher looks: twice this is how long at most nobody polls."""

REST_TICKS: Final = 4
"""Ticks without a job, after which the watcher sleeps."""

QUICK_JOBS: Final = 8
"""Jobs that a holder takes in a tick, at least, if they are short: as long as it does, it runs each
request as soon as it has read it. Then what it has read is still in the processor's caches, and
nothing is queued that nobody else would take sooner."""

GOOD_JOBS: Final = 64
"""Jobs of a loan that has paid for the tick which its end may cost."""

PAUSE_SECONDS: Final = 0.02
"""From the end of a loan that has not to the next; after each further one twice as long."""

PAUSE_SECONDS_MAX: Final = 1.0

KEPT, LENT, TRUSTED = BatonState.KEPT, BatonState.LENT, BatonState.TRUSTED
RECALLED, DROPPED = BatonState.RECALLED, BatonState.DROPPED
IDLE, BUSY = WorkerState.IDLE, WorkerState.BUSY


class Turns(Protocol):
    """The reactor, as whoever has the baton runs it."""

    def poll_once(self) -> None:
        """A turn of the reactor's own thread."""

    def wait(self) -> list[int]:
        """Wait for the next thing to happen: a turn's first half."""

    def turn(self, ready: list[int]) -> bool:
        """Do all that there is to do: its second. False: the caller has lost the baton over it, and
        another goes on where it was.
        """

    def wake(self) -> None:
        """End the present wait, or the next."""


class Baton(BatonMachine):
    """The reactor's role. `holder` is the worker that has it, None while no worker does; `runner`
    is the same where it takes `quick_jobs` in a tick: then it runs what it reads.

    `after_turn` is called after each turn, by whoever ran it. `error` is what a turn of the
    holder's has failed with.
    """

    __slots__ = (
        "_bell", "_candidate", "_clock", "_lend_at", "_lent_at", "_pause", "_pool", "_quick_jobs",
        "_reactor", "_rests", "_seen", "after_turn", "error", "holder", "runner",
    )  # fmt: skip

    def __init__(
        self,
        pool: Pool,
        reactor: Turns,
        *,
        now: Callable[[], float],
        after_turn: Callable[[], None],
        quick_jobs: int = QUICK_JOBS,
    ) -> None:
        super().__init__()
        self._quick_jobs = quick_jobs
        self._pool = pool
        self._reactor = reactor
        self._clock = now
        self.after_turn = after_turn
        self.holder: Worker | None = None
        self.runner: Worker | None = None
        self.error: BaseException | None = None
        self._candidate: Worker | None = None
        # The watcher's sleep: locked while there is nothing to hear.
        self._bell = pool.threading.Lock()
        self._bell.acquire()
        # The holder's last job as the watcher saw it, and how many ticks ago it has changed.
        self._seen = self._rests = 0
        # When the next loan may begin, the pause after one that was bad, and the jobs before it.
        self._lend_at = 0.0
        self._pause = PAUSE_SECONDS
        self._lent_at = 0

    def appoint(self) -> None:
        self.holder, self._candidate = self._candidate, None

    def depose(self) -> None:
        self.holder = self.runner = None

    # --- the reactor's thread ---------------------------------------------------------------

    def turn(self) -> None:
        """Run a turn, or watch for a tick. Raises what the reactor's loop has failed with."""
        if self.state is KEPT:
            self._reactor.poll_once()
            self.after_turn()
            if self._pool.queue and self._clock() >= self._lend_at:
                with self._pool.lock:
                    self._lend_locked()
        else:
            self._watch()

    def _lend_locked(self) -> None:
        """Lend it to a worker that is awake and not held, if there is one."""
        pool = self._pool
        worker = pool.sleepers.brisk(pool.workers, self._clock())
        if worker is None or self.state is not KEPT or pool.state is not PoolState.SERVING:
            return
        self._candidate = worker
        self.lent()
        self._seen, self._rests, self._lent_at = worker.taken, 0, pool.sleepers.taken
        self._judge_locked(0)

    def _watch(self) -> None:
        rung = self._bell.acquire(timeout=-1 if self.state is TRUSTED else TICK_SECONDS)
        with self._pool.lock:
            if self.state is LENT and not rung:
                self._look_locked()
        if self.error is not None:
            raise self.error

    def _look_locked(self) -> None:
        holder, pool = self.holder, self._pool
        assert holder is not None
        taken = holder.taken - self._seen
        if taken:
            self._seen, self._rests = holder.taken, 0
            holder.took_at = self._clock()
        elif holder.state is not IDLE:
            self._reclaim_locked()
        else:
            self._rests += 1
            if self._rests >= REST_TICKS:
                self.rested()
        self._judge_locked(taken)
        if pool.strained:
            pool.sleepers.rouse(len(pool.queue), pool.workers, self._clock(), idle=False)

    def _judge_locked(self, taken: int) -> None:
        """The holder has taken so many jobs since it was looked at last. Only who is watched may
        run what it reads, for nobody polls meanwhile.
        """
        is_quick = self.state is LENT and taken >= self._quick_jobs
        self.runner = self.holder if is_quick else None

    def _reclaim_locked(self) -> None:
        self.reclaimed()
        good = self._pool.sleepers.taken - self._lent_at >= GOOD_JOBS
        self._pause = PAUSE_SECONDS if good else min(2 * self._pause, PAUSE_SECONDS_MAX)
        self._lend_at = 0.0 if good else self._clock() + self._pause

    def drop(self) -> None:
        """The reactor's thread dies: nobody polls from here on. Waits until nobody does."""
        with self._pool.lock:
            self.recall_locked()
        while self.holder is not None:
            self._bell.acquire()
        with self._pool.lock:
            if self.state is not DROPPED:
                self.dropped()

    # --- the holder ---------------------------------------------------------------------------

    def lead(self) -> None:
        """Run a turn, as the holder, between two jobs."""
        try:
            ready = self._reactor.wait()
        except Exception as error:  # noqa: BLE001 - the loop has failed, and not the worker
            self._fail(error)
            return
        # Torn out of the wait, the worker dies and nothing is lost; torn out of what follows, the
        # loop ends with it: a connection may have been left between two rooms.
        try:
            if self._reactor.turn(ready):
                self.after_turn()
        except Broken as broken:  # in a job, or next to one: it is the worker's end, not the loop's
            raise broken.cause from None
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    def _fail(self, error: BaseException) -> None:
        with self._pool.lock:
            self.error = error
            self.dropped()
            self._ring()

    def begin_locked(self) -> None:
        """The holder takes a job: it must be watched."""
        if self.state is TRUSTED:
            self.rung()
            self._ring()

    def give_back_locked(self, worker: Worker) -> None:
        """The worker leaves, or is dead: if it has the baton, that is the reactor's again."""
        if self.holder is worker:
            self.returned()
            self._ring()

    def leads_locked(self, worker: Worker) -> bool:
        """Whether a worker that looks for a job has the baton, and may keep it."""
        if self.holder is not worker:
            return False
        if self.state is RECALLED:
            self.give_back_locked(worker)
            return False
        return True

    def nudge_locked(self) -> None:
        """Let the holder look at the queue."""
        if self.holder is not None:
            self._reactor.wake()

    def recall_locked(self) -> None:
        """The workers are let go: take it back, now or when its holder looks up."""
        holder = self.holder
        if holder is None or self.state is RECALLED:
            return
        if self.state is LENT and holder.state is not IDLE:
            self.reclaimed()
            self._ring()
        else:
            self.recalled()
            # Nobody watches any more: what it reads in its last turn is for others.
            self.runner = None
            self._reactor.wake()

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was rung already, and has not been heard yet
            self._bell.release()
