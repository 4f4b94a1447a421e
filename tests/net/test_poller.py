"""One contract, kept by both pollers: one event an arming, and none is lost."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from server.net.poller import READ, WRITE, EpollPoller, Poller, SelectorPoller, best_poller

KINDS: list[type[Poller]] = [EpollPoller, SelectorPoller]
SECONDS_MAX = 30.0
"""Longer than any test waits for what does come."""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "eventfd"), reason="EpollPoller needs epoll and eventfd"
)


@pytest.fixture(params=KINDS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    one = cast("Poller", request.param())
    yield one
    one.close()


class Pair:
    """Two connected sockets. `ours` is the poller's, `theirs` the peer's."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        for one in (self.ours, self.theirs):
            one.setblocking(False)
        self.descriptor = self.ours.fileno()

    def fill(self) -> None:
        """Send until the kernel takes no more."""
        for size in (4096, 1):
            while True:
                try:
                    self.ours.send(b"x" * size)
                except BlockingIOError:
                    break

    def drain(self) -> None:
        while True:
            try:
                self.theirs.recv(1 << 20)
            except BlockingIOError:
                return

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = Pair()
    yield one
    one.close()


def now(poller: Poller) -> list[int]:
    """All that is ready at present. Two looks: the first may only say that it was woken."""
    return poller.poll(0.0) + poller.poll(0.0)


def test_an_added_descriptor_is_armed_for_reading(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    assert now(poller) == []
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_there_is_one_event_an_arming(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    pair.theirs.send(b"b")
    pair.theirs.close()
    assert now(poller) == []
    poller.arm(pair.descriptor, READ)
    assert now(poller) == [pair.descriptor]
    assert now(poller) == []
    poller.disarm(pair.descriptor)


def test_what_came_before_the_arming_is_told(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    assert pair.ours.recv(9) == b"a"
    pair.theirs.send(b"b")
    poller.arm(pair.descriptor, READ)
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_the_peers_end_is_told(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.close()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_writing_is_told_when_there_is_room(poller: Poller, pair: Pair) -> None:
    pair.fill()
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    poller.arm(pair.descriptor, WRITE)
    assert now(poller) == [], "the last arming is the one that counts"
    pair.drain()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_a_peer_that_goes_is_told_to_who_waits_to_write(poller: Poller, pair: Pair) -> None:
    pair.fill()
    poller.add(pair.descriptor)
    poller.arm(pair.descriptor, WRITE)
    pair.theirs.close()
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


@pytest.mark.parametrize("readable", [True, False])
def test_either_is_told_to_who_waits_for_both(poller: Poller, pair: Pair, readable: bool) -> None:
    pair.fill()
    poller.add(pair.descriptor)
    poller.arm(pair.descriptor, READ | WRITE)
    assert now(poller) == []
    if readable:
        pair.theirs.send(b"a")
    else:
        pair.drain()
    assert now(poller) == [pair.descriptor]
    assert now(poller) == []
    poller.disarm(pair.descriptor)


def test_an_arming_from_another_thread_wakes_a_poll(poller: Poller, pair: Pair) -> None:
    """The reactor waits without an end; data lies there; a worker arms."""
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    assert now(poller) == [pair.descriptor]
    found: list[int] = []

    def wait() -> None:
        while not found:
            found.extend(poller.poll(SECONDS_MAX))

    waiting = threading.Thread(target=wait)
    waiting.start()
    poller.arm(pair.descriptor, READ)
    waiting.join(SECONDS_MAX)
    assert found == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_every_arming_of_many_threads_is_told(poller: Poller) -> None:
    pairs = [Pair() for _ in range(8)]
    for pair in pairs:
        poller.add(pair.descriptor)
        pair.theirs.send(b"a")
    told = {pair.descriptor: threading.Semaphore(0) for pair in pairs}
    turns = 50

    def arm(pair: Pair) -> None:
        for _ in range(1, turns):
            told[pair.descriptor].acquire()
            poller.arm(pair.descriptor, READ)

    threads = [threading.Thread(target=arm, args=(pair,), daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    counted = 0
    while counted < turns * len(pairs):
        for descriptor in poller.poll(SECONDS_MAX):
            counted += 1
            told[descriptor].release()
    for thread in threads:
        thread.join(SECONDS_MAX)
    assert now(poller) == []
    for pair in pairs:
        poller.disarm(pair.descriptor)
        pair.close()


def test_arming_what_is_closed_is_harmless(poller: Poller) -> None:
    pair = Pair()
    poller.add(pair.descriptor)
    poller.disarm(pair.descriptor)
    pair.close()
    poller.arm(pair.descriptor, READ)
    poller.arm(pair.descriptor, WRITE)
    assert now(poller) == []


def test_arming_a_number_that_another_has_now_makes_one_event_at_most(poller: Poller) -> None:
    old = Pair()
    poller.add(old.descriptor)
    poller.disarm(old.descriptor)
    old.close()
    new = Pair()
    assert new.descriptor == old.descriptor
    poller.arm(old.descriptor, READ)
    poller.add(new.descriptor)
    new.theirs.send(b"a")
    assert now(poller) == [new.descriptor]
    poller.arm(old.descriptor, READ)
    assert now(poller) == [new.descriptor]
    assert now(poller) == []
    poller.disarm(new.descriptor)
    new.close()


def test_what_is_disarmed_is_silent_and_its_number_is_free(poller: Poller, pair: Pair) -> None:
    poller.add(pair.descriptor)
    pair.theirs.send(b"a")
    poller.disarm(pair.descriptor)
    assert now(poller) == []
    poller.add(pair.descriptor)
    assert now(poller) == [pair.descriptor]
    poller.disarm(pair.descriptor)


def test_disarming_what_it_does_not_know_is_harmless(poller: Poller, pair: Pair) -> None:
    """A listener that was never opened, because the reactor died before."""
    poller.disarm(pair.descriptor)
    assert now(poller) == []


def test_a_wake_before_the_poll_is_not_lost(poller: Poller) -> None:
    poller.wake()
    assert poller.poll(SECONDS_MAX) == []


def test_a_wake_during_the_poll_ends_it(poller: Poller) -> None:
    waiting = threading.Thread(target=poller.poll, args=(None,), daemon=True)
    waiting.start()
    poller.wake()
    waiting.join(SECONDS_MAX)
    assert not waiting.is_alive()


def test_many_wakes_are_one(poller: Poller) -> None:
    for _ in range(100_000):
        poller.wake()
    assert poller.poll(SECONDS_MAX) == []
    assert isinstance(poller, EpollPoller | SelectorPoller)
    still_ringing: list[object] = (
        [*poller._epoll.poll(0)]
        if isinstance(poller, EpollPoller)
        else [*poller._selector.select(0)]
    )
    assert not still_ringing


@pytest.mark.parametrize("seconds", [0.0, 0.0001, None, 1e7, 1e12])
def test_any_time_may_be_waited_for(poller: Poller, seconds: float | None) -> None:
    """epoll_wait(2) counts milliseconds in an int: 24 days, and Config allows more."""
    poller.wake()
    assert poller.poll(seconds) == []


def test_closing_gives_everything_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for kind in KINDS:
        one = kind()
        one.close()
        one.close()
        one.wake()
        one.arm(0, READ)
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("lacking", ["epoll", "eventfd", None])
def test_the_best_is_chosen(monkeypatch: pytest.MonkeyPatch, lacking: str | None) -> None:
    if lacking is not None:
        monkeypatch.delattr(select if lacking == "epoll" else os, lacking)
    one = best_poller()
    assert isinstance(one, EpollPoller if lacking is None else SelectorPoller)
    one.close()
