"""What servers are loaded with: wrk, pinned to the other core, and what it says of a run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s|m)\b")
NOT_2XX = re.compile(r"Non-2xx or 3xx responses: (\d+)")
ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
ERROR_NAMES = ("not connected", "cut off", "not sent", "timed out")
SCRIPT = """\
wrk.method = "POST"
wrk.body = string.rep("z", {size} - 1) .. "!"
"""


class WrkFailed(Exception):
    """wrk has no figures."""


@dataclass(frozen=True)
class Load:
    """So many connections that ask for one path, again and again, each as fast as it is answered.

    `content_bytes` are sent with POST; `closes` makes each request one of a connection of its own.
    """

    path: str = "/"
    connections: int = 64
    content_bytes: int = 0
    closes: bool = False


@dataclass(frozen=True)
class Outcome:
    """Requests a second that were answered, the 99th percentile of their times, what went wrong."""

    rate: float
    p99_ms: float
    trouble: str


def outcome(printed: str) -> Outcome:
    """What wrk has printed. Raises WrkFailed."""
    rate, slow = RATE.search(printed), P99.search(printed)
    if rate is None or slow is None:
        raise WrkFailed(printed.strip()[-200:] or "wrk printed nothing")
    troubles = []
    if found := ERRORS.search(printed):
        counts = zip(found.groups(), ERROR_NAMES, strict=True)
        troubles += [f"{count} {name}" for count, name in counts if count != "0"]
    if found := NOT_2XX.search(printed):
        troubles.append(f"{found[1]} not 2xx")
    p99_ms = float(slow[1]) * MILLISECONDS[slow[2]]
    return Outcome(float(rate[1]), p99_ms, ", ".join(troubles))


def start(load: Load, port: int, seconds: int, core: int) -> subprocess.Popen[str]:
    """wrk, under way; `finish` waits for it."""
    pin = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    options = ["-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "5s", "--latency"]
    if load.closes:
        options += ["-H", "Connection: close"]
    if load.content_bytes:
        options += ["-s", str(_script(load.content_bytes))]
    command = [*pin, "wrk", *options, f"http://127.0.0.1:{port}{load.path}"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def finish(running: subprocess.Popen[str]) -> Outcome:
    """Its figures. Raises WrkFailed."""
    printed, _ = running.communicate()
    return outcome(printed)


def _script(size: int) -> Path:
    place = Path(tempfile.gettempdir()) / f"interlock-bench-{size}.lua"
    place.write_text(SCRIPT.format(size=size), encoding="ascii")
    return place
