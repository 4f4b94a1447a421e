"""Talks to a reader in bytes and writes down what it told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from server.config import Config
from server.errors import ProtocolError
from server.http1.chunked import ChunkedReader
from server.http1.events import ContentPiece, EndOfRequest, NeedData, PeerEnded
from server.http1.head import WholeHead
from server.http1.messages import NO_FIELDS, Fields, RequestHead
from server.http1.reader import RequestReader
from server.http1.writer import ResponseWriter
from statemachine import Binder, Engine, load_system
from statemachine._generated import RequestState
from statemachine.ahead import IS_COMPILED

ENGINES: tuple[Engine, ...] = ("sealed", "stock")
ENGINES_HERE = ENGINES[:1] if IS_COMPILED else ENGINES
"""What examples draw from: a compiled class runs on the sealed engine alone."""

SMALL = Config(
    request_line_bytes_max=256,
    field_line_bytes_max=256,
    head_bytes_max=1024,
    fields_max=10,
    body_bytes_max=100,
    chunk_line_bytes_max=64,
    trailer_bytes_max=128,
)
"""Limits that a file of the corpus can reach."""


@dataclass(frozen=True)
class Bound:
    """The room's three classes on one engine."""

    reader: type[RequestReader]
    chunked: type[ChunkedReader]
    writer: type[ResponseWriter]

    def make_reader(
        self, config: Config = SMALL, whole_head: WholeHead | None = None
    ) -> RequestReader:
        return self.reader(config, self.chunked, whole_head)


@lru_cache
def bound_to(engine: Engine) -> Bound:
    binder = Binder(load_system(), engine=engine)
    return Bound(
        binder.bind(RequestReader), binder.bind(ChunkedReader), binder.bind(ResponseWriter)
    )


@dataclass
class Told:
    """One request as the events told it. `whole` is whether its end was told."""

    head: RequestHead
    content: bytes = b""
    trailers: Fields = NO_FIELDS
    whole: bool = False


@dataclass
class Outcome:
    """What a connection's bytes came to."""

    requests: list[Told]
    state: RequestState
    ended: PeerEnded | None = None
    status: int | None = None
    message: str = ""
    taken_whole: int = field(default=0, compare=False)

    def without_message(self) -> Outcome:
        return Outcome(self.requests, self.state, self.ended, self.status)


def pump(reader: RequestReader, outcome: Outcome) -> None:
    """Ask until nothing more can be said, renewing after each whole request.

    Each event but the end of a request consumes a byte, and two requests more than one.
    """
    for _ in range(reader.buffered + 4):
        match reader.next_event():
            case NeedData():
                return
            case PeerEnded() as ended:
                outcome.ended = ended
                return
            case RequestHead() as head:
                outcome.requests.append(Told(head))
            case ContentPiece(data):
                assert data, "a piece is never empty"
                outcome.requests[-1].content += data
            case EndOfRequest():
                outcome.requests[-1].whole = True
                outcome.requests[-1].trailers = reader.trailers
                reader.renew()
    raise AssertionError("the reader tells more than it was given")


def read(
    pieces: Iterable[bytes],
    *,
    bound: Bound | None = None,
    config: Config = SMALL,
    whole_head: WholeHead | None = None,
    shortcut: bool = True,
) -> Outcome:
    """Feed the pieces, then the peer's end, and tell what came of it.

    The reader's `shortcut` is tried first for each piece, as the server does.
    """
    reader = (bound or bound_to("sealed")).make_reader(config, whole_head)
    outcome = Outcome([], reader.state)
    try:
        for piece in pieces:
            if piece:
                whole = reader.take_whole(piece) if shortcut else None
                if whole is None:
                    reader.receive(piece)
                else:
                    outcome.requests.append(Told(*whole))
                    outcome.taken_whole += 1
                pump(reader, outcome)
        reader.receive(b"")
        pump(reader, outcome)
    except ProtocolError as error:
        outcome.status, outcome.message = error.status, str(error)
    outcome.state = reader.state
    return outcome


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The pieces of `data` between sorted cuts."""
    marks = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(marks)]


def refusal(decision: Callable[[], object]) -> ProtocolError | None:
    """Why the decision refused what it was given; None if it did not."""
    try:
        decision()
    except ProtocolError as error:
        return error
    return None
