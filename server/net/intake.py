"""A request's content on its way in: in memory while it is small, in a file when it is not.

So a slow upload holds no worker, and a large one no memory. Threads: the connection's owner.
"""

from __future__ import annotations

import io
import logging
from typing import BinaryIO

from server.errors import ProtocolError
from server.net.files import SYSTEM_FILES, Files
from server.net.reservoir import Reservoir, Tank

LOG = logging.getLogger("interlock.intake")


class KeptFile(io.BufferedRandom):
    """A file without a name, whose bytes are given back to their tank when it is closed.

    No name leads to `raw`: it is gone when it is closed, whatever becomes of us.
    """

    def __init__(self, raw: io.RawIOBase, tank: Tank) -> None:
        self._tank = tank
        self._kept_bytes = 0
        super().__init__(raw)

    def keep(self, piece: bytes) -> bool:
        """Add a piece to the end. False: the tank has no room for it. Raises OSError."""
        if not self._tank.take(len(piece)):
            return False
        self._kept_bytes += len(piece)
        self.write(piece)
        self.flush()  # a disk that is full says so now, not when the handler reads
        return True

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        try:
            super().close()
        finally:
            kept, self._kept_bytes = self._kept_bytes, 0
            self._tank.give_back(kept)


class Intake:
    """The content so far. `memory_bytes_max` is how much of it may be in memory, as long as the
    reservoir has room there too.

    What `take` gives is no longer counted where it is in memory: there is one such content for each
    worker at most. A file is counted until it is closed.
    """

    __slots__ = ("_file", "_files", "_memory_bytes_max", "_pieces", "_reservoir", "_size")

    def __init__(
        self, memory_bytes_max: int, reservoir: Reservoir, files: Files = SYSTEM_FILES
    ) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._reservoir = reservoir
        self._files = files
        self._pieces: list[bytes] = []
        self._size = 0  # of the pieces in memory
        self._file: KeptFile | None = None

    def add(self, piece: bytes) -> None:
        """Keep the next piece. Raises ProtocolError, status 503, and forgets the content, where
        there is no room for it.
        """
        if self._file is None:
            size = len(piece)
            within = self._size + size <= self._memory_bytes_max
            if within and self._reservoir.memory.take(size):
                self._pieces.append(piece)
                self._size += size
                return
        try:
            kept = self._add_to_file(piece)
        except OSError as error:
            LOG.error("a request's content cannot be kept: %s", error)
            kept = False
        if not kept:
            self.drop()
            raise ProtocolError(
                "The server has no room for the request's content now. Please try again soon.",
                status=503,
            )

    def _add_to_file(self, piece: bytes) -> bool:
        if self._file is None:
            self._file = KeptFile(self._files.temporary(), self._reservoir.file)
            before = b"".join(self._forget_memory())
            if not self._file.keep(before):
                return False
        return self._file.keep(piece)

    def take(self) -> bytes | BinaryIO:
        """The whole content; the intake is empty then. The caller closes the file."""
        file = self._file
        if file is None and not self._size:
            return b""
        if file is not None:
            self._file = None
            file.seek(0)
            return file
        pieces = self._forget_memory()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drop(self) -> None:
        """Forget the content."""
        if self._size:
            self._forget_memory()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _forget_memory(self) -> list[bytes]:
        pieces, size = self._pieces, self._size
        if size:
            self._pieces, self._size = [], 0
            self._reservoir.memory.give_back(size)
        return pieces
