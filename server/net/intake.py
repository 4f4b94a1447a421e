"""A request's content on its way in: in memory while it is small, in a file when it is not.

So a slow upload holds no worker, and a large one no memory. Threads: the connection's owner.
"""

from __future__ import annotations

import tempfile
from typing import BinaryIO


class Intake:
    """The content so far. `memory_bytes_max` is how much of it may be in memory.

    Raises OSError where the file cannot be written.
    """

    __slots__ = ("_file", "_memory_bytes_max", "_pieces", "_size")

    def __init__(self, memory_bytes_max: int) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: BinaryIO | None = None

    def add(self, piece: bytes) -> None:
        """Keep the next piece."""
        self._size += len(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._pieces.append(piece)
        if self._size > self._memory_bytes_max:
            # No name leads to the file: it is gone when it is closed, whatever becomes of us.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
            self._file.writelines(self._pieces)
            self._pieces = []

    def take(self) -> bytes | BinaryIO:
        """The whole content; the intake is empty then. The caller closes the file."""
        file, pieces = self._file, self._pieces
        self._file, self._pieces, self._size = None, [], 0
        if file is not None:
            file.seek(0)
            return file
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drop(self) -> None:
        """Forget the content."""
        content = self.take() if self._size else b""
        if not isinstance(content, bytes):
            content.close()
