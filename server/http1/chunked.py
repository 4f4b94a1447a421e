"""The chunked transfer coding on its way in: the reader behind spec/chunked.toml (RFC 9112 section
7.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.config import Config
from server.errors import ProtocolError
from server.http1 import grammar
from server.http1.buffer import CR, Buffer, LineTooLong
from server.http1.events import END_OF_REQUEST, NEED_DATA, ContentPiece, EndOfRequest, NeedData
from server.http1.fields import check_trailers, fields_of
from server.http1.lines import Section, without_cr
from server.http1.messages import NO_FIELDS, Fields
from statemachine._generated import ChunkedMachine, ChunkedState

ChunkedEvent = NeedData | ContentPiece | EndOfRequest


class ChunkedReader(ChunkedMachine):
    """Reads one chunked content from a buffer that it shares with the request reader.

    `trailers` is the trailer section once the content has ended; its fields are kept apart from
    the head's and never merged (RFC 9110 section 6.5.1).
    """

    __slots__ = (
        "_buffer",
        "_config",
        "_content_bytes",
        "_extension_bytes",
        "_left",
        "_refusal",
        "_section",
        "trailers",
    )

    def __init__(self, config: Config, buffer: Buffer) -> None:
        super().__init__()
        self._config = config
        self._buffer = buffer
        self._left = 0
        self._content_bytes = 0
        self._extension_bytes = 0
        self._refusal: ProtocolError | None = None
        self._section = Section(
            bytes_max=config.trailer_bytes_max,
            field_bytes_max=config.field_line_bytes_max,
            lines_max=config.fields_max,
        )
        self.trailers: Fields = NO_FIELDS

    def chunk_has_data(self) -> bool:
        return self._left > 0

    def next_event(self) -> ChunkedEvent:
        """The next piece of content, its end, or NEED_DATA.

        Raises ProtocolError after firing `refused`: 400 for what is not the coding, 413 as soon as
        the chunk line that exceeds `body_bytes_max` is read, 431 for a trailer section over a
        limit. It raises the same again if asked again.
        """
        try:
            return STEPS[self.state](self)
        except ProtocolError as error:
            if self.state is not ChunkedState.REFUSED:
                self._refusal = error
                self.refused()
            raise

    def _read_size(self) -> ChunkedEvent:
        try:
            raw = self._buffer.take_line(self._config.chunk_line_bytes_max)
        except LineTooLong:
            raise ProtocolError(
                f"chunk line over {self._config.chunk_line_bytes_max} bytes"
            ) from None
        if raw is None:
            return NEED_DATA
        line = without_cr(raw, what="chunk line")
        match = grammar.CHUNK_LINE.fullmatch(line)
        if not match:
            raise _no_chunk_line(line)
        self._left = int(match[1], 16)
        self._bound(len(match[2]))
        self.size_read()
        return STEPS[self.state](self)

    def _bound(self, extension_bytes: int) -> None:
        """Hold the content, and the extensions of all its chunks together, to their limits.

        RFC 9112 section 7.1.1 asks to limit the total length of extensions as other parts of a
        message are. They are metadata like a head, so a head's limit is theirs.
        """
        self._content_bytes += self._left
        if self._content_bytes > self._config.body_bytes_max:
            limit = self._config.body_bytes_max
            raise ProtocolError(f"chunked content over {limit} bytes", status=413)
        self._extension_bytes += extension_bytes
        if self._extension_bytes > self._config.head_bytes_max:
            raise ProtocolError(f"chunk extensions over {self._config.head_bytes_max} bytes")

    def _read_data(self) -> ChunkedEvent:
        data = self._buffer.take(self._left)
        if not data:
            return NEED_DATA
        self._left -= len(data)
        if not self._left:
            self.data_ended()
        return ContentPiece(data)

    def _read_data_end(self) -> ChunkedEvent:
        held = self._buffer.first(2)
        if held != b"\r\n":
            if not held or (len(held) == 1 and held[0] == CR):
                return NEED_DATA
            raise ProtocolError("chunk data is longer than its chunk size")
        self._buffer.take(2)
        self.line_ended()
        return self._read_size()

    def _read_trailers(self) -> ChunkedEvent:
        if not self._section.take_fields(self._buffer):
            return NEED_DATA
        if len(self._section):
            trailers = fields_of(self._section.text)
            check_trailers(trailers)
            self.trailers = trailers
        self.trailers_ended()
        return END_OF_REQUEST

    def _tell_end(self) -> ChunkedEvent:
        return END_OF_REQUEST

    def _refuse_again(self) -> ChunkedEvent:
        assert self._refusal is not None, "REFUSED is entered with its reason"
        raise self._refusal


def _no_chunk_line(line: str) -> ProtocolError:
    size = grammar.CHUNK_SIZE.match(line)
    if not size:
        return ProtocolError("chunk line does not begin with a chunk size")
    if size.end() > grammar.CHUNK_SIZE_DIGITS_MAX:
        return ProtocolError(f"chunk size over {grammar.CHUNK_SIZE_DIGITS_MAX} digits")
    return ProtocolError("chunk extension breaks the grammar")


Step = Callable[[ChunkedReader], ChunkedEvent]

STEPS: Final[dict[ChunkedState, Step]] = {
    ChunkedState.SIZE: ChunkedReader._read_size,
    ChunkedState.DATA: ChunkedReader._read_data,
    ChunkedState.DATA_END: ChunkedReader._read_data_end,
    ChunkedState.TRAILERS: ChunkedReader._read_trailers,
    ChunkedState.ENDED: ChunkedReader._tell_end,
    ChunkedState.REFUSED: ChunkedReader._refuse_again,
}
assert STEPS.keys() == set(ChunkedState)
