"""A soak: one server, a great many requests, and what it holds after each tenth of them.

    python -m benchmarks.soak --requests 1000000

Connections come and go, each with a batch of unlike requests: short pages, uploads, errors, HEAD,
chunks. After each slice all have gone, and nothing may be more than it was after the first: objects
by their type, threads, descriptors; resident memory within RSS_BYTES_MAX. The client is a thread of
the same process, so its time is no measure of speed.

Exit status: 0; 1 where something grew, or an answer was missing.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.config import Config
from server.http1.messages import Request, Response
from server.server import Server

SLICES = 10
RSS_BYTES_MAX = 4 * 1024 * 1024
OBJECTS_MAX = 20
"""So many more of a type are no growth: caches that fill, and the interpreter's own."""
SETTLE_SECONDS_MAX = 10.0
UNTRACKED = frozenset({"frame", "cell", "weakref"})
"""Types whose number says what runs at the moment, not what is held."""

REQUESTS = (
    b"GET /page HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"GET /page?query=%d HTTP/1.1\r\nHost: soak\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
    b"HEAD /page HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"POST /up HTTP/1.1\r\nHost: soak\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /up HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /none HTTP/1.1\r\nHost: soak\r\n\r\n",
)
LAST = b"GET /page HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n"
BATCH = 50


@dataclass(frozen=True)
class Sample:
    """What the process holds once so many requests have been answered."""

    answered: int
    resident_bytes: int
    threads: int
    descriptors: int
    objects: Counter[str]


def answer(request: Request) -> Response:
    """A page of its own, an echo, or nothing."""
    if request.head.path == "/page":
        return Response(200, (("Content-Type", "text/plain"),), b"page\n" * 40)
    if request.head.path == "/up":
        content = request.content
        return Response(200, (), content if isinstance(content, bytes) else content.read())
    return Response(404, (), b"none\n")


def ask(port: int, number: int) -> int:
    """One connection with a batch of requests; how many were answered."""
    batch = [REQUESTS[(number + each) % len(REQUESTS)] for each in range(BATCH - 1)]
    data = b"".join(one % number if b"%d" in one else one for one in batch) + LAST
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(data)
        received = b"".join(iter(lambda: peer.recv(65_536), b""))
    return len(re.findall(rb"HTTP/1\.1 (?:200|404) ", received))


def sample(answered: int) -> Sample:
    """Looks at this process."""
    gc.collect()
    objects = Counter(type(one).__name__ for one in gc.get_objects())
    for name in UNTRACKED:
        del objects[name]
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    resident = int(found[1]) * 1024 if found else 0
    descriptors = len(os.listdir("/proc/self/fd"))
    return Sample(answered, resident, threading.active_count(), descriptors, objects)


def soak(requests: int, slices: int = SLICES) -> tuple[list[Sample], int]:
    """Serves and asks; a sample after each slice, and how many answers were missing."""
    server = Server(Config(port=0), answer)
    server.start()
    port = server.address[1]
    serving = threading.Thread(target=server.run, name="soak-server")
    serving.start()
    samples: list[Sample] = []
    asked = answered = 0
    rest = len(os.listdir("/proc/self/fd"))
    try:
        for number in range(1, slices + 1):
            while asked < requests * number // slices:
                answered += ask(port, asked)
                asked += BATCH
            _settle(rest)
            samples.append(sample(answered))
            if sys.stderr.isatty():
                print(f"\r{answered:,} of {requests:,} …", end="", file=sys.stderr)
    finally:
        server.request_stop()
        serving.join()
    return samples, asked - answered


def _settle(descriptors: int) -> None:
    """Waits until the server has seen the last of its peers go."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while len(os.listdir("/proc/self/fd")) > descriptors and time.monotonic() < deadline:
        time.sleep(0.01)


def growth(samples: Sequence[Sample]) -> list[str]:
    """What has grown from the first sample to the last, a line each; nothing where all is flat."""
    first, last = samples[0], samples[-1]
    told = []
    if last.resident_bytes - first.resident_bytes > RSS_BYTES_MAX:
        told.append(f"resident bytes: {first.resident_bytes:,} → {last.resident_bytes:,}")
    if last.threads > first.threads:
        told.append(f"threads: {first.threads} → {last.threads}")
    if last.descriptors > first.descriptors:
        told.append(f"descriptors: {first.descriptors} → {last.descriptors}")
    more = last.objects - first.objects
    told += [
        f"{name}: {first.objects[name]:,} → {last.objects[name]:,} objects"
        for name, count in more.most_common()
        if count > OBJECTS_MAX
    ]
    return told


def chart(samples: Sequence[Sample]) -> str:
    """Resident memory as bars, and the counts beside them."""
    most = max(one.resident_bytes for one in samples)
    lines = [f"{'requests':>12}{'resident MiB':>14}{'objects':>10}{'threads':>9}{'files':>7}"]
    for one in samples:
        bar = "█" * round(30 * one.resident_bytes / most)
        counts = f"{one.objects.total():>10,}{one.threads:>9}{one.descriptors:>7}"
        lines.append(f"{one.answered:>12,}{one.resident_bytes / 2**20:>14.2f}{counts}  {bar}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Soaks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    if options.requests < SLICES * BATCH:
        parser.error(f"--requests: {SLICES * BATCH} at least")
    began = time.monotonic()
    samples, missing = soak(options.requests)
    print(f"\n{chart(samples)}\n{time.monotonic() - began:.0f} s")
    troubles = growth(samples)
    if missing:
        troubles.append(f"{missing} requests were not answered as they should be")
    print("\n".join(troubles) or "flat: nothing has grown")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
