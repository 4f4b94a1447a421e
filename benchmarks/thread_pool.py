"""ThreadPool beside concurrent.futures.ThreadPoolExecutor: the same jobs, in one run, in turns.

    python -m benchmarks.thread_pool [--json FILE] [--rounds N]

Measures, each as the median over the rounds:

- submit_result: jobs a second, submitted in one go and their results then awaited;
- execute: jobs a second without a result (the peer has only `submit`, which is used there);
- latency: microseconds from `submit` of a single job to its result, the pool at rest.

The rounds of the two alternate, so that a change in the machine's speed meets both. A ratio above 1
says that ThreadPool is better.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from server.thread_pool import ThreadPool

SIZE = 4
JOBS = 10_000
SINGLES = 300

Measure = Callable[[Executor], float]
PEERS: dict[str, Callable[[], Executor]] = {
    "ThreadPool": lambda: ThreadPool(SIZE),
    "ThreadPool, stock engine": lambda: ThreadPool(SIZE, engine="stock"),
    "ThreadPoolExecutor": lambda: ThreadPoolExecutor(SIZE),
}


def work() -> None:
    """A job that costs nothing, so that what is left is the pool's own cost."""


def submit_result(pool: Executor) -> float:
    """Jobs a second."""
    began = time.perf_counter()
    for future in [pool.submit(work) for _ in range(JOBS)]:
        future.result()
    return JOBS / (time.perf_counter() - began)


def execute(pool: Executor) -> float:
    """Jobs a second, until the last has run."""
    offer = pool.execute if isinstance(pool, ThreadPool) else pool.submit
    # Each thread's last job holds it until all are there: by then all the others have been run.
    together = threading.Barrier(SIZE + 1)
    began = time.perf_counter()
    for _ in range(JOBS):
        offer(work)
    for _ in range(SIZE):
        offer(together.wait)
    together.wait()
    return JOBS / (time.perf_counter() - began)


def latency(pool: Executor) -> float:
    """Microseconds, the median of many."""
    times = []
    for _ in range(SINGLES):
        began = time.perf_counter()
        pool.submit(work).result()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


MEASURES: dict[str, tuple[Measure, str, bool]] = {
    "submit_result": (submit_result, "jobs/s", True),
    "execute": (execute, "jobs/s", True),
    "latency": (latency, "us", False),
}


def run(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Every measure of every peer, round by round, after one that is not counted."""
    found: dict[str, dict[str, list[float]]] = {
        name: {peer: [] for peer in PEERS} for name in MEASURES
    }
    for count in range(rounds + 1):
        for name, (measure, _, _) in MEASURES.items():
            for peer, make in PEERS.items():
                with make() as pool:
                    # The peer starts its threads as jobs come; ours run already.
                    list(pool.map(time.sleep, [0.001] * SIZE))
                    value = measure(pool)
                if count:
                    found[name][peer].append(value)
    return found


def report(found: dict[str, dict[str, list[float]]]) -> dict[str, object]:
    """Medians and ratios, printed and returned."""
    results: dict[str, object] = {}
    for name, (_, unit, more_is_better) in MEASURES.items():
        medians = {peer: statistics.median(values) for peer, values in found[name].items()}
        theirs = medians["ThreadPoolExecutor"]
        ratios = {
            peer: (ours / theirs if more_is_better else theirs / ours)
            for peer, ours in medians.items()
        }
        for peer, median in medians.items():
            print(f"{name:14} {peer:26} {median:12,.1f} {unit:7} x{ratios[peer]:.2f}")
        results[name] = {"unit": unit, "medians": medians, "ratios": ratios, "rounds": found[name]}
    return results


def main(arguments: list[str] | None = None) -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write every round and the medians to this file")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "pool_size": SIZE,
        "jobs": JOBS,
    }
    print(" ".join(f"{key}={value}" for key, value in machine.items()))
    results = report(run(options.rounds))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
