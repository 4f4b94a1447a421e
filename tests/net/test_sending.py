"""The reactor's sending, step by step: what is armed, which patience begins, who is buried."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.errors import ContentError
from server.net.connection import Connection
from server.net.poller import READ, WRITE
from server.net.sending import Sending
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import ConnectionState, PipeState, RequestState
from tests.fakes import Disk, FakeTransport

TURN = 10
RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return cast("Engine", request.param)


class Pipe:
    """A pipe that gives these pieces."""

    def __init__(self, state: PipeState, *pieces: bytes) -> None:
        self.state = state
        self.pieces = list(pieces)
        self.calls: list[str] = []

    def take(self) -> bytes | None:
        return self.pieces.pop(0) if self.pieces else None

    def make_room(self) -> None:
        self.calls.append("make room")

    def abandon(self) -> None:
        self.calls.append("abandon")


class Play:
    """A connection in a state, and all that Sending does to it, in order."""

    def __init__(self, engine: Engine, state: ConnectionState, *, persists: bool = False) -> None:
        self.calls: list[object] = []
        self.transport = FakeTransport(7, Disk())
        self.reader = SimpleNamespace(
            has_leftover=False,
            renew=lambda: self.calls.append("renew"),
            state=RequestState.COMPLETE,
        )
        content = SimpleNamespace(drop=lambda: None)
        kind = Binder(sound_system(), engine=engine).bind(Connection)
        self.connection = kind(self.transport, cast("Any", self.reader), cast("Any", content))
        self.connection.state = state
        self.connection.deadline = math.inf
        self.connection.answer = cast("Any", SimpleNamespace(persists=persists))
        rooms = SimpleNamespace(
            config=SimpleNamespace(receive_bytes_max=4, send_turn_bytes_max=TURN),
            poller=SimpleNamespace(
                arm=lambda fd, what: self.calls.append(("arm", fd, what)),
                attend=lambda fd: self.calls.append(("attend", fd)),
            ),
            responder=SimpleNamespace(log=lambda _: self.calls.append("log")),
        )
        deadlines = SimpleNamespace(begin=self._begin)
        self.sending = Sending(
            cast("Any", rooms),
            deadlines=cast("Any", deadlines),
            bury=lambda _: self.calls.append("bury"),
            hand_back=lambda _: self.calls.append("hand back"),
        )

    def _begin(self, connection: Connection, state: ConnectionState | RequestState) -> None:
        self.calls.append(state)
        connection.deadline = 5.0

    def does(self, step: Callable[[Sending, Connection], None]) -> list[object]:
        step(self.sending, self.connection)
        return self.calls

    def phase(self) -> ConnectionState:
        return self.connection.state


CLOSED, LINGERING, PARKED = (
    ConnectionState.CLOSED,
    ConnectionState.LINGERING,
    ConnectionState.PARKED,
)
FLUSHING, RELAYING, REFUSING = (
    ConnectionState.FLUSHING,
    ConnectionState.RELAYING,
    ConnectionState.REFUSING,
)


def test_an_answer_of_the_reactor_s_own_is_sent_at_once(engine: Engine) -> None:
    play = Play(engine, REFUSING)
    play.connection.outgoing.append(b"busy")
    play.transport.room = 2
    assert play.does(Sending.begin) == [REFUSING, ("arm", 7, WRITE)]
    assert play.transport.received == b"bu"
    assert play.phase() is REFUSING


def test_what_is_flushed_and_persists_is_parked(engine: Engine) -> None:
    play = Play(engine, FLUSHING, persists=True)
    play.connection.outgoing.append(b"rest")
    assert play.does(Sending.flush) == ["log", "renew", RequestState.AWAITED, ("attend", 7)]
    assert play.phase() is PARKED


def test_who_has_sent_more_already_is_looked_at_again(engine: Engine) -> None:
    play = Play(engine, FLUSHING, persists=True)
    play.reader.has_leftover = True
    assert play.does(Sending.flush) == ["log", "renew", RequestState.AWAITED, "hand back"]
    assert play.phase() is PARKED


def test_what_is_flushed_and_does_not_persist_lingers(engine: Engine) -> None:
    play = Play(engine, FLUSHING)
    assert play.does(Sending.flush) == ["log", LINGERING, ("arm", 7, READ)]
    assert play.transport.has_ended
    assert play.phase() is LINGERING


def test_what_is_not_sent_whole_is_armed_for(engine: Engine) -> None:
    play = Play(engine, FLUSHING)
    play.connection.outgoing.append(b"more than a turn")
    play.connection.outgoing.append(b"and more")
    assert play.does(Sending.flush) == [("arm", 7, WRITE)]
    assert play.transport.received == b"more than a turn"
    assert play.phase() is FLUSHING


def test_a_response_that_did_not_fit_is_awaited(engine: Engine) -> None:
    assert Play(engine, FLUSHING).does(Sending.await_writable) == [FLUSHING, ("arm", 7, WRITE)]


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (FLUSHING, Sending.flush),
        (REFUSING, Sending.begin),
        (RELAYING, Sending.relay),
        (LINGERING, Sending.linger),
        (LINGERING, Sending.drop_input),
    ],
)
def test_a_peer_that_fails_is_buried_at_once(engine: Engine, state: Any, step: Any) -> None:
    play = Play(engine, state)
    play.connection.pipe = cast("Any", Pipe(PipeState.OPEN))
    play.connection.outgoing.append(b"rest")
    play.transport.peer_resets()
    assert play.does(step)[-1] == "bury"
    assert play.calls.count("bury") == 1
    assert play.phase() is CLOSED


def test_a_peer_that_fails_between_our_end_and_its_own_is_buried(engine: Engine) -> None:
    play = Play(engine, LINGERING)
    error = BrokenPipeError()

    def end() -> None:
        raise error

    play.transport.end = end  # type: ignore[method-assign] # this one call fails
    assert play.does(Sending.linger) == [LINGERING, "bury"]
    assert play.phase() is CLOSED


def test_a_response_that_is_cut_short_is_buried(engine: Engine) -> None:
    play = Play(engine, FLUSHING)

    def send(data: object) -> int:
        raise ContentError("too short")

    play.transport.send = send  # type: ignore[method-assign] # as a region's would
    play.connection.outgoing.append(b"rest")
    assert play.does(Sending.flush) == ["bury"]
    assert play.phase() is CLOSED


def test_patience_that_has_ended_closes(engine: Engine) -> None:
    for state in (FLUSHING, REFUSING, RELAYING, LINGERING):
        play = Play(engine, state)
        assert play.does(Sending.expire) == ["bury"]
        assert play.phase() is CLOSED


# --- lingering ----------------------------------------------------------------------------------


def test_input_is_dropped_until_the_peer_has_ended(engine: Engine) -> None:
    play = Play(engine, LINGERING)
    play.transport.peer_sends(b"more than four")
    assert play.does(Sending.drop_input) == [("arm", 7, READ)]
    assert play.phase() is LINGERING
    play.transport.peer_ends()
    for _ in range(3):  # four bytes at a time
        play.does(Sending.drop_input)
    assert play.phase() is LINGERING
    assert play.does(Sending.drop_input)[-1] == "bury"
    assert play.phase() is CLOSED


# --- relaying -----------------------------------------------------------------------------------


def relaying(engine: Engine, pipe: Pipe, *, persists: bool = True) -> Play:
    play = Play(engine, RELAYING, persists=persists)
    play.connection.pipe = cast("Any", pipe)
    return play


def test_an_open_pipe_that_is_empty_is_waited_for_without_a_deadline(engine: Engine) -> None:
    pipe = Pipe(PipeState.OPEN, b"abc", b"def")
    play = relaying(engine, pipe)
    play.connection.deadline = 5.0
    assert play.does(Sending.relay) == []
    assert play.transport.received == b"abcdef"
    assert play.connection.deadline == math.inf
    assert pipe.calls == ["make room"]


def test_a_pipe_that_has_ended_is_flushed_and_let_go(engine: Engine) -> None:
    pipe = Pipe(PipeState.ENDED, b"abc")
    play = relaying(engine, pipe)
    told = [FLUSHING, "log", "renew", RequestState.AWAITED, ("attend", 7)]
    assert play.does(Sending.relay) == told
    assert play.connection.pipe is None
    assert pipe.calls == ["make room", "abandon"]
    assert play.phase() is PARKED


def test_a_pipe_that_was_failed_cuts(engine: Engine) -> None:
    play = relaying(engine, Pipe(PipeState.BROKEN, b"abc"))
    assert play.does(Sending.relay) == ["bury"]
    assert play.transport.received == b"abc"
    assert play.phase() is CLOSED


def test_a_peer_that_does_not_read_has_a_deadline_from_then_on(engine: Engine) -> None:
    play = relaying(engine, Pipe(PipeState.ENDED, b"abc", b"def"))
    play.transport.room = 4
    assert play.does(Sending.relay) == [RELAYING, ("arm", 7, WRITE)]
    assert play.connection.deadline == 5.0
    play.transport.room = 1
    assert play.does(Sending.relay)[2:] == [("arm", 7, WRITE)]
    assert play.phase() is RELAYING


def test_a_turn_takes_its_share_of_a_pipe_and_no_more(engine: Engine) -> None:
    pipe = Pipe(PipeState.OPEN, *[b"12345"] * 4)
    play = relaying(engine, pipe)
    assert play.does(Sending.relay) == [RELAYING, ("arm", 7, WRITE)]
    # Ten bytes were taken out; the second five are sent when it is this connection's turn again.
    assert len(pipe.pieces) == 2
    assert pipe.calls == []
