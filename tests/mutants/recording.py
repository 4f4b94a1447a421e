"""Which test runs which lines, and how long it takes: what decides which tests meet a mutant."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest

from tests.mutants.child import Told
from tests.mutants.code import AREAS
from tests.mutants.mutant import TOP

Trace = Callable[[FrameType, str, object], Any]


@dataclass(frozen=True, slots=True)
class Trail:
    """What one test ran: for each file, a number whose bit N says that line N was run."""

    seconds: float
    lines: Mapping[str, int]

    def meets(self, path: str, first: int, last: int) -> bool:
        """Whether one of the lines was run."""
        return bool(self.lines.get(path, 0) >> first & ((1 << (last - first + 1)) - 1))


def written(trail: Trail) -> str:
    """A trail as one line."""
    lines = {path: hex(mask) for path, mask in trail.lines.items()}
    return json.dumps([round(trail.seconds, 4), lines])


def read_back(text: str) -> Trail:
    """The trail that was written so."""
    seconds, lines = json.loads(text)
    return Trail(seconds, {path: int(mask, 16) for path, mask in lines.items()})


class Tracer:
    """Notes the lines of our own files, on every thread that starts while it is at work."""

    def __init__(self) -> None:
        paths = [path for files in AREAS.values() for path in files]
        self.lines: dict[str, set[int]] = {path: set() for path in paths}
        self._local = {str(TOP / path): self._in_file(self.lines[path]) for path in paths}

    def _in_file(self, lines: set[int]) -> Trace:
        def trace(frame: FrameType, event: str, value: object) -> Trace:
            lines.add(frame.f_lineno)
            return trace

        return trace

    def __call__(self, frame: FrameType, event: str, value: object) -> Trace | None:
        trace = self._local.get(frame.f_code.co_filename)
        if trace is not None:
            trace(frame, event, value)
        return trace

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for lines in self.lines.values():
            lines.clear()
        threading.settrace(self)
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def trail(self, seconds: float) -> Trail:
        """What was run since the work began."""
        lines = {
            path: sum(1 << line for line in found) for path, found in self.lines.items() if found
        }
        return Trail(seconds, lines)


def record(items: Sequence[pytest.Item], told: Told) -> None:
    """Run the tests, and tell the trail of each; a test that fails has none. Never returns."""
    tracer, failed = Tracer(), set[str]()

    class Noted:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.add(report.nodeid)

    if items:
        items[0].config.pluginmanager.register(Noted())
    for item, following in zip(items, [*items[1:], None], strict=True):
        told("run", item.nodeid)
        began = time.perf_counter()
        with tracer.at_work():
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.nodeid in failed:
            told("unfit", item.nodeid)
        else:
            told("trail", written(tracer.trail(time.perf_counter() - began)))
    told.last("recorded")
