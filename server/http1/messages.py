"""The two messages as values: what a handler is given, and what it gives back.

No I/O: content is bytes, or a region of an open file that the transport sends, or both in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Literal

Field = tuple[str, str]
"""A field name as it was received or is to be sent, and its value."""


class Fields:
    """A header section or trailer section: field lines in their order, names compared without case
    (RFC 9110 5.1).

    Values are latin-1 text without the surrounding whitespace. Requests whose sections have the
    same bytes may share one object. Then `notes` has a place for what is made of the fields alone,
    as `RequestHead.notes` has for the head.
    """

    __slots__ = ("_first", "lines", "notes")

    def __init__(
        self, lines: tuple[Field, ...] = (), notes: dict[object, object] | None = None
    ) -> None:
        self.lines = lines
        self.notes = notes
        # Lower-case name → first value. Made at the first look-up; two threads that make it make
        # the same.
        self._first: dict[str, str] | None = None

    def get(self, name: str) -> str | None:
        """The first value of this name, or None. `name` is lower case."""
        first = self._first
        if first is None:
            first = self._index()
        return first.get(name)

    def all(self, name: str) -> list[str]:
        """Every value of this name, in order. `name` is lower case."""
        first = self._index() if self._first is None else self._first
        if name not in first:
            return []
        if len(first) == len(self.lines):  # no name comes twice
            return [first[name]]
        return [value for have, value in self.lines if have.lower() == name]

    def _index(self) -> dict[str, str]:
        first = {name.lower(): value for name, value in self.lines}
        if len(first) != len(self.lines):
            first = {name.lower(): value for name, value in reversed(self.lines)}
        self._first = first
        return first

    def elements(self, name: str) -> list[str]:
        """The members of a comma-separated list field (RFC 9110 5.6.1), empty members left out."""
        members = (one.strip(" \t") for value in self.all(name) for one in value.split(","))
        return [one for one in members if one]

    def __iter__(self) -> Iterator[Field]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.lines == other.lines

    def __hash__(self) -> int:
        return hash(self.lines)

    def __repr__(self) -> str:
        return f"Fields({self.lines!r})"


NO_FIELDS: Final = Fields()


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The request line and header section (RFC 9112 sections 3 and 5).

    `target` is the request target as received. `path` is its path, still percent-encoded,
    beginning with `/` (or `*` for the asterisk-form; empty for the authority-form); `query` is
    what follows `?`, without it. `authority` is the host and port that the request is for: the
    target's own in absolute-form, else the Host field's. `minor` is the x of HTTP/1.x, 0 or 1: a
    higher one is read as 1 (RFC 9110 section 2.5). `content_length` is None where no content is
    announced or the coding is chunked.

    Requests that begin with the same bytes may share one head. Then `notes` has a place for what
    is made of the head alone, by whoever makes it: the values must not be changed any more. It is
    None for a head that is this request's own.
    """

    method: str
    target: str
    path: str
    query: str
    authority: str
    minor: int
    fields: Fields
    content_length: int | None = None
    chunked: bool = False
    persists: bool = True
    expects_continue: bool = False
    notes: dict[object, object] | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Request:
    """One whole request, as a handler is given it.

    `content` is bytes, or where it was too large for the memory a file that stands at its beginning
    and is closed when the handler's response has been sent.

    `peer` and `local` are the two ends of the connection, as (host, port).
    """

    head: RequestHead
    content: bytes | BinaryIO = b""
    trailers: Fields = NO_FIELDS
    peer: tuple[str, int] = ("", 0)
    local: tuple[str, int] = ("", 0)


@dataclass(slots=True)
class FileRegion:
    """Content that lies in an open file: `size` bytes from `offset`. Whoever sends it calls
    `close` once, sent or not.
    """

    descriptor: int
    offset: int
    size: int
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """Content made of pieces, sent one after the other. `size` is their sum, in bytes.

    Regions of one file may share its descriptor: they are closed in their order, sent or not, so
    that the last one's `close` may be the file's own. Raises ValueError for a piece without bytes.
    """

    pieces: tuple[bytes | FileRegion, ...]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        sizes = [len(one) if isinstance(one, bytes) else one.size for one in self.pieces]
        if not all(sizes):
            raise ValueError("a piece of content has no bytes")
        object.__setattr__(self, "size", sum(sizes))


@dataclass(slots=True)
class Stream:
    """Content that is made while it is sent, piece by piece, on the worker's thread.

    `size` is the sum of the pieces in bytes, or None where nobody knows it beforehand: then the
    chunked coding delimits the content, or the end of the connection for HTTP/1.0. `close` is
    called once, sent or not. What `pieces` raises cuts the connection.
    """

    pieces: Iterator[bytes]
    size: int | None
    close: Callable[[], None]


CHANNELS_MAX: Final = 64
"""So many channels may one client listen to at once."""


@dataclass(frozen=True, slots=True)
class Events:
    """Content that is published while the connection lasts, as an event stream (WHATWG HTML 9.2):
    of these channels, after the event of the id `after`; without one, from now on.

    `lossless` sends every event, or says which are lost; `latest` sends the newest of each channel
    that the client can take, and begins with the one that there is. No worker is held, and the
    connection ends with the stream. Raises ValueError for no channels or too many, or another
    policy; TypeError for names that are no texts.
    """

    channels: tuple[str, ...]
    policy: Literal["lossless", "latest"] = "lossless"
    after: str = ""

    @property
    def size(self) -> None:
        """Nobody knows it."""

    def __post_init__(self) -> None:
        if not 0 < len(self.channels) <= CHANNELS_MAX:
            raise ValueError(f"{len(self.channels)} channels, expected 1 to {CHANNELS_MAX}")
        names: tuple[object, ...] = self.channels
        for name in names:
            if not isinstance(name, str) or not name:
                raise TypeError(f"a channel is {name!r:.80}, expected its name as a str")
        if self.policy not in ("lossless", "latest"):
            raise ValueError(f"the policy is {self.policy!r:.80}, expected lossless or latest")


Content = bytes | FileRegion | Parts | Stream | Events


def pieces_of(content: bytes | FileRegion | Parts) -> tuple[bytes | FileRegion, ...]:
    """What is sent for content that is made already, in its order."""
    return content.pieces if isinstance(content, Parts) else (content,)


@dataclass(slots=True)
class Response:
    """What a handler answers. The writer adds the fields that frame the message: never set those
    here.
    """

    status: int
    fields: tuple[Field, ...] = ()
    content: Content = b""
    persists: bool = True
    """False: the connection must end after this response, whatever the request allowed."""
