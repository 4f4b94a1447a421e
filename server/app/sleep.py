"""`/sleep`: the index page, late. It shows that a slow handler holds one worker and no other."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from server.app.errors import Refused
from server.app.paths import Names
from server.app.static import Site
from server.clock import Clock
from server.http1.messages import Request, Response

SECONDS_DEFAULT: Final = 5.0
SECONDS_MAX: Final = 60.0

# Digits and one point: what `float` also takes (nan, inf, 1e9, 1_0) is no length of a sleep.
_SECONDS: Final = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,9})?", re.ASCII)


class Sleep:
    """Answers after `?seconds=`, 5 where it is left out. Threads: any; it holds the calling one."""

    __slots__ = ("_clock", "_site")

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock

    def page(self, request: Request, names: Names) -> Response:
        """The index page. Raises Refused (400) where the query asks for no length we sleep."""
        self._clock.sleep(seconds_of(request.head.query))
        return self._site.index(request, names)


def seconds_of(query: str) -> float:
    """How long a query asks to sleep, 0 to SECONDS_MAX. Raises Refused (400) for anything else."""
    values = [
        value
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace")
        if name == "seconds"
    ]
    if not values:
        return SECONDS_DEFAULT
    if len(values) > 1 or not _SECONDS.fullmatch(values[0]) or float(values[0]) > SECONDS_MAX:
        raise Refused(
            400, f"seconds is {', '.join(values)!r}, expected one number from 0 to {SECONDS_MAX:g}."
        )
    return float(values[0])
