"""What a frame of the dashboard costs: processor time and bytes, by the number of connections.

    python -m benchmarks.feed [--connections 0 64 1000 10000]

A real server with that many idle connections, whose other ends another process holds; frames are
made as its feed makes them, but one after the other. Printed are the least and the median. It does
not measure what sending a frame to a viewer costs, nor a server under load: benchmarks/viewer.py.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from server.config import Config
from server.ops.frames import frame_of
from server.server import Server

FRAMES = 60
SETTLE_SECONDS = 1.0

HOLDER = """
import socket, sys
address, held = (sys.argv[1], int(sys.argv[2])), []
for line in sys.stdin:
    while len(held) < int(line):
        held.append(socket.create_connection(address))
    print(len(held), flush=True)
"""
"""With both ends in one process, it may not have enough descriptors for ten thousand."""


@contextlib.contextmanager
def clients(host: str, port: int) -> Iterator[Callable[[int], None]]:
    """Somebody who connects until there are so many."""
    command = [sys.executable, "-c", HOLDER, host, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        orders, answers = holder.stdin, holder.stdout

        def have(count: int) -> None:
            orders.write(f"{count}\n")
            if answers.readline() != f"{count}\n":
                raise SystemExit(f"there cannot be {count} connections: see ulimit -n")

        yield have
        orders.close()


def main() -> None:
    """Print a line for each number of connections."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, nargs="+", default=[0, 64, 1000, 10_000])
    wanted = sorted(parser.parse_args().connections)
    server = Server(Config(port=0, connections_max=max(*wanted, 1) + 1, idle_seconds_max=600.0))
    server.start()
    one = server._observer
    with clients(*server.address) as have:
        for count in wanted:
            have(count)
            time.sleep(SETTLE_SECONDS)
            took, frame = [], ""
            for _ in range(FRAMES):
                began = time.thread_time()
                frame = frame_of(one.system, one.snapshot(), one.lanes())
                took.append(1000 * (time.thread_time() - began))
            print(
                f"{count:6} connections: {min(took):5.2f} ms a frame at least, "
                f"median {statistics.median(took):5.2f}; {len(frame)} bytes"
            )
    server.stop()


if __name__ == "__main__":
    main()
