"""Requests per second: "hello" on Interlock, on waitress, and on a loop that only echoes.

    python benchmarks/hello.py [--connections 1 64] [--seconds 2] [--rounds 5] [--json FILE]

Each server runs with 4 threads, pinned to one core, wrk to another; the rounds are interleaved, so
that a slow minute of the machine hits all alike. Beside requests per second stands what is less
shaken by neighbours: requests per second of the server's own processor time. Needs `wrk`.

It does not measure: more than one core, large content, slow clients, TLS.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 20.0


@dataclass
class Contender:
    """One server under load, and what it reached: a pair of figures a round."""

    name: str
    command: list[str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    rounds: dict[int, list[tuple[float, float, float]]] = field(default_factory=dict)

    def start(self, core: int) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        pin = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        self.process = subprocess.Popen(
            [*pin, *self.command, str(self.port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit(f"{self.name} did not start") from None
                time.sleep(0.05)

    def load(self, connections: int, seconds: int, core: int) -> None:
        before = self.processor_seconds()
        rate, p99 = wrk(self.port, connections, seconds, core)
        used = self.processor_seconds() - before
        per_processor_second = rate * seconds / used if used else float("nan")
        self.rounds.setdefault(connections, []).append((rate, per_processor_second, p99))

    def processor_seconds(self) -> float:
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / TICKS

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def median(self, connections: int, figure: int) -> float:
        return statistics.median(entry[figure] for entry in self.rounds[connections])


def wrk(port: int, connections: int, seconds: int, core: int) -> tuple[float, float]:
    """Requests per second, and the 99th percentile of the latency in milliseconds."""
    pin = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    target = f"http://127.0.0.1:{port}/"
    run = subprocess.run(
        [*pin, "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency", target],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", run.stdout)
    if found is None or slow is None or "Non-2xx" in run.stdout:
        raise SystemExit(f"wrk failed on port {port}:\n{run.stdout}{run.stderr}")
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[slow[2]]
    return float(found[1]), float(slow[1]) * scale


def contenders() -> list[Contender]:
    """Whom to measure: waitress only where it is installed."""
    python = sys.executable
    found = [
        Contender("bare loop", [python, str(HERE / "servers" / "bare_loop.py")]),
        Contender("interlock", [python, str(HERE / "servers" / "interlock_hello.py")]),
        Contender("interlock wsgi", [python, str(HERE / "servers" / "interlock_wsgi.py")]),
        *(
            Contender(
                f"interlock {what}", [python, str(HERE / "servers" / "interlock_hello.py"), it]
            )
            for what, it in (
                ("unrecorded", "-n"),
                ("unobserved", "-o"),
                ("traced", "-t"),
                ("stock", "-s"),
            )
        ),
    ]
    try:
        version = metadata.version("waitress")
    except metadata.PackageNotFoundError:
        print("waitress is not installed: left out (make bench installs it)", file=sys.stderr)
    else:
        command = [python, str(HERE / "servers" / "waitress_hello.py")]
        found.append(Contender(f"waitress {version}", command))
    return found


def report(found: list[Contender], connections: list[int]) -> None:
    """Print a table with a bar for each number of connections."""
    for count in connections:
        print(f"\n{count} connection{'s' * (count > 1)}, kept alive; medians")
        print(f"  {'':<18}{'req/s':>9}{'p99 ms':>9}{'req/cpu-s':>11}   x waitress")
        most = max(one.median(count, 0) for one in found)
        base = next((one for one in found if one.name.startswith("waitress")), None)
        for one in found:
            rate, cpu, p99 = (one.median(count, figure) for figure in range(3))
            ratios = "" if base is None else f"{ratio(one, base, count):.2f}"
            bar = "█" * round(24 * rate / most)
            print(f"  {one.name:<18}{rate:>9,.0f}{p99:>9.2f}{cpu:>11,.0f}{ratios:>8}  {bar}")


def ratio(one: Contender, base: Contender, connections: int) -> float:
    """The median of the rounds' own ratios: both halves of a pair saw the same machine."""
    pairs = zip(one.rounds[connections], base.rounds[connections], strict=True)
    return statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)


def run_round(found: list[Contender], number: int, options: argparse.Namespace, core: int) -> None:
    """Load each of them once with each number of connections."""
    for count in options.connections:
        for one in found:
            if sys.stderr.isatty():
                print(f"\rround {number}: {one.name:<20}", end="", file=sys.stderr)
            one.load(count, options.seconds, core)


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep every round's figures in this file")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("benchmarks/hello.py needs wrk: apt-get install wrk", file=sys.stderr)
        return 1
    found = contenders()
    cores = sorted(os.sched_getaffinity(0))
    print(f"Python {platform.python_version()}, {len(cores)} cores, {platform.machine()}")
    try:
        for one in found:
            one.start(cores[0])
        for number in range(options.rounds):
            run_round(found, number + 1, options, cores[-1])
        report(found, options.connections)
    finally:
        for one in found:
            one.stop()
    if options.json:
        kept = {one.name: {str(c): rows for c, rows in one.rounds.items()} for one in found}
        machine = {"python": platform.python_version(), "cores": len(cores)}
        options.json.write_text(json.dumps({"machine": machine, "rounds": kept}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
