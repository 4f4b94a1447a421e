"""Which schedules are one: those in which every step has the same causes.

Two steps are independent that touch no lock in common: whichever comes first, what comes of both is
the same, *if the code shares nothing outside its locks*. So the schedules fall into classes, which
are Mazurkiewicz's traces, and a state is known by its causes: for each task a number that is made
of its own steps and of those before them that touched the same locks. Where all tasks have numbers
that they have had before, and the same one has the turn, the state has been seen, and so has what
comes after it with as many preemptions left or fewer (Musuvathi and Qadeer, "Partial-order
reduction for context-bounded state exploration", MSR-TR-2007-12).

A step that begins a task touches all tasks' numbers; one that waited for anything but a lock or a
time, and any step after time has passed, comes after all that was. Numbers have 64 bits: that two
are equal by chance is not ruled out, and not likely.
"""

from __future__ import annotations

from server.simulation import CarriedLock, Carrier, CarrierError, Task
from server.simulation.primitives import NEVER, OPEN, SHUT, Gate
from tests.interleavings.strategies import Branch, Exhaustive, Route, Strategy

OUTSIDE = -1
"""The number of whoever acts outside any task: the scene, before the run."""


class Seen(CarrierError):
    """The run is over: what would come now has come before."""


class TracedLock(CarriedLock):
    """A lock that tells its carrier who touches it."""

    __slots__ = ("cause", "traced_by")

    def __init__(self, carrier: TracedCarrier) -> None:
        super().__init__(carrier)
        self.traced_by = carrier
        # That of the last step that touched it.
        self.cause = carrier.cause_of_birth()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        got = super().acquire(blocking, timeout)
        self.traced_by.touched.append(self)
        return got

    def release(self) -> None:
        self.traced_by.touched.append(self)
        super().release()

    def locked(self) -> bool:
        self.traced_by.touched.append(self)
        return super().locked()

    def __exit__(self, *_: object) -> None:
        self.release()


class TracedCarrier(Carrier):
    """A carrier that knows the causes of each step of its tasks. To release a lock is no point."""

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(strategy, points_at_release=False)
        # Locks that have been touched in the present step, and tasks that have begun in it.
        self.touched: list[TracedLock] = []
        self._begun: list[int] = []
        self._births = 0
        self._causes: dict[int, int] = {OUTSIDE: 0}
        self._is_after_all = False
        self._numbers = TracedLock(self)

    def signature(self, current: Task | None) -> int:
        """The state, and who keeps the turn if it likes to."""
        number = None if current is None else current.number
        return hash((frozenset(self._causes.items()), number))

    def cause_of_birth(self) -> int:
        """For a lock that is made now: it depends on its maker's steps, and on nothing else."""
        self._births += 1
        return hash((self._causes[self._actor], self._births))

    @property
    def _actor(self) -> int:
        return OUTSIDE if self.current is None else self.current.number

    def Lock(self) -> CarriedLock:
        return TracedLock(self)

    def begin(self, task: Task) -> None:
        super().begin(task)
        self._begun.append(task.number)
        self.touched.append(self._numbers)

    def point(self, gate: Gate = OPEN, until: float = NEVER) -> None:
        self._end_step(self._actor)
        super().point(gate, until)
        if isinstance(gate, TracedLock):
            self.touched.append(gate)
        elif gate is not OPEN and gate is not SHUT:
            self._is_after_all = True

    def _next(self, current: Task | None) -> Task | None:
        if current is None:
            self._end_step(self._actor)  # its last
        return super()._next(current)

    def _time_passes(self) -> bool:
        self._join()
        return super()._time_passes()

    def _end_step(self, actor: int) -> None:
        if self._is_after_all:
            self._join()
        causes, touched, begun = self._causes, self.touched, self._begun
        causes[actor] = cause = hash((causes[actor], *[one.cause for one in touched]))
        for one in touched:
            one.cause = cause
        for number in begun:
            causes[number] = hash((cause, number))
        touched.clear()
        begun.clear()
        self._births = 0

    def _join(self) -> None:
        """Whatever comes now comes after all that was."""
        causes = self._causes
        whole = hash(frozenset(causes.items()))
        for number, cause in causes.items():
            causes[number] = hash((cause, whole))
        self._is_after_all = False


class Classes(Exhaustive):
    """At least one schedule of every class that has one with so few preemptions.

    A run whose state has been seen is ended there, by Seen. Sound where nothing is shared outside
    locks; points at the locks' releases and before statements are not for it.
    """

    def __init__(self, preemptions: int) -> None:
        super().__init__(preemptions)
        # With how many preemptions left each state has been seen, at most.
        self.seen: dict[int, int] = {}

    def branch(self, route: Route, preemptions: int) -> Branch:
        return Reduced(self, route, preemptions)


class Reduced(Branch):
    """A branch that ends where it has come to what has been seen. `is_whole`: it did not."""

    def __init__(self, whole: Classes, route: Route, preemptions: int) -> None:
        super().__init__(whole, route, preemptions)
        self._seen = whole.seen
        self.is_whole = True

    def carrier(self, at_release: bool) -> Carrier:
        if at_release:
            raise ValueError("classes of schedules are for points at the locks' taking only")
        self._traced = carrier = TracedCarrier(self)
        self.follow(carrier, self._stays)
        return carrier

    def _stays(self) -> bool:
        return self._is_new(self._traced.current) and not self.left

    def _is_new(self, current: Task | None) -> bool:
        signature = self._traced.signature(current)
        if self._seen.get(signature, -1) >= self.left:
            self.is_whole = False
            self._traced.stop(Seen())
            return False
        self._seen[signature] = self.left
        return True

    def __call__(self, runnable: list[Task], current: Task | None) -> Task:
        # Whoever can go on has been asked for, by `_stays`.
        if current in runnable or self._is_new(None):
            return super().__call__(runnable, current)
        return runnable[0]
