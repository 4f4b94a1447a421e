"""The kernel, in memory: sockets, the selector and files, as far as the net room can tell.

It is strict where the real one is lenient: a descriptor is given back once, nobody touches a socket
that is closed. What it is asked to do it does as the real one would: tests/net/test_transport.py
holds both to one contract.

Threads: one, or several of which one runs at a time.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from server.net.poller import READ, WRITE
from server.net.transport import Address

ENDLESS: Final = 1 << 40
HERE: Final[Address] = ("192.0.2.1", 80)


def error_of(number: int) -> OSError:
    """What a system call raises that fails with this `errno`."""
    return OSError(number, os.strerror(number))


def _nothing() -> None:
    pass


class Descriptors:
    """A process's table: the lowest number that is free, from `first` on; at most `most` at once.

    `faults` are what nobody may do: to give a number back twice, or one that was never taken.
    """

    def __init__(self, first: int = 5, most: int = ENDLESS) -> None:
        self.most = most
        self.open: set[int] = set()
        self.faults: list[str] = []
        self._next = first
        self._freed: list[int] = []

    def take(self) -> int:
        """A number. Raises OSError (EMFILE) where there are none left."""
        if len(self.open) >= self.most:
            raise error_of(errno.EMFILE)
        if self._freed:
            number = heapq.heappop(self._freed)
        else:
            number, self._next = self._next, self._next + 1
        self.open.add(number)
        return number

    def give_back(self, number: int) -> None:
        """Close it. Raises OSError (EBADF) for one that is not open."""
        if number not in self.open:
            self.faults.append(f"descriptor {number} is given back, and is not open")
            raise error_of(errno.EBADF)
        self.open.remove(number)
        heapq.heappush(self._freed, number)


class Reads(Protocol):
    """What a socket needs of the disk to send a file."""

    def pread(self, descriptor: int, size: int, offset: int) -> bytes: ...


class End:
    """One end of a TCP connection, whose other end is the peer's, who is played: a
    `server.net.transport.Transport`.

    `room` is what the send buffer still takes, `received` all that it has ever taken. `changed` is
    called when the selector should look, `heard` when there is something for the peer to see, and
    `let_go` when the descriptor is given back.
    """

    def __init__(self, descriptor: int, disk: Reads) -> None:
        self.descriptor = descriptor
        self.peer: Address = ("192.0.2.7", 50_000 + descriptor)
        self._disk = disk
        self._incoming = bytearray()
        self.peer_has_ended = False
        self._peer_has_left = False
        self._error: OSError | None = None
        self._is_broken = False
        self.changed: Callable[[], None] = _nothing
        self.heard: Callable[[], None] = _nothing
        self.let_go: Callable[[], None] = _nothing
        self.abort_raises: OSError | None = None
        self.received = bytearray()
        self.room = ENDLESS
        self.has_ended = False
        self.aborted = False
        self.closed = 0
        self.unread_at_close = 0
        self.was_reset = False
        self.accepted_at = 0.0
        # Of all that the peer has sent, and of it what our side has read.
        self.sent_bytes = 0
        self.read_bytes = 0

    # --- the peer ---------------------------------------------------------------------------

    def peer_sends(self, data: bytes) -> None:
        """These bytes arrive."""
        self._incoming += data
        self.sent_bytes += len(data)
        self.changed()

    def peer_ends(self) -> None:
        """The peer ends its side."""
        self.peer_has_ended = True
        self.changed()

    def peer_resets(self) -> None:
        """The peer breaks the connection. What had come before can still be read; then the error is
        told, once.
        """
        self._error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._is_broken = True
        self.changed()

    def peer_leaves(self) -> None:
        """The peer closes its socket: what is still sent to it is answered by a reset."""
        self.peer_has_ended = self._peer_has_left = True
        self.changed()

    def peer_takes(self, size: int) -> None:
        """The peer has read so many bytes: there is room for as many more."""
        self.room += size
        self.changed()

    @property
    def seems_ended(self) -> bool:
        """Whether our side may take it that the peer has ended: it has, or the connection broke."""
        return self.peer_has_ended or self._is_broken or self.aborted

    @property
    def is_over(self) -> bool:
        """Whether the peer will see nothing more."""
        return bool(self.has_ended or self.aborted or self.closed)

    # --- what the selector sees -------------------------------------------------------------

    def readiness(self) -> int:
        """READ, WRITE, both or none."""
        broken = self._is_broken or self.aborted
        readable = broken or self.peer_has_ended or bool(self._incoming)
        writable = broken or self.room > 0
        return (READ if readable else 0) | (WRITE if writable else 0)

    # --- server.net.transport.Transport -----------------------------------------------------

    @property
    def local(self) -> Address:
        """Our side's name."""
        return HERE

    def receive(self, size: int) -> bytes | None:
        """See Transport."""
        self._use()
        if self._incoming:
            data = bytes(self._incoming[:size])
            del self._incoming[:size]
            self.read_bytes += len(data)
            return data
        self._tell()
        return b"" if self.seems_ended else None

    def receive_into(self, space: memoryview) -> int | None:
        """See Transport."""
        data = self.receive(len(space))
        if data:
            space[: len(data)] = data
        return None if data is None else len(data)

    def peek(self) -> bool:
        """See Transport."""
        self._use()
        if self.aborted or self._is_broken:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return self.peer_has_ended

    def send(self, data: bytes | memoryview) -> int:
        """See Transport."""
        self._use(sending=True)
        taken = bytes(data[: self.room])
        self.received += taken
        self.room -= len(taken)
        if self._peer_has_left:
            self.peer_resets()
        self.heard()
        return len(taken)

    def send_file(self, descriptor: int, offset: int, size: int) -> int | None:
        """See Transport."""
        self._use(sending=True)
        content = self._disk.pread(descriptor, size, offset)
        return self.send(content) if content else None

    def end(self) -> None:
        """See Transport."""
        self._use()
        if self._is_broken:
            raise error_of(errno.ENOTCONN)
        self.has_ended = True
        self.heard()

    def abort(self) -> None:
        """See Transport."""
        assert not self.closed, "a socket is aborted that nobody owns"
        if self.abort_raises is not None:
            raise self.abort_raises
        if self._is_broken:
            raise error_of(errno.ENOTCONN)
        self.aborted = True
        self.changed()
        self.heard()

    def close(self) -> None:
        """See Transport."""
        self.closed += 1
        assert self.closed == 1, "a descriptor is given back twice"
        self.unread_at_close = len(self._incoming)
        # What nobody has read makes a close a reset to the peer (RFC 9112 section 9.6).
        self.was_reset = bool(self._incoming)
        self.let_go()
        self.heard()

    def reset(self) -> None:
        """See Transport."""
        self.close()
        self.was_reset = True

    def _use(self, *, sending: bool = False) -> None:
        assert not self.closed, "a closed socket is used"
        if not sending:
            return
        self._tell()
        if self.has_ended or self.aborted or self._is_broken:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def _tell(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


class Selector:
    """The selector over such ends: one event per arming, or attention. It lacks only how one waits
    for it.

    `late_armings` counts those of descriptors that were closed by then, `polls` the turns.
    """

    def __init__(self) -> None:
        self.armed: dict[int, int] = {}
        self.attended: set[int] = set()
        self.late_armings = 0
        self.polls = 0
        self._readiness: dict[int, Callable[[], int]] = {}

    def expect(self, descriptor: int, readiness: Callable[[], int]) -> None:
        """How to find out what a descriptor is ready for: before it is added."""
        self._readiness[descriptor] = readiness

    def is_ready(self, descriptor: int) -> bool:
        """Whether it is armed for what it is ready for."""
        what = self.armed.get(descriptor, 0)
        return bool(what and self._readiness[descriptor]() & what)

    def ready(self) -> list[int]:
        """Those that are, in the order in which they were added."""
        return [one for one in self.armed if self.is_ready(one)]

    def add(self, descriptor: int) -> None:
        """See Poller."""
        assert descriptor not in self.armed, "a descriptor is added twice"
        self.armed[descriptor] = READ

    def attend(self, descriptor: int) -> None:
        """See Poller."""
        if descriptor not in self.attended:
            self.attended.add(descriptor)
            if not self.control(descriptor, READ):
                self.attended.discard(descriptor)

    def mute(self, descriptor: int) -> None:
        """See Poller."""
        if descriptor in self.attended:
            self.control(descriptor, 0)
            self.attended.discard(descriptor)

    def arm(self, descriptor: int, what: int) -> None:
        """See Poller."""
        self.control(descriptor, what)
        self.attended.discard(descriptor)

    def control(self, descriptor: int, what: int) -> bool:
        """The system call: epoll_ctl(2). False: there is no such descriptor."""
        if descriptor not in self.armed:
            self.late_armings += 1
            return False
        self.armed[descriptor] = what
        return True

    def disarm(self, descriptor: int) -> None:
        """See Poller."""
        self.armed.pop(descriptor, None)
        self.attended.discard(descriptor)

    def collect(self) -> list[int]:
        """Those that are ready, which are armed no longer unless they are attended."""
        self.polls += 1
        ready = self.ready()
        self.tell(ready)
        return ready

    def tell(self, ready: list[int]) -> None:
        """They are told of."""
        for one in ready:
            if one not in self.attended:
                self.armed[one] = 0

    def close(self) -> None:
        """See Poller."""
        assert not any(self.armed.values()), "the selector is closed before its descriptors"


class Backlog:
    """A socket that listens: as much of `socket.socket` as a listener needs.

    `errors` are what the next calls of accept raise. A newcomer that finds it full is not let in.
    """

    def __init__(self, table: Descriptors, most: int) -> None:
        self._table = table
        self._most = most
        self._descriptor = table.take()
        self.waiting: deque[End] = deque()
        self.errors: deque[OSError] = deque()
        self.changed: Callable[[], None] = _nothing
        self.is_open = True

    def join(self, end: End) -> bool:
        """A newcomer. False: it is refused."""
        if not self.is_open or len(self.waiting) >= self._most:
            return False
        self.waiting.append(end)
        self.changed()
        return True

    def readiness(self) -> int:
        """READ when somebody waits."""
        return READ if self.waiting or self.errors else 0

    def setblocking(self, flag: bool) -> None:
        """It never blocks. Raises ValueError for whoever wants it to."""
        if flag:
            raise ValueError("a listener that blocks")

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def getsockname(self) -> Address:
        """Host and port."""
        return HERE

    def accept(self) -> tuple[End, Address]:
        """The next newcomer. Raises OSError: BlockingIOError when nobody waits."""
        if self.errors:
            raise self.errors.popleft()
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        end = self.waiting[0]
        end.descriptor = self._table.take()
        self.waiting.popleft()
        return end, end.peer

    def close(self) -> None:
        """Give the descriptor back; whoever still waits is reset."""
        self.is_open = False
        self._table.give_back(self._descriptor)
        for end in self._leave():
            end.closed += 1
            end.was_reset = True
            end.heard()

    def _leave(self) -> Iterator[End]:
        while self.waiting:
            yield self.waiting.popleft()
