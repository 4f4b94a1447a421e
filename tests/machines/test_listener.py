"""The listener under random histories: newcomers, errors of accept, the cap, pauses and a drain.

The real Listener and the real Reactor, on a listening socket that is the test's. The oracle is the
spec; besides, nobody who waits is forgotten, and accept is not called in a spin.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.errors import StartError
from server.net.listener import GONE_MAX, OUT_OF_ROOM, Listener, OutOfRoom, bind
from server.net.reactor import ACCEPT_BATCH
from server.net.transport import Address
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import ListenerState, ServerState
from tests.machines.door import Caller, Door, ListeningSocket

GONE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN)
"""What accept(2) may say of one newcomer that the next one has no part in."""


class ListenerHistory(RuleBasedStateMachine):
    engine: ClassVar[Engine]

    @initialize()
    def open(self) -> None:
        self.door = Door(self.engine)
        self.door.settle()

    @rule(count=st.sampled_from([1, 1, 2, 5, ACCEPT_BATCH + 1]))
    def newcomers(self, count: int) -> None:
        for _ in range(count):
            self.door.call()

    @rule(error=st.sampled_from(GONE))
    def a_newcomer_goes_again(self, error: int) -> None:
        self.door.socket.backlog.append(error)

    @rule(error=st.sampled_from(sorted(OUT_OF_ROOM)))
    def the_system_has_no_room(self, error: int) -> None:
        self.door.socket.system_error = error

    @rule()
    def the_system_has_room_again(self) -> None:
        self.door.socket.system_error = None

    @rule(index=st.integers(0, 9))
    def somebody_leaves(self, index: int) -> None:
        inside = [c for c in self.door.callers if not c.closed and not c.has_ended]
        if inside:
            inside[index % len(inside)].has_ended = True

    @rule(seconds=st.sampled_from([0.1, 0.6]))
    def time_passes(self, seconds: float) -> None:
        self.door.house.advance(seconds)

    @rule()
    def spurious_event(self) -> None:
        if self.door.house.poller.armed.get(4):
            self.door.house.poller.nudges.add(4)

    @rule()
    def settle(self) -> None:
        """A system without room is asked once, and once more by a drain: then there is a pause."""
        before = self.door.socket.accepts
        self.door.settle()
        if self.door.socket.system_error is not None:
            assert self.door.socket.accepts - before <= 2

    @precondition(lambda self: self.door.house.lifecycle.state is ServerState.SERVING)
    @rule(seldom=st.integers(0, 3))
    def stop(self, seldom: int) -> None:
        if not seldom:
            self.door.house.stop()

    @invariant()
    def it_is_armed_only_while_it_accepts(self) -> None:
        armed = self.door.house.poller.armed.get(4)
        assert not armed or self.door.state is ListenerState.ACCEPTING

    @invariant()
    def the_cap_holds(self) -> None:
        if self.door.state is not ListenerState.CLOSED:
            assert self.door.inside() <= 3

    @invariant()
    def nothing_is_wrong_yet(self) -> None:
        assert self.door.house.witness.faults() == []
        assert self.door.house.diary.lines == []

    def teardown(self) -> None:
        if hasattr(self, "door"):
            try:
                self._nobody_is_forgotten()
                self.door.end()
            finally:
                self.door.house.put_away()

    def _nobody_is_forgotten(self) -> None:
        """As long as the house is open, all who wait are let in as soon as there is room."""
        door = self.door
        if door.house.lifecycle.state is not ServerState.SERVING:
            return
        door.socket.system_error = None
        while door.socket.backlog:
            waiting = len(door.socket.backlog)
            for caller in door.callers:
                caller.has_ended = True
            door.house.advance(0.6)
            door.settle()
            assert len(door.socket.backlog) < waiting, f"somebody waits, {door.state}"


def test_whatever_happens_the_spec_is_kept(engine: Engine) -> None:
    class History(ListenerHistory):
        pass

    History.engine = engine
    run_state_machine_as_test(History)


# --- one scene an arrow -----------------------------------------------------------------------

Scene = Callable[[Door], None]


def opened(door: Door) -> None:
    door.settle()


def failed_start(door: Door) -> None:
    door.house.listener.closed()


def closed(door: Door) -> None:
    door.settle()
    door.house.stop()
    door.settle()


def out_of_room(door: Door) -> None:
    door.call()
    door.socket.system_error = errno.EMFILE
    door.settle()
    assert door.socket.accepts == 1
    door.house.advance(0.3)
    door.settle()
    assert door.socket.accepts == 1, "it spins"


def room_again(door: Door) -> None:
    out_of_room(door)
    door.socket.system_error = None
    door.house.advance(0.3)
    door.settle()
    assert door.inside() == 1


def closed_in_a_pause(door: Door) -> None:
    out_of_room(door)
    door.house.stop()
    door.settle()


def full(door: Door) -> None:
    for _ in range(5):
        door.call()
    door.settle()
    assert (door.inside(), len(door.socket.backlog)) == (3, 2)


def room_made(door: Door) -> None:
    full(door)
    door.callers[0].has_ended = True
    door.settle()
    assert (door.inside(), len(door.socket.backlog)) == (3, 1)


def closed_while_full(door: Door) -> None:
    """Who has been greeted by the kernel is let in all the same."""
    full(door)
    door.house.stop()
    door.settle()
    assert (door.inside() + sum(c.closed for c in door.callers), door.socket.backlog) == (
        5,
        deque(),
    )


SCENES: dict[str, Scene] = {
    "L1": opened,
    "L2": failed_start,
    "L3": out_of_room,
    "L4": full,
    "L5": closed,
    "L6": room_again,
    "L7": closed_in_a_pause,
    "L8": room_made,
    "L9": closed_while_full,
}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.arrow(one)) for one in SCENES]
)
def test_the_arrow_is_taken(engine: Engine, name: str) -> None:
    door = Door(engine)
    try:
        SCENES[name](door)
        assert door.house.taken(name) == 1
        if name != "L2":
            door.end()
    finally:
        door.house.put_away()


def test_every_arrow_has_a_scene() -> None:
    assert set(SCENES) == {one.id for one in sound_system().machines["listener"].arrows}


# --- what no history gets to ------------------------------------------------------------------


def test_newcomers_are_let_in_by_batches(engine: Engine) -> None:
    """Between two batches those who are inside have their turn."""
    door = Door(engine, connections_max=1000)
    try:
        door.settle()
        for _ in range(3 * ACCEPT_BATCH):
            door.call()
        door.house.reactor_thread.step()
        assert door.inside() == ACCEPT_BATCH
        door.settle()
        assert door.inside() == 3 * ACCEPT_BATCH
        door.end()
    finally:
        door.house.put_away()


def test_a_drain_ends_although_newcomers_keep_coming(engine: Engine) -> None:
    """The backlog is emptied of those who were in it, not of those who join it meanwhile."""
    door = Door(engine, connections_max=1000, backlog=10)
    accept = door.socket.accept

    def accept_and_be_called_again() -> tuple[Caller, Address]:
        door.call()
        return accept()

    door.socket.accept = accept_and_be_called_again  # type: ignore[method-assign] # the test's own
    try:
        door.house.run("reactor", until="L1")
        door.house.stop()
        door.settle()
        assert door.state is ListenerState.CLOSED
        assert door.socket.accepts == 11
        door.end()
    finally:
        door.house.put_away()


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EBADF, *GONE])
def test_an_error_that_comes_again_and_again_does_not_spin(engine: Engine, error: int) -> None:
    """The socket was shut down behind our back, or the network is gone for good."""
    socket = ListeningSocket()
    socket.system_error = error
    listener = Binder(sound_system(), engine=engine).bind(Listener)(socket)  # type: ignore[arg-type] # acts as one
    with pytest.raises(OutOfRoom):
        listener.accept()
    assert socket.accepts == GONE_MAX


def test_newcomers_that_went_do_not_keep_the_next_one_out(engine: Engine) -> None:
    socket = ListeningSocket()
    listener = Binder(sound_system(), engine=engine).bind(Listener)(socket)  # type: ignore[arg-type] # acts as one
    socket.backlog.extend([*GONE, Caller(5)])
    transport = listener.accept()
    assert transport is not None
    assert (transport.descriptor, transport.peer) == (5, ("192.0.2.7", 50_005))
    assert listener.accept() is None


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("no such host", 0, "cannot listen on no such host port 0"),
        ("a" * 100, 0, "cannot listen on aaaa"),
        ("192.0.2.999", 0, "cannot listen on 192.0.2.999 port 0"),
        ("::z", 0, "cannot listen on ::z port 0"),
    ],
)
def test_a_start_that_fails_says_why(host: str, port: int, says: str) -> None:
    with pytest.raises(StartError, match=says) as caught:
        bind(host, port, 5)
    assert "\n" not in str(caught.value)


def test_a_port_that_is_taken_says_so() -> None:
    with bind("127.0.0.1", 0, 5) as first:
        port = first.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port}: Address already in use"):
            bind("127.0.0.1", port, 5)
