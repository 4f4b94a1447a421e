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
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server import error_log
from server.app.wsgi import wsgi
from server.composing import make_hub
from server.config import Config
from server.errors import ConfigError, StartError
from server.server import Server as ComposedServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

LOG = logging.getLogger("interlock.server")


class Server(ComposedServer):
    """A server for one application, inside of a program that does other things too.

    `with` starts it, on a port that is open when the block begins, and drains it at the block's
    end. `url` and `address` say where it listens; `events.publish` reaches those who subscribe to
    its channels, from any thread (docs/events.md). The program's signals stay its own.

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
        config = Config.of({**settings, **named})
        if config.processes > 1:
            raise ConfigError("--processes is for serve() and the command line, expected 1 here")
        events = make_hub(config)
        super().__init__(config, wsgi(app, events=events), events=events)


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

    With `processes=N` there are several, each of which imports the application by the name by which
    a module has it. SIGHUP replaces them one after the other (docs/processes.md).
    """
    if settings.get("processes", 1) != 1:
        named = {**settings, "app": _name_of(app), "host": host, "port": port, "threads": threads}
        return _serve_with_several(Config.of(named))
    server = Server(app, host=host, port=port, threads=threads, **settings)
    with _signals_of(server), _log_of(server.config):
        server.start()
        LOG.info("serving on %s", server.url)
        return server.run()


def _serve_with_several(config: Config) -> int:
    from server.processes.serving import serve_with  # noqa: PLC0415 - one process needs none

    status, total, why = serve_with(config, lambda url: LOG.info("serving on %s", url))
    LOG.info("%s", total)
    if why:
        raise StartError(why)
    return status


def _name_of(app: WSGIApplication) -> str:
    """The application as `--app` names it. Raises ConfigError if no module has it by a name."""
    home = getattr(app, "__module__", "")
    for name, module in sorted(sys.modules.items(), key=lambda pair: pair[0] != home):
        if name != "__main__":
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is app:
                    return f"{name}:{attribute}"
    raise ConfigError(
        "--processes needs an application that other processes can import, expected one that a "
        "module other than the program itself has by a name"
    )


@contextmanager
def _log_of(config: Config) -> Iterator[None]:
    """Log to the file that was asked for. Without one, what is logged is the program's to route."""
    if not config.log_file:
        yield
        return
    handler = error_log.install(config)
    try:
        yield
    finally:
        error_log.remove(handler)


@contextmanager
def _signals_of(server: Server) -> Iterator[None]:
    """Let signals stop the server, or dump; whoever had them before has them again afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = {signal.SIGINT: server.request_stop, signal.SIGTERM: server.request_stop}
    if hasattr(signal, "SIGUSR1"):
        asked[signal.SIGUSR1] = server.request_dump
    if hasattr(signal, "SIGHUP") and server.config.has_log_files:
        asked[signal.SIGHUP] = server.request_reopen
    before = [signal.signal(number, lambda *_, ask=ask: ask()) for number, ask in asked.items()]
    try:
        yield
    finally:
        for number, handler in zip(asked, before, strict=True):
            # None: what was there was not installed from Python, and cannot be put back by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
