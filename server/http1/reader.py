"""Requests on their way in: the reader behind spec/request.toml. Sans-IO: bytes go in, events come
out.

A request line and its header section take one of two ways to the same result:

- A head that lies in the buffer whole is matched by one pattern.
- Else, or if that fails, its lines are taken one by one as they come, each held to its limits and
  its rule, so that the first one that is broken says why. At the empty line the same pattern reads
  them all.

Values come from that one pattern only; so it makes no difference where the bytes were split.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.config import Config
from server.errors import ProtocolError
from server.http1 import grammar
from server.http1.buffer import Buffer
from server.http1.chunked import ChunkedReader
from server.http1.events import (
    END_OF_REQUEST,
    ENDED_BETWEEN,
    ENDED_WITHIN,
    NEED_DATA,
    ContentPiece,
    EndOfRequest,
    Event,
)
from server.http1.head import (
    KEPT_BYTES_MAX,
    NoHead,
    WholeHead,
    check_first_byte,
    check_request_line,
    head_of,
    head_of_start,
    whole_heads,
)
from server.http1.lines import Section
from server.http1.messages import NO_FIELDS, Fields, RequestHead
from statemachine._generated import RequestMachine, RequestState

EMPTY_LINES_MAX: Final = 1
"""RFC 9112 section 2.2 asks to ignore "at least one empty line (CRLF) received prior to the
request-line".
"""


HEAD_END: Final = b"\r\n\r\n"
AWAITED: Final = RequestState.AWAITED


class RequestReader(RequestMachine):
    """Reads the requests of one connection, one after the other.

    `chunked_type` is the bound class. `whole_head` reads a head that has come at once: all readers
    of a server share one that keeps what it has read (`head.kept_heads`). `head` is the present
    request's once it has come, `trailers` its trailer section once it is whole.

    The caller passes on what it received and asks for events until NEED_DATA; then the reader
    holds less than one line of a head, a chunk or a trailer section, and what was given since the
    request was whole. Threads: one at a time.
    """

    __slots__ = (
        "_buffer",
        "_chunked_type",
        "_chunks",
        "_config",
        "_empty_lines",
        "_held",
        "_kept_head",
        "_left",
        "_lines",
        "_refusal",
        "_short_bytes_max",
        "_start",
        "_whole_head",
        "head",
        "trailers",
    )

    def __init__(
        self,
        config: Config,
        chunked_type: type[ChunkedReader],
        whole_head: WholeHead | None = None,
    ) -> None:
        super().__init__()
        self._whole_head = whole_head = whole_head or whole_heads(config)
        self._kept_head = whole_head.kept
        self._config = config
        self._chunked_type = chunked_type
        self._buffer = Buffer()
        self._held = self._buffer.held
        self._refusal: ProtocolError | None = None
        self._start: RequestHead | None = None
        # No line of a head that is as short as this can be too long.
        self._short_bytes_max = min(config.request_line_bytes_max, config.field_line_bytes_max)
        self._forget()

    def _forget(self) -> None:
        self._empty_lines = 0
        self._left = 0
        self._lines: Section | None = None
        self._chunks: ChunkedReader | None = None
        self.head: RequestHead | None = None
        self.trailers: Fields = NO_FIELDS

    @property
    def buffered(self) -> int:
        """Bytes received and not consumed."""
        return len(self._buffer)

    @property
    def has_leftover(self) -> bool:
        """Whether bytes have been received that no event has told of. After END_OF_REQUEST they
        are the next request's.
        """
        return len(self._buffer) > 0

    @property
    def chunks(self) -> ChunkedReader | None:
        """What reads the present content, where its coding is chunked. Any thread may ask."""
        return self._chunks

    def has_content(self) -> bool:
        head = self.head
        return head is not None and (head.chunked or bool(head.content_length))

    @property
    def awaited_bytes(self) -> int:
        """How many bytes of content are still to come, where that is known and nothing is left
        that came before them: they may be received past us, and `pass_by` be told of it. Else 0.
        """
        # Some is left within content of a known length, and nowhere else.
        return 0 if self._buffer or self._buffer.ended else self._left

    def pass_by(self, size: int) -> None:
        """The next `size` bytes of content have come, and the caller has them. Raises ValueError
        for more than are awaited.
        """
        awaited = self.awaited_bytes
        if size > awaited:
            raise ValueError(f"{size} bytes of content came, {awaited} were awaited")
        self._left -= size
        if not self._left:
            self.content_ended()

    def receive(self, data: bytes) -> None:
        """Take in bytes from the peer; b"" means that it has ended its side. Raises ValueError for
        bytes after that.

        What comes after a refusal is dropped: where a request would begin in it is not known.
        """
        self._buffer.append(data)
        if self.state is RequestState.REFUSED:
            self._buffer.clear()

    def take_whole(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """Take in `data` if that is one whole request, not chunked, and nothing is left from before
        it: its head and its content, after which the request is complete. None: nothing has been
        taken in, and `receive` is to have it.

        The usual case, without a way through the buffer. Whatever is wrong with the bytes is found
        on that way, and not here.
        """
        if self.state is not AWAITED or self._held or self._buffer.ended:
            return None
        end = data.find(HEAD_END) + len(HEAD_END)
        if not len(HEAD_END) <= end <= self._short_bytes_max:
            return None
        alone = end == len(data)
        raw = data if alone else data[:end]
        try:
            head = self._kept_head(raw) if end <= KEPT_BYTES_MAX else self._whole_head(raw)
        except (NoHead, ProtocolError):
            return None
        if head is None or head.chunked or (head.content_length or 0) != len(data) - end:
            return None
        self.began()
        self.head = head
        self.head_ended()
        if alone:
            return head, b""
        self.content_ended()
        return head, data[end:]

    def next_event(self) -> Event:
        """What the bytes so far say next.

        A head and each piece of content are told once, as soon as they are there. END_OF_REQUEST
        is told again until `renew`; so are NEED_DATA until more bytes come, and PeerEnded. Raises
        ProtocolError after firing `refused`, with the status to answer, and the same again if
        asked again.
        """
        try:
            return STEPS[self.state](self)
        except ProtocolError as error:
            if self.state is not RequestState.REFUSED:
                self._refusal = error
                self._start = self.head_so_far()
                self._buffer.clear()
                self.refused()
            raise

    def renew(self) -> bool:
        """Begin the next request of the connection. True: bytes have come of it. Raises
        IllegalEvent before the present one is whole.
        """
        self.renewed()
        self.head = None
        # All else is as it was at first, but where the request did not come at once.
        if self._chunks is not None or self._lines is not None or self._empty_lines:
            self._forget()
        return bool(self._held)

    def head_so_far(self) -> RequestHead | None:
        """The present request's head; before it has come, and after a refusal, what its request
        line says by itself. None as long as that says no method and no target.

        For the answer to a request that was refused or did not come to its end: whether that has
        content is the method's to say (RFC 9110 section 9.3.2), and the log names the request.
        """
        if self.head is not None or self.state is RequestState.REFUSED:
            return self.head or self._start
        if self._lines is not None and len(self._lines):
            return head_of_start(self._lines.text)
        # One byte more than the longest request line, so that a longer one is none that has ended.
        start = self._buffer.first(self._config.request_line_bytes_max + 1)
        return head_of_start(start.decode("latin-1"))

    def _await(self) -> Event:
        buffer = self._buffer
        if buffer.begins_with_text():
            self.began()
            return self._read_whole_head() or self._read_head_lines()
        held = buffer.first(2)
        if not held or held == b"\r":
            if not buffer.ended:
                return NEED_DATA
            buffer.clear()
            self.peer_ended()
            return ENDED_BETWEEN
        if held == b"\r\n" and self._empty_lines < EMPTY_LINES_MAX:
            buffer.take(2)
            self._empty_lines += 1
            return self._await()
        self.began()
        return self._read_whole_head() or self._read_head_lines()

    def _read_whole_head(self) -> Event | None:
        """The head, if all of it has come at once and breaks no rule or limit that the pattern can
        see.
        """
        raw = self._buffer.unsearched_head()
        if raw is None or len(raw) > self._short_bytes_max:
            return None
        head = self._whole_head(raw)
        if head is None:
            return None
        # Taken only now: what a refused head said stays here for `head_so_far`.
        self._buffer.drop(len(raw))
        return self._tell_head(head)

    def _read_head_lines(self) -> Event:
        buffer, config = self._buffer, self._config
        lines = self._lines
        if lines is None:
            check_first_byte(buffer.first(1).decode("latin-1"))
            lines = self._lines = Section(
                bytes_max=config.head_bytes_max,
                field_bytes_max=config.field_line_bytes_max,
                lines_max=config.fields_max,
            )
        came = len(lines) > 0 or lines.take_start(
            buffer, bytes_max=config.request_line_bytes_max, check=check_request_line
        )
        if not came or not lines.take_fields(buffer):
            return self._wait()
        match = grammar.HEAD.fullmatch(lines.text + "\r\n")
        assert match, "each of its lines matches its rule, so that the head matches"
        return self._tell_head(head_of(match, config))

    def _tell_head(self, head: RequestHead) -> Event:
        self.head = head
        self._left = head.content_length or 0
        if head.chunked:
            self._chunks = self._chunked_type(self._config, self._buffer)
        self.head_ended()
        return head

    def _read_content(self) -> Event:
        if self._chunks is not None:
            return self._read_chunks(self._chunks)
        data = self._buffer.take(self._left)
        if not data:
            return self._wait()
        self._left -= len(data)
        if not self._left:
            self.content_ended()
        return ContentPiece(data)

    def _read_chunks(self, chunks: ChunkedReader) -> Event:
        event = chunks.next_event()
        if event is NEED_DATA:
            return self._wait()
        if isinstance(event, EndOfRequest):
            self.trailers = chunks.trailers
            self.content_ended()
        return event

    def _wait(self) -> Event:
        """More bytes are needed within a request: they may come, or the peer has ended."""
        if not self._buffer.ended:
            return NEED_DATA
        self._buffer.clear()
        self.peer_ended()
        return ENDED_WITHIN

    def _tell_end(self) -> Event:
        return END_OF_REQUEST

    def _tell_peer_ended(self) -> Event:
        return ENDED_BETWEEN if self.state is RequestState.ENDED else ENDED_WITHIN

    def _refuse_again(self) -> Event:
        assert self._refusal is not None, "REFUSED is entered with its reason"
        raise self._refusal


Step = Callable[[RequestReader], Event]

STEPS: Final[dict[RequestState, Step]] = {
    RequestState.AWAITED: RequestReader._await,
    RequestState.HEAD: RequestReader._read_head_lines,
    RequestState.CONTENT: RequestReader._read_content,
    RequestState.COMPLETE: RequestReader._tell_end,
    RequestState.ENDED: RequestReader._tell_peer_ended,
    RequestState.INCOMPLETE: RequestReader._tell_peer_ended,
    RequestState.REFUSED: RequestReader._refuse_again,
}
assert STEPS.keys() == set(RequestState)
