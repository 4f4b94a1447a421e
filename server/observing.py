"""What one server shows of itself to its operator: where its rooms become a `Snapshot`.

Threads: any, for everything. Nothing here waits, and nothing takes a lock: who asks often slows
down nobody but itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import compress, repeat
from operator import attrgetter, is_not
from typing import Final

from server import __version__
from server.clock import Clock
from server.config import Config
from server.events import Hub
from server.ledger import STATE_OF, Account, Ledger, by_state
from server.lifecycle import Lifecycle
from server.listing import lane_of, listed
from server.net.connection import Connection
from server.net.meter import BOUNDS, Histogram, Meter
from server.ops.frames import Lane, View
from server.ops.listing import Page
from server.ops.process import process
from server.ops.snapshot import Durations, Process, Snapshot, Streams, Workers
from server.ops.stacks import stacks
from server.spec import patience
from server.supervisor import House
from statemachine import Model, System
from statemachine._generated import (
    ConnectionState,
    ReadinessMachine,
    ReadinessState,
    SubscriptionState,
)
from statemachine.model import NeverTogether

SINGLE: Final = ("server", "readiness", "listener", "pool")

STANDING: Final = ("STARTING", "IDLE", "BUSY")

READER_OF: Callable[[Connection], Model] = attrgetter("reader")
PARKED: Final = ConnectionState.PARKED._name_

LIMITS: Final = ("deadline_passed", "became_late", "quarantined", "drain_seconds_passed")
"""Events that say that a limit has passed, and are fired for no other reason."""

Occupancy = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Takes snapshots of what it is given here.

    `house` gives the rooms once they are built, `account` the ledger's terms, `url` where
    the server listens, or nothing. `meter` is what the
    answers are noted in, `began` the moment of the monotonic clock at which the server was made.
    """

    system: System
    config: Config
    clock: Clock
    ledger: Ledger
    lifecycle: Lifecycle
    readiness: ReadinessMachine
    hub: Hub
    house: Callable[[], House | None]
    account: Callable[[], Account]
    url: Callable[[], str]
    meter: Meter
    began: float

    def snapshot(self) -> Snapshot:
        """The server now."""
        # What can only happen once is looked at before what it excludes (see _faults).
        occupancy = self._single()
        house = self.house()
        connections = [] if house is None else list(house.reactor.connections.values())
        self._count_workers(occupancy, house)
        self._count_connections(occupancy, connections)
        arrows, account, metered = self.ledger.taken(), self.account(), self.meter.read()
        reservoir = None if house is None else house.reservoir
        running = occupancy["connection"]
        return Snapshot(
            taken_at=self.clock.wall(),
            uptime_seconds=self.clock.monotonic() - self.began,
            version=__version__,
            url=self.url(),
            ready=self.readiness.state is ReadinessState.READY,
            occupancy=occupancy,
            arrows=arrows,
            deadlines=self._deadlines(arrows),
            faults=self._faults(occupancy, account),
            accepted=0 if house is None else house.reactor.accepted,
            connections=len(connections),
            connections_max=self.config.connections_max,
            queued=occupancy["job"]["QUEUED"],
            queued_max=self.config.queue_jobs_max,
            in_flight=running["EXCHANGING"] + running["RELAYING"] + running["FLUSHING"],
            answers=metered.answers,
            latency=_durations(metered.latency),
            queueing=_durations(metered.queueing),
            application=_durations(metered.application),
            workers=self._workers(occupancy["worker"], arrows, house),
            ledger=account,
            streams=self._streams(occupancy["subscription"], arrows),
            held_memory_bytes=0 if reservoir is None else reservoir.memory.held_bytes,
            held_file_bytes=0 if reservoir is None else reservoir.file.held_bytes,
            process=process(),
        )

    def phase(self) -> object:
        """The states of the server and of its readiness."""
        return self.lifecycle.state, self.readiness.state

    def lanes(self) -> Iterable[Lane]:
        """The workers that live, those in quarantine last."""
        house = self.house()
        if house is None:
            return ()
        now, pool = self.clock.monotonic(), house.pool
        workers = [*list(pool.workers), *list(pool.crew.quarantined)]
        return (lane_of(one, now) for one in workers)

    def view(self, then: View) -> None:
        """Call `then` with a snapshot and the workers."""
        then(self.snapshot(), self.lanes())

    def stacks(self) -> str:
        """Where each thread is."""
        return stacks()

    def connections(self, state: str, page: int) -> dict[str, object]:
        """A page of the connections that are in a state, of all where it is empty, as JSON."""
        return asdict(self.page(state, page))

    def page(self, state: str, page: int) -> Page:
        """The same as a value."""
        house = self.house()
        return listed(
            [] if house is None else house.reactor.connections.values(),
            state,
            page,
            patience=patience(self.system, self.config),
            now=self.clock.monotonic(),
        )

    # --- who is where -----------------------------------------------------------------------

    def _single(self) -> Occupancy:
        occupancy = _nobody(self.system)
        house = self.house()
        single: list[Model] = [self.lifecycle, self.readiness]
        if house is not None:
            single += [house.listener, house.pool, house.baton]
        _count(occupancy, single)
        return occupancy

    def _count_workers(self, occupancy: Occupancy, house: House | None) -> None:
        if house is None:
            return
        pool = house.pool
        workers = [*list(pool.workers), *list(pool.crew.quarantined)]
        _count(occupancy, workers)
        _count(occupancy, (job for one in workers if (job := one.job) is not None))
        occupancy["job"]["QUEUED"] += len(pool.queue)

    def _count_connections(self, occupancy: Occupancy, connections: list[Connection]) -> None:
        """No step of the interpreter is taken for each, but for those that are busy."""
        states = list(map(STATE_OF, connections))
        for machine, numbers in (
            ("connection", Counter(states)),
            ("request", by_state(map(READER_OF, connections))),
        ):
            occupancy[machine].update((state, numbers[state]) for state in occupancy[machine])
        busy = compress(connections, map(is_not, states, repeat(PARKED)))
        _count(occupancy, _parts(busy))

    def _workers(
        self, states: Mapping[str, int], arrows: Mapping[str, int], house: House | None
    ) -> Workers:
        return Workers(
            places=self.config.threads if house is None else house.pool.crew.places,
            standing=sum(states[name] for name in STANDING),
            late=states["LATE"],
            quarantined=states["QUARANTINED"],
            stand_ins_max=self.config.stand_ins_max,
            replaced=0 if house is None else house.pool.crew.replaced,
            revoked=self._taken(arrows, "worker", "quarantined"),
        )

    def _streams(self, states: Mapping[str, int], arrows: Mapping[str, int]) -> Streams:
        channels, memory_bytes = self.hub.held
        return Streams(
            channels=channels,
            subscribers=sum(states.values()),
            memory_bytes=memory_bytes,
            gaps=sum(
                arrows.get(one.id, 0)
                for one in self.system.machines["subscription"].arrows
                if one.event == "events_lost" and one.target != SubscriptionState.CUT.name
            ),
            cut=self._taken(arrows, "connection", "fell_behind"),
        )

    # --- what has happened ------------------------------------------------------------------

    def _taken(self, arrows: Mapping[str, int], machine: str, event: str) -> int:
        own = self.system.machines[machine].arrows
        return sum(arrows.get(one.id, 0) for one in own if one.event == event)

    def _deadlines(self, arrows: Mapping[str, int]) -> dict[tuple[str, str], int]:
        found: Counter[tuple[str, str]] = Counter()
        for one in self.system.arrows.values():
            if one.event in LIMITS:
                found[one.machine, one.source] += arrows.get(one.id, 0)
        return dict(found)

    def _faults(self, occupancy: Occupancy, account: Account) -> tuple[str, ...]:
        """What must never be together and was, and a ledger that does not balance.

        The first place of such a property is one that is never left, or not for the other: an
        object found in the other afterwards was there together with it.
        """
        found = [
            one.english
            for one in self.system.properties
            if isinstance(one, NeverTogether)
            and all(occupancy[at.machine].get(at.state) for at in one.places)
        ]
        if account.imbalance:
            found.append(f"The ledger balances: {account}")
        return tuple(found)


def _parts(busy: Iterable[Connection]) -> Iterable[Model]:
    """The parts that a connection which is not parked may have, as far as they are there."""
    for one in busy:
        # Each is read once: its owner may take it away meanwhile.
        for part in (one.pipe, one.subscription, one.reader.chunks):
            if part is not None:
                yield part
        answer = one.answer
        if answer is not None:
            yield answer


def _count(occupancy: Occupancy, models: Iterable[Model]) -> None:
    for one in models:
        states, state = occupancy[one.machine_name], one.state.name
        if state in states:
            states[state] += 1


def _durations(one: Histogram) -> Durations:
    return Durations(BOUNDS, one.counts, one.seconds)


def _nobody(system: System) -> Occupancy:
    return {
        name: dict.fromkeys((s for s in one.states if s not in one.final or name in SINGLE), 0)
        for name, one in system.machines.items()
    }


def nothing(system: System) -> Snapshot:
    """A snapshot of nobody: everything that is counted is 0, and nothing has a name."""
    never = Durations(BOUNDS, (0,) * (len(BOUNDS) + 1), 0.0)
    return Snapshot(
        taken_at=0.0,
        uptime_seconds=0.0,
        version=__version__,
        url="",
        ready=False,
        occupancy=_nobody(system),
        arrows=dict.fromkeys(system.arrows, 0),
        deadlines={},
        faults=(),
        accepted=0,
        connections=0,
        connections_max=0,
        queued=0,
        queued_max=0,
        in_flight=0,
        answers={},
        latency=never,
        queueing=never,
        application=never,
        workers=Workers(0, 0, 0, 0, 0, 0, 0),
        ledger=Account(),
        streams=Streams(0, 0, 0, 0, 0),
        held_memory_bytes=0,
        held_file_bytes=0,
        process=Process(0, 0, 0.0, 0.0, None, None, None),
    )
