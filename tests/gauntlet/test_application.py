"""Every page of the application keeps PEP 3333, as the standard library's validator reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from benchmarks.gauntlet.application import BIG_BYTES, application


def asked(path: str, query: str = "", pieces_max: int = 1000) -> tuple[str, list[bytes]]:
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": ""}
    setup_testing_defaults(environ)
    seen: list[str] = []

    def start_response(status: str, _: object, __: object = None) -> Any:
        seen.append(status)
        return lambda data: None

    content = validator(application)(environ, start_response)
    pieces = [piece for _, piece in zip(range(pieces_max), content, strict=False)]
    content.close()  # type: ignore[attr-defined]
    return seen[0], pieces


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/", "", "200 OK"),
        ("/slow", "seconds=0", "200 OK"),
        ("/stuck", "seconds=0", "200 OK"),
        ("/raise", "what=len", "400 Bad Request"),
        ("/elsewhere", "", "404 Not Found"),
    ],
)
def test_short_pages(path: str, query: str, status: str) -> None:
    assert asked(path, query)[0] == status


@pytest.mark.parametrize("query", ["", "as=bytes", "as=pieces"])
def test_the_big_page_is_as_big_as_it_says(query: str) -> None:
    assert sum(len(piece) for piece in asked("/big", query)[1]) == BIG_BYTES


def test_the_big_page_comes_whole_or_in_pieces() -> None:
    assert len(asked("/big")[1]) == 1
    assert len(asked("/big", "as=pieces")[1]) > 300


@pytest.mark.parametrize("path", ["/events", "/events-hub"])
def test_events_come_from_a_generator_where_there_is_no_hub(path: str) -> None:
    _, pieces = asked(path, pieces_max=1)
    assert pieces == [b"data: 0\n\n"]


def test_the_hub_is_used_where_there_is_one() -> None:
    class Hub:
        def subscribe(self, channel: str) -> list[bytes]:
            return [json.dumps(channel).encode()]

        def publish(self, channel: str, data: str) -> None: ...

    environ = {"PATH_INFO": "/events-hub", "interlock.events": Hub()}
    assert list(application(environ, lambda *_: lambda _: None)) == [b'"telemetry"']


@pytest.mark.parametrize("what", [SystemExit, KeyboardInterrupt, BaseException, MemoryError])
def test_it_raises_what_it_is_asked_for(what: type[BaseException]) -> None:
    with pytest.raises(what, match="as asked"):
        asked("/raise", f"what={what.__name__}")

    environ = {"PATH_INFO": "/raise", "QUERY_STRING": f"what={what.__name__}&when=content"}
    content: Iterator[bytes] = iter(application(environ, lambda *_: lambda _: None))
    assert next(content)
    with pytest.raises(what, match="as asked"):
        next(content)
