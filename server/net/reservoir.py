"""How much content one server keeps, all its connections together: in memory, and in files.

What a client sends before a worker is free, and what is made for a client that reads slowly, must
lie somewhere. Each connection has bounds of its own; a thousand connections within theirs could
still take all there is. So every byte that is kept is taken from a tank first, and given back when
it is kept no longer.

Threads: any.
"""

from __future__ import annotations

from collections.abc import Callable

from server.net.threads import Threading


class Tank:
    """Room for `bytes_max` bytes. `held_bytes` are taken and not given back yet.

    Guarantee: `held_bytes` is never above `bytes_max`, and whoever asked to be called when room
    comes is called, once, after the next bytes have been given back.
    """

    __slots__ = ("_lock", "_waiting", "bytes_max", "held_bytes")

    def __init__(self, threading: Threading, bytes_max: int) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Callable[[], None], None] = {}  # a set in its order
        self.bytes_max = bytes_max
        self.held_bytes = 0

    def take(self, size: int, *, otherwise: Callable[[], None] | None = None) -> bool:
        """Take so many bytes, all or none. False: there is not the room.

        Then `otherwise` is called once some room has come: on any thread, without our lock, and
        without a promise that it is enough, or that it is still there.
        """
        with self._lock:
            # Found wanting and noted down in one step: room that comes in between is not missed.
            if self.held_bytes + size <= self.bytes_max:
                self.held_bytes += size
                return True
            if otherwise is not None:
                self._waiting[otherwise] = None
            return False

    def give_back(self, size: int) -> None:
        """So many bytes are kept no longer. Raises ValueError for more than were taken."""
        if not size:
            return
        with self._lock:
            if size > self.held_bytes:
                raise ValueError(f"{size} bytes are given back, {self.held_bytes} were taken")
            self.held_bytes -= size
            waiting: dict[Callable[[], None], None] = {}
            if self._waiting:
                # All of them: they are workers, so they are few, and the room may do for several.
                waiting, self._waiting = self._waiting, waiting
        for wake in waiting:
            wake()


class Reservoir:
    """The two tanks of one server."""

    __slots__ = ("file", "memory")

    def __init__(self, threading: Threading, *, memory_bytes_max: int, file_bytes_max: int) -> None:
        self.memory = Tank(threading, memory_bytes_max)
        self.file = Tank(threading, file_bytes_max)
