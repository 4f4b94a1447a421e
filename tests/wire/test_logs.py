"""Logs as an operator meets them: a reader that takes nothing, a rotation, an upstream's trace."""

from __future__ import annotations

import fcntl
import json
import signal
from pathlib import Path

from tests.wire.client import Client
from tests.wire.test_cli import GET, Process, processes

__all__ = ["processes"]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PIPE_BYTES = 4096


def test_a_stuck_reader_of_standard_output_stops_nothing(processes: list[Process]) -> None:
    one = Process("--access-log", "-", "--drain-idle-seconds", "0")
    processes.append(one)
    address = one.address()
    fcntl.fcntl(one.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    client = Client(address)
    agent = b"User-Agent: " + b"x" * PIPE_BYTES
    for _ in range(10):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + agent + b"\r\n\r\n")
        assert client.reply().status == 200
    one.popen.send_signal(signal.SIGTERM)
    assert one.popen.wait(30) == 0
    _, err, _ = one.ended()
    assert "WARNING interlock.access_log: the access log fails; lines lost so far: " in err
    client.close()


def test_a_rotation(processes: list[Process], tmp_path: Path) -> None:
    access, said = tmp_path / "access.log", tmp_path / "error.log"
    one = Process(
        *("--access-log", str(access), "--access-log-format", "json"),
        *("--log-file", str(said), "--log-format", "json", "--log-level", "debug"),
    )
    processes.append(one)
    client = Client(one.address())
    # The line is put when the client has its answer, and written by another thread: requests are
    # what passes the time, here and below.
    while not access.read_text("utf-8"):
        client.send(GET % b"/before")
        assert client.reply().status == 404
    access.rename(tmp_path / "access.log.1")
    said.rename(tmp_path / "error.log.1")
    one.popen.send_signal(signal.SIGHUP)
    # The supervisor opens them again at its next turn.
    while not (access.exists() and said.exists()):
        client.send(GET % b"/meanwhile")
        client.reply()
    client.send(
        b"GET /after HTTP/1.1\r\nHost: a\r\ntraceparent: 00-%s-00f067aa0ba902b7-01\r\n\r\n"
        % TRACE.encode()
    )
    assert client.reply().status == 404
    client.close()
    one.popen.send_signal(signal.SIGTERM)
    out, err, status = one.ended()
    assert (status, err) == (0, "")
    assert out.startswith("ledger: ")
    before = _objects(tmp_path / "access.log.1")
    after = _objects(access)
    assert before[0]["target"] == "/before"
    assert {told["target"] for told in before + after[:-1]} <= {"/before", "/meanwhile"}
    last = after[-1]
    assert (last["target"], last["status"], last["trace_id"]) == ("/after", 404, TRACE)
    assert last["state"] == "EXCHANGING"
    times = [last[name] for name in ("queue_ms", "app_ms", "write_ms")]
    assert all(isinstance(one, float) and one >= -0.001 for one in times)
    assert "draining" in said.read_text("utf-8")
    assert all(str(told["logger"]).startswith("interlock.") for told in _objects(said))


def _objects(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
