"""PEP 3333, clause by clause, on values: what an application may do, and what becomes of it."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.app.wsgi import wsgi
from server.app.wsgi_head import HOP_BY_HOP, ApplicationError
from server.http1.messages import Parts, Response, Stream, pieces_of
from tests.app.requests import request

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
PLAIN = [("Content-Type", "text/plain")]
FAILED = 500
"""What is answered where the application broke its contract before anything was sent."""


def sized(size: int) -> list[tuple[str, str]]:
    return [*PLAIN, ("Content-Length", str(size))]


@dataclass
class Body:
    """An iterable that counts what is done with it."""

    pieces: Iterable[bytes]
    closed: int = 0
    on: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed += 1
        self.on.append(threading.current_thread().name)


def ask(application: Any, method: str = "GET", target: str = "/") -> Response:
    return wsgi(application)(request(target, method=method))


def answer(body: object, headers: Any = PLAIN, status: Any = "200 OK", **asked: str) -> Response:
    """The response to an application that answers with `body`."""

    def application(environ: Environ, start: Start) -> object:
        start(status, headers)
        return body

    return ask(application, **asked)


def sent(response: Response) -> bytes:
    """The content as the worker would send it; it is closed, as the sender must."""
    content = response.content
    if isinstance(content, Stream):
        try:
            return b"".join(content.pieces)
        finally:
            content.close()
    assert isinstance(content, bytes | Parts)
    return b"".join(piece for piece in pieces_of(content) if isinstance(piece, bytes))


def size_of(response: Response) -> int | None:
    content = response.content
    return len(content) if isinstance(content, bytes) else content.size


# --- the head ----------------------------------------------------------------------------------


def test_status_and_fields_are_the_application_s() -> None:
    response = answer(
        [b"x"], [("Content-Type", "text/x"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
    )
    assert response.status == 200
    assert response.fields == (("Content-Type", "text/x"), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
    assert response.persists


@pytest.mark.parametrize("status", ["404 Not Found", "404 Nothing Like It", "404 ", "404"])
def test_the_reason_phrase_may_be_any(status: str) -> None:
    assert answer([b""], status=status).status == 404


@pytest.mark.parametrize(
    "status",
    [
        *("", "20 OK", "2000 OK", "OK", "200OK", " 200 OK", "200 OK\r\nX: y", "200 \x00"),
        *("٢٠٠ OK", 200, b"200 OK", None, ["200 OK"]),
    ],
)
def test_what_is_no_status_is_refused(status: object) -> None:
    assert answer([b"x"], status=status).status == FAILED


@pytest.mark.parametrize(
    "headers",
    [
        tuple(PLAIN),
        dict(PLAIN),
        iter(PLAIN),
        None,
        [["Content-Type", "text/plain"]],
        [("Content-Type",)],
        [("Content-Type", "text/plain", "more")],
        [(b"Content-Type", "text/plain")],
        [("Content-Type", b"text/plain")],
        [("Content-Length", 1)],
        [("Content-Length", "-1")],
        [("Content-Length", "1 ")],
        [("Content-Length", "+1")],
        [("Content-Length", "١")],
        [("Content-Length", "")],
        [("Content-Length", "9" * 5000)],
        [("Content-Length", "1"), ("content-length", "1")],
    ],
)
def test_what_are_no_headers_is_refused(headers: object) -> None:
    assert answer([b"x"], headers).status == FAILED


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_fields_are_the_server_s(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert answer([b"x"], [*PLAIN, (name.title(), "close")]).status == FAILED
    assert "hop-by-hop" in caplog.text


def test_the_list_of_headers_may_be_used_again() -> None:
    headers = sized(1)
    assert sent(answer([b"x"], headers)) == b"x"
    assert headers == sized(1)
    response = answer([b"x"], headers)
    headers.append(("X", "y"))
    assert ("X", "y") not in response.fields


def test_start_response_takes_no_keywords() -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start(status="200 OK", headers=PLAIN)
        return []

    assert ask(application).status == FAILED


# --- start_response, again ---------------------------------------------------------------------


def test_a_second_call_needs_exc_info(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", PLAIN)
        with pytest.raises(ApplicationError, match="again"):
            start("200 OK", PLAIN)
        with pytest.raises(AssertionError):
            start("200 OK", PLAIN, None)
        return [b"first"]

    assert sent(ask(application)) == b"first"
    assert caplog.text == ""


def test_exc_info_replaces_a_head_that_is_not_sent() -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        write = start("200 OK", sized(7))
        write(b"half of")
        try:
            raise KeyError("x")
        except KeyError:
            start("503 Later", [("Retry-After", "1")], sys.exc_info())
        return [b"sorry"]

    response = ask(application)
    assert (response.status, response.fields) == (503, (("Retry-After", "1"),))
    assert sent(response) == b"sorry"


def test_exc_info_may_come_with_the_first_call() -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        try:
            raise KeyError("x")
        except KeyError:
            start("500 No", PLAIN, sys.exc_info())
        return [b"sorry"]

    assert sent(ask(application)) == b"sorry"


def test_exc_info_is_raised_again_once_the_head_is_sent() -> None:
    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", PLAIN)
        yield b"some"
        try:
            raise KeyError("late")
        except KeyError:
            start("500 No", PLAIN, sys.exc_info())
        yield b"never"

    response = ask(application)
    assert response.status == 200
    assert isinstance(response.content, Stream)
    pieces = response.content.pieces
    assert next(pieces) == b"some"
    with pytest.raises(KeyError, match="late") as raised:
        next(pieces)
    assert [entry.name for entry in raised.traceback][-1] == "application"  # where it came from


def test_exc_info_of_no_exception_is_refused_once_the_head_is_sent() -> None:
    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", PLAIN)
        yield b"some"
        start("500 No", PLAIN, (None, None, None))

    response = ask(application)
    with pytest.raises(ApplicationError, match="no exception"):
        sent(response)


class Marked(Exception):
    """One that can be told from others."""


def test_exc_info_makes_no_circle() -> None:
    marks: list[weakref.ref[Marked]] = []

    def application(environ: Environ, start: Start) -> list[bytes]:
        try:
            raise Marked
        except Marked as error:
            marks.append(weakref.ref(error))
            start("500 No", PLAIN, sys.exc_info())
        return [b""]

    gc.disable()
    try:
        ask(application)
        assert marks[0]() is None
    finally:
        gc.enable()


def test_exc_info_makes_no_circle_when_it_is_raised_again() -> None:
    marks: list[weakref.ref[Marked]] = []

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", PLAIN)
        yield b"some"
        try:
            raise Marked
        except Marked as error:
            marks.append(weakref.ref(error))
            start("500 No", PLAIN, sys.exc_info())

    gc.disable()
    try:
        response = ask(application)
        with contextlib.suppress(Marked):
            sent(response)
        assert marks[0]() is None
    finally:
        gc.enable()


def test_the_traceback_of_exc_info_counts() -> None:
    def origin() -> None:
        raise Marked

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", PLAIN)
        yield b"some"
        try:
            origin()
        except Marked as error:
            kept = sys.exc_info()
            error.__traceback__ = None
            start("500 No", PLAIN, kept)

    with pytest.raises(Marked) as raised:
        sent(ask(application))
    assert "origin" in [entry.name for entry in raised.traceback]


def test_a_refused_call_leaves_the_head_before_it() -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", PLAIN)
        try:
            raise KeyError("x")
        except KeyError:
            with pytest.raises(ApplicationError):
                start("200 OK", [("Connection", "close")], sys.exc_info())
        return [b"x"]

    assert ask(application).fields == tuple(PLAIN)


# --- when start_response is called -------------------------------------------------------------


def test_a_generator_may_start_the_response_late() -> None:
    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        yield b""
        yield b""
        start("201 Created", PLAIN)
        yield b"made"

    response = ask(application)
    assert (response.status, sent(response)) == (201, b"made")


def test_a_generator_may_start_the_response_at_its_end() -> None:
    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        yield b""
        start("201 Created", PLAIN)

    response = ask(application)
    assert (response.status, response.content) == (201, b"")


def never(pieces: object) -> Any:
    return lambda environ, start: pieces


@pytest.mark.parametrize("pieces", [[], [b"x"], [b""], (), iter([b"x"]), iter([b""]), iter([])])
def test_content_needs_a_head(pieces: object, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(never(pieces)).status == FAILED
    assert "start_response has not been called" in caplog.text


@pytest.mark.parametrize(
    "returned",
    [None, 3, object(), "text", b"bytes", ["text"], [bytearray(b"x")], iter(["text"]), [None]],
)
def test_what_is_no_iterable_of_bytes_is_refused(returned: object) -> None:
    assert answer(returned).status == FAILED


def test_none_is_named(caplog: pytest.LogCaptureFixture) -> None:
    answer(None)
    assert "the application returned None" in caplog.text


def test_a_late_piece_that_is_no_bytes_cuts_the_content() -> None:
    response = answer(iter([b"x", "text"]))
    with pytest.raises(ApplicationError, match="str"):
        sent(response)


# --- content and its length --------------------------------------------------------------------


@pytest.mark.parametrize("made", [[b"one"], (b"one",), [b"", b"one"], [b"one", b""]])
def test_one_piece_that_is_made_goes_out_as_it_is(made: object) -> None:
    assert answer(made).content == b"one"
    assert answer(made, sized(3)).content == b"one"


def test_several_pieces_that_are_made_are_not_copied() -> None:
    large = b"x" * 1_000_000
    content = answer([large, b"", b"y"]).content
    assert isinstance(content, Parts)
    assert content.pieces[0] is large
    assert content.size == 1_000_001


@pytest.mark.parametrize("made", [[], (), [b""], iter([]), iter([b"", b""])])
def test_no_content_is_content_of_known_size(made: object) -> None:
    assert answer(made).content == b""


@pytest.mark.parametrize("declared", [0, 2, 4, 10**15])
@pytest.mark.parametrize("body", [[b"one"], [b"o", b"ne"]])
def test_a_length_that_is_not_kept_is_found_before_anything_is_sent(
    declared: int, body: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    assert answer(body, sized(declared)).status == FAILED
    assert f"Content-Length is {declared}" in caplog.text


def test_a_first_piece_that_is_too_long_is_found_before_anything_is_sent() -> None:
    body = Body([b"four"])
    assert answer(body, sized(3)).status == FAILED
    assert body.closed == 1
    assert answer(iter([b"four"]), sized(0)).status == FAILED


def test_an_empty_iterable_that_declares_content_is_found_before_anything_is_sent() -> None:
    assert answer(iter([]), sized(3)).status == FAILED


def test_the_declared_length_is_the_stream_s() -> None:
    response = answer(iter([b"one", b"", b"two"]), sized(6))
    assert size_of(response) == 6
    assert [name for name, _ in response.fields] == ["Content-Type"]  # the writer says it
    assert sent(response) == b"onetwo"


def test_without_a_length_nobody_knows_it() -> None:
    response = answer(iter([b"one", b"two"]))
    assert (size_of(response), sent(response)) == (None, b"onetwo")


def test_an_iterable_of_one_piece_says_its_length() -> None:
    """PEP 3333, "Handling the Content-Length Header"."""

    class Counted(Body):
        def __len__(self) -> int:
            return len(list(self.pieces))

    response = answer(Counted([b"alone"]))
    assert isinstance(response.content, Stream)
    assert (size_of(response), sent(response)) == (5, b"alone")
    response = answer(Counted([b"one", b"two"]))
    assert (size_of(response), sent(response)) == (None, b"onetwo")


def test_each_piece_is_sent_before_the_next_is_made() -> None:
    """PEP 3333, "Buffering and Streaming": only the first is awaited, for the head."""
    made = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"", b"one", b"two", b"three"):
            made.append(piece)
            yield piece

    response = answer(pieces())
    assert made == [b"", b"one"]
    assert isinstance(response.content, Stream)
    assert next(response.content.pieces) == b"one"
    assert made == [b"", b"one"]
    assert next(response.content.pieces) == b"two"
    assert made == [b"", b"one", b"two"]


def test_pieces_without_bytes_are_passed_over() -> None:
    content = answer(iter([b"one", b"", b"", b"two"])).content
    assert isinstance(content, Stream)
    assert list(content.pieces) == [b"one", b"two"]  # an empty one would end the chunked coding


# --- write() -----------------------------------------------------------------------------------


def writing(rest: object, headers: Any = PLAIN) -> Any:
    def application(environ: Environ, start: Start) -> object:
        write = start("200 OK", headers)
        write(b"writ")
        write(b"")
        write(b"ten ")
        return rest

    return application


@pytest.mark.parametrize("rest", [[b"last"], [b"la", b"st"], [b"", b"last"]])
@pytest.mark.parametrize("headers", [PLAIN, sized(12)])
def test_what_is_written_comes_before_the_iterable_s(rest: list[bytes], headers: object) -> None:
    for given in (rest, tuple(rest), iter(rest), Body(rest)):
        assert sent(ask(writing(given, headers))) == b"written last"


@pytest.mark.parametrize("rest", [[], [b""], iter([]), iter([b""])])
def test_what_is_written_may_be_all(rest: object) -> None:
    response = ask(writing(rest))
    assert (size_of(response), sent(response)) == (8, b"written ")


def test_what_is_written_counts_for_the_length() -> None:
    assert ask(writing([b"x"], sized(8))).status == FAILED
    assert ask(writing([], sized(9))).status == FAILED
    assert ask(writing(iter([b"x"]), sized(8))).status == FAILED


@pytest.mark.parametrize("data", ["text", None, 3, bytearray(b"x")])
def test_only_bytes_are_written(data: object) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", PLAIN)(data)  # type: ignore[arg-type]
        return []

    assert ask(application).status == FAILED


def test_nothing_is_written_from_within_the_iterable() -> None:
    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        write = start("200 OK", PLAIN)
        yield b"one"
        write(b"two")

    with pytest.raises(ApplicationError, match=r"write\(\)"):
        sent(ask(application))


# --- HEAD, and statuses without content ----------------------------------------------------------


@pytest.mark.parametrize("pieces", [[b"one"], [], [b""], [b"on"], [b"more"]])
def test_head_keeps_the_length_that_the_application_declares(pieces: list[bytes]) -> None:
    for body in (pieces, iter(pieces)):
        response = answer(body, sized(3), method="HEAD")
        assert (response.status, size_of(response)) == (200, 3)


def test_head_tells_the_length_of_what_would_be_sent() -> None:
    assert size_of(answer([b"one", b"two"], method="HEAD")) == 6


@pytest.mark.parametrize("body", [[], [b""], iter([]), iter([b"one"])])
def test_head_tells_no_length_that_it_does_not_know(body: object) -> None:
    """Many leave the content out by themselves: 0 would be another representation's length."""
    assert size_of(answer(body, method="HEAD")) is None


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
@pytest.mark.parametrize("headers", [[], sized(3), sized(0)])
@pytest.mark.parametrize("pieces", [[b"one"], []])
def test_statuses_without_content_have_none(
    status: str, headers: list[tuple[str, str]], pieces: list[bytes]
) -> None:
    body = Body(pieces)
    for given in (pieces, body):
        response = answer(given, list(headers), status)
        assert (response.status, response.content) == (int(status[:3]), b"")
    assert body.closed == 1


# --- close() -----------------------------------------------------------------------------------


def test_close_is_called_once_after_the_last_piece() -> None:
    body = Body([b"one", b"two"])
    response = answer(body)
    assert isinstance(response.content, Stream)
    assert list(response.content.pieces) == [b"one", b"two"]
    assert body.closed == 0
    response.content.close()
    response.content.close()
    assert body.closed == 1


def test_close_is_called_when_nobody_reads_on() -> None:
    """A generator's own `finally` runs by it."""
    ended = []

    def pieces() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            ended.append(True)

    response = answer(pieces())
    assert isinstance(response.content, Stream)
    assert next(response.content.pieces) == b"one"
    response.content.close()
    assert ended == [True]


def failing(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces
    raise ValueError("no more")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (Body([b"x"]), None, "200 OK"),  # start_response is not called
        (Body([b"x"]), PLAIN, "nonsense"),
        (Body(failing()), PLAIN, "200 OK"),
        (Body(failing(b"")), PLAIN, "200 OK"),
        (Body(["text"]), PLAIN, "200 OK"),  # type: ignore[list-item]
        (Body([b"x"]), sized(0), "200 OK"),
        (Body([]), sized(1), "200 OK"),
        (Body(None), PLAIN, "200 OK"),  # type: ignore[arg-type]
    ],
)
def test_close_is_called_when_the_response_fails(body: Body, headers: Any, status: str) -> None:
    def application(environ: Environ, start: Start) -> Body:
        if headers is not None and status != "nonsense":
            start(status, headers)
        elif headers is not None:
            with pytest.raises(ApplicationError):
                start(status, headers)
        return body

    assert ask(application).status == FAILED
    assert body.closed == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_is_called_where_no_piece_comes(method: str) -> None:
    body = Body([])
    response = answer(body, method=method)
    sent(response)
    assert body.closed == 1


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_close_may_fail(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    class Sticky(Body):
        def close(self) -> None:
            super().close()
            raise error

    body = Sticky([b"x"])
    assert sent(answer(body, target="/sticky")) == b"x"
    assert body.closed == 1
    assert "could not be closed: GET /sticky" in caplog.text


# --- an application that fails -----------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError(), GeneratorExit()]
)
@pytest.mark.parametrize("started", [True, False])
def test_an_application_may_raise_anything(
    error: BaseException, started: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        if started:
            start("200 OK", PLAIN)(b"some")
        raise error

    response = ask(application, "POST", "/order?id=7")
    assert response.status == FAILED
    assert b"<title>500 " in sent(response)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("interlock.app", logging.ERROR)
    assert record.getMessage() == "the application failed: POST /order?id=7"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_what_fails_after_the_first_piece_cuts_the_content() -> None:
    body = Body(failing(b"one", b"two"))
    response = answer(body)
    assert isinstance(response.content, Stream)
    assert next(response.content.pieces) == b"one"
    assert next(response.content.pieces) == b"two"
    with pytest.raises(ValueError, match="no more"):
        next(response.content.pieces)
    response.content.close()
    assert body.closed == 1


def test_nothing_is_left_behind() -> None:
    """Neither the response nor the environ keeps what the application held, without a collector."""

    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        one = Held()
        held.append(weakref.ref(one))
        environ["held"] = one
        start("200 OK", PLAIN)
        yield b"x"

    gc.disable()
    try:
        sent(ask(application))
        assert held[0]() is None
    finally:
        gc.enable()


# --- threads -----------------------------------------------------------------------------------


def test_many_threads_call_one_application() -> None:
    """What one call does is never seen by another: heads, written bytes, content, environ."""
    together = threading.Barrier(8, timeout=30)

    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        name = environ["PATH_INFO"]
        assert "mark" not in environ
        environ["mark"] = name
        write = start("200 OK", [("X-Name", name)])
        write(b"written for ")
        yield name.encode()
        assert environ["mark"] == name

    handler = wsgi(application)
    wrong: list[str] = []

    def one(number: int) -> None:
        together.wait()
        for turn in range(200):
            name = f"/{number}/{turn}"
            response = handler(request(name))
            if response.fields != (("X-Name", name),):
                wrong.append(f"{name}: {response.fields}")
            if sent(response) != b"written for " + name.encode():
                wrong.append(name)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
