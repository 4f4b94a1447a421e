"""Files without a name, where content lies that is too much for the memory; and what is asked of
the system about them, so that a simulated disk can slip beneath it.
"""

from __future__ import annotations

import io
import os
from typing import Protocol


class Files(Protocol):
    """What the net room uses of `tempfile` and `os`. Threads: any. Every call may raise OSError."""

    def temporary(self) -> io.RawIOBase:
        """A new file, empty and open, which is gone when it is closed."""

    def dup(self, descriptor: int) -> int:
        """Another descriptor of the same file."""

    def close(self, descriptor: int) -> None:
        """Give a descriptor back that came from `dup`."""

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes at `offset`; none behind the end."""

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """How many of the bytes were written at `offset`."""


class SystemFiles:
    """The operating system's."""

    def temporary(self) -> io.RawIOBase:
        import tempfile  # noqa: PLC0415 - most content is small

        return tempfile.TemporaryFile(buffering=0)

    def dup(self, descriptor: int) -> int:
        return os.dup(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)


SYSTEM_FILES = SystemFiles()
