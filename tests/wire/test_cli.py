"""`python -m server` as a user meets it: what it prints, how it stops, what it says to mistakes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from server.cli import make_parser
from tests.house.source import TOP
from tests.wire.client import Client

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
LINE = re.compile(
    r"Interlock 0\.1\.0(?: \(compiled\))? serves (.+) on http://127\.0\.0\.1:(\d+) "
    r"with (\d+) threads? \(pid (\d+)\)\n"
)


class Process:
    """A server in a process of its own. `under` are words of the shell that come before it."""

    def __init__(
        self,
        *options: str,
        answers: str | None = None,
        spec: Path | None = None,
        under: str = "true",
    ) -> None:
        environment = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONWARNINGS": "error"}
        if spec is not None:
            environment["INTERLOCK_SPEC"] = str(spec)
        command = [sys.executable, "-m", "server", "--port", "0"]
        self.popen = subprocess.Popen(
            ["sh", "-c", f'{under} && exec "$@"', "sh", *command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.stdout: IO[str] = _is_there(self.popen.stdout)
        if answers is not None:
            _is_there(self.popen.stdin).write(answers)
        _is_there(self.popen.stdin).close()

    def ready(self) -> re.Match[str]:
        """The line that says where it serves."""
        line = self.stdout.readline()
        found = LINE.fullmatch(line)
        assert found, line + self.ended()[1]
        return found

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.ready()[2])

    def ended(self) -> tuple[str, str, int]:
        """What else it printed, what it said on standard error, and its exit status."""
        self.popen.stdin = None
        with self.popen:
            out, err = self.popen.communicate(timeout=60)
        return out, err, self.popen.returncode


def _is_there(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    running: list[Process] = []
    yield running
    for one in running:
        if one.popen.returncode is None:
            one.popen.kill()
            one.ended()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_line_then_pages_then_a_drain(
    processes: list[Process], number: signal.Signals, root: Path
) -> None:
    one = Process("--root", str(root), "--drain-idle-seconds", "0")
    processes.append(one)
    found = one.ready()
    assert (found[1], found[3], int(found[4])) == (str(root), "4", one.popen.pid)
    client = Client(("127.0.0.1", int(found[2])))
    client.send(GET % b"/")
    assert client.reply().content == b"<title>home</title>\n"
    client.send(GET % b"/sleep?seconds=0.5" + GET % b"/")
    one.popen.send_signal(number)
    assert client.reply().status == 200
    client.close()
    out, err, status = one.ended()
    assert status == 0
    assert out == "ledger: accepted 2 = answered 2 + shed 0 + client-gone 0 + forced 0\n"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "times"),
    [((), 1), (("--processes", "2"), 1), (("--ops-bind", "off"), 0), (("--host", "0.0.0.0"), 0)],
)
def test_who_starts_it_is_told_where_it_can_be_watched(
    processes: list[Process], options: tuple[str, ...], times: int
) -> None:
    one = Process(*options)
    processes.append(one)
    port = re.search(r":(\d+) ", one.stdout.readline())
    assert port is not None
    one.popen.send_signal(signal.SIGTERM)
    _, err, status = one.ended()
    assert status == 0
    told = [line for line in err.splitlines() if "the operator's pages are on" in line]
    assert len(told) == times
    assert all(line.endswith(f"http://127.0.0.1:{port[1]}/-/") for line in told)


def test_a_second_signal_forces(processes: list[Process]) -> None:
    one = Process()
    processes.append(one)
    client = Client(one.address())
    client.send(GET % b"/sleep?seconds=60")
    Client(client.peer).close()  # whoever connects later is accepted later: the first was read
    one.popen.send_signal(signal.SIGTERM)
    while "draining" not in _is_there(one.popen.stderr).readline():
        pass
    one.popen.send_signal(signal.SIGTERM)
    assert one.ended()[2] == 1
    with pytest.raises((EOFError, ConnectionResetError)):
        client.reply()
    client.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--threads", "0"), "--threads is 0, expected a whole number, 1 or more"),
        (("--threads", "-3"), "--threads is -3, expected a whole number, 1 or more"),
        (("--threads", "x"), "--threads is 'x', expected a whole number, 1 or more"),
        (("--threads", "1.5"), "--threads is '1.5', expected a whole number, 1 or more"),
        (("--port", "70000"), "--port is 70000, expected 0 to 65535"),
        (("--head-bytes-max", "-1"), "--head-bytes-max is -1, expected a whole number, 1 or more"),
        (("--idle-seconds-max", "nan"), "--idle-seconds-max is nan, expected a number"),
        (("--head-bytes-max", "100"), "--request-line-bytes-max is more than --head-bytes-max"),
        (("--engine", "steam"), "--engine is 'steam', expected one of sealed, stock"),
        (("--access-log-format", "%Q"), "--access-log-format"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(options: tuple[str, ...], says: str) -> None:
    out, err, status = Process(*options).ended()
    assert (out, status, err.count("\n")) == ("", 2, 1)
    assert says in err


def test_an_unknown_option_is_exit_2() -> None:
    out, err, status = Process("--no-such-option").ended()
    assert (out, status) == ("", 2)
    assert "unrecognized arguments: --no-such-option" in err
    assert "Traceback" not in err


def test_what_the_environment_refuses_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, says in (
            (("--port", str(port)), f"cannot listen on 127.0.0.1 port {port}: Address already"),
            (("--root", str(tmp_path / "none")), "none"),
            (("--access-log", str(tmp_path / "none" / "log")), "none"),
            (("--host", "no.such.host.invalid"), "cannot listen on no.such.host.invalid"),
        ):
            out, err, status = Process(*options).ended()
            assert (out, status, err.count("\n")) == ("", 1, 1), err
            assert says in err


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "worker.toml", 'to = "BUSY"', 'to = "BUZY"',
            "worker.toml: row W4: 'to' is 'BUZY', expected a state: BUSY, DEAD, ",
        ),
        ("worker.toml", "transitions = [", "transitions = ", "worker.toml: not TOML: "),
        ("worker.toml", 'id = "W7"', 'id = "W7", colour = "red"', "unknown key 'colour', expected"),
        (
            "worker.toml", 'id = "W7"', 'id = "W6"',
            "worker.toml: row W6: arrow id 'W6' is used twice",
        ),
        ("system.toml", '"baton"', '"batton"', "system.toml: 'machines' holds 'batton', expected"),
        (
            "vocabulary.toml", 'machine = "worker", python = "queue_has_job"',
            'machine = "warder", python = "queue_has_job"',
            "worker.toml: row W4: 'queue_has_job' is a word of machine warder",
        ),
        # Sound, and not what the code was generated from.
        (
            "readiness.toml", "OVERCOMMITTED", "CROWDED",
            "readiness.toml: state CROWDED: is one that the code lacks, expected those of the code",
        ),
    ],
)  # fmt: skip
def test_a_broken_spec_never_starts_a_server(
    tmp_path: Path, file: str, old: str, new: str, says: str
) -> None:
    spec = tmp_path / "spec"
    shutil.copytree(TOP / "spec", spec)
    text = (spec / file).read_text()
    assert old in text
    (spec / file).write_text(text.replace(old, new))
    for options in ((), ("--processes", "2")):
        out, err, status = Process(*options, spec=spec).ended()
        assert (out, status, err.count("\n")) == ("", 1, 1), err
        assert says in err


def test_a_broken_spec_is_not_simulated(tmp_path: Path) -> None:
    pytest.importorskip("greenlet")
    spec = tmp_path / "spec"
    shutil.copytree(TOP / "spec", spec)
    file = spec / "worker.toml"
    file.write_text(file.read_text().replace('to = "BUSY"', 'to = "BUZY"'))
    told = subprocess.run(
        [sys.executable, "-m", "server", "simulate", "--lives", "1"],
        env={**os.environ, "PYTHONPATH": str(TOP), "INTERLOCK_SPEC": str(spec)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (told.stdout, told.returncode, told.stderr.count("\n")) == ("", 2, 1), told.stderr
    assert told.stderr.startswith("interlock: worker.toml: row W4: 'to' is 'BUZY', expected")


@pytest.mark.parametrize("kind", ["nothing", "file", "other"])
def test_a_spec_folder_that_is_none_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    spec = tmp_path / "spec"
    if kind == "file":
        spec.touch()
    if kind == "other":
        spec.mkdir()
        (spec / "system.toml").write_bytes(b"\xff\xfe")
    out, err, status = Process(spec=spec).ended()
    assert (out, status, err.count("\n")) == ("", 1, 1), err
    assert err.startswith("interlock: system.toml: ")


def test_the_number_of_threads_can_come_from_standard_input(processes: list[Process]) -> None:
    one = Process("--threads", "-", answers="7\n")
    processes.append(one)
    assert one.ready()[3] == "7"
    for answers in ("", "\n", "zero\n", "0\n"):
        out, err, status = Process("--threads", "-", answers=answers).ended()
        assert (out, status) == ("", 2)
        assert "--threads" in err


def test_the_access_log_names_the_five_tuple(processes: list[Process]) -> None:
    one = Process("--access-log", "-", "--access-log-format", "tuple")
    processes.append(one)
    host, port = one.address()
    client = Client((host, port))
    client.send(b"GET /nope HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nConnection: close\r\n\r\n")
    assert client.reply().status == 404
    line = one.stdout.readline()
    assert line.startswith("127.0.0.1 - - [")
    assert '"GET /nope HTTP/1.1" 404 ' in line
    assert line.endswith(f'"-" "test" tcp 127.0.0.1:{client.local[1]} 127.0.0.1:{port}\n')
    client.close()


def test_help_shows_every_option_with_its_default() -> None:
    text = make_parser().format_help()
    for option in ("--threads", "--port", "--root", "--engine", "--head-seconds-max", "--version"):
        assert option in text
    assert text.count("(default: ") >= 30


def test_the_stock_engine_serves_as_well(processes: list[Process]) -> None:
    one = Process("--engine", "stock", "--threads", "1")
    processes.append(one)
    client = Client(one.address())
    for _ in range(3):
        client.send(GET % b"/")
        assert client.reply().status == 200
    client.close()
