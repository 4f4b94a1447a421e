"""Bytes received and not consumed yet.

Every byte is appended once, searched for a line's end once and removed once, however small the
pieces are in which it comes: a bytearray drops its front without moving the rest, and `_searched`
remembers where the last search stopped. So the work is linear in what was received.

The buffer has no limit of its own. Whoever reads lines from it names the longest that it will wait
for, and what may be consumed at once is consumed: after NEED_DATA the reader holds less than one
line.
"""

from __future__ import annotations

CR = 0x0D


class LineTooLong(Exception):
    """The line is longer than was asked for, whether its end has come or not."""


class Buffer:
    """A queue of bytes with a search for lines.

    `ended` says that the peer's end has been received; it comes after the bytes. `searched_bytes`
    counts the bytes that searches have looked at, so that a test can hold the work to be linear.
    """

    __slots__ = ("_bytes", "_searched", "ended", "searched_bytes")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0
        self.ended = False
        self.searched_bytes = 0

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def held(self) -> bytearray:
        """The bytes: always the same object, for who only looks whether there are any."""
        return self._bytes

    def append(self, data: bytes) -> None:
        """Take in what the peer has sent; nothing means that it has ended. Raises ValueError after
        that.
        """
        if self.ended:
            raise ValueError("bytes were received after the peer's end")
        if data:
            self._bytes += data
        else:
            self.ended = True

    def clear(self) -> None:
        """Drop what is held."""
        self._bytes.clear()
        self._searched = 0

    def begins_with_text(self) -> bool:
        """Whether there is a byte, and it is no CR."""
        held = self._bytes
        return bool(held) and held[0] != CR

    def first(self, size: int) -> bytes:
        """At most `size` bytes from the front, which stay."""
        return bytes(self._bytes[:size])

    def take(self, size: int) -> bytes:
        """At most `size` bytes from the front, which leave."""
        held = self._bytes
        taken = bytes(held) if size >= len(held) else bytes(held[:size])
        self.drop(size)
        return taken

    def drop(self, size: int) -> None:
        """The first `size` bytes leave, or all."""
        del self._bytes[:size]
        self._searched = 0

    def unsearched_head(self) -> bytes | None:
        """The bytes up to and with the first empty line, which stay; None if it has not come.

        Looks only at bytes that no search has seen, so None too when some of them have been
        searched already.
        """
        if self._searched:
            return None
        held = self._bytes
        end = held.find(b"\r\n\r\n")
        if end < 0:
            self.searched_bytes += len(held)
            return None
        end += 4
        self.searched_bytes += end
        return bytes(held) if end == len(held) else bytes(held[:end])

    def take_line(self, bytes_max: int) -> bytes | None:
        """The next line without its LF, or None as long as that has not come. A CR before the LF
        stays.

        Raises LineTooLong as soon as it is sure that the line has more than `bytes_max` bytes
        before its CRLF, which does not depend on how many of its bytes came together.
        """
        held = self._bytes
        end = held.find(b"\n", self._searched)
        self.searched_bytes += (len(held) if end < 0 else end + 1) - self._searched
        known = len(held) if end < 0 else end
        if known > bytes_max and (
            # Below zero, not even an empty line is short enough. One byte over may be the CR.
            bytes_max < 0 or known > bytes_max + 1 or held[known - 1] != CR
        ):
            raise LineTooLong
        if end < 0:
            self._searched = known
            return None
        line = bytes(held[:end])
        del held[: end + 1]
        self._searched = 0
        return line
