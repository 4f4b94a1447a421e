"""What a task holds in its hand: itself, its locks, and what it may wait for.

These are the carrier's other half: each of them only says what is waited for, and `Carrier.point`
does the rest.
"""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from server.simulation.bearers import Greenlet
    from server.simulation.carrier import Carrier

NEVER: Final = math.inf

HERE: Final = str(Path(__file__).parent)
"""Frames of files in this folder are the carrier's own, and no task's."""


class Gate(Protocol):
    """What a task may wait for."""

    @property
    def is_open(self) -> bool:
        """Whether who waits can go on. Asked at every point: it must be quick, and move nothing."""


class _Open:
    """The gate of a task that waits for nothing."""

    is_open = True


class Condition:
    """The gate of a task that waits until something holds."""

    __slots__ = ("_holds",)

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds

    def __repr__(self) -> str:
        return getattr(self._holds, "__qualname__", "a condition")

    @property
    def is_open(self) -> bool:
        return self._holds()


class _Shut:
    """The gate of a task that waits for a time, and for nothing else."""

    is_open = False

    def __repr__(self) -> str:
        return "the time alone"


OPEN: Final = _Open()
SHUT: Final = _Shut()


class Task:
    """One thread under the carrier, and its handle, like `threading.Thread`.

    `number` counts from 0, in the order in which tasks began. `gate` and `until` are what it waits
    for at its present point; it is a gate itself, for whoever joins it. `stroke` is an error that
    its next turn begins with.
    """

    __slots__ = (
        "_carrier", "daemon", "error", "gate", "greenlet", "is_open", "name", "number", "stroke",
        "target", "until",
    )  # fmt: skip

    def __init__(
        self, carrier: Carrier, target: Callable[[], object], *, name: str, daemon: bool
    ) -> None:
        self._carrier = carrier
        self.target: Callable[[], object] | None = target
        self.greenlet: Greenlet | None = None
        self.name = name
        self.daemon = daemon
        self.number = -1
        self.gate: Gate = OPEN
        self.until = NEVER
        self.stroke: BaseException | None = None
        self.is_open = False
        self.error: BaseException | None = None

    @property
    def has_begun(self) -> bool:
        """Whether it has come to its first line. Its greenlet does not tell: that may have carried
        another task before.
        """
        return self.number >= 0 and self.target is None

    @property
    def has_ended(self) -> bool:
        return self.is_open

    def start(self) -> None:
        """Raises RuntimeError if it was started, or if no thread can be had (`threads_left`)."""
        if self.number >= 0:
            raise RuntimeError("threads can only be started once")
        self._carrier.begin(self)
        self._carrier.point()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end. Raises RuntimeError before its start, and on the task itself."""
        if self.number < 0:
            raise RuntimeError("cannot join thread before it is started")
        if self._carrier.current is self:
            raise RuntimeError("cannot join current thread")
        self._carrier.point(self, NEVER if timeout is None else self._carrier.now + timeout)

    def is_alive(self) -> bool:
        return self.number >= 0 and not self.has_ended

    def strike(self, error: BaseException) -> None:
        """From outside: its next turn, which may come at once, begins with this error."""
        self.stroke = error
        self.gate = OPEN

    def stack(self) -> traceback.StackSummary:
        """Where it stands, innermost last, without the carrier's own frames."""
        frame = self.greenlet.gr_frame if self.greenlet is not None else None
        if self._carrier.current is self:
            frame = sys._getframe()
        return traceback.StackSummary.extract(reversed(list(_frames(frame))))

    def describe(self) -> str:
        """Its name, what it waits for, and its stack."""
        waits = "can go on" if self.gate is OPEN else f"waits for {self.gate!r}"
        until = f", until {self.until:g}" if self.until < NEVER else ""
        return f"{self.name} {waits}{until}\n{''.join(self.stack().format())}"

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _frames(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None:
        if not frame.f_code.co_filename.startswith(HERE):
            yield frame, frame.f_lineno
        frame = frame.f_back


class CarriedLock:
    """`threading.Lock`, whose waiting is a point. Any task may release it."""

    __slots__ = ("_carrier", "holder", "is_open")

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.is_open = True
        # Whoever acquired it last: for the message of a deadlock.
        self.holder: Task | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        carrier = self._carrier
        if not blocking or timeout == 0:
            carrier.point()
        elif timeout < 0:
            carrier.point(self)
        else:
            carrier.point(self, carrier.now + timeout)
        if not self.is_open:
            return False
        self.is_open = False
        self.holder = carrier.current
        return True

    def release(self) -> None:
        if self.is_open:
            raise RuntimeError("release unlocked lock")
        self.is_open = True
        carrier = self._carrier
        if carrier.points_at_release:
            carrier.point()

    def locked(self) -> bool:
        return not self.is_open

    def __enter__(self) -> bool:
        # As `acquire` does: written out, for most points of most runs are here.
        carrier = self._carrier
        carrier.point(self)
        self.is_open = False
        self.holder = carrier.current
        return True

    def __exit__(self, *_: object) -> None:
        # As `release` does.
        if self.is_open:
            raise RuntimeError("release unlocked lock")
        self.is_open = True
        carrier = self._carrier
        if carrier.points_at_release:
            carrier.point()

    def __repr__(self) -> str:
        holder = "nobody" if self.is_open else self.holder or "whoever made it"
        return f"a lock that was acquired by {holder}"
