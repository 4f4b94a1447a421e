"""What the machines did: hooks that record the arrows taken, and a monitor that judges them.

A hook is called after an object has moved, on the thread that fired the event. A class is bound
with a hook or without one; without one, its compiled events carry no trace of this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from statemachine.errors import StateMachineError
from statemachine.machine import Hook
from statemachine.model import Arrow, Equal, Model, NeverTogether, Place, System

Lock = AbstractContextManager[object]
"""What the threads that fire events share: `threading.Lock()`, or a scheduler's own in tests."""


class Violation(StateMachineError):
    """The objects' states broke a property of the spec.

    The message names the property and the last arrows.
    """


@dataclass(frozen=True, slots=True)
class Step:
    """One arrow, taken by one object.

    `serial` tells objects apart, in the order in which they first moved.
    """

    serial: int
    arrow: Arrow

    def __str__(self) -> str:
        return f"{self.arrow.machine}#{self.serial} {self.arrow}"


def both(first: Hook, second: Hook) -> Hook:
    """A hook that calls two."""

    def hook(model: Model, arrow: Arrow) -> None:
        first(model, arrow)
        second(model, arrow)

    return hook


class Recorder:
    """A hook that keeps every step. Threads: any; `lock` orders the steps.

    It keeps each object that moved, so that no two ever share an identity: for tests and short
    runs.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._serials: dict[int, tuple[int, Model]] = {}
        self.steps: list[Step] = []

    def __call__(self, model: Model, arrow: Arrow) -> None:
        with self._lock:
            serial, _ = self._serials.setdefault(id(model), (len(self._serials), model))
            self.steps.append(Step(serial, arrow))

    def coverage(self) -> Counter[str]:
        """How often each arrow was taken, by id."""
        with self._lock:
            return Counter(step.arrow.id for step in self.steps)


def illegal_steps(system: System, steps: Iterable[Step]) -> list[str]:
    """Steps that the spec does not allow.

    An object was not in the arrow's source, or the arrow is not there. Needs nothing but the steps:
    each object starts in its machine's initial state.
    """
    arrows, places, wrong = system.arrows, dict[int, Place](), []
    for number, step in enumerate(steps):
        arrow = step.arrow
        if arrows.get(arrow.id) != arrow:
            wrong.append(f"step {number}: {step}: no such arrow")
            continue
        initial = Place(arrow.machine, system.machines[arrow.machine].initial)
        present = places.setdefault(step.serial, initial)
        if present != Place(arrow.machine, arrow.source):
            wrong.append(f"step {number}: {step}: the object was in {present}")
        places[step.serial] = Place(arrow.machine, arrow.target)
    return wrong


class Monitor:
    """A hook that counts the objects in each state and judges the counts by the spec's properties.

    Guarantees: `always` and `never` are checked after every step that is not half of a joint step,
    and a state's `requires` and `forbids` on the object that moved. Threads: any; `lock` orders the
    steps. A violation is kept in `violations` and raised as Violation on the thread that caused it.
    """

    def __init__(self, system: System, lock: Lock) -> None:
        self._lock = lock
        self._system = system
        self._always = [p for p in system.properties if isinstance(p, Equal)]
        self._never = [p for p in system.properties if isinstance(p, NeverTogether)]
        self._groups = {joint.id: len(joint.groups) for joint in system.joints}
        self._half_done: Counter[str] = Counter()
        self._recent: list[Arrow] = []
        self.occupancy: Counter[Place] = Counter()
        self.violations: list[str] = []

    def __call__(self, model: Model, arrow: Arrow) -> None:
        with self._lock:
            self._count(arrow)
            self._recent = [*self._recent[-9:], arrow]
            faults = self._state_faults(model, arrow)
            if not self._within_joint(arrow):
                faults += self._property_faults()
            if faults:
                trail = "; ".join(str(one) for one in self._recent)
                self.violations += faults
                raise Violation(f"{faults[0]} (after: {trail})")

    def _count(self, arrow: Arrow) -> None:
        # An object is first seen when it first moves; until then nobody counts it.
        source = Place(arrow.machine, arrow.source)
        if self.occupancy[source] > 0:
            self.occupancy[source] -= 1
        self.occupancy[Place(arrow.machine, arrow.target)] += 1

    def _within_joint(self, arrow: Arrow) -> bool:
        """True from the first arrow of a joint step until its last."""
        joint = arrow.sync or self._expected_by(arrow)
        if joint:
            self._half_done[joint] += 1
            if self._half_done[joint] == self._groups[joint]:
                del self._half_done[joint]
        return bool(self._half_done)

    def _expected_by(self, arrow: Arrow) -> str | None:
        """The joint step, begun already, in which this arrow is one that says nothing of `sync`."""
        for joint in self._system.joints:
            if joint.id in self._half_done and any(arrow.id in group for group in joint.groups):
                return joint.id
        return None

    def _state_faults(self, model: Model, arrow: Arrow) -> list[str]:
        machine = self._system.machines[arrow.machine]
        state, words = machine.states[arrow.target], self._system.vocabulary.conditions
        faults = []
        if state.requires and not getattr(model, words[state.requires].python)():
            faults.append(f"{arrow.machine}.{state.name} requires {state.requires}")
        if state.forbids and getattr(model, words[state.forbids].python)():
            faults.append(f"{arrow.machine}.{state.name} forbids {state.forbids}")
        return faults

    def _property_faults(self) -> list[str]:
        count = self.occupancy
        faults = [
            f"{p.id}: {p.english}"
            for p in self._always
            if sum(count[x] for x in p.left) != sum(count[x] for x in p.right)
        ]
        return faults + [
            f"{p.id}: {p.english}" for p in self._never if all(count[x] for x in p.places)
        ]
