"""Bugs that are planted, one at a time: the simulation finds each within some lives."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

import pytest

from server.events.hub import Hub
from server.net import exchange as exchange_module
from server.net.connection import Connection
from server.net.crew import Crew
from server.net.desk import Desk
from server.net.pipe import Pipe
from server.net.poller import READ
from server.net.pool import Pool
from server.net.reactor import Reactor
from server.net.reading import Reading
from server.net.sending import Sending
from server.net.worker import Job
from server.simulation.life import Life
from server.simulation.plan import draw_plan
from server.simulation.verdict import faults_of
from server.supervisor import Supervisor
from statemachine._generated import JobState, RequestState

Patch = pytest.MonkeyPatch
LIVES_MAX, RARE_LIVES_MAX = 400, 4000
SEND = Connection.send


def first_found(lives_max: int = LIVES_MAX) -> tuple[int, str]:
    """The first life that fails, and why; -1 if none does."""
    for seed in range(lives_max):
        faults = faults_of(Life(draw_plan(seed)).play())
        if faults:
            return seed, faults[0]
    return -1, ""


def leak_descriptors(patch: Patch) -> None:
    """A connection that is closed keeps its descriptor."""
    from server.simulation.kernel import End

    real = Reactor._bury

    def bury(self: Reactor, connection: Connection) -> None:
        end = cast(End, connection.transport)
        close = end.close
        if connection.requests > 1:
            end.close = lambda: None  # type: ignore[method-assign]
        real(self, connection)
        end.close = close  # type: ignore[method-assign]

    patch.setattr(Reactor, "_bury", bury)


def arm_before_the_arrow(patch: Patch) -> None:
    """A worker arms the descriptor, and only then hands the connection over; and its end is read
    before what came behind the last request is looked at.
    """

    def finish(self: Desk, connection: Connection) -> None:
        self.responder.log(connection)
        connection.reader.renew() if connection.persists() else None
        self._poller.arm(connection.transport.descriptor, READ)
        self._set_deadline(connection, self._idle_seconds)
        connection.response_sent()
        self._returns.hand_back(connection)

    patch.setattr(Reading, "_is_handed_back", lambda self, connection: False)
    patch.setattr(Desk, "_finish", finish)


def lose_a_wake_up(patch: Patch) -> None:
    """Nobody is woken for the jobs that were offered lazily."""
    patch.setattr(Pool, "rouse", lambda self, now, *, idle: None)


def drop_a_byte(patch: Patch) -> None:
    """What the kernel did not take is sent from one byte too far on."""

    def send(self: Connection, turn_bytes_max: int) -> bool:
        whole = SEND(self, turn_bytes_max)
        if self.outgoing and isinstance(rest := self.outgoing[0], memoryview):
            self.outgoing[0] = rest[1:]
        return whole

    patch.setattr(Connection, "send", send)


def let_a_trickle_move_the_deadline(patch: Patch) -> None:
    """Each byte of a head gives its client the whole time again."""

    def await_readable(self: Reading, connection: Connection, before: RequestState) -> None:
        self._deadlines.begin(connection, connection.reader.state)
        self._arm(connection)

    patch.setattr(Reading, "_await_readable", await_readable)


def forget_what_is_pipelined(patch: Patch) -> None:
    """The reactor does not look at requests that came behind the one it has answered, but for the
    end behind them.
    """

    def finish(self: Desk, connection: Connection) -> None:
        self.responder.log(connection)
        if not connection.persists():
            self._set_deadline(connection, self._linger_seconds)
            connection.response_sent()
            self._returns.hand_back(connection)
            return
        connection.reader.renew()
        self._set_deadline(connection, self._idle_seconds)
        descriptor = connection.transport.descriptor
        connection.response_sent()
        self._poller.attend(descriptor)

    patch.setattr(Reading, "_is_handed_back", lambda self, connection: False)
    patch.setattr(Desk, "_finish", finish)


def lose_an_event(patch: Patch) -> None:
    """Of three events that are due at once, the second is not sent."""
    real = Hub._gathered_locked

    def gathered(self: Hub, one: object) -> object:
        events, more = real(self, one)  # type: ignore[arg-type]
        return ([events[0], events[2]] if len(events) == 3 else events), more

    patch.setattr(Hub, "_gathered_locked", gathered)


def keep_the_reservoirs_bytes(patch: Patch) -> None:
    """A connection that is cut gives nothing back of what it kept."""
    patch.setattr(Connection, "_give_back", lambda self: setattr(self, "give_back", None))


def forget_the_late(patch: Patch) -> None:
    """Nobody is found late."""
    patch.setattr(Crew, "sample", lambda self, now: ([], []))


def withdraw_by_halves(patch: Patch) -> None:
    """A job that is taken back stays in the queue."""

    def withdraw(self: Pool, job: Job) -> bool:
        with self.lock:
            if job.state is not JobState.QUEUED:
                return False
            job.withdrawn()
        return True

    patch.setattr(Pool, "withdraw", withdraw)


def answer_after_the_revocation(patch: Patch) -> None:
    """A worker that has lost its lease answers all the same."""
    patch.setattr(exchange_module, "REVOKED", None)


def linger_not(patch: Patch) -> None:
    """The last response is followed by a close at once, unread bytes or not."""

    def linger(self: Sending, connection: Connection) -> None:
        connection.peer_ended()
        self._bury(connection)

    patch.setattr(Sending, "linger", linger)


def let_a_cut_look_like_an_end(patch: Patch) -> None:
    """An answer that was cut ends as one does that was made."""
    patch.setattr(Connection, "looks_whole", lambda self: False)


def drain_without_end(patch: Patch) -> None:
    """The patience of a drain never ends."""
    patch.setattr(Supervisor, "_check_patience", lambda self: None)


def wait_for_the_reader_for_ever(patch: Patch) -> None:
    """A pipe that makes room tells nobody."""
    patch.setattr(Pipe, "_let_writer_go", lambda self: None)


BUGS: tuple[Callable[[Patch], None], ...] = (
    leak_descriptors,
    arm_before_the_arrow,
    lose_a_wake_up,
    drop_a_byte,
    let_a_trickle_move_the_deadline,
    forget_what_is_pipelined,
    lose_an_event,
    keep_the_reservoirs_bytes,
    forget_the_late,
    withdraw_by_halves,
    answer_after_the_revocation,
    linger_not,
    let_a_cut_look_like_an_end,
    drain_without_end,
    wait_for_the_reader_for_ever,
)


RARE = (lose_an_event, let_a_cut_look_like_an_end, wait_for_the_reader_for_ever)
"""Those that need more than the right moment, and more than a hundred lives."""


@pytest.mark.parametrize("plant", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    if plant in RARE and os.environ.get("HYPOTHESIS_PROFILE") != "deep":
        pytest.skip("it takes some hundred lives: make deep")
    lives_max = RARE_LIVES_MAX if plant in RARE else LIVES_MAX
    seed, _ = first_found(lives_max)
    assert seed >= 0, f"{plant.__doc__} Not found in {lives_max} lives"
