"""An open file as the answer to a request: whole, in part, or not at all (RFC 9110 13, 14, 15).

```
 preconditions ── false ─▶ 412 ── the client has it ─▶ 304
      │ true
 GET, and a Range that counts? ── no ─▶ 200
      │ yes
 satisfiable? ── no ─▶ 416 ── one span ─▶ 206 ── several ─▶ 206, multipart/byteranges
```
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from server.app.codings import IDENTITY
from server.app.conditional import Validators, evaluate, range_counts
from server.app.errors import error_response
from server.app.folder import KeptFile, OpenFile
from server.app.ranges import Selection, Span, select
from server.clock import Clock, imf_fixdate
from server.http1.messages import (
    Content,
    Field,
    Fields,
    FileRegion,
    Parts,
    Request,
    RequestHead,
    Response,
)

SMALL_BYTES_MAX: Final = 64 * 1024
"""Up to this size content is read at once and leaves with its head, in one write; more is sent from
the file's descriptor, and never lies in memory as a whole."""

SETTLED_NS: Final = 2_000_000_000
"""How long a file must have rested for its tag to be strong. Within one tick of a file system's
clock (2 s on FAT, 4 ms on most) it may change twice and keep its size and its date."""

_ACCEPT_RANGES: Final[Field] = ("Accept-Ranges", "bytes")
_NOSNIFF: Final[Field] = ("X-Content-Type-Options", "nosniff")
_VARY: Final[Field] = ("Vary", "Accept-Encoding")


@dataclass(frozen=True, slots=True)
class Representation:
    """What was selected for one request (RFC 9110 3.2): a file and what is known of it.

    `varies` says that another Accept-Encoding might have selected another file.
    """

    file: OpenFile | KeptFile
    content_type: str
    coding: str = IDENTITY
    varies: bool = False

    def with_file(self, file: KeptFile) -> Representation:
        """The same, of the same file as it was when it was read."""
        return Representation(file, self.content_type, self.coding, self.varies)


def random_boundary() -> str:
    """What separates the parts of one multipart response.

    Nobody can have guessed it, or a file written by a stranger could pretend to be several parts.
    """
    return os.urandom(16).hex()


class Renderer:
    """Makes responses of representations. Threads: any; nothing in it changes once it is made."""

    __slots__ = ("_boundary", "_clock", "_kept")

    def __init__(
        self,
        clock: Clock,
        *,
        cache_control: str = "",
        boundary: Callable[[], str] = random_boundary,
    ) -> None:
        """`cache_control` is that field's value for every file; empty leaves the field out."""
        self._clock = clock
        self._boundary = boundary
        self._kept: tuple[Field, ...] = ()
        if cache_control:
            self._kept = (("Cache-Control", cache_control),)

    def respond(self, request: Request, chosen: Representation) -> Response:
        """The response to a GET or HEAD that `chosen` was selected for.

        A HEAD is answered as a GET without Range: the writer leaves the content out, and closes it.
        The file is closed here, or by whoever sends the content. Raises Refused (503) for a file
        that became shorter meanwhile.
        """
        try:
            response = self._response(request.head, chosen)
        except BaseException:
            chosen.file.close()
            raise
        if isinstance(response.content, bytes):  # nothing of the file is left to send
            chosen.file.close()
        return response

    def _response(self, head: RequestHead, chosen: Representation) -> Response:
        file = chosen.file
        if not isinstance(file, KeptFile) or _sets_conditions(head.fields):
            return self._response_now(head, chosen)
        # Who keeps a file has let its tag and its date settle, so that its fields will not change;
        # unless somebody has put the clock back since.
        if not is_settled(file, now=self._clock.wall()):
            return self._response_now(head, chosen)
        known = cast("tuple[Field, ...] | None", file.notes.get(self))
        if known is not None:
            return Response(200, known, file.content)
        response = self._response_now(head, chosen)
        file.notes[self] = response.fields
        return response

    def _response_now(self, head: RequestHead, chosen: Representation) -> Response:
        now = self._clock.wall()
        have = validators(chosen, now=now)
        # What every answer about a representation carries, 304 and 206 too (15.4.5, 15.3.7).
        kept: tuple[Field, ...] = (("ETag", have.etag), *self._kept)
        if chosen.varies:
            kept += (_VARY,)
        status = evaluate(head.fields, have, now=now)
        if status == 304:
            return Response(304, kept)
        if status == 412:
            return error_response(412, "The file is not the one that the request was made for.")
        # 14.2: for any other method a Range is ignored.
        wanted = _wanted(head, chosen, have, now=now) if head.method == "GET" else Selection.WHOLE
        if wanted is Selection.WHOLE:
            fields = (*_described(chosen, have), *kept, _ACCEPT_RANGES, _NOSNIFF)
            return Response(200, fields, _content(chosen.file, 0, chosen.file.size))
        if wanted is Selection.NOTHING:
            size = chosen.file.size
            unsatisfied = ("Content-Range", f"bytes */{size}")
            detail = f"The range is outside of the file, which has {size} bytes."
            return error_response(416, detail, fields=(unsatisfied,))
        # 15.3.7: who sends If-Range has these fields already, and should not be sent them again.
        described = () if head.fields.all("if-range") else _described(chosen, have)
        return self._partial(chosen, wanted, (*kept, _ACCEPT_RANGES, _NOSNIFF, *described))

    def _partial(
        self, chosen: Representation, spans: tuple[Span, ...], fields: tuple[Field, ...]
    ) -> Response:
        """206 (15.3.7): one span as it is, several as multipart/byteranges."""
        if len(spans) == 1:
            content_range = ("Content-Range", spans[0].content_range(chosen.file.size))
            return Response(
                206, (*fields, content_range), _content(chosen.file, spans[0].first, spans[0].size)
            )
        boundary = self._boundary()
        # The parts say what the whole would have been (15.3.7.2).
        multipart = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
        others = tuple(field for field in fields if field[0] != "Content-Type")
        return Response(206, (multipart, *others), _parts(chosen, spans, boundary))


_CONDITIONS: Final = (
    *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"),
)


def _sets_conditions(fields: Fields) -> bool:
    """Whether anything but 200 may be the answer, for what the fields say."""
    notes = fields.notes
    known = None if notes is None else notes.get(_CONDITIONS)
    if known is None:
        known = any(fields.get(name) is not None for name in _CONDITIONS)
        if notes is not None:
            notes[_CONDITIONS] = known
    return bool(known)


def is_settled(file: OpenFile | KeptFile, *, now: float) -> bool:
    """Whether a file has rested for SETTLED_NS, `now` in POSIX seconds."""
    return int(now * 1e9) - file.modified_ns >= SETTLED_NS


def validators(chosen: Representation, *, now: float) -> Validators:
    """The entity tag and date of a representation; `now` is in POSIX seconds.

    The tag is weak while the file is younger than SETTLED_NS, for until then an equal tag would not
    prove equal bytes (RFC 9110 8.8.1). A date in the future is replaced by now (8.8.2.1). Each
    coding has a tag of its own (8.8.3.3).
    """
    file = chosen.file
    weak = "" if is_settled(file, now=now) else "W/"
    coded = "" if chosen.coding == IDENTITY else f"-{chosen.coding}"
    modified = min(file.modified_ns // 1_000_000_000, int(now))
    return Validators(f'{weak}"{file.size:x}-{file.modified_ns:x}{coded}"', modified)


def _described(chosen: Representation, have: Validators) -> tuple[Field, ...]:
    """The fields that say what the representation is (8.3, 8.4, 8.8.2)."""
    media_type = ("Content-Type", chosen.content_type)
    modified = ("Last-Modified", _http_date(have.modified))
    if chosen.coding == IDENTITY:
        return (media_type, modified)
    return (media_type, ("Content-Encoding", chosen.coding), modified)


@functools.lru_cache(maxsize=1024)  # a site's files have few dates, and a date's text never changes
def _http_date(second: int) -> str:
    return imf_fixdate(second).decode("ascii")


def _wanted(
    head: RequestHead, chosen: Representation, have: Validators, *, now: float
) -> tuple[Span, ...] | Selection:
    """What of the representation a GET asks for: WHOLE where its Range is ignored (14.2).

    A Range that counts and that nothing satisfies is 416, If-Range or not: 14.2 says so for all
    preconditions, and a client that has the last byte already learns it in no other way.
    """
    ranges = head.fields.all("range")
    if len(ranges) != 1 or not range_counts(head.fields, have, now=now):
        return Selection.WHOLE
    wanted = select(ranges[0], chosen.file.size)
    # In a multipart response Content-Encoding would speak of parts that can each not be decoded,
    # while clients decode the content as a whole. What may be ignored is, then.
    if isinstance(wanted, tuple) and len(wanted) > 1 and chosen.coding != IDENTITY:
        return Selection.WHOLE
    return wanted


def whole(file: OpenFile) -> Content:
    """All of a file, which is closed here or by whoever sends it. Raises Refused as `respond`."""
    try:
        content = _content(file, 0, file.size)
    except BaseException:
        file.close()
        raise
    if isinstance(content, bytes):
        file.close()
    return content


def _content(file: OpenFile | KeptFile, first: int, size: int) -> Content:
    """Bytes of the file; or, where they are many, a region whose sender closes the descriptor."""
    if size <= SMALL_BYTES_MAX or isinstance(file, KeptFile):
        return file.read(first, size)
    return FileRegion(file.descriptor, first, size, file.close)


def _parts(chosen: Representation, spans: tuple[Span, ...], boundary: str) -> Content:
    """The content of a multipart/byteranges response (RFC 9110 14.6, RFC 2046 5.1.1)."""
    file = chosen.file
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {chosen.content_type}\r\n"
        f"Content-Range: {span.content_range(file.size)}\r\n\r\n".encode("latin-1")
        for span in spans
    ]
    heads[0] = heads[0].removeprefix(b"\r\n")
    end = f"\r\n--{boundary}--\r\n".encode("latin-1")
    if sum(span.size for span in spans) <= SMALL_BYTES_MAX or isinstance(file, KeptFile):
        small = (
            head + file.read(span.first, span.size) for head, span in zip(heads, spans, strict=True)
        )
        return b"".join(small) + end
    # One descriptor for all: the pieces are closed in their order, and the last one closes it.
    closes = [_leave_open] * (len(spans) - 1) + [file.close]
    pieces: list[bytes | FileRegion] = []
    for head, span, close in zip(heads, spans, closes, strict=True):
        pieces += (head, FileRegion(file.descriptor, span.first, span.size, close))
    return Parts((*pieces, end))


def _leave_open() -> None:
    """Another region of the same file is still to come."""
