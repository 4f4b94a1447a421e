"""What one open dashboard costs the requests beside it: processor time a request, with and without.

    python -m benchmarks.viewer [--connections 64] [--seconds 1] [--rounds 20]

One server, "hello", on the first core; wrk and the viewer on the last. A viewer is what
html/dashboard.js is to the server: who has asked for `/-/feed`, and reads it. The rounds are short
and take turns, so that neighbours meet both alike. Printed are the least and the median, in
microseconds of the server's processor time a request, the median of the pairs' own ratios, and how
many frames a second the viewer had. The first pair warms up, and is left out. Needs `wrk`.

It does not measure: the browser, more than one viewer, the drawer of a state, which asks for a page
of connections each second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
START_SECONDS_MAX = 20.0
FRAME = b"event: frame\n"
REQUESTS = re.compile(r"(\d+) requests in")


class Viewer:
    """Reads the feed on a thread of its own, from when it has come to when it is closed."""

    def __init__(self, port: int) -> None:
        self.frames = self.octets = 0
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"GET /-/feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while data := self._socket.recv(1 << 16):
            self.frames += data.count(FRAME)
            self.octets += len(data)

    def close(self) -> None:
        """Leave, as a browser does whose tab is closed."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def server(core: int) -> Iterator[tuple[int, int]]:
    """A server that says hello: its port and its process."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    pin = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    command = [*pin, sys.executable, str(HERE / "servers" / "interlock_hello.py"), str(port)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def processor_seconds(process: int) -> float:
    """Of all threads of another process, as its clock has them: clock_getcpuclockid(3)."""
    return time.clock_gettime(~process << 3 | 2)


def load(port: int, process: int, connections: int, seconds: int) -> float:
    """Microseconds of the server's processor time a request."""
    before = processor_seconds(process)
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
        capture_output=True,
        text=True,
        check=True,
    )
    used = processor_seconds(process) - before
    found = REQUESTS.search(run.stdout)
    if found is None or "Non-2xx" in run.stdout or found[1] == "0":
        raise SystemExit(f"wrk failed:\n{run.stdout}{run.stderr}")
    return 1e6 * used / int(found[1])


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("benchmarks/viewer.py needs wrk: apt-get install wrk", file=sys.stderr)
        return 1
    cores = sorted(os.sched_getaffinity(0))
    print(f"Python {platform.python_version()}, {len(cores)} cores, {options.connections} kept")
    alone: list[float] = []
    watched: list[float] = []
    frames = octets = 0
    lasted = 0.0
    with server(cores[0]) as (port, process):
        os.sched_setaffinity(0, {cores[-1]})
        for _ in range(options.rounds + 1):
            alone.append(load(port, process, options.connections, options.seconds))
            viewer, began = Viewer(port), time.monotonic()
            watched.append(load(port, process, options.connections, options.seconds))
            lasted += time.monotonic() - began
            viewer.close()
            frames, octets = frames + viewer.frames, octets + viewer.octets
    del alone[0], watched[0]
    for name, found in (("no viewer", alone), ("one viewer", watched)):
        print(f"  {name:<11} {min(found):6.2f} us least, {statistics.median(found):6.2f} median")
    ratios = [two / one for one, two in zip(alone, watched, strict=True)]
    print(
        f"  ratio       {min(watched) / min(alone):6.3f} of the least, "
        f"{statistics.median(ratios):.3f} median of the pairs"
    )
    print(
        f"  frames      {frames / lasted:6.2f} a second, {octets / max(frames, 1):,.0f} bytes each"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
