"""Parts of a server that it takes more than a line to make. `server.server` puts them together."""

from __future__ import annotations

import socket
from collections.abc import Callable

from server.config import Config
from server.errors import StartError
from server.events import Hub
from server.ground import Ground
from server.http1.writer import chunk
from server.net.poller import Poller
from server.net.pool import Pool
from server.net.reservoir import Reservoir
from server.net.threads import Threading
from statemachine import Binder


def make_pool(
    config: Config, binder: Binder, ground: Ground, alarm: Callable[[str], object]
) -> Pool:
    """The pool of a server's workers, none of which has been started. `alarm` is told of what must
    not happen and did.
    """
    pool = binder.bind(Pool)(
        binder,
        queue_jobs_max=config.queue_jobs_max,
        stand_ins_max=config.stand_ins_max,
        late_seconds_max=config.late_seconds_max,
        job_seconds_max=config.job_seconds_max,
        prefix="worker",
        daemon=True,
        facade=ground.threading,
    )
    pool.crew.alarm = alarm
    return pool


def reservoir_of(config: Config, threading: Threading) -> Reservoir:
    """What all connections together may keep in memory and in files."""
    return Reservoir(
        threading,
        memory_bytes_max=config.buffer_memory_bytes_max,
        file_bytes_max=config.buffer_file_bytes_max,
    )


def make_hub(config: Config) -> Hub:
    """A hub whose events are encoded as a server with this Config sends them."""
    return Hub(config, frame=chunk)


def poller_or_close(ground: Ground, listening: socket.socket) -> Poller:
    """The selector. Raises StartError, with the socket closed, if the system has none to give."""
    try:
        return ground.poller()
    except OSError as error:
        listening.close()
        raise StartError(f"cannot watch connections: {error.strerror}") from None
