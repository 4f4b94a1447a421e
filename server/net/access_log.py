"""The access log: one line for each exchange that has ended, in Apache's format or as JSON.

A line is made on the thread that ends the exchange, and written on another one
(`server/log_file.py`): a log that cannot be written costs lines, which are counted, and never a
response or a moment.
"""

from __future__ import annotations

import logging
from typing import Final

from server.clock import Clock
from server.config import Config
from server.log_file import LogFile, file_stream, opened
from server.net.log_entry import CUT, Entry

__all__ = ["CUT", "AccessLog", "Entry", "open_access_log"]

LOG = logging.getLogger("interlock.access_log")

STANDARD_OUTPUT: Final = 1

COMBINED: Final = "combined"
"""The format that is a server's own choice: it need not be looked at where there is no log."""

GATHER_SECONDS: Final = 0.01
"""How long a line may wait for others. A busy server writes many at once, and wakes nobody for
each."""


class AccessLog:
    """Writes entries to a log. Threads: any may call any method."""

    __slots__ = ("_format", "_log")

    def __init__(self, form: str, log: LogFile) -> None:
        """Raises ConfigError where `form` is no format."""
        from server.net.log_format import compile_format  # noqa: PLC0415 - most have no log

        self._format = compile_format(form)
        self._log = log

    @property
    def lines_lost(self) -> int:
        """How many lines were not written, for whatever reason."""
        return self._log.lines_lost

    def record(self, entry: Entry) -> None:
        """Have the line of one exchange written. Waits for nothing."""
        self._log.put(f"{self._format(entry)}\n".encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Write what waits. Entries recorded afterwards are lost, and counted."""
        self._log.close()
        self._log.tell_rest()


def open_access_log(config: Config, clock: Clock) -> AccessLog | None:
    """The log that `config` asks for, or None for `off`.

    Raises ConfigError where the format is none, StartError where the file cannot be opened; each is
    one line that names the option.
    """
    where = config.access_log
    if where == "off" and config.access_log_format == COMBINED:
        return None
    from server.net.log_format import compile_format  # noqa: PLC0415 - most have no log

    compile_format(config.access_log_format)  # before a file is made for it
    if where == "off":
        return None
    target = STANDARD_OUTPUT if where == "-" else where
    log = LogFile(file_stream(target), tell_lost, clock=clock, gather_seconds=GATHER_SECONDS)
    return AccessLog(config.access_log_format, opened(log, "--access-log", where))


def tell_lost(lost: int, why: str) -> None:
    """Called by the LogFile."""
    LOG.warning("the access log fails; lines lost so far: %d; %s", lost, why)
