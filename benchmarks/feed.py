"""What a frame of the dashboard costs: processor time and bytes, by the number of connections.

    python -m benchmarks.feed [--connections 0 64 1000 5000]

A real server with that many idle connections; frames are made as its feed makes them, but one after
the other. It does not measure what sending a frame to a viewer costs, nor a server under load.
"""

from __future__ import annotations

import argparse
import socket
import time

from server.config import Config
from server.ops.frames import frame_of
from server.server import Server

FRAMES = 30
SETTLE_SECONDS = 1.0


def main() -> None:
    """Print a line for each number of connections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[0, 64, 1000, 5000])
    server = Server(Config(port=0))
    server.start()
    clients: list[socket.socket] = []
    for wanted in sorted(parser.parse_args().connections):
        while len(clients) < wanted:
            clients.append(socket.create_connection(server.address))
        time.sleep(SETTLE_SECONDS)
        began = time.thread_time()
        for _ in range(FRAMES):
            one = server._observer
            frame = frame_of(one.system, one.snapshot(), one.lanes())
        took = (time.thread_time() - began) / FRAMES
        print(f"{wanted:6} connections: {took * 1000:5.2f} ms a frame, {len(frame)} bytes")
    for client in clients:
        client.close()
    server.stop()


if __name__ == "__main__":
    main()
