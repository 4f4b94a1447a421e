"""Small files that were asked for a moment ago, with their content: they are given again without a
look at the disk.

A representation is kept for `static_cache_seconds_max` from the moment before its file was opened,
and then looked for again, as if it had never been kept: what is given is at most that old, be the
file changed, replaced, removed, or its rights. Its tag and date are those of the bytes that are
given. Nothing is kept that is not there: a file that is new is served at once.
"""

from __future__ import annotations

import threading
from typing import Final

from server.app.folder import KeptFile
from server.app.representation import SMALL_BYTES_MAX, Representation, is_settled
from server.clock import Clock

Key = tuple[object, ...]

ENTRY_BYTES: Final = 2048
"""What an entry is reckoned at beside its content and the characters of its key: mostly the fields
of the answers to it."""


class Shelf:
    """Representations by what selected them, bounded in bytes and in time.

    Threads: any. To look something up takes no lock.
    """

    __slots__ = ("_bytes", "_bytes_max", "_clock", "_entries", "_lock", "_seconds_max")

    def __init__(self, clock: Clock, *, bytes_max: int, seconds_max: float) -> None:
        """0 for either keeps nothing."""
        self._clock = clock
        self._bytes_max = bytes_max if seconds_max > 0 else 0
        self._seconds_max = seconds_max
        self._lock = threading.Lock()
        self._bytes = 0
        # In the order in which they will be too old.
        self._entries: dict[Key, tuple[float, int, Representation]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def now(self) -> float:
        """The clock's seconds, to be read before a file is opened that will be put here."""
        return self._clock.monotonic()

    def get(self, key: Key, now: float) -> Representation | None:
        """What was put there less than `static_cache_seconds_max` ago."""
        entry = self._entries.get(key)
        return entry[2] if entry is not None and now < entry[0] else None

    def put(self, key: Key, found: Representation, opened_at: float) -> Representation:
        """Keep it if it may be kept; returns what is to be given, the kept one or `found` itself.

        A file that has changed within the last two seconds is not kept: it may change once more
        without a trace (see `SETTLED_NS`). Closes the file of what is kept, and where reading it
        fails; raises Refused and OSError as `OpenFile.read` does.
        """
        file = found.file
        size = file.size + ENTRY_BYTES + sum(len(part) for part in key if isinstance(part, str))
        settled = is_settled(file, now=self._clock.wall())
        if not settled or file.size > SMALL_BYTES_MAX or size > self._bytes_max:
            return found
        try:
            kept = found.with_file(KeptFile(file.read(0, file.size), file.modified_ns))
        finally:
            file.close()
        with self._lock:
            self._take_locked(key)
            self._entries[key] = (opened_at + self._seconds_max, size, kept)
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._take_locked(next(iter(self._entries)))
        return kept

    def _take_locked(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[1]
