"""Requests per second: one process, and several on the same port.

    python -m benchmarks.processes [--processes 2] [--connections 64] [--seconds 3] [--rounds 5]

Two applications: one that only answers, and one that computes for about a millisecond, which is
what several processes are for. Nothing is pinned, and wrk shares the cores with the server: on two
cores, two processes cannot be twice as fast, since the load generator needs a part of one. Beside
requests per second stand requests per second of the server's own processor time, all processes
together, which says what each request costs. The rounds are interleaved, and the ratios are
medians of the rounds' own. Needs `wrk`.

It does not measure: more than the cores that there are, slow clients, TLS.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

TOP = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PATHS = {"answers": "/", "computes": "/compute"}
STEPS = 25_000
LINE = re.compile(r"on http://127\.0\.0\.1:(\d+) ")


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """What is served: a line, or a line that takes a while to work out."""
    steps = STEPS if environ["PATH_INFO"] == "/compute" else 0
    total = 0
    for number in range(steps):
        total ^= number
    content = b"%d\n" % total
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]


@dataclass
class Contender:
    """One number of processes, and what it reached, by path: rate and rate per processor second."""

    processes: int
    popen: subprocess.Popen[str] | None = None
    port: int = 0
    rounds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def start(self) -> None:
        options = ["--port", "0", "--app", "benchmarks.processes:application"]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "server", *options, "--processes", str(self.processes)],
            cwd=TOP,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.popen.stdout is not None
        found = LINE.search(self.popen.stdout.readline())
        if found is None:
            raise SystemExit(f"{self.processes} processes did not start")
        self.port = int(found[1])

    def load(self, name: str, connections: int, seconds: int) -> None:
        before, began = self.processor_seconds(), time.monotonic()
        rate = wrk(f"http://127.0.0.1:{self.port}{PATHS[name]}", connections, seconds)
        used, lasted = self.processor_seconds() - before, time.monotonic() - began
        self.rounds.setdefault(name, []).append((rate, rate * lasted / used))

    def processor_seconds(self) -> float:
        """Of the parent, or only process, and its children."""
        assert self.popen is not None
        task = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children")
        return sum(map(_processor_seconds, [self.popen.pid, *map(int, task.read_text().split())]))

    def stop(self) -> str:
        """The ledger."""
        assert self.popen is not None
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.communicate(timeout=60)[0].strip()

    def median(self, name: str, figure: int) -> float:
        return statistics.median(one[figure] for one in self.rounds[name])

    def ratio(self, other: Contender, name: str, figure: int) -> float:
        pairs = zip(self.rounds[name], other.rounds[name], strict=True)
        return statistics.median(ours[figure] / theirs[figure] for ours, theirs in pairs)


def _processor_seconds(process: int) -> float:
    text = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


def wrk(url: str, connections: int, seconds: int) -> float:
    """Requests per second."""
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)
    if found is None or "Non-2xx" in run.stdout:
        raise SystemExit(f"wrk failed on {url}:\n{run.stdout}{run.stderr}")
    return float(found[1])


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("benchmarks/processes.py needs wrk: apt-get install wrk", file=sys.stderr)
        return 1
    one, several = Contender(1), Contender(options.processes)
    cores = len(os.sched_getaffinity(0))
    print(f"Python {platform.python_version()}, {cores} cores shared with wrk; medians")
    for contender in (one, several):
        contender.start()
    for _ in range(options.rounds):
        for name in PATHS:
            for contender in (one, several):
                contender.load(name, options.connections, options.seconds)
    print(f"  {'':<10}{'processes':>10}{'req/s':>10}{'':>8}{'req/cpu-s':>11}")
    for name in PATHS:
        for contender in (one, several):
            rate, cost = contender.median(name, 0), contender.median(name, 1)
            ratios = [f"x {contender.ratio(one, name, figure):.2f}" for figure in (0, 1)]
            print(
                f"  {name:<10}{contender.processes:>10}{rate:>10,.0f}{ratios[0]:>8}"
                f"{cost:>11,.0f}{ratios[1]:>8}"
            )
    for contender in (one, several):
        print(f"  {contender.processes}: {contender.stop()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
