"""Real servers on real sockets, each one watched from its first arrow to its last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from server.config import Config
from server.net.exchange import Handler
from server.server import Server, sound_system
from tests.clock import ManualClock
from tests.wire.client import Client
from tests.witness import Witness


def whole(content: bytes | BinaryIO) -> bytes:
    """A request's content, wherever it was kept."""
    return content if isinstance(content, bytes) else content.read()


class Served:
    """A running server, its witness and its clients."""

    def __init__(self, server: Server, witness: Witness, clock: ManualClock | None) -> None:
        self.server = server
        self.witness = witness
        self.clock = clock
        self.clients: list[Client] = []
        self.supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self.exit_status: int | None = None

    def _supervise(self) -> None:
        self.exit_status = self.server.run()

    def client(self) -> Client:
        client = Client(self.server.address)
        self.clients.append(client)
        return client

    def send(self, data: bytes) -> Client:
        client = self.client()
        client.send(data)
        return client

    def advance(self, seconds: float) -> None:
        """Let time pass, and let the server notice."""
        assert self.clock is not None
        self.clock.advance(seconds)
        self.nudge()

    def nudge(self) -> None:
        """Return when the reactor has had a whole turn after this call, or has ended."""
        for _ in range(2):
            turned = threading.Event()
            self.reactor.ask(turned.set)
            while not turned.wait(0.1) and self.supervisor.is_alive():
                pass

    @property
    def reactor(self) -> Any:
        house = self.server._house
        assert house is not None
        return house.reactor

    def taken(self, arrow: str) -> int:
        """How often an arrow was taken."""
        return self.witness.recorder.coverage()[arrow]

    def until_taken(self, arrow: str, times: int = 1) -> None:
        """Return when an arrow has been taken so often: what a peer sees comes a little earlier."""
        while self.taken(arrow) < times:
            self.nudge()

    def stop(self) -> int:
        """Drain, and wait for the end."""
        self.server.request_stop()
        return self.wait()

    def wait(self) -> int:
        self.supervisor.join(60)
        assert self.exit_status is not None, "the server did not stop"
        return self.exit_status


class Serve:
    """Starts servers for one test, and holds each one's whole trace against the spec at its end."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.running: list[Served] = []

    def __call__(
        self, handler: Handler | None = None, *, clock: ManualClock | None = None, **settings: Any
    ) -> Served:
        witness = Witness(sound_system())
        # Nobody should wait for a peer of a test that has ended.
        settings = {"port": 0, "linger_seconds_max": 0.2, "drain_idle_seconds": 0.0} | settings
        config = Config.of({"engine": self.engine, **settings})
        server = Server(config, handler, clock=clock, hook=witness)
        server.start()
        served = Served(server, witness, clock)
        served.supervisor.start()
        self.running.append(served)
        return served

    def close(self) -> None:
        for served in self.running:
            for client in served.clients:
                client.close()
            if served.supervisor.is_alive():
                served.server.request_stop()
                if served.clock is not None:
                    served.advance(1000)
            served.wait()
        faults = [fault for served in self.running for fault in served.witness.faults()]
        assert faults == []


@pytest.fixture(params=["sealed", "stock"])
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    before = threading.active_count()
    serve = Serve(request.param)
    yield serve
    serve.close()
    for thread in threading.enumerate():  # what outlasted a forced stop ends with its handler
        if thread.name == "reactor" or thread.name.startswith("worker_"):
            thread.join(30)
    assert threading.active_count() == before, threading.enumerate()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small site."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<title>home</title>\n")
    (site / "404.html").write_text("<title>not here</title>\n")
    (site / "style.css").write_text("p { color: teal }\n")
    return site
