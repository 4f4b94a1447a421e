"""A clock that a test moves by hand. It passes the contract that the machine's own does."""

from __future__ import annotations

import threading


class ManualClock:
    """Stands still until `advance` or `sleep` moves it. Both of its times move together.

    Threads: any; `slept` lists every sleep in the order in which they were asked for.
    """

    def __init__(self, *, wall: float = 784_111_777.0) -> None:
        # The moment of RFC 9110's own example: Sun, 06 Nov 1994 08:49:37 GMT.
        self._lock = threading.Lock()
        self._wall_at_zero = wall
        self._elapsed = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self._elapsed

    def set_wall(self, wall: float) -> None:
        """The wall clock leaps; the other does not."""
        self._wall_at_zero = wall - self._elapsed

    def wall(self) -> float:
        return self._wall_at_zero + self._elapsed

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        self.slept.append(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass. Raises ValueError below zero."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        with self._lock:
            self._elapsed += seconds
