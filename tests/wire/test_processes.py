"""`--processes N` as a user meets it: real processes, killed, replaced and stopped under load."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.api import Server, serve
from server.errors import ConfigError
from server.processes.accounts import Total
from server.server import sound_system
from statemachine.replaying import opened
from tests.wire.client import Client
from tests.wire.conftest import replayed
from tests.wire.test_cli import GET, Process, processes

__all__ = ["processes"]  # a fixture

LINE = re.compile(
    r"Interlock 0\.1\.0(?: \(compiled\))? serves (.+) on http://127\.0\.0\.1:(?P<port>\d+) "
    r"with (\d+) threads? in each of (\d+) processes \(pid (?P<pid>\d+)\)\n"
)
LEDGER = re.compile(r"ledger: accepted (\d+) = " + r"\D+ (\d+)" * 5 + "\n")
TERMS = ("accepted", *Total().outcomes)
APPLICATION = """\
import os, threading

def application(environ, start_response):
    if environ["PATH_INFO"] == "/held":
        threading.Event().wait(60)
    content = b"VERSION %d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]
"""
SECONDS_MAX = 30.0


class Several(Process):
    """A parent, two children, and what a client needs to know."""

    def __init__(self, *options: str, folder: Path | None = None) -> None:
        where = f"cd '{folder}'" if folder else "true"
        super().__init__("--processes", "2", *options, under=where)
        line = self.stdout.readline()
        found = LINE.fullmatch(line)
        assert found, line + self.ended()[1]
        self.address_ = "127.0.0.1", int(found["port"])
        assert int(found["pid"]) == self.popen.pid

    def says(self, text: str) -> str:
        """The line, when the log has said so."""
        assert self.popen.stderr is not None
        return next(line for line in self.popen.stderr if text in line)

    def total(self) -> tuple[Total, int]:
        """The ledger at the end, and the exit status."""
        out, err, status = self.ended()
        found = LEDGER.fullmatch(out)
        assert found, out + err
        assert "Traceback" not in err
        return Total(**dict(zip(TERMS, map(int, found.groups()), strict=True))), status


class Visitor(threading.Thread):
    """A client that asks on one connection as long as that persists, and never rests."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.leave = threading.Event()
        self.answers: Counter[bytes] = Counter()
        self.seen = threading.Condition()
        self.lost: list[bytes] = []
        self.errors: list[Exception] = []

    def run(self) -> None:
        try:
            while not self.leave.is_set():
                self._visit(Client(self.address))
        except Exception as error:  # noqa: BLE001 - told by the test
            self.errors.append(error)

    def _visit(self, client: Client) -> None:
        last = b""
        try:
            while not self.leave.is_set():
                client.send(GET % b"/")
                reply = client.reply()
                assert reply.status == 200
                last = reply.content
                with self.seen:
                    self.answers[last] += 1
                    self.seen.notify_all()
                if reply.fields.get("connection") == "close":
                    break
        except (EOFError, ConnectionError):
            self.lost.append(last)
        finally:
            client.close()

    def until_answered(self, beginning: bytes, times: int) -> None:
        """Return when so many answers have begun so."""
        with self.seen:
            assert self.seen.wait_for(lambda: self.count(beginning) >= times, SECONDS_MAX)

    def count(self, beginning: bytes) -> int:
        return sum(n for one, n in self.answers.items() if one.startswith(beginning))


@pytest.fixture
def visitors() -> Iterator[list[Visitor]]:
    found: list[Visitor] = []
    yield found
    for one in found:
        one.leave.set()
        one.join(SECONDS_MAX)
        assert not one.is_alive()


def test_killed_replaced_and_restarted_under_load(
    processes: list[Process], visitors: list[Visitor], tmp_path: Path
) -> None:
    shop = tmp_path / "shop_window.py"
    shop.write_text(APPLICATION)
    one = Several("--app", "shop_window:application", folder=tmp_path)
    processes.append(one)
    held = Client(one.address_)
    held.send(GET % b"/")
    victim = held.reply().content
    held.send(GET % b"/held")
    visitors += [Visitor(one.address_) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
        visitor.until_answered(b"VERSION", 20)

    os.kill(int(victim.split()[1]), signal.SIGKILL)
    one.says("was ended by signal 9, without a word")
    with pytest.raises((EOFError, ConnectionError)):
        held.reply()
    held.close()
    one.says("process 3 is ready")
    shop.write_text(APPLICATION.replace("VERSION", "EDITION"))
    lost_before = [lost for visitor in visitors for lost in visitor.lost]
    one.popen.send_signal(signal.SIGHUP)
    one.says("all processes have been replaced")
    for visitor in visitors:
        visitor.until_answered(b"EDITION", 20)
        visitor.leave.set()
        visitor.join(SECONDS_MAX)
    one.popen.send_signal(signal.SIGTERM)
    total, status = one.total()

    assert [visitor.errors for visitor in visitors] == [[]] * len(visitors)
    lost = [lost for visitor in visitors for lost in visitor.lost]
    assert lost == lost_before, "a rolling restart loses nothing"
    assert set(lost) <= {victim, b""}, "a crash loses its own process's requests"
    assert status == 1
    assert (total.imbalance, total.shed, total.client_gone, total.forced) == (0, 0, 0, 0)
    assert 1 <= total.lost_by_crash <= 1 + len(lost)
    answers = 1 + sum(sum(visitor.answers.values()) for visitor in visitors)
    # An answer may be out, and the process killed before it has counted that: it counts as lost.
    assert answers < total.accepted <= answers + 1 + len(lost)
    assert total.answered <= answers + len(lost)


def test_a_stop_drains_all_and_each_has_its_own_records(
    processes: list[Process], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    one = Several("--trace", str(trace), "--flight-dir", str(tmp_path))
    processes.append(one)
    clients = [Client(one.address_) for _ in range(8)]
    for client in clients:
        client.send(GET % b"/")
        assert client.reply().status == 200
        client.send(GET % b"/sleep?seconds=0.3")
    one.popen.send_signal(signal.SIGUSR1)
    for _ in range(2):
        one.says("flight recorder: asked for")
    one.popen.send_signal(signal.SIGTERM)
    for client in clients:
        assert client.reply().status == 200
        client.close()
    assert one.total() == (Total(accepted=16, answered=16), 0)
    files = [Path(f"{trace}.{number}") for number in (1, 2)]
    assert sorted(tmp_path.glob("trace*")) == files
    accepted = 0
    for file in (*files, *tmp_path.glob("*.jsonl")):
        judged = replayed(file)
        if file in files:
            accepted += judged.counts[list(sound_system().arrows).index("C1")]
            with opened(sound_system(), file) as found:
                assert found.header.whole
    assert accepted == 16


def test_children_end_with_their_parent(processes: list[Process]) -> None:
    one = Several("--drain-idle-seconds", "0")
    processes.append(one)
    client = Client(one.address_)
    client.send(GET % b"/sleep?seconds=0.3")
    one.popen.kill()
    assert client.reply().status == 200  # what was accepted is answered even so
    client.close()
    # The pipes of both end when nobody holds them any more: the children are gone.
    one.ended()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(one.address_)


@pytest.mark.parametrize(
    ("options", "says", "worth"),
    [
        (("--processes", "2", "--app", "nope_"), "--app is 'nope_', expected MODULE:CALLABLE", 2),
        (("--processes", "2", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1 port 0", 1),
    ],
)
def test_a_mistake_is_one_line(options: tuple[str, ...], says: str, worth: int) -> None:
    out, err, status = Process("--log-level", "error", *options).ended()
    assert (out, err.count("\n"), status) == ("", 1, worth), err
    assert says in err


def test_an_application_that_no_module_has_cannot_be_in_several_processes() -> None:
    def nameless(_: object, __: object) -> list[bytes]:
        return []

    with pytest.raises(ConfigError, match="--processes needs an application that other"):
        serve(nameless, processes=2)
    with pytest.raises(ConfigError, match="--processes is for serve"):
        Server(nameless, processes=2)
