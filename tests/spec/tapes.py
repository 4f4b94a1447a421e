"""Traces for tests: made of real bound objects, and forged in every way that a trace can be."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from statemachine import Binder, Engine, chunks, lines, load_system
from statemachine.ground import Ground
from statemachine.model import BIRTH_STEP
from statemachine.noting import Log, Row, numbered, rows
from statemachine.replay import Replay
from statemachine.replaying import judged, opened
from statemachine.tracefile import Ending, Header, Trace, digest
from tests.engine.test_door import fake

SYSTEM = load_system()
GROUND = Ground(SYSTEM)
NUMBERS = numbered(SYSTEM.arrows)
IDS = list(SYSTEM.arrows)
WALKERS = ("connection", "request", "chunked", "response", "pipe", "subscription", "listener")
"""Machines without joint steps: their objects may go any way that the table has."""


@dataclass(frozen=True)
class Tape:
    """What a file will hold."""

    header: Header
    rows: tuple[Row, ...]
    ending: Ending | None

    def without(self, index: int) -> Tape:
        return self.having([*self.rows[:index], *self.rows[index + 1 :]])

    def having(self, rows: Sequence[Row]) -> Tape:
        """Other rows, as many as the writer says, by its own counts what it always said."""
        ending = self.ending and self.ending._replace(rows=len(rows))
        return replace(self, rows=tuple(rows), ending=ending)

    def binary(self) -> bytes:
        end = chunks.end(self.ending) if self.ending else b""
        names = chunks.thread_names({1: "reactor", 2: "worker_0"})
        return chunks.head(self.header) + names + chunks.events(0, self.rows) + end

    def text(self) -> str:
        end = lines.end(self.ending) if self.ending else ""
        names = {1: "reactor", 2: "worker_0"}
        told = lines.events(SYSTEM, 0, self.rows, names)
        return lines.head(self.header) + lines.thread_names(names) + told + end

    def judged(self) -> Replay:
        """Judged without a file. Raises IllegalTrace."""
        blocks: Iterator[tuple[int, Sequence[Row]]] = iter([(0, self.rows)])
        return judged(GROUND, Trace(Path("tape"), self.header, blocks, ending=self.ending))


def header(*, whole: bool = True) -> Header:
    return Header(digest(SYSTEM), tuple(SYSTEM.arrows), whole, {"why": "a test"})


def code(birth: int, arrow: str) -> int:
    return birth * BIRTH_STEP + NUMBERS[arrow]


def tape(*steps: tuple[int, str], whole: bool = True, ended: bool = True) -> Tape:
    """A tape of steps: which object took which arrow, a second after the other, on thread 1."""
    found = tuple((code(birth, arrow), 1, float(n)) for n, (birth, arrow) in enumerate(steps))
    taken = dict(Counter(arrow for _, arrow in steps)) if whole else None
    ending = Ending(len(found), taken) if ended else None
    return Tape(header(whole=whole), found, ending)


def recorded(seed: int, engine: Engine = "sealed", laps: int = 45) -> Tape:
    """What real objects of all machines did, on two threads by name, at any time."""
    noted: deque[Any] = deque()
    now, thread = [0.0], [1]

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    log = Log(noted.append, NUMBERS, (lambda: thread[0], tick))
    counts = Counter[str]()
    tallies = {one: (lambda one=one: counts.update([one])) for one in SYSTEM.arrows}
    binder = Binder(SYSTEM, engine=engine, log=log, tallies=tallies)
    crowd = _Crowd(binder, random.Random(seed))
    for _ in range(laps):
        thread[0] = crowd.chance.choice([1, 2])
        crowd.chance.choice([crowd.walk, crowd.walk, crowd.work])()
    crowd.end()
    found = tuple(rows(noted))
    return Tape(header(), found, Ending(len(found), dict(counts), crowd.living()))


class _Crowd:
    """Objects that live, and what they do next by chance."""

    def __init__(self, binder: Binder, chance: random.Random) -> None:
        self.chance = chance
        self.classes = {name: binder.bind(fake(name)) for name in SYSTEM.machines}
        self.walking = [self._new(chance.choice(WALKERS)) for _ in range(6)]
        self.moved: dict[int, Any] = {}
        self.workers = [self._new("worker") for _ in range(2)]
        self.pool = self._new("pool")
        self.queue: list[Any] = []
        self.owned: dict[int, Any] = {}
        for worker in self.workers:
            self._fire(worker, "W1")

    def _new(self, name: str) -> Any:
        model = self.classes[name]()
        model.calls, model.answers = [], {}
        return model

    def _fire(self, model: Any, name: str) -> None:
        arrow, words = SYSTEM.arrows[name], SYSTEM.vocabulary.guards
        if arrow.when:
            model.answers[words[arrow.when].python] = True
        if arrow.unless:
            model.answers[words[arrow.unless].python] = False
        getattr(model, arrow.event)()
        self.moved[model.birth] = model
        assert model.state.name == arrow.target

    def walk(self) -> None:
        """One of those who may go any way takes an arrow, or a new one comes in its place."""
        place = self.chance.randrange(len(self.walking))
        model = self.walking[place]
        arrows = SYSTEM.machines[model.machine_name].arrows_from(model.state.name)
        if arrows:
            self._fire(model, self.chance.choice(arrows).id)
        else:
            self.walking[place] = self._new(self.chance.choice(WALKERS))

    def work(self) -> None:
        """A job comes, or a worker takes or ends one, by a joint step."""
        worker = self.chance.choice(self.workers)
        job = self.owned.pop(worker.birth, None)
        if job is not None:
            steps = [(job, self.chance.choice(["J5", "J6"])), (worker, "W7")]
            for model, arrow in self.chance.sample(steps, 2):
                self._fire(model, arrow)
        elif self.queue:
            job = self.owned[worker.birth] = self.queue.pop(0)
            self._fire(worker, "W4")
            self._fire(job, "J3")
        else:
            self.queue.append(self._new("job"))
            self._fire(self.queue[-1], "J1")

    def end(self) -> None:
        while self.queue or self.owned:
            self.work()
        for worker in self.workers:
            self._fire(worker, "W5")
        self._fire(self.pool, "P1")
        self._fire(self.pool, "P4")

    def living(self) -> dict[str, int]:
        """What a process would know of those that must not be left behind."""
        found = Counter(dict.fromkeys(SYSTEM.machines, 0))
        for one in self.moved.values():
            spec = SYSTEM.machines[one.machine_name]
            found[spec.name] += one.state.name not in spec.final
        return dict(found)


def replayed(file: Path) -> tuple[Trace, Replay]:
    """A file, judged."""
    with opened(SYSTEM, file) as trace:
        return trace, judged(GROUND, trace)
