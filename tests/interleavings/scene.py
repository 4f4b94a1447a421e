"""What every scene has: a carrier whose tasks play it, and a judge of what the machines did.

A scene is written in one line: its kind, what there is, and a script for each task that acts. The
kinds are the modules of `tests.interleavings.scenes`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, Protocol, TypeVar, cast

from server.simulation import CarriedLock, Carrier, CarrierError, Task
from statemachine import Arrow, Binder, Hook, Model, load_system
from statemachine.model import Equal, NeverTogether, Place
from tests.interleavings.points import Muted

SYSTEM: Final = load_system()
M = TypeVar("M", bound=Model)


class Broken(CarrierError):
    """Something did not hold that the spec promises."""


class Torn(BaseException):
    """What kills a worker: no job raised it."""


class Scene(Protocol):
    """One run to be: whoever has opened it lets its carrier run, and then asks its judge."""

    watch: Watch

    def judge(self) -> None:
        """Raises AssertionError, after the run, for what must not have come of it."""


class SceneType(Protocol):
    """One kind of scene. `samples` are those that the code must pass, small ones first."""

    kind: str
    samples: tuple[str, ...]

    def open(self, carrier: Carrier, text: str) -> Scene:
        """A scene whose tasks have begun. Raises ValueError, in a line, for a text that is none."""

    def draw(self, dice: Callable[[int], int]) -> str:
        """A scene's text. `dice(n)` is a number below n."""


class Watch:
    """A hook for all machines of one run, and a judge of their states.

    Each object moves from where it was. The spec's properties hold whenever `lock` is free, if they
    are `watched`; so does what a state requires or forbids, after every step.
    """

    __slots__ = ("_carrier", "_lock", "_occupied", "_turn", "_where", "also", "steps", "watched")

    def __init__(self, carrier: Carrier, lock: CarriedLock, *, watched: bool = True) -> None:
        self._carrier = carrier
        self._lock = lock
        self._occupied = bytearray(len(NUMBERS))
        # By identity: `steps` keeps them all.
        self._where: dict[int, int] = {}
        self.watched = watched
        self._turn = self.turn
        self.steps: list[tuple[Model, Arrow]] = []
        # What else is to be told of every turn.
        self.also: Callable[[Task], None] | None = None

    def __call__(self, model: Model, arrow: Arrow) -> None:
        where, occupied, key = self._where, self._occupied, id(model)
        source, target, initial, conditions = NOTES[arrow.id]
        self.steps.append((model, arrow))
        if key in where:
            here = where[key]
            occupied[here] -= 1
        else:
            here = initial
        occupied[target] += 1
        where[key] = target
        if here != source:
            self.break_off(f"{arrow}, and the object was in {PLACES[here].state}")
        self._carrier.watch = self._turn
        if conditions:
            Muted.depth += 1
            for name, expected in conditions:
                if getattr(model, name)() is not expected:
                    self.break_off(f"after {arrow}, {name} is {not expected}")
            Muted.depth -= 1

    def turn(self, task: Task) -> None:
        """A task is about to go on, and something has moved."""
        if self.also is not None:
            self.also(task)
        if self._lock.is_open:
            self._carrier.watch = self.also
            if self.watched and (fault := self.fault()) is not None:
                self.break_off(fault)

    def fault(self) -> str | None:
        """What is wrong with the numbers of objects in each state, by the spec's properties."""
        occupied = self._occupied
        seen = bytes(occupied)
        if seen in SOUND:
            return None
        for left, right, one in EQUALS:
            if sum(occupied[n] for n in left) != sum(occupied[n] for n in right):
                return f"{one.id}: {one.english}"
        for places, never in NEVERS:
            if all(occupied[n] for n in places):
                return f"{never.id}: {never.english}"
        SOUND.add(seen)
        return None

    def tell(self, also: Callable[[Task], None]) -> None:
        """Tell somebody else of every turn, too."""
        self.also = self._carrier.watch = also

    def break_off(self, fault: str) -> None:
        """End the run: this must not happen."""
        trail = "; ".join(str(arrow) for _, arrow in self.steps[-8:])
        self._carrier.stop(Broken(f"{fault} (after: {trail})"))


def _numbers() -> dict[Place, int]:
    places = (Place(name, state) for name, spec in SYSTEM.machines.items() for state in spec.states)
    return {place: number for number, place in enumerate(places)}


NUMBERS: Final = _numbers()
PLACES: Final = list(NUMBERS)
EQUALS: Final = [
    ([NUMBERS[x] for x in one.left], [NUMBERS[x] for x in one.right], one)
    for one in SYSTEM.properties
    if isinstance(one, Equal)
]
NEVERS: Final = [
    ([NUMBERS[x] for x in one.places], one)
    for one in SYSTEM.properties
    if isinstance(one, NeverTogether)
]
SOUND: Final[set[bytes]] = set()
"""Numbers of objects in each state that have been found to keep all properties."""


def _note(arrow: Arrow) -> tuple[int, int, int, list[tuple[str, bool]]]:
    machine, words = SYSTEM.machines[arrow.machine], SYSTEM.vocabulary.conditions
    state = machine.states[arrow.target]
    conditions = [(words[state.requires].python, True)] if state.requires else []
    conditions += [(words[state.forbids].python, False)] if state.forbids else []
    names = (arrow.source, arrow.target, machine.initial)
    source, target, initial = (NUMBERS[Place(arrow.machine, name)] for name in names)
    return source, target, initial, conditions


NOTES: Final = {arrow.id: _note(arrow) for arrow in SYSTEM.arrows.values()}
"""What the watch needs of each arrow, found once."""


class BoundOnce(Binder):
    """Binds each class once: runs are short, and many. `hook` is asked for anew by each step."""

    def __init__(self) -> None:
        self.hook_now: Hook = _no_hook
        super().__init__(SYSTEM, hook=self._pass_on)
        self._bound: dict[type[Model], type[Model]] = {}

    def _pass_on(self, model: Model, arrow: Arrow) -> None:
        self.hook_now(model, arrow)

    def bind(self, model: type[M]) -> type[M]:
        if model not in self._bound:
            self._bound[model] = bound = super().bind(model)
            if model.machine_name == "worker":
                # They are kept in sets, whose order must not depend on where in memory they lie.
                type.__setattr__(bound, "__hash__", _number_of)
        return cast("type[M]", self._bound[model])


def _number_of(worker: Model) -> int:
    name: str = worker.name  # type: ignore[attr-defined] # a Model has none
    return _number_in(name)


@functools.cache
def _number_in(name: str) -> int:
    return int(name.rpartition("_")[2])


def _no_hook(_: Model, __: Arrow) -> None:
    """Before the first run."""
