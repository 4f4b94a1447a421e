"""Interlock with its own handler interface: the same content as the others.

-s: on the stock engine; -n: without the flight recorder; -o: nothing counted for an operator; -t:
with a trace, to be thrown away.
"""

from __future__ import annotations

import signal
import sys

from server.config import Config
from server.http1.messages import Request, Response
from server.server import Server

CONTENT = b"<h1>hello</h1>\n" * 14
FIELDS = (("Content-Type", "text/html"),)


def hello(_: Request) -> Response:
    """The same answer to every request."""
    return Response(200, FIELDS, CONTENT)


config = Config(
    port=int(sys.argv[-1]),
    engine="stock" if "-s" in sys.argv else "sealed",
    flight_events_max=0 if "-n" in sys.argv else 4096,
    ops_bind="off" if "-o" in sys.argv else "",
    trace="/dev/null" if "-t" in sys.argv else "",
)
server = Server(config, hello)
signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
server.start()
sys.exit(server.run())
