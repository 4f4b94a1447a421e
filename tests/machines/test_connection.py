"""Connections under random histories: rules are what the peers, the kernel, the threads, the clock
and the supervisor may do, in any order.

The oracle is the spec (every arrow, property and owner), and the wire: what each peer read is whole
responses in the order of its requests, every descriptor and file is given back once, and after a
drain nothing remains.
"""

from __future__ import annotations

import random
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.http1.messages import FileRegion
from statemachine import Engine
from statemachine._generated import ConnectionState, ServerState
from tests.machines.house import NOT_THE_REACTORS, PORCH
from tests.machines.peers import STATUSES, Peer
from tests.machines.scene import Scene

NONSENSE = (b"GET\r\n\r\n", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"\n")
CONTENT = ("", "length", "expect")


class ConnectionHistory(RuleBasedStateMachine):
    """A few connections, one or two workers, and everything that can happen to them."""

    engine: ClassVar[Engine]
    peers = Bundle("peers")

    @initialize(
        threads=st.integers(1, 2),
        queue_jobs_max=st.sampled_from([1, 2, 100]),
        connections_max=st.sampled_from([2, 100]),
        send_turn_bytes_max=st.sampled_from([100, 1000, 256 * 1024]),
        receive_bytes_max=st.sampled_from([16, 64 * 1024]),
        drain_idle_seconds=st.sampled_from([0.0, 0.5]),
        seed=st.integers(0, 2**32),
    )
    def open(self, seed: int, **settings: float) -> None:
        self.scene = Scene(self.engine, settings)
        self.house = self.scene.house
        self.rng = random.Random(seed)
        self.asked = 0
        self.struck = False

    # --- the street -------------------------------------------------------------------------

    @rule(target=peers, room=st.sampled_from([0, 1, 100, 1 << 40, 1 << 40, 1 << 40]))
    def connect(self, room: int) -> Peer:
        peer = self.scene.peer()
        peer.transport.room = room
        return peer

    @rule(
        peer=peers,
        kind=st.sampled_from(sorted(STATUSES)),
        method=st.sampled_from(["GET", "GET", "HEAD", "POST"]),
        content=st.sampled_from(CONTENT),
        count=st.sampled_from([1, 1, 1, 2, 5]),
        bytes_now=st.sampled_from([None, None, None, 0, 1, 20, 60]),
    )
    def ask(
        self, peer: Peer, kind: str, method: str, content: str, count: int, bytes_now: int | None
    ) -> None:
        if peer.is_silent:
            return
        for _ in range(count):
            self.asked += 1
            peer.ask(
                method,
                f"/{kind}/{self.asked}",
                content=b"content" if content else b"",
                fields=("Expect: 100-continue",) if content == "expect" else (),
            )
        peer.deliver(bytes_now)

    @rule(peer=peers, nonsense=st.sampled_from(NONSENSE))
    def talk_nonsense(self, peer: Peer, nonsense: bytes) -> None:
        if not peer.is_silent:
            peer.say(nonsense)
            peer.deliver()
            peer.is_silent = True

    @rule(peer=peers, size=st.sampled_from([None, None, 1, 30]))
    def arrive(self, peer: Peer, size: int | None) -> None:
        peer.deliver(size)

    @rule(peer=peers)
    def peer_ends(self, peer: Peer) -> None:
        peer.is_silent = True
        peer.unsent.clear()
        peer.transport.peer_ends()

    @rule(peer=peers)
    def peer_resets(self, peer: Peer) -> None:
        peer.is_silent = True
        peer.unsent.clear()
        peer.transport.peer_resets()

    @rule(peer=peers, room=st.sampled_from([0, 1, 30, 3100, 1 << 40]))
    def peer_reads(self, peer: Peer, room: int) -> None:
        peer.transport.room = room

    # --- who runs ---------------------------------------------------------------------------

    @rule(who=st.integers(0, 9), steps=st.integers(1, 8))
    def step(self, who: int, steps: int) -> None:
        for _ in range(steps):
            runnable = self.house.stage.runnable()
            if runnable:
                runnable[who % len(runnable)].step()

    @rule(who=st.integers(0, 9), seldom=st.integers(0, 2))
    def a_worker_is_torn_out(self, who: int, seldom: int) -> None:
        # Each at most once: what tears a thread out does not come again while it tidies up.
        actors = self.house.stage.actors
        workers = [a for a in actors if a.name != "reactor" and a.struck is None]
        if workers and not seldom:
            workers[who % len(workers)].strike(MemoryError("struck by lightning"))
            self.struck = True

    @rule(threads_left=st.sampled_from([0, 1000, 1000]))
    def threads_run_out(self, threads_left: int) -> None:
        self.house.stage.threads_left = threads_left

    @rule()
    def settle(self) -> None:
        self.house.settle(self.rng)

    @rule(peer=peers)
    def spurious_event(self, peer: Peer) -> None:
        if self.house.poller.armed.get(peer.transport.descriptor):
            self.house.poller.nudges.add(peer.transport.descriptor)

    @rule()
    def spurious_accept(self) -> None:
        if self.house.poller.armed.get(PORCH):
            self.house.poller.nudges.add(PORCH)

    # --- the clock and the supervisor -------------------------------------------------------

    @rule(seconds=st.sampled_from([0.04, 0.5, 2.1, 10.1, 15.1, 30.1, 61.0]))
    def advance(self, seconds: float) -> None:
        self.house.advance(seconds)

    @rule()
    def descriptors_run_out(self) -> None:
        self.house.porch.errors.append(OSError(24, "Too many open files"))

    @precondition(lambda self: self.house.lifecycle.state is ServerState.SERVING)
    @rule(unlikely=st.integers(0, 3))
    def stop(self, unlikely: int) -> None:
        if not unlikely:
            self.house.stop()

    @precondition(lambda self: self.house.lifecycle.state is ServerState.DRAINING)
    @rule(abort_fails=st.booleans())
    def cut(self, abort_fails: bool) -> None:
        if abort_fails:
            for transport in self.house.transports:
                transport.abort_raises = OSError(107, "Transport endpoint is not connected")
        self.house.cut()

    # --- what always holds ------------------------------------------------------------------

    @invariant()
    def only_what_the_reactor_owns_is_armed(self) -> None:
        poller = self.house.poller
        for descriptor, connection in self.house.reactor.connections.items():
            if connection.state in NOT_THE_REACTORS and descriptor not in poller.attended:
                assert not poller.armed[descriptor], connection.state

    @invariant()
    def only_what_is_owed_is_kept(self) -> None:
        for connection in self.house.reactor.connections.values():
            if connection.state is ConnectionState.LINGERING:
                assert not connection.outgoing
            for piece in connection.outgoing:
                if isinstance(piece, FileRegion):
                    assert not self.house.disk.closed[piece.descriptor]

    @invariant()
    def nothing_is_wrong_yet(self) -> None:
        assert self.house.witness.faults() == []
        if self.struck:
            self.house.diary.forget("interlock.pool")
        assert self.house.diary.lines == []

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        try:
            self.scene.end(self.rng, struck=self.struck)
        finally:
            self.house.put_away()


@pytest.mark.parametrize("engine", ["sealed", "stock"])
def test_whatever_happens_the_spec_is_kept(engine: Engine) -> None:
    class History(ConnectionHistory):
        pass

    History.engine = engine
    run_state_machine_as_test(History)
