"""The compact form of a trace: chunks with checksums, in which rows have a fixed size.

    signature    12 bytes
    chunk        kind (4 letters), length, checksum of the content, checksum of these three; content
    chunk        …

The first chunk is HEAD, a JSON object: the header. EVTS is the number of its first row, and rows of
24 bytes: a birth with an arrow's number added to it, a thread's ident, seconds. THRD is a JSON
object of threads' names. DONE, another one, is the last chunk if the writer came so far.

Numbers are little-endian. A file that ends within a chunk is that of a process that was killed, or
of a disk that was full: its whole rows are read, and that it ends early is told.
"""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from statemachine.noting import Row
from statemachine.tracefile import (
    Ending,
    Header,
    Trace,
    TraceError,
    ending_heard,
    ending_said,
    header_heard,
    header_said,
    threads_heard,
)

SIGNATURE: Final = b"\x89ILTRACE\r\n\x1a\n"
FRAME: Final = struct.Struct("<4sIII")
NUMBER: Final = struct.Struct("<Q")
ROW: Final = struct.Struct("<QQd")
ROWS_MAX: Final = 8192
"""Rows in one chunk at most; more are written as several."""

CONTENT_BYTES_MAX: Final = 4 << 20
KINDS: Final = (b"HEAD", b"EVTS", b"THRD", b"DONE")


# --- writing -----------------------------------------------------------------------------------


def head(header: Header) -> bytes:
    """How a file begins."""
    return SIGNATURE + _chunk(b"HEAD", _json(header_said(header)))


def events(first: int, rows: Sequence[Row]) -> bytes:
    """Rows as chunks; the first row has that number."""
    pieces = []
    for start in range(0, len(rows), ROWS_MAX):
        some = rows[start : start + ROWS_MAX]
        packed = b"".join(itertools.starmap(ROW.pack, some))
        pieces.append(_chunk(b"EVTS", NUMBER.pack(first + start) + packed))
    return b"".join(pieces)


def thread_names(names: Mapping[int, str]) -> bytes:
    """Names of threads, by ident."""
    return _chunk(b"THRD", _json({str(ident): name for ident, name in names.items()}))


def end(ending: Ending) -> bytes:
    """How a file ends."""
    return _chunk(b"DONE", _json(ending_said(ending)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    frame = FRAME.pack(kind, len(content), zlib.crc32(content), 0)[:-4]
    return frame + struct.pack("<I", zlib.crc32(frame)) + content


def _json(said: object) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


# --- reading -----------------------------------------------------------------------------------


class _Chunk(NamedTuple):
    """A chunk and where it begins; `whole` unless the file ends within it."""

    offset: int
    kind: bytes
    content: bytes
    whole: bool

    @property
    def place(self) -> str:
        return f"byte {self.offset}"


def read(file: Path, stream: BinaryIO) -> Trace:
    """The trace in a stream at its beginning. Raises TraceError, also while its blocks are read."""
    if stream.read(len(SIGNATURE)) != SIGNATURE:
        raise TraceError(file, "byte 0", f"expected a trace's signature, {SIGNATURE!r}")
    chunks = _chunks(file, stream)
    first = next(chunks, None)
    if first is None or first.kind != b"HEAD" or not first.whole:
        raise TraceError(file, f"byte {len(SIGNATURE)}", "expected a whole chunk HEAD")
    header = header_heard(file, first.place, _object(file, first))
    trace = Trace(file, header, iter(()))
    trace.blocks = _blocks(trace, chunks)
    return trace


def _chunks(file: Path, stream: BinaryIO) -> Iterator[_Chunk]:
    offset = len(SIGNATURE)
    while frame := stream.read(FRAME.size):
        if len(frame) < FRAME.size:
            yield _Chunk(offset, b"", b"", whole=False)
            return
        kind, length, checksum, own = FRAME.unpack(frame)
        if zlib.crc32(frame[:-4]) != own or kind not in KINDS or length > CONTENT_BYTES_MAX:
            raise TraceError(file, f"byte {offset}", "expected a chunk's frame, and it is damaged")
        content = stream.read(length)
        whole = len(content) == length
        if whole and zlib.crc32(content) != checksum:
            says = f"the next {length} bytes are damaged: their checksum is another"
            raise TraceError(file, f"byte {offset + FRAME.size}", says)
        yield _Chunk(offset, kind, content, whole)
        offset += FRAME.size + length


def _blocks(trace: Trace, chunks: Iterator[_Chunk]) -> Iterator[tuple[int, Iterable[Row]]]:
    count = 0
    for chunk in chunks:
        if trace.ending is not None:
            raise TraceError(trace.file, chunk.place, "expected the file's end, after chunk DONE")
        if chunk.kind == b"EVTS":
            first, rows = _rows(trace, chunk)
            if rows and first != count:
                says = f"row {first} comes next, expected row {count}"
                raise TraceError(trace.file, chunk.place, says)
            count += len(rows) // ROW.size
            yield first, ROW.iter_unpack(rows)
        elif not chunk.whole:
            trace.cut = f"it ends within a chunk, at {chunk.place}"
        else:
            _hear(trace, chunk, count)
    if trace.ending is None and not trace.cut:
        trace.cut = "it ends after a whole chunk, and was not ended by its writer"


def _rows(trace: Trace, chunk: _Chunk) -> tuple[int, bytes]:
    """The number of the first row, and the bytes of the rows: as many as are whole."""
    if len(chunk.content) < NUMBER.size:
        trace.cut = f"it ends within the chunk at {chunk.place}"
        return 0, b""
    rows = chunk.content[NUMBER.size :]
    odd = len(rows) % ROW.size
    if not chunk.whole:
        rows = rows[: len(rows) - odd]
        # What a disk has not got in time may read as zeros.
        while rows.endswith(bytes(ROW.size)):
            rows = rows[: -ROW.size]
        told = f"its last {len(rows) // ROW.size} rows have no checksum"
        trace.cut = f"it ends within the chunk at {chunk.place}: {told}"
    elif odd:
        raise TraceError(trace.file, chunk.place, f"{len(rows)} bytes, expected rows of {ROW.size}")
    return NUMBER.unpack(chunk.content[: NUMBER.size])[0], rows


def _hear(trace: Trace, chunk: _Chunk, count: int) -> None:
    """A chunk that is no rows."""
    file, place, said = trace.file, chunk.place, _object(trace.file, chunk)
    if chunk.kind == b"THRD":
        trace.threads |= threads_heard(file, place, said)
    elif chunk.kind == b"DONE":
        trace.ending = ending_heard(file, place, said)
        if trace.ending.rows != count:
            says = f"the trace has {trace.ending.rows} rows by its end, and {count} came"
            raise TraceError(file, place, says)
    else:
        raise TraceError(file, place, "a second HEAD, expected rows")


def _object(file: Path, chunk: _Chunk) -> dict[str, object]:
    try:
        said = json.loads(chunk.content)
    except ValueError as error:
        raise TraceError(file, chunk.place, f"expected JSON: {error}") from None
    if not isinstance(said, dict):
        raise TraceError(file, chunk.place, "expected a JSON object")
    return said
