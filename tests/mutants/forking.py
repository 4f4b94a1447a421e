"""The parent: it keeps children at work, listens to them, and ends those that take too long."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Begin = Callable[[int], None]
"""Starts a child that tells what it does to this descriptor."""

OUTCOMES = ("killed", "survived", "cold", "recorded", "broken")
TELLS_LIMIT = 4.0
"""Seconds that each test has beyond what `limit` gives it."""

BEGIN_SECONDS_MAX = 90.0
"""Seconds until the first test: the child loads and collects, where it was forked from nothing."""

SLOWNESS_MAX = 4.0


def slowness() -> float:
    """How much longer everything takes where others want the processors, too: 1 to SLOWNESS_MAX."""
    wanted = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(max(1.0, wanted), SLOWNESS_MAX)


@dataclass(eq=False)
class Child:
    """One child. `outcome` is what it said last, and `by` the rest of that line."""

    descriptor: int
    limit: Callable[[str], float]
    seconds_max: float
    began: float = field(default_factory=time.monotonic)
    pid: int | None = None
    outcome: str | None = None
    by: str = ""
    test: str = ""
    deadline: float = 0.0
    lines: list[tuple[str, str]] = field(default_factory=list)
    rest: bytes = b""

    def hear(self, data: bytes) -> None:
        """What it has told."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            if word == "pid":
                self.pid = int(rest)
            elif word == "run":
                self.test = rest
                seconds = (TELLS_LIMIT + self.limit(rest)) * slowness()
                self.deadline = time.monotonic() + seconds
            elif word in OUTCOMES:
                self.outcome, self.by = word, rest
            else:
                self.lines.append((word, rest))

    @property
    def until(self) -> float:
        """When it is ended: the test that it is at has lasted too long, or all of them have."""
        return min(self.deadline, self.began + self.seconds_max)

    def is_over(self, now: float) -> None:
        """Its time is over. If no test hangs, it has survived what there was time for."""
        if now >= self.deadline:
            self.give_up(f"no end within {now - self.began:.0f} s")
        elif self.outcome is None:
            self.outcome, self.by = "survived", f"{self.seconds_max:.0f} s of tests"

    def give_up(self, why: str) -> None:
        """It has not said how it ended: a mutant that does that is noticed, by who watches."""
        if self.outcome is None:
            self.outcome, self.by = "killed", f"{self.test or 'the start'} ({why})"


class Children:
    """Threads: one."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._children: set[Child] = set()

    def __len__(self) -> int:
        return len(self._children)

    def start(
        self, begin: Begin, *, limit: Callable[[str], float], seconds_max: float = 120.0
    ) -> Child:
        """A new child. `limit` says how long a test may take, by its name, in seconds."""
        reading, writing = os.pipe()
        begin(writing)
        os.close(writing)
        child = Child(reading, limit, seconds_max)
        child.deadline = child.began + BEGIN_SECONDS_MAX
        self._children.add(child)
        self._selector.register(reading, selectors.EVENT_READ, child)
        return child

    def ended(self) -> Iterator[Child]:
        """Wait until something happens; the children that have ended by then."""
        now = time.monotonic()
        soonest = min((child.until for child in self._children), default=now)
        for key, _ in self._selector.select(max(0.0, soonest - now)):
            child: Child = key.data
            data = os.read(child.descriptor, 1 << 16)
            if data:
                child.hear(data)
            if not data or child.outcome is not None:
                child.give_up("the process ended")
                yield self._bury(child)
        now = time.monotonic()
        for child in [one for one in self._children if one.until <= now]:
            child.is_over(now)
            yield self._bury(child)

    def _bury(self, child: Child) -> Child:
        self._selector.unregister(child.descriptor)
        os.close(child.descriptor)
        self._children.discard(child)
        if child.pid is not None:
            # A test may have started processes of its own: nothing outlives the child.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
        return child

    def close(self) -> None:
        """End everybody."""
        for child in list(self._children):
            self._bury(child)
