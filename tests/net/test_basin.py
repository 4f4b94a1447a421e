"""Large content on its way to a file: whole however it comes, and refused in words where it has no
room.
"""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import Config
from server.errors import ProtocolError
from server.net.basin import FIRST_BYTES, GROWTH, Basin
from server.net.intake import Intake
from server.net.reservoir import Reservoir
from server.net.threads import SystemThreading
from server.simulation.disk import Disk
from server.simulation.kernel import Descriptors


class Kept:
    """A reservoir and a disk, with little room where a test says so."""

    def __init__(self, *, memory: int = 1 << 20, file: int = 1 << 20) -> None:
        self.table = Descriptors()
        self.disk = Disk(self.table)
        self.reservoir = Reservoir(SystemThreading(), memory_bytes_max=memory, file_bytes_max=file)

    def basin(self, bytes_max: int) -> Basin:
        return Basin(bytes_max, self.reservoir, self.disk)

    def intake(self, bytes_max: int) -> Intake:
        return Intake(bytes_max, self.reservoir, self.disk)

    def held(self) -> tuple[int, int]:
        return self.reservoir.memory.held_bytes, self.reservoir.file.held_bytes

    def written(self) -> bytes:
        """What the file holds, if there is one."""
        assert len(self.disk.files) <= 1
        return b"".join(map(bytes, self.disk.files.values()))

    def is_empty(self) -> bool:
        return self.held() == (0, 0) and not self.disk.files and not self.table.faults


def fill(basin: Basin, data: bytes) -> bool:
    """Put it where there is space, as a socket does."""
    while data:
        space = basin.space()
        part = data[: len(space)]
        space[: len(part)] = part
        if basin.filled(len(part)) and not basin.write():
            return False
        data = data[len(part) :]
    return True


@given(
    pieces=st.lists(st.tuples(st.booleans(), st.binary(max_size=25)), max_size=12),
    bytes_max=st.integers(1, 12),
    has_memory=st.booleans(),
)
def test_what_comes_is_whole_however_it_comes(
    pieces: list[tuple[bool, bytes]], bytes_max: int, has_memory: bool
) -> None:
    kept = Kept(memory=bytes_max if has_memory else bytes_max - 1)
    basin, whole = kept.basin(bytes_max), b""
    assert len(basin.space()) == (bytes_max if has_memory else 0)
    for passes_by, piece in pieces:
        assert (fill if passes_by and has_memory else Basin.add)(basin, piece)
        whole += piece
        written = kept.written()
        assert written == whole[: len(written)]
        assert len(whole) - len(written) == (len(whole) % bytes_max if has_memory else 0)
        assert kept.held() == (bytes_max if has_memory else 0, len(written))
    assert basin.settle()
    assert kept.held() == (0, len(whole))
    with basin.take() as file:
        assert file.read() == whole
    assert kept.is_empty()


def test_it_is_written_in_pieces_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, sizes = Kept(), list[int]()

    class Counted(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def write(self, data: memoryview, /) -> int:  # type: ignore[override] # what io gives it
            sizes.append(len(data))
            return len(data)

    monkeypatch.setattr(kept.disk, "temporary", Counted)
    basin = kept.basin(10)
    for _ in range(9):
        assert basin.add(b"abc")
    assert sizes == [10, 10]
    assert basin.settle()
    assert sizes == [10, 10, 7]
    basin.drop()


def test_it_grows_as_it_is_filled_and_no_further_than_it_may() -> None:
    kept, held = Kept(), list[int]()
    basin, content = kept.basin(100_000), bytes(range(250)) * 1000
    for begin in range(0, len(content), 4096):
        assert fill(basin, content[begin : begin + 4096])
        held.append(kept.held()[0])
        assert held[-1] <= max(FIRST_BYTES, GROWTH * (begin + 4096))
    assert list(dict.fromkeys(held)) == [FIRST_BYTES, GROWTH * FIRST_BYTES, 100_000]
    assert len(kept.written()) == 200_000
    assert basin.settle()
    with basin.take() as file:
        assert file.read() == content
    assert kept.is_empty()


def test_without_memory_to_grow_it_is_written_at_the_size_it_has() -> None:
    kept = Kept(memory=2 * FIRST_BYTES)
    basin, content = kept.basin(100_000), b"a" * FIRST_BYTES + b"b" * FIRST_BYTES
    assert fill(basin, content)
    assert kept.held() == (FIRST_BYTES, len(content))
    assert kept.written() == content
    basin.drop()
    assert kept.is_empty()


def test_who_announces_much_and_sends_little_holds_little() -> None:
    kept = Kept()
    intake = kept.intake(512 * 1024)
    intake.add(b"z")
    assert intake.space(1 << 30) is not None
    assert kept.held() == (FIRST_BYTES, 0)
    assert not kept.disk.files
    intake.drop()
    assert kept.is_empty()
    config = Config()
    assert config.connections_max * FIRST_BYTES <= config.buffer_memory_bytes_max


def test_a_disk_that_takes_less_is_given_the_rest_until_it_says_why() -> None:
    kept = Kept()
    basin = kept.basin(10)
    kept.disk.room = 4
    with pytest.raises(OSError, match="No space left"):
        fill(basin, b"0123456789")
    assert kept.written() == b"0123"
    basin.drop()
    assert kept.is_empty()


def test_a_disk_that_takes_a_little_at_a_time_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    basin, write = kept.basin(10), kept.disk.pwrite
    monkeypatch.setattr(kept.disk, "pwrite", lambda one, data, at: write(one, data[:3], at))
    assert fill(basin, b"0123456789abc")
    assert basin.settle()
    with basin.take() as file:
        assert file.read() == b"0123456789abc"


@pytest.mark.parametrize("when", ["filled", "settle"])
@pytest.mark.parametrize("what", ["disk", "tank"])
def test_large_content_without_room_is_refused_in_words(
    caplog: pytest.LogCaptureFixture, when: str, what: str
) -> None:
    kept = Kept(file=1 << 20 if what == "disk" else 14)
    intake = kept.intake(10)
    space = intake.space(25)
    assert space is not None
    intake.filled(len(space))
    assert kept.held() == (10, 10)
    space = intake.space(15)
    assert space is not None
    if what == "disk":
        kept.disk.room = 2

    def give_up() -> None:
        intake.filled(10 if when == "filled" else 5)
        intake.settle()

    with caplog.at_level(logging.ERROR), pytest.raises(ProtocolError, match="no room") as caught:
        give_up()
    assert caught.value.status == 503
    assert ("No space left" in caplog.text) is (what == "disk")
    assert kept.is_empty()
    assert intake.take() == b""


def test_without_a_descriptor_large_content_is_refused() -> None:
    kept = Kept()
    kept.table.most = 0
    intake = kept.intake(10)
    assert intake.space(11) is not None
    with pytest.raises(ProtocolError, match="no room"):
        intake.filled(10)
    assert kept.is_empty()


@pytest.mark.parametrize(("awaited", "has_space"), [(0, False), (1, False), (7, False), (8, True)])
def test_what_may_stay_in_memory_gathers_nowhere(awaited: int, has_space: bool) -> None:
    kept = Kept()
    intake = kept.intake(10)
    intake.add(b"abc")
    assert (intake.space(awaited) is not None) is has_space
    assert (intake.basin is not None) is has_space
    assert kept.held() == (10 if has_space else 3, 0)
    intake.drop()
    assert kept.is_empty()


def test_where_memory_is_short_content_comes_piece_by_piece() -> None:
    kept = Kept(memory=9)
    intake = kept.intake(10)
    intake.add(b"abc")
    assert intake.space(100) is None
    assert kept.held() == (0, 3)  # what it had of memory is not wasted on it
    intake.add(b"defghijklmn")
    assert kept.held() == (0, 14)
    intake.settle()
    content = intake.take()
    assert not isinstance(content, bytes)
    with content:
        assert content.read() == b"abcdefghijklmn"
    assert kept.is_empty()


def test_what_is_handed_over_can_be_read_and_sought_and_not_written() -> None:
    kept = Kept()
    basin = kept.basin(4)
    assert basin.add(b"one\ntwo\nthree")
    assert basin.settle()
    file = basin.take()
    assert list(file) == [b"one\n", b"two\n", b"three"]
    assert file.seek(-5, io.SEEK_END) == 8
    assert (file.read(2), file.tell(), file.readable(), file.writable()) == (b"th", 10, True, False)
    for _ in range(2):
        file.close()
        assert kept.is_empty()
