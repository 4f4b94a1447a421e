"""What makes the objects that come and go with connections and requests."""

from __future__ import annotations

from functools import partial
from typing import Protocol, TypeVar

from server.config import Config
from server.events import Subscription
from server.http1.chunked import ChunkedReader
from server.http1.head import kept_heads
from server.http1.messages import Events
from server.http1.reader import RequestReader
from server.net.connection import Connection
from server.net.desk import Desk
from server.net.exchange import Exchange
from server.net.files import Files
from server.net.intake import Intake
from server.net.pipe import Pipe
from server.net.reservoir import Reservoir
from server.net.rooms import Makers
from server.net.threads import Threading
from server.net.transport import Transport
from statemachine import Model

M = TypeVar("M", bound=Model)


class Bind(Protocol):
    """`statemachine.Binder.bind`."""

    def __call__(self, model: type[M]) -> type[M]: ...


def makers_of(
    bind: Bind,
    config: Config,
    threading: Threading,
    files: Files,
    reservoir: Reservoir,
    desk: Desk,
) -> Makers:
    """One server's. Raises what `bind` does."""
    reader_type, chunked_type = bind(RequestReader), bind(ChunkedReader)
    connection_type, exchange_type = bind(Connection), bind(Exchange)
    pipe_type, subscription_type = bind(Pipe), bind(Subscription)
    # Shared by all connections, so that what one client sends again and again is read once.
    whole_head = kept_heads(config)

    def connection(transport: Transport) -> Connection:
        return connection_type(
            transport,
            reader_type(config, chunked_type, whole_head),
            Intake(config.body_memory_bytes_max, reservoir, files),
        )

    def pipe() -> Pipe:
        return pipe_type(
            threading,
            reservoir,
            memory_bytes_max=config.relay_memory_bytes_max,
            file_bytes_max=config.relay_file_bytes_max,
            files=files,
        )

    def subscription(events: Events) -> Subscription:
        return subscription_type(
            events.channels,
            policy=events.policy,
            after=events.after,
            gaps_max=config.event_gaps_max,
        )

    return Makers(
        connection=connection,
        pipe=pipe,
        exchange=partial(exchange_type, desk),
        subscription=subscription,
    )
