"""Rows against real processes: one that passes, one that fails, and what cannot be run."""

from __future__ import annotations

import contextlib
import signal
import socket
from dataclasses import replace

import pytest

from benchmarks.gauntlet import overload, row, slow_peers
from benchmarks.gauntlet.contenders import CONTENDERS, Contender
from benchmarks.gauntlet.crowd import Crowd, get
from benchmarks.gauntlet.process import Ledger, Process, _stat, holds
from benchmarks.gauntlet.row import Options, Result, Verdict, wait_for

INTERLOCK = replace(CONTENDERS[0], package="pytest")
"""Run as a peer is: the rows are what is tested here, not the ledger."""
ONE_THREAD = Contender("one thread", "pytest", lambda p: ["tests.gauntlet.one_thread", str(p)])
BROKEN = Contender("broken", "pytest", lambda _: ["no_such_module_anywhere"])
ABSENT = Contender("absent", "no-such-package-anywhere", lambda _: [])
DESCRIPTORS = 1024


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(slow_peers, "RUN_UP_SECONDS", 0.2)
    monkeypatch.setattr(overload, "STUCK_SECONDS", 0.2)


def asked(one: row.Row, contender: Contender) -> Result:
    (result,) = one.ask(contender, Options(), DESCRIPTORS)
    return result


def test_a_row_passes_who_serves_a_healthy_client() -> None:
    result = asked(slow_peers.slow_heads[0], INTERLOCK)
    assert (result.verdict, result.figures["status"]) == (Verdict.PASS, 200), result.text


def test_a_row_fails_who_does_not() -> None:
    result = asked(slow_peers.slow_heads[0], ONE_THREAD)
    assert (result.verdict, result.text) == (Verdict.FAIL, "not in 1 s")
    assert asked(overload.stuck, ONE_THREAD).text == "not in 1 s"


def test_a_server_that_does_not_start_fails() -> None:
    result = asked(overload.stuck, BROKEN)
    assert result.verdict is Verdict.FAIL
    assert "no_such_module_anywhere" in result.text


def test_what_cannot_be_run_says_why() -> None:
    assert asked(overload.stuck, ABSENT) == Result(
        Verdict.NOT_APPLICABLE, "n/a: absent is not installed"
    )
    many = slow_peers.slow_heads[2].ask(INTERLOCK, Options(), DESCRIPTORS)
    assert [one.text for one in many] == ["n/a: needs 1200 descriptors, the limit is 1024"]


def test_a_process_is_seen_and_is_gone() -> None:
    with Process(ONE_THREAD) as process:
        (pid,) = process.pids()
        assert process.resident_bytes() > 5_000_000
        assert process.descriptors() >= 4
        before = process.processor_seconds()
        crowd = Crowd(process.port)
        client = crowd.ask(get("/slow?seconds=0"))
        assert crowd.run(10, until=lambda: client.over)
        assert client.status == 200
        # It prints the line of a request behind its response.
        assert wait_for(lambda: "GET /slow" in process.errors(), 10)
        assert process.processor_seconds() >= before
        crowd.close()
        process.signal(signal.SIGTERM)
        assert wait_for(lambda: process.ended, 10)
        assert (process.exit_status, process.pids()) == (-signal.SIGTERM, [])
    assert pid


def test_its_children_are_gone_with_it() -> None:
    contender = Contender("two", "pytest", lambda p: [*ONE_THREAD.options(p), "child"])
    with Process(contender) as process:
        pids = process.pids()
        assert len(pids) == 2
    # A zombie has ended, whoever has to bury it.
    assert wait_for(lambda: all(_stat(pid)[:1] in ([], ["Z"]) for pid in pids), 10)


def test_who_has_closed_holds_nothing_though_the_kernel_still_sends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        ports = (listening.getsockname()[1], client.getsockname()[1])
        peer, _ = listening.accept()
        with peer:
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while peer.send(bytes(65_536)):
                    pass
            assert holds(*ports)
        assert not holds(*ports)
        assert client.recv(1)


def test_who_holds_a_connection_is_seen() -> None:
    with Process(ONE_THREAD) as process:
        crowd = Crowd(process.port)
        client = crowd.ask(b"GET ")
        port = client.socket.getsockname()[1]
        assert crowd.run(10, until=lambda: process.holds(port))
        client.leave()
        assert crowd.run(10, until=lambda: not process.holds(port))
        crowd.close()


def test_a_ledger_is_found_and_must_balance() -> None:
    line = "ledger: accepted 9 = answered 4 + shed 3 + client-gone 1 + forced 1\n"
    ledger = Ledger.found_in(f"Interlock serves …\n{line}")
    assert ledger == Ledger(9, 4, 3, 1, 1)
    assert ledger.balances
    assert not Ledger(9, 4, 3, 1, 0).balances
    assert Ledger.found_in("ledger:\n") is None
    good = Result(Verdict.PASS, "0.1 s")
    assert row._with_ledgers(good, [ledger]).verdict is Verdict.PASS
    for bad in (Ledger(1, 0, 0, 0, 0), None):
        assert row._with_ledgers(good, [bad, ledger]).verdict is Verdict.FAIL
