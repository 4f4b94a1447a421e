"""Classes whose events were written ahead of time, and compiled with them.

A server without the compiled core has none. One of them has no subclass for each server, as the
sealed ones do: an object knows its server by its `bound`, which a `Maker` gives it.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from statemachine.errors import SealError
from statemachine.model import Arrow, MachineSpec, Model, System
from statemachine.noting import Log, numbered

if TYPE_CHECKING:
    from statemachine.machine import Binder

IS_COMPILED: Final = not __file__.endswith(".py")
"""Whether the compiled core runs: this module is of it."""


class Ring:
    """The last so many of what was appended, as a `deque` of that length has them. Compiled, to
    append is no call of Python's; no other thread runs within it.
    """

    def __init__(self, size: int) -> None:
        self._items: list[object] = [None] * size
        self._size = size
        self._next = 0

    def append(self, one: object) -> None:
        """Put it in the place of the oldest."""
        at = self._next
        self._items[at] = one
        at += 1
        self._next = 0 if at == self._size else at

    def last(self) -> object:
        """What was appended last; None where nothing was."""
        return self._items[self._next - 1]

    def copy(self) -> list[object]:
        """All that there is, oldest first."""
        # To make a list may collect garbage, and so let others run: the place is read after that.
        items = self._items[:]
        at = self._next
        return [one for one in items[at:] + items[:at] if one is not None]


class Bound:
    """What one server counts, notes and hooks of one machine. Subclasses, which are written with
    the events, hold for each arrow what steps when it is taken, or None. `rows` is what they
    were written from. Notes go to the `ring` where that is what the log is, else to `note`.
    """

    rows: ClassVar[str] = ""

    def __init__(
        self,
        tallies: Mapping[str, Callable[[], object]],
        note: Callable[[int], object] | None,
        hook: Callable[[Model, Arrow], None] | None,
        arrows: Mapping[str, Arrow],
    ) -> None:
        self.tallies = tallies
        ring = getattr(note, "__self__", None)
        self.ring: Ring | None = ring if isinstance(ring, Ring) else None
        self.note = None if isinstance(ring, Ring) else note
        self.hook = hook
        self.arrows = arrows


class Count:
    """Counts steps. An iterator without an end, which is as much shorter as it was advanced: so it
    can be where another server has `itertools.repeat`. Compiled, a step is no call of Python's.
    """

    def __init__(self) -> None:
        self.taken = 0

    def step(self) -> None:
        """One more."""
        self.taken += 1

    def __iter__(self) -> Count:
        return self

    def __next__(self) -> object:
        self.step()
        return None

    def __length_hint__(self) -> int:
        return sys.maxsize - self.taken


class Calling(Count):
    """Calls a tally at each step."""

    def __init__(self, tally: Callable[[], object]) -> None:
        super().__init__()
        self._tally = tally

    def step(self) -> None:
        """Whatever the tally does."""
        self._tally()


def count_of(tallies: Mapping[str, Callable[[], object]], arrow: str) -> Count | None:
    """What steps when the arrow is taken: the count itself, where the tally is one's `__next__`."""
    tally = tallies.get(arrow)
    if tally is None:
        return None
    count = getattr(tally, "__self__", None)
    return count if isinstance(count, Count) else Calling(tally)


class Maker:
    """In place of a bound class: makes objects that are one server's. Most classes have one of
    their own, written with the events, which takes what the class does and no more.
    """

    def __init__(self, model: Callable[..., object], bound: Bound) -> None:
        self._model = model
        self._bound = bound

    def __call__(self, *given: object, **named: object) -> object:
        made = self._model(*given, **named)
        setattr(made, "bound", self._bound)  # noqa: B010 - no class of the source has it
        return made


def maker_of(binder: Binder, model: type[Model], spec: MachineSpec) -> Callable[..., object] | None:
    """What makes the model's objects for a binder's server; None for a class whose events are not
    written yet. Raises SealError for one whose events are of other rows, or for another engine.
    """
    kind: type[Bound] | None = getattr(model, "bound_type", None)
    if kind is None:
        return None
    if binder.engine != "sealed":
        raise SealError(f"{spec.name}: a compiled class runs on the sealed engine alone")
    if kind.rows != rows_of(spec, binder.system):
        raise SealError(f"{spec.name}: the compiled class was made of another spec")
    note = None if binder.log is None else _note_of(binder.log)
    bound = kind(binder.tallies, note, binder.hook, binder.system.arrows)
    own: Callable[[Bound], Callable[..., object]] | None
    own = getattr(sys.modules[vars(model)["__module__"]], maker_name(model.__name__), None)
    return Maker(model, bound) if own is None else own(bound)


def maker_name(model: str) -> str:
    """What a class's own maker is called."""
    return f"{model}Maker"


def _note_of(log: Log) -> Callable[[int], object]:
    """What notes a number, with its stamp where the log has one."""
    if log.stamp is None:
        return log.append
    append, (thread, seconds) = log.append, log.stamp
    return lambda code: append((code, thread(), seconds()))


def rows_of(spec: MachineSpec, system: System) -> str:
    """A digest of all that the events of a machine say."""
    numbers = numbered(system.arrows)
    words = system.vocabulary
    named = sorted((one.python, name) for name, one in {**words.guards, **words.effects}.items())
    rows = [
        (numbers[a.id], a.id, a.source, a.event, a.target, a.when, a.unless, a.do)
        for a in spec.arrows
    ]
    told = repr((spec.name, list(spec.states), rows, named)).encode()
    # The checksum that a start has anyway; the files themselves are held against a better one.
    return f"{len(told)} {zlib.crc32(told):08x}"
