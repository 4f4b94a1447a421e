"""The metrics are well-formed by their format's own parser, and say what the snapshot says."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as classic_families

from server.config import html_folder
from server.http1.messages import Fields, Request, RequestHead
from server.ops.assets import assets_of
from server.ops.door import Door
from server.ops.metrics import exposition
from server.ops.pages import Pages
from server.ops.snapshot import Part, Several, Snapshot
from server.processes.accounts import Total
from server.server import Server, sound_system
from tests.house.source import TOP

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def now() -> Snapshot:
    """A snapshot in which no figure is 0, and none is another's."""
    made, numbers = Server().snapshot(), iter(range(1, 10_000))

    def counted(value: object) -> dict[str, Any]:
        assert dataclasses.is_dataclass(value)
        fields = dataclasses.fields(value)
        names = [one.name for one in fields if type(getattr(value, one.name)) is int]
        return dict(zip(names, numbers, strict=False))

    return dataclasses.replace(
        made,
        **counted(made),
        ready=True,
        arrows=dict(zip(sound_system().arrows, numbers, strict=False)),
        answers={("GET", 200): 7, ("GET", 204): 4, ("POST", 503): 2},
        latency=dataclasses.replace(made.latency, counts=tuple(range(17)), seconds=2.5),
        workers=dataclasses.replace(made.workers, **counted(made.workers)),
        ledger=dataclasses.replace(made.ledger, **counted(made.ledger)),
        streams=dataclasses.replace(made.streams, **counted(made.streams)),
    )


def families(now: Snapshot, accept: str = OPENMETRICS) -> list[Metric]:
    content_type, text = exposition(sound_system(), now, accept)
    if accept is OPENMETRICS:
        assert content_type.startswith("application/openmetrics-text; version=1.0.0")
        return list(openmetrics_families(text.decode()))  # type: ignore[no-untyped-call] # it is so
    assert content_type.startswith("text/plain; version=")
    return list(classic_families(text.decode()))


def samples(found: list[Metric]) -> dict[tuple[str, ...], float]:
    """Values by the sample's name and its labels' values, in the order of their names."""
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in found
        for one in family.samples
    }


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain", ""])
def test_the_official_parsers_read_them(now: Snapshot, accept: str) -> None:
    found = families(now, accept)
    assert all(one.documentation and one.type != "unknown" for one in found)
    assert all(re.fullmatch(r"(interlock|process)_[a-z_]+", one.name) for one in found)
    value = samples(found)
    assert value["interlock_requests_total", "GET", "2xx"] == 11
    assert value["interlock_requests_total", "POST", "5xx"] == 2


def test_each_figure_is_the_snapshot_s(now: Snapshot) -> None:
    value = samples(families(now))
    for name, figure in {
        "connections": now.connections,
        "connections_max": now.connections_max,
        "connections_accepted_total": now.accepted,
        "queue_jobs": now.queued,
        "queue_jobs_max": now.queued_max,
        "requests_in_flight": now.in_flight,
        "worker_places": now.workers.places,
        "workers_standing": now.workers.standing,
        "workers_late": now.workers.late,
        "workers_quarantined": now.workers.quarantined,
        "workers_replaced_total": now.workers.replaced,
        "jobs_revoked_total": now.workers.revoked,
        "stand_ins_max": now.workers.stand_ins_max,
        "ledger_accepted_total": now.ledger.accepted,
        "ledger_open": now.ledger.open,
        "ledger_imbalance": now.ledger.imbalance,
        "event_channels": now.streams.channels,
        "event_subscribers": now.streams.subscribers,
        "event_memory_bytes": now.streams.memory_bytes,
        "event_gaps_total": now.streams.gaps,
        "event_subscribers_cut_total": now.streams.cut,
        "threads": now.process.threads,
        "ready": 1,
        "faults": 0,
    }.items():
        assert value["interlock_" + name,] == figure, name
    assert value["interlock_held_bytes", "memory"] == now.held_memory_bytes
    assert value["interlock_held_bytes", "file"] == now.held_file_bytes
    assert value["interlock_ledger_settled_total", "client_gone"] == now.ledger.client_gone
    for one in sound_system().arrows.values():
        labels = one.id, one.event, one.machine, one.source, one.target
        assert value["interlock_arrows_total", *labels] == now.arrows[one.id]
    for machine, states in now.occupancy.items():
        for state, count in states.items():
            assert value["interlock_objects", machine, state] == count


def test_buckets_hold_those_below_them(now: Snapshot) -> None:
    value = samples(families(now))
    name = "interlock_request_duration_seconds"
    assert value[f"{name}_bucket", "0.0005"] == 0
    assert value[f"{name}_bucket", "0.0025"] == 0 + 1 + 2
    assert value[f"{name}_bucket", "+Inf"] == value[f"{name}_count",] == sum(range(17))
    assert value[f"{name}_sum",] == 2.5


def test_a_server_that_is_not_sound_is_not_ready(now: Snapshot) -> None:
    unsound = dataclasses.replace(now, faults=("The ledger balances.",))
    value = samples(families(unsound))
    assert (value["interlock_ready",], value["interlock_faults",]) == (0, 1)


@pytest.fixture(scope="module")
def fleet(now: Snapshot) -> Snapshot:
    """Two processes of three that answer, and one that starts."""
    parts = (
        Part(1, 1, "SERVING", True, now),
        Part(3, 2, "SERVING", True, None),
        Part(4, 2, "DRAINING", True, dataclasses.replace(now, ready=False, connections=5)),
        Part(5, 3, "STARTING", False, None),
    )
    total = Total(accepted=9, answered=4, lost_by_crash=3, open=2)
    several = Several("ROLLING", 3, parts)
    return dataclasses.replace(now, several=several, ledger=total, ready=False, connections=77)


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain", ""])
def test_of_several_processes_each_tells_what_it_has_now(
    now: Snapshot, fleet: Snapshot, accept: str
) -> None:
    found = families(fleet, accept)
    assert all(one.documentation and one.type != "unknown" for one in found)
    value = samples(found)
    assert value["interlock_connections", "1"] == now.connections
    assert value["interlock_connections", "4"] == 5
    assert ("interlock_connections", "3") not in value
    assert ("interlock_connections",) not in value
    assert value["interlock_held_bytes", "4", "file"] == now.held_file_bytes
    assert value["interlock_process_places",] == 3
    answered = {
        labels: figure for (name, *labels_), figure in value.items()
        if name == "interlock_process_answered" for labels in [tuple(labels_)]
    }  # fmt: skip
    assert answered == {("1", "SERVING"): 1, ("3", "SERVING"): 0, ("4", "DRAINING"): 1}
    assert value["interlock_process_ready", "1"] == 1
    assert value["interlock_process_ready", "4"] == 0
    assert value["process_start_time_seconds", "parent"] == now.process.started_at
    assert value["interlock_threads", "4"] == now.process.threads


def test_of_several_processes_what_is_counted_is_one_sum(fleet: Snapshot) -> None:
    value = samples(families(fleet))
    assert value["interlock_requests_total", "GET", "2xx"] == 11
    assert value["interlock_request_duration_seconds_count",] == sum(range(17))
    assert value["interlock_ledger_accepted_total",] == 9
    assert value["interlock_ledger_settled_total", "lost_by_crash"] == 3
    assert (value["interlock_ledger_imbalance",], value["interlock_ready",]) == (0, 0)
    assert value["process_cpu_seconds_total",] == fleet.process.cpu_seconds
    counters = [one for one in families(fleet) if one.type in ("counter", "histogram")]
    assert not any("process" in one.labels for family in counters for one in family.samples)


def test_without_the_package_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server.ops.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    for name in [one for one in sys.modules if one.startswith("prometheus_client")]:
        monkeypatch.setitem(sys.modules, name, None)
    server = Server()
    pages = Pages(server._observer, Door(), server._feed.page, assets_of(html_folder()))
    head = RequestHead("GET", "/-/metrics", "/-/metrics", "", "localhost", 1, Fields())
    response = pages(Request(head))
    assert response.status == 501
    assert b"prometheus_client" in response.content  # type: ignore[operator] # it is bytes


def test_the_dashboard_names_metrics_that_are(now: Snapshot) -> None:
    known = {one.name for family in families(now) for one in family.samples}
    text = (TOP / "docs" / "grafana.json").read_text(encoding="utf-8")
    panels = json.loads(text)["panels"]
    asked = [target["expr"] for one in panels for target in one.get("targets", ())]
    named = {name for expr in asked for name in re.findall(r"(?:interlock|process)_\w+", expr)}
    assert len(panels) > 10
    assert all("interlock_" in expr or "process_" in expr for expr in asked)
    assert named - known == set()
