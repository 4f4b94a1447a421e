"""Flask, and werkzeug's debugger."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from werkzeug.debug import DebuggedApplication

from server.app.wsgi import wsgi
from server.net.connection import FILE_TURN_BYTES_MAX
from tests.frameworks.browser import Browser
from tests.wire.conftest import Serve

LARGE = bytes(range(256)) * 10_000


def make_app(folder: Path) -> flask.Flask:  # noqa: C901 - one short view after another
    app = flask.Flask("shop")
    app.secret_key = "not a secret"

    @app.get("/hello/<name>")
    def hello(name: str) -> str:
        return f"hello {name} from {flask.request.args.get('city', 'nowhere')}"

    @app.get("/stream")
    def stream() -> flask.Response:
        def pieces() -> Iterator[str]:
            yield "for "
            yield flask.request.args["name"]
            yield ""
            yield "!"

        return flask.Response(flask.stream_with_context(pieces()), mimetype="text/plain")

    @app.post("/upload")
    def upload() -> dict[str, object]:
        file = flask.request.files["file"]
        digest = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
        return {"name": file.filename, "note": flask.request.form["note"], "digest": digest}

    @app.post("/raw")
    def raw() -> str:
        return hashlib.sha256(flask.request.get_data()).hexdigest()

    @app.get("/count")
    def count() -> str:
        flask.session["count"] = flask.session.get("count", 0) + 1
        return str(flask.session["count"])

    @app.get("/large")
    def large() -> flask.Response:
        return flask.send_file(folder / "large.bin", conditional=True)

    @app.get("/memory")
    def memory() -> flask.Response:
        return flask.send_file(io.BytesIO(LARGE), mimetype="application/x-memory")

    @app.get("/old")
    def old() -> Any:
        return flask.redirect(flask.url_for("hello", name="you"))

    @app.get("/nothing")
    def nothing() -> tuple[str, int]:
        return "", 204

    @app.get("/fail")
    def fail() -> str:
        raise ValueError("in the view")

    return app


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    (tmp_path / "large.bin").write_bytes(LARGE)
    return make_app(tmp_path)


@pytest.fixture
def browser(serve: Serve, app: flask.Flask) -> Browser:
    return Browser(serve(wsgi(app)).server.url)


def test_routes(browser: Browser) -> None:
    page = browser.get("/hello/w%C3%B6rld?city=K%C3%B6ln")
    assert (page.status, page.text) == (200, "hello wörld from Köln")
    assert page.fields["Content-Length"] == str(len(page.content))
    assert browser.get("/nowhere").status == 404
    assert browser.post("/hello/you", {}).status == 405
    assert browser.get("/nothing").status == 204
    assert browser.get("/old").url.endswith("/hello/you")


def test_head(browser: Browser) -> None:
    page = browser.head("/hello/you")
    assert (page.fields["Content-Length"], page.content) == ("22", b"")


def test_a_stream_keeps_its_request(browser: Browser) -> None:
    page = browser.get("/stream?name=you")
    assert (page.text, page.fields["Content-Length"]) == ("for you!", None)
    assert page.fields["Transfer-Encoding"] == "chunked"


def test_a_file_is_uploaded(browser: Browser) -> None:
    page = browser.upload("/upload", LARGE, form={"note": "mine"})
    digest = hashlib.sha256(LARGE).hexdigest()
    assert flask.json.loads(page.text) == {"name": "a.bin", "note": "mine", "digest": digest}


def test_content_is_read_whatever_its_size(browser: Browser) -> None:
    for size in (0, 1, 500_000, 2_000_000):
        data = {"x": "y" * size}
        wanted = hashlib.sha256(b"x=" + b"y" * size).hexdigest()
        assert browser.post("/raw", data, **{"Content-Type": "text/plain"}).text == wanted


def test_a_session_lasts(browser: Browser) -> None:
    assert [browser.get("/count").text for _ in range(3)] == ["1", "2", "3"]


def test_a_file_is_sent_by_the_kernel(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, send = [], os.sendfile

    def noted(*arguments: Any) -> int:
        asked.append(arguments[2:])  # before it is sent, for then the client goes on
        return send(*arguments)

    monkeypatch.setattr(os, "sendfile", noted)
    page = browser.get("/large")
    assert page.content == LARGE
    assert asked[0] == (0, FILE_TURN_BYTES_MAX)
    wanted = (offset + min(len(LARGE) - offset, FILE_TURN_BYTES_MAX) for offset, _ in asked)
    assert [offset + size for offset, size in asked] == list(wanted)
    assert browser.get("/large", **{"If-None-Match": page.fields["ETag"]}).status == 304
    part = browser.get("/large", Range="bytes=100-199")
    assert (part.status, part.content) == (206, LARGE[100:200])
    memory = browser.get("/memory")
    assert (memory.content, memory.fields["Content-Type"]) == (LARGE, "application/x-memory")


def test_a_view_that_fails_is_flask_s_page_and_our_log(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    page = browser.get("/fail")
    assert (page.status, b"<h1>Internal Server Error</h1>" in page.content) == (500, True)
    assert "ValueError: in the view" in caplog.text


def test_the_debugger_shows_the_traceback(serve: Serve, app: flask.Flask) -> None:
    app.debug = True
    browser = Browser(serve(wsgi(DebuggedApplication(app, evalex=False))).server.url)
    page = browser.get("/fail")
    assert page.status == 500
    assert "ValueError: in the view" in page.text
    style = browser.get("/fail?__debugger__=yes&cmd=resource&f=style.css")
    assert (style.status, style.fields.get_content_type()) == (200, "text/css")
    assert browser.get("/hello/you").text == "hello you from nowhere"


def test_the_debugger_says_when_it_is_too_late(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"some"
        raise ValueError("in the stream")

    page = Browser(serve(wsgi(DebuggedApplication(application))).server.url).get("/")
    assert (page.status, page.content) == (200, b"some")
    said = {record.message for record in caplog.records if record.name == "interlock.app"}
    assert any("headers were already sent" in line for line in said)
    assert "ValueError: in the stream" in caplog.text
