"""Methods and paths, from a request to the response that they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.app.dispatch import METHODS, make_app
from server.app.errors import error_response
from server.config import Config
from server.errors import StartError
from server.http1.messages import Request, Response
from tests.app.requests import content_of, field, request
from tests.clock import ManualClock

App = Callable[[Request], Response]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(tmp_path: Path, clock: ManualClock) -> App:
    (tmp_path / "index.html").write_text("<h1>Hello!</h1>")
    os.utime(tmp_path / "index.html", (0, 0))  # at rest: the same tag and date at each request
    (tmp_path / "404.html").write_text("<h1>Oops!</h1>")
    return make_app(Config(root=tmp_path), clock)


def test_the_front_page(app: App) -> None:
    response = app(request("/"))
    assert response.status == 200
    assert content_of(response) == b"<h1>Hello!</h1>"
    assert field(response, "content-type") == "text/html; charset=utf-8"
    assert field(response, "x-content-type-options") == "nosniff"


@pytest.mark.parametrize("target", ["/", "/sleep", "/nope", "/?a=b", "/nope/", "/%zz"])
def test_head_is_answered_as_get(app: App, target: str) -> None:
    head, get = app(request(target, method="HEAD")), app(request(target))
    assert (head.status, head.fields) == (get.status, get.fields)
    assert content_of(head) == content_of(get)


def test_nothing_there_is_the_roots_own_page(app: App) -> None:
    response = app(request("/nope"))
    assert response.status == 404
    assert content_of(response) == b"<h1>Oops!</h1>"
    assert field(response, "etag") is None


def test_nothing_there_and_no_page_for_it(tmp_path: Path, clock: ManualClock) -> None:
    response = make_app(Config(root=tmp_path), clock)(request("/"))
    assert response.status == 404
    assert b"404 Not Found" in content_of(response)


def test_a_page_for_404_that_is_no_file(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "404.html").mkdir()
    assert make_app(Config(root=tmp_path), clock)(request("/nope")).status == 404


@pytest.mark.parametrize(
    ("target", "seconds"),
    [
        ("/sleep", 5.0),
        ("/sleep?", 5.0),
        ("/sleep?other=1", 5.0),
        ("/sleep?seconds=0.5", 0.5),
        ("/sleep?seconds=0", 0.0),
        ("/sleep?seconds=60", 60.0),
        ("/sleep?a=b&seconds=07", 7.0),
        ("/%73leep?seconds=1", 1.0),
    ],
)
def test_sleep(app: App, clock: ManualClock, target: str, seconds: float) -> None:
    response = app(request(target))
    assert clock.slept == [seconds]
    assert response.status == 200
    assert content_of(response) == b"<h1>Hello!</h1>"


@pytest.mark.parametrize(
    "query",
    [
        "seconds=",
        "seconds=60.1",
        "seconds=-1",
        "seconds=nan",
        "seconds=inf",
        "seconds=1e1",
        "seconds=1_0",
        "seconds=%C2%B2",
        "seconds=%D9%A1",
        "seconds=1&seconds=2",
        "seconds=<script>",
    ],
)
def test_no_such_sleep(app: App, clock: ManualClock, query: str) -> None:
    response = app(request(f"/sleep?{query}"))
    assert response.status == 400
    assert clock.slept == []
    page = content_of(response)
    assert b"expected one number from 0 to 60" in page
    assert b"<script>" not in page


@pytest.mark.parametrize("target", ["/", "/sleep", "/nope", "/../x"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.rfc("9110-15.5.6")
def test_methods_that_nothing_allows(
    app: App, clock: ManualClock, method: str, target: str
) -> None:
    response = app(request(target, method=method))
    assert response.status == 405
    assert field(response, "allow") == "GET, HEAD, OPTIONS"
    assert clock.slept == []


@pytest.mark.parametrize("target", ["/", "*", "/nope"])
@pytest.mark.rfc("9110-9.3.7")
def test_options(app: App, target: str) -> None:
    response = app(request(target, method="OPTIONS"))
    assert (response.status, response.content) == (204, b"")
    assert field(response, "allow") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["BREW", "get", "PROPFIND", "<b>"])
@pytest.mark.rfc("9110-9.1")
def test_methods_unknown(app: App, method: str) -> None:
    response = app(request("/", method=method))
    assert response.status == 501
    assert field(response, "allow") is None
    assert b"<b>" not in content_of(response)


@pytest.mark.rfc("9110-9.3.6")
def test_connect_opens_no_tunnel_and_ends_the_connection(app: App) -> None:
    response = app(request("", method="CONNECT"))
    assert (response.status, response.persists) == (501, False)


def test_asterisk_is_for_options_only(app: App) -> None:
    assert app(request("*")).status == 400


@pytest.mark.rfc("9110-9")
def test_every_method_of_the_rfc_is_known() -> None:
    assert METHODS.keys() == {
        *("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
    }


@pytest.mark.parametrize("make", [lambda one: one / "missing", lambda one: one / "file"])
def test_a_root_that_cannot_be_served(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartError, match=r"^--root .* cannot be served: \w+"):
        make_app(Config(root=make(tmp_path)), ManualClock())


def test_a_fault_is_the_callers_to_answer(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("server.app.folder.os.open", broken)
    with pytest.raises(OSError, match="Input/output"):
        app(request("/"))


@pytest.mark.parametrize("status", [400, 405, 408, 413, 414, 417, 431, 500, 501, 503, 505, 599])
def test_error_pages_are_whole_and_escaped(status: int) -> None:
    response = error_response(status, "<script>&\"'\ud800", fields=(("Retry-After", "1"),))
    page = content_of(response).decode("utf-8")
    assert response.status == status
    assert response.fields[-1] == ("Retry-After", "1")
    assert f"<title>{status} " in page
    assert "&lt;script&gt;&amp;&quot;&#x27;" in page
    assert "<script" not in page
    assert "http" not in page.lower().replace("http version", "")
    assert "color-scheme" in page
