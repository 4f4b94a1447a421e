"""The flight recorder's ring and its dumps, and a trace's writer, without a server."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from server import tracing
from server.errors import StartError
from server.flight import DUMPS_MAX, MARK_SECONDS, Dumps, Flight
from server.tracing import Tracer
from statemachine import Binder
from statemachine.model import BIRTH_STEP
from statemachine.noting import NAMED, Row
from tests.clock import ManualClock
from tests.engine.test_door import fake
from tests.spec.tapes import IDS, SYSTEM, replayed

Job = fake("job")


def jobs(log: object, count: int) -> list[int]:
    """Jobs that are withdrawn as soon as they are accepted: two arrows each. Their births."""
    bound = Binder(SYSTEM, log=log).bind(Job)  # type: ignore[arg-type] # a log
    births = []
    for _ in range(count):
        job = bound()
        job.calls, job.answers = [], {"pool_accepts": True}
        job.accepted()
        job.withdrawn()
        births.append(job.birth)
    return births


def told(rows: list[Row]) -> list[str]:
    return [IDS[row[0] % BIRTH_STEP] for row in rows]


class TestFlight:
    def test_it_keeps_the_last(self) -> None:
        flight = Flight(SYSTEM, ManualClock(), 3)
        births = jobs(flight.log, 10)
        assert told(flight.last_rows()) == ["J4", "J1", "J4"]
        assert [row[0] // BIRTH_STEP * BIRTH_STEP for row in flight.last_rows()] == [
            *(births[-2], births[-1], births[-1])
        ]

    def test_what_comes_after_a_mark_is_dated_by_it(self) -> None:
        clock = ManualClock()
        flight = Flight(SYSTEM, clock, 10)
        jobs(flight.log, 1)
        clock.advance(12.5)
        flight.mark()
        jobs(flight.log, 1)
        assert [row[2] for row in flight.last_rows()] == [0.0, 0.0, 12.5, 12.5]

    def test_idle_time_pushes_nothing_out(self) -> None:
        clock = ManualClock()
        flight = Flight(SYSTEM, clock, 4)
        flight.mark()  # before anything has happened
        jobs(flight.log, 1)
        for _ in range(100):
            clock.advance(1.0)
            flight.mark()
        assert told(flight.last_rows()) == ["J1", "J4"]

    def test_a_busy_reactor_marks_now_and_then(self) -> None:
        clock = ManualClock()
        flight = Flight(SYSTEM, clock, 1000)
        for _ in range(100):
            jobs(flight.log, 1)
            clock.advance(MARK_SECONDS / 10)
            flight.mark()
        seconds = {row[2] for row in flight.last_rows()}
        assert 8 <= len(seconds) <= 11


class TestDumps:
    def dumps(
        self, folder: Path | None, flight: Flight, known: Mapping[int, int] | None = None
    ) -> Dumps:
        clock = ManualClock()
        return Dumps(SYSTEM, flight, clock=clock, folder=folder, known=lambda: known or {})

    def test_a_dump_names_those_who_are_known(self, tmp_path: Path) -> None:
        flight = Flight(SYSTEM, ManualClock(), 8)
        (birth,) = jobs(flight.log, 1)
        file = self.dumps(tmp_path, flight, {birth: 77}).dump("The reactor died: %s!")
        assert file is not None
        assert file.name.startswith(f"interlock-flight-{os.getpid()}-1-the-reactor-died-s-")
        assert file.stat().st_mode & 0o777 == 0o600
        assert f'"object": {birth // BIRTH_STEP}, "known_as": 77' in file.read_text()
        trace, replay = replayed(file)
        assert (trace.header.whole, sum(replay.counts)) == (False, 2)
        assert trace.header.about["when"] == "Sun, 06 Nov 1994 08:49:37 GMT"
        assert NAMED not in replay.places

    def test_without_a_folder_it_goes_to_the_system_s(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        file = self.dumps(None, Flight(SYSTEM, ManualClock(), 8)).dump("x")
        assert file is not None
        assert file.parent == tmp_path

    def test_so_many_are_enough(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        dumps = self.dumps(tmp_path, Flight(SYSTEM, ManualClock(), 8))
        for _ in range(DUMPS_MAX + 5):
            dumps.dump("again")
        assert len(list(tmp_path.iterdir())) == DUMPS_MAX
        assert [one.getMessage() for one in caplog.records][DUMPS_MAX:] == [
            f"flight recorder: again: {DUMPS_MAX} dumps are enough"
        ]

    def test_it_never_fails(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def known() -> NoReturn:
            raise RuntimeError("a mistake")

        flight = Flight(SYSTEM, ManualClock(), 8)
        clock = ManualClock()
        assert Dumps(SYSTEM, flight, clock=clock, folder=tmp_path, known=known).dump("x") is None
        assert self.dumps(tmp_path / "none", flight).dump("y") is None
        assert [one.getMessage().split(": ")[1:3] for one in caplog.records] == [
            ["x", "not written"],
            ["y", "cannot be written"],
        ]

    def test_a_dump_within_a_dump_is_left_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        flight, inner = Flight(SYSTEM, ManualClock(), 8), list[Path | None]()

        def known() -> dict[int, int]:
            inner.append(dumps.dump("inner"))
            return {}

        dumps = Dumps(SYSTEM, flight, clock=ManualClock(), folder=tmp_path, known=known)
        assert dumps.dump("outer") is not None
        assert inner == [None]
        assert "inner: not written, another dump is under way" in caplog.text


class TestTracer:
    @pytest.fixture
    def tracer(self) -> Iterator[Tracer]:
        """Whose thread is only asked at the end, so that the test says when it writes."""
        tracer = Tracer(SYSTEM, ManualClock(), 4)
        yield tracer
        tracer.close(None, None, "")

    def test_what_was_noted_before_it_was_opened_is_written(
        self, tracer: Tracer, tmp_path: Path
    ) -> None:
        jobs(tracer.log, 5)
        tracer.open(tmp_path / "t")
        jobs(tracer.log, 5)
        tracer.close({"J1": 10, "J4": 10}, {"job": 0}, "done")
        tracer.close(None, None, "again, to no effect")
        trace, replay = replayed(tmp_path / "t")
        assert (sum(replay.counts), trace.cut) == (20, "")
        assert trace.ending is not None
        assert (trace.ending.rows, trace.ending.says) == (20, "done")
        assert threading.current_thread().name in trace.threads.values()

    def test_its_last_rows_are_found_once_each(self, tracer: Tracer, tmp_path: Path) -> None:
        jobs(tracer.log, 1)
        assert told(tracer.last_rows()) == ["J1", "J4"]
        tracer._drain()
        assert told(tracer.last_rows()) == ["J1", "J4"]
        jobs(tracer.log, 3)
        assert told(tracer.last_rows()) == ["J1", "J4", "J1", "J4"]

    def test_a_queue_that_was_full_is_thrown_away_and_told(
        self,
        tracer: Tracer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(tracing, "DRAIN_SECONDS", 3600.0)
        monkeypatch.setattr(tracing, "QUEUE_ROWS_MAX", 10)
        tracer.open(tmp_path / "t")
        jobs(tracer.log, 2)
        tracer._drain()
        jobs(tracer.log, 20)
        tracer._drain()
        jobs(tracer.log, 2)
        tracer.close(None, None, "")
        trace, replay = replayed(tmp_path / "t")
        assert trace.ending is not None
        assert (replay.lost, sum(replay.counts), trace.ending.rows) == (1, 8, 9)
        assert "40 rows were not written" in caplog.text

    def test_a_write_that_fails_leaves_whole_chunks(
        self,
        tracer: Tracer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The system takes half of it, and then says no."""
        monkeypatch.setattr(tracing, "DRAIN_SECONDS", 3600.0)
        tracer.open(tmp_path / "t")
        jobs(tracer.log, 3)
        tracer._drain()
        write, room = os.write, [100]

        def reluctant(descriptor: int, data: memoryview) -> int:
            if room[0] == 0:
                raise OSError(28, "No space left on device")
            size = write(descriptor, data[: room[0]])
            room[0] -= size
            return size

        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(os, "write", reluctant)
            jobs(tracer.log, 50)
            tracer._drain()
        jobs(tracer.log, 4)
        tracer.close(None, None, "")
        trace, replay = replayed(tmp_path / "t")
        assert (sum(replay.counts), trace.ending) == (6, None)
        assert trace.cut == "it ends after a whole chunk, and was not ended by its writer"
        assert [one.getMessage() for one in caplog.records] == [
            f"trace {tmp_path / 't'}: it ends here, the server goes on: No space left on device",
            f"trace {tmp_path / 't'}: 108 rows were not written",
        ]

    def test_a_file_that_cannot_be_made_is_a_start_error(self, tracer: Tracer) -> None:
        with pytest.raises(StartError, match=r"^cannot write the trace /none/t: No such file or "):
            tracer.open(Path("/none/t"))

    def test_without_a_thread_there_is_no_trace(
        self, tracer: Tracer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: object) -> NoReturn:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StartError, match="cannot start a thread"):
            tracer.open(tmp_path / "t")

    def test_who_notes_while_it_writes_loses_nothing(self, tmp_path: Path) -> None:
        tracer = Tracer(SYSTEM, ManualClock(), 4)
        tracer.open(tmp_path / "t")
        threads = [threading.Thread(target=jobs, args=(tracer.log, 2000)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tracer.close({"J1": 6000, "J4": 6000}, None, "")
        _, replay = replayed(tmp_path / "t")
        assert (replay.taken()["J1"], replay.taken()["J4"], replay.lost) == (6000, 6000, 0)
