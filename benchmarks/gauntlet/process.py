"""A server under test: its processes as /proc shows them, its signals, and what it printed."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from benchmarks.gauntlet.contenders import TOP

START_SECONDS_MAX = 20.0
POLL_SECONDS = 0.02
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
LEDGER = re.compile(
    r"^ledger: accepted (?P<accepted>\d+) = answered (?P<answered>\d+) \+ shed (?P<shed>\d+)"
    r" \+ client-gone (?P<client_gone>\d+) \+ forced (?P<forced>\d+)",
    re.MULTILINE,
)


class Started(Protocol):
    """What can be started as a server on a port."""

    def command(self, port: int) -> list[str]:
        """What to run."""


class NotStarted(Exception):
    """The server did not answer its first request."""


@dataclass(frozen=True)
class Ledger:
    """The last line of an Interlock: what became of each request that was accepted."""

    accepted: int
    answered: int
    shed: int
    client_gone: int
    forced: int

    @property
    def balances(self) -> bool:
        """Every request that was accepted has one outcome."""
        return self.accepted == self.answered + self.shed + self.client_gone + self.forced

    def __str__(self) -> str:
        parts = f"{self.answered} + {self.shed} + {self.client_gone} + {self.forced}"
        return f"{self.accepted} = {parts}"

    @classmethod
    def found_in(cls, text: str) -> Ledger | None:
        """The ledger's line of what a server has printed; None if there is none."""
        found = LEDGER.search(text)
        return found and cls(**{name: int(number) for name, number in found.groupdict().items()})


class Process:
    """One contender, started afresh, in a session of its own; left, it is gone with all of it."""

    def __init__(self, contender: Started) -> None:
        self.port = _free_port()
        self._output: tuple[IO[bytes], IO[bytes]] = (
            tempfile.TemporaryFile(),  # noqa: SIM115 - closed by __exit__
            tempfile.TemporaryFile(),  # noqa: SIM115
        )
        self._popen = subprocess.Popen(
            contender.command(self.port),
            cwd=TOP,
            env={**os.environ, "PYTHONPATH": str(TOP), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._output[0],
            stderr=self._output[1],
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            self._await_first_answer()
        except NotStarted:
            self.close()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all its processes at once."""
        for pid in self.pids():
            _kill(pid, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()
        for file in self._output:
            file.close()

    def _await_first_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while self._popen.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(POLL_SECONDS)
        raise NotStarted(f"did not start: {self.errors()[-300:]}")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: gauntlet\r\nConnection: close\r\n\r\n")
                response = b"".join(iter(lambda: peer.recv(65_536), b""))
        except OSError:
            return False
        return b" 200 " in response.partition(b"\r\n")[0]

    # What it is told.

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process that was started, as a supervisor does."""
        self._popen.send_signal(number)

    def leave_descriptors(self, count: int) -> None:
        """From now on, each of its processes has room for so many further descriptors."""
        for pid in self.pids():
            highest = max(_descriptors(pid), default=2)
            limit = (highest + 1 + count, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1])
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)

    # What is seen of it.

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._popen.poll()

    @property
    def ended(self) -> bool:
        """The process that was started has ended."""
        return self.exit_status is not None

    def pids(self) -> list[int]:
        """All processes of its session."""
        found = []
        for place in Path("/proc").iterdir():
            fields = _stat(int(place.name)) if place.name.isdigit() else []
            if fields and int(fields[3]) == self._popen.pid and fields[0] != "Z":
                found.append(int(place.name))
        return found

    def resident_bytes(self) -> int:
        """Memory of all its processes (VmRSS), what they share counted in each."""
        texts = (_read(Path(f"/proc/{pid}/status")) for pid in self.pids())
        found = (re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE) for text in texts)
        return sum(int(one[1]) * 1024 for one in found if one)

    def descriptors(self) -> int:
        """Open descriptors of all its processes."""
        return sum(len(_descriptors(pid)) for pid in self.pids())

    def processor_seconds(self) -> float:
        """Processor time of all its processes until now."""
        stats = filter(None, (_stat(pid) for pid in self.pids()))
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS_A_SECOND

    def holds(self, client_port: int) -> bool:
        """It has not closed its side of this client's connection."""
        return holds(self.port, client_port)

    def printed(self) -> str:
        """Its standard output until now."""
        return _content(self._output[0])

    def errors(self) -> str:
        """Its standard error until now."""
        return _content(self._output[1])

    def ledger(self) -> Ledger | None:
        """What it has said of its requests; None if it has not."""
        return Ledger.found_in(self.printed())


def holds(server_port: int, client_port: int) -> bool:
    """Some process has the server's side of a connection open.

    A socket without an inode is the kernel's alone: it still sends what the process had left.
    """
    for line in _read(Path("/proc/net/tcp")).splitlines()[1:]:
        _, local, remote, _, *_, inode = line.split()[:10]
        ports = (int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16))
        if ports == (server_port, client_port):
            return inode != "0"
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def _content(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode("utf-8", "replace")


def _read(path: Path) -> str:
    """A file of /proc, or nothing, where its process has just gone."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of its stat after its name: state, parent, group, session …"""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _descriptors(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
