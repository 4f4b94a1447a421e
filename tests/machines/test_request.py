"""The request reader under random histories: rules are the events of spec/request.toml."""

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
from server.http1.chunked import ChunkedReader
from server.http1.events import (
    END_OF_REQUEST,
    ENDED_BETWEEN,
    ENDED_WITHIN,
    NEED_DATA,
    ContentPiece,
)
from server.http1.messages import RequestHead
from server.http1.reader import RequestReader
from statemachine import Engine
from tests.http1.oracle import Oracle, the_system, within
from tests.http1.talk import ENGINES, SMALL

REST = b"ET / HTTP/1.1\r\nHost: a\r\n"


class RequestHistory(RuleBasedStateMachine):
    """One connection. The model knows how many lines of the head came, and how many bytes of
    content are owed: None for chunked.
    """

    engine: Engine

    @initialize()
    def first(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.oracle = Oracle("request", self.engine)
        bind = self.oracle.bind
        self.reader = bind(RequestReader)(SMALL, bind(ChunkedReader))
        self.owed: int | None = 0
        self.lines = 0

    def told(self) -> object:
        """The next event, or the refusal."""
        try:
            return self.reader.next_event()
        except ProtocolError as error:
            return error

    @within("AWAITED")
    @rule(empty_line=st.booleans())
    def began(self, empty_line: bool) -> None:
        # A second empty line would be a refusal, and so the first comes with its request.
        self.reader.receive(b"\r\nG" if empty_line else b"G")
        self.oracle.expect("began")
        assert self.told() is NEED_DATA

    @precondition(lambda self: self.oracle.state == "HEAD" and self.lines < 6)
    @rule()
    def more_of_the_head(self) -> None:
        """No event of the spec: the head goes on."""
        self.reader.receive(b"X: y\r\n" if self.lines else REST)
        self.lines += 1
        assert self.told() is NEED_DATA

    @within("HEAD")
    @rule(size=st.integers(0, 5), announced=st.booleans(), chunked=st.booleans())
    def head_ended(self, size: int, announced: bool, chunked: bool) -> None:
        start = b"" if self.lines else REST
        framing = b"Content-Length: %d\r\n" % size if announced else b""
        self.owed = size if announced else 0
        if chunked:
            framing, self.owed = b"Transfer-Encoding: chunked\r\n", None
        self.reader.receive(start + framing + b"\r\n")
        self.oracle.expect("head_ended", guard=self.owed != 0)
        assert isinstance(self.told(), RequestHead)

    @within("HEAD")
    @rule()
    def refused(self) -> None:
        self.reader.receive(b"\0\r\n")
        self.oracle.expect("refused")
        assert isinstance(self.told(), ProtocolError)

    @precondition(lambda self: self.oracle.state == "CONTENT" and self.owed is None)
    @rule()
    def refused_content(self) -> None:
        self.reader.receive(b"x\r\n")
        self.oracle.expect("refused")
        assert isinstance(self.told(), ProtocolError)

    @precondition(lambda self: self.oracle.state == "CONTENT" and (self.owed or 2) > 1)
    @rule()
    def more_content(self) -> None:
        """No event of the spec: the content goes on."""
        if self.owed is None:
            self.reader.receive(b"1\r\n.\r\n")
        else:
            self.owed -= 1
            self.reader.receive(b".")
        assert self.told() == ContentPiece(b".")
        assert self.told() is NEED_DATA

    @within("CONTENT")
    @rule(next_one=st.sampled_from([b"", b"G"]))
    def content_ended(self, next_one: bytes) -> None:
        rest = b"0\r\n\r\n" if self.owed is None else b"." * self.owed
        self.reader.receive(rest + next_one)
        self.oracle.expect("content_ended")
        if self.owed is not None:
            assert self.told() == ContentPiece(rest)
        assert self.told() is END_OF_REQUEST
        assert self.reader.buffered == len(next_one)

    @within("COMPLETE")
    @rule()
    def renewed(self) -> None:
        self.oracle.expect("renewed")
        leftover = self.reader.buffered
        self.reader.renew()
        assert self.reader.head is None
        self.lines = 0
        if leftover:
            self.oracle.expect("began")
        assert self.told() is NEED_DATA

    @within("AWAITED", "HEAD", "CONTENT")
    @rule()
    def peer_ended(self) -> None:
        between = self.oracle.state == "AWAITED"
        self.reader.receive(b"")
        self.oracle.expect("peer_ended")
        assert self.told() is (ENDED_BETWEEN if between else ENDED_WITHIN)

    @within("COMPLETE", "ENDED", "INCOMPLETE", "REFUSED")
    @rule()
    def asked_again(self) -> None:
        """No event of the spec: what was told is told again."""
        first = self.told()
        assert first is self.told()
        assert first is not NEED_DATA
        if self.oracle.state != "COMPLETE":
            self.connect()

    @invariant()
    def the_reader_is_where_the_spec_says(self) -> None:
        self.oracle.check(self.reader)


@pytest.mark.parametrize("engine", ENGINES)
def test_any_history_follows_the_spec(engine: Engine) -> None:
    history = type("RequestHistory", (RequestHistory,), {"engine": engine})
    run_state_machine_as_test(history)


def test_each_event_of_the_spec_is_a_rule() -> None:
    assert set(the_system().machines["request"].events) <= set(vars(RequestHistory))


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
PATHS = {
    "R1": [b"G"],
    "R2": [b""],
    "R3": [HEAD + b"Content-Length: 1\r\n\r\n"],
    "R4": [HEAD + b"\r\n"],
    "R5": [b"\0"],
    "R6": [b"G", b""],
    "R7": [HEAD + b"Content-Length: 1\r\n\r\nx"],
    "R8": [HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"],
    "R9": [HEAD + b"Content-Length: 1\r\n\r\n", b""],
    "R10": [HEAD + b"\r\n"],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "arrow", [pytest.param(one, id=one, marks=pytest.mark.arrow(one)) for one in PATHS]
)
def test_bytes_take_each_arrow(arrow: str, engine: Engine) -> None:
    oracle = Oracle("request", engine)
    reader = oracle.bind(RequestReader)(SMALL, oracle.bind(ChunkedReader))
    for piece in PATHS[arrow]:
        reader.receive(piece)
        try:
            while isinstance(event := reader.next_event(), RequestHead | ContentPiece):
                pass
            if event is END_OF_REQUEST:
                reader.renew()
        except ProtocolError:
            assert reader.state.name == "REFUSED"
    assert arrow in oracle.taken


def test_every_arrow_has_a_path() -> None:
    assert PATHS.keys() == {one.id for one in the_system().machines["request"].arrows}
