"""What parent and child share: counts in memory, messages, settings, and the socket."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import Config, Mount
from server.errors import ConfigError
from server.processes.accounts import Total
from server.processes.board import CELLS, HEAD_BYTES, Board
from server.processes.channel import LINE_BYTES_MAX, Decoder, counts, encoded, integer, text
from server.processes.process import Process, ended
from server.processes.settings import told, understood
from server.processes.sharing import SharedSocket
from server.server import sound_system
from statemachine import Binder
from statemachine._generated import ProcessState


class TestBoard:
    def test_what_threads_count_is_there_for_another_who_looks(self) -> None:
        board = Board.made()
        other = Board(board.descriptor)
        assert other.counts() == {}
        spec = sound_system().ledger
        assert spec is not None
        tallies = board.tallies(spec)
        assert set(tallies) == set(spec.arrows)
        assert set(other.counts()) == {"accepted", *spec.settled}

        def count() -> None:
            for _ in range(2 * CELLS):
                tallies["C11"]()
                tallies["C9"]()
                tallies["C28"]()  # of the same term as C11

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        found = {term: count for term, count in other.counts().items() if count}
        assert found == {"shed": 8 * CELLS, "answered": 16 * CELLS}

    def test_terms_of_another_version_are_told_by_name(self) -> None:
        board = Board.made()
        head = json.dumps(["accepted", "answered", "dropped"]).encode()
        board._memory[: len(head)] = head
        board._memory[HEAD_BYTES + 8] = 3
        assert Total.of(board.counts()) == Total(accepted=3)
        board.close()
        with pytest.raises(ValueError, match="closed"):
            board.counts()

    @pytest.mark.parametrize("platform", ["linux", "darwin"])
    def test_its_file_has_no_name_and_is_given_back(
        self, platform: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", platform)
        board = Board.made()
        spec = sound_system().ledger
        assert spec is not None
        tallies = board.tallies(spec)
        for _ in range(CELLS // 2 + 3):
            tallies["C1"]()
        tallies["C9"]()
        assert (board.counts()["accepted"], board.counts()["shed"]) == (CELLS // 2 + 3, 1)
        name = os.readlink(f"/proc/self/fd/{board.descriptor}")
        assert name.startswith("/memfd:interlock-board") is (platform == "linux")
        assert name.endswith("(deleted)")
        other = Board(os.dup(board.descriptor))
        assert other.counts()["shed"] == 1
        other.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(other.descriptor)


class TestChannel:
    @given(
        messages=st.lists(
            st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers()))
        ),
        cut=st.integers(1, 9),
    )
    def test_messages_come_whole_whatever_the_pieces(
        self, messages: list[dict[str, object]], cut: int
    ) -> None:
        data, decoder = b"".join(map(encoded, messages)), Decoder()
        pieces = [data[i : i + cut] for i in range(0, len(data), cut)]
        assert [one for piece in pieces for one in decoder.feed(piece)] == messages

    def test_what_is_no_message_is_passed_over(self, caplog: pytest.LogCaptureFixture) -> None:
        decoder = Decoder()
        with caplog.at_level(logging.ERROR):
            assert list(decoder.feed(b'nonsense\n\xff\n7\n{"says": "ready"}\n')) == [
                {"says": "ready"}
            ]
            assert list(decoder.feed(b"x" * (LINE_BYTES_MAX + 1))) == []
            assert list(decoder.feed(b'{"says": "ended"}\n')) == [{"says": "ended"}]
        assert len(caplog.records) == 4

    def test_a_line_may_be_just_as_long(self, caplog: pytest.LogCaptureFixture) -> None:
        line = encoded({"why": ""})
        line = line.replace(b'""', b'"' + b"x" * (LINE_BYTES_MAX - len(line) + 1) + b'"')
        decoder = Decoder()
        assert len(line) == LINE_BYTES_MAX + 1
        assert list(decoder.feed(line[:-1])) == []
        assert len(list(decoder.feed(line[-1:]))) == 1
        assert not caplog.records

    def test_a_number_that_is_not_there_is_none_at_all(self) -> None:
        assert (integer({}, "status"), integer({}, "status", 7)) == (0, 7)

    def test_what_a_message_has_under_another_type_it_has_not(self) -> None:
        message = {"status": "2", "why": 2, "account": [1]}
        assert (integer(message, "status", 1), text(message, "why")) == (1, "")
        assert counts(message, "account") == {}
        assert counts({"account": {"accepted": 1, "answered": "x"}}, "account") == {"accepted": 1}


def process() -> Process:
    return Binder(sound_system()).bind(Process)(7, 1, 1, 0.0)


class TestProcess:
    @pytest.mark.parametrize(
        ("status", "says"),
        [
            (-9, "was ended by signal 9"),
            (-1, "was ended by signal 1"),
            (0, "ended with status 0"),
            (1, "ended with status 1"),
        ],
    )
    def test_how_it_ended_is_told_in_words(self, status: int, says: str) -> None:
        assert ended(status) == says

    def test_one_that_ends_without_a_word_before_it_serves_is_a_failure(self) -> None:
        one = process()
        assert one.failure == (1, "process 7 ended with status 0 before it was ready")
        one.exit_status = -9
        assert one.failure == (1, "process 7 was ended by signal 9 before it was ready")

    @pytest.mark.parametrize(("word", "status"), [({}, 1), ({"status": 0}, 1), ({"status": 3}, 3)])
    def test_its_own_word_for_a_failure_counts(self, word: dict[str, int], status: int) -> None:
        one = process()
        one.last_word = {"why": "no module", **word}
        assert one.failure == (status, "no module")

    @pytest.mark.parametrize(
        ("state", "word", "exit_status", "status"),
        [
            (ProcessState.ENDED, {"status": 3}, 0, 3),
            (ProcessState.ENDED, {"status": 3}, 4, 3),
            (ProcessState.ENDED, {"status": 0}, -9, 9),
            (ProcessState.ENDED, {"status": 0}, 0, 0),
            (ProcessState.CUT, {"status": 0}, 0, 1),
            (ProcessState.CUT, {"status": 3}, 3, 1),
            (ProcessState.CRASHED, None, -9, 1),
            (ProcessState.FAILED, {"status": 3}, 3, 0),
        ],
    )
    def test_its_exit_status_counts_once_it_has_served(
        self, state: ProcessState, word: dict[str, int] | None, exit_status: int, status: int
    ) -> None:
        one = process()
        one.state, one.last_word, one.exit_status = state, word, exit_status
        assert one.status == status


class TestSettings:
    def test_a_config_is_the_same_on_the_other_side(self) -> None:
        config = Config(
            port=0,
            threads=9,
            processes=3,
            app="a.b:c",
            root=Path("some/site"),
            mounts=(Mount("/a", Path("x=y")), Mount("/b", Path("z"))),
            idle_seconds_max=2.5,
            engine="stock",
        )
        assert understood(json.loads(json.dumps(told(config)))) == config
        assert told(Config()) == {}

    @pytest.mark.parametrize(
        "name", [one.name for one in dataclasses.fields(Config) if one.type in ("int", "float")]
    )
    def test_a_setting_of_another_type_is_refused_in_one_line(self, name: str) -> None:
        with pytest.raises(ConfigError, match="which this version refuses"):
            understood({name: "many"})

    def test_a_setting_of_another_version_is_refused_by_name(self) -> None:
        with pytest.raises(ConfigError, match="--warp-factor is an option of another version"):
            understood({"warp_factor": "9"})


class TestSharing:
    def test_one_a_turn_and_all_of_them_on_the_way_out(self) -> None:
        leaving: list[bool] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            shared = SharedSocket(listening.detach(), lambda: bool(leaving))
            clients = [socket.create_connection(shared.getsockname()) for _ in range(5)]
            taken = []
            for _ in range(2):
                taken.append(shared.accept()[0])
                with pytest.raises(BlockingIOError):
                    shared.accept()
            leaving.append(True)
            taken += [shared.accept()[0] for _ in range(3)]
            for one in (*taken, *clients, shared):
                one.close()


@given(
    st.lists(
        st.builds(
            Total,
            **{one.name: st.integers(0, 9) for one in dataclasses.fields(Total)},
        )
    )
)
def test_a_total_is_an_equation_whatever_is_added(totals: list[Total]) -> None:
    total = sum(totals, Total())
    terms = str(total).removeprefix("ledger: accepted ").replace(" - counted twice ", " + -")
    left, right = terms.split(" = ")
    assert int(left) == sum(int(term.split()[-1]) for term in right.split(" + "))
    assert total.imbalance == sum(one.imbalance for one in totals)


@pytest.mark.parametrize(
    ("answered", "says"),
    [(5, ""), (4, " + missing 1"), (3, " + missing 2"), (6, " - counted twice 1")],
)
def test_what_a_total_lacks_is_told(answered: int, says: str) -> None:
    total = Total(accepted=5, answered=answered)
    begin = f"ledger: accepted 5 = answered {answered} + shed 0 + client-gone 0 + forced 0"
    assert str(total) == f"{begin} + lost-by-crash 0{says}"


def test_what_is_open_is_told_where_there_is_something() -> None:
    assert str(Total(accepted=1, open=1)).endswith(" + lost-by-crash 0 + open 1")
