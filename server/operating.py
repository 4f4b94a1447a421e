"""Where a server meets its operator: the pages, below `/-/` of its own port or on a listener of
their own, and the control socket.

A listener of their own is a second, small server in the same process. So the pages are answered
while every worker of the first is stuck.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from server.config import KIB, Config, html_folder
from server.errors import StartError
from server.http1.messages import Request, Response
from server.net.threads import Thread, Threading
from server.ops.addresses import host_of, is_loopback
from server.ops.feed import Feed
from server.ops.prefix import PREFIX, Handler, parting
from server.ops.settings import check_reach, door_of, own_address

if TYPE_CHECKING:
    # Most servers start, and stop, without an operator who asks.
    from server.ops.control import Control
    from server.ops.orders import Commanded
    from server.ops.pages import Overview

LOG = logging.getLogger("interlock.ops")

THREADS: Final = 2


class Runs(Protocol):
    """What runs aside: a `server.server.Server`."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def run(self) -> int: ...
    def stop(self) -> int: ...
    def request_stop(self) -> None: ...


class Operating:
    """What `shown()` shows and `feed` tells, and where; what `commanded` is ordered to do, and
    where. One of several processes is not ordered about: `commanded` is None, and what has a
    listener of its own is their parent's. `shown` is called when somebody asks.

    `make` makes the second server of its Config and handler.

    Threads: `open` and `close` belong to the one that starts and stops the server.
    """

    def __init__(
        self,
        config: Config,
        shown: Callable[[], Overview],
        feed: Feed,
        commanded: Commanded | None,
        *,
        make: Callable[[Config, Handler], Runs],
        threading: Threading,
    ) -> None:
        self._config = config
        self._shown = shown
        self._feed = feed
        self._commanded = commanded
        self._make = make
        self._threading = threading
        self._pages: Handler | None = None
        self._aside: Runs | None = None
        self._control: Control | None = None
        self._threads: list[Thread] = []

    @property
    def url(self) -> str | None:
        """The root of the pages that have a listener of their own; None where they have none."""
        return None if self._aside is None else self._aside.url + PREFIX

    def open(self) -> None:
        """Begin to listen for the operator. Raises StartError or ConfigError."""
        own = own_address(self._config)
        # What the Config may have wrong is told at the start. Without it nothing can be wrong.
        if own is not None or self._config.ops_token_file:
            self._pages = self._make_pages()
        if self._commanded is None:
            return
        if self._config.ctl_socket:
            self._open_control(self._config.ctl_socket, self._commanded)
        if own is not None:
            check_reach(self._config, own)
            self._open_aside(self._make(_beside(self._config, own), self._answer))

    def _make_pages(self) -> Handler:
        from server.ops.assets import assets_of  # noqa: PLC0415 - who shows none needs none
        from server.ops.pages import Pages  # noqa: PLC0415 - as above

        door = door_of(self._config)
        return Pages(self._shown(), door, self._feed.page, assets_of(html_folder()))

    def _answer(self, request: Request) -> Response:
        """A page; the first one that is asked for makes them. Threads: any."""
        pages = self._pages
        if pages is None:
            # Two who are first make them twice: without a token nothing in them changes.
            try:
                self._pages = pages = self._make_pages()
            except (OSError, ImportError) as error:
                return _not_now(error)
        return pages(request)

    def _open_control(self, path: str, commanded: Commanded) -> None:
        from server.ops.control import Control  # noqa: PLC0415 - who takes none needs none
        from server.ops.orders import orders_of  # noqa: PLC0415 - as above

        control = Control(path, orders_of(commanded, self._shown()))
        try:
            control.open()
            self._give_thread(control.serve, "control")
        except StartError:
            control.close()
            raise
        self._control = control

    def _open_aside(self, aside: Runs) -> None:
        aside.start()
        try:
            self._give_thread(aside.run, "ops")
        except StartError:
            aside.stop()
            raise
        self._aside = aside
        LOG.info("the operator's pages are on %s", self.url)

    def _give_thread(self, target: Callable[[], object], name: str) -> None:
        thread = self._threading.Thread(target=target, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise StartError(f"cannot start a thread: {error}") from None
        self._threads.append(thread)

    def close(self) -> None:
        """End what is open, and wait until it has."""
        if self._aside is not None:
            self._aside.request_stop()
        if self._control is not None:
            self._control.ring()
        for thread in self._threads:
            thread.join()
        if self._control is not None:
            self._control.close()
        self._aside = self._control = None
        self._threads.clear()

    def reserved(self, host: str) -> tuple[str, Handler] | None:
        """The prefix of the pages and their handler, in a server that listens on this address:
        None where others than this machine may reach it.
        """
        if not _are_reserved(self._config, host):
            return None
        several = self._commanded is None
        return PREFIX, parting(self._answer) if several else self._answer


def _not_now(error: Exception) -> Response:
    """The answer where there are no descriptors to read the pages with, as there may be soon."""
    # What the import system believes of a folder that it could not open must not stay.
    importlib.invalidate_caches()
    LOG.error("the operator's pages cannot be read: %s", error)
    fields = ("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "1")
    return Response(503, fields, b"these pages cannot be read now: the error log says why\n")


def tell_where(config: Config, url: str) -> None:
    """Log where the pages are, if they are on the port of a server that is met at `url`. Those that
    have a listener of their own are told of when it is opened.
    """
    if _are_reserved(config, host_of(url.partition("//")[2])):
        LOG.info("the operator's pages are on %s", url + PREFIX)


def _are_reserved(config: Config, host: str) -> bool:
    return not config.ops_bind and is_loopback(host)


def _beside(config: Config, address: tuple[str, int]) -> Config:
    """How the second server runs: nothing is counted of it, and at the end nobody waits for its
    peers.
    """
    return Config(
        host=address[0],
        port=address[1],
        threads=THREADS,
        engine=config.engine,
        ops_bind="off",
        flight_events_max=0,
        body_bytes_max=64 * KIB,
        connections_max=64,
        drain_seconds_max=1.0,
        drain_idle_seconds=0.0,
        linger_seconds_max=0.5,
    )
