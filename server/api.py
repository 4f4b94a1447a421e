"""The server as a library: a WSGI application (PEP 3333) in, HTTP/1.1 out.

    from server import serve
    sys.exit(serve(application, port=8000, threads=8))

    with Server(application, port=0) as server:
        urllib.request.urlopen(server.url)

Every field of `server.config.Config` is a setting: `serve(application, idle_seconds_max=5.0)`.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.types import WSGIApplication

from server.app.wsgi import wsgi
from server.config import Config
from server.server import Server as ComposedServer

LOG = logging.getLogger("interlock.server")


class Server(ComposedServer):
    """A server for one application, inside of a program that does other things too.

    `with` starts it, on a port that is open when the block begins, and drains it at the block's
    end. `url` and `address` say where it listens. The program's signals stay its own.

    Raises ConfigError for a setting that cannot be used, TypeError for one that does not exist; at
    the start, StartError where the environment does not allow it.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        host: str = "127.0.0.1",
        port: int = 7878,
        threads: int = 4,
        **settings: object,
    ) -> None:
        named = {"host": host, "port": port, "threads": threads}
        super().__init__(Config.of({**settings, **named}), wsgi(app))


def serve(
    app: WSGIApplication,
    *,
    host: str = "127.0.0.1",
    port: int = 7878,
    threads: int = 4,
    **settings: object,
) -> int:
    """Serve `app` until SIGINT or SIGTERM drains the server, and return the exit status.

    A second signal cuts off what is left. Signals are the main thread's: called from another one,
    this serves as long as the process lives. Raises as Server does.
    """
    server = Server(app, host=host, port=port, threads=threads, **settings)
    with _signals_of(server):
        server.start()
        LOG.info("serving on %s", server.url)
        return server.run()


@contextmanager
def _signals_of(server: Server) -> Iterator[None]:
    """Let the stop signals stop the server; whoever had them before has them again afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: server.request_stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            # None: what was there was not installed from Python, and cannot be put back by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
