"""The pipe between a worker that makes content and the reactor that sends it.

It has two ends and one lock. The worker puts pieces in and never looks at the connection; the
reactor takes them out and never looks at the handler. What outgrows the memory goes on in a file,
so that a fast handler is done long before a slow peer is; when the file is full too, the worker
waits until the reactor has sent some, or has given up.

Threads: `put`, `end` and `fail` by the worker; `take` and `abandon` by the reactor.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections import deque
from typing import BinaryIO

from server.http1.messages import FileRegion
from server.net.threads import Lock, Threading
from statemachine._generated import PipeMachine, PipeState


class Pipe(PipeMachine):
    """Bytes in their order. `memory_bytes_max` and `file_bytes_max` bound what it holds.

    Guarantee: the bytes come out as they went in, each once. A file is given out as a region only
    when the memory before it is empty, and is started anew once all of it has been sent.
    """

    __slots__ = (
        "_file", "_file_bytes_max", "_lock", "_memory", "_memory_bytes", "_memory_bytes_max",
        "_read_bytes", "_room", "_written_bytes",
    )  # fmt: skip

    def __init__(self, threading: Threading, *, memory_bytes_max: int, file_bytes_max: int) -> None:
        super().__init__()
        self._lock: Lock = threading.Lock()
        # Locked while there is room or nobody waits for it; the reactor releases it to say so.
        self._room: Lock = threading.Lock()
        self._room.acquire()
        self._memory: deque[bytes] = deque()
        self._memory_bytes = 0
        self._memory_bytes_max = memory_bytes_max
        self._file: BinaryIO | None = None
        self._file_bytes_max = file_bytes_max
        self._written_bytes = 0
        self._read_bytes = 0

    def put(self, piece: bytes) -> bool:
        """Add a piece; waits while the pipe is full. True: it was empty, and the reader must know.

        Raises BrokenPipeError when nobody reads any more, OSError when the file cannot be written.
        """
        while True:
            with self._lock:
                if self.state is PipeState.ABANDONED:
                    raise BrokenPipeError("the peer has gone")
                if self._written_bytes < self._file_bytes_max:
                    was_empty = self._is_empty_locked()
                    self._store_locked(piece)
                    return was_empty
            self._room.acquire()

    def end(self) -> None:
        """All has been made. Raises BrokenPipeError when nobody reads any more."""
        with self._lock:
            if self.state is PipeState.ABANDONED:
                raise BrokenPipeError("the peer has gone")
            self.ended()

    def fail(self) -> None:
        """What should have followed will not come."""
        with self._lock:
            if self.state is PipeState.OPEN:
                self.broken()

    def take(self) -> bytes | FileRegion | None:
        """The next bytes, or None when there are none now. The reader closes a region when sent."""
        with self._lock:
            if self._memory:
                piece = self._memory.popleft()
                self._memory_bytes -= len(piece)
                return piece
            if self._file is None or self._read_bytes == self._written_bytes:
                return None
            descriptor, begin = os.dup(self._file.fileno()), self._read_bytes
            self._read_bytes = self._written_bytes
            close = functools.partial(os.close, descriptor)
            return FileRegion(descriptor, begin, self._read_bytes - begin, close)

    def make_room(self) -> None:
        """All that was taken has been sent: a file that is read to its end is started anew."""
        with self._lock:
            if self._file is not None and self._read_bytes == self._written_bytes:
                self._forget_file_locked()
                self._let_writer_go_locked()

    def abandon(self) -> None:
        """Nobody reads any more; a writer that waits is told so."""
        with self._lock:
            if self.state in (PipeState.OPEN, PipeState.ENDED):
                self.abandoned()
            self._memory.clear()
            self._forget_file_locked()
            self._let_writer_go_locked()

    def _is_empty_locked(self) -> bool:
        return not self._memory and self._read_bytes == self._written_bytes

    def _store_locked(self, piece: bytes) -> None:
        room = self._memory_bytes_max - self._memory_bytes
        if self._file is None and len(piece) <= room:
            self._memory.append(piece)
            self._memory_bytes += len(piece)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it outlives this call
        self._written_bytes += _write_all(self._file.fileno(), piece, self._written_bytes)

    def _forget_file_locked(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._written_bytes = self._read_bytes = 0

    def _let_writer_go_locked(self) -> None:
        # A release too many is an error; one too early costs the writer a turn of its loop.
        self._room.acquire(blocking=False)
        self._room.release()


def _write_all(descriptor: int, piece: bytes, offset: int) -> int:
    """Write the whole piece at `offset`; returns its size. Raises OSError when the disk is full."""
    written = 0
    while written < len(piece):
        written += os.pwrite(descriptor, memoryview(piece)[written:], offset + written)
    return written
