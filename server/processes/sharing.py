"""A listening socket that several processes accept from.

The kernel wakes all of them for each newcomer, and has one queue: whoever asks first has it. A
reactor that took as many as it finds would have all of a burst while the others still wake up, and
clients that stay would stay with it. So each takes one, and looks around before it takes the next;
by then others have come. That spreads connections about as evenly as a hash would (SO_REUSEPORT),
and no newcomer ever waits in the queue of a process that is late, full or gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable


class SharedSocket(socket.socket):
    """Says after each newcomer that nobody else waits, unless its process `is_leaving`: then it has
    to take whom the kernel has greeted, since it may be the last to do so.

    Threads: the reactor's alone.
    """

    def __init__(self, descriptor: int, is_leaving: Callable[[], bool]) -> None:
        super().__init__(fileno=descriptor)
        self._is_leaving = is_leaving
        self._in_turn = True

    def accept(self) -> tuple[socket.socket, object]:
        """The next newcomer. Raises BlockingIOError where it is the others' turn, or nobody's."""
        if not self._in_turn and not self._is_leaving():
            self._in_turn = True
            raise BlockingIOError
        accepted = super().accept()
        self._in_turn = False
        return accepted
