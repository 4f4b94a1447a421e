"""The selector, seen as what the reactor needs: one event per arming, or attention for longer.

`arm` asks for one event: until it is armed again, a descriptor is silent. `attend` asks for an
event as often as somebody looks while there is something to read; it is the hand-over of a
connection to the reactor, may be called from any thread, and costs nothing where the descriptor is
attended already. Whoever is told of a connection that is not its own mutes it, and then looks again
whose it is: so it is told of it once. Each asks the kernel about the present, so that nothing that
came in between is lost.

**Muted and attended at once.** A descriptor must not be silent in the kernel while `attend` finds
it attended. So `attend` notes it first and then tells the kernel; whoever silences tells the kernel
first, and then forgets. Whatever comes between, the last word in the kernel is not silence if the
last word here is attention; and who mutes looks afterwards at what it may have missed.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import threading
from collections import deque
from typing import Protocol

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


WAIT_SECONDS_MAX = 3600.0
"""epoll_wait(2) counts milliseconds in an int, 24 days; a deadline may be further away."""


class Poller(Protocol):
    """Threads: `attend`, `arm` and `wake` from any; the rest from the reactor's alone."""

    def add(self, descriptor: int) -> None:
        """Make a descriptor known, and arm it for reading."""

    def arm(self, descriptor: int, what: int) -> None:
        """Ask for one event: READ, WRITE, or READ | WRITE for whichever comes first.

        A descriptor that is closed by now is passed over.
        """

    def attend(self, descriptor: int) -> None:
        """Ask for an event as long as there is something to read, until it is armed or muted.

        A descriptor that is closed by now is passed over.
        """

    def mute(self, descriptor: int) -> None:
        """Attend to it no longer. What it is armed for besides is told."""

    def disarm(self, descriptor: int) -> None:
        """Ask for none, and forget the descriptor, if it is known, before it is closed."""

    def poll(self, timeout_seconds: float | None) -> list[int]:
        """Wait for events; the descriptors that are ready. May return early, and does on `wake`."""

    def wake(self) -> None:
        """Make the present or the next `poll` return."""

    def close(self) -> None:
        """Give all descriptors back; a second time, to no effect."""


class EpollPoller:
    """Linux: each registration is changed by one system call from whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._attended: set[int] = set()
        self._masks = {
            READ: select.EPOLLIN | select.EPOLLONESHOT,
            WRITE: select.EPOLLOUT | select.EPOLLONESHOT,
            READ | WRITE: select.EPOLLIN | select.EPOLLOUT | select.EPOLLONESHOT,
        }

    def add(self, descriptor: int) -> None:
        self._epoll.register(descriptor, self._masks[READ])
        # Only now: an attention that came too late for the old owner of the number is forgotten.
        self._attended.discard(descriptor)

    def attend(self, descriptor: int) -> None:
        attended = self._attended
        if descriptor in attended:
            return
        attended.add(descriptor)
        # As in `arm`: it may be closed by now, or another's.
        try:
            self._epoll.modify(descriptor, select.EPOLLIN)
        except (OSError, ValueError):
            attended.discard(descriptor)

    def mute(self, descriptor: int) -> None:
        if descriptor in self._attended:
            # Errors are told in any case, by one event more, and then never again.
            self._epoll.modify(descriptor, select.EPOLLET | select.EPOLLONESHOT)
            self._attended.discard(descriptor)

    def arm(self, descriptor: int, what: int) -> None:
        # A worker arms right after the state has made the connection the reactor's, which may have
        # closed it since, or even given its number to a newcomer. The first is an error here; the
        # second makes one spurious event, which the newcomer's state answers. (If the newcomer
        # waited to write just then, it would wait until its deadline. For that the worker must have
        # stopped between two lines for as long as an idle connection may live.)
        # After `close`, at last, a late arming is a ValueError.
        try:  # noqa: SIM105 - a context manager would cost as much as the system call does
            self._epoll.modify(descriptor, self._masks[what])
        except (OSError, ValueError):
            pass
        self._attended.discard(descriptor)

    def disarm(self, descriptor: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # it was never added
            self._epoll.unregister(descriptor)
        self._attended.discard(descriptor)

    def poll(self, timeout_seconds: float | None) -> list[int]:
        ready = [pair[0] for pair in self._epoll.poll(bounded(timeout_seconds))]
        if self._bell in ready:
            ready.remove(self._bell)
            os.eventfd_read(self._bell)
        return ready

    def wake(self) -> None:
        # A worker may outlive the selector, and its bell's number may be another file's by then.
        with self._lock:
            if not self._epoll.closed:
                os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        with self._lock:
            if not self._epoll.closed:
                self._epoll.close()
                os.close(self._bell)


class SelectorPoller:
    """Elsewhere: the platform's best selector, which only the reactor touches.

    Other threads leave their armings in a queue and wake the reactor, which applies them.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wanted: deque[tuple[int, int]] = deque()
        self._attended: set[int] = set()
        self._bell_out, self._bell_in = socket.socketpair()
        for end in (self._bell_out, self._bell_in):
            end.setblocking(False)
        self._selector.register(self._bell_out, selectors.EVENT_READ)
        self._known: set[int] = set()

    def add(self, descriptor: int) -> None:
        self._known.add(descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._attended.discard(descriptor)

    def arm(self, descriptor: int, what: int) -> None:
        self._attended.discard(descriptor)
        self._wanted.append((descriptor, what))
        self.wake()

    def attend(self, descriptor: int) -> None:
        if descriptor not in self._attended:
            self._attended.add(descriptor)
            self._wanted.append((descriptor, READ))
            self.wake()

    def mute(self, descriptor: int) -> None:
        if descriptor in self._attended:
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            self._attended.discard(descriptor)

    def disarm(self, descriptor: int) -> None:
        self._known.discard(descriptor)
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
        self._attended.discard(descriptor)

    def poll(self, timeout_seconds: float | None) -> list[int]:
        self._apply()
        ready = [key.fd for key, _ in self._selector.select(bounded(timeout_seconds))]
        if self._bell_out.fileno() in ready:
            ready.remove(self._bell_out.fileno())
            self._silence()
        for descriptor in ready:
            if descriptor not in self._attended:
                self._selector.unregister(descriptor)
        return ready

    def wake(self) -> None:
        # Where the bell is full, so many wake-ups are under way that one more says nothing new;
        # where it is closed, so is the selector.
        with contextlib.suppress(OSError):
            self._bell_in.send(b"!")

    def close(self) -> None:
        self._selector.close()
        self._bell_in.close()
        self._bell_out.close()

    def _silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._bell_out.recv(4096):
                pass

    def _apply(self) -> None:
        while self._wanted:
            descriptor, what = self._wanted.popleft()
            if descriptor not in self._known:
                self._attended.discard(descriptor)
                continue
            if descriptor in self._selector.get_map():
                self._selector.modify(descriptor, what)
            else:
                self._selector.register(descriptor, what)


def bounded(timeout_seconds: float | None) -> float | None:
    """A time that every selector can wait for."""
    return timeout_seconds if timeout_seconds is None else min(timeout_seconds, WAIT_SECONDS_MAX)


def best_poller() -> Poller:
    """The best that the platform has."""
    return (
        EpollPoller() if hasattr(select, "epoll") and hasattr(os, "eventfd") else SelectorPoller()
    )
