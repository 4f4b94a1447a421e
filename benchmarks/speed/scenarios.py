"""What is measured: each scenario loads one server for one round, and says what it reached."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import thread_pool
from benchmarks.gauntlet.process import NotStarted, Process
from benchmarks.speed import load
from benchmarks.speed.contenders import BIG, SMALL, THREADS, Pinned, Served
from benchmarks.speed.holding import deliveries, held, still_open
from benchmarks.speed.load import Load, WrkFailed

IDLE = 5000
SUBSCRIBERS = 1000
WARM_UP_SECONDS = 1
EXECUTOR, POOL = "ThreadPoolExecutor", "Interlock"
Round = dict[str, float | str]
"""`rate` (more is better) or `cost` (less is), and what else is known. `trouble` is what went wrong
beside it, `failure` why there are no figures.
"""


@dataclass(frozen=True)
class Terms:
    """How long a round lasts, and the core of what loads."""

    seconds: int
    core: int


Measure = Callable[[Process, Terms], Round]


@dataclass(frozen=True)
class Scenario:
    """One line of the table. `unit` is of `rate`, or of `cost`.

    `fresh` ones begin each round with a server that has served nobody.
    """

    name: str
    asks: str
    measure: Measure | None
    served: Served = Served.HELLO
    unit: str = "req/s"
    alone: bool = False
    fresh: bool = False
    bare: bool = True

    def round(self, process: Process, terms: Terms) -> Round:
        """Measures once."""
        assert self.measure is not None
        try:
            return self.measure(process, terms)
        except WrkFailed as error:
            return {"failure": str(error)}
        except (OSError, NotStarted) as error:
            return {"failure": f"{type(error).__name__}: {error}"}


def under(what: Load) -> Measure:
    """Requests a second of this load."""

    def measure(process: Process, terms: Terms) -> Round:
        before = process.processor_seconds()
        found = load.finish(load.start(what, process.port, terms.seconds, terms.core))
        return _round(found, terms.seconds, process.processor_seconds() - before)

    return measure


def _round(found: load.Outcome, seconds: float, used: float) -> Round:
    """Requests of a server that did none are not many a second of no processor time."""
    per_processor_second = found.rate * seconds / used if used else 0.0
    figures: Round = {
        "rate": found.rate,
        "per_processor_second": per_processor_second,
        "p99_ms": found.p99_ms,
    }
    if found.trouble:
        figures["trouble"] = found.trouble
    if not found.rate:
        return {"failure": ", ".join(filter(None, ("no request was answered", found.trouble)))}
    return figures


def beside_idle(process: Process, terms: Terms) -> Round:
    """Others' requests while many are idle, and what memory an idle one holds."""
    load.finish(load.start(Load(), process.port, WARM_UP_SECONDS, terms.core))
    before = process.resident_bytes()
    with held(process.port, b"/", IDLE) as sockets:
        if not sockets:
            return {"failure": "no idle connection was answered"}
        time.sleep(0.2)  # what was answered last is put away
        grown = process.resident_bytes() - before
        figures = under(Load())(process, terms)
        kept = still_open(sockets)
        if "failure" in figures:
            return figures
        figures["bytes_a_connection"] = grown / len(sockets)
        if kept < IDLE:
            cut = f"{len(sockets)} of {IDLE} idle ones were answered in time, {kept} kept"
            figures["trouble"] = ", ".join(filter(None, (str(figures.get("trouble", "")), cut)))
    return figures


def beside_slow(process: Process, terms: Terms) -> Round:
    """Fast requests while slow handlers hold all workers but one."""
    before = process.processor_seconds()
    slow = Load("/slow", connections=THREADS - 1)
    slow_one = load.start(slow, process.port, terms.seconds + 1, terms.core)
    time.sleep(0.5)  # the slow ones are in
    fast_one = load.start(Load(connections=8), process.port, terms.seconds, terms.core)
    fast, slowed = load.finish(fast_one), load.finish(slow_one)
    figures = _round(fast, terms.seconds, process.processor_seconds() - before)
    return {**figures, "slow_rate": slowed.rate}


def fan_out(process: Process, terms: Terms) -> Round:
    """Events that arrive at many subscribers."""
    with held(process.port, b"/events", SUBSCRIBERS) as sockets:
        still_open(sockets)  # what came while they gathered is read
        before = process.processor_seconds()
        taken = deliveries(sockets, terms.seconds)
        used = process.processor_seconds() - before
    if not taken:
        return {"failure": f"no event came to {len(sockets)} subscribers"}
    figures: Round = {
        "rate": len(taken) / terms.seconds,
        "per_processor_second": len(taken) / used if used else 0.0,
        "p99_ms": statistics.quantiles(taken, n=100)[98] * 1000,
    }
    if len(sockets) < SUBSCRIBERS:
        figures["trouble"] = f"{len(sockets)} of {SUBSCRIBERS} subscribed"
    return figures


def start_up(pinned: Pinned) -> Round:
    """Seconds from the start of a process to the first byte of an answer."""
    began = time.monotonic()
    process = Process(pinned)
    try:
        while not _first_byte(process.port):
            if time.monotonic() - began > 20 or process.ended:
                return {"failure": f"did not start: {process.errors()[-200:]}"}
            time.sleep(0.002)
        took = time.monotonic() - began
        return {"cost": took * 1000, "processor_ms": process.processor_seconds() * 1000}
    finally:
        process.close()


def _first_byte(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            return bool(peer.recv(1))
    except OSError:
        return False


def pools(rounds: int) -> dict[str, list[Round]]:
    """Jobs a second whose results are awaited, of the pool and of the standard library's."""
    found = thread_pool.run(rounds)["submit_result"]
    names = {"ThreadPool": POOL, "ThreadPoolExecutor": EXECUTOR}
    return {name: [{"rate": rate} for rate in found[peer]] for peer, name in names.items()}


SMALL_PATH, BIG_PATH = f"/static/{SMALL}", f"/static/{BIG}"
START_UP, POOLS = "start-up", "thread-pool"
SCENARIOS = (
    Scenario("hello-1", "hello, 1 connection", under(Load(connections=1))),
    Scenario("hello-64", "hello, 64 connections", under(Load())),
    Scenario("hello-1000", "hello, 1,000 connections", under(Load(connections=1000))),
    Scenario("close", "hello, a connection a request", under(Load(closes=True))),
    Scenario("json", "10 KB of JSON", under(Load("/json")), Served.JSON),
    Scenario("static-small", "file of 900 bytes", under(Load(SMALL_PATH)), Served.SMALL),
    Scenario("static-big", "file of 32 MB", under(Load(BIG_PATH, 2)), Served.BIG),
    Scenario("post-10k", "POST of 10 KB", under(Load("/upload", 64, 10_000))),
    Scenario("post-10m", "POST of 10 MB", under(Load("/upload", 2, 10_000_000))),
    Scenario("idle", "hello beside 5,000 idle connections", beside_idle, fresh=True),
    Scenario("mixed", "hello beside 3 slow requests of 50 ms", beside_slow, bare=False),
    Scenario("events", "events to 1,000 subscribers", fan_out, unit="events/s", alone=True),
    Scenario(START_UP, "start to first byte", None, unit="ms"),
    Scenario(POOLS, "ThreadPool, results awaited", None, unit="jobs/s"),
)
"""In the order of the table."""
