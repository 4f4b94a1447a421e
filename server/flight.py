"""The flight recorder: the last arrows that were taken, always at hand, and written out when
something goes wrong.

It is a ring of numbers, into which the events of every object are compiled to write (see
`statemachine.noting`). It costs a few tens of nanoseconds an arrow and says no thread, since asking
for that would double it; the state that was left says whose it was. Time is marked by the reactor
about every MARK_SECONDS.

Threads: any, for everything. A dump is written by the thread that asks for it, while the server
goes on; one at a time, at most DUMPS_MAX in all, and it never fails: what cannot be written is
logged.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol, cast

from server.clock import Clock, imf_fixdate
from statemachine import System, lines
from statemachine.ahead import IS_COMPILED, Ring
from statemachine.model import BIRTH_STEP
from statemachine.noting import MARKED, NAMED, Log, Noted, Row, numbered, rows
from statemachine.tracefile import Ending, Header, digest

LOG = logging.getLogger("interlock.flight")

DUMPS_MAX: Final = 16
"""Files that one server leaves at most: a fault at every request must not fill a disk."""

MARK_SECONDS: Final = 0.01


class Recorder(Protocol):
    """What notes arrows and can tell the last of them: the flight recorder, or a trace's tail."""

    log: Log

    def mark(self) -> None:
        """A moment at which the time may be noted."""
        ...

    def last_rows(self) -> list[Row]:
        """The last arrows, oldest first."""
        ...


class _Deque(deque[Noted]):
    """The ring, where nothing is compiled."""

    __slots__ = ()

    def last(self) -> object:
        return self[-1] if self else None


class Flight:
    """A ring of the last `events_max` arrows."""

    def __init__(self, system: System, clock: Clock, events_max: int) -> None:
        self._ring = Ring(events_max) if IS_COMPILED else _Deque(maxlen=events_max)
        self._seconds = clock.monotonic
        self._marked = 0
        self._mark_due = 0.0
        self.log = Log(self._ring.append, numbered(system.arrows))

    def mark(self) -> None:
        """Note the time, unless that was done just now, or nothing has happened since."""
        last = self._ring.last()
        if last is None or last is self._marked:
            return
        now = self._seconds()
        if now >= self._mark_due:
            self._mark_due = now + MARK_SECONDS
            self._marked = int(now * 1000) * BIRTH_STEP + MARKED
            self._ring.append(self._marked)

    def last_rows(self) -> list[Row]:
        """The last arrows, oldest first. The copy is one step of the interpreter."""
        return rows(cast("Iterable[Noted]", self._ring.copy()))


class Dumps:
    """Writes what a recorder has, as lines that `python -m statemachine replay` reads.

    `folder` is where; None is the system's folder for temporary files. `known` tells by which
    numbers the logs know the objects that live, by their births.
    """

    def __init__(
        self,
        system: System,
        recorder: Recorder,
        *,
        clock: Clock,
        folder: Path | None,
        known: Callable[[], Mapping[int, int]],
    ) -> None:
        self._system = system
        self._recorder = recorder
        self._wall = clock.wall
        self._folder = folder
        self._known = known
        self._lock = threading.Lock()
        self._count = 0

    def dump(self, reason: str) -> Path | None:
        """Write the last arrows to a new file, log its name, and return it; None if none was."""
        # Whoever asks while a dump is being written may even be the same thread, interrupted.
        if not self._lock.acquire(blocking=False):
            LOG.warning("flight recorder: %s: not written, another dump is under way", reason)
            return None
        try:
            return self._dump(reason)
        except Exception:
            LOG.exception("flight recorder: %s: not written", reason)
            return None
        finally:
            self._lock.release()

    def _dump(self, reason: str) -> Path | None:
        last = self._recorder.last_rows()
        self._count += 1
        if self._count > DUMPS_MAX:
            if self._count == DUMPS_MAX + 1:
                LOG.warning("flight recorder: %s: %d dumps are enough", reason, DUMPS_MAX)
            return None
        text = self._text(reason, last)
        try:
            file = self._write(reason, text)
        except OSError as error:
            LOG.error("flight recorder: %s: cannot be written: %s", reason, error)
            return None
        LOG.warning("flight recorder: %s: the last %d arrows are in %s", reason, len(last), file)
        return file

    def _text(self, reason: str, last: list[Row]) -> str:
        names = [(birth + NAMED, number, 0.0) for birth, number in self._known().items()]
        threads = {one.ident: one.name for one in threading.enumerate() if one.ident is not None}
        about = {
            "why": reason,
            "when": imf_fixdate(self._wall()).decode(),
            "process": str(os.getpid()),
        }
        arrows = tuple(self._system.arrows)
        header = Header(digest(self._system), arrows, whole=False, about=about)
        found = [*names, *last]
        return "".join(
            (
                lines.head(header),
                lines.thread_names(threads),
                lines.events(self._system, 0, found, threads),
                lines.end(Ending(len(found), says=reason)),
            )
        )

    def _write(self, reason: str, text: str) -> Path:
        """A new file that nobody else may read: a path may be a secret, and so may a request."""
        folder = self._folder or Path(tempfile.gettempdir())
        words = re.sub(r"[^a-z0-9]+", "-", reason.lower()).strip("-")[:40]
        prefix = f"interlock-flight-{os.getpid()}-{self._count}-{words}-"
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".jsonl", dir=folder)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        return Path(name)
