"""`--app MODULE:CALLABLE`: what it finds, and the one line that says why it found nothing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.app.loading import handler_of, load_application
from server.clock import SystemClock
from server.config import Config
from server.errors import ConfigError, StartError
from server.events import Hub
from tests.app.requests import request

SHOP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"shop"]

def make_app():
    return application

def make_number():
    return 3

def make_trouble():
    raise KeyError("no such setting")

def make_with(setting):
    return application

class Shop:
    door = staticmethod(application)

shop = Shop()
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with modules that no other test sees."""
    modules, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ashop.py").write_text(SHOP)
    package = tmp_path / "apackage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wsgi.py").write_text("from ashop import application\n")
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    [
        "ashop:application",
        "ashop:make_app()",
        "ashop:Shop.door",
        "ashop:shop.door",
        "apackage.wsgi:application",
    ],
)
def test_what_is_named_is_found_in_the_current_folder(folder: Path, name: str) -> None:
    handler = handler_of(Config(app=name), SystemClock(), Hub(Config()))
    assert handler(request("/any/path")).content == b"shop"


def test_without_a_name_the_pages_are_served(folder: Path) -> None:
    (folder / "index.html").write_text("home")
    handler = handler_of(Config(root=folder), SystemClock(), Hub(Config()))
    assert handler(request("/")).content == b"home"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ashop", "--app is 'ashop', expected MODULE:CALLABLE"),
        ("", "--app is '', expected"),
        (":application", "expected MODULE:CALLABLE"),
        ("ashop:", "expected MODULE:CALLABLE"),
        ("ashop.py:application x", "expected MODULE:CALLABLE"),
        ("ashop:make_app(1)", "expected MODULE:CALLABLE"),
        ("../ashop:application", "expected MODULE:CALLABLE"),
        ("nowhere:app", "--app nowhere:app: there is no module nowhere"),
        ("apackage.nowhere:app", "there is no module apackage.nowhere"),
        ("nowhere.deep:app", "there is no module nowhere"),
        ("ashop.deep:app", "there is no module ashop.deep"),
        ("ashop:app", "--app ashop:app: ashop has no attribute app"),
        ("ashop:shop.window", "Shop has no attribute window"),
        ("ashop:number", "--app ashop:number is a int, expected a callable"),
        ("ashop:number()", "is a int, expected a callable"),
        ("ashop:make_number()", "is a int, expected a callable"),
        ("ashop:make_trouble()", "make_trouble() failed: KeyError: 'no such setting' (ashop.py, l"),
        ("ashop:make_with()", "make_with() failed: TypeError: make_with() missing 1"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, name: str, says: str) -> None:
    form = says.startswith("--app is") or "MODULE:CALLABLE" in says
    with pytest.raises(ConfigError if form else StartError) as raised:
        load_application(name)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "loading.py" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\nraise ValueError('two\\nlines')", "ValueError: two lines (broken.py, line 2)"),
        ("import sys\n\nsys.exit('usage')", "SystemExit: usage (broken.py, line 3)"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' (broken.py, line 1)"),
        ("from ashop import nothing", "ImportError: cannot import name 'nothing' from 'ashop'"),
        ("def broken(:", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import ashop\nashop.make_trouble()", "KeyError: 'no such setting' (ashop.py, line 13)"),
    ],
)
def test_a_module_that_fails_is_told_in_one_line(
    folder: Path, source: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "broken.py").write_text(source)
    caplog.set_level(logging.INFO)
    with pytest.raises(StartError) as raised:
        load_application("broken:app")
    assert str(raised.value).startswith(f"--app broken:app: importing broken failed: {says}")
    assert "\n" not in str(raised.value)
    assert caplog.records == []


def test_the_traceback_is_for_who_debugs(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "broken.py").write_text("raise ValueError('no')")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StartError):
        load_application("broken:app")
    assert 'broken.py", line 1, in <module>' in caplog.text


def test_an_interrupt_is_no_failure_of_the_module(folder: Path) -> None:
    (folder / "broken.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_application("broken:app")


def test_the_current_folder_comes_first_and_once(folder: Path) -> None:
    load_application("ashop:application")
    load_application("ashop:make_app()")
    assert sys.path.count(str(folder)) <= 1
    assert "" in sys.path or sys.path[0] == str(folder)
