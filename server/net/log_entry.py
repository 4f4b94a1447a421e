"""What the access log is told of an exchange."""

from __future__ import annotations

from typing import Final, NamedTuple

from server.http1.messages import RequestHead

CUT: Final = "cut"
"""The end state of an exchange whose response did not leave as a whole."""


class Entry(NamedTuple):
    """One exchange that has ended, as the log is told of it.

    `peer` and `local` are (host, port). `head` is None where the request could not be read. `size`
    is the bytes of content sent. `started` is the wall clock's POSIX seconds at the request's first
    byte, `seconds` how long it took from there. Of that, the complete request has waited for a
    worker for `queue_seconds`, its handler has taken `app_seconds` until it had answered, and
    `write_seconds` passed from then to the end; each is None where it has not come to that.
    `end_state` is CUT, or how else it ended; `persists` whether the connection may carry another
    request.
    """

    peer: tuple[str, int]
    local: tuple[str, int]
    head: RequestHead | None
    status: int
    size: int
    started: float
    seconds: float
    end_state: str
    persists: bool = False
    protocol: str = "tcp"
    request_id: str = "-"
    queue_seconds: float | None = None
    app_seconds: float | None = None
    write_seconds: float | None = None
