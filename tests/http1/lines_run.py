"""Which lines of server/http1 have run, told almost for free: each line tells of itself once.

Interpreters before 3.12 have no sys.monitoring; there nothing is told.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from types import CodeType, TracebackType
from typing import Final

import server.http1

FOLDER: Final = server.http1.__path__[0]
NOT_READING: Final = "writer.py"


class LinesRun:
    """While it is entered, counts the lines that run for the first time since then."""

    def __init__(self) -> None:
        self.count = 0
        self.total = _lines_in_all() if sys.version_info >= (3, 12) else 0

    def __str__(self) -> str:
        if not self.total:
            return "lines are told from Python 3.12 on"
        return f"{self.count} of {self.total} lines of the functions that read in server/http1 ran"

    def __enter__(self) -> None:
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.COVERAGE_ID, "interlock fuzz")
            events = monitoring.events.LINE
            monitoring.register_callback(monitoring.COVERAGE_ID, events, self._line_ran)
            monitoring.set_events(monitoring.COVERAGE_ID, events)
            monitoring.restart_events()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(sys.monitoring.COVERAGE_ID, 0)
            sys.monitoring.free_tool_id(sys.monitoring.COVERAGE_ID)

    def _line_ran(self, code: CodeType, line: int) -> object:
        if _counts(code):
            self.count += 1
        if sys.version_info >= (3, 12):
            return sys.monitoring.DISABLE
        return None


def _counts(code: CodeType) -> bool:
    """Whether it is a function's that reads: modules and classes ran when they were imported."""
    path = code.co_filename
    is_function = (
        bool(code.co_flags & inspect.CO_NEWLOCALS) and code.co_flags & inspect.CO_OPTIMIZED
    )
    return bool(is_function) and path.startswith(FOLDER) and not path.endswith(NOT_READING)


def _lines_in_all() -> int:
    """The lines of all functions that count."""
    codes: list[CodeType] = []
    for module in pkgutil.iter_modules([FOLDER], "server.http1."):
        path = importlib.import_module(module.name).__file__
        assert path is not None
        with open(path, encoding="utf-8") as file:
            codes.append(compile(file.read(), path, "exec"))
    lines = 0
    while codes:
        code = codes.pop()
        if _counts(code):
            first = code.co_firstlineno
            lines += len({line for _, _, line in code.co_lines() if line and line != first})
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    return lines
