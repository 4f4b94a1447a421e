"""Edges of the net room's small parts, each found by a mutant that survived."""

from __future__ import annotations

import errno
import os
from typing import Any, cast, get_args

import pytest

from server.http1.messages import FileRegion
from server.net.crew import RESPAWNS_MAX, Crew
from server.net.poller import EpollPoller
from statemachine import Engine
from statemachine._generated import PipeState
from tests.net.test_reservoir import nobody, open_pipe, reservoir

ENGINES: tuple[Engine, ...] = get_args(Engine)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return cast("Engine", request.param)


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="EpollPoller needs epoll and eventfd")
def test_a_bell_that_was_heard_is_silent() -> None:
    """Or every later poll would return at once, and the reactor would turn for ever."""
    poller = EpollPoller()
    poller.wake()
    poller.wake()
    assert poller.poll(0.0) == []
    with pytest.raises(BlockingIOError):
        os.eventfd_read(poller._bell)
    poller.close()


def test_without_a_descriptor_only_what_is_written_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no descriptor can be had, bytes are read from a file that is just being written to."""
    pipe = open_pipe(reservoir(), memory=1)
    pipe.put(b"x" * 1000, nobody)
    first = pipe.take()
    assert isinstance(first, FileRegion)
    first.close()
    pipe.put(b"y" * 1000, nobody)
    taken: list[object] = []
    write = os.pwrite

    def reading(descriptor: int, piece: memoryview, offset: int) -> int:
        written = write(descriptor, piece, offset)
        taken.append(pipe.take())
        return written

    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", none_left)
        patch.setattr(os, "pwrite", reading)
        pipe.put(b"z" * 1000, nobody)
        assert taken == [b"y" * 1000]
        assert pipe.take() == b"z" * 1000
        assert pipe.take() is None
    pipe.abandon()


@pytest.mark.arrow("E2")
@pytest.mark.arrow("E3")
@pytest.mark.arrow("E4")
def test_a_pipe_says_how_it_ended(engine: Engine) -> None:
    failed, abandoned, ended = (open_pipe(reservoir(), engine=engine) for _ in range(3))
    failed.fail()
    abandoned.abandon()
    ended.end()
    assert (failed.state, abandoned.state) == (PipeState.BROKEN, PipeState.ABANDONED)
    ended.abandon()
    assert ended.state is PipeState.ABANDONED
    for pipe, says in (
        (failed, "the pipe has been failed"),
        (abandoned, "the peer has gone"),
        (ended, "the peer has gone"),
    ):
        with pytest.raises(BrokenPipeError, match=says):
            pipe.put(b"x", nobody)


def test_who_has_found_the_pipe_empty_is_told_of_what_is_in_its_file() -> None:
    told: list[str] = []
    pipe = open_pipe(reservoir(), memory=1)
    pipe.put(b"x" * 1000, lambda: told.append("first"))
    pipe.put(b"y" * 1000, lambda: told.append("second"))
    assert told == ["first"]
    pipe.abandon()


def test_a_file_that_is_read_to_its_end_is_started_anew() -> None:
    kept = reservoir()
    pipe = open_pipe(kept, memory=1, file=1500)
    for _ in range(3):  # each time in a file that has room for one
        pipe.put(b"x" * 1000, nobody)
        region = pipe.take()
        assert isinstance(region, FileRegion)
        assert (region.offset, region.size) == (0, 1000)
        assert kept.file.held_bytes == 1000
        region.close()
        pipe.make_room()
        assert kept.file.held_bytes == 0
    pipe.make_room()  # where there is none
    pipe.abandon()


def test_a_file_that_is_not_read_to_its_end_is_kept() -> None:
    kept = reservoir()
    pipe = open_pipe(kept, memory=1)
    pipe.put(b"x" * 1000, nobody)
    pipe.make_room()
    assert kept.file.held_bytes == 1000
    region = pipe.take()
    assert isinstance(region, FileRegion)
    assert os.pread(region.descriptor, region.size, region.offset) == b"x" * 1000
    region.close()
    pipe.abandon()


def test_deaths_are_counted_in_a_row_until_a_job_must_have_ended() -> None:
    """Each worker may hold a job that has not ended: only of more jobs than workers has one."""
    crew = Crew(stand_ins_max=0, late_seconds_max=1.0, job_seconds_max=1.0)
    crew.workers = {cast("Any", object()): None for _ in range(3)}
    assert [crew.may_respawn(0) for _ in range(RESPAWNS_MAX)] == [True] * RESPAWNS_MAX
    assert not crew.may_respawn(0)
    assert not crew.may_respawn(3)
    assert not crew.may_respawn(6)
    assert crew.may_respawn(10)
    assert [crew.may_respawn(10) for _ in range(RESPAWNS_MAX)] == [
        *[True] * (RESPAWNS_MAX - 1),
        False,
    ]
