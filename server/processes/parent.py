"""The parent: it keeps its places filled, passes orders on, and adds up what became of requests.

Everything happens in turns. A turn reads the news (signals, what children say, their ends), lets
deadlines pass, and then looks at what its own state makes of the children that there are: places
that are vacant get a process, old ones are replaced, or nobody is left.

What an operator asks comes as news too. All processes that serve, or still drain, are asked, and
the turn goes on; see `inquiries`.

Threads: one, "main" in spec/fleet.toml and spec/process.toml. It never waits but in `World.wait`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from server.config import Config
from server.processes.accounts import Total
from server.processes.channel import Message, text
from server.processes.fleet import FINAL, Fleet
from server.processes.inquiries import Inquiries
from server.processes.process import FINAL as OVER
from server.processes.process import Process, ended
from server.processes.world import Asked, Exited, News, Told, Wondered, World
from statemachine import Binder
from statemachine._generated import FleetState, ProcessState

LOG = logging.getLogger("interlock.processes")

GRACE_SECONDS = 1.0
"""How much longer the parent has patience than a child, which stops by a ladder of its own."""

SETTLED_SECONDS = 30.0
"""Who has served for as long is no death in a row with the one before."""

DOUBLINGS_MAX = 5
"""How often the pause before the next try is doubled: 16 seconds in the end, by default."""

TICK_SECONDS = 0.25
"""From one turn to the next, at most, where there is something to tick."""

STOP: Message = {"asks": "stop"}
DUMP: Message = {"asks": "dump"}


class Parent:
    """Runs so many processes as the Config says. `announce` is called when all of them are ready,
    for the first time. `own` is what the parent says of itself when all are asked.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        binder: Binder,
        announce: Callable[[], None],
        own: Callable[[], Message] = dict,
    ) -> None:
        self.fleet = binder.bind(Fleet)(config.processes)
        self.inquiries = Inquiries(self.fleet, world, own)
        self._config = config
        self._world = world
        self._process_type = binder.bind(Process)
        self._announce = announce
        self._number = 0
        # By place: how many in a row have died there, and how many of them before they were ready.
        self._deaths = dict.fromkeys(self.fleet.places, 0)
        self._failures = dict.fromkeys(self.fleet.places, 0)
        self._on_stop: dict[FleetState, Callable[[], None]] = {
            FleetState.STARTING: self._drain_all,
            FleetState.SERVING: self._drain_all,
            FleetState.ROLLING: self._drain_all,
            FleetState.DRAINING: self._cut_all,
            FleetState.FAILING: self._cut_all,
        }
        self._on_failure: dict[FleetState, Callable[[Process], None]] = {
            FleetState.STARTING: self._give_up_start,
            FleetState.SERVING: self._try_again,
            FleetState.ROLLING: self._try_again,
        }
        self._on_deadline: dict[ProcessState, Callable[[Process], None]] = {
            ProcessState.PLANNED: self._spawn,
            ProcessState.STARTING: self._kill_overdue,
            ProcessState.OVERDUE: self._wait_no_longer,
            ProcessState.DRAINING: self._lose_patience,
            ProcessState.CUTTING: self._kill,
            ProcessState.KILLED: self._wait_no_longer,
        }
        self._on_word: dict[str, Callable[[Process, Message], None]] = {
            "ready": self._hear_ready,
            "stopping": self._hear_stopping,
            "failed": self._hear_last_word,
            "ended": self._hear_last_word,
            "told": self.inquiries.hear_answer,
            "wonders": self.inquiries.hear_question,
        }
        self._steps: dict[FleetState, Callable[[], None]] = {
            FleetState.STARTING: self._while_starting,
            FleetState.SERVING: self._fill,
            FleetState.ROLLING: self._while_rolling,
            FleetState.DRAINING: self._while_leaving,
            FleetState.FAILING: self._while_leaving,
            FleetState.CUTTING: self._while_leaving,
        }

    def run(self, tick: Callable[[], object] | None = None) -> int:
        """Keep the processes until all have ended; returns the exit status. `tick` is called four
        times a second, or oftener.
        """
        self.turn(())
        while self.fleet.state not in FINAL:
            until = self.until()
            if tick is not None:
                tick()
                soon = self._world.monotonic() + TICK_SECONDS
                until = soon if until is None else min(until, soon)
            self.turn(self._world.wait(until))
        if tick is not None:
            tick()
        # Who has asked meanwhile is told how it has ended.
        self.turn(self._world.wait(self._world.monotonic()))
        return self.fleet.exit_status

    # --- a turn -----------------------------------------------------------------------------

    def until(self) -> float | None:
        """When the next turn is due, if nothing happens before; None: not at all."""
        deadlines = [one.deadline for one in self.fleet.processes] + [self.inquiries.until()]
        return min((one for one in deadlines if one is not None), default=None)

    def turn(self, news: Sequence[News]) -> None:
        """Do all that the news and the time ask for."""
        for one in news:
            self._take(one)
        self._pass_time()
        self._settle()

    def _take(self, news: News) -> None:
        if isinstance(news, Asked):
            self._obey(news)
            return
        if isinstance(news, Wondered):
            self.inquiries.ask(news.question, news.then)
            return
        one = next((one for one in self.fleet.processes if one.number == news.number), None)
        if one is None:
            return  # nobody waits for it any more
        if isinstance(news, Told):
            hear = self._on_word.get(text(news.message, "says"))
            if hear is not None:
                hear(one, news.message)
        else:
            self._note_exit(one, news)

    def _obey(self, asked: Asked) -> None:
        state = self.fleet.state
        if asked is Asked.STOP and (stop := self._on_stop.get(state)):
            stop()
        elif asked is Asked.RESTART:
            if state in (FleetState.STARTING, FleetState.SERVING, FleetState.ROLLING):
                LOG.info("replacing %d processes, one after the other", self._config.processes)
                self.fleet.restart_requested()
        elif asked is Asked.DUMP:
            for one in self.fleet.processes:
                self._world.send(one.number, DUMP)

    def _pass_time(self) -> None:
        now = self._world.monotonic()
        for one in list(self.fleet.processes):
            if one.deadline is not None and one.deadline <= now and one.state not in OVER:
                self._on_deadline[one.state](one)
        self.inquiries.pass_time()

    def _settle(self) -> None:
        """Take the state's step, and the next one's, until a state lasts."""
        before = None
        while self.fleet.state is not before and self.fleet.state not in FINAL:
            before = self.fleet.state
            self._steps[before]()

    # --- what each state of the fleet makes of its processes --------------------------------

    def _while_starting(self) -> None:
        self._fill()
        if self.fleet.all_serve():
            self.fleet.all_ready()
            self._announce()

    def _while_rolling(self) -> None:
        self._fill()
        if not self.fleet.all_serve() or len(self.fleet.serving()) < len(self.fleet.processes):
            return  # somebody comes, or goes: one after the other
        old = self.fleet.old()
        if old:
            self._plan(old[0].place, 0.0)
        else:
            LOG.info("all processes have been replaced")
            self.fleet.all_replaced()

    def _while_leaving(self) -> None:
        if not self.fleet.processes:
            self.fleet.emptied()

    def _fill(self) -> None:
        """Let each place that nobody has be somebody's, at once or after a pause."""
        state = self.fleet.state
        # A process that the system does not give leaves its place vacant, or ends it all.
        while self.fleet.state is state and (vacant := self.fleet.vacant()):
            place = vacant[0]
            deaths, self._deaths[place] = self._deaths[place], self._deaths[place] + 1
            doubled = 2 ** min(deaths - 2, DOUBLINGS_MAX) if deaths > 1 else 0
            self._plan(place, self._config.restart_pause_seconds * doubled)

    def _plan(self, place: int, pause_seconds: float) -> None:
        self._number += 1
        deadline = self._world.monotonic() + pause_seconds
        one = self._process_type(self._number, place, self.fleet.generation, deadline)
        self.fleet.processes.append(one)
        if not pause_seconds:
            self._spawn(one)

    # --- one process ------------------------------------------------------------------------

    def _spawn(self, one: Process) -> None:
        try:
            self._world.spawn(one.number)
        except OSError as error:
            one.spawn_failed()
            one.last_word = {"why": f"cannot start a process: {error.strerror}"}
            self._close(one)
        else:
            # What it loads is what there is now, whatever was there when it was planned.
            one.generation = self.fleet.generation
            one.spawned()
            self._wait_for(one, self._config.start_seconds_max)

    def _hear_ready(self, one: Process, _: Message) -> None:
        if one.state is not ProcessState.STARTING:
            return  # it was told to stop meanwhile, or is overdue
        one.ready()
        one.since, one.deadline = self._world.monotonic(), None
        self._failures[one.place] = 0
        LOG.info("process %d is ready", one.number)
        self.inquiries.welcome(one)
        for other in self.fleet.serving(one.place):
            if other is not one:
                self._drain(other)

    def _hear_stopping(self, one: Process, _: Message) -> None:
        if one.state is ProcessState.SERVING:
            LOG.warning("process %d was told to stop by somebody else", one.number)
            one.stopping()
            self._wait_for_drain(one)

    def _hear_last_word(self, one: Process, message: Message) -> None:
        one.last_word = message
        self.inquiries.hear_last_word(one, message)

    def _drain(self, one: Process) -> None:
        one.drain_asked()
        self._world.send(one.number, STOP)
        self._wait_for_drain(one)

    def _wait_for_drain(self, one: Process) -> None:
        patience = self._config.lame_duck_seconds + self._config.drain_seconds_max
        self._wait_for(one, patience + GRACE_SECONDS)

    def _lose_patience(self, one: Process) -> None:
        LOG.warning("process %d does not end: cutting", one.number)
        one.drain_seconds_passed()
        self._cut(one)

    def _cut(self, one: Process) -> None:
        self._world.send(one.number, STOP)
        self._wait_for(one, self._config.cut_seconds_max + self._config.kill_seconds_max)

    def _kill(self, one: Process) -> None:
        LOG.error("process %d does not end: it is killed", one.number)
        one.kill_seconds_passed()
        self._world.kill(one.number)
        self._wait_for(one, self._config.kill_seconds_max)

    def _kill_overdue(self, one: Process) -> None:
        one.start_seconds_passed()
        seconds = self._config.start_seconds_max
        one.last_word = {"why": f"process {one.number} was not ready after {seconds:g} seconds"}
        self._world.kill(one.number)
        self._wait_for(one, self._config.kill_seconds_max)

    def _wait_no_longer(self, one: Process) -> None:
        LOG.error("process %d was killed, and is still there", one.number)
        one.kill_seconds_passed()
        self._close(one)

    def _wait_for(self, one: Process, seconds: float) -> None:
        one.deadline = self._world.monotonic() + seconds

    def _note_exit(self, one: Process, news: Exited) -> None:
        one.exit_status = news.status
        one.exited()
        if one.state is ProcessState.CRASHED:
            LOG.error("process %d %s, without a word", one.number, ended(news.status))
        self._close(one)

    def _close(self, one: Process) -> None:
        """It is over: what is left of it goes to the account, and its place may be vacant."""
        self.fleet.close(one, Total.of(self._world.counts(one.number)))
        self.inquiries.close(one)
        self._world.forget(one.number)
        lasted = one.since is not None and self._world.monotonic() - one.since >= SETTLED_SECONDS
        if lasted and not self.fleet.serving(one.place):
            self._deaths[one.place] = 1
        if one.state is ProcessState.FAILED:
            self._failures[one.place] += 1
            if note := self._on_failure.get(self.fleet.state):
                note(one)

    # --- starts that fail -------------------------------------------------------------------

    def _give_up_start(self, one: Process) -> None:
        self.fleet.start_failed()
        self._fail(one.failure)

    def _try_again(self, one: Process) -> None:
        (status, why), tries = one.failure, self._failures[one.place]
        if self.fleet.serving(one.place):
            LOG.error("the old processes serve on, the new one failed: %s", why)
            self._failures[one.place] = 0
            if self.fleet.state is FleetState.ROLLING:
                self.fleet.replacement_failed()
        elif tries >= self._config.start_tries_max:
            self.fleet.tries_ran_out()
            self._fail((status, f"{tries} processes in a row failed at their start: {why}"))
        else:
            LOG.error("try %d of %d: %s", tries, self._config.start_tries_max, why)

    def _fail(self, failure: tuple[int, str]) -> None:
        self.fleet.failure = failure
        self._leave()

    # --- the way down -----------------------------------------------------------------------

    def _drain_all(self) -> None:
        LOG.info("draining %d processes", len(self.fleet.processes))
        self.fleet.stop_requested()
        self._leave()

    def _leave(self) -> None:
        """Let everybody go. The children hold the socket: the last of them to close it ends it."""
        for one in list(self.fleet.processes):
            if one.state is ProcessState.PLANNED:
                one.called_off()
                self._close(one)
            elif one.state in (ProcessState.STARTING, ProcessState.SERVING):
                self._drain(one)
        self._world.stop_listening()

    def _cut_all(self) -> None:
        LOG.warning("a second stop was requested: cutting off what is left")
        self.fleet.force_requested()
        for one in self.fleet.processes:
            if one.state is ProcessState.DRAINING:
                one.force_asked()
                self._cut(one)
