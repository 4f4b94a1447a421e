"""A disk in memory: what `server.net.files` asks of the system, and files that handlers send."""

from __future__ import annotations

import errno
import functools
import io
from typing import Final

from server.http1.messages import FileRegion
from server.simulation.kernel import Descriptors, error_of

ROOM: Final = 1 << 40


class Disk:
    """Files by descriptor. It is a `server.net.files.Files`.

    `files` is what each open descriptor's file holds. `room` is how many bytes more can be written:
    with none left, the disk is full.
    """

    def __init__(self, table: Descriptors) -> None:
        self._table = table
        self.files: dict[int, bytearray] = {}
        self.room = ROOM

    # --- server.net.files.Files -------------------------------------------------------------

    def temporary(self) -> io.RawIOBase:
        """See Files."""
        if not self.room:
            raise error_of(errno.ENOSPC)
        number = self._table.take()
        self.files[number] = bytearray()
        return MemoryFile(self, number)

    def dup(self, descriptor: int) -> int:
        """See Files."""
        file = self._file(descriptor)
        number = self._table.take()
        self.files[number] = file
        return number

    def close(self, descriptor: int) -> None:
        """See Files."""
        self._table.give_back(descriptor)
        del self.files[descriptor]

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """See Files."""
        return bytes(self._file(descriptor)[offset : offset + size])

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """See Files."""
        file = self._file(descriptor)
        if not self.room:
            raise error_of(errno.ENOSPC)
        taken = data[: self.room]
        self.room -= len(taken)
        file[offset : offset + len(taken)] = taken
        return len(taken)

    def size(self, descriptor: int) -> int:
        """How many bytes the file has."""
        return len(self._file(descriptor))

    def _file(self, descriptor: int) -> bytearray:
        if descriptor not in self.files:
            self._table.faults.append(f"file {descriptor} is used, and is not open")
            raise error_of(errno.EBADF)
        return self.files[descriptor]

    # --- for handlers -----------------------------------------------------------------------

    def region(self, content: bytes, *, claims: int | None = None) -> FileRegion:
        """An open file, all of it; or one that claims to be longer than it is."""
        number = self._table.take()
        self.files[number] = bytearray(content)
        size = len(content) if claims is None else claims
        return FileRegion(number, 0, size, functools.partial(self.close, number))


class MemoryFile(io.RawIOBase):
    """A file without a name. It is gone when it is closed."""

    def __init__(self, disk: Disk, number: int) -> None:
        super().__init__()
        self._disk = disk
        self._number = number
        self._at = 0

    def fileno(self) -> int:
        """Its descriptor."""
        return self._number

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset`."""
        begin = (0, self._at, self._disk.size(self._number))[whence]
        self._at = begin + offset
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # what io gives it
        """Read what the buffer has room for."""
        data = self._disk.pread(self._number, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: memoryview, /) -> int:  # type: ignore[override] # what io gives it
        """Write what the disk has room for. Raises OSError where that is nothing."""
        size = self._disk.pwrite(self._number, data, self._at)
        self._at += size
        return size

    def close(self) -> None:
        """Give the descriptor back; a second time, to no effect."""
        if not self.closed:
            self._disk.close(self._number)
        super().close()
