"""What is said of the system's machines together: composed steps, in a small closed vocabulary.

These are the frozen values that `spec/composition.toml` becomes; spec/README.md teaches the
language. Nothing here acts. `statemachine.composed` makes one flat model of them, for given bounds,
and that is what the explorer, the Promela writer and a prover read.

A *role* is an object that takes part in a step, named by its machine: `worker`, or `worker2` where
a second one takes part. A *fact* is a state or a mark of a role: `worker.IDLE`, `worker.asleep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ABSENT = "ABSENT"
"""The state of an object that there is not: not made yet, or forgotten."""


def machine_of(role: str) -> str:
    """The machine of a role: its name, without a number at its end."""
    return role.rstrip("0123456789")


@dataclass(frozen=True, slots=True)
class Fact:
    """A state (`worker.IDLE`) or a mark (`worker.asleep`) of a role, or of any object there is."""

    role: str
    name: str

    @property
    def machine(self) -> str:
        """The machine whose state or mark it is."""
        return machine_of(self.role)

    @property
    def is_state(self) -> bool:
        """Whether it names a state: those are written in capitals."""
        return self.name.isupper()

    def __str__(self) -> str:
        return f"{self.role}.{self.name}"


# --- conditions: each is asked of the state before the step --------------------------------------


@dataclass(frozen=True, slots=True)
class Is:
    """One of the facts holds of the role; `negated`, none does. All facts are of one role."""

    facts: tuple[Fact, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """The role's link leads to `target`, a role; to nobody where that is None."""

    role: str
    link: str
    target: str | None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class QueueIs:
    """The queue is `empty`, `not_empty`, `full`, `has_room`, or `within` its limit."""

    how: str


@dataclass(frozen=True, slots=True)
class First:
    """The queue begins with this role."""

    role: str


@dataclass(frozen=True, slots=True)
class Queued:
    """The role is in the queue, once at least."""

    role: str


@dataclass(frozen=True, slots=True)
class Count:
    """Objects that have one of the facts number at least, or at most, the sum of the terms.

    A term is a number, or the name of a limit of the bounds.
    """

    facts: tuple[Fact, ...]
    terms: tuple[str | int, ...]
    at_least: bool


@dataclass(frozen=True, slots=True)
class Nobody:
    """No object has any of the facts; with `link`, none whose link leads to the role `target`."""

    facts: tuple[Fact, ...]
    link: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Balances:
    """Of all that was accepted, what is not settled is open: the ledger's own sum."""


@dataclass(frozen=True, slots=True)
class Unless:
    """Not all of these conditions hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Can:
    """Some move of this step may be taken now. Only properties ask this."""

    step: str


Condition = Is | Linked | QueueIs | First | Queued | Count | Nobody | Balances | Unless | Can


# --- effects: done in the order in which they are written ----------------------------------------


@dataclass(frozen=True, slots=True)
class Goto:
    """The role comes to the state: what an arrow does. `tally` is 1 if the ledger counts the arrow
    as accepted, -1 if as settled.
    """

    role: str
    state: str
    tally: int = 0


@dataclass(frozen=True, slots=True)
class Push:
    """The role goes to the end of the queue."""

    role: str


@dataclass(frozen=True, slots=True)
class Pop:
    """The role leaves the queue, whose first it is."""

    role: str


@dataclass(frozen=True, slots=True)
class Remove:
    """The role leaves the queue, wherever it is in it."""

    role: str


@dataclass(frozen=True, slots=True)
class WithdrawAll:
    """Every queued object takes the arrow, and the queue is empty. `state` is where it leads."""

    arrow: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class SetLink:
    """The role's link leads to the role `target`; to nobody where that is None."""

    role: str
    link: str
    target: str | None


@dataclass(frozen=True, slots=True)
class SetMark:
    """The role gets the mark, or loses it."""

    role: str
    mark: str
    value: bool


@dataclass(frozen=True, slots=True)
class UnmarkAll:
    """Every object of the machine loses the mark."""

    machine: str
    mark: str


@dataclass(frozen=True, slots=True)
class Make:
    """A new object, in its machine's initial state, is the role. Always the first of the effects:
    in `Move.roles` it is not listed, for it is none of those that there are.
    """

    role: str


Effect = Goto | Push | Pop | Remove | WithdrawAll | SetLink | SetMark | UnmarkAll | Make


# --- the file ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Actor:
    """Who takes steps. `owner` is the room that it acts for: a thread's name, or a machine whose
    object, in the role of that name, acts for itself. `when` holds of each of its steps.
    """

    name: str
    owner: str
    means: str
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A field of `machine`'s objects that leads to one of `target`'s, or to nobody."""

    machine: str
    name: str
    target: str
    means: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that is so or not of an object, which no state of its machine says."""

    machine: str
    name: str
    means: str


@dataclass(frozen=True, slots=True)
class Step:
    """One row: arrows and effects that are taken as one.

    `awaits` names the outsider (peer, handler, kernel, operator) whose part it takes: whether it
    ever comes is not ours, and no proof relies on it. Every other step is fair: one that could be
    taken from some moment on is taken in the end. `persistent` is why one is taken even if it only
    can be again and again. `costs` names the limit of the bounds on how
    often. `then` are steps without a `by`, each taken at once after this if its conditions hold
    then. `certain` is why a step with an arrow of the environment awaits nobody all the same.
    """

    id: str
    by: str | None
    arrows: tuple[tuple[str, ...], ...]
    when: tuple[Condition, ...]
    do: tuple[Effect, ...]
    then: tuple[str, ...]
    why: str
    awaits: str | None = None
    costs: str | None = None
    certain: str | None = None
    persistent: str | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """The whole file.

    `many` are the machines of which there are several objects; for each, the marks that keep one
    in a final state from being forgotten. `abstracted` says of machines, and `unmodelled` of
    arrows, why they are left out. `starts` says how many objects there are at first, as a limit.
    `rest` are the situations in which it is well that nobody can move but outsiders.
    """

    single: tuple[str, ...]
    many: Mapping[str, tuple[str, ...]]
    starts: Mapping[str, str]
    queue: str
    abstracted: Mapping[str, str]
    unmodelled: Mapping[str, str]
    actors: Mapping[str, Actor]
    links: tuple[Link, ...]
    marks: tuple[Mark, ...]
    steps: tuple[Step, ...]
    rest: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)

    @property
    def machines(self) -> tuple[str, ...]:
        """Every machine that is modelled."""
        return (*self.single, *self.many)
