"""A client's reader of responses: strict, and nobody's but its own.

It shares nothing with the server's writer. What RFC 9112 lets a recipient forgive it does not: this
server has no reason to need it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t !-~]*)")
FIELD_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~\x80-\xff](?:[\t !-~\x80-\xff]*[!-~\x80-\xff])?|)"
)
CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
DATE: Final = re.compile(
    rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] [A-Z][a-z][a-z] [0-9]{4} "
    rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)
SINGLE: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"connection", b"date", b"server", b"content-type"}
)
LINE_BYTES_MAX: Final = 8192
WITHOUT_CONTENT: Final = frozenset({204, 304})


class Malformed(Exception):
    """What was read is no response."""


@dataclass(frozen=True, slots=True)
class Head:
    """A status and fields, names in lower case."""

    status: int
    fields: Mapping[bytes, bytes]
    end: int

    @property
    def closes(self) -> bool:
        """Whether nothing comes after this response."""
        return self.fields.get(b"connection", b"").lower() == b"close"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, interim or final, `is_whole` unless it was cut; at `end` the next one begins."""

    head: Head
    content: bytes
    end: int
    is_whole: bool = True

    @property
    def status(self) -> int:
        """Its status."""
        return self.head.status


def read_head(data: bytearray, at: int) -> Head | None:
    """The head that begins at `at`, None if it is not all there. Raises Malformed."""
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        begun = bytes(data[at : at + 9])
        if not b"HTTP/1.1 ".startswith(begun):
            raise Malformed(f"no response begins with {begun!r}")
        return None
    status, fields = _read_lines(bytes(data[at:end]))
    return Head(status, fields, end + 4)


@functools.lru_cache(maxsize=4096)
def _read_lines(text: bytes) -> tuple[int, Mapping[bytes, bytes]]:
    """The status and the fields of a head, which many lives get to the letter. Raises Malformed."""
    first, *lines = text.split(b"\r\n")
    found = STATUS_LINE.fullmatch(first)
    if found is None:
        raise Malformed(f"no status line: {first!r}")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        if match is None or len(line) > LINE_BYTES_MAX:
            raise Malformed(f"no field line: {line[:80]!r}")
        name = match[1].lower()
        if name in fields and name in SINGLE:
            raise Malformed(f"{name!r} comes twice")
        fields[name] = match[2]
    status = int(found[1])
    _check(status, fields)
    return status, fields


def _check(status: int, fields: Mapping[bytes, bytes]) -> None:
    """What concerns the fields together. Raises Malformed."""
    length = fields.get(b"content-length")
    if length is not None and (not length.isdigit() or b"transfer-encoding" in fields):
        raise Malformed(f"Content-Length is {length!r}")
    if status == 204 and (length is not None or b"transfer-encoding" in fields):
        raise Malformed("204 with content")
    if status >= 200 and not DATE.fullmatch(fields.get(b"date", b"")):
        raise Malformed(f"Date is {fields.get(b'date')!r}")


class Reader:
    """Reads the replies to one connection's requests from the bytes that have come so far.

    `methods` are the requests' methods, in their order. `finals` are the final responses that have
    come whole, `interims` counts the others, and `at` is where the next one begins.
    """

    def __init__(self, methods: Sequence[str]) -> None:
        self._methods = methods
        self._head: Head | None = None
        # Of a chunked content that has begun: its pieces, and where the next chunk begins.
        self._pieces: list[bytes] = []
        self._chunk_at = 0
        self.finals: list[Reply] = []
        self.interims = 0
        self.at = 0

    def read(self, data: bytearray, *, is_over: bool) -> None:
        """Take what is whole. `data` is all that has come from the beginning, `is_over`: no more
        will. Raises Malformed.
        """
        while self.at < len(data):
            if self._head is None:
                self._head = read_head(data, self.at)
                if self._head is None:
                    return
                self._pieces, self._chunk_at = [], self._head.end
            reply = self._content(self._head, data, is_over=is_over)
            if reply is None or not reply.is_whole:
                return
            if reply.status < 200:
                self.interims += 1
            else:
                self.finals.append(reply)
            self.at, self._head = reply.end, None

    def rest(self, data: bytearray) -> Reply | None:
        """What there is of a reply that was cut, if its head is there. Raises Malformed."""
        if self._head is None:
            return None
        reply = self._content(self._head, data, is_over=True)
        return None if reply is None else replace(reply, is_whole=False)

    def _content(self, head: Head, data: bytearray, *, is_over: bool) -> Reply | None:
        number = len(self.finals)
        method = self._methods[number] if number < len(self._methods) else "GET"
        coding, length = head.fields.get(b"transfer-encoding"), head.fields.get(b"content-length")
        if head.status < 200 and (coding is not None or length is not None):
            raise Malformed("an interim response with content")
        if head.status < 200 or method == "HEAD" or head.status in WITHOUT_CONTENT:
            refused = method == "HEAD" and head.closes and head.status >= 400
            if not refused or (is_over and len(data) == head.end):
                return Reply(head, b"", head.end)
            # Refused before it was known that it is HEAD, it is answered as any other.
            if not is_over:
                return None
        if coding is not None:
            if coding != b"chunked":
                raise Malformed(f"the transfer coding is {coding!r}")
            return self._chunked(head, data, is_over=is_over)
        return _delimited(head, data, is_over=is_over)

    def _chunked(self, head: Head, data: bytearray, *, is_over: bool) -> Reply | None:
        """RFC 9112 section 7.1, without extensions and trailers. Raises Malformed."""
        pieces = self._pieces
        while True:
            at = self._chunk_at
            end = data.find(b"\r\n", at, at + 20)
            if end < 0:
                if len(data) - at >= 20:
                    raise Malformed(f"no chunk begins with {bytes(data[at : at + 16])!r}")
                if not is_over:
                    return None
                return Reply(head, b"".join(pieces), len(data), is_whole=False)
            if not CHUNK_SIZE.fullmatch(data, at, end):
                raise Malformed(f"a chunk's size is {bytes(data[at:end])!r}")
            size = int(data[at:end], 16)
            begin, after = end + 2, end + 2 + size
            if len(data) < after + 2:
                if not is_over:
                    return None
                begun = bytes(data[begin:after])
                return Reply(head, b"".join(pieces) + begun, len(data), is_whole=False)
            if data[after : after + 2] != b"\r\n":
                raise Malformed("a chunk does not end where it should")
            pieces.append(bytes(data[begin:after]))
            self._chunk_at = after + 2
            if not size:
                return Reply(head, b"".join(pieces), after + 2)


def _delimited(head: Head, data: bytearray, *, is_over: bool) -> Reply | None:
    """Content of a stated length, or up to the end of the connection. Raises Malformed."""
    length = head.fields.get(b"content-length")
    if length is None and not head.closes:
        raise Malformed("nothing says where the content ends")
    end = len(data) if length is None else head.end + int(length)
    if not is_over and (length is None or len(data) < end):
        return None
    return Reply(head, bytes(data[head.end : end]), end, is_whole=len(data) >= end)
