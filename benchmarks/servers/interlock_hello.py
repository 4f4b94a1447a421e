"""Interlock with its own handler interface: the same content as the others."""

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


stock = "-s" in sys.argv
server = Server(Config(port=int(sys.argv[-1]), engine="stock" if stock else "sealed"), hello)
signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
server.start()
sys.exit(server.run())
