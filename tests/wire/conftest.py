"""Real servers on real sockets, each one watched from its first arrow to its last.

Beside the witness, which judges in the process, each test's servers write a trace on one of the two
engines. It is replayed when the test has ended, and so is what the flight recorder has then.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from server.config import Config
from server.net.desk import Handler
from server.server import Server, sound_system
from statemachine.ground import Ground
from statemachine.replay import Replay
from statemachine.replaying import judged, opened
from tests.clock import ManualClock
from tests.wire.client import Client
from tests.witness import Witness, without


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

    def __init__(self, engine: str, folder: Path, *, traced: bool) -> None:
        self.engine = engine
        self.folder = folder
        self.traced = traced
        self.breaks: tuple[str, ...] = ()
        self.running: list[Served] = []

    def __call__(
        self,
        handler: Handler | None = None,
        *,
        clock: ManualClock | None = None,
        breaks: tuple[str, ...] = (),
        **settings: Any,
    ) -> Served:
        """A server that serves. `breaks` are properties that the test means to see broken."""
        self.breaks = breaks
        witness = Witness(without(sound_system(), *breaks))
        # Nobody should wait for a peer of a test that has ended.
        usual = {"port": 0, "linger_seconds_max": 0.2, "drain_idle_seconds": 0.0}
        settings = {**usual, "flight_dir": str(self.folder), **settings}
        if self.traced:
            settings.setdefault("trace", str(self.folder / f"{len(self.running)}.trace"))
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
        for served in self.running:
            served.server._recording.dump("the test has ended")
        files = [*self.folder.glob("*.trace"), *self.folder.glob("*.jsonl")]
        assert len(files) >= len(self.running)
        for file in files:
            replayed(file, *self.breaks)


def replayed(file: Path, *breaks: str) -> Replay:
    """A trace or a dump, judged, but for these properties. Raises IllegalTrace or TraceError."""
    with opened(sound_system(), file) as trace:
        return judged(_ground(breaks), trace)


@functools.cache
def _ground(breaks: tuple[str, ...]) -> Ground:
    return Ground(without(sound_system(), *breaks))


@pytest.fixture(params=["sealed", "stock"])
def serve(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serve]:
    before, descriptors = threading.active_count(), _descriptors()
    # One test in two is traced on the sealed engine, the other on stock.
    turn = zlib.crc32(request.node.originalname.encode()) % 2
    traced = turn == ["sealed", "stock"].index(request.param)
    serve = Serve(request.param, tmp_path_factory.mktemp("records"), traced=traced)
    yield serve
    serve.close()
    for thread in threading.enumerate():  # what outlasted a forced stop ends with its handler
        if thread.name == "reactor" or thread.name.startswith("worker_"):
            thread.join(30)
    assert threading.active_count() == before, threading.enumerate()
    assert _descriptors() == descriptors, "descriptors were leaked"


def _descriptors() -> dict[str, str]:
    """What this process has open, by number, where the system tells."""
    folder, found = Path("/proc/self/fd"), {}
    for number in os.listdir(folder) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # the one by which the folder was read
            found[number] = os.readlink(folder / number)
    # `multiprocessing` keeps its memory for the process's whole life; werkzeug's debugger asks it.
    return {number: file for number, file in found.items() if "/pym-" not in file}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small site."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<title>home</title>\n")
    (site / "404.html").write_text("<title>not here</title>\n")
    (site / "style.css").write_text("p { color: teal }\n")
    return site
