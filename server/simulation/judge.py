"""What happened in one life, held against the spec arrow by arrow, as it happens.

The same verdicts as `statemachine.trace` gives, and of the threads as the tests' witness does, but
made ready once a process, so that an arrow costs some microseconds. tests/simulation/test_judge.py
holds the two to each other.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from server.net.baton import Baton
from server.simulation.carrier import Carrier
from server.simulation.primitives import Task
from statemachine import Arrow, Model, System
from statemachine.model import Equal, NeverTogether, Place

Roles = frozenset[str]

TOLD: Final = frozenset({"connection", "server"})
"""Machines of which a life must know every arrow."""

TIMED: Final = frozenset(
    {
        *(Place("request", "HEAD"), Place("request", "CONTENT")),
        *(Place("worker", "BUSY"), Place("worker", "LATE")),
    }
)
"""States of others that have a limit in seconds: `stopwatch` is told when one is left."""

FAULTS_MAX: Final = 20
"""One fault brings others after it; nobody reads more."""


def roles_of(system: System, arrow: Arrow) -> Roles | None:
    """Which threads may fire this arrow: of main, reactor, worker. None: whoever has the lock."""
    machine = system.machines[arrow.machine]
    if machine.driven_by == "lock":
        return None
    owner = "main" if machine.driven_by == "main" else machine.states[arrow.source].owner
    return frozenset(
        {
            "main": {"main", machine.driven_by},
            "reactor": {"reactor"},
            "queue": {"worker" if arrow.event == "taken" else "reactor"},
            "connection": {"worker", "reactor"},  # a message belongs to its connection's owner
            "worker": OF_A_WORKER.get(arrow.event, {"worker"}),
        }[owner or "worker"]
    )


@functools.lru_cache(maxsize=1000)
def role_of(thread: str) -> str:
    """What a thread may fire by its name alone. The reactor's own nothing: that is for whoever has
    the baton to do.
    """
    if thread.startswith("worker_"):
        return "worker"
    return "" if thread == "reactor" else thread


OF_A_WORKER: Final = {"revoked": {"reactor"}, "cut": {"worker", "reactor"}}
"""Events of what a worker owns that are not its own alone: the reactor is the heir of one that has
lost its lease, and a forced stop may come before it has taken its inheritance.
"""


Balance = tuple[tuple[int, ...], tuple[int, ...], str]
"""Places that hold as many as others, together, and what is said where they do not."""


@dataclass(slots=True)
class Row:
    """One arrow, and all that is to be looked at when it is taken."""

    arrow: Arrow
    roles: Roles | None
    source: int
    target: int
    equals: list[Balance] = field(default_factory=list)
    apart: list[tuple[int, ...]] = field(default_factory=list)
    asks: list[tuple[str, bool, str]] = field(default_factory=list)
    is_told: bool = False
    leads: bool = False
    is_plain: bool = False

    def settle(self) -> None:
        """What is asked of it at every arrow: `leads` says whether it may change who is the
        reactor, `is_plain` that nothing is to be looked at but the counts.
        """
        self.leads = self.arrow.machine == Baton.machine_name
        self.is_plain = not (self.asks or self.equals or self.apart or self.arrow.sync)


@dataclass(slots=True)
class Book:
    """The whole spec, as the judge reads it."""

    rows: dict[str, Row]
    places: dict[Place, int]
    initial: dict[str, str]
    groups: dict[str, int]
    joints: list[tuple[str, Roles]]


@functools.cache
def book_of(system_of: Callable[[], System]) -> Book:
    """The spec made ready. It is asked for once a process."""
    system = system_of()
    places: dict[Place, int] = {}
    for name, machine in system.machines.items():
        for state_name in machine.states:
            places[Place(name, state_name)] = len(places)
    equals = [p for p in system.properties if isinstance(p, Equal)]
    nevers = [p for p in system.properties if isinstance(p, NeverTogether)]
    words = system.vocabulary.conditions
    rows = {}
    for arrow in system.arrows.values():
        source, target = Place(arrow.machine, arrow.source), Place(arrow.machine, arrow.target)
        row = Row(arrow, roles_of(system, arrow), places[source], places[target])
        row.is_told = arrow.machine in TOLD or source in TIMED
        row.equals = [
            (tuple(places[x] for x in p.left), tuple(places[x] for x in p.right), p.english)
            for p in equals
            if {source, target} & {*p.left, *p.right}
        ]
        row.apart = [tuple(places[x] for x in p.places) for p in nevers if target in p.places]
        state = system.machines[arrow.machine].states[arrow.target]
        if state.requires:
            row.asks.append((words[state.requires].python, True, f"requires {state.requires}"))
        if state.forbids:
            row.asks.append((words[state.forbids].python, False, f"forbids {state.forbids}"))
        row.settle()
        rows[arrow.id] = row
    return Book(
        rows=rows,
        places=places,
        initial={name: machine.initial for name, machine in system.machines.items()},
        groups={joint.id: len(joint.groups) for joint in system.joints},
        joints=[(one.id, frozenset(x for g in one.groups for x in g)) for one in system.joints],
    )


@dataclass(slots=True)
class Record:
    """One object: its number in the order of first moves, its state, and since when."""

    serial: int
    model: Model
    state: str
    since: float
    has_moved: bool = False


Step = tuple[float, str, int, str]
"""When, who, which object and which arrow, by its id."""

ARROW_OF: Final = itemgetter(3)


class Judge:
    """A hook for one server. `faults` is all that was wrong, `steps` what was done.

    `points` are machines whose arrows are points, `between` the tasks that are at one, and `heir`
    is who may do what is the reactor's, once that has died, and `reactor` until then: whoever has
    the baton. `told` is called of arrows with their
    object's record, before that moves: of all, or of those of TOLD. `alarms` are called when so
    many arrows have been taken.
    """

    def __init__(self, book: Book, carrier: Carrier) -> None:
        self._book = book
        self._rows = book.rows
        self._carrier = carrier
        self._records: dict[int, Record] = {}
        self._counts = [0] * len(book.places)
        self._owed: list[Row] = []
        self._half_done: dict[str, int] = {}
        self.heir = ""
        self.reactor = "reactor"
        self.between: set[Task] = set()
        self.steps: list[Step] = []
        self.faults: list[str] = []
        self.tells_all = False
        self.told: Callable[[Record, Arrow], None] = _nobody
        self.alarms: dict[int, Callable[[], None]] = {}
        self.points: Roles = frozenset()

    def record_of(self, model: Model) -> Record | None:
        """What is known of an object, None if it has not moved."""
        return self._records.get(id(model))

    def records(self, machine: str) -> list[Record]:
        """All objects of one machine that have moved."""
        return [one for one in self._records.values() if one.model.machine_name == machine]

    def __call__(self, model: Model, arrow: Arrow) -> None:
        carrier, row = self._carrier, self._rows.get(arrow.id)
        if row is None or (row.arrow is not arrow and row.arrow != arrow):
            self._fault(f"{arrow}: no such arrow")
            return
        now, current = carrier.now, carrier.current
        record = self._records.get(id(model)) or self._begin(model, arrow)
        name = "outside" if current is None else current.name
        self.steps.append((now, name, record.serial, arrow.id))
        if record.state != arrow.source:
            self._fault(f"{arrow}: the object was in {record.state}")
        roles = row.roles
        if roles is not None and role_of(name) not in roles and not self._leads(name, roles):
            self._fault(f"{arrow} on thread {name}")
        if row.leads and isinstance(model, Baton):
            self._follow(model, arrow)
        if row.is_told or self.tells_all:
            self.told(record, arrow)
        record.state, record.since, record.has_moved = arrow.target, now, True
        counts = self._counts
        # An object is first seen when it first moves; until then nobody counts it.
        if counts[row.source] > 0:
            counts[row.source] -= 1
        counts[row.target] += 1
        if not row.is_plain or self._half_done or self._owed:
            self._weigh(model, row)
        if self.alarms and len(self.steps) in self.alarms:
            self.alarms[len(self.steps)]()
        if self.points and arrow.machine in self.points and current is not None:
            self._pause(current)

    def _begin(self, model: Model, arrow: Arrow) -> Record:
        """The record of an object that has not moved before."""
        state, now = self._book.initial[arrow.machine], self._carrier.now
        record = self._records[id(model)] = Record(len(self._records), model, state, now)
        return record

    def _follow(self, baton: Baton, arrow: Arrow) -> None:
        """Who is the reactor from now on."""
        self.reactor = "reactor" if baton.holder is None else baton.holder.name
        if arrow.event == "dropped":
            self.heir = "main"  # which cleans up in its place

    def _pause(self, task: Task) -> None:
        self.between.add(task)
        self._carrier.point()
        self.between.discard(task)

    def _leads(self, name: str, roles: Roles) -> bool:
        return "reactor" in roles and name in (self.heir, self.reactor)

    def _weigh(self, model: Model, row: Row) -> None:
        for word, wanted, says in row.asks:
            if bool(getattr(model, word)()) is not wanted:
                self._fault(f"{row.arrow.machine}.{row.arrow.target} {says}")
        if (row.arrow.sync or self._half_done) and self._within_joint(row.arrow):
            self._owed.append(row)
        elif self._owed:
            owed, self._owed = [*self._owed, row], []
            for one in owed:
                self._hold(one)
        elif row.equals or row.apart:
            self._hold(row)

    def _hold(self, row: Row) -> None:
        """Hold the counts against the properties that this arrow may have broken."""
        counts = self._counts
        for left, right, says in row.equals:
            here = there = 0
            for place in left:
                here += counts[place]
            for place in right:
                there += counts[place]
            if here != there:
                self._fault(says)
        for group in row.apart:
            for place in group:
                if not counts[place]:
                    break
            else:
                self._fault(f"{row.arrow}: together are {self._names(group)}")

    def _within_joint(self, arrow: Arrow) -> bool:
        """True from the first arrow of a joint step until its last."""
        half_done = self._half_done
        joint = arrow.sync
        if not joint:
            if not half_done:
                return False
            joint = next(
                (name for name, ids in self._book.joints if name in half_done and arrow.id in ids),
                None,
            )
        if joint:
            done = half_done.get(joint, 0) + 1
            if done == self._book.groups[joint]:
                half_done.pop(joint, None)
            else:
                half_done[joint] = done
        return bool(half_done)

    def _names(self, group: tuple[int, ...]) -> str:
        names = {number: place for place, number in self._book.places.items()}
        return ", ".join(f"{names[one].machine}.{names[one].state}" for one in group)

    def _fault(self, says: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"arrow {len(self.steps)}: {says}")


def _nobody(record: Record, arrow: Arrow) -> None:
    pass


def taken(steps: list[Step]) -> Mapping[str, int]:
    """How often each arrow was taken."""
    return Counter(map(ARROW_OF, steps))
