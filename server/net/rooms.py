"""What the rooms of one server are given at its start. Nothing in it changes afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from server.clock import Clock
from server.config import Config
from server.events import Hub, Subscription
from server.http1.messages import Events
from server.net.connection import Connection
from server.net.deadlines import Patience
from server.net.listener import Listener
from server.net.pipe import Pipe
from server.net.poller import Poller
from server.net.pool import Job, Pool
from server.net.reservoir import Reservoir
from server.net.responder import Responder
from server.net.transport import Transport
from statemachine._generated import ServerMachine


@dataclass(frozen=True, slots=True)
class Makers:
    """The bound classes that the reactor makes objects of."""

    connection: Callable[[Transport], Connection]
    pipe: Callable[[], Pipe]
    exchange: Callable[[Connection], Job]
    subscription: Callable[[Events], Subscription]


class Viewers(NamedTuple):
    """Whoever watches the server at work subscribes to `channel`; without a name there is none.
    `last` publishes what there is to say before they leave. It must not raise.
    """

    channel: str = ""
    last: Callable[[], object] = object


class Rooms(NamedTuple):
    """`lifecycle` is the server's machine: it is read in every room, and moved in none of them.

    `alarm` is told, in a few words, of what must not happen and did. The `viewers` are told of
    the drain, and so are the last to leave.
    """

    config: Config
    clock: Clock
    poller: Poller
    listener: Listener
    pool: Pool
    responder: Responder
    makers: Makers
    patience: Patience
    lifecycle: ServerMachine
    reservoir: Reservoir
    hub: Hub
    alarm: Callable[[str], object] = str
    viewers: Viewers = Viewers()
