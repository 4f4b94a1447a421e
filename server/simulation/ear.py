"""What the server says in its log during a life, and what of it was to be expected."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, cast

HANGS: Final = (
    *("hang", "stuck", "slow", "stream", "sized", "liar", "breaks", "big", "file", "short"),
)
"""Kinds of requests whose workers may be late: they wait, or make more than their reader takes."""

CAUSES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("%s: the handler raised", ("raise", "exit", "strike_worker", "no_descriptors")),
    ("request %s: the handler's answer is no response", ("none",)),
    ("request %s: the response was cut", ("liar", "short", "disk_full", "no_descriptors")),
    ("%s: the response was cut", ("disk_full", "no_descriptors")),
    ("request %s: the handler failed", ("breaks", "strike_worker")),
    ("the response was cut", ("short",)),
    ("the application failed", ("raise", "exit", "none", "strike_worker")),
    ("a request's content cannot be kept", ("disk_full", "no_descriptors")),
    ("%s died", ("strike_worker",)),
    ("%s: a job raised", ("strike_worker",)),
    ("%s is stuck", HANGS),
    ("no thread can be started", ("no_threads",)),
    ("no stand-in is left", HANGS),
    ("the reactor died", ("strike_reactor", "no_room")),
)
"""What is said from ERROR on, and what may be the reason: one that a life lacks is no excuse."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the log."""

    level: int
    name: str
    template: str
    text: str

    def is_explained(self, causes: Collection[str]) -> bool:
        """Whether one of these is a reason to say it."""
        if self.template == "%s" and "app" in causes:
            return True  # what an application of the user's writes to wsgi.errors is its own affair
        return any(
            self.template.startswith(begin) and any(one in causes for one in reasons)
            for begin, reasons in CAUSES
        )


LOGGER: Final = logging.getLogger("interlock")


class Ear:
    """Keeps what is said from WARNING on, while it is open, in place of whoever else listens.

    To the logger it is a Handler: `level` and `handle` are all that it asks of one. A real one has
    a lock and a place in the module's list, which cost a short life more than all that it says.
    """

    level: Final = logging.WARNING

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def handle(self, record: logging.LogRecord) -> None:
        """One entry, formatted without its traceback, but for the error itself."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self.lines.append(Line(record.levelno, record.name, str(record.msg), text))

    def __enter__(self) -> Self:
        logger = LOGGER
        self._before = logger.propagate, logger.level, logger.handlers
        # As plain attributes: to ask the module for it takes many locks, and a life is short.
        logger.propagate, logger.handlers = False, [cast("logging.Handler", self)]
        if logger.level != logging.WARNING:
            logger.setLevel(logging.WARNING)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logger = LOGGER
        logger.propagate, level, logger.handlers = self._before
        if level != logger.level:
            logger.setLevel(level)
