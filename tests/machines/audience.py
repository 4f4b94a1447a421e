"""Subscribers of a house: clients that read event streams as browsers do, as fast as a test lets
them, and come back with what they know."""

from __future__ import annotations

from collections.abc import Mapping

from server.events import Subscription
from server.http1.messages import Events, Request, Response
from server.net.connection import Connection
from server.simulation.kernel import ENDLESS
from statemachine import Engine
from statemachine._generated import ConnectionState, SubscriptionState
from tests.event_stream import ChunkedDecoder, EventStreamParser, Message
from tests.fakes import FakeTransport
from tests.machines.house import House
from tests.machines.peers import Peer


def answer(request: Request) -> Response:
    """`/POLICY/CHANNEL,CHANNEL` is a stream, every other path a page."""
    _, policy, *rest = request.head.path.split("/")
    if policy not in ("lossless", "latest"):
        return Response(200, content=request.head.path.encode())
    after = request.head.fields.get("last-event-id") or ""
    content = Events(tuple(rest[0].split(",")), policy, after)  # type: ignore[arg-type] # narrowed
    return Response(200, (("Content-Type", "text/event-stream"),), content)


class Subscriber:
    """One client, over as many connections as it needs.

    `messages` is all that it has got, `came_with` the id with which it came last.
    """

    def __init__(self, audience: Audience, path: str) -> None:
        self._audience = audience
        self.path = path
        self.messages: list[Message] = []
        self.parser = EventStreamParser()
        self.transports: list[FakeTransport] = []
        self.come()

    def come(self, *, room: int = ENDLESS, minor: int = 1) -> None:
        """Connect, and ask for the stream after what it has."""
        fields = "Host: a\r\n"
        if self.parser.last_event_id:
            fields += f"Last-Event-ID: {self.parser.last_event_id}\r\n"
        comments = self.parser.comments
        self.came_with = self.parser.last_event_id
        self.parser = EventStreamParser()
        self.parser.last_event_id = self.parser._id = self.came_with
        self.parser.comments = comments
        self._decoder = ChunkedDecoder()
        self._read_bytes = 0
        self.head = b""
        transport = self._audience.house.visit()
        transport.room = room
        self.transports.append(transport)
        transport.peer_sends(f"GET {self.path} HTTP/1.{minor}\r\n{fields}\r\n".encode())
        self._coded = minor > 0

    @property
    def transport(self) -> FakeTransport:
        return self.transports[-1]

    @property
    def is_here(self) -> bool:
        return not self.transport.closed

    @property
    def ended_well(self) -> bool:
        """Whether the last stream came to the last chunk."""
        return self._decoder.ended

    def read(self) -> list[Message]:
        """What has come since this was asked last."""
        data = bytes(self.transport.received[self._read_bytes :])
        if not self.head:
            head, end, content = data.partition(b"\r\n\r\n")
            if not end:
                return []
            self.head, data = head + end, content
            assert self.head.startswith(b"HTTP/1.1 200 OK\r\n"), self.head
            self._read_bytes += len(self.head)
        self._read_bytes += len(data)
        found = self.parser.feed(self._decoder.feed(data) if self._coded else data)
        self.messages += found
        return found

    def connection(self) -> Connection:
        return self._audience.house.connection(self.transport)

    def subscription(self) -> Subscription:
        found = self.connection().subscription
        assert found is not None
        return found

    @property
    def state(self) -> SubscriptionState:
        return self.subscription().state

    @property
    def trail(self) -> list[str]:
        return self._audience.house.trails.get(self.transport, [])

    def data(self) -> list[str]:
        return [one.data for one in self.messages if one.type != "gap"]

    def gaps(self) -> list[Message]:
        return [one for one in self.messages if one.type == "gap"]


class Audience:
    """A house, and who listens to it."""

    def __init__(self, engine: Engine, settings: Mapping[str, object]) -> None:
        self.house = House(engine, self._handle, settings)
        self.subscribers: list[Subscriber] = []
        self.house.settle()

    def _handle(self, request: Request) -> Response:
        self.house.stage.pause()
        return answer(request)

    def subscriber(self, path: str = "/lossless/a") -> Subscriber:
        """A client whose stream has begun."""
        one = Subscriber(self, path)
        self.subscribers.append(one)
        self.settle()
        return one

    def publish(self, *data: str, channel: str = "a") -> None:
        for one in data:
            self.house.hub.publish(channel, one)

    def remembered(self) -> set[str]:
        """The channels of which the hub has an event."""
        return {name for name, channel in self.house.hub._channels.items() if len(channel)}

    def settle(self) -> None:
        """Everything happens that happens by itself; everybody reads what has come."""
        self.house.settle()
        for one in self.subscribers:
            one.read()

    def advance(self, seconds: float) -> None:
        self.house.advance(seconds)
        self.settle()

    def ask(self, path: str = "/plain/1") -> Peer:
        """A client with another request."""
        peer = Peer(self.house.visit())
        peer.ask("GET", path)
        peer.deliver()
        return peer

    def end(self) -> None:
        """Everybody reads all there is; then the house is drained and found empty."""
        for transport in self.house.transports:
            transport.room = ENDLESS
        self.house.end()
        assert not self.house.hub._news
        left = [
            one for channel in self.house.hub._channels.values() for one in channel.subscriptions
        ]
        assert left == []
        for one in self.subscribers:
            one.read()


def is_streaming(connection: Connection) -> bool:
    return connection.state is ConnectionState.STREAMING
