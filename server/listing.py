"""Lists connections for the operator, a page at a time, and workers, while they move.

Threads: any. Each is glanced at without being stopped: what is told of it may be a moment apart.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import Final

from server.net.connection import Connection
from server.net.deadlines import Patience
from server.net.exchange import Exchange
from server.net.meter import NEVER
from server.net.transport import SocketTransport
from server.net.worker import Worker
from server.ops.frames import Lane
from server.ops.listing import PAGE, Listed, Page, tcp_of
from statemachine._generated import ConnectionState

LINE_CHARACTERS_MAX: Final = 200
"""Of a request's method and path, what a worker's lane shows."""


def listed(
    connections: Iterable[Connection], state: str, page: int, *, patience: Patience, now: float
) -> Page:
    """One page, counted from 0, of those that are in `state`; of all where it is empty."""
    found = [one for one in list(connections) if not state or one.state.name == state]
    found.sort(key=lambda one: one.serial)
    shown = found[page * PAGE : (page + 1) * PAGE]
    return Page(
        page=page,
        pages=math.ceil(len(found) / PAGE),
        total=len(found),
        connections=tuple(_listed(one, patience, now) for one in shown),
    )


def lane_of(worker: Worker, now: float) -> Lane:
    """A worker, and the request that it has."""
    job = worker.job
    if not isinstance(job, Exchange):
        return Lane(worker.name, worker.state.name, None, 0.0)
    # Its connection may be at its next request by now: then the time is short, and soon right.
    taken_at = job.connection.taken_at
    seconds = 0.0 if taken_at == NEVER else max(0.0, now - taken_at)
    return Lane(worker.name, worker.state.name, job.line[:LINE_CHARACTERS_MAX], seconds)


def _listed(one: Connection, patience: Patience, now: float) -> Listed:
    state, head, transport = one.state, one.head, one.transport
    since = _since(one, state, patience)
    local = ("", 0)
    with contextlib.suppress(OSError):  # it has been closed meanwhile
        local = transport.local
    told = transport.tcp_info() if isinstance(transport, SocketTransport) else None
    return Listed(
        serial=one.serial,
        state=state.name,
        seconds=None if since is None else max(0.0, now - since),
        peer=transport.peer,
        local=local,
        requests=one.requests,
        request=None if head is None else f"{head.method} {head.path}",
        tcp=tcp_of(told),
    )


def _since(one: Connection, state: ConnectionState, patience: Patience) -> float | None:
    """When it came to its state: that long before its deadline as the state may last."""
    if state is ConnectionState.EXCHANGING:
        return None if one.taken_at == NEVER else one.taken_at
    if state is ConnectionState.PARKED:
        limit = patience.request.get(one.reader.state)
    else:
        limit = patience.connection.get(state)
    return None if limit is None or one.deadline == math.inf else one.deadline - limit
