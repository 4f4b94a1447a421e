"""`wsgi.file_wrapper`: files that an application answers with (PEP 3333, "Optional
Platform-Specific File Handling").
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator
from typing import Final, Protocol, Self, runtime_checkable

from server.http1.messages import FileRegion

BLOCK_BYTES: Final = 64 * 1024


class Readable(Protocol):
    """What an application may wrap: PEP 3333 asks for `read` alone."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""


@runtime_checkable
class Seekable(Protocol):
    """What some of these files can do besides."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Move to `offset`, and return where that is."""

    def tell(self) -> int:
        """Where the next byte is read."""


class FileWrapper:
    """A file as an iterator over its blocks. Returned to the server as it is, the kernel sends it.

    It begins where the file stands, and ends where the file does, or with the Content-Length that
    the application gave. It is its own iterator, and can be moved where its file can: what stands
    between relies on that (werkzeug, for ranges).
    """

    def __init__(self, file: Readable, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(self._block_bytes)
        if not block:
            raise StopIteration
        return block

    def blocks(self, size: int | None) -> Iterator[bytes]:
        """What is left of the file, `size` bytes of it at most."""
        left = size
        while left is None or left > 0:
            wanted = self._block_bytes if left is None else min(left, self._block_bytes)
            block = self._file.read(wanted)
            if not block:
                return
            yield block
            if left is not None:
                left -= len(block)

    def region(self) -> FileRegion | None:
        """What is left of the file, for the kernel to send; None where only reading gives it.

        The region has a descriptor of its own: the application may close its file at once, which
        keeps its code on the thread that it ran on. Whoever sends the region closes it. Raises
        OSError where no more descriptors can be had.
        """
        found = _place_of(self._file)
        if found is None:
            return None
        descriptor, offset = found
        size = os.fstat(descriptor).st_size - offset
        if size <= 0:  # the files of /proc seem empty, and are not
            return None
        own = os.dup(descriptor)
        return FileRegion(own, offset, size, functools.partial(os.close, own))

    def seekable(self) -> bool:
        """Whether the file can be moved."""
        seekable = getattr(self._file, "seekable", None)
        return seekable is not None and bool(seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the file, if it is seekable."""
        assert isinstance(self._file, Seekable)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the file stands, if it is seekable."""
        assert isinstance(self._file, Seekable)
        return self._file.tell()

    def close(self) -> None:
        """Close the file, if it can be."""
        close = getattr(self._file, "close", None)
        if close is not None:
            close()


def _place_of(file: object) -> tuple[int, int] | None:
    """The descriptor and offset at which lies what `read` would give; None where nobody can say.

    A `fileno` alone does not say that: gzip.GzipFile has that of the file it decompresses. Nor does
    the descriptor's own offset, for a buffered file has read ahead of the application.
    """
    if type(file) not in (io.FileIO, io.BufferedReader, io.BufferedRandom):
        return None
    assert isinstance(file, io.FileIO | io.BufferedReader | io.BufferedRandom)
    if not isinstance(file, io.FileIO) and type(file.raw) is not io.FileIO:
        return None
    try:
        return (file.fileno(), file.tell()) if file.readable() else None
    except OSError:  # a pipe, a terminal
        return None
