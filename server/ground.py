"""The ground that a server stands on: the system's threads, sockets, selector, files and clock.

Everything above takes them from here, so that a simulation can put another ground beneath the same
server.
"""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from server.clock import Clock, SystemClock
from server.net.baton import QUICK_JOBS
from server.net.files import SYSTEM_FILES, Files
from server.net.listener import MakeTransport, bind
from server.net.poller import Poller, best_poller
from server.net.threads import SystemThreading, Threading
from server.net.transport import SocketTransport
from server.supervisor import Mailbox, Note
from statemachine import Binder, Engine, Hook, System
from statemachine.noting import Log


class MakeBinder(Protocol):
    """What binds the machines of one server: `statemachine.Binder`."""

    def __call__(
        self,
        system: System,
        *,
        engine: Engine,
        hook: Hook | None,
        tallies: Mapping[str, Callable[[], object]],
        log: Log | None,
    ) -> Binder: ...


def _post() -> Mailbox:
    # Its `put` may be called from a signal handler, which no lock of our own would allow.
    return queue.SimpleQueue[Note]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a server is given of the world, as factories. Nothing in it changes.

    `listen` is called with host, port and backlog, and raises StartError; `transport` makes of what
    the listening socket accepts what a connection is served on; `poller` may raise OSError.
    `quick_jobs` is for `Baton`.
    """

    clock: Clock = field(default_factory=SystemClock)
    threading: Threading = field(default_factory=SystemThreading)
    files: Files = SYSTEM_FILES
    mailbox: Callable[[], Mailbox] = _post
    listen: Callable[[str, int, int], socket.socket] = bind
    transport: MakeTransport = SocketTransport
    poller: Callable[[], Poller] = best_poller
    binder: MakeBinder = Binder
    quick_jobs: int = QUICK_JOBS
