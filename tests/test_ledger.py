"""The ledger: what it counts, what it says, and that it cannot be talked into balancing."""

from __future__ import annotations

import dataclasses
import logging
import random
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import get_args

import pytest

from server.config import Config
from server.ledger import COUNTS_MAX, TERMS, Account, Ledger, LockedCount
from server.lifecycle import Lifecycle
from server.server import Server
from statemachine import Binder, Engine, LedgerSpec, Model, TransitionError, load_system
from statemachine._generated import ConnectionMachine, ConnectionState, ServerState

SYSTEM = load_system()
SPEC = SYSTEM.ledger
assert SPEC is not None
SEED = 20_261_124
each_engine = pytest.mark.parametrize("engine", get_args(Engine))


class Walker(ConnectionMachine):
    """A connection without a socket. Its guards say what it was told."""

    __slots__ = ("says",)

    def __init__(self) -> None:
        super().__init__()
        self.says = True

    def request_began(self) -> bool:
        return self.says

    def answer_began(self) -> bool:
        return self.says

    def persists(self) -> bool:
        return self.says


def bound(ledger: Ledger, engine: Engine = "sealed") -> type[Walker]:
    return Binder(SYSTEM, engine=engine, tallies=ledger.tallies).bind(Walker)


def fresh() -> Ledger:
    assert SPEC is not None
    return Ledger(SPEC)


def count(ledger: Ledger, arrow: str, times: int = 1) -> None:
    """Count an arrow that no connection takes: a forged entry."""
    for _ in range(times):
        ledger.tallies[arrow]()


# --- an account --------------------------------------------------------------------------------


def account(accepted: int, answered: int = 0, left_open: int = 0, **others: int) -> Account:
    terms = {"shed": 0, "client_gone": 0, "forced": 0} | others
    return Account(accepted=accepted, answered=answered, open=left_open, **terms)


@pytest.mark.parametrize(
    ("one", "imbalance", "text"),
    [
        (account(0), 0, "accepted 0 = answered 0 + shed 0 + client-gone 0 + forced 0"),
        (
            account(15, 5, shed=1, client_gone=2, forced=3, left_open=4),
            0,
            "accepted 15 = answered 5 + shed 1 + client-gone 2 + forced 3 + open 4",
        ),
        (
            account(9, 5, shed=1),
            3,
            "accepted 9 = answered 5 + shed 1 + client-gone 0 + forced 0 + missing 3",
        ),
        (
            account(5, 5, client_gone=1, left_open=1),
            -2,
            (
                "accepted 5 = answered 5 + shed 0 + client-gone 1 + forced 0 + open 1"
                " - counted twice 2"
            ),
        ),
    ],
)
def test_an_account_is_told_as_an_equation_that_is_true(
    one: Account, imbalance: int, text: str
) -> None:
    assert one.imbalance == imbalance
    assert str(one) == f"ledger: {text}"
    told = text.replace("client-gone", "gone").replace("counted twice", "twice").split()
    numbers = [int(word) for word in told if word.isdecimal()]
    signs = [-1 if word == "-" else 1 for word in told if word in ("=", "+", "-")]
    assert numbers[0] == sum(sign * n for sign, n in zip(signs, numbers[1:], strict=True))


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_on_one_side(term: str) -> None:
    assert account(1, **{term: 1}).imbalance == 0
    assert account(0, **{term: 1}).imbalance == -1


# --- the terms are the spec's ------------------------------------------------------------------


def test_the_spec_has_the_account_s_terms() -> None:
    assert SPEC is not None
    assert set(SPEC.settled) == set(TERMS)
    assert fresh().account() == account(0)


@pytest.mark.parametrize("terms", [{}, {"answered"}, {*TERMS, "forgotten"}])
def test_a_spec_with_other_terms_is_refused(terms: set[str]) -> None:
    spec = LedgerSpec("connection", ("QUEUED",), ("C1",), dict.fromkeys(terms, ()))
    with pytest.raises(ValueError, match=r"^the ledger's terms are \[.*\], expected \('answered'"):
        Ledger(spec)


def test_each_arrow_is_counted_under_its_term_and_no_other() -> None:
    assert SPEC is not None
    assert fresh().tallies.keys() == set(SPEC.arrows)
    terms = {arrow: term for term, arrows in SPEC.settled.items() for arrow in arrows}
    for arrow in SPEC.arrows:
        ledger = fresh()
        count(ledger, arrow, 3)
        expected = dataclasses.replace(account(0), **{terms.get(arrow, "accepted"): 3})
        assert ledger.account() == ledger.account() == expected, "reading advances no count"


@pytest.mark.parametrize("locked", [False, True], ids=["one-step", "locked"])
def test_no_count_is_lost_between_threads(locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the interpreter's lock and, as far as this interpreter can show it, without."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: not locked, raising=False)
    ledger = fresh()
    together = threading.Barrier(4)

    def walk() -> None:
        tally = ledger.tallies["C1"]
        together.wait()
        for _ in range(5_000):
            tally()
        steps = tally.__self__  # type: ignore[attr-defined]
        assert isinstance(steps, LockedCount) is locked
        for _ in zip(range(5_000), steps, strict=False):
            pass

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.account().accepted == 4 * 10_000
    assert ledger.taken()["C1"] == 4 * 10_000


def test_an_open_entry_is_seen_by_the_connection_s_own_state() -> None:
    assert SPEC is not None
    ledger, connections = fresh(), list[Model]()
    for state in ConnectionState:
        walker = Walker()
        walker.state = state
        connections.append(walker)
        assert ledger.left_open([walker]) == (state.name in SPEC.open)
    assert ledger.left_open(connections) == len(SPEC.open)
    assert ledger.left_open([]) == 0
    assert ledger.account(3) == account(0, left_open=3)


# --- it balances, whatever connections do ------------------------------------------------------


@each_engine
@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_it_balances_after_every_event(seed: int, engine: Engine) -> None:
    """Random lives of ten connections, with illegal events among them."""
    print(f"seed {seed}")
    chance, ledger = random.Random(seed), fresh()
    kind = bound(ledger, engine)
    walkers = [kind() for _ in range(10)]
    spec, refused = SYSTEM.machines["connection"], 0
    for _ in range(1_000):
        number = chance.randrange(len(walkers))
        walker = walkers[number]
        walker.says = chance.random() < 0.5
        possible = [arrow.event for arrow in spec.arrows_from(walker.state.name)]
        try:
            getattr(walker, chance.choice([*possible, *chance.choices(spec.events, k=3)]))()
        except TransitionError:
            refused += 1
        if walker.state is ConnectionState.CLOSED:
            walkers[number] = kind()
        found = ledger.account(ledger.left_open(walkers))
        assert found.imbalance == 0, found
        assert ledger.live(walkers) == found
    assert refused > 100
    assert found.accepted > 20
    assert all(getattr(found, term) for term in TERMS), found


THREADS = 4
ROUNDS: dict[Engine, int] = {"sealed": 50_000, "stock": 2_500}
"""Requests a thread; the stock engine takes a hundred times as long for one."""


@each_engine
def test_threads_lose_no_count(engine: Engine) -> None:
    """Each thread moves a connection of its own, and takes each of its arrows as often."""
    ledger, rounds = fresh(), ROUNDS[engine]
    kind = bound(ledger, engine)
    walkers = [kind() for _ in range(THREADS)]
    together = threading.Barrier(THREADS + 1)
    done: list[int] = []

    def serve(walker: Walker) -> None:
        received, taken, sent = walker.request_received, walker.taken, walker.response_sent
        together.wait(30)
        for _ in range(rounds):
            received()
            taken()
            sent()
        done.append(rounds)

    threads = [threading.Thread(target=serve, args=(walker,)) for walker in walkers]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        together.wait(30)
        seen = list(watch(ledger, walkers, threads))
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert done == [rounds] * THREADS
    whole = THREADS * rounds
    assert ledger.account() == ledger.live(walkers) == account(whole, whole)
    assert seen, "nobody read while they ran"
    for one, next_one in pairwise(seen):
        assert next_one.accepted >= one.accepted
        assert next_one.answered >= one.answered


def watch(
    ledger: Ledger, walkers: Collection[Model], threads: Collection[threading.Thread]
) -> Iterator[Account]:
    """What a reader sees while the threads run."""
    while any(thread.is_alive() for thread in threads):
        plain, live = ledger.account(), ledger.live(walkers)
        assert plain.imbalance >= 0, f"settled before it was accepted: {plain}"
        assert live.imbalance == 0, live
        # Each thread has one request at most; others come and go while the counts are read.
        assert live.open >= 0
        yield live


# --- counting while they move ------------------------------------------------------------------


class Moving(Collection[Model]):
    """Connections that something happens to whenever they are looked through."""

    def __init__(self, *connections: Model, meanwhile: Callable[[], object]) -> None:
        self.connections = connections
        self.meanwhile = meanwhile
        self.looks = 0

    def __len__(self) -> int:
        return len(self.connections)

    def __contains__(self, one: object) -> bool:
        return one in self.connections

    def __iter__(self) -> Iterator[Model]:
        self.looks += 1
        found = [*self.connections]
        self.meanwhile()
        return iter(found)


@pytest.mark.parametrize("others", [0, 1])
def test_who_comes_while_it_is_counted_is_not_missing(others: int) -> None:
    """After the first look at the connections, and before the counts are read, one more comes."""
    ledger = fresh()
    kind = bound(ledger)
    present, late = [kind() for _ in range(others)], kind()
    for one in present:
        one.request_received()

    def come() -> None:
        if connections.looks == 1:
            late.request_received()
            connections.connections = (*present, late)

    connections = Moving(*present, meanwhile=come)
    assert ledger.live(connections) == account(others + 1, left_open=others + 1)
    assert connections.looks == 2


def test_under_a_load_that_never_rests_what_is_open_is_inferred() -> None:
    ledger = fresh()
    walker = bound(ledger)()
    connections = Moving(walker, meanwhile=lambda: count(ledger, "C1"))
    assert ledger.live(connections) == account(COUNTS_MAX, left_open=COUNTS_MAX)
    assert connections.looks == COUNTS_MAX


def test_a_request_that_is_missing_is_told_where_no_connection_is_left() -> None:
    ledger = fresh()
    count(ledger, "C1", 3)
    count(ledger, "C11", 2)
    assert ledger.live([]) == account(3, 2)
    assert ledger.live([]).imbalance == 1


def test_a_request_that_is_counted_twice_is_told() -> None:
    ledger = fresh()
    walker = bound(ledger)()
    walker.request_received()
    walker.cut()
    count(ledger, "C10")
    for connections in ([], [bound(ledger)()]):
        assert ledger.live(connections) == account(1, forced=2)
        assert ledger.live(connections).imbalance == -1


# --- the end -----------------------------------------------------------------------------------


@each_engine
@pytest.mark.parametrize(
    ("is_settled", "final"), [(True, ServerState.STOPPED), (False, ServerState.UNBALANCED)]
)
def test_the_end_of_a_drain_depends_on_it(
    is_settled: bool, final: ServerState, engine: Engine
) -> None:
    lifecycle = Binder(SYSTEM, engine=engine).bind(Lifecycle)(lambda: is_settled)
    lifecycle.started()
    lifecycle.stop_requested()
    lifecycle.lame_duck_seconds_passed()
    lifecycle.drained()
    assert lifecycle.state is final


@each_engine
@pytest.mark.parametrize(
    ("forged", "status", "told"),
    [
        ({}, 0, ""),
        ({"C1": 1, "C9": 1}, 0, ""),
        ({"C1": 2, "C9": 1}, 3, "by 1: ledger: accepted 2 = answered 0 + shed 1"),
        ({"C9": 1}, 3, "by -1: ledger: accepted 0 = answered 0 + shed 1"),
    ],
)
def test_a_server_whose_ledger_does_not_balance_exits_with_3(
    forged: dict[str, int], status: int, told: str, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(port=0, threads=1, engine=engine, lame_duck_seconds=0.0)
    server = Server(config)
    server.start()
    for arrow, times in forged.items():
        count(server._ledger, arrow, times)
    assert server.stop() == status
    loud = [one.getMessage() for one in caplog.records if one.levelno >= logging.CRITICAL]
    assert len(loud) == bool(told)
    assert all(told in line for line in loud)
    assert server.account.imbalance == forged.get("C1", 0) - forged.get("C9", 0)
