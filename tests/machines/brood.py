"""A parent whose children, signals and time are the test's: what they do, they do when it says so.

Each child counts what it has accepted and settled, as a real one's board does, so that the parent's
ledger can be held against what was so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from server.config import Config
from server.ledger import Account
from server.observing import nothing
from server.ops.snapshot import Process
from server.ops.spelling import told
from server.processes.channel import Message
from server.processes.company import Company
from server.processes.fleet import FINAL
from server.processes.gathering import Gathered, Question
from server.processes.parent import Parent
from server.processes.world import Asked, Exited, News, Told, Wondered
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import FleetState
from statemachine.trace import Recorder, illegal_steps
from tests.clock import ManualClock

SETTINGS = {"drain_seconds_max": 30.0, "cut_seconds_max": 1.0, "kill_seconds_max": 5.0}


@dataclass
class FakeChild:
    """What a child is in truth, whatever its parent thinks of it."""

    generation: int
    told: list[str] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    ready: bool = False
    killed: bool = False
    gone: bool = False
    accepted: int = 0
    answered: int = 0
    accounted: bool = False
    status: int = 0

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop, and not only to dump."""
        return "stop" in self.told


class Brood:
    """The world of one parent, and the parent. `code` is what children load that start now."""

    def __init__(self, engine: Engine = "sealed", places: int = 2, **settings: object) -> None:
        self.clock = ManualClock()
        self.monotonic = self.clock.monotonic
        self.children: dict[int, FakeChild] = {}
        self.forgotten: set[int] = set()
        self.given_up: set[int] = set()
        self.barren = False
        self.code = 1
        self.listening = True
        self.announced = 0
        self.unkind: list[int] = []
        self.recorder = Recorder(threading.Lock())
        config = Config.of({**SETTINGS, "processes": places, **settings})
        binder = Binder(sound_system(), engine=engine, hook=self.recorder)
        self.gathered: list[Gathered] = []
        self.parent = Parent(config, self, binder, self._announce, self._own)
        self.fleet = self.parent.fleet
        self.parent.turn(())

    def _announce(self) -> None:
        self.announced += 1

    def _own(self) -> Message:
        process = Process(1, 1, 0.5, 0.0, None, None, None)
        return {"url": "http://x", "uptime_seconds": 1.0, "process": asdict(process), "arrows": {}}

    # --- the world --------------------------------------------------------------------------

    def spawn(self, number: int) -> None:
        assert number not in self.children
        if self.barren:
            raise OSError(11, "Resource temporarily unavailable")
        self.children[number] = FakeChild(self.code)

    def send(self, number: int, message: Message) -> None:
        child = self.children.get(number)
        if child is None:
            return  # it waits for its pause: a dump is nothing to it
        order = str(message["asks"])
        if order == "tell":
            child.asked.append(message)
            return
        if order == "hear":
            child.heard.append(message)
            return
        if order == "stop" and not child.told and self.fleet.state not in LEAVING:
            place = next(one.place for one in self.fleet.processes if one.number == number)
            if not self.fleet.serving(place):
                self.unkind.append(number)  # its place has nobody else yet
        child.told.append(order)

    def kill(self, number: int) -> None:
        self.children[number].killed = True

    def counts(self, number: int) -> Mapping[str, int]:
        assert number not in self.forgotten
        child = self.children.get(number)
        return {} if child is None else {"accepted": child.accepted, "answered": child.answered}

    def forget(self, number: int) -> None:
        self.forgotten.add(number)
        if number in self.children and not self.children[number].gone:
            self.given_up.add(number)

    def stop_listening(self) -> None:
        self.listening = False

    def wait(self, until: float | None) -> Sequence[News]:
        raise AssertionError("the test says what happens")

    # --- what children do -------------------------------------------------------------------

    def tell(self, *news: News) -> None:
        """Let the parent read its news."""
        self.parent.turn(news)

    def alive(self) -> list[int]:
        return [number for number, one in self.children.items() if not one.gone]

    def ready(self, *numbers: int) -> None:
        """These have loaded what they serve."""
        for number in numbers:
            self.children[number].ready = True
            self.tell(Told(number, {"says": "ready"}))

    def works(self, number: int, accepted: int, answered: int) -> None:
        child = self.children[number]
        child.accepted += accepted
        child.answered = min(child.answered + answered, child.accepted)

    def fails(self, number: int, why: str = "no module", status: int = 1) -> None:
        """It cannot load what it is to serve, and says so."""
        self.children[number].gone = True
        word = {"says": "failed", "status": status, "why": why}
        self.tell(Told(number, word), Exited(number, status))

    def ends(self, number: int, status: int = 0) -> None:
        """All that it has accepted is answered, and it ends with an account."""
        child = self.children[number]
        child.gone, child.answered, child.accounted = True, child.accepted, True
        child.status = status
        account = {"accepted": child.accepted, "answered": child.answered}
        word = {
            "says": "ended", "status": status, "account": account, "snapshot": self.snapshot(number)
        }  # fmt: skip
        self.tell(Told(number, word), Exited(number, status))

    def snapshot(self, number: int) -> dict[str, object]:
        """What a child says of itself now."""
        child = self.children[number]
        ledger = Account(
            accepted=child.accepted, answered=child.answered, open=child.accepted - child.answered
        )
        one = nothing(sound_system())
        return told(
            replace(
                one,
                ready=child.ready and "stop" not in child.told,
                occupancy={**one.occupancy, "readiness": {"READY": 1}},
                connections=ledger.open,
                connections_max=10,
                answers={("GET", 200): child.answered},
                latency=replace(one.latency, counts=(child.answered, *one.latency.counts[1:])),
                ledger=ledger,
            )
        )

    def answers(self, number: int, value: object = None) -> None:
        """It answers all that it was asked, with what it is, or with this."""
        child = self.children[number]
        asked, child.asked = child.asked, []
        for order in asked:
            found = {"snapshot": self.snapshot(number)} if value is None else value
            self.tell(Told(number, {"says": "told", "id": order["id"], "value": found}))

    def wonder(self, what: str = "snapshot", **argument: object) -> None:
        """Somebody asks all; what comes of it is in `gathered`."""
        self.tell(Wondered(Question(what, argument), self.gathered.append))

    def company(self) -> Company:
        """All of them, as an operator sees them."""
        return Company(
            sound_system(),
            lambda question, then: self.tell(Wondered(question, then)),
            lambda: self.fleet.state,
        )

    def dies(self, number: int, signal: int = 9) -> None:
        """It ends without a word."""
        self.children[number].gone = True
        self.tell(Exited(number, -signal))

    def stops(self, number: int) -> None:
        """Somebody else has told it to stop."""
        self.tell(Told(number, {"says": "stopping"}))

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.tell()

    # --- the end ----------------------------------------------------------------------------

    def end(self) -> None:
        """Stop, and let every child do as it is told."""
        if self.fleet.state not in FINAL | LEAVING:
            self.tell(Asked.STOP)
        for number in self.alive():
            if self.children[number].killed:
                self.dies(number)
            else:
                self.ends(number)
        assert self.fleet.state in FINAL

    @property
    def taken(self) -> list[str]:
        """The arrows so far."""
        return [step.arrow.id for step in self.recorder.steps]

    def judge(self) -> None:
        """Whether, at its end, everything was as the spec says, and every request has a term."""
        assert illegal_steps(sound_system(), self.recorder.steps) == []
        total, children = self.fleet.total, self.children.values()
        assert (total.imbalance, total.open) == (0, 0)
        assert total.accepted == sum(one.accepted for one in children)
        assert total.answered == sum(one.answered for one in children)
        lost = sum(one.accepted - one.answered for one in children)
        assert total.lost_by_crash + total.forced == lost
        assert not self.listening
        assert self.unkind == []
        assert set(self.children) <= self.forgotten


LEAVING = frozenset({FleetState.DRAINING, FleetState.FAILING, FleetState.CUTTING})


def quiet() -> logging.Logger:
    """The parent's log: children die by the thousand in a test, and each of them is told there."""
    return logging.getLogger("interlock.processes")
