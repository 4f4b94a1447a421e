"""Snapshots of several processes: told from one to the other, and summed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger import Account
from server.observing import nothing
from server.ops.several import added, counted
from server.ops.snapshot import Durations, Process, Snapshot, Streams, Workers
from server.ops.spelling import told, understood
from server.server import Server, sound_system

COUNT = st.integers(0, 1000)
NOTHING = nothing(sound_system())
BOUNDS = NOTHING.latency.bounds


def durations(bounds: tuple[float, ...] = BOUNDS) -> st.SearchStrategy[Durations]:
    counts = st.tuples(*[COUNT] * (len(bounds) + 1))
    return st.builds(Durations, st.just(bounds), counts, st.just(2.5))


def numbers_of(kind: type) -> dict[str, st.SearchStrategy[Any]]:
    return {one.name: COUNT for one in dataclasses.fields(kind) if one.type == "int"}


SNAPSHOTS = st.builds(
    dataclasses.replace,
    st.just(NOTHING),
    **numbers_of(Snapshot),
    ready=st.booleans(),
    faults=st.sampled_from([(), ("Two are together.",)]),
    arrows=st.fixed_dictionaries({"C1": COUNT, "J3": COUNT}),
    deadlines=st.dictionaries(st.just(("connection", "PARKED")), COUNT),
    answers=st.dictionaries(st.tuples(st.just("GET"), st.sampled_from([200, 404])), COUNT),
    latency=durations(),
    queueing=durations(),
    application=durations(),
    workers=st.builds(Workers, **numbers_of(Workers)),
    ledger=st.builds(Account, **numbers_of(Account)),
    streams=st.builds(Streams, **numbers_of(Streams)),
    process=st.builds(
        Process,
        **numbers_of(Process),
        cpu_seconds=st.just(1.5),
        started_at=st.just(1e9),
        resident_bytes=st.none() | COUNT,
        descriptors=st.none() | COUNT,
        descriptors_max=st.none() | COUNT,
    ),
)


@given(SNAPSHOTS)
def test_what_is_told_is_understood_as_it_was(one: Snapshot) -> None:
    assert understood(json.loads(json.dumps(told(one)))) == one


def test_a_server_s_own_snapshot_is_understood() -> None:
    now = Server().snapshot()
    assert understood(json.loads(json.dumps(told(now)))) == now


@given(st.data())
def test_what_is_no_snapshot_is_refused_in_one_line(data: st.DataObject) -> None:
    found = told(NOTHING)
    name = data.draw(st.sampled_from(sorted(found)))
    junk: list[object] = [None, "\n", [7], {"x": "y"}, [[1, 2, 3]], [["a", "b"]], 1.5]
    if name in ("ready", "faults", "url", "version"):
        del found[name]
    else:
        junk = [one for one in junk if not (one == 1.5 and isinstance(found[name], float))]
        found[name] = data.draw(st.sampled_from(junk))
    with pytest.raises(ValueError, match=r"^no snapshot: [^\n]+$"):
        understood(found)


def test_a_word_of_another_version_is_passed_over() -> None:
    assert understood({**told(NOTHING), "tachyons": 7}) == NOTHING


def test_buckets_that_are_none_are_refused() -> None:
    for bounds, counts in (([2.0, 1.0], [0, 0, 0]), ([1.0], [0]), ([1.0], [0, 0, 0])):
        latency = {"bounds": bounds, "counts": counts, "seconds": 0.0}
        with pytest.raises(ValueError, match="the buckets are none"):
            understood({**told(NOTHING), "latency": latency})


@given(SNAPSHOTS, SNAPSHOTS)
def test_a_sum_has_all_counts_and_nothing_that_is_there_now(one: Snapshot, two: Snapshot) -> None:
    both = added(added(None, one), two)
    assert both.accepted == one.accepted + two.accepted
    assert sum(both.answers.values()) == sum(one.answers.values()) + sum(two.answers.values())
    assert both.arrows["C1"] == one.arrows["C1"] + two.arrows["C1"]
    assert both.latency.counts == tuple(
        map(sum, zip(one.latency.counts, two.latency.counts, strict=True))
    )
    assert both.latency.seconds == 5.0
    assert both.process.cpu_seconds == 3.0
    assert both.workers == Workers(
        0, 0, 0, 0, 0, one.workers.replaced + two.workers.replaced,
        one.workers.revoked + two.workers.revoked,
    )  # fmt: skip
    assert (both.streams.gaps, both.streams.subscribers) == (one.streams.gaps + two.streams.gaps, 0)
    assert (both.connections, both.queued, both.in_flight, both.faults) == (0, 0, 0, ())
    assert (both.held_memory_bytes, both.held_file_bytes, both.connections_max) == (0, 0, 0)
    assert both == counted(both)


@given(durations((0.001, 0.3, 7.0)))
def test_other_buckets_lose_nothing_and_make_nothing_quicker(other: Durations) -> None:
    one = dataclasses.replace(NOTHING, latency=other)
    counts = added(counted(NOTHING), one).latency.counts
    places = {bound: place for place, bound in enumerate((*BOUNDS, float("inf")))}
    expected = [0] * len(counts)
    for bound, count in zip((0.001, 0.5, 10.0, float("inf")), other.counts, strict=True):
        expected[places[bound]] += count
    assert list(counts) == expected
