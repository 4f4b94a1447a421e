"""What befalls a simulated server: the deeds of a plan, done."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from server.simulation.kernel import End, error_of
from server.simulation.plan import Deed
from server.simulation.primitives import Task
from server.supervisor import FINAL

if TYPE_CHECKING:
    from server.simulation.life import Life

SHORTAGE_SECONDS: Final = 0.3
"""How long what runs out is missing."""

ACCEPT_ERRORS: Final = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
    *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM),
)
ENOUGH: Final = 1_000_000
FLOOD: Final = 20
LEAP_SECONDS_MAX: Final = 3.0
WALL_SECONDS: Final = 86_400.0


class Torn(BaseException):
    """What tears a thread out of whatever it does."""


class Fate:
    """Does one deed to one life."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._carrier = life.carrier
        self._street = life.past.street
        self._struck: set[Task] = set()

    def do(self, deed: Deed) -> None:
        """Do it, on a task of its own."""
        KINDS[deed.kind](self, deed.value)

    def _stop(self, _: float) -> None:
        self._life.stop()

    def _stop_twice(self, value: float) -> None:
        self._life.stop()
        if value > 0.3:
            self._carrier.sleep(value)
        self._life.stop()

    # --- threads ----------------------------------------------------------------------------

    def _strike_worker(self, value: float) -> None:
        workers = [one for one in self._life.server_tasks() if one.name != "reactor"]
        self._strike(workers, value)

    def _strike_reactor(self, value: float) -> None:
        selector = self._street.selector
        if selector is None or not selector.polls or self._life.server.lifecycle.state in FINAL:
            return  # it is not in its loop
        self._strike([one for one in self._life.server_tasks() if one.name == "reactor"], value)

    def _strike(self, tasks: list[Task], value: float) -> None:
        # Where a thread waits, or is about to take a lock: not before its first line, nor in the
        # middle of a step, where nothing of the system's tears anybody out.
        living = [
            one
            for one in tasks
            if one.has_begun
            and not one.has_ended
            and one not in self._life.past.judge.between
            and one not in self._struck
        ]
        if living:
            struck = living[int(value * 0.999 * len(living))]
            self._life.note("fate", f"tears {struck.name} out")
            if struck.name == self._life.past.judge.reactor != "reactor":
                # It has the baton, and may be in the middle of a turn of the reactor's.
                self._life.past.done.append(Deed("strike_reactor", seconds=self._carrier.now))
            self._struck.add(struck)
            struck.strike(Torn("torn out"))

    def _no_threads(self, value: float) -> None:
        self._carrier.threads_left = 0
        self._carrier.sleep(SHORTAGE_SECONDS * (1 + 3 * value))
        self._carrier.threads_left = ENOUGH

    # --- descriptors and the disk -----------------------------------------------------------

    def _no_descriptors(self, value: float) -> None:
        table = self._street.table
        before, table.most = table.most, len(table.open) + int(2 * value)
        self._carrier.sleep(SHORTAGE_SECONDS)
        table.most = before

    def _bad_accept(self, value: float) -> None:
        backlog = self._street.backlog
        if backlog is not None and backlog.is_open:
            backlog.errors.append(error_of(ACCEPT_ERRORS[int(value * 0.999 * len(ACCEPT_ERRORS))]))
            backlog.changed()

    def _no_room(self, _: float) -> None:
        """The selector takes nobody more: epoll_ctl(2), ENOSPC."""
        selector = self._street.selector
        if selector is not None:
            selector.full = True
            self._carrier.sleep(SHORTAGE_SECONDS)
            selector.full = False

    def _disk_full(self, value: float) -> None:
        disk = self._street.disk
        before, disk.room = disk.room, int(2000 * value) if value > 0.3 else 0
        self._carrier.sleep(SHORTAGE_SECONDS * (1 + 5 * value))
        disk.room = before

    # --- time -------------------------------------------------------------------------------

    def _wall(self, value: float) -> None:
        self._street.clock.offset += (value - 0.5) * WALL_SECONDS

    def _leap(self, value: float) -> None:
        """The machine has slept: much time has passed, and nobody had a turn."""
        self._carrier.advance(value * LEAP_SECONDS_MAX)
        self._life.past.watch.leapt += value * LEAP_SECONDS_MAX

    # --- others -----------------------------------------------------------------------------

    def _release(self, _: float) -> None:
        self._life.past.stage.released.is_open = True

    def _flood(self, _: float) -> None:
        """Newcomers that say nothing, more than the backlog holds, and leave again."""
        backlog = self._street.backlog
        ends = []
        for _ in range(FLOOD):
            end = End(-1, self._street.disk)
            if backlog is not None and backlog.join(end):
                ends.append(end)
        self._carrier.sleep(SHORTAGE_SECONDS)
        for end in ends:
            if not end.closed:
                end.peer_leaves()


KINDS: Final[dict[str, Callable[[Fate, float], None]]] = {
    "stop": Fate._stop,
    "stop_twice": Fate._stop_twice,
    "strike_worker": Fate._strike_worker,
    "strike_reactor": Fate._strike_reactor,
    "no_threads": Fate._no_threads,
    "no_descriptors": Fate._no_descriptors,
    "bad_accept": Fate._bad_accept,
    "no_room": Fate._no_room,
    "disk_full": Fate._disk_full,
    "wall": Fate._wall,
    "leap": Fate._leap,
    "release": Fate._release,
    "flood": Fate._flood,
}
"""By its kind, what does a deed."""
