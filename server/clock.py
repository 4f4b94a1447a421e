"""Time, passed in as a value: a test moves its own clock, and only SystemClock reads the machine's.

`monotonic` measures durations and deadlines, `wall` dates messages and log lines. They are never
mixed: the wall clock may jump, and then a deadline must not.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
"""The English names that RFC 9110 5.6.7 and log files demand, whatever the locale says."""


class Clock(Protocol):
    """What the server knows about time. Every method may be called from every thread."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def wall(self) -> float:
        """POSIX seconds: since 1970-01-01T00:00:00Z, leap seconds left out."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `monotonic` has advanced by `seconds`. Raises ValueError below zero."""
        ...


class SystemClock:
    """The machine's own clock."""

    __slots__ = ()

    # The builtins themselves: a trace asks for the one with every arrow, Date for the other.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep(self, seconds: float) -> None:
        """Hold the calling thread for `seconds`. Raises ValueError below zero."""
        time.sleep(seconds)


def imf_fixdate(wall: float) -> bytes:
    """An HTTP-date in the form that is sent: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7).

    The fraction of a second is dropped. Raises ValueError where four digits cannot write the year.
    """
    try:
        year, month, day, hour, minute, second, weekday, *_ = time.gmtime(wall // 1)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{wall} seconds is no date") from error
    if not 0 <= year <= 9999:
        raise ValueError(f"{wall} seconds is in the year {year}, which four digits cannot write")
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        DAYS[weekday].encode(),
        day,
        MONTHS[month - 1].encode(),
        year,
        hour,
        minute,
        second,
    )


class DateCache:
    """The Date field's value, written once a second.

    Threads: any. There is no lock, for the second and its text are one tuple that is swapped by one
    assignment: a thread reads the old pair or the new one, never half of each. A slow thread may
    put an older pair back; whoever reads it next sees that the second differs and writes it anew.
    `known` is that pair, for who looks at the clock by himself.
    """

    __slots__ = ("_wall", "known")

    def __init__(self, clock: Clock) -> None:
        self._wall = clock.wall
        second = int(clock.wall())
        self.known = (second, imf_fixdate(second))

    def now(self) -> bytes:
        """The present second as an IMF-fixdate."""
        now = self._wall()
        second, text = self.known
        if not 0.0 <= now - second < 1.0:
            second = int(now // 1)
            text = imf_fixdate(second)
            self.known = (second, text)
        return text
