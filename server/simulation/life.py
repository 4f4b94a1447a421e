"""One life: a whole server, from its start to its exit status, between clients that are played and
a world that fails, in virtual time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from wsgiref.types import WSGIApplication

from server.app.wsgi import wsgi
from server.config import Config
from server.errors import StartError
from server.events import Hub
from server.http1.writer import chunk
from server.ledger import Account
from server.net.baton import QUICK_JOBS
from server.net.connection import Connection
from server.server import Server, sound_system
from server.simulation.application import Knot, Stage, application, native
from server.simulation.carrier import Carrier
from server.simulation.ear import Ear, Line
from server.simulation.failures import CarrierError
from server.simulation.fate import ENOUGH, Fate
from server.simulation.guest import Guest
from server.simulation.judge import Judge, Record, book_of, taken
from server.simulation.kernel import End
from server.simulation.plan import START_FAULTS, Deed, Plan
from server.simulation.primitives import Task
from server.simulation.settings import setting
from server.simulation.stopwatch import Stopwatch
from server.simulation.street import Street
from server.simulation.walks import walk_of
from statemachine import Arrow
from statemachine._generated import ServerState

STEPS_MAX: Final = 25_000
EPILOGUE_SECONDS_MAX: Final = 100.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the timeline: when, who, and what."""

    seconds: float
    who: str
    what: str


@dataclass(slots=True)
class Past:
    """What is left of a life when it has been played.

    `status` and `state` are the server's last, `account` its ledger then and `later` when even what
    was stuck had ended. `running` is who still ran at the exit.
    """

    plan: Plan
    config: Config
    judge: Judge
    street: Street
    stage: Stage
    watch: Stopwatch
    guests: list[Guest] = field(default_factory=list)
    trails: dict[End, list[str]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    done: list[Deed] = field(default_factory=list)
    status: int | None = None
    state: ServerState = ServerState.STARTING
    account: Account | None = None
    later: Account | None = None
    start_error: str = ""
    stops: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    running: list[str] = field(default_factory=list)
    held_bytes: tuple[int, int] = (0, 0)
    taken: Mapping[str, int] = field(default_factory=dict)

    def digest(self) -> str:
        """A hash of all that happened: every arrow with its time and thread, and every byte that
        was sent.
        """
        told = hashlib.sha256(repr((self.judge.steps, self.status, self.ended_at)).encode())
        for guest in self.guests:
            told.update(b"%d:%b" % (guest.said, bytes(guest.end.received)))
        return told.hexdigest()[:16]

    @property
    def causes(self) -> set[str]:
        """All that may have gone wrong in it: kinds of requests and of deeds."""
        asks = {ask.kind for one in self.plan.visitors for ask in one.asks}
        return asks | {deed.kind for deed in self.done}


class Life:
    """Plays one plan, with a WSGI application of the user's if there is one. `watched`: it writes
    the timeline. Threads: none but those it carries.
    """

    def __init__(
        self, plan: Plan, *, app: WSGIApplication | None = None, watched: bool = False
    ) -> None:
        self._plan = plan
        self._watched = watched
        self._leaving = len(plan.visitors)
        config = setting(plan.setting)
        walk = walk_of(plan.walk, plan.seed)
        self.carrier = carrier = Carrier(
            walk.choose,
            stays=walk.stays,
            steps_max=STEPS_MAX,
            points_at_release=bool(plan.points) and not plan.strikes,
        )
        # In every other life a worker that has the baton runs what it reads.
        street = Street(carrier, 0 if plan.seed % 2 else QUICK_JOBS)
        judge = Judge(book_of(sound_system), carrier)
        hub = Hub(config, frame=chunk, stamp="s", lock=carrier.Lock())
        stage = Stage(carrier, street.disk, hub, may_lose=plan.strikes)
        judge.points = frozenset(plan.points)
        judge.told, judge.tells_all = self._told, watched
        if app is None and plan.app == "native":
            handler = native(stage)
        else:
            handler = wsgi(app or application(stage), events=hub)
        self.server = Server(config, handler, hook=judge, events=hub, ground=street.ground)
        self.past = Past(plan, config, judge, street, stage, Stopwatch(config, judge))
        self._fate = Fate(self)

    # --- the play ---------------------------------------------------------------------------

    def play(self) -> Past:
        """From start to end."""
        past, carrier = self.past, self.carrier
        with Ear() as ear, carrier:
            past.lines = ear.lines
            carrier.spawn("main", self._main)
            try:
                carrier.run()
                past.running = [one.name for one in self.server_tasks() if not one.has_ended]
                # Whoever is stuck is let go: then the last thread ends, and nothing is left open.
                past.stage.released.is_open = past.stage.ended.is_open = True
                carrier.threads_left = ENOUGH
                carrier.spawn("epilogue", self._wait_for_all)
                carrier.run()
            except CarrierError as error:
                past.faults.append(str(error))
            past.faults += [
                f"left at the end: {one.describe()}"
                for one in self.server_tasks()
                if not one.has_ended
            ]
            self._take_stock()
        past.street.clear()
        return past

    def server_tasks(self) -> list[Task]:
        """The server's threads, but for the main one."""
        tasks = self.carrier.tasks
        return [one for one in tasks if one.name == "reactor" or one.name.startswith("worker_")]

    def _wait_for_all(self) -> None:
        self.carrier.point(_AllEnded(self.server_tasks()), self.carrier.now + EPILOGUE_SECONDS_MAX)

    def _main(self) -> None:
        past, carrier = self.past, self.carrier
        self._spoil_start()
        try:
            self.server.start()
        except StartError as error:
            past.start_error = str(error)
        else:
            self._open_doors()
            past.status = self.server.run()
            past.account = self.server.account
        past.state = self.server.lifecycle.state
        past.ended_at = carrier.now

    def _spoil_start(self) -> None:
        for deed in self._plan.deeds:
            if deed.kind in START_FAULTS:
                self.past.done.append(deed)
                kind, _, number = deed.kind.rpartition("_")
                if kind == "no_thread":
                    self.carrier.threads_left = int(number)
                elif number == "port":
                    self.past.street.refusal = "Address already in use"
                else:
                    self.past.street.table.most = 1

    def _open_doors(self) -> None:
        plan, carrier = self._plan, self.carrier
        carrier.threads_left = ENOUGH
        for one in plan.visitors:
            end, name = End(-1, self.past.street.disk), f"client_{one.number}"
            end.peer = ("192.0.2.7", 50_000 + one.number)
            note = functools.partial(self.note, name) if self._watched else None
            guest = Guest(one, end, carrier, note)
            self.past.guests.append(guest)
            carrier.spawn(name, functools.partial(self._visit, guest))
        for number, deed in enumerate(plan.deeds):
            if deed.kind not in START_FAULTS:
                carrier.spawn(f"fate_{number}", functools.partial(self._befall, deed), daemon=True)
        if not plan.visitors:
            self.stop()

    def _visit(self, guest: Guest) -> None:
        backlog = self.past.street.backlog
        assert backlog is not None
        guest.live(backlog)
        self._leaving -= 1
        if not self._leaving and not self.past.stops:
            self.stop()

    # --- what befalls it --------------------------------------------------------------------

    def _befall(self, deed: Deed) -> None:
        if deed.arrows:
            alarm = Knot()
            self.past.judge.alarms[deed.arrows] = functools.partial(_open, alarm)
            self.carrier.point(alarm)
        else:
            self.carrier.sleep(deed.seconds)
        self.past.done.append(deed)
        self.note("fate", str(deed))
        self._fate.do(deed)

    def stop(self) -> None:
        """What a signal's handler does."""
        self.past.stops.append(self.carrier.now)
        self.note("fate", "asks the server to stop")
        self.server.request_stop()

    # --- what is kept -----------------------------------------------------------------------

    def note(self, who: str, what: str) -> None:
        """A line of the timeline."""
        if self._watched:
            self.past.timeline.append(Entry(self.carrier.now, who, what))

    def _told(self, record: Record, arrow: Arrow) -> None:
        model = record.model
        self.past.watch.told(record, arrow, self.carrier.now, self.server.lifecycle.state)
        if isinstance(model, Connection):
            end = model.transport
            assert isinstance(end, End)
            if arrow.event == "peer_ended" and not end.seems_ended:
                self.past.faults.append(f"connection#{record.serial} {arrow}, and it has not")
            self.past.trails.setdefault(end, []).append(arrow.id)
        if self._watched:
            current = self.carrier.current
            who = "nobody" if current is None else current.name
            self.note(who, f"{arrow.machine}#{record.serial} {arrow}")

    def _take_stock(self) -> None:
        self.past.taken = taken(self.past.judge.steps)
        if self.past.account is not None:
            self.past.later = self.server.account
            self.past.held_bytes = self.server.held_bytes


def _open(knot: Knot) -> None:
    knot.is_open = True


class _AllEnded:
    """The gate of whoever waits for these."""

    def __init__(self, tasks: list[Task]) -> None:
        self._tasks = tasks

    @property
    def is_open(self) -> bool:
        return all(one.has_ended for one in self._tasks)
