"""Where log lines go: a queue of bounded size, and one thread that writes it to a file or a pipe.

Guarantees
    Whoever logs waits for no disk, no pipe and no terminal: a line is put into the queue, or it is
    dropped and counted.
    A line is whole: it follows a line's end and is followed by none of another's bytes.
    What cannot be written costs lines, which are counted and told of, and nothing else.

A file is opened to append, so that it may be truncated in place while the server runs. Where it was
moved away, `reopen` makes it anew: what was put before goes to the old file, the rest to the new.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from server.clock import Clock, SystemClock
from server.errors import StartError

QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Lines that may wait for the file: of common ones more than 100,000."""

WRITE_BYTES: Final = 64 * 1024
"""About how much is written at once."""

FLUSH_SECONDS_MAX: Final = 1.0
"""How long the end waits for a file that takes nothing."""

BLOCKED_SECONDS: Final = 0.05
"""Until a pipe that would have to be waited for is tried again."""

TOO_LITTLE: Final = "what it is written to takes too little"

COMPLAINT_SECONDS: Final = 60.0
"""How long a failing log is silent about it after it has said so."""


class Stream(Protocol):
    """What lines are written to: unbuffered, so that what `write` took is out of our hands."""

    def write(self, piece: bytes, /) -> int | None:
        """How many bytes were taken, maybe not all; None where it would have to wait."""
        ...

    def close(self) -> None: ...


Tell = Callable[[int, str], None]
"""Called with how many lines are lost by now, and why; at most once in COMPLAINT_SECONDS."""


class LogFile:
    """One log. `open_stream` opens it, again and again where it is reopened; it raises OSError or
    ValueError. `gather_seconds` is how long the writer waits for more lines before it writes some.

    Threads: any may call any method but `open`, which is its maker's. None waits for the file but
    `close`, and that for FLUSH_SECONDS_MAX.
    """

    def __init__(
        self,
        open_stream: Callable[[], Stream],
        tell: Tell,
        *,
        clock: Clock | None = None,
        gather_seconds: float = 0.0,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        self._open_stream = open_stream
        self._tell = tell
        self._clock = clock or SystemClock()
        self._gather_seconds = gather_seconds
        self._queue_bytes_max = queue_bytes_max
        self._complained = float("-inf")
        self._owed = b""  # the end of a line of which only a part could be written
        self._stream: Stream | None = None
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes | None] = deque()  # None: open the file again, and then go on
        self._waiting_bytes = self._lines_in_hand = 0
        self._lost = self._told = 0
        self._why = ""
        self._closed = False
        self._hurry = threading.Event()
        # Released for each line that finds the writer asleep, and never twice for one sleep.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._asleep = True
        self._thread: threading.Thread | None = None  # begun with the first line

    @property
    def lines_lost(self) -> int:
        """How many lines were not written, for whatever reason."""
        return self._lost

    def open(self) -> None:
        """Open the file. Raises OSError, ValueError."""
        self._stream = self._open_stream()
        _open_files.add(self)

    def put(self, line: bytes) -> None:
        """Have a line written, with its end. Where there is no room for it, it is lost."""
        with self._lock:
            if self._closed or self._waiting_bytes + len(line) > self._queue_bytes_max:
                self._lost += 1
                self._why = TOO_LITTLE
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            wakes, self._asleep = self._asleep, False
        if wakes:
            self._wake_writer()

    def reopen(self) -> None:
        """Open the file again by its name, after the lines that were put before this."""
        with self._lock:
            self._lines.append(None)
            wakes, self._asleep = self._asleep, False
        if wakes:
            self._wake_writer()

    def _wake_writer(self) -> None:
        """Called by who has found it asleep, and by nobody else until it sleeps again."""
        # Under the lock: who closes the log finds a thread that runs, or none.
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._write_on, name="log", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread is to be had: whoever comes next tries again
                    self._asleep = True
                    return
                self._thread = thread
        self._wake.release()

    def close(self) -> None:
        """Write what is waiting and close the file; what it does not take in time is lost, and so
        is what is put later. May be called again, to no effect.
        """
        with self._lock:
            was_closed, self._closed = self._closed, True
            wakes, self._asleep = self._asleep, False
            thread = self._thread
        if was_closed:
            return
        _open_files.discard(self)
        self._hurry.set()
        if thread is None:
            self._close_stream()
        else:
            if wakes:
                self._wake.release()
            thread.join(FLUSH_SECONDS_MAX)
        with self._lock:
            self._lost += sum(line is not None for line in self._lines) + self._lines_in_hand
            self._lines.clear()

    def tell_rest(self) -> None:
        """Tell of the lines that are lost, if some are that nobody has been told of."""
        if self._lost != self._told:
            self._told = self._lost
            self._tell(self._lost, self._why or TOO_LITTLE)

    def forked(self) -> None:
        """In a forked child: what waits is its parent's to write, and the thread is not here."""
        self._begin()

    # --- the writer's thread ----------------------------------------------------------------

    def _write_on(self) -> None:
        while True:
            self._wake.acquire()
            self._hurry.wait(self._gather_seconds)
            while not self._is_idle():
                self._write_some()
            if self._closed:
                self._close_stream()
                return

    def _is_idle(self) -> bool:
        """Whether nothing waits; then the next line wakes the writer, unless the log is closed."""
        with self._lock:
            if not self._lines:
                self._asleep = not self._closed
                return True
            return False

    def _write_some(self) -> None:
        lines, size = [], 0
        with self._lock:
            while self._lines and self._lines[0] is not None and size < WRITE_BYTES:
                line = self._lines.popleft()
                assert line is not None
                lines.append(line)
                size += len(line)
            reopens = not lines and bool(self._lines)
            if reopens:
                self._lines.popleft()
            self._waiting_bytes -= size
            self._lines_in_hand = len(lines)
        if reopens:
            self._reopen()
        elif error := self._write(b"".join(lines)):
            self._why = str(error)
        self._lines_in_hand = 0
        self._complain()

    def _reopen(self) -> None:
        try:
            stream = self._open_stream()
        except (OSError, ValueError) as error:
            self._why = f"it cannot be opened again: {error}"
            self._told = -1  # worth a word, with or without a line that is lost
            return
        self._close_stream()
        self._stream, self._owed = stream, b""

    def _write(self, lines: bytes) -> Exception | None:
        left = self._owed + lines
        try:
            while left:
                taken = self._write_piece(left)
                # A line of which a part is out must be ended before another begins.
                self._owed = b"" if left[taken - 1 : taken] == b"\n" else b"\n"
                left = left[taken:]
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            was_counted = left.startswith(b"\n")  # it is the end that was owed
            with self._lock:
                self._lost += left.count(b"\n") - was_counted
            return error
        return None

    def _write_piece(self, piece: bytes) -> int:
        """How many bytes were taken, at least one. Raises what the stream raises."""
        assert self._stream is not None
        while (taken := self._stream.write(piece)) is None:
            if self._hurry.wait(BLOCKED_SECONDS):
                raise BlockingIOError("it takes no more now")
        if not taken:
            raise BlockingIOError("it takes no more now")
        return taken

    def _complain(self) -> None:
        lost, now = self._lost, self._clock.monotonic()
        if lost == self._told or now - self._complained < COMPLAINT_SECONDS:
            return
        self._complained, self._told = now, lost
        self._tell(lost, self._why)

    def _close_stream(self) -> None:
        try:
            if self._stream is not None:
                self._stream.close()
        except OSError:  # some file systems say only now that the disk is full
            with self._lock:
                self._lost += 1


def file_stream(target: int | str) -> Callable[[], Stream]:
    """Opens a file to append, by its name; or a descriptor that is there and stays so."""

    def open_stream() -> Stream:
        if isinstance(target, int):
            return io.FileIO(target, "w", closefd=False)
        return io.FileIO(target, "a")

    return open_stream


def opened(log: LogFile, option: str, target: str) -> LogFile:
    """The log, opened. Raises StartError, which names the option."""
    try:
        log.open()
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(f"{option} {target} cannot be opened: {what}") from error
    return log


_open_files: weakref.WeakSet[LogFile] = weakref.WeakSet()


def reopen_all() -> None:
    """Open every log of this process again: whoever rotates them has moved the files away."""
    for log in list(_open_files):
        log.reopen()


def _forked() -> None:
    for log in list(_open_files):
        log.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
