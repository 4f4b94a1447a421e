"""A loaded spec: frozen values, and nothing that acts.

Most are named tuples, which a start makes in a fifth of the time that it takes for dataclasses.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    # Who runs the machines needs no composed model of them.
    from statemachine.composition import Composition, Condition, Effect

BIRTH_STEP: Final = 1 << 10
"""From one object's birth to the next: room for the number of an arrow, and a few codes."""

next_birth = itertools.count(BIRTH_STEP, BIRTH_STEP).__next__
"""A number that no object of this process has had before. Threads: any; one call of a builtin is
one step of the interpreter, so that no two get the same."""


class Model:
    """The root of every generated class: an object with one state of one machine.

    `machine_name` says which spec file, `State` the enum of its states. Instances are slotted and
    hold their state and their `birth`, a number by which traces tell objects apart: an `id()` is
    given anew as soon as its object is gone, a birth never.
    """

    __slots__ = ()
    machine_name: ClassVar[str]
    State: ClassVar[type[enum.Enum]]
    state: enum.Enum
    birth: int


class State(NamedTuple):
    """One state of one machine.

    `waits_for` names whom an object in this state waits for: what is not ours (`peer`, `kernel`,
    `handler`) or another of the system's machines. `deadline` names the limit that bounds the wait,
    `then` the event that it fires. Where there is a `rate`, that many bytes move the limit a second
    away.
    """

    name: str
    means: str
    owner: str | None = None
    waits_for: str | None = None
    deadline: str | None = None
    rate: str | None = None
    deadline_of: str | None = None
    then: str | None = None
    requires: str | None = None
    forbids: str | None = None


class Arrow(NamedTuple):
    """One row of a machine's table. `id` is what tests, traces, mutants and diagrams cite."""

    id: str
    machine: str
    source: str
    event: str
    target: str
    why: str
    when: str | None = None
    unless: str | None = None
    do: str | None = None
    sync: str | None = None
    environment: bool = False

    @property
    def label(self) -> str:
        """The event with its guard and effect, as diagrams write it: `event [guard] / effect`."""
        text = self.event
        if self.when:
            text += f" [{self.when}]"
        if self.unless:
            text += f" [not {self.unless}]"
        if self.do:
            text += f" / {self.do}"
        return text

    def __str__(self) -> str:
        return f"{self.id} {self.machine}.{self.source} --{self.event}--> {self.target}"


class MachineSpec(NamedTuple):
    """One spec file: a machine's states and its table, in the file's order."""

    name: str
    file: str
    means: str
    drawing: str
    initial: str
    final: tuple[str, ...]
    driven_by: str
    arrows: tuple[Arrow, ...]
    states: Mapping[str, State]

    @property
    def events(self) -> tuple[str, ...]:
        """Every event's name, once, in the table's order."""
        return tuple(dict.fromkeys(arrow.event for arrow in self.arrows))

    def arrows_from(self, state: str, event: str | None = None) -> tuple[Arrow, ...]:
        """The rows out of `state`, or only those for `event`."""
        return tuple(a for a in self.arrows if a.source == state and event in (None, a.event))


class Word(NamedTuple):
    """One entry of the vocabulary: a guard, an effect or a condition on a state.

    `python` is the method of the machine's class that answers or does it. `conditions`, of a guard
    or a condition, or `effects` are what it is in a composed model; a `free` one is none of it: its
    answer goes either way, and what it does is not modelled.
    """

    name: str
    machine: str
    python: str
    means: str
    conditions: tuple[Condition, ...] = ()
    effects: tuple[Effect, ...] = ()
    free: bool = False


class Vocabulary(NamedTuple):
    """What the rows may name. `deadlines` and `rates` map a limit's name to its meaning."""

    guards: Mapping[str, Word]
    effects: Mapping[str, Word]
    conditions: Mapping[str, Word]
    deadlines: Mapping[str, str]
    rates: Mapping[str, str] = MappingProxyType({})

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of all limits."""
        return (*self.deadlines, *self.rates)


class Joint(NamedTuple):
    """Arrows that are taken as one step.

    Each group offers alternatives: one arrow of each group takes part.
    """

    id: str
    under: str
    groups: tuple[tuple[str, ...], ...]
    why: str


class Place(NamedTuple):
    """A state of a machine, as properties cite it: `worker.BUSY`."""

    machine: str
    state: str

    def __str__(self) -> str:
        return f"{self.machine}.{self.state}"


class Equal(NamedTuple):
    """Always: as many objects in the states of `left` as in those of `right`."""

    id: str
    english: str
    left: tuple[Place, ...]
    right: tuple[Place, ...]


class NeverTogether(NamedTuple):
    """Never: an object in each of these states at one moment."""

    id: str
    english: str
    places: tuple[Place, ...]


class LeadsTo(NamedTuple):
    """An object in `source` comes, in the end, to one of `targets`."""

    id: str
    english: str
    source: Place
    targets: tuple[Place, ...]


class Sometimes(NamedTuple):
    """Some run takes this arrow."""

    id: str
    english: str
    arrow: str


class Given(NamedTuple):
    """Always, whichever objects take the roles: where all of `given` hold, all of `hold` do."""

    id: str
    english: str
    given: tuple[Condition, ...]
    hold: tuple[Condition, ...]


class OneOwner(NamedTuple):
    """Always: of each object of the machine, one party at most has a step that moves or marks it.

    A party is an actor's owner: a thread, or one object that acts for itself.
    """

    id: str
    english: str
    machine: str


class Moves(NamedTuple):
    """Always: where nobody can move but outsiders, the composition's `rest` allows it."""

    id: str
    english: str


Property = Equal | NeverTogether | LeadsTo | Sometimes | Given | OneOwner | Moves


class Ledger(NamedTuple):
    """What becomes of everything that one machine accepts, by the arrows that say so.

    An arrow of `accepted` opens an entry, one of `settled` closes it under the term that lists it.
    `open` are the states of an object that has an open entry.
    """

    machine: str
    open: tuple[str, ...]
    accepted: tuple[str, ...]
    settled: Mapping[str, tuple[str, ...]]

    @property
    def arrows(self) -> tuple[str, ...]:
        """Every arrow that the ledger counts."""
        return self.accepted + tuple(arrow for term in self.settled.values() for arrow in term)


@dataclass(frozen=True, slots=True)
class System:
    """All machines, the vocabulary, and what is said of them together.

    `pinned` says for a name under `bounds` how many states an exploration of it must find.
    `invariants` always hold, too: a proof of the properties needs them. `arrows` is every arrow of
    every machine, by id. `known_digest` is the digest of all that the spec says, where some of it
    was left out: see `statemachine.tables`.
    """

    name: str
    folder: str
    machines: Mapping[str, MachineSpec]
    vocabulary: Vocabulary
    joints: tuple[Joint, ...]
    properties: tuple[Property, ...]
    bounds: Mapping[str, Mapping[str, int]]
    ledger: Ledger | None = None
    composition: Composition | None = None
    pinned: Mapping[str, int] = field(default_factory=dict)
    invariants: tuple[Given, ...] = ()
    known_digest: str = field(default="", repr=False, compare=False)
    arrows: Mapping[str, Arrow] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once: a server asks for it at its start, the checks and the prover at every step.
        arrows = {arrow.id: arrow for one in self.machines.values() for arrow in one.arrows}
        object.__setattr__(self, "arrows", arrows)
