"""Several processes as their operator meets them: pages, metrics and orders of all of them."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from server.ops.command import ask
from server.processes.gathering import ANSWER_SECONDS_MAX
from tests.wire.client import Client
from tests.wire.test_cli import GET, Process, processes
from tests.wire.test_feed import Viewer
from tests.wire.test_processes import LEDGER, Several

__all__ = ["processes"]  # a fixture

OPENMETRICS = b"Accept: application/openmetrics-text; version=1.0.0\r\n"
TOKEN = b"Authorization: Bearer open-sesame\r\n"

Samples = dict[tuple[str, ...], float]


class Operated(Several):
    """Two processes, with all that their operator can ask for."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.ctl = str(folder / "ctl")
        super().__init__("--ctl-socket", self.ctl, "--drain-idle-seconds", "0", *options)
        self.at = self.address_

    def page(self, path: str, more: bytes = b"") -> tuple[int, bytes]:
        """Status and content of an operator's page."""
        client = Client(self.at)
        client.send(f"GET /-/{path} HTTP/1.1\r\nHost: localhost\r\n".encode() + more + b"\r\n")
        reply = client.reply()
        client.close()
        return reply.status, reply.content

    def json(self, path: str) -> Any:
        return json.loads(self.page(path)[1])

    def metrics(self, more: bytes = b"") -> Samples:
        """Values by the sample's name and its labels' values, in the order of their names."""
        status, text = self.page("metrics", OPENMETRICS + more)
        assert status == 200, text
        families = text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
        return {
            (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
            for family in families
            for one in family.samples
        }

    def order(self, *words: str) -> tuple[int, str]:
        """An order's exit status, and what was said."""
        return ask(self.ctl, " ".join(words))

    def pid(self, number: int) -> int:
        found = re.search(rf"process {number}: \w+, pid (\d+),", self.order("status")[1])
        assert found, self.order("status")
        return int(found[1])


@pytest.fixture
def fleet(processes: list[Process], tmp_path: Path) -> Iterator[Operated]:
    """Two processes whose pages are on their own port."""
    one = Operated(tmp_path)
    processes.append(one)
    yield one
    one.popen.send_signal(signal.SIGTERM)
    out, err, _ = one.ended()
    assert LEDGER.fullmatch(out), out + err
    assert "Traceback" not in err


def stop(process: int) -> None:
    """Stop a process. Its other threads go on until the one that has the signal tells them."""
    os.kill(process, signal.SIGSTOP)
    tasks = Path(f"/proc/{process}/task")
    while any(b") T " not in (task / "stat").read_bytes() for task in tasks.iterdir()):
        pass


def never_less(before: Samples, after: Samples) -> None:
    """No counter has gone back, but those that end with their process."""
    counters = [key for key in before if key[0].endswith(("_total", "_count", "_bucket"))]
    assert len(counters) > 200
    assert {
        key: (before[key], after.get(key)) for key in counters if after[key] < before[key]
    } == {}


def test_an_operator_keeps_no_connection_to_a_process_that_may_stand_still(
    fleet: Operated,
) -> None:
    client = Client(fleet.at)
    client.send(GET % b"/")
    assert "connection" not in client.reply().fields
    client.send(GET.replace(b"Host: a", b"Host: localhost") % b"/-/live")
    reply = client.reply()
    assert (reply.content, reply.fields["connection"]) == (b"live\n", "close")
    with pytest.raises(EOFError):
        client.reply()
    client.close()


def test_the_pages_show_all_processes_whichever_is_asked(fleet: Operated) -> None:
    clients = [Client(fleet.address_) for _ in range(6)]
    for client in clients:
        client.send(GET % b"/")
        assert client.reply().status == 200
    assert fleet.page("live") == (200, b"live\n")
    assert fleet.page("ready") == (200, b"ready\n")
    asked = 9
    while (ledger := fleet.json("ledger"))["open"] > 1:
        asked += 1  # who has an answer already may not be counted yet
    assert (ledger["accepted"], ledger["answered"]) == (asked, asked - 1)
    assert (ledger["imbalance"], ledger["lost_by_crash"]) == (0, 0)
    assert sum(one["accepted"] for one in ledger["processes"].values()) == asked
    asked += 1
    while (value := fleet.metrics())["interlock_ledger_open",] > 1:
        asked += 1
    assert value["interlock_ledger_accepted_total",] == asked
    assert value["interlock_requests_total", "GET", "2xx"] == asked - 1
    assert value["interlock_request_duration_seconds_count",] == asked - 1
    each = [value["interlock_connections", number] for number in ("1", "2")]
    assert min(each) >= 0
    assert sum(each) >= 7
    assert value["interlock_objects", "fleet", "SERVING"] == 1
    assert value["interlock_objects", "process", "SERVING"] == 2
    assert value["interlock_arrows_total", "M4", "ready", "process", "STARTING", "SERVING"] == 2
    assert value["interlock_ready",] == value["interlock_process_answered", "2", "SERVING"] == 1
    listed = fleet.json("connections?state=PARKED")
    assert listed["total"] >= 6
    assert {one["process"] for one in listed["connections"]} <= {1, 2}
    stacks = fleet.page("threads")[1].decode()
    assert stacks.count("\nreactor (") == stacks.count("\nchannel (") == 2
    assert "fleet" in fleet.json("spec")["machines"]
    viewer = Viewer(fleet.at)
    frame = viewer.until(bool)
    assert [one["number"] for one in frame["processes"]] == [1, 2]
    assert {one["name"].partition("/")[0] for one in frame["workers"]} == {"1", "2"}
    assert (frame["phase"], frame["readiness"]) == ("SERVING", "READY")
    for client in clients:
        client.close()
    fleet.order("drain")
    viewer.rest()


@pytest.mark.skipif(sys.platform != "linux", reason="who has stopped is read from /proc")
def test_a_process_that_is_stuck_or_killed_fails_no_scrape(fleet: Operated) -> None:
    clients = [Client(fleet.address_) for _ in range(8)]
    for client in clients:
        client.send(GET % b"/")
        client.reply()
    first, victim = fleet.metrics(), fleet.pid(2)
    stop(victim)
    second = fleet.metrics()
    never_less(first, second)
    assert second["interlock_process_answered", "2", "SERVING"] == 0
    assert second["interlock_ready",] == 0
    assert ("interlock_connections", "2") not in second
    assert fleet.page("ready") == (503, b"not ready: process 2 does not answer\n")
    assert "process 2: SERVING, does not answer" in fleet.order("status")[1]
    assert fleet.order("resize", "3")[0] == 1
    os.kill(victim, signal.SIGKILL)
    fleet.says("process 3 is ready")
    third = fleet.metrics()
    never_less(second, third)
    assert third["interlock_ready",] == third["interlock_process_answered", "3", "SERVING"] == 1
    assert third["interlock_ledger_imbalance",] == 0
    assert third["interlock_arrows_total", "M13", "exited", "process", "SERVING", "CRASHED"] == 1
    assert third["interlock_worker_places", "3"] == 3, "as it was asked of all"
    for client in clients:
        client.close()


def test_orders_are_for_all_of_them(fleet: Operated, tmp_path: Path) -> None:
    status, text = fleet.order("status")
    lines = text.splitlines()
    assert (status, lines[1]) == (0, "fleet SERVING, 2 of 2 processes serve")
    assert [line.split(",")[0] for line in lines[2:4]] == [
        "process 1: SERVING",
        "process 2: SERVING",
    ]
    assert fleet.order("ready") == (0, "ready")
    assert fleet.order("resize", "2") == (0, "workers: 2 in each process from now on")
    assert fleet.metrics()["interlock_worker_places", "1"] == 2
    assert fleet.order("threads")[1].count("\nreactor (") == 2
    status, text = fleet.order("trace", "dump")
    assert status == 0
    for line in text.splitlines():
        file = Path(line.partition(": ")[2])
        assert file.read_text().startswith("{")
        file.unlink()
    fleet.popen.send_signal(signal.SIGHUP)
    fleet.says("all processes have been replaced")
    value = fleet.metrics()
    assert {key[1] for key in value if key[0] == "interlock_worker_places"} == {"3", "4"}
    assert value["interlock_worker_places", "4"] == 2
    assert value["interlock_objects", "fleet", "SERVING"] == 1


def test_pages_with_a_listener_of_their_own_are_the_parent_s(
    processes: list[Process], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    one = Operated(
        tmp_path,
        *("--ops-bind", "127.0.0.1:0", "--ops-token-file", str(token)),
        *("--threads", "1", "--queue-seconds-max", "60"),
    )
    processes.append(one)
    assert one.page("live", TOKEN)[0] == 404, "not on their own port"
    one.at = "127.0.0.1", int(one.says("the operator's pages are on").split(":")[-1].split("/")[0])
    assert one.page("live")[0] == 401
    assert one.page("live", TOKEN) == (200, b"live\n")
    held = [Client(one.address_) for _ in range(4)]
    for client in held:  # all workers of all processes have something to do
        client.send(GET % b"/sleep?seconds=1")
    value = one.metrics(TOKEN)
    while value["interlock_ledger_open",] < 4:
        value = one.metrics(TOKEN)
    assert value["interlock_ready",] == 1
    assert ("interlock_threads", "parent") in value
    viewer = Viewer(one.at, Authorization="Bearer open-sesame")
    assert viewer.until(bool)["phase"] == "SERVING"
    assert one.order("drain") == (0, "asked to drain")
    status, text = one.page("ready", TOKEN)
    assert (status, text.split(b";")[0]) == (503, b"not ready: the processes are DRAINING")
    for client in held:
        assert client.reply().status == 200
        client.close()
    phases = [frame["phase"] for frame in viewer.rest()]
    assert phases == sorted(phases, key=["SERVING", "DRAINING", "STOPPED"].index)
    assert phases[-1] == "STOPPED"
    total, status = one.total()
    assert (status, total.imbalance, total.answered) == (0, 0, 5)


@pytest.mark.parametrize(
    ("options", "says", "worth"),
    [
        (("--ops-bind", "0.0.0.0:0"), "needs --ops-token-file", 2),
        (("--ops-bind", "127.0.0.1:0", "--ops-token-file", "missing"), "cannot be read", 1),
        (("--ctl-socket", "/nowhere/at/all"), "--ctl-socket /nowhere/at/all: No such file", 1),
    ],
)
def test_a_mistake_is_one_line(options: tuple[str, ...], says: str, worth: int) -> None:
    out, err, status = Process("--processes", "2", *options).ended()
    assert (out, err.count("\n"), status) == ("", 1, worth), err
    assert says in err


def test_the_time_limit_is_shorter_than_a_scraper_s() -> None:
    assert ANSWER_SECONDS_MAX < 5
