"""What it costs to note every arrow, and how fast a trace is judged.

    python -m benchmarks.traces
    python -m benchmarks.traces --json FILE

Notes, in nanoseconds for one event beyond the same event without a log:

  flight    the flight recorder's ring of numbers
  traced    a row with thread and time, into a queue that keeps the last ones
  written   the same, and what the writer's thread does until the last row is in a file
  hook      a hook that does nothing, for comparison

All of it is processor time, so that neighbours on the machine count for less. The events are those
of `benchmarks.engine`: "plain", there and back. Laps are interleaved, and the medians of the
repeats are told. Then a trace of requests on kept connections, 13 events each, is made, written and
replayed as `python -m statemachine replay` does, with all checks.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.engine import SYSTEM, Traveller, where
from server.clock import SystemClock
from server.flight import Flight
from server.tracing import Tracer
from statemachine import Binder, Hook, System, chunks, load_system
from statemachine.ground import Ground
from statemachine.model import BIRTH_STEP, next_birth
from statemachine.noting import LINKED, Log, Row, numbered
from statemachine.replaying import judged, opened
from statemachine.tracefile import Ending, Header, digest

LAPS = 20_000
REPEATS = 15
REQUESTS = 80_000
RING = 4096
CLAIMS = {"flight": 60.0, "traced": 500.0}
"""Nanoseconds an event that noting is said to cost at most."""

REPLAYED_MIN = 1_000_000
"""Events a second that are said to be judged at least."""

LIFE = ("R1", "R4", "C1", "J1", "W4", "J3", "C8", "A2", "A4", "R10", "C11", "J5", "W7")
"""What a GET takes that a worker answers with content, on a connection that persists."""


class Born(Traveller):
    """The object that moves, with a birth, as generated classes have it."""

    __slots__ = ("birth",)

    def __init__(self) -> None:
        super().__init__()
        self.birth = next_birth()


def _hook(_: object, __: object) -> None:
    """The cheapest hook there is."""


def _traveller(log: Log | None = None, hook: Hook | None = None) -> Born:
    return Binder(SYSTEM, hook=hook, log=log).bind(Born)()


def _seconds(go: Callable[[], None], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        go()
        go()
    return time.process_time() - began


def _written(count: int) -> float:
    """A lap with a trace that is written, from the first event to the end of the file."""
    tracer = Tracer(SYSTEM, SystemClock(), RING)
    with tempfile.TemporaryDirectory() as folder:
        tracer.open(Path(folder) / "trace")
        began = time.process_time()
        _seconds(_traveller(tracer.log).go, count)
        tracer.close(None, None, "")
        return time.process_time() - began


def costs(count: int = LAPS, repeats: int = REPEATS) -> dict[str, float]:
    """Nanoseconds an event, by the way it is noted; `none` are those of an event without a log."""
    flight = Flight(SYSTEM, SystemClock(), RING).log
    queue: deque[int | Row] = deque(maxlen=RING)
    stamp = threading.get_ident, SystemClock().monotonic
    traced = Log(queue.append, numbered(SYSTEM.arrows), stamp)
    travellers = {
        "none": _traveller(),
        "flight": _traveller(flight),
        "traced": _traveller(traced),
        "hook": _traveller(hook=_hook),
    }
    times: dict[str, list[float]] = {name: [] for name in (*travellers, "written")}
    gc.disable()
    try:
        for _ in range(repeats):
            for name, one in travellers.items():
                times[name].append(_seconds(one.go, count))
            times["written"].append(_written(count))
    finally:
        gc.enable()
    ones = {name: statistics.median(found) / count / 2 * 1e9 for name, found in times.items()}
    none = ones.pop("none")
    return {"none": none, **{name: one - none for name, one in ones.items()}}


def lives(system: System, requests: int) -> Iterator[Row]:
    """The rows of so many requests, on 64 connections in turn, answered by 4 workers in turn."""
    numbers = numbered(system.arrows)
    births = iter(range(BIRTH_STEP, 1 << 62, BIRTH_STEP))
    workers = [next(births) for _ in range(4)]
    connections = [{"C": next(births), "R": next(births)} for _ in range(64)]
    yield from ((one + numbers["W1"], 10 + n, 0.0) for n, one in enumerate(workers))
    for request in range(requests):
        one = connections[request % 64] | {"J": next(births), "A": next(births)}
        one["W"], thread = workers[request % 4], 10 + request % 4
        yield one["J"] + LINKED, one["C"] // BIRTH_STEP, request * 1e-5
        for place, arrow in enumerate(LIFE):
            yield one[arrow[0]] + numbers[arrow], 1 if place < 4 else thread, request * 1e-5


def replay_rate(requests: int = REQUESTS, repeats: int = 5) -> float:
    """Events judged in a second: the median of the repeats."""
    system = load_system()
    ground, rows = Ground(system), list(lives(system, requests))
    header = Header(digest(system), tuple(system.arrows), whole=True)
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace"
        end = chunks.end(Ending(len(rows)))
        file.write_bytes(chunks.head(header) + chunks.events(0, rows) + end)
        del rows
        for _ in range(repeats):
            began = time.process_time()
            with opened(system, file) as trace:
                events = sum(judged(ground, trace).counts)
            rates.append(events / (time.process_time() - began))
    return statistics.median(rates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the figures where asked; returns 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args(arguments)
    place, found, rate = where(), costs(), replay_rate()
    print("; ".join(f"{key} {value}" for key, value in place.items()))
    print(f"{REPEATS} interleaved repeats of {2 * LAPS} events; medians\n")
    print(f"  an event without a log {found['none']:7.0f} ns; beyond that")
    for name in ("flight", "traced", "written", "hook"):
        claim = f"  claimed: {CLAIMS[name]:.0f} at most" if name in CLAIMS else ""
        print(f"  {name:<22} {found[name]:7.0f} ns{claim}")
    print(f"  replayed {rate:21,.0f} events/s  claimed: {REPLAYED_MIN:,} at least")
    if options.json:
        figures = {name: round(one, 1) for name, one in found.items()}
        told = {**place, "nanoseconds": figures, "replayed events a second": round(rate)}
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    holds = all(found[name] <= claim for name, claim in CLAIMS.items()) and rate >= REPLAYED_MIN
    print("all claims hold" if holds else "a claim does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
