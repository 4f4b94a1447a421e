"""What a plain start imports: the rooms that serve, and nothing that nobody has asked for.

A module costs a start about a third of a millisecond. Whoever adds an import to a room that
serves learns here what else it brings along.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.house.source import TOP

START = """\
import socket
import sys
before = set(sys.modules)  # what this interpreter's site brings along is its own affair
import server.cli
from server.config import Config
from server.server import Server
with Server(Config(port=0, {settings})) as one:
    with socket.socket() as peer:
        peer.connect(one.address)
        peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        assert peer.recv(12) == b"HTTP/1.1 200"
    seen = sorted(set(sys.modules) - before)
print(*seen)
"""

APPLICATION = "app='wsgiref.simple_server:demo_app'"

IDLE = {
    "the spec's loader and its checks": (
        *("statemachine.loader", "statemachine.rows", "statemachine.checks", "tomllib"),
        *("statemachine.composition", "statemachine.composition_rows", "statemachine.projection"),
        "statemachine.composition_checks",
    ),
    "the spec's tools": (
        *("statemachine.generate", "statemachine.composed", "statemachine.explore"),
        *("statemachine.replay", "statemachine.diagrams", "statemachine.proving", "z3"),
    ),
    "the operator's rooms": (
        *("server.ops.pages", "server.ops.snapshot", "server.ops.frames", "server.ops.listing"),
        *("server.ops.door", "server.ops.login", "server.ops.control", "server.ops.orders"),
        *("server.ops.several", "server.ops.metrics", "server.ops.assets", "server.observing"),
        *("server.listing", "prometheus_client"),
    ),
    "other commands": (
        *("server.ops.command", "server.processes", "server.simulation", "server.api", "greenlet"),
        "server.thread_pool",
    ),
    "logs that there are not": ("server.net.log_format", "server.net.log_json"),
    "what is large of the standard library": (
        *("asyncio", "ssl", "multiprocessing", "concurrent.futures", "decimal", "subprocess"),
        *("hashlib", "secrets", "html", "platform", "unittest", "unicodedata", "encodings.idna"),
    ),
}
"""What no start imports, unless its Config asks for it."""

FILES = ("server.app.dispatch", "server.app.representation", "mimetypes", "datetime")
"""What answers with files, and not with an application."""

WSGI = ("server.app.wsgi", "server.app.wsgi_environ", "wsgiref.types")

OURS_MAX = 130
"""Of our own modules: fifteen more than there are."""


def imported(settings: str) -> set[str]:
    """The modules that are there when a server has answered once."""
    done = subprocess.run(
        [sys.executable, "-c", START.replace("{settings}", settings)],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def within(modules: Iterable[str], names: Iterable[str]) -> list[str]:
    """Those modules that are one of the names, or below one."""
    return [one for one in modules if any(f"{one}.".startswith(f"{name}.") for name in names)]


@pytest.fixture(scope="module")
def pages() -> set[str]:
    return imported("")


@pytest.fixture(scope="module")
def applied() -> set[str]:
    # The application brings modules of its own along: what is compared is ours.
    return {one for one in imported(APPLICATION) if one.startswith(("server", "statemachine"))}


@pytest.mark.parametrize("what", IDLE)
def test_what_nobody_has_asked_for_is_not_imported(
    what: str, pages: set[str], applied: set[str]
) -> None:
    assert within(pages | applied, IDLE[what]) == []


def test_files_need_no_wsgi_and_an_application_no_files(pages: set[str], applied: set[str]) -> None:
    assert within(pages, WSGI) == []
    assert within(applied, FILES) == []
    assert {"server.app.dispatch", "mimetypes"} <= pages
    assert "server.app.wsgi" in applied


def test_a_start_has_no_more_modules_than_it_had(pages: set[str], applied: set[str]) -> None:
    for modules in (pages, applied):
        ours = within(modules, ("server", "statemachine"))
        assert 80 < len(ours) <= OURS_MAX, ours
    # The interpreter's own differ between its versions.
    assert len(pages) < 300, sorted(pages)


def test_what_is_named_here_is_there() -> None:
    """A name that is nobody's would be kept out for ever."""
    for name in (name for names in (*IDLE.values(), FILES, WSGI) for name in names):
        if name.startswith(("server", "statemachine")):
            place = TOP / name.replace(".", "/")
            assert place.is_dir() or place.with_suffix(".py").is_file(), name
