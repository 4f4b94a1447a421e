"""The pipe between a worker that makes content and the reactor that sends it.

It has two ends and one lock. The worker puts pieces in and never looks at the connection; the
reactor takes them out and never looks at the handler. What outgrows the memory goes on in a file,
so that a fast handler is done long before a slow peer is; when there is no room in the file either,
the worker waits until the reactor has sent some, or has given up.

Threads: `put` and `end` by the worker; `take`, `make_room` and `abandon` by the reactor; `fail` by
the worker, or by whoever has taken its job from it.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections import deque
from collections.abc import Callable

from server.http1.messages import FileRegion
from server.net.files import SYSTEM_FILES, Files
from server.net.reservoir import Reservoir
from server.net.threads import Lock, Threading
from statemachine._generated import PipeMachine, PipeState

SLICE_BYTES_MAX = 1024 * 1024
"""Bytes that are put in at a time: a larger piece is cut. Small slices are slow: each that goes to
a file is a system call, after which the worker has to wait for the interpreter's lock.
"""

SLICE_BYTES_MIN = 64 * 1024
"""Pieces up to this size are not cut, however little may be kept."""

JOINED_BYTES_MAX = 4 * 1024
"""Pieces in memory are joined as long as they are smaller: each costs some 50 bytes besides."""


class Pipe(PipeMachine):
    """Bytes in their order. `memory_bytes_max` and `file_bytes_max` bound what it holds, and the
    reservoir bounds what all hold together.

    Guarantees: the bytes come out as they went in, each once. A file is given out as a region only
    when the memory before it is empty, and is started anew once all of it has been sent. What was
    taken out counts as held until the reader comes for the next. Whatever others hold, there is
    room for one slice in a pipe that is empty: the one in its worker's hand, which is not counted
    where there is no other.
    """

    __slots__ = (
        "_begun_bytes", "_file", "_file_bytes_max", "_files", "_lock", "_memory", "_memory_bytes",
        "_memory_bytes_max", "_read_bytes", "_reservoir", "_room", "_sending_bytes",
        "_slice_bytes", "_uncounted_bytes", "_written_bytes",
    )  # fmt: skip

    def __init__(
        self,
        threading: Threading,
        reservoir: Reservoir,
        *,
        memory_bytes_max: int,
        file_bytes_max: int,
        files: Files = SYSTEM_FILES,
    ) -> None:
        super().__init__()
        self._lock: Lock = threading.Lock()
        # Locked while the writer waits or would; whoever makes room releases it to say so.
        self._room: Lock = threading.Lock()
        self._room.acquire()
        self._reservoir = reservoir
        self._memory: deque[bytes] = deque()
        # Of the pieces in memory, and of the one that was taken last.
        self._memory_bytes = 0
        self._sending_bytes = 0
        self._uncounted_bytes = 0
        self._memory_bytes_max = memory_bytes_max
        self._files = files
        self._file: io.RawIOBase | None = None
        self._file_bytes_max = file_bytes_max
        # What is cut larger than the room there may be at best would never fit.
        room = max(
            min(memory_bytes_max, reservoir.memory.bytes_max),
            min(file_bytes_max, reservoir.file.bytes_max),
        )
        self._slice_bytes = min(max(room, SLICE_BYTES_MIN), SLICE_BYTES_MAX)
        # How far into the file: writing has begun, has come, and the reader has taken.
        self._begun_bytes = 0
        self._written_bytes = 0
        self._read_bytes = 0

    # --- the writer's end -------------------------------------------------------------------

    def put(self, piece: bytes | memoryview, tell: Callable[[], None]) -> None:
        """Add a piece; waits while there is no room. `tell` is called where the reader, who has
        found the pipe empty, must know that it no longer is.

        Raises BrokenPipeError when nobody reads any more, or the pipe was failed. Raises OSError,
        and the pipe is BROKEN, when the file cannot be written.
        """
        whole, size = memoryview(piece), self._slice_bytes
        for begin in range(0, len(whole), size):
            while not self._put_slice(whole[begin : begin + size], tell):
                self._room.acquire()

    def _put_slice(self, piece: memoryview, tell: Callable[[], None]) -> bool:
        """Add the piece, unless there is no room for it now."""
        size = len(piece)
        with self._lock:
            self._check_open_locked()
            was_empty, begin = self._is_empty_locked(), self._begun_bytes
            # The reader may abandon the pipe from here on, and leaves the file to us.
            file = self._file
            in_file = False
            if not self._may_keep_locked(size):
                in_file = self._begin_writing_locked(size)
                if not in_file:
                    if self._memory_bytes or self._file is not None:
                        return False
                    self._uncounted_bytes = size
            if not in_file:
                self._keep_locked(piece)
        if in_file:
            # Without the lock: a disk may take its time, and the reactor must not wait for it.
            was_empty = self._write(file, piece, begin)
        if was_empty:
            tell()
        return True

    def end(self) -> None:
        """All has been made. Raises BrokenPipeError as `put` does."""
        with self._lock:
            self._check_open_locked()
            self.ended()

    def fail(self) -> None:
        """What should have followed will not come; a writer that waits is told so."""
        with self._lock:
            if self.state is PipeState.OPEN:
                self.broken()
        self._let_writer_go()

    # --- the reader's end -------------------------------------------------------------------

    def take(self) -> bytes | FileRegion | None:
        """The next bytes, or None when there are none now. The reader closes a region when sent,
        and comes for the next when it has sent all that it took before.
        """
        with self._lock:
            if self._forget_sent_locked():
                self._let_writer_go()
            if self._memory:
                piece = self._memory.popleft()
                self._sending_bytes = len(piece)
                return piece
            if self._file is None or self._read_bytes == self._written_bytes:
                return None
            begin, end = self._read_bytes, self._written_bytes
            try:
                descriptor = self._files.dup(self._file.fileno())
            except OSError:  # EMFILE: there are many slow readers, and each should go on
                size = min(SLICE_BYTES_MIN, end - begin)
                piece = self._files.pread(self._file.fileno(), size, begin)
                self._read_bytes += len(piece)
                return piece
            self._read_bytes = end
            close = functools.partial(self._files.close, descriptor)
            return FileRegion(descriptor, begin, end - begin, close)

    def make_room(self) -> None:
        """All that was taken has been sent: a file that is read to its end is started anew."""
        with self._lock:
            if self._file is not None and self._read_bytes == self._begun_bytes:
                self._forget_file_locked()
                self._let_writer_go()

    def abandon(self) -> None:
        """Nobody reads any more; a writer that waits is told so."""
        with self._lock:
            if self.state in (PipeState.OPEN, PipeState.ENDED):
                self.abandoned()
            self._forget_sent_locked()
            while self._memory:
                self._sending_bytes = len(self._memory.popleft())
                self._forget_sent_locked()
            self._forget_file_locked()
        self._let_writer_go()

    # --- under the lock ---------------------------------------------------------------------

    def _check_open_locked(self) -> None:
        if self.state is PipeState.ABANDONED:
            raise BrokenPipeError("the peer has gone")
        if self.state is PipeState.BROKEN:
            raise BrokenPipeError("the pipe has been failed")

    def _is_empty_locked(self) -> bool:
        return not self._memory and self._read_bytes == self._written_bytes

    def _may_keep_locked(self, size: int) -> bool:
        """Take room in memory for so many bytes, if there is."""
        if self._file is not None:
            return False  # what is in the file comes before them
        within = self._memory_bytes + size <= self._memory_bytes_max
        return within and self._reservoir.memory.take(size, otherwise=self._let_writer_go)

    def _keep_locked(self, piece: memoryview) -> None:
        if self._memory and len(self._memory[-1]) < JOINED_BYTES_MAX:
            self._memory[-1] += bytes(piece)
        else:
            self._memory.append(bytes(piece))
        self._memory_bytes += len(piece)

    def _begin_writing_locked(self, size: int) -> bool:
        """Take room in the file for so many bytes, if there is."""
        within = self._begun_bytes + size <= self._file_bytes_max
        if not within or not self._reservoir.file.take(size, otherwise=self._let_writer_go):
            return False
        self._begun_bytes += size
        return True

    def _forget_sent_locked(self) -> bool:
        """The piece that was taken last has been sent. False: there was none."""
        size, uncounted = self._sending_bytes, self._uncounted_bytes
        if not size:
            return False
        self._memory_bytes -= size
        self._sending_bytes = self._uncounted_bytes = 0
        self._reservoir.memory.give_back(size - uncounted)
        return True

    def _forget_file_locked(self) -> None:
        # A writer that is at it now will close it: the number of a file that is closed may be
        # another's, which it would write to.
        if self._file is not None and self._written_bytes == self._begun_bytes:
            self._file.close()
        self._file = None
        begun, self._begun_bytes = self._begun_bytes, 0
        self._written_bytes = self._read_bytes = 0
        self._reservoir.file.give_back(begun)

    # --- without it -------------------------------------------------------------------------

    def _write(self, file: io.RawIOBase | None, piece: memoryview, begin: int) -> bool:
        """Write what `_begin_writing_locked` made room for. True: the pipe was empty before.

        Raises OSError, and the pipe is BROKEN.
        """
        try:
            if file is None:
                file = self._files.temporary()
            self._write_all(file.fileno(), piece, begin)
        except OSError:
            self._end_writing(file, written=False)
            raise
        return self._end_writing(file, written=True)

    def _write_all(self, descriptor: int, piece: memoryview, offset: int) -> None:
        """Write the whole piece at `offset`. Raises OSError when the disk is full."""
        written = 0
        while written < len(piece):
            written += self._files.pwrite(descriptor, piece[written:], offset + written)

    def _end_writing(self, file: io.RawIOBase | None, *, written: bool) -> bool:
        """What was written can be read from now on. True: the pipe was empty before."""
        with self._lock:
            was_empty = self._is_empty_locked()
            if not self._begun_bytes:
                # The reader has abandoned the pipe meanwhile, and has left the file to us.
                if file is not None:
                    file.close()
            elif written:
                self._file, self._written_bytes = file, self._begun_bytes
            else:
                self._file = file
                self._reservoir.file.give_back(self._begun_bytes - self._written_bytes)
                self._begun_bytes = self._written_bytes
                if self.state is PipeState.OPEN:
                    self.broken()
        return was_empty

    def _let_writer_go(self) -> None:
        # Several may say so at once, on any thread: the second finds the lock released.
        with contextlib.suppress(RuntimeError):
            self._room.release()
