"""The carrier: threads that take turns, exactly one at a time, as a chooser says.

A thread of the code under it is a *task*, which runs on a greenlet. It is the facade that
`server.net.threads` names, and so it stands in for `threading` wherever a pool, a pipe or a
reservoir takes one; it is a clock, whose time passes only when nobody can go on; and `pause` is
what a fake socket or selector waits in.

    with Carrier(lambda runnable, current: runnable[0]) as carrier:
        pool = Pool(binder, facade=carrier)
        carrier.spawn("main", play)
        carrier.run()

How a turn goes: whatever a task does to a primitive is a *point*. It says there what it waits for,
if it waits; the chooser is asked who goes on, among those who can; and that one runs to its own
next point. Between two points nobody else runs. So a run is a function of its choices.

Guarantees: a run ends. By itself when every task has ended that is not a daemon; or with Deadlock
when nobody can go on and no time is waited for, Endless after `steps_max` points, TaskDied when a
task's own code lets an error out. `close` ends every task wherever it is, and nothing of a carrier
is left after it. A loop without a point in it is nobody's turn but its own: `Alarm` ends that.

Threads: one, the caller's. What is done outside any task, before `run` or between two runs, is no
point, and whoever would have to wait there gets a Deadlock.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import ClassVar, Final, Self

from server.simulation.bearers import Greenlet, bear, greenlets
from server.simulation.failures import CarrierError, CurtainFalls, Deadlock, Endless, TaskDied
from server.simulation.primitives import (
    NEVER,
    OPEN,
    SHUT,
    CarriedLock,
    Condition,
    Gate,
    Task,
)

STEPS_MAX = 20_000
"""Points after which a run is taken to have no end. What is well takes some hundred."""

MOMENT: Final = 784_111_777.0
"""The wall clock's time at zero: RFC 9110's own example, Sun, 06 Nov 1994 08:49:37 GMT."""


NOBODY: Final = -1
"""In a trail, the turn that nobody could have."""

Chooser = Callable[[list[Task], Task | None], Task]
"""Who goes on, of those who can, in the order in which they began; asked only where there is a
choice. The second is the task that has just run: to choose another while it is among them is a
preemption. It is None if that task has ended.
"""


class Carrier:
    """The tasks of one run. It is a `server.net.threads.Threading` and a `server.clock.Clock`.

    `points_at_release`: to release a lock is a point, too. Without it there are fewer schedules,
    and none is missed of code that shares nothing outside its locks. `now` is the monotonic clock's
    time, `steps` counts the points. `threads_left` is how many threads can still be had. `watch`
    is told of every turn that begins, `idle` that nobody can go on before time passes. Raises
    CarrierError if greenlet is not installed.
    """

    running: ClassVar[Carrier | None] = None
    """Whose tasks have the thread at present."""

    def __init__(
        self,
        choose: Chooser,
        *,
        steps_max: int = STEPS_MAX,
        points_at_release: bool = True,
        watch: Callable[[Task], None] | None = None,
        stays: Callable[[], bool] | None = None,
    ) -> None:
        self._getcurrent = greenlets().getcurrent
        self._main = self._getcurrent()
        self._choose = choose
        self._steps_limit = steps_max
        self.points_at_release = points_at_release
        self.watch = watch
        self.stays = stays
        self.idle: Callable[[], None] | None = None
        self.now = 0.0
        self.steps = 0
        self._route: Sequence[int] = ()
        self._route_ends = 0
        self.trail: list[int] | None = None
        self.threads_left = 1_000_000
        self.tasks: list[Task] = []
        self.current: Task | None = None
        self._living: list[Task] = []
        # Nobody's time comes before this one. Until then only gates are looked at: at every point.
        self._due = NEVER
        self._settling = False
        self._closed = False
        self._failure: CarrierError | None = None

    # --- server.net.threads.Threading -------------------------------------------------------

    def Lock(self) -> CarriedLock:  # noqa: N802 - the name that `threading` gives it
        return CarriedLock(self)

    def Thread(  # noqa: N802 - the name that `threading` gives it
        self, *, target: Callable[[], object], name: str, daemon: bool
    ) -> Task:
        return Task(self, target, name=name, daemon=daemon)

    def get_ident(self) -> int:
        """The current task's; 1 outside any."""
        return 1 if self.current is None else self.current.number + 2

    # --- server.clock.Clock -----------------------------------------------------------------

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return MOMENT + self.now

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("a clock does not go back")
        if self.current is None:
            self.advance(seconds)
        else:
            self.point(SHUT, self.now + seconds)

    def advance(self, seconds: float) -> None:
        """Let so much time pass, whoever can go on. Raises ValueError below zero."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self.now += seconds

    # --- for tasks --------------------------------------------------------------------------

    def pause(self, may_go: Callable[[], bool] | None = None, seconds: float | None = None) -> bool:
        """A point, or waiting until `may_go` holds. False: it did not within `seconds`.

        `may_go` is asked at every point of every task: it must be quick, and move nothing.
        """
        gate = OPEN if may_go is None else Condition(may_go)
        self.point(gate, NEVER if seconds is None else self.now + seconds)
        return gate.is_open

    def point(self, gate: Gate = OPEN, until: float = NEVER) -> None:
        """Stop here, and go on when it is chosen: once the gate is open, or it is `until`."""
        me = self.current
        if me is None or self._closed:
            self._pass(gate, until)
            return
        if (self._route_ends or self.stays is not None) and gate.is_open and self._keeps(me):
            return
        me.gate = gate
        if until != NEVER:
            me.until = until
            self._due = min(self._due, until)
        chosen = self._next(me)
        if chosen is None:
            self._main.switch()
        elif chosen is not me:
            self.current = chosen
            chosen.greenlet.switch()  # type: ignore[union-attr] # who can go on has one
        # From here on it is this task's turn again.
        me.gate = OPEN
        if until != NEVER:
            me.until = NEVER
        if me.stroke is not None:
            error, me.stroke = me.stroke, None
            raise error

    def _keeps(self, me: Task) -> bool:
        """Whether the one that has the turn, and can go on, is to do so without further ado."""
        step = self.steps
        if step < self._route_ends:
            if self._route[step] != me.number or me.stroke is not None:
                return False
        elif (
            self.stays is None
            or self._failure is not None
            or not self.stays()
            or step >= self._steps_limit
            or me.stroke is not None
        ):
            return False
        elif self.trail is not None:
            self.trail.append(me.number)
        self.steps = step + 1
        return True

    def _pass(self, gate: Gate, until: float) -> None:
        """A point outside any task, or after the end."""
        if self._closed and self.current is not None:
            raise CurtainFalls
        if not gate.is_open and until == NEVER:
            raise Deadlock(f"nobody but a task may wait, and here somebody waits for {gate!r}")

    # --- who goes on ------------------------------------------------------------------------

    def _next(self, current: Task | None) -> Task | None:
        """The task whose turn it is. None: nobody's, and the run goes back to who began it."""
        step = self.steps
        self.steps = step + 1
        if step < self._route_ends and self._route[step] != NOBODY:
            return self._on_route(self._route[step])
        if step >= self._steps_limit:
            return self._end_here()
        if self.now < self._due:
            runnable = [one for one in self._living if one.gate.is_open]
        else:
            runnable = self._able()
        if not runnable:
            runnable = self._wait_for_time()
            if not runnable:
                return None
        chosen = self._choose(runnable, current) if len(runnable) > 1 else runnable[0]
        if self.trail is not None:
            self.trail.append(chosen.number)
        if self.watch is not None:
            self.watch(chosen)
        return chosen

    def _wait_for_time(self) -> list[Task]:
        """Let time pass until somebody can go on. Nobody: the run is over."""
        while self._time_passes():
            runnable = self._able()
            if runnable:
                return runnable
        if self.trail is not None and self.steps > self._route_ends:
            self.trail.append(NOBODY)
        return []

    def _able(self) -> list[Task]:
        """Who can go on, now that somebody's time may have come."""
        now = self.now
        self._due = self._earliest()
        return [one for one in self._living if one.gate.is_open or one.until <= now]

    def _earliest(self) -> float:
        """The next time that somebody waits for."""
        return min([one.until for one in self._living], default=NEVER)

    def _on_route(self, number: int) -> Task:
        """Who went on here in the run before, looked at by nobody."""
        chosen = self.tasks[number]
        while not chosen.gate.is_open and chosen.until > self.now:
            if not self._time_passes():
                raise CarrierError(f"{chosen.name} cannot go on: the route is another code's")
        return chosen

    def _end_here(self) -> Task | None:
        """The run was stopped, or takes too long."""
        if self._failure is None:
            self.stop(Endless(f"no end after {self._steps_limit} points\n{self.describe()}"))
        return None

    def _time_passes(self) -> bool:
        """Nobody can go on before the next time that is waited for: let it be then."""
        if self.idle is not None:
            self.idle()
        if self._settling or self._failure is not None:
            return False
        until = self._earliest()
        if until == NEVER:
            self.stop(Deadlock(f"nobody can go on\n{self.describe()}"))
            return False
        self.now = until
        return True

    # --- for whoever runs it ----------------------------------------------------------------

    def spawn(self, name: str, target: Callable[[], object], *, daemon: bool = False) -> Task:
        """A task of the caller's own, which has begun."""
        task = Task(self, target, name=name, daemon=daemon)
        self.begin(task)
        return task

    def begin(self, task: Task) -> None:
        """Let a task have turns. Raises RuntimeError if no thread can be had."""
        if not self.threads_left:
            raise RuntimeError("can't start new thread")
        self.threads_left -= 1
        task.number = len(self.tasks)
        self.tasks.append(task)
        self._living.append(task)
        task.greenlet = bear(functools.partial(self._live, task))

    def _live(self, task: Task) -> Greenlet:
        """The whole life of a task, on its own greenlet. Returns who runs the carrier."""
        target = task.target
        assert target is not None
        try:
            if task.stroke is not None:
                raise task.stroke
            task.target = None
            target()
        except CurtainFalls:
            pass
        except BaseException as error:  # noqa: BLE001 - told by the run
            task.error = error
            died = TaskDied(f"{task.name} died: {error!r}")
            died.__cause__ = error
            self.stop(died)
        task.is_open = True
        task.target = task.greenlet = None
        self._living.remove(task)
        if self._closed or not self._goes_on():
            return self._main
        self.current = chosen = self._next(None)
        if chosen is None:
            return self._main
        # Not by its truth: a greenlet that has not begun is false.
        assert chosen.greenlet is not None
        return chosen.greenlet

    def run(self) -> None:
        """Let the tasks run until all but daemons have ended.

        Raises Deadlock, Endless or TaskDied.
        """
        self._play(settling=False)

    def settle(self) -> None:
        """Let the tasks run until nobody can go on before time passes. Raises as `run` does."""
        self._play(settling=True)

    def _play(self, *, settling: bool) -> None:
        if self.current is not None:
            raise RuntimeError("a task cannot let the tasks run")
        self._main, self._settling = self._getcurrent(), settling
        before, Carrier.running = Carrier.running, self
        try:
            task = self._next(None) if self._goes_on() else None
            if task is not None:
                self.current = task
                assert task.greenlet is not None
                # Back here when all have ended, or nobody can go on.
                task.greenlet.switch()
        finally:
            Carrier.running, self.current = before, None
        if self._failure is not None:
            raise self._failure

    def _goes_on(self) -> bool:
        """Whether there is anybody to wait for."""
        if self._settling:
            return True
        for one in self._living:  # noqa: SIM110 - at the end of every task
            if not one.daemon:
                return True
        return False

    def follow(self, route: Sequence[int]) -> None:
        """Before anybody has had a turn: at its first points, let these tasks go on, by number.

        Nobody is asked and nothing is looked at there: the route must be the beginning of the
        `trail` of a run of the same code.
        """
        self._route, self._route_ends = route, len(route)
        self.trail = list(route)

    def stop(self, failure: CarrierError) -> None:
        """End the run at the next point with this error, unless it has one already."""
        self._failure = self._failure or failure
        self._steps_limit = 0

    def close(self) -> None:
        """End every task where it is. What is asked of the primitives later finds nobody there."""
        self._closed, self.points_at_release = True, False
        self._main = self._getcurrent()
        for task in list(self._living):
            self.current, task.stroke = task, CurtainFalls()
            assert task.greenlet is not None
            task.greenlet.switch()
        self.current = None

    def describe(self) -> str:
        """Every task that has not ended: what it waits for, and where it stands."""
        return "\n".join(one.describe() for one in self._living)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
