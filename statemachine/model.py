"""A loaded spec: frozen values, and nothing that acts."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


class Model:
    """The root of every generated class: an object with one state of one machine.

    `machine_name` says which spec file, `State` the enum of its states. Instances are slotted and
    hold nothing else.
    """

    __slots__ = ()
    machine_name: ClassVar[str]
    State: ClassVar[type[enum.Enum]]
    state: enum.Enum


@dataclass(frozen=True, slots=True)
class State:
    """One state of one machine.

    `waits_for` names whom an object in this state waits for: the world outside (`peer`, `kernel`)
    or another of the system's machines. `deadline` names the limit that bounds the wait, `then` the
    event that it fires.
    """

    name: str
    means: str
    owner: str | None = None
    waits_for: str | None = None
    deadline: str | None = None
    deadline_of: str | None = None
    then: str | None = None
    requires: str | None = None
    forbids: str | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
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


@dataclass(frozen=True, slots=True)
class MachineSpec:
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


@dataclass(frozen=True, slots=True)
class Word:
    """One entry of the vocabulary: a guard, an effect or a condition on a state.

    `python` is the method of the machine's class that answers or does it.
    """

    name: str
    machine: str
    python: str
    means: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the rows may name. `deadlines` maps a limit's name to its meaning."""

    guards: Mapping[str, Word]
    effects: Mapping[str, Word]
    conditions: Mapping[str, Word]
    deadlines: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Joint:
    """Arrows that are taken as one step.

    Each group offers alternatives: one arrow of each group takes part.
    """

    id: str
    under: str
    groups: tuple[tuple[str, ...], ...]
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """A state of a machine, as properties cite it: `worker.BUSY`."""

    machine: str
    state: str

    def __str__(self) -> str:
        return f"{self.machine}.{self.state}"


@dataclass(frozen=True, slots=True)
class Equal:
    """Always: as many objects in the states of `left` as in those of `right`."""

    id: str
    english: str
    left: tuple[Place, ...]
    right: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class NeverTogether:
    """Never: an object in each of these states at one moment."""

    id: str
    english: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class LeadsTo:
    """An object in `source` comes, in the end, to one of `targets`."""

    id: str
    english: str
    source: Place
    targets: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Sometimes:
    """Some run takes this arrow."""

    id: str
    english: str
    arrow: str


Property = Equal | NeverTogether | LeadsTo | Sometimes


@dataclass(frozen=True, slots=True)
class System:
    """All machines, the vocabulary, and what is said of them together."""

    name: str
    folder: str
    machines: Mapping[str, MachineSpec]
    vocabulary: Vocabulary
    joints: tuple[Joint, ...]
    properties: tuple[Property, ...]
    bounds: Mapping[str, Mapping[str, int]]

    @property
    def arrows(self) -> Mapping[str, Arrow]:
        """Every arrow of every machine, by id."""
        return {arrow.id: arrow for machine in self.machines.values() for arrow in machine.arrows}
