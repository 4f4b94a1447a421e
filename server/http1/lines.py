"""A section of lines on its way in, up to its empty line: a head, or a trailer section.

What is found does not depend on how the bytes were split: lines are judged in their order, each by
its limits first and its grammar then, and a limit is known to be broken before the line's end has
come.
"""

from __future__ import annotations

from collections.abc import Callable

from server.errors import ProtocolError
from server.http1.buffer import Buffer, LineTooLong
from server.http1.fields import check_field_line

CRLF_SIZE = 2


class Section:
    """Collects the lines of one section from a buffer.

    `bytes_max` bounds the section with all its line ends, `lines_max` the field lines in it.
    """

    __slots__ = ("_bytes_left", "_bytes_max", "_field_bytes_max", "_lines", "_lines_max")

    def __init__(self, *, bytes_max: int, field_bytes_max: int, lines_max: int) -> None:
        self._lines: list[str] = []
        self._bytes_max = bytes_max
        self._bytes_left = bytes_max
        self._field_bytes_max = field_bytes_max
        self._lines_max = lines_max

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def text(self) -> str:
        """The lines so far, each with its CRLF."""
        return "".join(f"{line}\r\n" for line in self._lines)

    def take_start(self, buffer: Buffer, *, bytes_max: int, check: Callable[[str], None]) -> bool:
        """Take the request line: True if it has come. Raises ProtocolError, status 414 if it is
        too long.
        """
        try:
            raw = buffer.take_line(bytes_max)
        except LineTooLong:
            raise ProtocolError(f"request line over {bytes_max} bytes", status=414) from None
        if raw is None:
            return False
        # Kept before it is judged, so that a refused one can still be quoted; what ended otherwise
        # than a line does is no line, and neither is what follows it the first one.
        self._keep(raw[:-1].decode("latin-1") if raw.endswith(b"\r") else "")
        line = without_cr(raw, what="request line")
        check(line)
        # The request line is no field line.
        self._lines_max += 1
        return True

    def take_fields(self, buffer: Buffer) -> bool:
        """Take field lines up to the empty line: True if that has come. Raises ProtocolError,
        status 431 or 400.
        """
        while True:
            left = self._bytes_left - CRLF_SIZE
            try:
                raw = buffer.take_line(min(self._field_bytes_max, left))
            except LineTooLong:
                raise self._too_long(left) from None
            if raw is None:
                return False
            line = without_cr(raw, what="field line")
            if not line:
                return True
            if len(self._lines) >= self._lines_max:
                raise ProtocolError("too many field lines", status=431)
            check_field_line(line)
            self._keep(line)

    def _keep(self, line: str) -> None:
        self._lines.append(line)
        self._bytes_left -= len(line) + CRLF_SIZE

    def _too_long(self, left: int) -> ProtocolError:
        if left < self._field_bytes_max:
            return ProtocolError(f"section over {self._bytes_max} bytes", status=431)
        return ProtocolError(f"field line over {self._field_bytes_max} bytes", status=431)


def without_cr(raw: bytes, *, what: str) -> str:
    """The text of a line that ended in LF. Raises ProtocolError if no CR stood before it."""
    if not raw.endswith(b"\r"):
        raise ProtocolError(f"{what} ends in a bare LF")
    return raw[:-1].decode("latin-1")
