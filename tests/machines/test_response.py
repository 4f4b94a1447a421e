"""The response writer under random histories: rules are the events of spec/response.toml."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from server.errors import ContentError
from server.http1.messages import RequestHead, Response
from server.http1.writer import ResponseWriter
from statemachine import Engine
from tests.http1.oracle import Oracle, the_system, within
from tests.http1.talk import ENGINES, read

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def request(method: str) -> RequestHead:
    (told,) = read([f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()]).requests
    return told.head


class ResponseHistory(RuleBasedStateMachine):
    """One response. The model knows how many content bytes the head left owed."""

    engine: Engine

    @initialize(method=st.sampled_from(["GET", "HEAD"]))
    def first_response(self, method: str) -> None:
        self.begin(method)

    def begin(self, method: str) -> None:
        self.oracle = Oracle("response", self.engine)
        self.method = method
        self.writer = self.oracle.bind(ResponseWriter)(request(method))
        self.owed = 0

    @within("PENDING")
    @rule()
    def interim_framed(self) -> None:
        self.oracle.expect("interim_framed")
        assert self.writer.interim() == b"HTTP/1.1 100 Continue\r\n\r\n"

    @within("PENDING")
    @rule(status=st.sampled_from([200, 204, 304, 404]), size=st.integers(0, 6))
    def head_framed(self, status: int, size: int) -> None:
        size = 0 if status in {204, 304} else size
        self.owed = 0 if self.method == "HEAD" else size
        self.oracle.expect("head_framed", guard=self.owed > 0)
        head = self.writer.head_of(Response(status, (), b"." * size), date=DATE, persists=True)
        assert head.endswith(b"\r\n\r\n")

    @within("PENDING")
    @rule(
        response=st.sampled_from(
            [Response(100), Response(204, (), b"x"), Response(200, (("X", "\r\n"),))]
        )
    )
    def head_refused(self, response: Response) -> None:
        """No event of the spec: nothing was framed, and any answer is still possible."""
        with pytest.raises(ContentError):
            self.writer.head_of(response, date=DATE, persists=True)

    @within("CONTENT")
    @rule(data=st.data())
    def more_content(self, data: st.DataObject) -> None:
        """No event of the spec: some of what is owed is framed."""
        size = data.draw(st.integers(0, self.owed))
        self.owed -= size
        self.writer.content(b"." * size)

    @within("CONTENT")
    @rule()
    def content_ended(self) -> None:
        self.oracle.expect("content_ended", guard=self.owed == 0)
        if self.owed:
            with pytest.raises(ContentError):
                self.writer.end()
        else:
            self.writer.end()

    @within("CONTENT")
    @rule(of_the_source=st.booleans())
    def failed(self, of_the_source: bool) -> None:
        self.oracle.expect("failed")
        if of_the_source:
            self.writer.failed()
            return
        with pytest.raises(ContentError):
            self.writer.count(self.owed + 1)

    @within("COMPLETE", "BROKEN")
    @rule(method=st.sampled_from(["GET", "HEAD"]))
    def another_response(self, method: str) -> None:
        """No event of the spec: the next request has a writer of its own."""
        self.begin(method)

    @invariant()
    def the_writer_is_where_the_spec_says(self) -> None:
        self.oracle.check(self.writer)


@pytest.mark.parametrize("engine", ENGINES)
def test_any_history_follows_the_spec(engine: Engine) -> None:
    history = type("ResponseHistory", (ResponseHistory,), {"engine": engine})
    run_state_machine_as_test(history)


def test_each_event_of_the_spec_is_a_rule() -> None:
    assert set(the_system().machines["response"].events) <= set(vars(ResponseHistory))


def _head(writer: ResponseWriter, content: bytes) -> None:
    writer.head_of(Response(200, (), content), date=DATE, persists=True)


def _all(writer: ResponseWriter) -> None:
    _head(writer, b"x")
    writer.content(b"x")
    writer.end()


def _too_few(writer: ResponseWriter) -> None:
    _head(writer, b"x")
    with pytest.raises(ContentError):
        writer.end()


def _too_many(writer: ResponseWriter) -> None:
    _head(writer, b"x")
    with pytest.raises(ContentError):
        writer.content(b"xx")


PATHS: dict[str, Callable[[ResponseWriter], object]] = {
    "A1": ResponseWriter.interim,
    "A2": lambda writer: _head(writer, b"x"),
    "A3": lambda writer: _head(writer, b""),
    "A4": _all,
    "A5": _too_few,
    "A6": _too_many,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "arrow", [pytest.param(one, id=one, marks=pytest.mark.arrow(one)) for one in PATHS]
)
def test_calls_take_each_arrow(arrow: str, engine: Engine) -> None:
    oracle = Oracle("response", engine)
    PATHS[arrow](oracle.bind(ResponseWriter)(request("GET")))
    assert oracle.taken[-1] == arrow


def test_every_arrow_has_a_path() -> None:
    assert PATHS.keys() == {one.id for one in the_system().machines["response"].arrows}
