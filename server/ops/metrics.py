"""The snapshot as Prometheus and OpenMetrics read it.

Alone here `prometheus_client` is needed (the extra `ops`). It is given a collector of our own and
no registry but ours: nothing is counted twice, and nothing of it runs but when it is asked.

Of several processes counters and histograms are sums, in which those that are over stay. What there
is now is told of each process, which the label `process` names, so that one which does not answer
leaves a gap, and no figure that is too low.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from server.ops.snapshot import Durations, Process, Snapshot
from statemachine import System

PREFIX: Final = "interlock_"

NOW: Final[tuple[tuple[str, str, Callable[[Snapshot], int]], ...]] = (
    ("connections", "Connections open.", lambda one: one.connections),
    ("connections_max", "Connections that may be open.", lambda one: one.connections_max),
    ("queue_jobs", "Complete requests that wait for a worker.", lambda one: one.queued),
    ("queue_jobs_max", "Complete requests that may wait.", lambda one: one.queued_max),
    (
        "requests_in_flight",
        "Requests that a worker has or that are sent.",
        lambda one: one.in_flight,
    ),
    ("worker_places", "Workers that there should be.", lambda one: one.workers.places),
    ("workers_standing", "Workers that are not late.", lambda one: one.workers.standing),
    ("workers_late", "Workers that are late.", lambda one: one.workers.late),
    (
        "workers_quarantined",
        "Workers in quarantine now.",
        lambda one: one.workers.quarantined,
    ),
    ("stand_ins_max", "Workers that may stand in.", lambda one: one.workers.stand_ins_max),
    ("event_channels", "Channels that are remembered.", lambda one: one.streams.channels),
    (
        "event_subscribers",
        "Subscribers of event streams.",
        lambda one: one.streams.subscribers,
    ),
    ("event_memory_bytes", "Events kept, in bytes.", lambda one: one.streams.memory_bytes),
)
"""What there is now, in each process."""

FIGURES: Final[tuple[tuple[str, str, Callable[[Process], float | None]], ...]] = (
    (PREFIX + "threads", "Threads of the process.", lambda one: one.threads),
    (
        "process_start_time_seconds",
        "When the process began, since 1970.",
        lambda one: one.started_at,
    ),
    (
        "process_resident_memory_bytes",
        "Memory that is resident.",
        lambda one: one.resident_bytes,
    ),
    ("process_open_fds", "Descriptors open.", lambda one: one.descriptors),
    (
        "process_max_fds",
        "Descriptors that may be open.",
        lambda one: one.descriptors_max,
    ),
)
"""What its system says of a process."""


def exposition(system: System, snapshot: Snapshot, accept: str) -> tuple[str, bytes]:
    """Content type and text, of the newest format that an Accept field's value allows."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(lambda: metrics(system, snapshot)))
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)


class _Once(Collector):
    def __init__(self, tell: Callable[[], Iterator[Metric]]) -> None:
        self._tell = tell

    def collect(self) -> Iterator[Metric]:
        return self._tell()

    def describe(self) -> list[Metric]:
        """Nothing: a registry would ask for all metrics only to know their names."""
        return []


def metrics(system: System, now: Snapshot) -> Iterator[Metric]:
    """All that a snapshot says."""
    yield InfoMetricFamily(
        PREFIX + "build", "The version that runs.", value={"version": now.version}
    )
    yield from _gauges(now)
    yield from _each(now)
    yield from _parts(now)
    yield from _counters(now)
    yield from _machines(system, now)
    yield from _durations(now)
    yield from _process(now)


def _gauges(now: Snapshot) -> Iterator[Metric]:
    for name, means, value in (
        ("uptime_seconds", "Time since the server was made.", now.uptime_seconds),
        ("ready", "1 where more work should be sent here, else 0.", now.ready and not now.faults),
        ("faults", "Properties of the spec that do not hold now.", len(now.faults)),
        ("ledger_open", "Accepted requests without an outcome yet.", now.ledger.open),
        ("ledger_imbalance", "Requests missing from the ledger; 0.", now.ledger.imbalance),
    ):
        yield GaugeMetricFamily(PREFIX + name, means, value=value)


def _each(now: Snapshot) -> Iterator[Metric]:
    """Of each process what it has now."""
    for name, means, read in NOW:
        yield _family(PREFIX + name, means, now, read)
    held = GaugeMetricFamily(
        PREFIX + "held_bytes", "Content kept for peers.", labels=[*_labels(now), "where"]
    )
    for who, one in _told(now):
        held.add_metric([*who, "memory"], one.held_memory_bytes)
        held.add_metric([*who, "file"], one.held_file_bytes)
    yield held


def _labels(now: Snapshot) -> list[str]:
    return ["process"] if now.several else []


def _told(now: Snapshot) -> Iterator[tuple[list[str], Snapshot]]:
    """Each process that has answered, with the value of its label; or the one that there is."""
    if now.several is None:
        yield [], now
        return
    for part in now.several.parts:
        if part.now is not None:
            yield [str(part.number)], part.now


def _family(
    name: str, means: str, now: Snapshot, read: Callable[[Snapshot], int]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, means, labels=_labels(now))
    for who, one in _told(now):
        family.add_metric(who, read(one))
    return family


def _parts(now: Snapshot) -> Iterator[Metric]:
    """Of several processes, who they are."""
    if now.several is None:
        return
    yield GaugeMetricFamily(
        PREFIX + "process_places", "Processes that should serve.", value=now.several.places
    )
    answered = GaugeMetricFamily(
        PREFIX + "process_answered",
        "1 for a process that has answered its parent in time, 0 for one that has not.",
        labels=["process", "state"],
    )
    ready = GaugeMetricFamily(
        PREFIX + "process_ready",
        "1 for a process to which more work should be sent, else 0.",
        labels=["process"],
    )
    for part in now.several.parts:
        if part.was_asked:
            answered.add_metric([str(part.number), part.state], part.now is not None)
        if part.now is not None:
            ready.add_metric([str(part.number)], part.now.ready and not part.now.faults)
    yield answered
    yield ready


def _counters(now: Snapshot) -> Iterator[Metric]:
    for name, means, value in (
        ("connections_accepted", "Connections accepted.", now.accepted),
        ("workers_replaced", "Dead workers that have had a successor.", now.workers.replaced),
        ("jobs_revoked", "Jobs taken from workers that were stuck.", now.workers.revoked),
        ("ledger_accepted", "Requests accepted.", now.ledger.accepted),
        ("event_gaps", "Times that a subscriber was told of lost events.", now.streams.gaps),
        ("event_subscribers_cut", "Subscribers that were too slow.", now.streams.cut),
    ):
        yield CounterMetricFamily(PREFIX + name, means, value=value)
    requests = CounterMetricFamily(
        PREFIX + "requests", "Answers that have ended.", labels=["method", "status"]
    )
    for key, count in sorted(now.answered().items()):
        requests.add_metric(key, count)
    yield requests
    settled = CounterMetricFamily(
        PREFIX + "ledger_settled", "Accepted requests by outcome.", labels=["outcome"]
    )
    for term, count in now.ledger.outcomes.items():
        settled.add_metric([term], count)
    yield settled


def _machines(system: System, now: Snapshot) -> Iterator[Metric]:
    objects = GaugeMetricFamily(
        PREFIX + "objects", "Objects of a machine in a state.", labels=["machine", "state"]
    )
    for machine, states in now.occupancy.items():
        for state, count in states.items():
            objects.add_metric([machine, state], count)
    yield objects
    arrows = CounterMetricFamily(
        PREFIX + "arrows",
        "Rows of the spec that were taken.",
        labels=["machine", "arrow", "source", "event", "target"],
    )
    for arrow, one in system.arrows.items():
        if arrow in now.arrows:
            labels = [one.machine, arrow, one.source, one.event, one.target]
            arrows.add_metric(labels, now.arrows[arrow])
    yield arrows
    passed = CounterMetricFamily(
        PREFIX + "deadlines_passed", "Limits that have passed.", labels=["machine", "state"]
    )
    for place, count in now.deadlines.items():
        passed.add_metric(place, count)
    yield passed


def _durations(now: Snapshot) -> Iterator[Metric]:
    for name, means, one in (
        ("request", "From a request's first byte to its answer's last.", now.latency),
        ("queue", "From a complete request to a worker.", now.queueing),
        ("application", "In the handler, until it has answered.", now.application),
    ):
        family = HistogramMetricFamily(f"{PREFIX}{name}_duration_seconds", means)
        family.add_metric([], _buckets(one), max(0.0, one.seconds))
        yield family


def _buckets(one: Durations) -> list[tuple[str, float]]:
    """Each bucket with those below it, as the format has them."""
    bounds = [*map(str, one.bounds), "+Inf"]
    return list(zip(bounds, itertools.accumulate(one.counts), strict=True))


def _process(now: Snapshot) -> Iterator[Metric]:
    """By the names that all client libraries use. The parent of several processes is one too."""
    yield CounterMetricFamily(
        "process_cpu_seconds", "Processor time, user and system.", value=now.process.cpu_seconds
    )
    processes = [(who, one.process) for who, one in _told(now)]
    if now.several is not None:
        processes.append((["parent"], now.process))
    for name, means, read in FIGURES:
        family = GaugeMetricFamily(name, means, labels=_labels(now))
        for who, one in processes:
            value = read(one)
            if value is not None:
                family.add_metric(who, value)
        if family.samples:
            yield family
