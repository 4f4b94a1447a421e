"""A trace: every arrow of a server's objects, from the first to the last, in a file.

Whoever takes an arrow appends a row to a queue, with the thread and the time. A thread of its own
empties the queue into the file every DRAIN_SECONDS, so that a process which is killed leaves all
but the last of it. If the disk stalls for so long that the queue fills, what is in it is thrown
away, and the trace says where. A disk that is full ends the trace, not the server: that is logged,
and at the end how much was not written.

Threads: any may append. The writer's alone takes rows out and writes; when it has ended, whoever
calls `close`.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from server.clock import Clock, imf_fixdate
from server.errors import StartError
from statemachine import System, chunks
from statemachine.noting import LOST, Log, Noted, Row, numbered
from statemachine.tracefile import Ending, Header, digest

LOG = logging.getLogger("interlock.trace")

DRAIN_SECONDS: Final = 0.02

QUEUE_ROWS_MAX: Final = 1 << 17
"""Rows that may wait for the disk: more than a second of a busy server, and some 20 MB."""


class Tracer:
    """Writes one trace. It notes from the moment it is made; `open` begins to write.

    `last_rows_max` is how many of the last rows are kept for dumps.
    """

    def __init__(self, system: System, clock: Clock, last_rows_max: int) -> None:
        self._system = system
        self._wall = clock.wall
        self._queue: deque[Noted] = deque(maxlen=QUEUE_ROWS_MAX)
        self._tail: deque[Row] = deque(maxlen=last_rows_max)
        # Held while rows go from the queue to the tail, so that a dump finds each of them once.
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._descriptor = -1
        self._rows = 0
        self._unwritten = 0
        self._threads: dict[int, str] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        stamp = threading.get_ident, clock.monotonic
        self.log = Log(self._queue.append, numbered(system.arrows), stamp)

    def open(self, file: Path) -> None:
        """Begin to write. Raises StartError where that cannot be done."""
        import platform  # noqa: PLC0415 - who writes no trace needs none

        about = {
            "when": imf_fixdate(self._wall()).decode(),
            "process": str(os.getpid()),
            "python": platform.python_version(),
        }
        header = Header(digest(self._system), tuple(self._system.arrows), whole=True, about=about)
        self._file = file
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            self._descriptor = os.open(file, flags, 0o600)
            self._put(chunks.head(header))
        except OSError as error:
            self._let_go()
            raise StartError(f"cannot write the trace {file}: {error.strerror}") from None
        self._thread = threading.Thread(target=self._write_on, name="trace", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            self._let_go()
            raise StartError(f"cannot start a thread: {error}") from None

    def mark(self) -> None:
        """Each row has its own time."""

    def last_rows(self) -> list[Row]:
        """The last arrows, oldest first."""
        with self._lock:
            rows = [*self._tail, *cast("list[Row]", list(self._queue.copy()))]
        return rows[-(self._tail.maxlen or 0) :] if self._tail.maxlen else []

    def close(
        self, taken: Mapping[str, int] | None, living: Mapping[str, int] | None, says: str
    ) -> None:
        """Write what is left, and the trace's end. May be called again, to no effect."""
        if self._thread is None:
            return
        self._closing.set()
        self._thread.join()
        self._thread = None
        self._drain()
        if self._unwritten:
            LOG.error("trace %s: %d rows were not written", self._file, self._unwritten)
        with contextlib.suppress(OSError):
            if self._descriptor >= 0:
                self._put(chunks.end(Ending(self._rows, taken, living, says)))
        self._let_go()

    # --- the writer's thread ----------------------------------------------------------------

    def _write_on(self) -> None:
        while not self._closing.wait(DRAIN_SECONDS):
            self._drain()

    def _drain(self) -> None:
        """Write what is in the queue. Rows that come meanwhile wait for the next time."""
        queue = self._queue
        count = len(queue)
        if count == 0:
            return
        with self._lock:
            rows = cast("list[Row]", list(map(deque.popleft, itertools.repeat(queue, count))))
            if count + len(queue) >= QUEUE_ROWS_MAX:
                # It was full, or has been meanwhile: then what is appended has pushed out what was
                # oldest, and nobody knows any more which of these rows follow on each other.
                self._unwritten += count
                rows = [(LOST, 0, rows[-1][2])]
            self._tail.extend(rows)
        if self._descriptor >= 0:
            self._write(rows)
        else:
            self._unwritten += count

    def _write(self, rows: list[Row]) -> None:
        before = self._rows
        try:
            self._name_threads()
            for start in range(0, len(rows), chunks.ROWS_MAX):
                some = rows[start : start + chunks.ROWS_MAX]
                self._put(chunks.events(self._rows, some))
                self._rows += len(some)
        except OSError as error:
            self._unwritten += len(rows) - (self._rows - before)
            LOG.error("trace %s: it ends here, the server goes on: %s", self._file, error.strerror)
            self._let_go()

    def _name_threads(self) -> None:
        names = {one.ident: one.name for one in threading.enumerate() if one.ident is not None}
        news = {ident: name for ident, name in names.items() if self._threads.get(ident) != name}
        if news:
            self._threads |= news
            self._put(chunks.thread_names(news))

    def _put(self, data: bytes) -> None:
        """Write all of it. Raises OSError, and then takes back the part that was written."""
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._descriptor, view)
            except OSError:
                with contextlib.suppress(OSError):
                    whole = os.lseek(self._descriptor, 0, os.SEEK_CUR) - len(data) + len(view)
                    os.ftruncate(self._descriptor, whole)
                raise
            view = view[written:]

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
