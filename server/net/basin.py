"""Content that is too large for the memory: it gathers in a basin, and goes to a file from there.

Many small pieces at any offset cost a file system several times what a few large ones cost: what it
does for each page, it does again for a page that a piece has only half filled.

Threads: the connection's owner.
"""

from __future__ import annotations

import io
from typing import Final

from server.net.files import Files
from server.net.reservoir import Reservoir, Tank

BASIN_BYTES_MAX: Final = 512 * 1024
"""What gathers before it is written, where so much may be kept in memory: more of it gains little
(benchmarks/README.md).
"""
FIRST_BYTES: Final = 16 * 1024
GROWTH: Final = 4
"""A basin begins small and grows when it is full, and its file is made when it is written: who
announces much and sends little holds little. The memory of all has room for the first bytes of as
many as may be connected.
"""


class KeptFile(io.BufferedReader):
    """A file without a name, whose bytes are given back to their tank when it is closed.

    No name leads to `raw`: it is gone when it is closed, whatever becomes of us. It is read with a
    buffer, and written without one: a disk that is full says so at once, and not when the handler
    reads.
    """

    def __init__(self, raw: io.RawIOBase, tank: Tank) -> None:
        self._tank = tank
        self._kept_bytes = 0
        self._write = raw.write
        super().__init__(raw)

    def keep(self, piece: bytes | memoryview) -> bool:
        """Add a piece to the end. False: the tank has no room for it. Raises OSError.

        Nothing has been read by then.
        """
        if not self._tank.take(len(piece)):
            return False
        self._kept_bytes += len(piece)
        left = memoryview(piece)
        while left:
            # Of a disk that is nearly full, less may be taken; what is left is told by an error.
            left = left[self._write(left) :]
        return True

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        try:
            super().close()
        finally:
            kept, self._kept_bytes = self._kept_bytes, 0
            self._tank.give_back(kept)


class Basin:
    """One request's content, most of it in a file. The last of it is in memory until `settle`.

    It takes memory from the reservoir as it grows, up to `bytes_max`. Without any, each piece is
    written as it comes. Where `add`, `write` or `settle` returns False, the reservoir has no room
    for what is in files: the content is not whole.
    """

    __slots__ = ("_bytes_max", "_file", "_files", "_gathered", "_reservoir", "_taken")

    def __init__(self, bytes_max: int, reservoir: Reservoir, files: Files) -> None:
        self._bytes_max = bytes_max
        self._reservoir = reservoir
        self._files = files
        self._file: KeptFile | None = None
        first = min(bytes_max, FIRST_BYTES)
        self._taken = memoryview(bytearray(first if reservoir.memory.take(first) else 0))
        self._gathered = 0

    def space(self) -> memoryview:
        """Where the next bytes may be put, for `filled` to be told of; nothing without memory."""
        return self._taken[self._gathered :]

    def filled(self, size: int) -> bool:
        """So many bytes have been put there. True: it is full, and to be written."""
        self._gathered = gathered = self._gathered + size
        return gathered == len(self._taken) and not self._grow()

    def add(self, piece: bytes) -> bool:
        """Take in the next piece. Raises OSError."""
        left = memoryview(piece)
        while left:
            space = self.space()
            if not space:
                return self._keep(left)
            part = left[: len(space)]
            space[: len(part)] = part
            if self.filled(len(part)) and not self.write():
                return False
            left = left[len(part) :]
        return True

    def write(self) -> bool:
        """Write what has gathered. Raises OSError."""
        gathered, self._gathered = self._gathered, 0
        return self._keep(self._taken[:gathered])

    def settle(self) -> bool:
        """All has come: write the rest, and give the memory back. Raises OSError."""
        written = self.write()
        self._forget_memory()
        return written

    def take(self) -> KeptFile:
        """The whole content, which has settled. The caller closes the file."""
        assert self._file is not None
        self._file.seek(0)
        return self._file

    def drop(self) -> None:
        """Forget the content."""
        self._forget_memory()
        if self._file is not None:
            self._file.close()

    def _keep(self, piece: memoryview) -> bool:
        file = self._file
        if file is None:
            file = self._file = KeptFile(self._files.temporary(), self._reservoir.file)
        return file.keep(piece)

    def _grow(self) -> bool:
        """Have more space, if that may be."""
        held = len(self._taken)
        wanted = min(held * GROWTH, self._bytes_max)
        if wanted == held or not self._reservoir.memory.take(wanted - held):
            return False
        wider = memoryview(bytearray(wanted))
        wider[:held] = self._taken
        self._taken = wider
        return True

    def _forget_memory(self) -> None:
        taken, self._taken = self._taken, memoryview(b"")
        self._reservoir.memory.give_back(len(taken))
