"""The server as a library, and `--app`: one application, started in each of the three ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import server
from server.errors import ConfigError, StartError
from tests.house.source import TOP
from tests.wire.client import Client
from tests.wire.test_cli import Process

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
SHOP = """
import os
import sys

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]

def waits(environ, start_response):
    sys.stdout.write("waiting\\n")
    sys.stdout.flush()
    os.read(0, 1)
    return application(environ, start_response)

if __name__ == "__main__":
    import logging
    from server import serve
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
    print("status", serve(waits, port=0, threads=1, drain_idle_seconds=0))
"""


def application(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


# --- Server: inside of a program -----------------------------------------------------------------


def test_a_server_inside_of_a_program() -> None:
    before = threading.active_count(), signal.getsignal(signal.SIGTERM)
    with server.Server(application, port=0, threads=2, drain_idle_seconds=0.0) as one:
        with urllib.request.urlopen(one.url + "/here", timeout=30) as response:
            assert response.read() == b"/here"
        assert one.address[1] == int(one.url.rpartition(":")[2])
        assert (one.config.threads, one.config.drain_idle_seconds) == (2, 0.0)
    assert (threading.active_count(), signal.getsignal(signal.SIGTERM)) == before


def test_two_servers_side_by_side() -> None:
    with (
        server.Server(application, port=0, threads=1) as one,
        server.Server(application, port=0, threads=1) as other,
    ):
        assert one.url != other.url
        for each in (one, other):
            with urllib.request.urlopen(each.url, timeout=30) as response:
                assert response.read() == b"/"


def test_settings_are_those_of_the_config() -> None:
    with pytest.raises(ConfigError, match="--threads is 0"):
        server.Server(application, threads=0)
    with pytest.raises(TypeError, match="idle_minutes"):
        server.Server(application, idle_minutes=3)


def test_a_port_that_is_taken_is_told_at_the_start() -> None:
    with server.Server(application, port=0, threads=1) as one:
        other = server.Server(application, port=one.address[1], threads=1)
        with pytest.raises(StartError, match="in use"):
            other.start()


def test_the_package_names_what_it_has() -> None:
    assert {"Server", "ThreadPool", "serve"} <= set(server.__all__)
    assert all(hasattr(server, name) for name in server.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        getattr(server, "Sever")  # noqa: B009 - mypy would see it


def test_the_pool_alone_does_not_load_the_server() -> None:
    code = "import sys, server; server.ThreadPool; print('server.server' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=TOP)
    assert run.stdout == b"False\n"


# --- serve: a program of its own -----------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "ashop.py"
    path.write_text(SHOP)
    return path


class Program:
    """A Python program that calls `serve`, and whose application waits for a line."""

    def __init__(self, path: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONWARNINGS": "error"}
        self.popen = subprocess.Popen(
            [sys.executable, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def client(self) -> Client:
        """Its first client, which waits in the application."""
        url = self.until("serving on http://127.0.0.1:")
        client = Client(("127.0.0.1", int(url.rpartition(":")[2])))
        client.send(GET % b"/path")
        self.until("waiting")
        return client

    def until(self, start: str) -> str:
        """The next line that it prints, or that its log has, which begins so."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line.startswith(start), line
        return line

    def go_on(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("go on\n")
        self.popen.stdin.flush()

    def ended(self) -> str:
        # What it has printed may be in the stream's buffer already, past which communicate() reads.
        assert self.popen.stdout is not None
        with self.popen:
            return self.popen.stdout.read()


@pytest.fixture
def program(shop: Path) -> Iterator[Program]:
    one = Program(shop)
    yield one
    if one.popen.returncode is None:
        one.popen.kill()
        one.ended()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_drains_at_a_signal(program: Program, number: signal.Signals) -> None:
    client = program.client()
    program.popen.send_signal(number)
    program.until("draining")
    program.go_on()
    assert client.reply().content == b"/path"
    client.close()
    assert program.ended() == "status 0\n"


def test_serve_dumps_at_a_signal_and_goes_on(program: Program) -> None:
    client = program.client()
    program.popen.send_signal(signal.SIGUSR1)
    program.until("flight recorder: asked for: the last ")
    program.go_on()
    assert client.reply().content == b"/path"
    client.close()


def test_serve_is_cut_by_a_second_signal(program: Program) -> None:
    client = program.client()
    program.popen.send_signal(signal.SIGTERM)
    program.until("draining")
    program.popen.send_signal(signal.SIGTERM)
    program.until("a second stop was requested")
    program.until("flight recorder: the stop was forced: the last ")
    program.until("stopped while a handler was still running")
    client.close()
    assert program.ended().endswith("status 1\n")


def test_serve_leaves_signals_alone_outside_of_the_main_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    started: list[server.Server] = []
    ready, statuses = threading.Event(), []
    start = server.Server.start

    def starting(one: server.Server) -> None:
        start(one)
        started.append(one)
        ready.set()

    monkeypatch.setattr("server.api.Server.start", starting)
    thread = threading.Thread(target=lambda: statuses.append(server.serve(application, port=0)))
    thread.start()
    assert ready.wait(30)
    assert signal.getsignal(signal.SIGTERM) is before
    started[0].request_stop()
    thread.join(30)
    assert statuses == [0]


def test_serve_gives_the_signals_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    start = server.Server.start

    def starting(one: server.Server) -> None:
        start(one)
        assert signal.getsignal(signal.SIGTERM) is not before[1]
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("server.api.Server.start", starting)
    assert server.serve(application, port=0, threads=1) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# --- --app: the command line ---------------------------------------------------------------------


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    running: list[Process] = []
    yield running
    for one in running:
        if one.popen.returncode is None:
            one.popen.kill()
            one.ended()


def test_the_command_line_serves_an_application(
    processes: list[Process], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent)
    one = Process("--app", "ashop:application", "--drain-idle-seconds", "0")
    processes.append(one)
    found = one.ready()
    assert found[1] == "ashop:application"
    client = Client(("127.0.0.1", int(found[2])))
    for path in (b"/", b"/index.html", b"/sleep"):  # it answers every path
        client.send(GET % path)
        assert client.reply().content == path
    client.close()
    one.popen.send_signal(signal.SIGTERM)
    assert one.ended()[2] == 0


def test_an_application_that_is_not_there_is_one_line(
    processes: list[Process], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent)
    one = Process("--app", "ashop:app")
    processes.append(one)
    says = "interlock: --app ashop:app: ashop has no attribute app\n"
    assert one.ended() == ("", says, 1)
