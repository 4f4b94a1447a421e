"""The snapshot as Prometheus and OpenMetrics read it.

Alone here `prometheus_client` is needed (the extra `ops`). It is given a collector of our own and
no registry but ours: nothing is counted twice, and nothing of it runs but when it is asked.
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

from server.ops.snapshot import Durations, Snapshot
from statemachine import System

PREFIX: Final = "interlock_"


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
    yield from _counters(now)
    yield from _machines(system, now)
    yield from _durations(now)
    yield from _process(now)


def _gauges(now: Snapshot) -> Iterator[Metric]:
    for name, means, value in (
        ("uptime_seconds", "Time since the server was made.", now.uptime_seconds),
        ("ready", "1 where more work should be sent here, else 0.", now.ready and not now.faults),
        ("faults", "Properties of the spec that do not hold now.", len(now.faults)),
        ("connections", "Connections open.", now.connections),
        ("connections_max", "Connections that may be open.", now.connections_max),
        ("queue_jobs", "Complete requests that wait for a worker.", now.queued),
        ("queue_jobs_max", "Complete requests that may wait.", now.queued_max),
        ("requests_in_flight", "Requests that a worker has or that are sent.", now.in_flight),
        ("worker_places", "Workers that there should be.", now.workers.places),
        ("workers_standing", "Workers that are not late.", now.workers.standing),
        ("workers_late", "Workers that are late.", now.workers.late),
        ("workers_quarantined", "Workers in quarantine now.", now.workers.quarantined),
        ("stand_ins_max", "Workers that may stand in.", now.workers.stand_ins_max),
        ("ledger_open", "Accepted requests without an outcome yet.", now.ledger.open),
        ("ledger_imbalance", "Requests missing from the ledger; 0.", now.ledger.imbalance),
        ("event_channels", "Channels that are remembered.", now.streams.channels),
        ("event_subscribers", "Subscribers of event streams.", now.streams.subscribers),
        ("event_memory_bytes", "Events kept, in bytes.", now.streams.memory_bytes),
        ("threads", "Threads of the process.", now.process.threads),
    ):
        yield GaugeMetricFamily(PREFIX + name, means, value=value)
    held = GaugeMetricFamily(PREFIX + "held_bytes", "Content kept for peers.", labels=["where"])
    held.add_metric(["memory"], now.held_memory_bytes)
    held.add_metric(["file"], now.held_file_bytes)
    yield held


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
    """By the names that all client libraries use."""
    one = now.process
    yield CounterMetricFamily(
        "process_cpu_seconds", "Processor time, user and system.", value=one.cpu_seconds
    )
    for name, means, value in (
        ("process_start_time_seconds", "When the process began, since 1970.", one.started_at),
        ("process_resident_memory_bytes", "Memory that is resident.", one.resident_bytes),
        ("process_open_fds", "Descriptors open.", one.descriptors),
        ("process_max_fds", "Descriptors that may be open.", one.descriptors_max),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, means, value=value)
