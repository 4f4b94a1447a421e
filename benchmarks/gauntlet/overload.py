"""Rows of more work than there are threads: streams, stuck handlers, and a flood."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys

from benchmarks.gauntlet.crowd import Client, Crowd, get
from benchmarks.gauntlet.process import Process
from benchmarks.gauntlet.row import (
    Arena,
    Question,
    Result,
    Row,
    Verdict,
    healthy,
    judged,
    row,
    told,
)

STREAM_RUN_UP_SECONDS = 3.0
SUBSCRIBERS = 1000
PROBES = 100
PROBE_SECONDS_MAX = 20.0
UNHURT_SECONDS_MAX = 0.25
"""The slowest of PROBES answers, where three processes share two cores."""
FANNED_EVENTS_MIN = 100
STUCK_SECONDS = 8.0
FLOOD_REQUESTS = 200
FLOOD_PATIENCE_SECONDS = 4.0
RECOVERY_SECONDS_MAX = 70.0
RECOVERED_SECONDS_MAX = 2.0
MEBIBYTE = 1024 * 1024


def _streams(arena: Arena, path: str, count: int) -> tuple[Result, ...]:
    with arena.serve() as (process, crowd):
        before = process.resident_bytes()
        request = get(path, "Accept: text/event-stream")
        streams = crowd.gather(count, lambda: crowd.ask(request))
        crowd.run(STREAM_RUN_UP_SECONDS)
        client = healthy(crowd)
        crowd.run(2.0, until=lambda: _open(streams) == count)
        memory = (process.resident_bytes() - before) / MEBIBYTE
        opened = _open(streams)
    passed = client.status == 200 and opened == count
    text = f"{told(client)}, {memory:+.0f} MiB" if count >= 100 else told(client)
    text += "" if opened == count else f"; {opened} of {count} streams open"
    figures = {"seconds": client.took, "streams_open": opened, "memory_mib": memory}
    return judged(passed, text, **figures)


def _open(streams: list[Client]) -> int:
    """How many have had an event, and have not been ended."""
    return sum(1 for one in streams if not one.over and b"data: " in one.answer.content)


def _row(count: int, path: str, what: str) -> Row:
    asks = f"{count:,} event streams {what}: is a normal GET served?"
    judge = "answered 200 in 5 s, and every stream has had an event"

    @row(Question(f"streams-{count}", asks, judge), clients=count)
    def asked(arena: Arena) -> tuple[Result, ...]:
        return _streams(arena, path, count)

    return asked


few_streams = _row(4, "/events", "open, unmodified WSGI")
many_streams = _row(1000, "/events-hub", "open, by the server's own means where it has any")


@row(
    Question(
        "fan-out",
        f"{SUBSCRIBERS:,} subscribers, 100 events a second: is a normal client unhurt?",
        f"{PROBES} answers one after the other, none in more than {UNHURT_SECONDS_MAX:g} s, and "
        f"each subscriber has had {FANNED_EVENTS_MIN} events or more, none missing in between",
    ),
    clients=SUBSCRIBERS,
)
def fan_out(arena: Arena) -> tuple[Result, ...]:
    """The server's own hub, where it has one; else a generator for each, as above."""
    with arena.serve() as (process, crowd):
        request = get("/events-hub?every=0.01", "Accept: text/event-stream")
        streams = crowd.gather(SUBSCRIBERS, lambda: crowd.ask(request))
        crowd.run(1.0)
        took = _probe(process.port, crowd)
        heard = sum(1 for one in streams if not one.over and _has_all(one.answer.content))
    if len(took) < PROBES:
        return judged(False, f"{len(took)} of {PROBES} answered; {heard} streams")
    slowest = max(took)
    passed = slowest <= UNHURT_SECONDS_MAX and heard == SUBSCRIBERS
    text = f"median {statistics.median(took) * 1000:.0f} ms, slowest {slowest * 1000:.0f} ms"
    text += "" if heard == SUBSCRIBERS else f"; {heard} of {SUBSCRIBERS} streams whole"
    return judged(passed, text, median=statistics.median(took), slowest=slowest, whole=heard)


def _probe(port: int, crowd: Crowd) -> list[float]:
    """The seconds that each answer took a client in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gauntlet.prober", str(port), str(PROBES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as prober:
        crowd.run(PROBE_SECONDS_MAX, until=lambda: prober.poll() is not None)
        prober.kill()
        assert prober.stdout is not None
        return [float(line) for line in prober.stdout]


def _has_all(content: bytes) -> bool:
    """Whether FANNED_EVENTS_MIN events or more have come, numbered one after the other."""
    numbers = [int(one.split(b"\n", 1)[0]) for one in content.split(b"data: ")[1:-1]]
    in_order = all(later == one + 1 for one, later in itertools.pairwise(numbers))
    return len(numbers) >= FANNED_EVENTS_MIN and in_order


@row(
    Question(
        "stuck",
        "All 4 workers stuck in the application: a request after 8 s?",
        "answered 200 in 5 s",
    )
)
def stuck(arena: Arena) -> tuple[Result, ...]:
    """A handler that does not return holds its thread; does it hold the server?"""
    with arena.serve() as (_, crowd):
        for _ in range(4):
            crowd.ask(get("/stuck"))
        crowd.run(STUCK_SECONDS)
        client = healthy(crowd)
    return judged(client.status == 200, told(client), seconds=client.took)


@row(
    Question(
        "flood",
        "200 one-second requests in 0.2 s, clients wait 4 s: how are the rest told?",
        "each is answered 200, or 503 with Retry-After, in 4 s",
    ),
    Question(
        "recovery",
        "… seconds until healthy again once every client has left",
        "answered 200 in 2 s",
    ),
    clients=FLOOD_REQUESTS,
)
def flood(arena: Arena) -> tuple[Result, ...]:
    """More than can be done in time: is it said, and is work for those who have gone left out?"""
    with arena.serve() as (process, crowd):
        clients = crowd.gather(FLOOD_REQUESTS, lambda: crowd.ask(get("/slow?seconds=1")))
        crowd.run(FLOOD_PATIENCE_SECONDS, until=lambda: all(one.over for one in clients))
        answered = sum(1 for one in clients if one.status == 200)
        refused = [one for one in clients if one.status == 503]
        advised = sum(1 for one in refused if "retry-after" in one.answer.fields)
        crowd.leave()
        seconds = _recovery(process, crowd)
    text = f"{answered} × 200, {len(refused)} × 503"
    rest = FLOOD_REQUESTS - answered - len(refused)
    text += f", {rest} told nothing" if rest else ""
    text += "" if advised == len(refused) else f" ({advised} with Retry-After)"
    verdict = Verdict.PASS if answered + advised == FLOOD_REQUESTS else Verdict.FAIL
    last = max((one.took for one in refused), default=0.0)
    figures = {"answered": answered, "refused": len(refused), "advised": advised, "last": last}
    return Result(verdict, text, {**figures}), _recovered(seconds)


def _recovery(process: Process, crowd: Crowd) -> float | None:
    """Seconds until a newcomer is answered 200. One that is refused asks again."""
    began = crowd.now()
    while (left := began + RECOVERY_SECONDS_MAX - crowd.now()) > 0 and not process.ended:
        if healthy(crowd, left).status == 200:
            return crowd.now() - began
        crowd.run(0.1)
    return None


def _recovered(seconds: float | None) -> Result:
    if seconds is None:
        return Result(Verdict.FAIL, f"not in {RECOVERY_SECONDS_MAX:.0f} s")
    passed = seconds <= RECOVERED_SECONDS_MAX
    verdict = Verdict.PASS if passed else Verdict.FAIL
    return Result(verdict, f"{seconds:.1f} s", {"seconds": seconds})
