"""What is kept for all connections together: never above the bounds, and all given back in the end.

Pipes are filled by real threads and emptied by the test's own, which plays the reactor.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import ProtocolError
from server.http1.messages import FileRegion
from server.net.intake import Intake
from server.net.pipe import JOINED_BYTES_MAX, SLICE_BYTES_MAX, SLICE_BYTES_MIN, Pipe
from server.net.reservoir import Reservoir, Tank
from server.net.threads import SystemThreading
from server.server import sound_system
from statemachine import Binder, Engine
from statemachine._generated import PipeState

THREADS = SystemThreading()
SECONDS_MAX = 30.0
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
PIPES = {engine: Binder(sound_system(), engine=engine).bind(Pipe) for engine in ("sealed", "stock")}


class Gauge(Tank):
    """A tank that says when it was ever more than full, or less than empty."""

    def take(self, size: int, *, otherwise: Callable[[], None] | None = None) -> bool:
        taken = super().take(size, otherwise=otherwise)
        assert 0 <= self.held_bytes <= self.bytes_max, "more is held than may be"
        return taken


def reservoir(memory: int = 1 << 30, file: int = 1 << 30) -> Reservoir:
    one = Reservoir(THREADS, memory_bytes_max=memory, file_bytes_max=file)
    one.memory, one.file = Gauge(THREADS, memory), Gauge(THREADS, file)
    return one


def held(one: Reservoir) -> tuple[int, int]:
    return one.memory.held_bytes, one.file.held_bytes


def open_pipe(
    kept: Reservoir, *, memory: int = 1 << 20, file: int = 1 << 20, engine: Engine = "sealed"
) -> Pipe:
    return PIPES[engine](THREADS, kept, memory_bytes_max=memory, file_bytes_max=file)


def nobody() -> None:
    pass


@pytest.fixture(params=["sealed", "stock"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    return engine


# --- a tank -------------------------------------------------------------------------------------


def test_a_tank_gives_what_it_has() -> None:
    tank = Tank(THREADS, 10)
    assert (tank.take(6), tank.take(6), tank.take(4), tank.take(1)) == (True, False, True, False)
    tank.give_back(3)
    assert (tank.take(4), tank.take(3)) == (False, True)
    tank.give_back(10)
    with pytest.raises(ValueError, match="were taken"):
        tank.give_back(1)


def test_who_found_no_room_is_called_once_when_there_is() -> None:
    tank, calls = Tank(THREADS, 10), list[str]()
    tank.take(10)
    first, second = functools.partial(calls.append, "1"), functools.partial(calls.append, "2")
    for _ in range(2):
        assert not tank.take(1, otherwise=first)
    assert not tank.take(1, otherwise=second)
    tank.give_back(0)
    assert calls == []
    tank.give_back(1)
    assert sorted(calls) == ["1", "2"]
    tank.give_back(1)
    assert len(calls) == 2
    assert tank.take(1, otherwise=first)
    tank.give_back(1)
    assert len(calls) == 2


# --- requests' content ----------------------------------------------------------------------------

Steps = list[tuple[int, str, int]]


def settled(intake: Intake) -> bool:
    """All has come. False: there was no room for the last of it."""
    try:
        if intake.basin is not None:
            intake.settle()
    except ProtocolError:
        return False
    return True


def added(intake: Intake, piece: bytes) -> int | None:
    """How much of it was kept. None: there is no room, and all is forgotten."""
    try:
        intake.add(piece)
    except ProtocolError:
        return None
    return len(piece)


def filled(intake: Intake, piece: bytes) -> int | None:
    """The same of what is received to where there is space, of more that is still to come."""
    try:
        space = intake.space(len(piece) + 7)
        if space is None:
            return 0
        taken = min(len(space), len(piece))
        space[:taken] = piece[:taken]
        intake.filled(taken)
    except ProtocolError:
        return None
    return taken


TAKES = {"add": added, "fill": filled}


@given(
    memory=st.integers(0, 60),
    file=st.integers(0, 90),
    own=st.integers(0, 30),
    steps=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["add", "add", "fill", "fill", "take", "drop"]),
            st.integers(1, 25),
        ),
        max_size=30,
    ),
)
def test_whatever_becomes_of_content_it_is_given_back(
    memory: int, file: int, own: int, steps: Steps
) -> None:
    kept = reservoir(memory, file)
    intakes = [Intake(own, kept) for _ in range(3)]
    expected = [b"", b"", b""]
    files: list[BinaryIO] = []
    for number, (which, what, size) in enumerate(steps):
        intake = intakes[which]
        piece = bytes([number]) * size
        if what == "take" and settled(intake):
            content = intake.take()
            if isinstance(content, bytes):
                assert len(content) <= own
            else:
                files.append(content)
                content = content.read()
                assert kept.file.held_bytes >= len(content)
            assert content == expected[which]
        elif what == "drop":
            intake.drop()
        taken = TAKES[what](intake, piece) if what in TAKES else None
        expected[which] = b"" if taken is None else expected[which] + piece[:taken]
        assert kept.memory.held_bytes <= own * len(intakes)
    for intake in intakes:
        intake.drop()
    for one in files:
        one.close()
        one.close()
    assert held(kept) == (0, 0)


def test_content_is_refused_in_words_when_nothing_has_room() -> None:
    kept = reservoir(memory=10, file=10)
    intake = Intake(100, kept)
    intake.add(b"12345678")
    assert held(kept) == (8, 0)
    with pytest.raises(ProtocolError, match="no room for the request's content") as caught:
        intake.add(b"90ab")
    assert caught.value.status == 503
    assert held(kept) == (0, 0)
    assert intake.take() == b""


def test_a_disk_that_is_full_is_said_and_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> BinaryIO:
        raise NO_SPACE

    kept = reservoir()
    intake = Intake(4, kept)
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with caplog.at_level(logging.ERROR), pytest.raises(ProtocolError) as caught:
        intake.add(b"12345")
    assert caught.value.status == 503
    assert "No space left" in caplog.text
    assert held(kept) == (0, 0)


# --- a pipe ---------------------------------------------------------------------------------------


class Writer(threading.Thread):
    """A worker: puts its pieces in, and ends the pipe."""

    def __init__(self, pipe: Pipe, pieces: list[bytes], tell: Callable[[], None] = nobody) -> None:
        super().__init__(name="worker_0", daemon=True)
        self.pipe, self.pieces, self.tell = pipe, pieces, tell
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for piece in self.pieces:
                self.pipe.put(piece, self.tell)
            self.pipe.end()
        except OSError as error:
            self.error = error
        self.tell()

    def ends(self) -> bool:
        self.join(SECONDS_MAX)
        return not self.is_alive()


class Reader:
    """As much of the reactor as a pipe can tell. It looks when it is told to, and only then."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.got = bytearray()
        self.told = threading.Semaphore(0)

    def read(self, most: int = 1 << 30) -> bool:
        """Send so many pieces. True: all has come."""
        state = self.pipe.state
        for _ in range(most):
            piece = self.pipe.take()
            if piece is None:
                self.pipe.make_room()
                if state is not PipeState.OPEN:
                    self.pipe.abandon()
                    return True
                return False
            if isinstance(piece, FileRegion):
                self.got += os.pread(piece.descriptor, piece.size, piece.offset)
                piece.close()
            else:
                self.got += piece
        self.told.release()  # its socket will be writable again
        return False


@settings(max_examples=150, deadline=None)
@given(
    memory=st.sampled_from([0, 50, 70_000, 1 << 30]),
    file=st.sampled_from([0, 50, 70_000, 1 << 30]),
    own_memory=st.sampled_from([1, 60, 200_000]),
    own_file=st.sampled_from([1, 60, 200_000]),
    sizes=st.lists(
        st.lists(st.sampled_from([1, 30, 5000, SLICE_BYTES_MIN + 1, 300_000]), max_size=8),
        min_size=1,
        max_size=3,
    ),
    seed=st.integers(0, 2**32),
)
def test_what_goes_in_comes_out_and_is_given_back(
    memory: int, file: int, own_memory: int, own_file: int, sizes: list[list[int]], seed: int
) -> None:
    """Several pipes share what there is, however little; nobody waits for what has come."""
    rng = random.Random(seed)
    kept = reservoir(memory, file)
    some = threading.Semaphore(0)
    readers, writers, expected = [], [], []
    for number, row in enumerate(sizes):
        pieces = [bytes([65 + (number + i) % 26]) * size for i, size in enumerate(row)]
        reader = Reader(open_pipe(kept, memory=own_memory, file=own_file))

        def tell(reader: Reader = reader) -> None:
            reader.told.release()
            some.release()

        readers.append(reader)
        writers.append(Writer(reader.pipe, pieces, tell))
        expected.append(b"".join(pieces))
    left = set(range(len(readers)))
    while left:
        ready = [one for one in left if readers[one].told.acquire(blocking=False)]
        if not ready:
            assert some.acquire(timeout=SECONDS_MAX), f"all wait, seed {seed}"
            continue
        one = rng.choice(ready)
        for other in ready:
            if other != one:
                readers[other].told.release()
        if readers[one].read(rng.choice([1, 2, 1 << 30])):
            left.remove(one)
    assert all(writer.ends() for writer in writers)
    assert [bytes(one.got) for one in readers] == expected
    assert held(kept) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(
    memory=st.sampled_from([0, 50, 1 << 30]),
    file=st.sampled_from([0, 50, 1 << 30]),
    taken=st.integers(0, 4),
    how=st.sampled_from(["abandon", "fail"]),
)
def test_a_pipe_that_ends_early_gives_all_back_and_lets_its_writer_go(
    memory: int, file: int, taken: int, how: str
) -> None:
    kept = reservoir(memory, file)
    pipe = open_pipe(kept, memory=60, file=200)
    writer = Writer(pipe, [b"x" * 45] * 50)
    reader = Reader(pipe)
    for _ in range(taken):
        reader.read(1)
    if how == "fail":
        pipe.fail()
        assert writer.ends()  # without a reader that goes on
    pipe.abandon()
    assert writer.ends()
    assert isinstance(writer.error, BrokenPipeError)
    assert held(kept) == (0, 0)
    pipe.abandon()
    assert held(kept) == (0, 0)


def test_a_pipe_without_any_room_takes_one_slice_at_a_time(engine: Engine) -> None:
    kept = reservoir(0, 0)
    pipe, told = open_pipe(kept, engine=engine), threading.Semaphore(0)
    writer = Writer(pipe, [b"x" * (2 * SLICE_BYTES_MIN)], told.release)
    for _ in range(2):
        assert told.acquire(timeout=SECONDS_MAX)
        piece = pipe.take()
        assert isinstance(piece, bytes)
        assert len(piece) == SLICE_BYTES_MIN
        assert pipe.take() is None
        assert held(kept) == (0, 0)
    assert writer.ends()
    pipe.abandon()


def test_what_is_being_sent_is_still_held() -> None:
    kept = reservoir()
    pipe = open_pipe(kept)
    pipe.put(b"x" * JOINED_BYTES_MAX, nobody)
    pipe.put(b"y" * 10, nobody)
    pipe.take()
    assert held(kept) == (JOINED_BYTES_MAX + 10, 0)
    pipe.take()
    assert held(kept) == (10, 0)
    pipe.take()
    assert held(kept) == (0, 0)


def test_small_pieces_are_joined() -> None:
    pipe = open_pipe(reservoir())
    for _ in range(JOINED_BYTES_MAX):
        pipe.put(b"ab", nobody)
    pieces = list(iter(pipe.take, None))
    assert b"".join(one for one in pieces if isinstance(one, bytes)) == b"ab" * JOINED_BYTES_MAX
    assert len(pieces) == 2
    pipe.abandon()


def test_who_finds_room_in_the_reservoir_is_woken_by_another_pipe(engine: Engine) -> None:
    kept = reservoir(100, 0)
    full, waiting = open_pipe(kept, engine=engine), open_pipe(kept, engine=engine)
    full.put(b"f" * 100, nobody)
    told = threading.Semaphore(0)
    writer = Writer(waiting, [b"1" * 10, b"2" * 10], told.release)
    assert told.acquire(timeout=SECONDS_MAX)  # the first is in its hand, the second waits
    full.abandon()
    assert writer.ends()
    assert writer.error is None
    waiting.abandon()
    assert held(kept) == (0, 0)


@pytest.mark.parametrize("state", ["broken", "abandoned"])
def test_a_pipe_that_is_over_takes_nothing(engine: Engine, state: str) -> None:
    kept = reservoir()
    pipe = open_pipe(kept, engine=engine)
    if state == "broken":
        pipe.fail()
    else:
        pipe.abandon()
    with pytest.raises(BrokenPipeError):
        pipe.put(b"x", nobody)
    with pytest.raises(BrokenPipeError):
        pipe.end()
    assert (pipe.take(), held(kept)) == (None, (0, 0))


@pytest.mark.parametrize("written", [0, 100])
def test_a_full_disk_breaks_the_pipe(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, written: int
) -> None:
    kept = reservoir()
    pipe = open_pipe(kept, memory=1, engine=engine)
    if written:
        pipe.put(b"x" * (written + 1), nobody)

    def full(*_: object) -> int:
        raise NO_SPACE

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            pipe.put(b"y" * 1000, nobody)
    assert pipe.state is PipeState.BROKEN
    reader = Reader(pipe)
    assert reader.read()
    assert reader.got.count(b"x") == (written + 1 if written else 0)
    assert held(kept) == (0, 0)


def test_without_a_descriptor_for_its_region_a_reader_goes_on(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    kept = reservoir()
    pipe = open_pipe(kept, memory=1, engine=engine)
    content = bytes(range(256)) * 1000
    pipe.put(content, nobody)
    pipe.end()

    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "dup", none_left)
    reader = Reader(pipe)
    assert reader.read()
    assert bytes(reader.got) == content
    assert held(kept) == (0, 0)


def open_descriptors() -> Iterator[str]:
    for one in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{one}")
        except OSError:
            continue


@pytest.mark.parametrize("written", [0, 1000])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_a_reader_that_goes_while_the_file_is_written_leaves_it_to_the_writer(
    monkeypatch: pytest.MonkeyPatch, written: int, fails: bool, failed: bool
) -> None:
    """The number of a file that is closed under a writer is another's, who would be written to."""
    kept = reservoir()
    pipe = open_pipe(kept, memory=1, file=1 << 30)
    if written:
        pipe.put(b"x" * written, nobody)
    before = [one for one in open_descriptors() if "deleted" in one]
    write = os.pwrite

    def slow(descriptor: int, piece: memoryview, offset: int) -> int:
        if failed:
            pipe.fail()
        pipe.abandon()
        os.fstat(descriptor)  # it is still open
        assert held(kept) == (0, 0)
        if fails:
            raise NO_SPACE
        return write(descriptor, piece, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", slow)
        with pytest.raises(OSError):  # noqa: PT011 - either of two
            pipe.put(b"y" * 3 * SLICE_BYTES_MAX, nobody)
    assert held(kept) == (0, 0)
    after = [one for one in open_descriptors() if "deleted" in one]
    assert len(after) == len(before) - (1 if written else 0)
    assert pipe.state is (PipeState.BROKEN if failed else PipeState.ABANDONED)
