"""What the server says of itself, as lines of text or of JSON.

Control characters are escaped: whatever a stranger has sent, a record is one line, or one line and
the indented lines of its traceback; nothing in it begins another record or moves a terminal's
cursor.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import Final, TextIO

from server.config import Config
from server.log_file import LogFile, file_stream, opened

LOG: Final = logging.getLogger("interlock.error_log")

STANDARD_ERROR: Final = 2

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WITHIN: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_COLOURS: Final = {
    logging.DEBUG: "2",  # faint
    logging.WARNING: "33",  # yellow
    logging.ERROR: "31",  # red
    logging.CRITICAL: "1;31",
}


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00,123 WARNING interlock.crew: ...`, and below it what was raised.

    Of several processes each has its `number`, which comes after the name in brackets.
    """

    def __init__(self, *, colours: bool = False, number: int | None = None) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._colours = colours
        self._who = "" if number is None else f" [{number}]"

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines."""
        head, _, detail = record.getMessage().partition("\n")
        parts = [escaped(head)]
        # A message of several lines is one of ours: a stack. What a stranger chose has no right to
        # a line of its own, and looks like none: each is indented.
        below = [detail, *_raised(self, record)]
        parts += [f"  {_inner(line)}" for text in below if text for line in text.split("\n")]
        level = record.levelname
        if self._colours and (code := _COLOURS.get(record.levelno)):
            level = f"\x1b[{code}m{level}\x1b[0m"
        return f"{self.formatTime(record)} {level} {record.name}{self._who}: " + "\n".join(parts)


class JsonFormatter(logging.Formatter):
    """An object a line; the time is UTC. Everything that is not printable ASCII is escaped.

    `process` is the system's number of the process, `number` its own among several.
    """

    def __init__(self, *, number: int | None = None) -> None:
        super().__init__()
        self._who = {} if number is None else {"number": number}

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "thread": record.threadName,
            "process": record.process,
            **self._who,
        }
        if raised := "\n".join(_raised(self, record)):
            told["exception"] = raised
        return json.dumps(told)


def _raised(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    found = []
    if record.exc_info:
        found.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        found.append(formatter.formatStack(record.stack_info))
    return found


def escaped(text: str) -> str:
    r"""The text with `\x0a` and its like in place of control characters."""
    return _CONTROL.sub(_escape, text)


def _inner(line: str) -> str:
    return _WITHIN.sub(_escape, line)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class LogHandler(logging.Handler):
    """Puts each record into a LogFile, and waits for none. Threads: any.

    `level_before` is the root logger's, from before this was installed.
    """

    def __init__(self, log: LogFile) -> None:
        super().__init__()
        self._log = log
        self.level_before = logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        try:
            line = self.format(record) + "\n"
        except Exception:  # noqa: BLE001 - a message that does not fit its arguments is our mistake
            line = f"{record.levelname} {record.name}: a record cannot be written: {record.msg!r}\n"
        self._log.put(line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Write what waits. Called by `logging.shutdown`, too."""
        self._log.close()
        super().close()


def install(
    config: Config, environ: Mapping[str, str] = os.environ, *, number: int | None = None
) -> LogHandler:
    """Send what is logged where `config` says. Raises StartError.

    `number` is this process's own, where there are several. Whoever calls this calls `remove` with
    the handler at the end.
    """
    log = LogFile(file_stream(config.log_file or STANDARD_ERROR), _tell_lost)
    handler = LogHandler(opened(log, "--log-file", config.log_file))
    if config.log_format == "json":
        handler.setFormatter(JsonFormatter(number=number))
    else:
        shown = not config.log_file and is_coloured(sys.stderr, environ)
        handler.setFormatter(TextFormatter(colours=shown, number=number))
    root = logging.getLogger()
    handler.level_before = root.level
    root.addHandler(handler)
    root.setLevel(config.log_level.upper())
    return handler


def remove(handler: LogHandler) -> None:
    """Log there no more, write what waits, and let the level be what it was."""
    root = logging.getLogger()
    root.removeHandler(handler)
    root.setLevel(handler.level_before)
    handler.close()


def is_coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether whoever reads this is a person at a terminal, who has not said no (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _tell_lost(lost: int, why: str) -> None:
    LOG.warning("this log fails; lines lost so far: %d; %s", lost, why)
