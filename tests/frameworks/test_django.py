"""Django: its admin, with static files, CSRF, sessions and a database; and a large upload."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import pytest

from server.app.wsgi import wsgi
from tests.frameworks import django_site
from tests.frameworks.browser import Browser, hidden
from tests.wire.conftest import Serve

LARGE = bytes(range(256)) * 24_000  # 6 MB


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> WSGIApplication:
    return django_site.configure(tmp_path_factory.mktemp("django"))


@pytest.fixture
def browser(serve: Serve, application: WSGIApplication) -> Browser:
    return Browser(serve(wsgi(application)).server.url)


def test_the_admin_lets_its_keeper_in(browser: Browser) -> None:
    page = browser.get("/admin/")
    assert page.url.endswith("/admin/login/?next=/admin/")
    form = {
        "csrfmiddlewaretoken": hidden(page, "csrfmiddlewaretoken"),
        "username": django_site.USER,
        "password": "wrong",
        "next": "/admin/auth/user/",
    }
    page = browser.post("/admin/login/?next=/admin/", form)
    assert "Please enter the correct username" in page.text
    form |= {
        "csrfmiddlewaretoken": hidden(page, "csrfmiddlewaretoken"),
        "password": django_site.PASSWORD,
    }
    page = browser.post("/admin/login/?next=/admin/", form)
    assert page.url.endswith("/admin/auth/user/")
    assert "1 user" in page.text
    assert {one.name for one in browser.cookies} == {"csrftoken", "sessionid"}


def test_a_form_without_its_token_is_refused(browser: Browser) -> None:
    form = {"username": django_site.USER, "password": django_site.PASSWORD}
    page = browser.post("/admin/login/", form)
    assert page.status == 403
    assert "CSRF" in page.text


def test_static_files(browser: Browser) -> None:
    page = browser.get("/static/admin/css/base.css")
    assert (page.status, page.fields["Content-Type"]) == (200, "text/css")
    assert page.fields["Content-Length"] == str(len(page.content))
    assert b"body" in page.content
    again = browser.get(
        "/static/admin/css/base.css", **{"If-Modified-Since": page.fields["Last-Modified"]}
    )
    assert (again.status, again.content) == (304, b"")
    assert browser.get("/static/admin/nothing.css").status == 404


@pytest.mark.parametrize(
    ("size", "kept"),
    [(100, "InMemoryUploadedFile"), (len(LARGE), "TemporaryUploadedFile")],
)
def test_an_upload(browser: Browser, size: int, kept: str) -> None:
    content = LARGE[:size]
    answer: dict[str, Any] = json.loads(
        browser.upload("/upload", content, form={"note": "mine"}).text
    )
    assert answer == {
        "kept": kept,
        "size": size,
        "digest": hashlib.sha256(content).hexdigest(),
        "note": "mine",
    }


def test_a_stream_and_a_file(browser: Browser) -> None:
    assert browser.get("/stream").text == "0\n1\n2\n"
    assert browser.get("/file").content == Path(django_site.__file__).read_bytes()


def test_head_and_what_is_not_there(browser: Browser) -> None:
    page = browser.head("/admin/login/")
    assert (page.status, page.content) == (200, b"")
    assert browser.get("/nowhere").status == 404
