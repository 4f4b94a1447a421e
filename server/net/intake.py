"""A request's content on its way in: in memory while it is small, in a file when it is not.

So a slow upload holds no worker, and a large one no memory. Threads: the connection's owner.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import BinaryIO

from server.errors import ProtocolError
from server.net.basin import BASIN_BYTES_MAX, Basin
from server.net.files import SYSTEM_FILES, Files
from server.net.reservoir import Reservoir

LOG = logging.getLogger("interlock.intake")


class Intake:
    """The content so far. `memory_bytes_max` is how much of it may be in memory, as long as the
    reservoir has room there too. `basin` has all of it where that is not enough.

    What `take` gives is no longer counted where it is in memory: there is one such content for each
    worker at most. A file is counted until it is closed.
    """

    __slots__ = ("_files", "_memory_bytes_max", "_pieces", "_reservoir", "_size", "basin")

    def __init__(
        self, memory_bytes_max: int, reservoir: Reservoir, files: Files = SYSTEM_FILES
    ) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._reservoir = reservoir
        self._files = files
        self._pieces: list[bytes] = []
        self._size = 0  # of the pieces in memory
        self.basin: Basin | None = None

    def add(self, piece: bytes) -> None:
        """Keep the next piece. Raises ProtocolError, status 503, and forgets the content, where
        there is no room for it.
        """
        if self.basin is None:
            size = len(piece)
            within = self._size + size <= self._memory_bytes_max
            if within and self._reservoir.memory.take(size):
                self._pieces.append(piece)
                self._size += size
                return
        self._keep(functools.partial(self._add_to_basin, piece))

    def space(self, awaited: int) -> memoryview | None:
        """Where the next of so many bytes may be received to, for `filled` to be told of; None
        where they are to come by `add`. Raises as that does.
        """
        if not awaited:
            return None
        if self.basin is None:
            if self._size + awaited <= self._memory_bytes_max:
                return None
            self._keep(self._overflow)
        assert self.basin is not None
        return self.basin.space() or None

    def filled(self, size: int) -> None:
        """So many bytes are there now. Raises as `add` does."""
        basin = self.basin
        assert basin is not None
        if basin.filled(size):
            self._keep(basin.write)

    def settle(self) -> None:
        """All has come, into the basin. Raises as `add` does."""
        assert self.basin is not None
        self._keep(self.basin.settle)

    def take(self) -> bytes | BinaryIO:
        """The whole content; the intake is empty then. The caller closes the file."""
        basin = self.basin
        if basin is None and not self._size:
            return b""
        if basin is not None:
            self.basin = None
            return basin.take()
        pieces = self._forget_memory()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drop(self) -> None:
        """Forget the content."""
        if self._size:
            self._forget_memory()
        if self.basin is not None:
            self.basin.drop()
            self.basin = None

    def _keep(self, how: Callable[[], bool]) -> None:
        """Keep some content, or say that it cannot be kept and forget it all."""
        try:
            kept = how()
        except OSError as error:
            LOG.error("a request's content cannot be kept: %s", error)
            kept = False
        if not kept:
            self.drop()
            raise ProtocolError(
                "The server has no room for the request's content now. Please try again soon.",
                status=503,
            )

    def _add_to_basin(self, piece: bytes) -> bool:
        if self.basin is None and not self._overflow():
            return False
        assert self.basin is not None
        return self.basin.add(piece)

    def _overflow(self) -> bool:
        """What memory has gets a basin: more is to come than may stay there."""
        before = b"".join(self._forget_memory())
        size = min(self._memory_bytes_max, BASIN_BYTES_MAX)
        self.basin = Basin(size, self._reservoir, self._files)
        return self.basin.add(before)

    def _forget_memory(self) -> list[bytes]:
        pieces, size = self._pieces, self._size
        if size:
            self._pieces, self._size = [], 0
            self._reservoir.memory.give_back(size)
        return pieces
