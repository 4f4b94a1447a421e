"""Rows of signals: is what was accepted answered, and does the server say so?"""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass, field

from benchmarks.gauntlet.crowd import Client, Phase, get
from benchmarks.gauntlet.process import Process
from benchmarks.gauntlet.row import Arena, Question, Result, Verdict, judged, row, wait_for

REQUESTS = 12
DRAIN_SECONDS_MAX = 20.0
KEPT_ALIVE = 8
NEWCOMER_SECONDS = 0.02
ROUND_SECONDS_MAX = 15.0
FORCED_SECONDS_MAX = 5.0


def _shutdown(arena: Arena, process: Process, seconds_max: float) -> str:
    """Waits for the end: what is wrong with it, in a few words; nothing if all is well."""
    if not wait_for(lambda: process.ended, seconds_max):
        return "did not end"
    if not arena.contender.keeps_a_ledger:
        return ""
    ledger = process.ledger()
    if ledger is None:
        return f"exit status {process.exit_status}, no ledger"
    if not ledger.balances:
        return f"ledger does not balance: {ledger}"
    return "" if process.exit_status == 0 else f"exit status {process.exit_status}"


def _drain(arena: Arena, number: signal.Signals) -> tuple[Result, ...]:
    with arena.serve() as (process, crowd):
        clients = crowd.gather(REQUESTS, lambda: crowd.ask(get("/slow?seconds=1")))
        crowd.run(0.5)
        process.signal(number)
        crowd.run(DRAIN_SECONDS_MAX, until=lambda: all(one.over for one in clients))
        answered = sum(1 for one in clients if one.status == 200)
        crowd.leave()
        wrong = _shutdown(arena, process, DRAIN_SECONDS_MAX)
        status = process.exit_status
    text = f"{answered} of {REQUESTS}" + (f", {wrong}" if wrong else "")
    figures = {"answered": answered, "exit_status": "none" if status is None else status}
    return judged(answered == REQUESTS and not wrong, text, **figures)


@row(
    Question(
        "sigterm",
        "SIGTERM with 12 one-second requests in (4 running, 8 queued): answered",
        "12 answered 200, and it ends; Interlock: status 0 and the ledger balances",
    )
)
def sigterm(arena: Arena) -> tuple[Result, ...]:
    """What a deployment sends."""
    return _drain(arena, signal.SIGTERM)


@row(Question("sigint", "SIGINT, the same", "the same"))
def sigint(arena: Arena) -> tuple[Result, ...]:
    """What Ctrl-C sends, to the one process that was started."""
    return _drain(arena, signal.SIGINT)


@row(
    Question(
        "second-signal",
        "SIGTERM with 4 stuck requests in, and a second one after 1 s",
        "it ends in 5 s; Interlock: status 1, and the ledger has 4 as forced",
    )
)
def second_signal(arena: Arena) -> tuple[Result, ...]:
    """Who signals twice means it."""
    with arena.serve() as (process, crowd):
        for _ in range(4):
            crowd.ask(get("/stuck"))
        crowd.run(0.5)
        process.signal(signal.SIGTERM)
        crowd.run(1.0)
        began = crowd.now()
        if not process.ended:
            process.signal(signal.SIGTERM)
        ended = wait_for(lambda: process.ended, FORCED_SECONDS_MAX)
        seconds = crowd.now() - began
        text = f"{seconds:.1f} s" if ended else f"not in {FORCED_SECONDS_MAX:.0f} s"
        passed = ended
        if arena.contender.keeps_a_ledger:
            ledger = process.ledger()
            passed = process.exit_status == 1 and ledger is not None and ledger.forced == 4
            text += f", status {process.exit_status}, ledger {ledger}"
    return judged(passed, text, seconds=seconds)


@row(
    Question(
        "late-request",
        "SIGTERM while one request runs; 0.2 s later a kept-alive connection asks once more",
        "answered 200, and told Connection: close",
    )
)
def late_request(arena: Arena) -> tuple[Result, ...]:
    """A request that was on its way when the server was told to stop."""
    with arena.serve() as (process, crowd):
        kept = crowd.ask(get("/"))
        crowd.run(2.0, until=lambda: kept.over)
        crowd.ask(get("/slow?seconds=1"))
        crowd.run(0.3)
        process.signal(signal.SIGTERM)
        crowd.run(0.2)
        if not kept.open:
            return judged(False, "connection closed at once")
        kept.ask_again(get("/"))
        crowd.run(5.0, until=lambda: kept.over)
    if kept.status != 200:
        return judged(False, "cut off" if kept.over else "not answered")
    if kept.answer.persists:
        return judged(False, "answered, and kept alive")
    return judged(True, "answered, and told")


@dataclass
class _Moment:
    """One try of the row below, as its clients saw it."""

    random: random.Random
    signal_at: float = float("inf")
    clients: list[Client] = field(default_factory=list)
    whole: int = 0
    lost: int = 0
    lost_later: int = 0

    def settle(self, client: Client) -> None:
        """Counts a request that is over."""
        if client.phase is Phase.ANSWERED:
            self.whole += 1
        elif client.sent_at is not None and client.sent_at < self.signal_at:
            self.lost += 1
        elif client.sent_at is not None:
            self.lost_later += 1

    def request(self) -> bytes:
        """Mostly short ones, and some that keep all threads busy."""
        return get("/slow?seconds=0.03" if self.random.random() < 0.5 else "/")

    def turn(self) -> None:
        """Those that were answered ask again, where they may; those that are over are counted."""
        for client in list(self.clients):
            if not client.over:
                continue
            self.settle(client)
            asks = client.phase is Phase.ANSWERED and client.answer.persists and client.open
            if asks and client in self.clients[:KEPT_ALIVE]:
                client.ask_again(self.request())
            else:
                client.leave()
                self.clients.remove(client)


def _try(arena: Arena, chance: random.Random) -> tuple[_Moment, str]:
    """One server, one load, one signal: what the clients saw, and what was wrong with the end."""
    moment = _Moment(chance)
    with arena.serve() as (process, crowd):
        moment.clients += [crowd.ask(moment.request()) for _ in range(KEPT_ALIVE)]
        due = crowd.now() + chance.uniform(0.05, 1.0)
        while crowd.now() < due:
            moment.clients.append(crowd.ask(moment.request()))
            crowd.run(NEWCOMER_SECONDS)
            moment.turn()
        process.signal(signal.SIGTERM)
        moment.signal_at = crowd.now()
        end = crowd.now() + ROUND_SECONDS_MAX
        while moment.clients and crowd.now() < end:
            crowd.run(NEWCOMER_SECONDS)
            moment.turn()
        moment.lost += len(moment.clients)
        crowd.leave()
        wrong = _shutdown(arena, process, DRAIN_SECONDS_MAX)
        ledger = process.ledger()
        if ledger is not None and not wrong and ledger.answered + ledger.shed < moment.whole:
            wrong = f"clients have {moment.whole} answers, the ledger {ledger}"
    return moment, wrong


@row(
    Question(
        "moments",
        "SIGTERM at a random moment of a load, again and again: requests lost",
        "none that was sent before the signal, and it ends; Interlock: ledger, status 0",
    )
)
def moments(arena: Arena) -> tuple[Result, ...]:
    """Ten tries by default, `--tries` for more."""
    chance = random.Random(arena.options.seed)
    tries = [_try(arena, chance) for _ in range(arena.options.tries)]
    whole, lost, later = (
        sum(getattr(one, name) for one, _ in tries) for name in ("whole", "lost", "lost_later")
    )
    wrongs = [wrong for _, wrong in tries if wrong]
    text = f"{lost} lost, {whole} answered in {len(tries)} tries"
    text += f", {later} late ones cut" if later else ""
    text += f"; {len(wrongs)} times {wrongs[0]}" if wrongs else ""
    verdict = Verdict.PASS if not lost and not wrongs else Verdict.FAIL
    figures = {"lost": lost, "answered": whole, "late_cut": later, "tries": len(tries)}
    return (Result(verdict, text, {**figures, "seed": arena.options.seed}),)
