"""A request's head: from its text to a `RequestHead`, and what is wrong with a line that is none
(RFC 9112 section 3).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from server.config import Config
from server.errors import ProtocolError
from server.http1 import grammar
from server.http1.fields import byte_in_words, fields_of
from server.http1.framing import CHUNKED, FixedLength, Framing, framing_of
from server.http1.messages import NO_FIELDS, Fields, RequestHead
from server.http1.persistence import asks_to_persist
from server.http1.target import Target, host_of, target_of

MUST_DELIMIT: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose HTTP/1.0 requests carry content that only Content-Length can end (RFC 1945 section
7.2.2).
"""


KEPT_BYTES_MAX: Final = 2048
KEPT_HEADS_MAX: Final = 256
"""A client that keeps its connection sends the same head again and again, or the same header
section under other request lines. So many of each are kept, with what was read in them, of those
that are no longer than this: a megabyte with what a WSGI application is told of them, as heads are;
ten where each has a hundred fields.
"""


Notes = dict[object, object]


class NoHead(Exception):
    """The bytes are none, or their lines are too many. An error, for results are kept."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a header section says to a request of HTTP/1.x, whatever its request line is."""

    fields: Fields
    host: str
    framing: Framing
    persists: bool


Listen = Callable[[bytes, int], Said]
"""Reads a header section with its empty line, for the x of HTTP/1.x. Raises NoHead and
ProtocolError.
"""


class WholeHead:
    """Reads a head that has come as a whole. `kept` does so for one of at most KEPT_BYTES_MAX; it
    raises NoHead where the bytes are none, or their lines are too many.

    Called, it gives None in place of NoHead. Both raise ProtocolError for what the grammar cannot
    see. Threads: any.
    """

    __slots__ = ("_own", "kept")

    def __init__(
        self, own: Callable[[bytes], RequestHead], kept: Callable[[bytes], RequestHead]
    ) -> None:
        self._own = own
        self.kept = kept

    def __call__(self, raw: bytes) -> RequestHead | None:
        try:
            return (self.kept if len(raw) <= KEPT_BYTES_MAX else self._own)(raw)
        except NoHead:
            return None


def whole_heads(config: Config) -> WholeHead:
    """One for each of its own heads."""
    own = _own(config)
    return WholeHead(own, own)


def kept_heads(config: Config) -> WholeHead:
    """One for all connections of a server, that gives the same head for the same bytes, and the
    same fields for the same section.
    """

    # What is refused is not kept, for errors are not. Whose heads are kept cannot be found out by
    # the time that it takes: for that one would have to send the whole section.
    @lru_cache(maxsize=KEPT_HEADS_MAX)
    def listen(section: bytes, minor: int) -> Said:
        return _whole_section(section, minor, config, {})

    @lru_cache(maxsize=KEPT_HEADS_MAX)
    def keep(raw: bytes) -> RequestHead:
        return _whole_head(raw, listen, {})

    return WholeHead(_own(config), keep)


def _own(config: Config) -> Callable[[bytes], RequestHead]:
    def listen(section: bytes, minor: int) -> Said:
        return _whole_section(section, minor, config, None)

    return partial(_whole_head, listen=listen, notes=None)


def _whole_head(raw: bytes, listen: Listen, notes: Notes | None) -> RequestHead:
    """Raises NoHead and ProtocolError."""
    line, _, section = raw.partition(b"\r\n")
    match = grammar.REQUEST_LINE.fullmatch(line.decode("latin-1"))
    if match is None:
        raise NoHead
    method, text, digit = match.groups()
    minor = min(int(digit), 1)
    target = target_of(method, text)
    return _head_of(method, text, target, minor, listen(section, minor), notes)


def _whole_section(section: bytes, minor: int, config: Config, notes: Notes | None) -> Said:
    """Raises NoHead and ProtocolError."""
    # Its line ends are its empty line's and one a field line.
    few = section.count(b"\n") - 1 <= config.fields_max
    match = grammar.SECTION.fullmatch(section.decode("latin-1")) if few else None
    if match is None:
        raise NoHead
    return _said_in(match[1], minor, config, notes)


def head_of(match: re.Match[str], config: Config) -> RequestHead:
    """The head that `grammar.HEAD` has matched. Raises ProtocolError for what the grammar cannot
    see.

    The order is fixed: the request line, Host, the framing, its size, Expect.
    """
    method, text, digit, section = match.groups()
    minor = min(int(digit), 1)
    target = target_of(method, text)
    return _head_of(method, text, target, minor, _said_in(section, minor, config, None), None)


def _said_in(section: str, minor: int, config: Config, notes: Notes | None) -> Said:
    """What the lines of a section say. Raises ProtocolError."""
    fields = fields_of(section, notes)
    host = host_of(fields, minor=minor)
    framing = framing_of(fields, minor=minor)
    if isinstance(framing, FixedLength) and framing.size > config.body_bytes_max:
        raise ProtocolError(f"Content-Length over {config.body_bytes_max} bytes", status=413)
    return Said(fields, host, framing, asks_to_persist(fields, minor=minor))


def _head_of(
    method: str, text: str, target: Target, minor: int, said: Said, notes: Notes | None
) -> RequestHead:
    """The head of these parts. Raises ProtocolError."""
    fields, framing = said.fields, said.framing
    length = framing.size if isinstance(framing, FixedLength) else None
    if length is None and minor == 0 and method in MUST_DELIMIT:
        raise ProtocolError(f"{method} in HTTP/1.0 without Content-Length", status=411)
    return RequestHead(
        method,
        text,
        target.path,
        target.query,
        said.host if target.authority is None else target.authority,
        minor,
        fields,
        length,
        framing is CHUNKED,
        said.persists,
        _expects_continue(fields, minor=minor, framing=framing),
        notes,
    )


def head_of_start(text: str) -> RequestHead | None:
    """What the request line at the start of `text` says by itself, if it says a method and a
    target.

    The head has no path, no authority and no fields, and does not persist. A line that has not
    ended gives as much of its target as there is, and passes for HTTP/1.1.
    """
    match = grammar.REQUEST_LINE_START.match(text)
    if not match:
        return None
    method, target, digit = match.groups()
    minor = min(int(digit or 1), 1)
    return RequestHead(method, target, "", "", "", minor, NO_FIELDS, persists=False)


def _expects_continue(fields: Fields, *, minor: int, framing: Framing) -> bool:
    """Whether the client waits for 100 before it sends its content. Raises ProtocolError, status
    417 (RFC 9110 10.1.1).

    In HTTP/1.0 the expectation is ignored, as the section demands, and so it is where no content
    is announced.
    """
    if fields.get("expect") is None:
        return False
    for member in fields.elements("expect"):
        if member.lower() != "100-continue":
            raise ProtocolError(f"expectation {member[:32]!r} cannot be met", status=417)
    announced = framing is CHUNKED or (isinstance(framing, FixedLength) and framing.size > 0)
    return minor >= 1 and announced and bool(fields.elements("expect"))


def check_first_byte(first: str) -> None:
    """Raises ProtocolError for a byte that begins no request line, before the rest of its line has
    come.
    """
    if grammar.NOT_TCHAR.match(first):
        hint = " (TLS to a plain port?)" if first == "\x16" else ""
        raise ProtocolError(f"request line begins with {byte_in_words(first)}{hint}")


def check_request_line(line: str) -> None:
    """Raises ProtocolError that says what is wrong with a request line, if anything is.

    400 for what is none, 505 for another major version, 501 for a method that nobody implements.
    """
    parts = line.split(" ")
    if len(parts) != 3:
        raise ProtocolError(f"request line with {len(parts) - 1} spaces, expected exactly 2")
    method, target, version_text = parts
    wrong = grammar.NOT_TCHAR.search(method)
    if wrong or not method:
        raise ProtocolError(f"method contains {byte_in_words(wrong[0])}" if wrong else "no method")
    wrong = grammar.NOT_VCHAR.search(target)
    if wrong or not target:
        raise ProtocolError(f"target contains {byte_in_words(wrong[0])}" if wrong else "no target")
    version = grammar.HTTP_VERSION.fullmatch(version_text)
    if not version:
        raise ProtocolError(f"HTTP version is {version_text[:16]!r}, expected HTTP/1.1")
    if version[1] != "1":
        raise ProtocolError(f"HTTP version {version[1]}.{version[2]} is not ours", status=505)
    if len(method) > grammar.METHOD_BYTES_MAX:
        raise ProtocolError(f"method over {grammar.METHOD_BYTES_MAX} bytes", status=501)
    target_of(method, target)
