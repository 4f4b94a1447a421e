"""Snapshots of several processes, summed into one.

What is counted since the start never goes back: of a process that is over, or does not answer, what
it has counted by the last that it told stays in the sum (`counted`). What is there now is only that
of processes which answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from server.ledger import Account
from server.ops.control import NotDone
from server.ops.snapshot import Durations, Part, Process, Several, Snapshot, Streams, Workers

Key = TypeVar("Key")

SERVING: Final = ("SERVING", "ROLLING")
"""The states of the parent in which more work may be sent."""


class Unanswered(NotDone):
    """The processes could not be asked: its text says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What the parent of several processes says of itself and of all of them.

    `nothing` is a snapshot in which nothing has happened. `ledger` has the terms of all processes,
    `occupancy` and `arrows` are those of the machines that the parent moves.
    """

    nothing: Snapshot
    state: str
    places: int
    url: str
    uptime_seconds: float
    process: Process
    ledger: Account
    occupancy: Mapping[str, Mapping[str, int]]
    arrows: Mapping[str, int]


def together(parent: Parent, parts: Iterable[Part], counted_before: Iterable[Snapshot]) -> Snapshot:
    """All processes as one. `counted_before` is what those have counted that are over, or do not
    answer now.
    """
    several = Several(parent.state, parent.places, tuple(parts))
    answers = [one.now for one in several.parts if one.now is not None]
    total = parent.nothing
    for one in (*answers, *map(counted, counted_before)):
        total = _added(total, one)
    faults = [
        f"process {one.number}: {fault}"
        for one in several.parts
        if one.now is not None
        for fault in one.now.faults
    ]
    if parent.ledger.imbalance:
        faults.append(f"The ledger balances: {parent.ledger}")
    whole = replace(
        total,
        uptime_seconds=parent.uptime_seconds,
        url=parent.url,
        occupancy={**total.occupancy, **parent.occupancy},
        arrows={**total.arrows, **parent.arrows},
        faults=tuple(faults),
        ledger=parent.ledger,
        process=replace(
            parent.process,
            cpu_seconds=parent.process.cpu_seconds + total.process.cpu_seconds,
        ),
        several=several,
    )
    return replace(whole, ready=not unready(whole))


def unready(now: Snapshot) -> list[str]:
    """Why no more work should be sent here, besides faults; nothing where it should."""
    several = now.several
    if several is None:
        return [] if now.ready else [_states(now, "readiness")]
    found = [] if several.state in SERVING else [f"the processes are {several.state}"]
    serving = [one for one in several.parts if one.state == "SERVING"]
    held = {one.place for one in serving}
    found += [
        f"place {place} has no process that serves"
        for place in range(1, several.places + 1)
        if place not in held
    ]
    for one in serving:
        if one.now is None:
            found.append(f"process {one.number} does not answer")
        elif not one.now.ready:
            found.append(f"process {one.number} is {_states(one.now, 'readiness')}")
    return found


def _states(now: Snapshot, machine: str) -> str:
    return ", ".join(state for state, count in now.occupancy[machine].items() if count)


def counted(one: Snapshot) -> Snapshot:
    """What is left of a process that is over: its counts, and nothing that was there then."""
    return replace(
        one,
        occupancy={},
        faults=(),
        connections=0,
        connections_max=0,
        queued=0,
        queued_max=0,
        in_flight=0,
        workers=Workers(0, 0, 0, 0, 0, one.workers.replaced, one.workers.revoked),
        streams=Streams(0, 0, 0, one.streams.gaps, one.streams.cut),
        held_memory_bytes=0,
        held_file_bytes=0,
        process=replace(one.process, threads=0),
    )


def added(one: Snapshot | None, other: Snapshot) -> Snapshot:
    """What both have counted."""
    return counted(other) if one is None else _added(one, counted(other))


def _added(one: Snapshot, other: Snapshot) -> Snapshot:
    workers, streams = one.workers, one.streams
    return replace(
        one,
        taken_at=max(one.taken_at, other.taken_at),
        occupancy={
            machine: _sums(one.occupancy.get(machine, {}), other.occupancy.get(machine, {}))
            for machine in {**one.occupancy, **other.occupancy}
        },
        arrows=_sums(one.arrows, other.arrows),
        deadlines=_sums(one.deadlines, other.deadlines),
        answers=_sums(one.answers, other.answers),
        accepted=one.accepted + other.accepted,
        connections=one.connections + other.connections,
        connections_max=one.connections_max + other.connections_max,
        queued=one.queued + other.queued,
        queued_max=one.queued_max + other.queued_max,
        in_flight=one.in_flight + other.in_flight,
        latency=_durations(one.latency, other.latency),
        queueing=_durations(one.queueing, other.queueing),
        application=_durations(one.application, other.application),
        workers=Workers(
            places=workers.places + other.workers.places,
            standing=workers.standing + other.workers.standing,
            late=workers.late + other.workers.late,
            quarantined=workers.quarantined + other.workers.quarantined,
            stand_ins_max=workers.stand_ins_max + other.workers.stand_ins_max,
            replaced=workers.replaced + other.workers.replaced,
            revoked=workers.revoked + other.workers.revoked,
        ),
        streams=Streams(
            channels=streams.channels + other.streams.channels,
            subscribers=streams.subscribers + other.streams.subscribers,
            memory_bytes=streams.memory_bytes + other.streams.memory_bytes,
            gaps=streams.gaps + other.streams.gaps,
            cut=streams.cut + other.streams.cut,
        ),
        held_memory_bytes=one.held_memory_bytes + other.held_memory_bytes,
        held_file_bytes=one.held_file_bytes + other.held_file_bytes,
        process=replace(
            one.process, cpu_seconds=one.process.cpu_seconds + other.process.cpu_seconds
        ),
    )


def _sums(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def _durations(one: Durations, other: Durations) -> Durations:
    """A process of another version may have other buckets. What is in one of them is counted in the
    first of ours that ends no earlier: where it lay is told a little too late, and none is lost.
    """
    counts = list(one.counts)
    for place, count in enumerate(other.counts):
        last = place >= len(other.bounds)
        ours = len(one.bounds) if last else bisect_left(one.bounds, other.bounds[place])
        counts[ours] += count
    return Durations(one.bounds, tuple(counts), one.seconds + other.seconds)
