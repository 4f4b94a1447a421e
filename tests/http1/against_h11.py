"""The same bytes read by h11 and by us: where do we disagree, and who is right?

h11 is an independent reader of HTTP/1.1, written from the same RFCs. Both readers are given all
that a client sends on one connection, and their first disagreement is named: by what we say if we
refuse what h11 takes, by what h11 says if it refuses what we take, by the attribute if both take
the message and read something else. Each name must be in the table of `disagreements.py`, with its
verdict; a disagreement that is not there fails the test, and is a finding of the fuzzer.

From the command line: `python -m tests.http1.against_h11 --messages 100000 --seed 1`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import h11

from server.config import Config
from server.errors import ProtocolError
from server.http1.events import ContentPiece, EndOfRequest, NeedData, PeerEnded
from server.http1.messages import RequestHead
from tests.http1.disagreements import Disagreement, verdict_on
from tests.http1.generate import Author
from tests.http1.talk import bound_to

Lines = list[tuple[bytes, bytes]]

WIDE = Config(body_bytes_max=1 << 20)
"""Limits as a server has them, few of which a test reaches: h11 has but one, so ours must not be
what we disagree on.
"""

ROOM_BYTES = 1 << 20
"""What h11 may keep of a head: more than any message of a test has."""


@dataclass
class Read:
    """One request as a reader told it. `end` is the offset of the byte after it, once `whole`."""

    method: bytes
    target: bytes
    fields: Lines
    minor: int
    content: bytes = b""
    trailers: Lines = field(default_factory=list)
    persists: bool = True
    end: int = -1

    @property
    def whole(self) -> bool:
        return self.end >= 0


@dataclass
class Reading:
    """What one reader made of a connection: its requests up to the last that persists, and why it
    took no further one. `refusal` is empty where the client ended, well or not.
    """

    requests: list[Read] = field(default_factory=list)
    refusal: str = ""
    status: int = 0


def ours(wire: bytes) -> Reading:
    """The connection as our reader reads it, given at once."""
    reader, reading = bound_to("sealed").make_reader(WIDE), Reading()
    for piece in [wire, b""] if wire else [b""]:
        reader.receive(piece)
    try:
        # Each event but the end of a request consumes a byte.
        for _ in range(2 * len(wire) + 4):
            match reader.next_event():
                case PeerEnded() | NeedData():
                    return reading
                case RequestHead() as head:
                    reading.requests.append(_of_head(head))
                case ContentPiece(data):
                    reading.requests[-1].content += data
                case EndOfRequest():
                    request = reading.requests[-1]
                    request.trailers = _lowered(reader.trailers.lines)
                    request.end = len(wire) - reader.buffered
                    if not request.persists:
                        return reading
                    reader.renew()
    except ProtocolError as error:
        reading.refusal, reading.status = str(error), error.status
        return reading
    raise AssertionError("the reader tells more than it was given")


def _of_head(head: RequestHead) -> Read:
    # h11 tells a transfer coding in lower case, whatever was sent.
    fields = [
        (name, value.lower() if name == b"transfer-encoding" else value)
        for name, value in _lowered(head.fields.lines)
    ]
    method, target = head.method.encode(), head.target.encode()
    return Read(method, target, fields, head.minor, persists=head.persists)


def _lowered(lines: tuple[tuple[str, str], ...]) -> Lines:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]


def theirs(wire: bytes) -> Reading:
    """The connection as h11 reads it, given at once."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=ROOM_BYTES)
    reading = Reading()
    for piece in [wire, b""] if wire else [b""]:
        connection.receive_data(piece)
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return reading
            if isinstance(event, h11.Request):
                fields = [(bytes(name), bytes(value)) for name, value in event.headers]
                minor = int(event.http_version[2:])
                request = Read(bytes(event.method), bytes(event.target), fields, min(minor, 1))
                reading.requests.append(request)
            elif isinstance(event, h11.Data):
                reading.requests[-1].content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                request = reading.requests[-1]
                request.trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
                request.end = len(wire) - len(connection.trailing_data[0])
                request.persists = _persists(connection)
                if not request.persists:
                    return reading
                connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        # "Peer closed" is its word for a client that ended within a message: no refusal.
        if "closed connection" not in str(error) and "unexpectedly" not in str(error):
            reading.refusal, reading.status = str(error), error.error_status_hint
        return reading


def _persists(connection: h11.Connection) -> bool:
    """Answer the request, and see whether h11 takes another one after it.

    A refusal, so that no CONNECT opens a tunnel and no Upgrade is taken.
    """
    connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    return connection.our_state is h11.DONE


@dataclass(frozen=True)
class Difference:
    """Where two readings part, by whose word (`we`, `they`, `both`), and what that word is."""

    by: str
    word: str
    ours: Reading
    theirs: Reading


def difference(wire: bytes) -> Difference | None:
    """The first disagreement on a connection, or None."""
    we, they = ours(wire), theirs(wire)
    for mine, other in zip(we.requests, they.requests, strict=False):
        word = _parting(mine, other)
        if word:
            return _told(word, mine, other, we, they)
    if len(we.requests) < len(they.requests):
        return Difference("we", we.refusal or "ended", we, they)
    if len(we.requests) > len(they.requests):
        return Difference("they", they.refusal or "ended", we, they)
    return None


def _parting(mine: Read, other: Read) -> str:
    """The first attribute in which two readings of one request differ, or nothing."""
    for name in ("method", "target", "minor", "fields"):
        if getattr(mine, name) != getattr(other, name):
            return name
    if mine.whole != other.whole:
        return "whole"
    if not mine.whole:
        return ""
    for name in ("content", "trailers", "end"):
        if getattr(mine, name) != getattr(other, name):
            return name
    return "" if mine.persists == other.persists else f"persists in HTTP/1.{mine.minor}"


def _told(word: str, mine: Read, other: Read, we: Reading, they: Reading) -> Difference:
    if word != "whole":
        return Difference("both", word, we, they)
    if other.whole:
        return Difference("we", we.refusal or "ended", we, they)
    return Difference("they", they.refusal or "ended", we, they)


def judge(wire: bytes) -> tuple[Difference, Disagreement | None] | None:
    """The first disagreement and its row, None for a row that is missing; None if both agree."""
    found = difference(wire)
    return None if found is None else (found, verdict_on(found.by, found.word))


def main() -> int:
    """Compare many generated messages; tell how often each row was met, and what is unlisted."""
    parser = argparse.ArgumentParser(description="Compare our reader to h11 on generated messages.")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--oddness", type=float, default=0.05)
    options = parser.parse_args()
    author = Author(random.Random(options.seed), oddness=options.oddness)
    met: Counter[str] = Counter()
    unlisted: dict[tuple[str, str], bytes] = {}
    began = time.perf_counter()
    for _ in range(options.messages):
        wire = author.connection()
        judged = judge(wire)
        if judged is None:
            met["agree"] += 1
            continue
        found, row = judged
        met[f"{found.by}: {row.word if row else 'UNLISTED'}"] += 1
        if row is None:
            key = (found.by, found.word)
            if len(wire) < len(unlisted.get(key, wire + b".")):
                unlisted[key] = wire
    seconds = time.perf_counter() - began
    for name, count in met.most_common():
        sys.stdout.write(f"{count:8}  {name}\n")
    for (by, word), wire in unlisted.items():
        sys.stdout.write(f"UNLISTED {by}: {word}\n  {wire!r}\n")
    sys.stdout.write(f"{options.messages} messages, seed {options.seed}, {seconds:.1f} s\n")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
