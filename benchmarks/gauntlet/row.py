"""What a row is: a question, how it is judged, and an arena in which it is asked."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from benchmarks.gauntlet.contenders import Contender
from benchmarks.gauntlet.crowd import Client, Crowd, get
from benchmarks.gauntlet.process import Ledger, NotStarted, Process

PATIENCE_SECONDS = 5.0
"""How long a healthy client waits for a short answer. Wide: the machine may be shared."""
FAREWELL_SECONDS = 3.0
CUT_SECONDS = 6.0


class Verdict(Enum):
    """What became of a row."""

    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True)
class Result:
    """A verdict, a few words for the table, and the figures for the JSON."""

    verdict: Verdict
    text: str
    figures: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """One line of the table. `judged` says what passes."""

    name: str
    asks: str
    judged: str


@dataclass(frozen=True)
class Options:
    """What the command line says to the rows."""

    tries: int = 10
    big: str = "bytes"
    seed: int = 1


class Arena:
    """A contender, and servers of it with a crowd before each."""

    def __init__(self, contender: Contender, options: Options) -> None:
        self.contender = contender
        self.options = options
        self.ledgers: list[Ledger | None] = []

    @contextmanager
    def serve(self) -> Iterator[tuple[Process, Crowd]]:
        """A fresh server and its clients. At the end a server that keeps a ledger is asked for it.

        Raises NotStarted.
        """
        with Process(self.contender) as process:
            crowd = Crowd(process.port)
            try:
                yield process, crowd
            finally:
                crowd.close()
                if self.contender.keeps_a_ledger:
                    _stop(process)
                    self.ledgers.append(process.ledger())


def _stop(process: Process) -> None:
    """Asks it to stop, then to be cut: both signals, so that a stuck handler does not hold us."""
    for seconds in (FAREWELL_SECONDS, CUT_SECONDS):
        if process.ended:
            return
        process.signal(signal.SIGTERM)
        wait_for(lambda: process.ended, seconds)


def wait_for(condition: Callable[[], bool], seconds_max: float) -> bool:
    """Whether it came true in time. For what no socket tells; clients stand still meanwhile."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


Run = Callable[[Arena], tuple[Result, ...]]


@dataclass(frozen=True)
class Row:
    """Questions that one run answers: `run` returns a result for each of them.

    `clients` is how many descriptors the run needs at once, here and in the server.
    """

    questions: tuple[Question, ...]
    run: Callable[[Arena], tuple[Result, ...]]
    clients: int = 0

    @property
    def name(self) -> str:
        """The first question's: by it the row is chosen."""
        return self.questions[0].name

    def ask(self, contender: Contender, options: Options, descriptors_max: int) -> list[Result]:
        """Runs it: one result a question, whatever happens to the server."""
        if contender.version() is None:
            reason = f"{contender.name} is not installed"
            return self._same(Verdict.NOT_APPLICABLE, f"n/a: {reason}")
        if self.clients + 200 > descriptors_max:
            reason = f"needs {self.clients + 200} descriptors, the limit is {descriptors_max}"
            return self._same(Verdict.NOT_APPLICABLE, f"n/a: {reason}")
        arena = Arena(contender, options)
        try:
            results = self.run(arena)
        except NotStarted as error:
            return self._same(Verdict.FAIL, str(error))
        return [_with_ledgers(result, arena.ledgers) for result in results]

    def _same(self, verdict: Verdict, text: str) -> list[Result]:
        return [Result(verdict, text) for _ in self.questions]


def _with_ledgers(result: Result, ledgers: list[Ledger | None]) -> Result:
    """The ledger belongs to every row: one that is missing, or does not balance, fails it."""
    if not ledgers:
        return result
    figures = result.figures | {"ledger": str(ledgers[-1])}
    for ledger in ledgers:
        if ledger is None:
            return Result(Verdict.FAIL, f"{result.text}; no ledger at its end", figures)
        if not ledger.balances:
            text = f"{result.text}; ledger does not balance: {ledger}"
            return Result(Verdict.FAIL, text, figures)
    return Result(result.verdict, result.text, figures)


def row(*questions: Question, clients: int = 0) -> Callable[[Run], Row]:
    """Makes a row of the function that runs it."""
    return lambda run: Row(questions, run, clients)


def judged(passed: bool, text: str, **figures: float | str) -> tuple[Result, ...]:
    """The results of a row with one question."""
    return (Result(Verdict.PASS if passed else Verdict.FAIL, text, figures),)


def healthy(crowd: Crowd, patience_seconds: float | None = None) -> Client:
    """A client as most are: connects, asks for a short page, and waits for PATIENCE_SECONDS.

    It leaves before this returns, so that it is not one of the load.
    """
    client = crowd.ask(get("/", "Connection: close"))
    patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    crowd.run(patience, until=lambda: client.over)
    client.leave()
    return client


def told(client: Client) -> str:
    """In a few words, what a healthy client got."""
    if client.status == 200:
        return f"{client.took:.2f} s"
    if client.status:
        return f"answered {client.status}"
    if client.phase.value == "cut":
        return "cut off"
    return f"not in {client.took:.0f} s"
