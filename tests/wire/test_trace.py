"""Traces and the flight recorder, as a user meets them: on real sockets, and when things go wrong.

That every other server of `tests/wire` keeps to the spec by its own trace is seen in `conftest`.
"""

from __future__ import annotations

import logging
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from server.http1.messages import Request, Response
from server.net.desk import Desk
from server.net.reading import Reading
from server.net.worker import Worker
from statemachine.model import BIRTH_STEP
from statemachine.replay import IllegalTrace
from statemachine.replaying import opened
from tests.spec.tapes import IDS, SYSTEM, Tape, replayed
from tests.spec.test_replay import is_caught, kind
from tests.wire.client import Client
from tests.wire.conftest import Serve
from tests.wire.conftest import replayed as replayed_but_for
from tests.wire.test_cli import GET, Process, processes

__all__ = ["processes"]  # a fixture

DUMPED = re.compile(
    r"flight recorder: (?P<why>.+): the last (?P<rows>\d+) arrows are in (?P<file>.+)"
)
SEED = 20_261_126


def handler(request: Request) -> Response:
    return Response(200, content=request.head.path.encode())


def asked(client: Client, times: int) -> None:
    for _ in range(times):
        client.send(GET % b"/")
        assert client.reply().status == 200


def dumps(lines: Iterator[str] | list[str]) -> Iterator[tuple[str, Path]]:
    """What was dumped, by what a log says."""
    for line in lines:
        if found := DUMPED.search(line):
            yield found["why"], Path(found["file"])


def told(one: Process) -> str:
    """The next line of its log that is the flight recorder's."""
    assert one.popen.stderr is not None
    return next(line for line in one.popen.stderr if "flight recorder" in line)


class TestTrace:
    def test_a_server_s_life_is_in_its_trace(
        self, processes: list[Process], tmp_path: Path
    ) -> None:
        file = tmp_path / "trace"
        one = Process("--trace", str(file), "--threads", "2", "--drain-idle-seconds", "0")
        processes.append(one)
        client = Client(one.address())
        asked(client, 5)
        named = {"MainThread", "reactor", "worker_0", "worker_1"}
        while not named <= set(replayed(file)[0].threads.values()):
            pass  # until the writer, which names those who live, has had a turn
        one.popen.send_signal(signal.SIGTERM)
        out, _, status = one.ended()
        client.close()
        trace, replay = replayed(file)
        assert status == 0
        assert trace.ending is not None
        assert trace.ending.says == f"STOPPED: {out.strip()}"
        assert trace.ending.taken is not None
        assert trace.ending.living is not None
        taken = {name: count for name, count in replay.taken().items() if count}
        assert taken == {name: n for name, n in trace.ending.taken.items() if n}
        assert (taken["C1"], taken["C11"], taken["S5"], taken["W5"]) == (5, 5, 1, 2)
        assert named <= set(trace.threads.values())
        assert file.stat().st_mode & 0o077 == 0

    def test_what_is_dropped_doubled_or_forged_in_it_is_found(
        self, serve: Serve, tmp_path: Path
    ) -> None:
        print(f"seed {SEED}")
        file = tmp_path / "trace"
        served, chance = serve(handler, trace=str(file)), random.Random(SEED)
        asked(served.send(b""), 10)
        assert served.stop() == 0
        with opened(SYSTEM, file) as trace:
            rows = [row for _, block in trace.blocks for row in block]
        one = Tape(trace.header, tuple(rows), trace.ending)
        one.judged()
        arrows = [n for n, row in enumerate(rows) if kind(row)[1] < len(IDS)]
        for _ in range(150):
            index = chance.choice(arrows)
            row, before, after = rows[index], rows[:index], rows[index + 1 :]
            other = chance.choice([n for n in range(len(IDS)) if n != kind(row)[1]])
            forged = (kind(row)[0] * BIRTH_STEP + other, *row[1:])
            assert is_caught(one.without(index))
            assert is_caught(one.having([*before, row, row, *after]))
            assert is_caught(one.having([*before, forged, *after]))

    def test_a_killed_server_leaves_all_but_the_last_of_it(
        self, processes: list[Process], tmp_path: Path
    ) -> None:
        file = tmp_path / "trace"
        one = Process("--trace", str(file))
        processes.append(one)
        client = Client(one.address())
        asked(client, 3)
        while replayed(file)[1].taken()["C11"] < 3:  # until the writer has been there
            asked(client, 1)
        one.popen.kill()
        one.ended()
        client.close()
        trace, replay = replayed(file)
        assert trace.cut == "it ends after a whole chunk, and was not ended by its writer"
        assert replay.taken()["C11"] >= 3

    @pytest.mark.parametrize("where", ["none/trace", "."])
    def test_a_trace_that_cannot_be_written_fails_the_start(
        self, tmp_path: Path, where: str
    ) -> None:
        out, err, status = Process("--trace", str(tmp_path / where)).ended()
        assert (out, status, err.count("\n")) == ("", 1, 1), err
        assert err.startswith(f"interlock: cannot write the trace {tmp_path / where}: ")

    def test_a_full_disk_from_the_beginning_fails_the_start(self) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("the system has no /dev/full")
        out, err, status = Process("--trace", "/dev/full").ended()
        assert (out, status) == ("", 1)
        assert err == "interlock: cannot write the trace /dev/full: No space left on device\n"

    def test_a_full_disk_ends_the_trace_and_not_the_server(
        self, processes: list[Process], tmp_path: Path
    ) -> None:
        """A limit on the size of files does the same as a disk that is full."""
        file = tmp_path / "trace"
        one = Process("--trace", str(file), under="ulimit -f 32")
        processes.append(one)
        client = Client(one.address())
        while not replayed(file)[1].taken()["C11"]:  # until the writer has been there
            asked(client, 1)
        asked(client, 200)  # more than fits, whenever the writer comes
        one.popen.send_signal(signal.SIGTERM)
        client.close()
        _, err, status = one.ended()
        assert status == 0
        assert err.count(f"trace {file}: it ends here, the server goes on: File too large") == 1
        assert re.search(rf"trace {file}: [1-9]\d* rows were not written\n", err)
        trace, replay = replayed(file)
        assert trace.cut == "it ends after a whole chunk, and was not ended by its writer"
        assert replay.taken()["C11"] > 0

    def test_a_start_that_fails_is_in_its_trace(self, tmp_path: Path) -> None:
        file = tmp_path / "trace"
        assert Process("--trace", str(file), "--host", "no.such.host.invalid").ended()[2] == 1
        trace, replay = replayed(file)
        assert {name for name, count in replay.taken().items() if count} == {"S2", "H2"}
        assert trace.ending is not None
        assert trace.ending.says == "the start failed"


class TestFlightRecorder:
    def test_a_signal_dumps_and_the_server_goes_on(
        self, processes: list[Process], tmp_path: Path
    ) -> None:
        one = Process("--flight-dir", str(tmp_path))
        processes.append(one)
        client = Client(one.address())
        asked(client, 4)
        one.popen.send_signal(signal.SIGUSR1)
        ((why, file),) = dumps([told(one)])
        trace, replay = replayed(file)
        assert why == "asked for"
        assert trace.header.about["why"] == "asked for"
        assert (replay.taken()["C1"], replay.taken()["W1"]) == (4, 4)
        assert file.parent == tmp_path
        assert file.stat().st_mode & 0o077 == 0
        asked(client, 1)
        client.close()

    def test_a_forced_stop_dumps(self, processes: list[Process], tmp_path: Path) -> None:
        one = Process("--flight-dir", str(tmp_path), "--drain-seconds-max", "0")
        processes.append(one)
        client = Client(one.address())
        client.send(GET % b"/sleep?seconds=60")
        Client(client.peer).close()
        one.popen.send_signal(signal.SIGTERM)
        _, err, status = one.ended()
        client.close()
        assert status == 1
        assert [why for why, _ in dumps(err.splitlines())] == ["the drain was not over in time"]

    def test_a_folder_that_is_not_there_costs_one_line(self, processes: list[Process]) -> None:
        one = Process("--flight-dir", "/no/such/folder")
        processes.append(one)
        client = Client(one.address())
        one.popen.send_signal(signal.SIGUSR1)
        line = told(one)
        assert "flight recorder: asked for: cannot be written: " in line
        assert "No such file or directory" in line
        asked(client, 1)
        client.close()

    def test_without_one_nothing_is_dumped(self, processes: list[Process], tmp_path: Path) -> None:
        one = Process("--flight-dir", str(tmp_path), "--flight-events-max", "0")
        processes.append(one)
        client = Client(one.address())
        one.popen.send_signal(signal.SIGUSR1)
        asked(client, 1)
        one.popen.send_signal(signal.SIGTERM)
        client.close()
        assert one.ended()[2] == 0
        assert list(tmp_path.iterdir()) == []

    def test_it_keeps_the_last_arrows_and_no_more(self, serve: Serve) -> None:
        served = serve(handler, trace="", flight_events_max=64)
        asked(served.send(b""), 20)
        served.server._recording.dump("a test")
        (file,) = Path(served.server.config.flight_dir).glob("*.jsonl")
        _, replay = replayed(file)
        assert 32 <= sum(replay.counts) <= 64
        assert replay.taken()["L1"] == 0


class TestWhatIsDumpedFor:
    """Faults of ours, made by breaking a step; each is logged with the file's name."""

    @pytest.fixture
    def log(self, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
        with caplog.at_level(logging.WARNING):
            yield caplog

    def why(self, log: pytest.LogCaptureFixture, *breaks: str) -> list[str]:
        found = list(dumps([record.getMessage() for record in log.records]))
        for _, file in found:
            for one in breaks:
                with pytest.raises(IllegalTrace, match=one):
                    replayed(file)
            replayed_but_for(file, *breaks)
        return [why for why, _ in found]

    def test_a_reactor_that_dies(self, serve: Serve, log: pytest.LogCaptureFixture) -> None:
        served = serve(handler)
        client = served.send(GET % b"/a")
        assert client.reply().status == 200

        def fail() -> NoReturn:
            raise RuntimeError("a mistake")

        served.reactor.ask(fail)
        assert served.wait() == 1
        assert "the reactor died" in self.why(log)

    def test_a_step_that_raises(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> NoReturn:
            raise RuntimeError("a mistake")

        monkeypatch.setattr(Reading, "_submit", fail)
        served = serve(handler)
        assert served.send(GET % b"/a").ended()
        served.nudge()
        assert self.why(log) == ["a connection was given up"]

    def test_a_job_that_raises(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> NoReturn:
            raise RuntimeError("a mistake")

        monkeypatch.setattr(Desk, "send_message", fail)
        served = serve(handler, threads=1)
        assert served.send(GET % b"/a").ended()
        served.until_taken("J6")
        assert served.stop() == 0
        assert self.why(log) == ["worker_0: a job raised"]

    def test_a_worker_that_dies(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
    ) -> None:
        settle = Worker._settle

        def fail(worker: Worker, *rest: object) -> object:
            if worker.name == "worker_0":
                raise RuntimeError("a mistake")
            return settle(worker, *rest)  # type: ignore[arg-type] # what it is called with

        monkeypatch.setattr(Worker, "_settle", fail)
        served = serve(handler, threads=1)
        assert served.send(GET % b"/a").reply().status == 200
        served.until_taken("W8")
        assert served.stop() == 0
        assert self.why(log) == ["worker_0 died"]

    def test_a_ledger_out_of_balance(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
    ) -> None:
        served = serve(handler, trace="", breaks=("never_unbalanced",))
        assert served.send(GET % b"/a").reply().status == 200
        served.server._ledger.tallies["C9"]()  # one that was shed, of which nobody knows
        assert served.stop() == 3
        assert self.why(log, "never_unbalanced") == ["the ledger does not balance"]
