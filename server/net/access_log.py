"""The access log: one line for each exchange that has ended, in Apache's format.

Guarantees
    A line is whole: it follows a line's end and is followed by none of another's bytes.
    A log that cannot be written costs lines, which are counted, and never a response.

What it does not do: it writes before it returns, so a reader of a pipe that takes nothing holds the
thread that logs. A file is opened to append, so it may be truncated in place while the server runs.
"""

from __future__ import annotations

import io
import logging
import threading
from typing import Final, Protocol

from server.clock import Clock
from server.config import Config
from server.errors import StartError
from server.net.log_format import CUT, PRESETS, Entry, compile_format

__all__ = ["CUT", "PRESETS", "AccessLog", "Entry", "Stream", "compile_format", "open_access_log"]

LOG = logging.getLogger("interlock.access_log")

STANDARD_OUTPUT: Final = 1
COMPLAINT_SECONDS: Final = 60.0
"""How long a failing log is silent about it on standard error after it has said so."""


class Stream(Protocol):
    """Where lines go: unbuffered, so that what `write` took is out of our hands."""

    def write(self, piece: bytes, /) -> int | None:
        """How many bytes were taken, maybe not all; None where it would have to wait."""
        ...

    def close(self) -> None: ...


class AccessLog:
    """Writes entries to a stream. Threads: any may call any method.

    Formatting is done outside the lock; it is held for the write alone.
    """

    __slots__ = ("_clock", "_complained", "_format", "_lock", "_owed", "_stream", "lines_lost")

    def __init__(self, form: str, stream: Stream, clock: Clock) -> None:
        """Raises ConfigError where `form` is no format."""
        self._format = compile_format(form)
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._owed = b""  # the end of a line of which only a part could be written
        self._complained = float("-inf")
        self.lines_lost = 0

    def record(self, entry: Entry) -> None:
        """Write the line of one exchange. Never raises for what the stream does."""
        line = f"{self._format(entry)}\n".encode("utf-8", "backslashreplace")
        with self._lock:
            error = self._write_locked(line)
            complains = error is not None and self._may_complain_locked()
        if complains:
            LOG.warning(
                "the access log fails; lines lost so far: %d; %s",
                self.lines_lost,
                error,
            )

    def close(self) -> None:
        """Close the stream. Entries recorded afterwards are lost, and counted."""
        with self._lock:
            try:
                self._stream.close()
            except OSError:  # some file systems say only now that the disk is full
                self.lines_lost += 1

    def _write_locked(self, line: bytes) -> Exception | None:
        left = self._owed + line
        try:
            while left:
                taken = self._stream.write(left)
                if not taken:
                    raise BlockingIOError("it takes no more now")
                # A line of which a part is out must be ended before another begins.
                self._owed = b"" if left[taken - 1 : taken] == b"\n" else b"\n"
                left = left[taken:]
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self.lines_lost += 1
            return error
        return None

    def _may_complain_locked(self) -> bool:
        now = self._clock.monotonic()
        if now - self._complained < COMPLAINT_SECONDS:
            return False
        self._complained = now
        return True


def open_access_log(config: Config, clock: Clock) -> AccessLog | None:
    """The log that `config` asks for, or None for `off`.

    Raises ConfigError where the format is none, StartError where the file cannot be opened; each is
    one line that names the option.
    """
    compile_format(config.access_log_format)  # before a file is made for it
    if config.access_log == "off":
        return None
    to_output = config.access_log == "-"
    target: int | str = STANDARD_OUTPUT if to_output else config.access_log
    try:
        stream = io.FileIO(target, "w" if to_output else "a", closefd=not to_output)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(f"--access-log {config.access_log} cannot be opened: {what}") from error
    return AccessLog(config.access_log_format, stream, clock)
