"""Content that is too large for the memory: it gathers in a basin, and goes to a file from there.

Many small pieces at any offset cost a file system several times what a few large ones cost: what it
does for each page, it does again for a page that a piece has only half filled.

Threads: the connection's owner.
"""

from __future__ import annotations

import io
from typing import Final

from server.net.reservoir import Tank

BASIN_BYTES_MAX: Final = 512 * 1024
"""What gathers before it is written, where so much may be kept in memory: more of it gains little
(benchmarks/README.md).
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
    """One request's content, most of it in `file`. The last of it is in memory until `settle`.

    It takes `bytes_max` of memory, all or none. Without, each piece is written as it comes. Where
    `add`, `write` or `settle` returns False, the file's tank has no room: the content is not whole.
    """

    __slots__ = ("_file", "_gathered", "_memory", "_taken")

    def __init__(self, file: KeptFile, memory: Tank, bytes_max: int) -> None:
        self._file = file
        self._memory = memory
        self._taken = memoryview(bytearray(bytes_max if memory.take(bytes_max) else 0))
        self._gathered = 0

    def space(self) -> memoryview:
        """Where the next bytes may be put, for `filled` to be told of; nothing without memory."""
        return self._taken[self._gathered :]

    def filled(self, size: int) -> bool:
        """So many bytes have been put there. True: it is full, and to be written."""
        self._gathered = gathered = self._gathered + size
        return gathered == len(self._taken)

    def add(self, piece: bytes) -> bool:
        """Take in the next piece. Raises OSError."""
        left = memoryview(piece)
        while left:
            space = self.space()
            if not space:
                return self._file.keep(left)
            part = left[: len(space)]
            space[: len(part)] = part
            if self.filled(len(part)) and not self.write():
                return False
            left = left[len(part) :]
        return True

    def write(self) -> bool:
        """Write what has gathered. Raises OSError."""
        gathered, self._gathered = self._gathered, 0
        return self._file.keep(self._taken[:gathered])

    def settle(self) -> bool:
        """All has come: write the rest, and give the memory back. Raises OSError."""
        written = self.write()
        self._forget_memory()
        return written

    def take(self) -> KeptFile:
        """The whole content, which has settled. The caller closes the file."""
        self._file.seek(0)
        return self._file

    def drop(self) -> None:
        """Forget the content."""
        self._forget_memory()
        self._file.close()

    def _forget_memory(self) -> None:
        taken, self._taken = self._taken, memoryview(b"")
        self._gathered = 0
        self._memory.give_back(len(taken))
