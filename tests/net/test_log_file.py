"""Where lines go: whole, never waited for, counted when lost, and to the new file when rotated."""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import log_file
from server.log_file import LogFile, Stream, file_stream, reopen_all
from tests.clock import ManualClock
from tests.house.source import TOP

FULL = OSError(28, "No space left on device")
PIPE_BYTES = 4096


class Told(list[tuple[int, str]]):
    def __call__(self, lost: int, why: str) -> None:
        self.append((lost, why))


def log_to(stream: Stream, **settings: int) -> LogFile:
    log = LogFile(lambda: stream, Told(), clock=ManualClock(), **settings)
    log.open()
    return log


class Dribble:
    """Takes few bytes at a time, and lets another thread run between them."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self.taken.append(piece[:7])
        return len(piece[:7])

    def close(self) -> None: ...


def test_threads_write_whole_lines() -> None:
    stream = Dribble()
    log = log_to(stream)
    lines = [[f"/{thread}/{at}/" + "x" * (at % 50) for at in range(100)] for thread in range(6)]

    def put(mine: list[str]) -> None:
        for line in mine:
            log.put(f"{line}\n".encode())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=put, args=(mine,)) for mine in lines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    log.close()
    written = b"".join(stream.taken).decode().split("\n")
    assert written.pop() == ""
    assert sorted(written) == sorted(line for mine in lines for line in mine)
    for number in range(6):
        assert [one for one in written if one.startswith(f"/{number}/")] == lines[number]
    assert log.lines_lost == 0


class Failing:
    """Takes what its plan says, piece by piece: a number of bytes, or an error."""

    def __init__(self, *plan: int | Exception | None) -> None:
        self.plan = list(plan)
        self.taken = b""

    def write(self, piece: bytes) -> int | None:
        step = self.plan.pop(0) if self.plan else len(piece)
        if isinstance(step, Exception):
            raise step
        self.taken += piece[: step or 0]
        return step

    def close(self) -> None:
        raise FULL


def written(stream: Stream, *pieces: bytes) -> LogFile:
    """A log whose writer has written these pieces, one after the other, on this thread."""
    log = LogFile(lambda: stream, Told(), clock=ManualClock())
    log._stream = stream
    for piece in pieces:
        log._write(piece)
    return log


@pytest.mark.parametrize("error", [FULL, BrokenPipeError(32, "Broken pipe"), 0])
def test_a_failing_write_is_counted(error: Exception | int | None) -> None:
    stream = Failing(error, 2, error)
    log = written(stream, b"GET\n", b"GET\n", b"GET\n", b"GET\n")
    assert log.lines_lost == 2
    # The second line stopped after two bytes; the third begins on a line of its own.
    assert stream.taken == b"GE\nGET\nGET\n"


def test_a_lost_line_after_half_a_line_owes_one_line_end() -> None:
    stream = Failing(2, FULL, FULL, 1, FULL)
    log = written(stream, b"GET\n", b"GET\n", b"GET\nPUT\n", b"GET\n")
    assert stream.taken == b"GE\nGET\n"
    assert log.lines_lost == 4


def test_many_lines_that_are_written_at_once_are_each_counted() -> None:
    stream = Failing(6, FULL)
    assert written(stream, b"GET\nPUT\nTRY\n").lines_lost == 2
    assert stream.taken == b"GET\nPU"


def test_a_pipe_that_would_have_to_be_waited_for_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_file, "BLOCKED_SECONDS", 0)
    stream = Failing(None, None, 4)
    assert written(stream, b"GET\n").lines_lost == 0
    assert stream.taken == b"GET\n"


def test_it_complains_once_a_minute() -> None:
    clock, told = ManualClock(), Told()
    log = LogFile(lambda: Failing(*[FULL] * 4), told, clock=clock)
    log._stream = log._open_stream()
    for seconds in (0, 59, 1, 0):
        clock.advance(seconds)
        log._why = str(log._write(b"GET\n"))
        log._complain()
    assert told == [(1, str(FULL)), (3, str(FULL))]
    log.tell_rest()
    log.tell_rest()
    assert told[2:] == [(4, str(FULL))]


def test_without_a_thread_lines_wait_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Dribble()
    log = log_to(stream)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        log.put(b"first\n")
    log.put(b"second\n")
    log.close()
    assert b"".join(stream.taken) == b"first\nsecond\n"


def test_close_ends_the_log_and_raises_nothing() -> None:
    log = log_to(Failing())
    log.close()
    log.close()
    log.put(b"late\n")
    assert log.lines_lost == 2, "the close, which failed, and the line"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe that has room for PIPE_BYTES, and is full."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(writing, b"." * PIPE_BYTES)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_nobody_waits_for_a_pipe_that_is_full(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    told = Told()
    log = LogFile(file_stream(writing), told, clock=ManualClock(), queue_bytes_max=1000)
    log.open()
    for number in range(1000):
        log.put(b"%05d\n" % number)
    lost = log.lines_lost
    assert 0 < lost < 1000
    # The reader comes back: what was put before is written in its order, and what was lost is told.
    assert os.read(reading, PIPE_BYTES) == b"." * PIPE_BYTES
    log.close()
    lines = os.read(reading, PIPE_BYTES).splitlines()
    assert lines == sorted(lines)
    assert len(lines) == 1000 - lost == 1000 - log.lines_lost
    assert [count for count, _ in told] == [lost]


def test_the_end_waits_for_a_full_pipe_no_longer_than_it_may(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    monkeypatch.setattr(log_file, "FLUSH_SECONDS_MAX", 0.01)
    log = LogFile(file_stream(writing), told := Told(), clock=ManualClock())
    log.open()
    for _ in range(20_000):
        log.put(b"12345\n")
    log.close()
    assert log.lines_lost == 20_000, "what the writer has in its hands included"
    log.tell_rest()
    assert told == [(20_000, log_file.TOO_LITTLE)]
    # Its thread is let go of its last piece, or it would outlive the test.
    assert log._thread is not None
    while log._thread.is_alive():
        os.read(reading, 1 << 20)
        log._thread.join(0.001)


def test_a_log_that_was_moved_away_goes_on_in_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = LogFile(file_stream(str(file)), Told(), clock=ManualClock())
    log.open()
    log.put(b"before\n")
    file.rename(tmp_path / "log.1")
    log.put(b"still\n")
    reopen_all()
    log.put(b"after\n")
    log.close()
    assert (tmp_path / "log.1").read_text() == "before\nstill\n"
    assert file.read_text() == "after\n"


def test_a_file_that_cannot_be_made_anew_leaves_the_old_one(tmp_path: Path) -> None:
    streams: list[Stream] = [old := io.BytesIO()]
    told = Told()

    def open_stream() -> Stream:
        if not streams:
            raise OSError(2, "No such file or directory")
        return streams.pop()

    log = LogFile(open_stream, told, clock=ManualClock())
    log.open()
    log.reopen()
    log.put(b"after\n")
    text = b""
    close = old.close
    old.close = lambda: None  # type: ignore[method-assign]
    log.close()
    text = old.getvalue()
    close()
    assert text == b"after\n"
    assert told == [(0, "it cannot be opened again: [Errno 2] No such file or directory")]


FORKS = """\
import os, sys
from server.log_file import LogFile, file_stream
log = LogFile(file_stream(sys.argv[1]), print)
log.open()
child = os.fork()
log.put(b"child\\n" if child == 0 else b"parent\\n")
log.close()
if child:
    sys.exit(os.waitpid(child, 0)[1])
os._exit(0)
"""


def test_a_child_has_a_writer_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "log"
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(file)]
    subprocess.run(command, cwd=TOP, check=True, timeout=30)
    assert sorted(file.read_text().splitlines()) == ["child", "parent"]
