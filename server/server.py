"""The composition root: the one file that knows everybody. How a server stops is in `supervisor`.

    with Server(Config(port=0)) as server:
        print(server.url)

Threads: the one that calls `start` and `run` is the supervisor, "main" in spec/server.toml; it
alone fires the server machine's events. Others, and signal handlers, leave notes in its mailbox.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from server.app.errors import error_response
from server.app.loading import handler_of
from server.clock import Clock
from server.composing import make_hub, make_pool, poller_or_close, reservoir_of
from server.config import Config
from server.errors import InterlockError, StartError
from server.events import Hub
from server.ground import Ground
from server.http1.writer import ResponseWriter
from server.ledger import Account, Ledger
from server.lifecycle import Lifecycle
from server.making import makers_of
from server.net.access_log import open_access_log
from server.net.baton import Baton
from server.net.desk import Desk, Handler
from server.net.listener import Listener
from server.net.meter import Meter
from server.net.reactor import Reactor
from server.net.resizing import resize
from server.net.responder import Responder
from server.net.rooms import Rooms, Viewers
from server.operating import Operating
from server.ops.feed import Feed
from server.recording import Recording, known
from server.spec import patience, sound_system
from server.supervisor import EXIT_STATUS, FINAL, House, Note, Supervisor, Watch
from statemachine import Hook, StateMachineError
from statemachine._generated import ReadinessMachine, ReadinessState, ServerState

if TYPE_CHECKING:
    from server.observing import Observer
    from server.ops.pages import Overview
    from server.ops.snapshot import Snapshot

__all__ = ["Server", "make_hub", "patience", "sound_system"]

LOG = logging.getLogger("interlock.server")


class Server:
    """One server, made of a Config and a handler; without one it serves what the Config names.

    `ground` is what it stands on, the system's unless a simulation gives another; `clock` replaces
    the ground's. `hook` is called for every arrow that any of its machines takes. `lifecycle` says
    which phase it is in, `events` is where its channels are published to. Raises SpecError if the
    spec is not sound.

    `company` makes of what is seen of this server what its operator is shown: of several processes,
    all of them. Then it is their parent who listens for orders.

    Threads: `start`, `run` and `stop` belong to one thread; `request_stop` may be called from any,
    and from signal handlers.
    """

    def __init__(  # noqa: PLR0913 - what a server is made of, by keyword
        self,
        config: Config | None = None,
        handler: Handler | None = None,
        *,
        clock: Clock | None = None,
        hook: Hook | None = None,
        events: Hub | None = None,
        ground: Ground | None = None,
        company: Callable[[Observer], Overview] | None = None,
    ) -> None:
        self.config = config or Config()
        self.events = events or make_hub(self.config)
        self._ground = ground = ground or Ground()
        self._clock = clock or ground.clock
        self._handler = handler
        self._mailbox = ground.mailbox()
        self._system = sound_system()
        assert self._system.ledger is not None
        self._recording = Recording(
            self._system, self.config, self._clock, lambda: known(self._house)
        )
        # A trace is held against counts of all arrows, which are taken beside it.
        counted = self._system.arrows if self.config.trace or self.config.observed else ()
        self._ledger = Ledger(self._system.ledger, counted)
        self._binder = ground.binder(
            self._system,
            engine=self.config.engine,
            hook=hook,
            tallies=self._ledger.tallies,
            log=self._recording.log,
        )
        self.lifecycle = self._binder.bind(Lifecycle)(lambda: self.account.imbalance == 0)
        self.readiness = self._binder.bind(ReadinessMachine)()
        self._closed: Account | None = None
        self._house: House | None = None
        self._meter = Meter(ground.threading)
        self._began = self._clock.monotonic()
        # Pages with a listener of their own are another server's, which has a hub of its own.
        hub = self.events if self.config.ops_bind in ("", "off") else make_hub(self.config)
        whole = None if company is None else company(self._observer)

        def shown() -> Overview:
            return self._observer if whole is None else whole

        self._feed = Feed(shown, hub, self._clock)
        self._operating = Operating(
            self.config,
            shown,
            self._feed,
            self if company is None else None,
            make=partial(Server, clock=self._clock, events=hub, ground=ground),
            threading=ground.threading,
        )

    @cached_property
    def _observer(self) -> Observer:
        """What is seen of it. It keeps nothing, so that two who are first may make two of it."""
        from server.observing import Observer  # noqa: PLC0415 - nobody may ever look

        return Observer(
            system=self._system,
            config=self.config,
            clock=self._clock,
            ledger=self._ledger,
            lifecycle=self.lifecycle,
            readiness=self.readiness,
            hub=self.events,
            house=lambda: self._house,
            account=lambda: self.account,
            url=lambda: self.url if self._house else "",
            meter=self._meter,
            began=self._began,
        )

    # --- the outside ------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on. Raises StartError before `start`."""
        if self._house is None:
            raise StartError("the server has not been started")
        return self._house.listener.address

    @property
    def url(self) -> str:
        """The root of what is served: `http://127.0.0.1:7878`. Raises StartError before `start`."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def ops_url(self) -> str | None:
        """The root of the operator's pages, where they have a listener of their own."""
        return self._operating.url

    @property
    def ready(self) -> bool:
        """Whether more work should be sent here: for health checks. Any thread may ask."""
        return self.readiness.state is ReadinessState.READY

    @property
    def account(self) -> Account:
        """The ledger: what became of every request accepted so far. Any thread may ask.

        While the server works, a request may change its state between two glances at it: then the
        open ones are counted again, and under a load that never rests they are inferred.
        """
        if self._closed is not None:
            return self._closed
        connections = () if self._house is None else self._house.reactor.connections.values()
        return self._ledger.live(connections)

    @property
    def held_bytes(self) -> tuple[int, int]:
        """How much content is kept now for all connections: in memory, and in files."""
        reservoir = None if self._house is None else self._house.reservoir
        if reservoir is None:
            return (0, 0)
        return (reservoir.memory.held_bytes, reservoir.file.held_bytes)

    def snapshot(self) -> Snapshot:
        """What the server is now, for whoever operates it. Any thread may ask."""
        return self._observer.snapshot()

    def start(self) -> None:
        """Bind, start the threads, and serve. Raises StartError, ConfigError or SealError."""
        try:
            self._operating.open()
            self._recording.open()
            self._house = house = self._build()
            house.pool.start(self.config.threads)
            house.thread = self._ground.threading.Thread(
                target=lambda: self._react(house), name="reactor", daemon=True
            )
            house.thread.start()
        except (InterlockError, StateMachineError):
            self._fail()
            raise
        except RuntimeError as error:
            assert self._house is not None
            self._house.pool.drain()
            self._house.reactor.close_listener()
            self._house.pool.join()
            self._house.give_back()
            self._fail()
            raise StartError(f"cannot start a thread: {error}") from None
        self.lifecycle.started()
        self.readiness.opened()
        self.events.open(house.reactor.wake)
        house.open_gate()

    def _fail(self) -> None:
        self._operating.close()
        self.lifecycle.start_failed()
        self.readiness.withdrawn()
        self._recording.close("the start failed", None, None)

    def request_stop(self) -> None:
        """Drain and stop; asked a second time, cut off what is left."""
        self._mailbox.put(Note.STOP)

    def request_dump(self) -> None:
        """Have the flight recorder write down what it has, within a quarter of a second."""
        self._mailbox.put(Note.DUMP)

    def request_reopen(self) -> None:
        """Have the log files opened again by their names, within a quarter of a second: whoever
        rotates them has moved them away. May be called from signal handlers, too.
        """
        self._mailbox.put(Note.REOPEN)

    def dump(self, reason: str) -> Path | None:
        """The same on the calling thread; returns the file, None if nothing was written."""
        return self._recording.dump(reason)

    def resize(self, threads: int) -> bool:
        """Have so many workers, one or more, from now on. False: the server is about to stop, or is
        not started. Any thread may ask.
        """
        return self._house is not None and resize(self._house.pool, threads)

    def run(self) -> int:
        """Supervise until the server has stopped, and return the exit status."""
        house = self._house
        if house is None:
            raise StartError("the server has not been started")
        watch = Watch(
            config=self.config,
            clock=self._clock,
            mailbox=self._mailbox,
            lifecycle=self.lifecycle,
            readiness=self.readiness,
            ledger=self._ledger,
            dump=self._recording.dump,
            tick=self._feed.tick,
        )
        supervisor = Supervisor(watch, house)
        final = supervisor.run()
        self._feed.tick()
        self.events.close()
        self._closed = self._closed or supervisor.close_account()
        house.close()
        self._end_recording(house, final)
        self._operating.close()
        return EXIT_STATUS[final]

    def _end_recording(self, house: House, final: ServerState) -> None:
        taken = living = None
        # While a worker is stuck in a handler, what is counted and who lives may still change.
        if self.config.trace and house.is_still():
            taken, living = self._ledger.taken(), house.living()
        self._recording.close(f"{final.name}: {self._closed}", taken, living)

    def stop(self) -> int:
        """Drain and stop, and return the exit status."""
        self.request_stop()
        return self.run()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- the reactor's thread ---------------------------------------------------------------

    def _react(self, house: House) -> None:
        house.wait_at_gate()
        baton = house.baton
        try:
            house.reactor.open()
            # A handler that outlasts a forced stop still owns its connection: the reactor stays to
            # close it. The thread keeps no process alive.
            while self.lifecycle.state not in FINAL or house.reactor.connections:
                baton.turn()
        except BaseException:
            baton.drop()
            LOG.critical("the reactor died", exc_info=True)
            self._recording.dump("the reactor died")
            self._mailbox.put(Note.REACTOR_DIED)
            house.wait_at_gate()
        # Workers that outlast a forced stop hand their connections back before they end.
        house.pool.join()
        house.give_back()

    # --- composition ------------------------------------------------------------------------

    def _build(self) -> House:
        config, clock, ground, bind_type = self.config, self._clock, self._ground, self._binder.bind
        handler = self._handler or handler_of(config, clock, self.events)
        access_log = open_access_log(config, clock)
        try:
            listening = ground.listen(config.host, config.port, config.backlog)
            poller = poller_or_close(ground, listening)
        except StartError:
            if access_log is not None:
                access_log.close()
            raise
        listener = bind_type(Listener)(listening, ground.transport)
        pool = make_pool(config, self._binder, ground, self._recording.dump)
        responder = Responder(
            bind_type(ResponseWriter),
            clock=clock,
            lifecycle=self.lifecycle,
            error_page=error_response,
            access_log=access_log,
            meter=self._meter if config.observed else None,
        )
        reservoir = reservoir_of(config, pool.threading)
        reserved = self._operating.reserved(listener.address[0])
        desk = Desk(handler, self._recording.log, reserved)
        rooms = Rooms(
            config=config,
            clock=clock,
            poller=poller,
            listener=listener,
            pool=pool,
            responder=responder,
            makers=makers_of(bind_type, config, pool.threading, ground.files, reservoir, desk),
            patience=patience(self._system, config),
            lifecycle=self.lifecycle,
            reservoir=reservoir,
            hub=self.events,
            alarm=self._recording.dump,
            viewers=Viewers(self._feed.channel, self._feed.last),
        )
        reactor = Reactor(rooms, emptied=lambda: self._mailbox.put(Note.EMPTY))
        desk.furnish(rooms, reactor)
        mark, fold, now = self._recording.mark, self._meter.fold, clock.monotonic

        def after_turn() -> None:
            mark()
            fold()

        pool.baton = baton = bind_type(Baton)(
            pool, reactor, now=now, after_turn=after_turn, quick_jobs=ground.quick_jobs
        )
        house = House(listener, pool, reactor, access_log, ground.threading, reservoir)
        house.baton = baton
        return house
