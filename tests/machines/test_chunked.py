"""The chunk reader under random histories: rules are the events of spec/chunked.toml, in bytes."""

from __future__ import annotations

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

from server.errors import ProtocolError
from server.http1.buffer import Buffer
from server.http1.chunked import ChunkedReader
from server.http1.events import END_OF_REQUEST, NEED_DATA, ContentPiece
from statemachine import Engine
from tests.http1.oracle import Oracle, the_system, within
from tests.http1.talk import ENGINES, SMALL


class ChunkedHistory(RuleBasedStateMachine):
    """One chunked content. The model knows the data owed by the chunk and the room in the limit."""

    engine: Engine

    @initialize()
    def first(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.oracle = Oracle("chunked", self.engine)
        self.buffer = Buffer()
        self.reader = self.oracle.bind(ChunkedReader)(SMALL, self.buffer)
        self.owed = 0
        self.room = SMALL.body_bytes_max
        self.trailers: list[tuple[str, str]] = []

    def told(self) -> object:
        """The next event, or the refusal."""
        try:
            return self.reader.next_event()
        except ProtocolError as error:
            return error

    @within("SIZE")
    @rule(size=st.integers(0, 30), extension=st.sampled_from([b"", b";a", b' ; a = "b c"']))
    def size_read(self, size: int, extension: bytes) -> None:
        self.buffer.append(b"%x%b\r\n" % (size, extension))
        if size > self.room:
            self.oracle.expect("refused")
            error = self.told()
            assert isinstance(error, ProtocolError)
            assert error.status == 413
            return
        self.owed = size
        self.room -= size
        self.oracle.expect("size_read", guard=size > 0)
        assert self.told() is NEED_DATA

    @within("SIZE", "TRAILERS")
    @rule(begun=st.sampled_from([b"\x00", b"\n", b"X :"]))
    def refused(self, begun: bytes) -> None:
        self.buffer.append(begun + b"\r\n")
        self.oracle.expect("refused")
        assert isinstance(self.told(), ProtocolError)

    @within("DATA_END")
    @rule(wrong=st.sampled_from([b"x", b"\n", b"\r\r", b"0\r\n"]))
    def refused_after_data(self, wrong: bytes) -> None:
        self.buffer.append(wrong)
        self.oracle.expect("refused")
        assert isinstance(self.told(), ProtocolError)

    @precondition(lambda self: self.oracle.state == "DATA" and self.owed > 1)
    @rule()
    def more_data(self) -> None:
        """No event of the spec: the chunk goes on."""
        self.owed -= 1
        self.buffer.append(b"\n")
        assert self.told() == ContentPiece(b"\n")
        assert self.told() is NEED_DATA

    @within("DATA")
    @rule()
    def data_ended(self) -> None:
        data, self.owed = b"." * self.owed, 0
        self.buffer.append(data)
        self.oracle.expect("data_ended")
        assert self.told() == ContentPiece(data)

    @within("DATA_END")
    @rule(split=st.booleans())
    def line_ended(self, split: bool) -> None:
        if split:
            self.buffer.append(b"\r")
            assert self.told() is NEED_DATA
            self.buffer.append(b"\n")
        else:
            self.buffer.append(b"\r\n")
        self.oracle.expect("line_ended")
        assert self.told() is NEED_DATA

    @precondition(lambda self: self.oracle.state == "TRAILERS" and len(self.trailers) < 10)
    @rule(name=st.sampled_from(["A", "Content-Encoding"]))
    def more_trailers(self, name: str) -> None:
        """No event of the spec: a trailer that may be one decides nothing."""
        self.trailers.append((name, "1"))
        self.buffer.append(b"%b:1\r\n" % name.encode())
        used = sum(len(f"{one}:1\r\n") for one, _ in self.trailers)
        if used + 2 > SMALL.trailer_bytes_max:
            self.oracle.expect("refused")
            error = self.told()
            assert isinstance(error, ProtocolError)
            assert error.status == 431
            return
        assert self.told() is NEED_DATA

    @precondition(lambda self: self.oracle.state == "TRAILERS" and len(self.trailers) < 2)
    @rule(name=st.sampled_from([b"Content-Length", b"host", b"Transfer-Encoding"]))
    def refused_for_its_name(self, name: bytes) -> None:
        self.buffer.append(name + b":1\r\n\r\n")
        self.oracle.expect("refused")
        assert isinstance(self.told(), ProtocolError)

    @within("TRAILERS")
    @rule(next_one=st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]))
    def trailers_ended(self, next_one: bytes) -> None:
        self.buffer.append(b"\r\n" + next_one)
        self.oracle.expect("trailers_ended")
        assert self.told() is END_OF_REQUEST
        assert self.reader.trailers.lines == tuple(self.trailers)
        assert self.buffer.first(99) == next_one

    @within("ENDED", "REFUSED")
    @rule()
    def asked_again(self) -> None:
        """No event of the spec: what was told is told again. Then comes another content."""
        assert self.told() is self.told()
        self.begin()

    @invariant()
    def the_reader_is_where_the_spec_says(self) -> None:
        self.oracle.check(self.reader)


@pytest.mark.parametrize("engine", ENGINES)
def test_any_history_follows_the_spec(engine: Engine) -> None:
    history = type("ChunkedHistory", (ChunkedHistory,), {"engine": engine})
    run_state_machine_as_test(history)


def test_each_event_of_the_spec_is_a_rule() -> None:
    assert set(the_system().machines["chunked"].events) <= set(vars(ChunkedHistory))


PATHS = {
    "K1": b"1\r\n",
    "K2": b"0\r\n",
    "K3": b"x\r\n",
    "K4": b"1\r\nx",
    "K5": b"1\r\nx\r\n",
    "K6": b"1\r\nxx",
    "K7": b"0\r\n\r\n",
    "K8": b"0\r\n:\r\n",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "arrow", [pytest.param(one, id=one, marks=pytest.mark.arrow(one)) for one in PATHS]
)
def test_bytes_take_each_arrow(arrow: str, engine: Engine) -> None:
    oracle, buffer = Oracle("chunked", engine), Buffer()
    reader = oracle.bind(ChunkedReader)(SMALL, buffer)
    buffer.append(PATHS[arrow])
    try:
        while isinstance(reader.next_event(), ContentPiece):
            pass
    except ProtocolError:
        assert reader.state.name == "REFUSED"
    assert oracle.taken[-1] == arrow


def test_every_arrow_has_a_path() -> None:
    assert PATHS.keys() == {one.id for one in the_system().machines["chunked"].arrows}
