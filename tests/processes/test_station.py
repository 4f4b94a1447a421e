"""The parent's own sockets: nothing that a child does not read keeps it waiting, or is torn."""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from server.clock import SystemClock
from server.processes import station as station_module
from server.processes.board import Board
from server.processes.channel import Decoder
from server.processes.gathering import Question
from server.processes.station import Child, Station
from server.processes.world import Asked, Wondered


class Deaf:
    """A child whose other end the test holds."""

    def __init__(self, station: Station) -> None:
        here, self.there = socket.socketpair()
        here.setblocking(False)
        self.there.settimeout(10)
        self.popen = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self.child = Child(self.popen, here, Board.made())
        station._children[1] = self.child
        station._selector.register(here, selectors.EVENT_READ, 1)

    def close(self) -> None:
        self.popen.kill()
        self.popen.communicate()
        self.there.close()


@pytest.fixture
def station() -> Iterator[Station]:
    one = Station(socket.socket(), {}, SystemClock())
    yield one
    one.close()


@pytest.fixture
def deaf(station: Station) -> Iterator[Deaf]:
    one = Deaf(station)
    yield one
    one.close()


def heard(station: Station, deaf: Deaf, until: int) -> list[object]:
    """The ids of what comes, until this one."""
    decoder, found = Decoder(), list[object]()
    while until not in found:
        found += [one["id"] for one in decoder.feed(deaf.there.recv(1 << 16))]
        station.wait(0.0)
    return found


def test_what_a_child_does_not_read_waits_and_comes_whole(station: Station, deaf: Deaf) -> None:
    text = "x" * 100_000
    for number in range(20):
        station.send(1, {"asks": "hear", "id": number, "value": text})
    assert len(deaf.child.outbox) > 1_000_000
    assert heard(station, deaf, 19) == list(range(20))
    assert deaf.child.outbox == b""
    assert station._selector.get_key(deaf.child.channel).events == 1


def test_what_waits_is_bounded_and_an_order_is_never_dropped(
    station: Station, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station_module, "OUTBOX_BYTES_MAX", 600_000)
    text = "x" * 100_000
    for number in range(20):
        station.send(1, {"asks": "hear", "id": number, "value": text})
    monkeypatch.setattr(station_module, "OUTBOX_BYTES_MAX", len(deaf.child.outbox))
    station.send(1, {"asks": "stop", "id": 99})
    assert len(deaf.child.outbox) < 700_000
    found = heard(station, deaf, 99)
    assert found[:-1] == list(range(len(found) - 1))
    assert 5 < len(found) < 20


def test_who_has_gone_is_sent_nothing(station: Station, deaf: Deaf) -> None:
    deaf.there.close()
    station.wait(0.0)
    station.send(1, {"asks": "hear", "id": 1, "value": "x"})
    assert deaf.child.outbox == b""


def test_another_thread_s_news_end_the_wait(station: Station) -> None:
    news = Wondered(Question("snapshot"), lambda _: None)
    thread = threading.Thread(target=lambda: [station.put(news), station.put(Asked.STOP)])
    thread.start()
    found = list(station.wait(None))
    while len(found) < 2:
        found += station.wait(None)
    thread.join()
    assert found == [news, Asked.STOP]


def test_what_comes_too_late_is_told_so() -> None:
    one = Station(socket.socket(), {}, SystemClock())
    one.close()
    assert not one.put(Asked.STOP)
