"""A house and the peers who visit it, for one test."""

from __future__ import annotations

import random
from collections.abc import Mapping

from server.http1.messages import Request, Response
from statemachine import Engine
from tests.fakes import FakeTransport
from tests.machines.house import House
from tests.machines.peers import Answers, Peer


class Scene:
    """One test's house. `end` is the oracle of every test that uses it."""

    def __init__(
        self, engine: Engine, settings: Mapping[str, object], *, observed: bool = True
    ) -> None:
        self.house = House(engine, self._handle, settings, observed=observed)
        self.answers = Answers(self.house.disk)
        self.peers: list[Peer] = []
        self.house.settle()

    def _handle(self, request: Request) -> Response:
        self.house.stage.pause()
        return self.answers(request)

    def peer(self) -> Peer:
        """A client that has connected, and been accepted if the reactor had its turn since."""
        peer = Peer(self.house.visit())
        self.peers.append(peer)
        return peer

    def asking(self, *paths: str, method: str = "GET") -> Peer:
        """A client that has sent these requests at once."""
        peer = self.peer()
        for path in paths:
            peer.ask(method, path)
        peer.deliver()
        return peer

    def trail(self, peer: Peer) -> list[str]:
        return self.house.trails.get(peer.transport, [])

    def shown(self) -> list[FakeTransport]:
        """Everybody who was let in."""
        return [t for t in self.house.transports if t not in self.house.porch.waiting]

    def end(self, rng: random.Random | None = None, *, struck: bool = False) -> None:
        """Everybody reads all there is; then the house is drained and found empty.

        `struck`: workers were torn out, which costs the exchanges that they were at, and is logged.
        """
        for peer in self.peers:
            peer.transport.room = 1 << 40
        self.house.end(rng, struck=struck)
        for peer in self.peers:
            peer.check(self.trail(peer), struck=struck)
