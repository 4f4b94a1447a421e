"""The ground that a simulated server stands on: threads that a carrier carries, its clock, a kernel
and a disk in memory.
"""

from __future__ import annotations

import errno
import functools
import queue
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, cast

from server.clock import Clock
from server.errors import StartError
from server.ground import Ground
from server.ledger import Ledger
from server.net.baton import QUICK_JOBS
from server.net.transport import Address, Transport
from server.server import sound_system
from server.simulation.carrier import MOMENT, Carrier
from server.simulation.disk import Disk
from server.simulation.kernel import Backlog, Descriptors, End, Selector, error_of
from server.simulation.primitives import NEVER, Task
from server.supervisor import Note
from statemachine import Arrow, Binder, Engine, Hook, Model, System
from statemachine.noting import Log

DESCRIPTORS_MAX: Final = 256


class CarriedClock(Clock):
    """The carrier's time. `offset` is how far the wall clock was moved."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.offset = 0.0

    def monotonic(self) -> float:
        return self._carrier.now

    def wall(self) -> float:
        return MOMENT + self.offset + self._carrier.now

    def sleep(self, seconds: float) -> None:
        self._carrier.sleep(seconds)


class CarriedSelector(Selector):
    """A selector that is the gate its reactor waits at: it is open when somebody is ready. `full`:
    the kernel has no room for another.
    """

    def __init__(self, carrier: Carrier) -> None:
        super().__init__()
        self.is_open = False
        self.full = False
        # Where something has changed since the last turn: nobody else can have become ready.
        self._changed: dict[int, None] = {}
        self._carrier = carrier
        self._reactor: Task | None = None

    def look(self, descriptor: int) -> None:
        """Something has changed there."""
        if self.is_ready(descriptor):
            self.is_open = True
            self._changed[descriptor] = None

    def add(self, descriptor: int) -> None:
        if self.full:
            raise error_of(errno.ENOSPC)
        super().add(descriptor)
        self.look(descriptor)

    def control(self, descriptor: int, what: int) -> bool:
        # Between the arrow that hands a connection over and the call that tells of it, anybody may
        # come in; the reactor hands over to nobody here.
        if self._carrier.current is not self._reactor:
            self._carrier.point()
        known = super().control(descriptor, what)
        self.look(descriptor)
        return known

    def poll(self, timeout_seconds: float | None) -> list[int]:
        """See Poller."""
        carrier = self._carrier
        self._reactor = carrier.current
        carrier.point(self, NEVER if timeout_seconds is None else carrier.now + timeout_seconds)
        self.polls += 1
        self.is_open = False
        if not self._changed:
            return []
        ready = [one for one in self._changed if self.is_ready(one)]
        self.tell(ready)
        self._changed = dict.fromkeys(one for one in ready if one in self.attended)
        self.is_open = bool(self._changed)
        return ready

    def wake(self) -> None:
        """See Poller."""
        if self._carrier.current is not self._reactor:
            self._carrier.point()
        self.is_open = True


class Post:
    """A mailbox, and the gate of whoever waits for a note."""

    def __init__(self, carrier: Carrier) -> None:
        self.is_open = False
        self._carrier = carrier
        self._notes: deque[Note] = deque()

    def put(self, item: Note, /) -> None:
        """See Mailbox."""
        self._notes.append(item)
        self.is_open = True

    def get(self, *, timeout: float) -> Note:
        """See Mailbox."""
        self._carrier.point(self, self._carrier.now + timeout)
        if not self._notes:
            raise queue.Empty
        note = self._notes.popleft()
        self.is_open = bool(self._notes)
        return note


class Mould(Binder):
    """A binder that binds each class once, for all lives: to load and to seal takes as long as a
    hundred of them. What its hook and its tallies call is the present life's.
    """

    def __init__(self, system: System, engine: Engine) -> None:
        assert system.ledger is not None
        self._bound: dict[type[Model], type[Model]] = {}
        self._watch: Hook = _nobody
        self._counts: Mapping[str, Callable[[], object]] = {}

        def hook(model: Model, arrow: Arrow) -> None:
            self._watch(model, arrow)

        tallies = {
            one: functools.partial(self._count, one) for one in Ledger(system.ledger).tallies
        }
        super().__init__(system, engine=engine, hook=hook, tallies=tallies)

    def _count(self, arrow: str) -> None:
        self._counts[arrow]()

    def begin(self, hook: Hook | None, counts: Mapping[str, Callable[[], object]]) -> None:
        """The next life's: what is called from now on."""
        self._watch, self._counts = hook or _nobody, counts

    def end(self) -> None:
        """That life is over. Without this it would be kept until the next one begins."""
        self._watch, self._counts = _nobody, {}

    def bind(self, model: type[Model]) -> type[Model]:  # type: ignore[override] # see Binder
        found = self._bound.get(model)
        if found is None:
            found = self._bound[model] = super().bind(model)
        return found


def _nobody(model: Model, arrow: Arrow) -> None:
    pass


@functools.cache
def _mould(engine: Engine) -> Mould:
    return Mould(sound_system(), engine)


class Street:
    """What is around one simulated server. `refusal` is why it cannot listen, if it cannot.
    `quick_jobs` is for its baton.
    """

    def __init__(self, carrier: Carrier, quick_jobs: int = QUICK_JOBS) -> None:
        self.carrier = carrier
        self.clock = CarriedClock(carrier)
        self.table = Descriptors(most=DESCRIPTORS_MAX)
        self.disk = Disk(self.table)
        self.post = Post(carrier)
        self.selector: CarriedSelector | None = None
        self.backlog: Backlog | None = None
        self.refusal = ""
        self._mould: Mould | None = None
        self.ground = Ground(
            clock=self.clock,
            threading=carrier,
            files=self.disk,
            mailbox=lambda: self.post,
            listen=self._listen,
            transport=self._welcome,
            poller=self._select,
            binder=self._bind,
            quick_jobs=quick_jobs,
        )

    def _bind(
        self,
        system: System,  # noqa: ARG002 - see server.ground: it is the one that belongs to this code
        *,
        engine: Engine,
        hook: Hook | None,
        tallies: Mapping[str, Callable[[], object]],
        log: Log | None,
    ) -> Binder:
        assert log is None, "a life's classes are those of the lives before: they note nothing"
        self._mould = mould = _mould(engine)
        mould.begin(hook, tallies)
        return mould

    def clear(self) -> None:
        """The life is over: nobody is told of anything any more."""
        if self._mould is not None:
            self._mould.end()

    def _listen(self, host: str, port: int, backlog: int) -> socket.socket:
        if self.refusal:
            raise StartError(f"cannot listen on {host} port {port}: {self.refusal}")
        self.backlog = Backlog(self.table, backlog)
        return cast("socket.socket", self.backlog)

    def _select(self) -> CarriedSelector:
        self.selector = selector = CarriedSelector(self.carrier)
        backlog = self.backlog
        assert backlog is not None
        descriptor = backlog.fileno()
        selector.expect(descriptor, backlog.readiness)
        backlog.changed = lambda: selector.look(descriptor)
        return selector

    def _welcome(self, connected: socket.socket, _: Address) -> Transport:
        end = cast("End", connected)
        selector, descriptor = self.selector, end.descriptor
        assert selector is not None
        end.accepted_at = self.carrier.now
        selector.expect(descriptor, end.readiness)
        end.changed = lambda: selector.look(descriptor)
        end.let_go = lambda: self.table.give_back(descriptor)
        return end
