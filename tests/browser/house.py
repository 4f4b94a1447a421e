"""A server for a browser to look at, and clients that give it something to show."""

from __future__ import annotations

import http.client
import threading
from typing import Any, Self

from server.config import Config
from server.server import Server


class House:
    """A server that runs, on a thread of its own."""

    def __init__(self, **settings: Any) -> None:
        usual = {"port": 0, "threads": 4, "drain_idle_seconds": 0.1, "event_retry_seconds": 0.1}
        self.server = Server(Config.of({**usual, **settings}))
        self.server.start()
        self.url = self.server.url
        self._thread = threading.Thread(target=self.server.run, name="supervisor")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.request_stop()
        self.join()

    @property
    def dashboard(self) -> str:
        return f"{self.url}/-/"

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "the server did not stop"

    def get(self, *targets: str) -> list[int]:
        """Ask for these on one connection; returns their statuses."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=30)
        found = []
        for target in targets:
            connection.request("GET", target)
            response = connection.getresponse()
            response.read()
            found.append(response.status)
        connection.close()
        return found

    def begin(self, *targets: str) -> threading.Thread:
        """The same, beside what the test does."""
        thread = threading.Thread(target=self.get, args=targets)
        thread.start()
        return thread
